//! One message under a key of its own.
//!
//! A random 128-bit nonce derives a fresh AES-256 key from the long-lived key,
//! so that no key of the house ever comes near the 2^32 messages after which
//! random GCM vectors under one key become unsafe (NIST SP 800-38D, 8.3). AWS
//! publishes the same construction for KMS.

use ground::Secret;

use crate::aead::{AeadKey, IV_BYTES};
use crate::kdf::DerivationKey;
use crate::{Error, Random};

/// Bytes in a derivation nonce.
pub(crate) const NONCE_BYTES: usize = 16;
/// Bytes of randomness that each message carries in clear.
pub(crate) const SALT_BYTES: usize = NONCE_BYTES + IV_BYTES;

/// The randomness of one message: the derivation nonce, then the vector.
#[derive(Clone, Copy)]
pub(crate) struct Salt(pub(crate) [u8; SALT_BYTES]);

impl Salt {
    pub(crate) fn draw(random: &Random) -> Salt {
        Salt(random.bytes())
    }

    fn split(&self) -> (&[u8; NONCE_BYTES], [u8; IV_BYTES]) {
        let (nonce, iv) = self
            .0
            .split_first_chunk::<NONCE_BYTES>()
            .expect("a salt is longer than a nonce");
        (
            nonce,
            iv.try_into().expect("what follows the nonce is the vector"),
        )
    }
}

/// Appends the sealed plaintext to `out`.
pub(crate) fn seal(
    key: &DerivationKey,
    label: &'static str,
    salt: &Salt,
    aad: &[u8],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let (nonce, iv) = salt.split();
    AeadKey::new(key.derive(label, nonce).expose()).seal(iv, aad, plaintext, out)
}

/// Opens what [`seal`] made of the same key, label, salt and associated data.
pub(crate) fn open(
    key: &DerivationKey,
    label: &'static str,
    salt: &Salt,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let (nonce, iv) = salt.split();
    AeadKey::new(key.derive(label, nonce).expose()).open(iv, aad, sealed)
}
