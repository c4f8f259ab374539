//! The AES-256 key behind a symmetric KMS key.
//!
//! It never encrypts anything itself: it derives the keys of messages.

use ground::Secret;

use crate::blob;
use crate::kdf::{DERIVED_KEY_BYTES, DerivationKey};
use crate::message::{MessageKeys, NextMessage, Salt};
use crate::{Error, Random};

/// A symmetric backing key, ready to derive message keys.
pub struct SymmetricKey {
    bytes: Secret<[u8; DERIVED_KEY_BYTES]>,
    derivation: DerivationKey,
    /// For envelopes, of which there are many.
    envelopes: MessageKeys,
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

    /// What the next envelope is sealed under.
    pub(crate) fn next_envelope(&self, random: &Random) -> NextMessage {
        self.envelopes.next(&self.derivation, random)
    }

    /// Opens the sealed part of an envelope.
    pub(crate) fn open_envelope(
        &self,
        salt: &Salt,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        self.envelopes.open(&self.derivation, salt, aad, sealed)
    }

    fn new(bytes: Secret<[u8; DERIVED_KEY_BYTES]>) -> SymmetricKey {
        SymmetricKey {
            derivation: DerivationKey::new(bytes.expose()),
            bytes,
            envelopes: MessageKeys::new(blob::LABEL),
        }
    }
}
