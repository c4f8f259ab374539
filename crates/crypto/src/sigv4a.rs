//! The key pair of Signature Version 4A, derived from an access key.
//!
//! Client and server derive the same P-256 key pair from the access key id and
//! the secret, so nothing is exchanged beyond what Version 4 already needs.
//! The derivation is the counter-mode KDF of NIST SP 800-108 over HMAC-SHA-256,
//! followed by the candidate test of FIPS 186-4, B.4.2.
//!
//! Source: AWS IAM User Guide, "AWS Signature Version 4A".

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, ParsedPublicKey,
};
use ground::Secret;

use crate::hash::hmac_sha256;

/// The algorithm's name, which is also the label of the derivation.
const LABEL: &[u8] = b"AWS4-ECDSA-P256-SHA256";

/// Longest DER encoding of a P-256 signature: two integers of 33 bytes with
/// their headers inside a sequence.
pub const SIGNATURE_BYTES_MAX: usize = 72;

/// The order of the curve less two: the largest acceptable candidate (SEC 2, secp256r1).
const ORDER_LESS_TWO: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// The key pair with which one access key signs and is verified.
pub struct SigV4aKey {
    pair: EcdsaKeyPair,
    public: ParsedPublicKey,
}

impl SigV4aKey {
    /// Derives the pair.
    pub fn derive(access_key_id: &str, secret: &[u8]) -> SigV4aKey {
        let scalar = scalar(access_key_id, secret);
        let point = agreement::PrivateKey::from_private_key(&ECDH_P256, scalar.expose())
            .expect("the derivation gives a scalar between 1 and the order less one")
            .compute_public_key()
            .expect("every valid private key has a public key");
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            scalar.expose(),
            point.as_ref(),
        )
        .expect("the public key was computed from this private key");
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.as_ref())
            .expect("a public key the provider computed is one it accepts");
        SigV4aKey { pair, public }
    }

    /// The DER-encoded signature of `message`; different at every call.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .expect("signing with a valid key cannot fail")
            .as_ref()
            .to_vec()
    }

    /// Whether `signature` (DER) is this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() <= SIGNATURE_BYTES_MAX && self.public.verify_sig(message, signature).is_ok()
    }
}

/// The private scalar, big-endian.
fn scalar(access_key_id: &str, secret: &[u8]) -> Secret<[u8; 32]> {
    let mut key = Secret::new(Vec::with_capacity(5 + secret.len()));
    key.expose_mut().extend_from_slice(b"AWS4A");
    key.expose_mut().extend_from_slice(secret);
    (1..=254u8)
        .find_map(|counter| {
            let mut candidate = Secret::new(hmac_sha256(
                key.expose(),
                &[
                    &1u32.to_be_bytes(),
                    LABEL,
                    &[0],
                    access_key_id.as_bytes(),
                    &[counter],
                    &256u32.to_be_bytes(),
                ],
            ));
            (*candidate.expose() <= ORDER_LESS_TWO).then(|| {
                add_one(candidate.expose_mut());
                candidate
            })
        })
        .expect("each of 254 candidates is refused with a probability of 2^-32")
}

fn add_one(number: &mut [u8; 32]) {
    for byte in number.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example in the test suite of AWS's common runtime (aws-c-auth, `key_derivation_tests`).
    #[test]
    fn derives_the_published_scalar() {
        let scalar = scalar(
            "AKISORANDOMAASORANDOM",
            b"q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom",
        );
        assert_eq!(
            hex::encode(scalar.expose()),
            "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd"
        );
    }

    #[test]
    fn verifies_what_it_signs_and_nothing_else() {
        let key = SigV4aKey::derive("AKIDEXAMPLE", b"secret");
        let signature = key.sign(b"message");
        assert!(key.verify(b"message", &signature));
        assert!(!key.verify(b"massage", &signature));
        assert!(!key.verify(b"message", &signature[1..]));
        assert!(!key.verify(b"message", &[0; SIGNATURE_BYTES_MAX + 1]));
        assert!(!SigV4aKey::derive("AKIDEXAMPLF", b"secret").verify(b"message", &signature));
    }

    #[test]
    fn carries_when_adding_one() {
        let mut number = [0xff; 32];
        number[0] = 0;
        add_one(&mut number);
        let mut expected = [0; 32];
        expected[0] = 1;
        assert_eq!(number, expected);
    }
}
