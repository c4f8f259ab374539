//! The envelope: what `kms:Encrypt` answers as `CiphertextBlob`.
//!
//! | bytes | what |
//! |---|---|
//! | 2 | `50 01`: the letter P and the version of this format |
//! | 1 | length of the key reference, 1 to 64 |
//! | 1–64 | the key reference: whatever the caller needs to find the key again |
//! | 16 | the nonce that derives the message key |
//! | 12 | the initialisation vector |
//! | plaintext | AES-256-GCM ciphertext |
//! | 16 | the tag |
//!
//! The tag covers the header, the caller's binding (the key's ARN) and the
//! encryption context. A ciphertext therefore opens only under the key,
//! binding and context it was made with, and finds its key without a `KeyId`.
//!
//! Absent by design: AWS's own layout. Clients treat the blob as opaque, and
//! an imitation would invite someone to send ours to AWS or the reverse.

use ground::Secret;

use crate::aead::TAG_BYTES;
use crate::canonical::push_part;
use crate::key::SymmetricKey;
use crate::message::{SALT_BYTES, Salt};
use crate::{Error, Random};

/// The longest key reference in bytes: a UUID, a material id and room for a
/// digest of where the key lives.
pub const REFERENCE_BYTES_MAX: usize = 64;

/// The longest envelope in bytes that is worth reading. Source: KMS API
/// Reference, `CiphertextBlob`, 6,144 bytes.
pub const ENVELOPE_BYTES_MAX: usize = 6144;

const MAGIC: [u8; 2] = [b'P', 1];
/// Under what the keys of envelopes are derived.
pub(crate) const LABEL: &str = "palisade kms message v1";

/// The encryption context in the one form that is authenticated: sorted by
/// name, every name and value preceded by its length.
///
/// Names and values are compared byte for byte, so case counts; the order in
/// which the caller gives them does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionContext(Vec<u8>);

impl EncryptionContext {
    /// The context of these pairs. Names are expected to be unique, as in the
    /// map they come from; a repeated name is kept with each of its values.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> EncryptionContext {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_unstable();
        let mut bytes = Vec::new();
        for (name, value) in pairs {
            push_part(&mut bytes, name.as_bytes());
            push_part(&mut bytes, value.as_bytes());
        }
        EncryptionContext(bytes)
    }

    /// No context, which is the same as a context without pairs.
    pub fn empty() -> EncryptionContext {
        EncryptionContext::default()
    }
}

/// An envelope that has been read but not opened: nothing in it is proven yet.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    header: &'a [u8],
    reference: &'a [u8],
    salt: Salt,
    sealed: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] for anything that [`Envelope::seal`] did not
    /// write, including bytes beyond [`ENVELOPE_BYTES_MAX`].
    pub fn parse(bytes: &'a [u8]) -> Result<Envelope<'a>, Error> {
        Self::read(bytes).ok_or(Error::BadCiphertext)
    }

    fn read(bytes: &'a [u8]) -> Option<Envelope<'a>> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return None;
        }
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (length, rest) = rest.split_first()?;
        let length = usize::from(*length);
        if length == 0 || length > REFERENCE_BYTES_MAX {
            return None;
        }
        let (reference, rest) = rest.split_at_checked(length)?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_BYTES>()?;
        if sealed.len() < TAG_BYTES {
            return None;
        }
        let (header, _) = bytes.split_at_checked(bytes.len() - sealed.len())?;
        Some(Envelope {
            header,
            reference,
            salt: Salt(*salt),
            sealed,
        })
    }

    /// What the maker put in to find the key again. It is authenticated only
    /// once the envelope has opened: use it to look a key up, nothing more.
    pub fn reference(&self) -> &'a [u8] {
        self.reference
    }

    /// Opens the envelope.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] unless key, binding, context and every byte are
    /// those it was sealed with.
    pub fn open(
        &self,
        key: &SymmetricKey,
        binding: &[u8],
        context: &EncryptionContext,
    ) -> Result<Secret<Vec<u8>>, Error> {
        let aad = associated_data(self.header, binding, context);
        key.open_envelope(&self.salt, &aad, self.sealed)
    }

    /// Seals a plaintext. Every call gives different bytes.
    ///
    /// `reference` comes back from [`Envelope::reference`]; `binding` is
    /// authenticated but not carried, and is usually the key's ARN.
    ///
    /// # Errors
    ///
    /// [`Error::ReferenceLength`], or [`Error::PlaintextLength`] for a
    /// plaintext whose envelope would exceed [`ENVELOPE_BYTES_MAX`].
    pub fn seal(
        key: &SymmetricKey,
        reference: &[u8],
        binding: &[u8],
        context: &EncryptionContext,
        plaintext: &[u8],
        random: &Random,
    ) -> Result<Vec<u8>, Error> {
        let reference_length = u8::try_from(reference.len())
            .ok()
            .filter(|length| (1..=REFERENCE_BYTES_MAX).contains(&usize::from(*length)))
            .ok_or(Error::ReferenceLength {
                given: reference.len(),
                max: REFERENCE_BYTES_MAX,
            })?;
        let header_bytes = MAGIC.len() + 1 + reference.len() + SALT_BYTES;
        let max = ENVELOPE_BYTES_MAX - header_bytes - TAG_BYTES;
        if plaintext.len() > max {
            return Err(Error::PlaintextLength {
                given: plaintext.len(),
                max,
            });
        }
        let message = key.next_envelope(random);
        let mut out = Vec::with_capacity(header_bytes + plaintext.len() + TAG_BYTES);
        out.extend_from_slice(&MAGIC);
        out.push(reference_length);
        out.extend_from_slice(reference);
        out.extend_from_slice(&message.salt().0);
        let aad = associated_data(&out, binding, context);
        message.seal(&aad, plaintext, &mut out)?;
        Ok(out)
    }
}

fn associated_data(header: &[u8], binding: &[u8], context: &EncryptionContext) -> Vec<u8> {
    let mut aad = Vec::with_capacity(header.len() + binding.len() + context.0.len() + 24);
    push_part(&mut aad, header);
    push_part(&mut aad, binding);
    push_part(&mut aad, &context.0);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARN: &[u8] = b"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn key(fill: u8) -> SymmetricKey {
        SymmetricKey::from_bytes(&[fill; 32]).unwrap()
    }

    fn open(
        bytes: &[u8],
        key: &SymmetricKey,
        binding: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, Error> {
        let opened = Envelope::parse(bytes)?.open(key, binding, context)?;
        Ok(opened.expose().clone())
    }

    proptest! {
        /// What was sealed opens, and carries its reference.
        #[test]
        fn opens_to_what_was_sealed(
            plaintext in proptest::collection::vec(any::<u8>(), 0..200),
            reference in proptest::collection::vec(any::<u8>(), 1..=REFERENCE_BYTES_MAX),
            pairs in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..4),
            seed in any::<u64>(),
        ) {
            let context = EncryptionContext::new(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            let reversed = EncryptionContext::new(pairs.iter().rev().map(|(k, v)| (k.as_str(), v.as_str())));
            let random = Random::seeded(seed);
            let blob = Envelope::seal(&key(1), &reference, ARN, &context, &plaintext, &random).unwrap();
            prop_assert_eq!(Envelope::parse(&blob).unwrap().reference(), &reference[..]);
            prop_assert_eq!(open(&blob, &key(1), ARN, &reversed), Ok(plaintext.clone()));
            prop_assert_eq!(open(&blob, &key(2), ARN, &context), Err(Error::BadCiphertext));
            prop_assert_eq!(open(&blob, &key(1), &ARN[1..], &context), Err(Error::BadCiphertext));
            let again = Envelope::seal(&key(1), &reference, ARN, &context, &plaintext, &random).unwrap();
            prop_assert_ne!(blob, again);
        }

        /// Reading never panics and never accepts what cannot be an envelope.
        #[test]
        fn parse_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..200), valid_start in any::<bool>()) {
            let mut bytes = bytes;
            if valid_start && bytes.len() > 2 {
                bytes[..2].copy_from_slice(&MAGIC);
            }
            if let Ok(envelope) = Envelope::parse(&bytes) {
                prop_assert!(envelope.open(&key(1), ARN, &EncryptionContext::empty()).is_err());
            }
        }

        /// Contexts are equal only if their pairs are.
        #[test]
        fn contexts_are_unambiguous(
            left in proptest::collection::btree_map("[aAb=]{0,3}", "[aAb=]{0,3}", 0..3),
            right in proptest::collection::btree_map("[aAb=]{0,3}", "[aAb=]{0,3}", 0..3),
        ) {
            let context = |pairs: &std::collections::BTreeMap<String, String>| {
                EncryptionContext::new(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            };
            prop_assert_eq!(left == right, context(&left) == context(&right));
        }
    }

    #[test]
    fn any_changed_bit_fails() {
        let context = EncryptionContext::new([("purpose", "test")]);
        let blob = Envelope::seal(
            &key(1),
            b"reference",
            ARN,
            &context,
            b"attack at dawn",
            &Random::seeded(1),
        )
        .unwrap();
        for bit in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                open(&changed, &key(1), ARN, &context),
                Err(Error::BadCiphertext),
                "bit {bit}"
            );
        }
        for length in 0..blob.len() {
            assert_eq!(
                open(&blob[..length], &key(1), ARN, &context),
                Err(Error::BadCiphertext)
            );
        }
        let mut longer = blob.clone();
        longer.push(0);
        assert_eq!(open(&longer, &key(1), ARN, &context), Err(Error::BadCiphertext));
    }

    #[test]
    fn context_is_case_sensitive() {
        let context = EncryptionContext::new([("Purpose", "test")]);
        let blob = Envelope::seal(&key(1), b"r", ARN, &context, b"x", &Random::seeded(1)).unwrap();
        for other in [
            EncryptionContext::empty(),
            EncryptionContext::new([("purpose", "test")]),
            EncryptionContext::new([("Purpose", "Test")]),
            EncryptionContext::new([("Purpose", "test"), ("", "")]),
        ] {
            assert_eq!(open(&blob, &key(1), ARN, &other), Err(Error::BadCiphertext));
        }
    }

    #[test]
    fn the_longest_kms_plaintext_fits() {
        let reference = [9; REFERENCE_BYTES_MAX];
        let context = EncryptionContext::empty();
        let random = Random::seeded(1);
        let blob = Envelope::seal(&key(1), &reference, ARN, &context, &[0; 4096], &random).unwrap();
        assert!(blob.len() <= ENVELOPE_BYTES_MAX);
        assert_eq!(open(&blob, &key(1), ARN, &context), Ok(vec![0; 4096]));
        let too_long = Envelope::seal(&key(1), &reference, ARN, &context, &[0; 6144], &random);
        assert!(matches!(too_long, Err(Error::PlaintextLength { .. })));
        for reference in [&[0; 65][..], &[]] {
            let refused = Envelope::seal(&key(1), reference, ARN, &context, b"", &random);
            assert!(matches!(refused, Err(Error::ReferenceLength { .. })));
        }
    }
}
