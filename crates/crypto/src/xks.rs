//! A ciphertext in parts, as the proxy of an external key store gives it out:
//! vector, ciphertext and tag apart, and a few bytes of the proxy's own beside
//! them, the metadata.
//!
//! | bytes of the metadata | what |
//! |---|---|
//! | 1 | `01`: the version of this form |
//! | 3 | a hint at the key material: whatever the caller needs to find it among few |
//! | 16 | the nonce that derives the message key |
//!
//! The tag covers the caller's binding (the key's ARN), the additional data of
//! whoever asked, and the metadata, each with its length; the last two as the
//! specification wants them, so that a part of one cannot pass for the other.
//!
//! Invariant: message keys are derived under a label of their own. What was
//! sealed here does not open as an [`Envelope`](crate::blob::Envelope) of the
//! same key, nor the reverse, however its parts are put together.
//!
//! Source: AWS KMS External Key Store Proxy API Specification, "Encrypt" and
//! Appendix C.

use ground::Secret;

use crate::aead::{IV_BYTES, TAG_BYTES};
use crate::canonical::push_part;
use crate::key::SymmetricKey;
use crate::message::{self, NONCE_BYTES, SALT_BYTES, Salt};
use crate::{Error, Random};

/// Bytes of the metadata, which is as many as there may be.
pub const METADATA_BYTES: usize = 1 + HINT_BYTES + NONCE_BYTES;
/// Bytes of the hint at the material.
pub const HINT_BYTES: usize = 3;
/// Most bytes of a plaintext: what every proxy must take, and no more.
pub const PLAINTEXT_BYTES_MAX: usize = 4300;
/// Most bytes of additional data: what every proxy must take, and no more.
pub const ADDITIONAL_BYTES_MAX: usize = 8192;

const VERSION: u8 = 1;
const LABEL: &str = "palisade xks message v1";

/// A ciphertext in parts. Nothing in it is proven until it has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// What this module needs to open it.
    pub metadata: Vec<u8>,
    /// The initialisation vector.
    pub iv: Vec<u8>,
    /// As long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// The tag.
    pub tag: Vec<u8>,
}

impl Parts {
    /// Seals a plaintext. Every call gives different bytes.
    ///
    /// # Errors
    ///
    /// [`Error::PlaintextLength`] beyond [`PLAINTEXT_BYTES_MAX`], and of
    /// additional data beyond [`ADDITIONAL_BYTES_MAX`].
    pub fn seal(
        key: &SymmetricKey,
        hint: [u8; HINT_BYTES],
        binding: &[u8],
        additional: &[u8],
        plaintext: &[u8],
        random: &Random,
    ) -> Result<Parts, Error> {
        if plaintext.len() > PLAINTEXT_BYTES_MAX {
            return Err(Error::PlaintextLength {
                given: plaintext.len(),
                max: PLAINTEXT_BYTES_MAX,
            });
        }
        let salt = Salt::draw(random);
        let (nonce, iv) = salt.0.split_at(NONCE_BYTES);
        let metadata = [&[VERSION], &hint[..], nonce].concat();
        let covered = covered(binding, additional, &metadata)?;
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG_BYTES);
        message::seal(key.derivation(), LABEL, &salt, &covered, plaintext, &mut sealed)?;
        let tag = sealed.split_off(plaintext.len());
        Ok(Parts {
            metadata,
            iv: iv.to_vec(),
            ciphertext: sealed,
            tag,
        })
    }

    /// What its maker hinted at; `None` if the metadata is not of this form.
    pub fn hint(&self) -> Option<[u8; HINT_BYTES]> {
        self.read().map(|(hint, _)| hint)
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] unless key, binding, additional data and every
    /// byte of every part are those it was sealed with.
    pub fn open(
        &self,
        key: &SymmetricKey,
        binding: &[u8],
        additional: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let (_, salt) = self.read().ok_or(Error::BadCiphertext)?;
        let covered = covered(binding, additional, &self.metadata).map_err(|_| Error::BadCiphertext)?;
        let sealed = [&self.ciphertext[..], &self.tag].concat();
        message::open(key.derivation(), LABEL, &salt, &covered, &sealed)
    }

    fn read(&self) -> Option<([u8; HINT_BYTES], Salt)> {
        if self.tag.len() != TAG_BYTES
            || self.iv.len() != IV_BYTES
            || self.ciphertext.len() > PLAINTEXT_BYTES_MAX
        {
            return None;
        }
        let rest = self.metadata.strip_prefix(&[VERSION])?;
        let (hint, nonce) = rest.split_first_chunk::<HINT_BYTES>()?;
        if nonce.len() != NONCE_BYTES {
            return None;
        }
        let mut salt = [0; SALT_BYTES];
        salt[..NONCE_BYTES].copy_from_slice(nonce);
        salt[NONCE_BYTES..].copy_from_slice(&self.iv);
        Some((*hint, Salt(salt)))
    }

    /// The ciphertext data integrity value of the parts.
    pub fn integrity_value(&self, additional: &[u8]) -> [u8; 32] {
        integrity_value(additional, &self.metadata, &self.iv, &self.ciphertext, &self.tag)
    }
}

/// SHA-256 over the parts one after the other, without lengths: it finds
/// flipped bits, not malice (Appendix C).
fn integrity_value(additional: &[u8], metadata: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> [u8; 32] {
    crate::sha256(&[additional, metadata, iv, ciphertext, tag])
}

/// What the tag covers: the binding, then additional data and metadata as the
/// specification spells them, with lengths of two bytes and of one.
fn covered(binding: &[u8], additional: &[u8], metadata: &[u8]) -> Result<Vec<u8>, Error> {
    if additional.len() > ADDITIONAL_BYTES_MAX {
        return Err(Error::PlaintextLength {
            given: additional.len(),
            max: ADDITIONAL_BYTES_MAX,
        });
    }
    let additional_length = u16::try_from(additional.len()).expect("8,192 fits in two bytes");
    let metadata_length = u8::try_from(metadata.len()).map_err(|_| Error::BadCiphertext)?;
    let mut out = Vec::with_capacity(binding.len() + additional.len() + metadata.len() + 11);
    push_part(&mut out, binding);
    out.extend_from_slice(&additional_length.to_be_bytes());
    out.extend_from_slice(additional);
    out.push(metadata_length);
    out.extend_from_slice(metadata);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blob::{EncryptionContext, Envelope};

    const ARN: &[u8] = b"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn key(fill: u8) -> SymmetricKey {
        SymmetricKey::from_bytes(&[fill; 32]).unwrap()
    }

    fn sealed(additional: &[u8], plaintext: &[u8], seed: u64) -> Parts {
        let random = Random::seeded(seed);
        Parts::seal(&key(1), [1, 2, 3], ARN, additional, plaintext, &random).unwrap()
    }

    fn open(parts: &Parts, key: &SymmetricKey, binding: &[u8], additional: &[u8]) -> Option<Vec<u8>> {
        match parts.open(key, binding, additional) {
            Ok(plaintext) => Some(plaintext.expose().clone()),
            Err(error) => {
                assert_eq!(error, Error::BadCiphertext);
                None
            }
        }
    }

    proptest! {
        #[test]
        fn opens_to_what_was_sealed_and_under_nothing_else(
            plaintext in proptest::collection::vec(any::<u8>(), 0..100),
            additional in proptest::collection::vec(any::<u8>(), 0..40),
            other in proptest::collection::vec(any::<u8>(), 0..40),
            seed in any::<u64>(),
        ) {
            let parts = sealed(&additional, &plaintext, seed);
            prop_assert_eq!(parts.ciphertext.len(), plaintext.len());
            prop_assert_eq!((parts.iv.len(), parts.tag.len(), parts.metadata.len()), (12, 16, 20));
            prop_assert_eq!(parts.hint(), Some([1, 2, 3]));
            prop_assert_eq!(open(&parts, &key(1), ARN, &additional), Some(plaintext));
            prop_assert_eq!(open(&parts, &key(2), ARN, &additional), None);
            prop_assert_eq!(open(&parts, &key(1), &ARN[1..], &additional), None);
            if other != additional {
                prop_assert_eq!(open(&parts, &key(1), ARN, &other), None);
            }
        }

        /// No bytes of one form open as the other.
        #[test]
        fn neither_form_opens_as_the_other(
            plaintext in proptest::collection::vec(any::<u8>(), 0..100),
            additional in proptest::collection::vec(any::<u8>(), 0..40),
            seed in any::<u64>(),
        ) {
            let random = Random::seeded(seed);
            let reference = [7; 54];
            let parts = sealed(&additional, &plaintext, seed);
            let nonce = &parts.metadata[1 + HINT_BYTES..];
            let envelope = [
                b"P\x01\x36", &reference[..], nonce, &parts.iv, &parts.ciphertext, &parts.tag,
            ].concat();
            let envelope = Envelope::parse(&envelope).unwrap();
            let text = String::from_utf8_lossy(&additional).into_owned();
            for context in [EncryptionContext::empty(), EncryptionContext::new([("aad", text.as_str())])] {
                prop_assert!(envelope.open(&key(1), ARN, &context).is_err());
            }

            let context = EncryptionContext::empty();
            let blob = Envelope::seal(&key(1), &reference, ARN, &context, &plaintext, &random).unwrap();
            let rest = &blob[3 + reference.len()..];
            let (salt, rest) = rest.split_at(SALT_BYTES);
            let (ciphertext, tag) = rest.split_at(plaintext.len());
            let parts = Parts {
                metadata: [&[VERSION, 7, 7, 7], &salt[..NONCE_BYTES]].concat(),
                iv: salt[NONCE_BYTES..].to_vec(),
                ciphertext: ciphertext.to_vec(),
                tag: tag.to_vec(),
            };
            prop_assert_eq!(parts.hint(), Some([7, 7, 7]));
            for additional in [&[][..], &additional] {
                prop_assert_eq!(open(&parts, &key(1), ARN, additional), None);
            }
        }

        #[test]
        fn opening_is_total(
            metadata in proptest::collection::vec(0u8..3, 0..24),
            iv in proptest::collection::vec(any::<u8>(), 0..18),
            ciphertext in proptest::collection::vec(any::<u8>(), 0..20),
            tag in proptest::collection::vec(any::<u8>(), 0..18),
        ) {
            let parts = Parts { metadata, iv, ciphertext, tag };
            prop_assert_eq!(open(&parts, &key(1), ARN, b""), None);
        }
    }

    #[test]
    fn any_changed_bit_of_any_part_fails() {
        let parts = sealed(b"project=nile", b"attack at dawn", 1);
        let places: [fn(&mut Parts) -> &mut Vec<u8>; 4] = [
            |parts| &mut parts.metadata,
            |parts| &mut parts.iv,
            |parts| &mut parts.ciphertext,
            |parts| &mut parts.tag,
        ];
        for place in places {
            let bits = place(&mut parts.clone()).len() * 8;
            assert!(bits > 0);
            for bit in 0..bits {
                let mut changed = parts.clone();
                place(&mut changed)[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&changed, &key(1), ARN, b"project=nile"), None);
            }
            let mut shorter = parts.clone();
            place(&mut shorter).pop();
            assert_eq!(open(&shorter, &key(1), ARN, b"project=nile"), None);
            let mut longer = parts.clone();
            place(&mut longer).push(0);
            assert_eq!(open(&longer, &key(1), ARN, b"project=nile"), None);
        }
    }

    /// What the specification warns of: metadata handed in as additional data.
    #[test]
    fn metadata_does_not_pass_for_additional_data() {
        let parts = sealed(b"", b"x", 1);
        let moved = Parts {
            metadata: Vec::new(),
            ..parts.clone()
        };
        assert_eq!(open(&moved, &key(1), ARN, &parts.metadata), None);
    }

    #[test]
    fn what_every_proxy_must_take_is_taken_and_no_more() {
        let random = Random::seeded(1);
        let seal = |plaintext: usize, additional: usize| {
            let (plaintext, additional) = (vec![1; plaintext], vec![2; additional]);
            Parts::seal(&key(1), [0; 3], ARN, &additional, &plaintext, &random)
        };
        let parts = seal(PLAINTEXT_BYTES_MAX, ADDITIONAL_BYTES_MAX).unwrap();
        assert_eq!(
            open(&parts, &key(1), ARN, &[2; ADDITIONAL_BYTES_MAX]),
            Some(vec![1; PLAINTEXT_BYTES_MAX])
        );
        for (plaintext, additional) in [(PLAINTEXT_BYTES_MAX + 1, 0), (0, ADDITIONAL_BYTES_MAX + 1)] {
            assert!(matches!(
                seal(plaintext, additional),
                Err(Error::PlaintextLength { .. })
            ));
        }
        assert_eq!(open(&parts, &key(1), ARN, &[2; ADDITIONAL_BYTES_MAX + 1]), None);
    }

    /// Appendix C, the example.
    #[test]
    fn the_integrity_value_is_the_published_one() {
        let value = integrity_value(
            b"project=nile,department=marketing",
            b"key_version=1",
            &hex::decode("1ccae5470f39700254779031").unwrap(),
            &hex::decode("821c642b5b71783367deaf18").unwrap(),
            &hex::decode("bc1c4dda7707d6812447c5955e99b261").unwrap(),
        );
        assert_eq!(
            hex::encode(value),
            "a8703f2260bd8791ec2d15ea0b23e65a0631eedcf2a13a65cc82db3f47cf5ec7"
        );
    }
}
