//! Private keys that people bring together with a server's certificate, as far
//! as it must be known which public key is theirs.
//!
//! Taken are PEM (RFC 7468) of `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY`
//! (PKCS#1) and `EC PRIVATE KEY` (SEC 1): RSA of 2,048 to 8,192 bits, and the
//! curves P-256, P-384 and P-521.
//!
//! Absent by design: keys under a passphrase, and any use of a key.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::Secret;

/// The text is no private key that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA or elliptic curve private key in PEM without a passphrase")]
pub struct BadServerKey;

/// The public half of a private key, as the bit string of a
/// SubjectPublicKeyInfo holds it: an `RSAPublicKey` or an uncompressed point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHalf(Vec<u8>);

impl PublicHalf {
    /// The public half of the private key in `pem`.
    ///
    /// # Errors
    ///
    /// [`BadServerKey`] for anything but one such key.
    pub fn of_pem(pem: &Secret<String>) -> Result<PublicHalf, BadServerKey> {
        let text = pem.expose().trim();
        let (label, text) = text
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.split_once("-----"))
            .ok_or(BadServerKey)?;
        let body = text
            .strip_suffix("-----")
            .and_then(|text| text.strip_suffix(label))
            .and_then(|text| text.strip_suffix("-----END "))
            .ok_or(BadServerKey)?;
        let letters = body.chars().filter(|letter| !letter.is_ascii_whitespace());
        let body = Secret::new(letters.collect::<String>());
        let der = STANDARD.decode(body.expose()).map_err(|_| BadServerKey)?;
        let der = Secret::new(der);
        let half = match label {
            "PRIVATE KEY" => of_rsa(rsa::KeyPair::from_pkcs8(der.expose())).or_else(|| of_curves(&der)),
            "RSA PRIVATE KEY" => of_rsa(rsa::KeyPair::from_der(der.expose())),
            "EC PRIVATE KEY" => of_curves(&der),
            _ => None,
        };
        half.ok_or(BadServerKey)
    }

    /// Whether a SubjectPublicKeyInfo has this bit string.
    pub fn is(&self, bits: &[u8]) -> bool {
        self.0 == bits
    }
}

fn of_rsa<E>(read: Result<rsa::KeyPair, E>) -> Option<PublicHalf> {
    let pair = read.ok()?;
    Some(PublicHalf(pair.public_key().as_ref().to_vec()))
}

fn of_curves(der: &Secret<Vec<u8>>) -> Option<PublicHalf> {
    let curves = [
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &ECDSA_P384_SHA384_ASN1_SIGNING,
        &ECDSA_P521_SHA512_ASN1_SIGNING,
    ];
    curves.into_iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_private_key_der(curve, der.expose()).ok()?;
        Some(PublicHalf(pair.public_key().as_ref().to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::{BackingKey, KeySpec};
    use crate::random::Random;

    fn pem(label: &str, der: &[u8]) -> Secret<String> {
        let body = STANDARD.encode(der);
        Secret::new(format!(
            "-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
        ))
    }

    #[test]
    fn the_public_half_is_that_of_the_key() {
        for spec in [
            KeySpec::Rsa2048,
            KeySpec::EccNistP256,
            KeySpec::EccNistP384,
            KeySpec::EccNistP521,
        ] {
            let key = BackingKey::generate(spec, &Random::system()).unwrap();
            let half = PublicHalf::of_pem(&pem("PRIVATE KEY", key.to_bytes().unwrap().expose())).unwrap();
            let public = key.public_key_der().unwrap();
            assert!(public.ends_with(&half.0), "{spec:?}");
            assert!(half.is(&half.0) && !half.is(&half.0[1..]));
        }
    }

    #[test]
    fn what_is_not_taken_is_refused() {
        let random = Random::system();
        let of = |spec| BackingKey::generate(spec, &random).unwrap().to_bytes().unwrap();
        let p256 = of(KeySpec::EccNistP256);
        let good = pem("PRIVATE KEY", p256.expose());
        let twice = Secret::new(format!("{}{}", good.expose(), good.expose()));
        let passphrase = good.expose().replacen('\n', "\nProc-Type: 4,ENCRYPTED\n\n", 1);
        for bad in [
            pem("RSA PRIVATE KEY", p256.expose()),
            pem("ENCRYPTED PRIVATE KEY", p256.expose()),
            pem("PRIVATE KEY", &p256.expose()[1..]),
            pem("PRIVATE KEY", of(KeySpec::EccSecgP256K1).expose()),
            pem("PRIVATE KEY", b""),
            Secret::new(passphrase),
            Secret::new(good.expose().replace("END PRIVATE", "END PUBLIC")),
            Secret::new("-----BEGIN PRIVATE KEY-----".to_owned()),
            Secret::new(String::new()),
            twice,
        ] {
            assert_eq!(PublicHalf::of_pem(&bad), Err(BadServerKey));
        }
    }

    proptest! {
        #[test]
        fn reading_is_total(label in "(RSA |EC |)PRIVATE KEY", der in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicHalf::of_pem(&pem(&label, &der));
        }
    }
}
