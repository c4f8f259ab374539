//! HMAC keys.

use aws_lc_rs::hmac;
use ground::Secret;

use super::{KeySpec, MacAlgorithm};
use crate::{Error, Random};

/// An HMAC key made ready.
pub(super) struct MacKey {
    algorithm: MacAlgorithm,
    bytes: Secret<Vec<u8>>,
    key: hmac::Key,
}

impl MacKey {
    pub(super) fn generate(algorithm: MacAlgorithm, random: &Random) -> MacKey {
        let mut bytes = Secret::new(vec![0; algorithm.tag_bytes()]);
        random.fill(bytes.expose_mut());
        MacKey::new(algorithm, bytes)
    }

    /// KMS takes HMAC keys of the hash's own length only.
    pub(super) fn from_bytes(spec: KeySpec, algorithm: MacAlgorithm, bytes: &[u8]) -> Result<MacKey, Error> {
        if bytes.len() != algorithm.tag_bytes() {
            return Err(Error::BadKey(spec));
        }
        Ok(MacKey::new(algorithm, Secret::new(bytes.to_vec())))
    }

    fn new(algorithm: MacAlgorithm, bytes: Secret<Vec<u8>>) -> MacKey {
        let provider = match algorithm {
            MacAlgorithm::HmacSha224 => hmac::HMAC_SHA224,
            MacAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
            MacAlgorithm::HmacSha384 => hmac::HMAC_SHA384,
            MacAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
        };
        let key = hmac::Key::new(provider, bytes.expose());
        MacKey {
            algorithm,
            bytes,
            key,
        }
    }

    pub(super) fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    pub(super) fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.bytes
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, message).as_ref().to_vec()
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> Result<(), Error> {
        hmac::verify(&self.key, message, tag).map_err(|_| Error::BadMac)
    }
}
