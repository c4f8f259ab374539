//! Digests and signatures whose algorithms others chose: those of XML
//! documents, the certificates of those who signed, and the names that AWS makes with SHA-1.
//!
//! Absent by design: signatures over SHA-1 and RSA keys below 2,048 bits,
//! which prove nothing any more.

use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use ground::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};

/// Bytes in a SHA-1 digest.
pub const SHA1_BYTES: usize = 20;

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha384 => &digest::SHA384,
            Digest::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }
}

/// A signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// ECDSA on the curve whose size is the digest's (P-521 for SHA-512), as `r` and `s` joined.
    Ecdsa(Digest),
    /// RSA with PKCS#1 v1.5 padding, 2,048 to 8,192 bits.
    Rsa(Digest),
}

impl Signature {
    /// Whether `signature` is that of `message` by the key, which is a
    /// SubjectPublicKeyInfo in DER.
    pub fn is_of(self, message: &[u8], public_key: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self {
            Signature::Ecdsa(Digest::Sha256) => &ECDSA_P256_SHA256_FIXED,
            Signature::Ecdsa(Digest::Sha384) => &ECDSA_P384_SHA384_FIXED,
            Signature::Ecdsa(Digest::Sha512) => &ECDSA_P521_SHA512_FIXED,
            Signature::Rsa(Digest::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            Signature::Rsa(Digest::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            Signature::Rsa(Digest::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        };
        let key = UnparsedPublicKey::new(algorithm, public_key);
        key.verify(message, signature).is_ok()
    }
}

/// Whether `signature` is that of a certificate's `message` by the key, which is
/// a SubjectPublicKeyInfo in DER, under the algorithm that the certificate names
/// by this object identifier: RSA with PKCS#1 v1.5 padding, 2,048 to 8,192 bits,
/// or ECDSA on P-256, P-384 or P-521, each with SHA-2. Under any other it is not.
///
/// Source: RFC 4055, 5; RFC 5758, 3.2.
pub fn is_of_issuer(algorithm: &str, message: &[u8], public_key: &[u8], signature: &[u8]) -> bool {
    let algorithms: &[&dyn VerificationAlgorithm] = match algorithm {
        "1.2.840.113549.1.1.11" => &[&RSA_PKCS1_2048_8192_SHA256],
        "1.2.840.113549.1.1.12" => &[&RSA_PKCS1_2048_8192_SHA384],
        "1.2.840.113549.1.1.13" => &[&RSA_PKCS1_2048_8192_SHA512],
        "1.2.840.10045.4.3.2" => &[
            &ECDSA_P256_SHA256_ASN1,
            &ECDSA_P384_SHA256_ASN1,
            &ECDSA_P521_SHA256_ASN1,
        ],
        "1.2.840.10045.4.3.3" => &[
            &ECDSA_P256_SHA384_ASN1,
            &ECDSA_P384_SHA384_ASN1,
            &ECDSA_P521_SHA384_ASN1,
        ],
        "1.2.840.10045.4.3.4" => &[&ECDSA_P521_SHA512_ASN1],
        _ => &[],
    };
    // A key fits one curve only; under the others nothing verifies.
    algorithms.iter().any(|algorithm| {
        let key = UnparsedPublicKey::new(*algorithm, public_key);
        key.verify(message, signature).is_ok()
    })
}

/// Whether a certificate leads, through others, to a root that is trusted, and
/// all of them are valid at `now`. All are in DER; the signatures on the way
/// are of ECDSA on P-384 or P-256, or of Ed25519.
pub fn is_chained(certificate: &[u8], through: &[&[u8]], root: &[u8], now: Timestamp) -> bool {
    let root = CertificateDer::from_slice(root);
    let Ok(anchor) = webpki::anchor_from_trusted_cert(&root) else {
        return false;
    };
    let certificate = CertificateDer::from_slice(certificate);
    let Ok(end) = webpki::EndEntityCert::try_from(&certificate) else {
        return false;
    };
    let through: Vec<CertificateDer<'_>> = through
        .iter()
        .map(|der| CertificateDer::from_slice(der))
        .collect();
    let Ok(seconds) = u64::try_from(now.seconds()) else {
        return false;
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = [
        webpki::aws_lc_rs::ECDSA_P384_SHA384,
        webpki::aws_lc_rs::ECDSA_P256_SHA256,
        webpki::aws_lc_rs::ED25519,
    ];
    // Certificates of signers say nothing of extended usage; none that do say otherwise are taken.
    let usage = webpki::KeyUsage::client_auth();
    end.verify_for_usage(&algorithms, &[anchor], &through, now, usage, None, None)
        .is_ok()
}

/// Whether the bytes are a certificate that can be trusted as a root.
pub fn is_root(der: &[u8]) -> bool {
    webpki::anchor_from_trusted_cert(&CertificateDer::from_slice(der)).is_ok()
}

/// The SHA-1 digest of the parts, one after the other, for names that AWS
/// makes with it: thumbprints of certificates, `saml:namequalifier`.
pub fn sha1_name(parts: &[&[u8]]) -> [u8; SHA1_BYTES] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    let mut name = [0; SHA1_BYTES];
    name.copy_from_slice(context.finish().as_ref());
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};
    use crate::random::Random;

    /// FIPS 180-2, appendix A and B, and FIPS 180-1, appendix A.
    #[test]
    fn published_digests_are_given() {
        assert_eq!(
            hex::encode(sha1_name(&[b"a", b"bc"])),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        for (digest, start) in [
            (Digest::Sha256, "ba7816bf8f01cfea414140de5dae2223"),
            (Digest::Sha384, "cb00753f45a35e8bb5a03d699ac65007"),
            (Digest::Sha512, "ddaf35a193617abacc417349ae204131"),
        ] {
            assert!(hex::encode(digest.of(b"abc")).starts_with(start), "{digest:?}");
        }
    }

    #[test]
    fn a_signature_is_good_for_its_message_key_and_algorithm_alone() {
        let random = Random::system();
        let key = BackingKey::generate(KeySpec::Rsa2048, &random).unwrap();
        let other = BackingKey::generate(KeySpec::Rsa2048, &random).unwrap();
        let made = key
            .sign(
                SigningAlgorithm::RsassaPkcs1V15Sha256,
                MessageType::Raw,
                b"message",
            )
            .unwrap();
        let (own, others) = (key.public_key_der().unwrap(), other.public_key_der().unwrap());
        let good = Signature::Rsa(Digest::Sha256);
        assert!(good.is_of(b"message", own, &made));
        assert!(!good.is_of(b"Message", own, &made));
        assert!(!good.is_of(b"message", others, &made));
        assert!(!good.is_of(b"message", own, &made[1..]));
        assert!(!Signature::Rsa(Digest::Sha512).is_of(b"message", own, &made));
        assert!(!Signature::Ecdsa(Digest::Sha256).is_of(b"message", own, &made));
        assert!(!good.is_of(b"message", b"no key", &made));
    }
}
