//! Messages under keys derived for them.
//!
//! A random 128-bit nonce derives a fresh AES-256 key from the long-lived key,
//! so that no key of the house ever comes near the 2^32 messages after which
//! random GCM vectors under one key become unsafe (NIST SP 800-38D, 8.3). AWS
//! publishes the same construction for KMS.
//!
//! What is sealed seldom has a key of its own ([`seal`]). A KMS key that is in
//! use seals [`MESSAGES_PER_KEY`] messages under one derived key
//! ([`MessageKeys`]): to derive and expand it costs more than to seal a short
//! message. The chance that two of these have one vector is below 2^-64.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ground::Secret;

use crate::aead::{AeadKey, IV_BYTES};
use crate::kdf::DerivationKey;
use crate::{Error, Random};

/// Bytes in a derivation nonce.
pub(crate) const NONCE_BYTES: usize = 16;
/// Bytes of randomness that each message carries in clear.
pub(crate) const SALT_BYTES: usize = NONCE_BYTES + IV_BYTES;
/// Messages that are sealed under one derived key, at most.
pub(crate) const MESSAGES_PER_KEY: u32 = 1 << 16;

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

/// The derived keys of one long-lived key and label, of which one is in use.
pub(crate) struct MessageKeys {
    label: &'static str,
    in_use: Mutex<Option<InUse>>,
}

struct InUse {
    key: Arc<MessageKey>,
    /// Messages that it may still seal.
    left: u32,
}

/// A derived key, and the nonce that derives it.
pub(crate) struct MessageKey {
    nonce: [u8; NONCE_BYTES],
    key: AeadKey,
}

impl MessageKey {
    fn derive(from: &DerivationKey, label: &'static str, nonce: [u8; NONCE_BYTES]) -> MessageKey {
        MessageKey {
            nonce,
            key: AeadKey::new(from.derive(label, &nonce).expose()),
        }
    }
}

impl MessageKeys {
    pub(crate) fn new(label: &'static str) -> MessageKeys {
        MessageKeys {
            label,
            in_use: Mutex::new(None),
        }
    }

    /// What the next message is sealed under. Each is given out as often as
    /// messages may be sealed under it, so it is asked for once a message.
    pub(crate) fn next(&self, from: &DerivationKey, random: &Random) -> NextMessage {
        let mut in_use = self.lock();
        if let Some(InUse { key, left }) = &mut *in_use
            && *left > 0
        {
            *left -= 1;
            let key = Arc::clone(key);
            drop(in_use);
            let mut salt = [0; SALT_BYTES];
            salt[..NONCE_BYTES].copy_from_slice(&key.nonce);
            random.fill(&mut salt[NONCE_BYTES..]);
            return NextMessage {
                key,
                salt: Salt(salt),
            };
        }
        let salt = Salt::draw(random);
        let (nonce, _) = salt.split();
        let key = Arc::new(MessageKey::derive(from, self.label, *nonce));
        *in_use = Some(InUse {
            key: Arc::clone(&key),
            left: MESSAGES_PER_KEY - 1,
        });
        NextMessage { key, salt }
    }

    /// Opens what was sealed under the derived key of that salt.
    pub(crate) fn open(
        &self,
        from: &DerivationKey,
        salt: &Salt,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let (nonce, iv) = salt.split();
        let in_use = self.lock().as_ref().map(|in_use| Arc::clone(&in_use.key));
        match in_use.filter(|in_use| in_use.nonce == *nonce) {
            Some(in_use) => in_use.key.open(iv, aad, sealed),
            None => open(from, self.label, salt, aad, sealed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<InUse>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key and the salt of one message that is not sealed yet.
pub(crate) struct NextMessage {
    key: Arc<MessageKey>,
    salt: Salt,
}

impl NextMessage {
    /// What the message carries in clear.
    pub(crate) fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Appends the sealed plaintext to `out`. Only once: the salt is one message's.
    pub(crate) fn seal(self, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let (_, iv) = self.salt.split();
        self.key.key.seal(iv, aad, plaintext, out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// As many messages as one key may seal and a few more: no salt comes twice, a
    /// nonce as often as it may, and all open, also where their key is not in use.
    #[test]
    fn a_derived_key_seals_as_many_messages_as_it_may() {
        let from = DerivationKey::new(&[7; 32]);
        let keys = MessageKeys::new("test v1");
        let random = Random::system();
        let mut vectors: HashMap<[u8; NONCE_BYTES], Vec<[u8; IV_BYTES]>> = HashMap::new();
        let mut kept = Vec::new();
        for number in 0..MESSAGES_PER_KEY + 10 {
            let next = keys.next(&from, &random);
            let salt = *next.salt();
            let (nonce, iv) = salt.split();
            vectors.entry(*nonce).or_default().push(iv);
            if number % 1000 == 0 || number >= MESSAGES_PER_KEY {
                let mut sealed = Vec::new();
                next.seal(b"aad", &number.to_be_bytes(), &mut sealed).unwrap();
                kept.push((number, salt, sealed));
            }
        }
        let mut counts: Vec<usize> = vectors.values().map(Vec::len).collect();
        counts.sort_unstable();
        assert_eq!(counts, [10, MESSAGES_PER_KEY as usize]);
        for vectors in vectors.values_mut() {
            let all = vectors.len();
            vectors.sort_unstable();
            vectors.dedup();
            assert_eq!(vectors.len(), all);
        }
        let elsewhere = MessageKeys::new("test v1");
        for (number, salt, sealed) in kept {
            for keys in [&keys, &elsewhere] {
                let opened = keys.open(&from, &salt, b"aad", &sealed).unwrap();
                assert_eq!(opened.expose()[..], number.to_be_bytes());
                let refused = keys.open(&from, &salt, b"other", &sealed);
                assert_eq!(refused.err(), Some(Error::BadCiphertext));
            }
            let other_label = MessageKeys::new("test v2").open(&from, &salt, b"aad", &sealed);
            assert_eq!(other_label.err(), Some(Error::BadCiphertext));
        }
    }
}
