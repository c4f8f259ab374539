//! Keys derived from a secret access key.

use crypto::sigv4a::SigV4aKey;
use crypto::{HmacKey, hmac_sha256};
use ground::Secret;

use super::scope::{Regions, TERMINATOR};
use super::{Algorithm, Scope, canonical};

/// A key ready to sign and verify, derived once and used for a day (Version 4)
/// or as long as the access key lives (Version 4A). It has no `Debug`.
pub struct SigningKey(Kind);

enum Kind {
    Hmac(Box<HmacKey>),
    Ecdsa(Box<SigV4aKey>),
}

impl SigningKey {
    /// Derives the key of one access key for one scope.
    pub fn derive(access_key_id: &str, secret: &Secret<String>, scope: &Scope<'_>) -> SigningKey {
        let secret = secret.expose().as_bytes();
        match &scope.region {
            Regions::Set(_) => SigningKey(Kind::Ecdsa(Box::new(SigV4aKey::derive(access_key_id, secret)))),
            Regions::One(region) => {
                let mut start = Secret::new(Vec::with_capacity(4 + secret.len()));
                start.expose_mut().extend_from_slice(b"AWS4");
                start.expose_mut().extend_from_slice(secret);
                let date = Secret::new(hmac_sha256(start.expose(), &[scope.date.as_bytes()]));
                let region = Secret::new(hmac_sha256(date.expose(), &[region.as_bytes()]));
                let service = Secret::new(hmac_sha256(region.expose(), &[scope.service.as_bytes()]));
                let signing = Secret::new(hmac_sha256(service.expose(), &[TERMINATOR.as_bytes()]));
                SigningKey(Kind::Hmac(Box::new(HmacKey::new(signing.expose()))))
            }
        }
    }

    /// The algorithm this key serves.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::Hmac(_) => Algorithm::V4,
            Kind::Ecdsa(_) => Algorithm::V4a,
        }
    }

    /// The signature of a string to sign, in hexadecimal.
    pub(crate) fn sign(&self, string_to_sign: &[u8]) -> String {
        match &self.0 {
            Kind::Hmac(key) => hex::encode(key.sign(&[string_to_sign])),
            Kind::Ecdsa(key) => hex::encode(key.sign(string_to_sign)),
        }
    }

    /// Whether `signature`, in lower-case hexadecimal, is this key's signature.
    pub(crate) fn verify(&self, string_to_sign: &[u8], signature: &str) -> bool {
        match &self.0 {
            Kind::Hmac(key) => {
                let expected = canonical::hex_digest(&key.sign(&[string_to_sign]));
                crypto::constant_time_eq(&expected, signature.as_bytes())
            }
            Kind::Ecdsa(key) => {
                let mut der = [0; crypto::sigv4a::SIGNATURE_BYTES_MAX];
                let Some(der) = der.get_mut(..signature.len() / 2) else {
                    return false;
                };
                !signature.bytes().any(|byte| byte.is_ascii_uppercase())
                    && hex::decode_to_slice(signature, der).is_ok()
                    && key.verify(string_to_sign, der)
            }
        }
    }
}
