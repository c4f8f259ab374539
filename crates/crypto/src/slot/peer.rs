//! What a running member of a cluster makes of the slot keys of others.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | the nonce that derives the key of this value |
//! | 12 | the initialisation vector |
//! | plaintext | AES-256-GCM ciphertext |
//! | 16 | the tag |

use ground::Secret;

use crate::canonical::parts;
use crate::kdf::DerivationKey;
use crate::message::{self, SALT_BYTES, Salt};
use crate::{Error, Random};

const SEAL_LABEL: &str = "palisade peer slot v1";

/// The key that seals the keys of peer slots; see
/// [`RootKey::peer_slots`](crate::RootKey::peer_slots).
pub struct PeerSlots(pub(crate) DerivationKey);

impl PeerSlots {
    /// Seals a slot's key for whom `bound_to` says, part by part.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the provider fails.
    pub fn seal(&self, bound_to: &[&[u8]], key: &[u8], random: &Random) -> Result<Vec<u8>, Error> {
        let salt = Salt::draw(random);
        let mut sealed = salt.0.to_vec();
        message::seal(&self.0, SEAL_LABEL, &salt, &parts(bound_to), key, &mut sealed)?;
        Ok(sealed)
    }

    /// Opens what [`PeerSlots::seal`] made for the same.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] if it was changed, or made for another.
    pub fn open(&self, bound_to: &[&[u8]], sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let (salt, ciphertext) = sealed
            .split_first_chunk::<SALT_BYTES>()
            .ok_or(Error::BadCiphertext)?;
        message::open(&self.0, SEAL_LABEL, &Salt(*salt), &parts(bound_to), ciphertext)
    }
}
