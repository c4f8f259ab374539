//! The AES-256 key behind a symmetric KMS key.
//!
//! It never encrypts anything itself: it derives the key of each message.

use ground::Secret;

use crate::Random;
use crate::kdf::{DERIVED_KEY_BYTES, DerivationKey};

/// A symmetric backing key, ready to derive message keys.
pub struct SymmetricKey {
    bytes: Secret<[u8; DERIVED_KEY_BYTES]>,
    derivation: DerivationKey,
}

impl SymmetricKey {
    /// Bytes in a key.
    pub const BYTES: usize = DERIVED_KEY_BYTES;

    /// A fresh key.
    pub fn generate(random: &Random) -> SymmetricKey {
        let mut bytes = Secret::new([0; Self::BYTES]);
        random.fill(bytes.expose_mut());
        SymmetricKey::new(bytes)
    }

    /// The key of these bytes; `None` unless there are [`SymmetricKey::BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Option<SymmetricKey> {
        bytes
            .try_into()
            .ok()
            .map(|bytes| SymmetricKey::new(Secret::new(bytes)))
    }

    /// The bytes of the key, to be wrapped.
    pub fn bytes(&self) -> &Secret<[u8; DERIVED_KEY_BYTES]> {
        &self.bytes
    }

    pub(crate) fn derivation(&self) -> &DerivationKey {
        &self.derivation
    }

    fn new(bytes: Secret<[u8; DERIVED_KEY_BYTES]>) -> SymmetricKey {
        let derivation = DerivationKey::new(bytes.expose());
        SymmetricKey { bytes, derivation }
    }
}
