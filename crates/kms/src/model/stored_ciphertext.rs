//! What `kms:Encrypt` answers for a key in a custom key store.
//!
//! | bytes | what |
//! |---|---|
//! | 2 | `50 02`: the letter P and the version of this format |
//! | 1 | length of the key reference |
//! | | the key reference, as in every ciphertext |
//! | 1 | `01`: sealed by an external key; `02`: by a key in a cluster |
//!
//! then, by an external key, one byte of length and the proxy's metadata (0 to
//! 20 bytes), one byte of length and the vector (12 or 16), the tag (16) and the
//! ciphertext; by a key in a cluster, what the cluster answered.
//!
//! Nothing here is proven by this layout. The tag of whoever sealed it covers
//! the reference, the key's ARN and the encryption context
//! ([`associated_data`]), and the proxy's own covers its metadata.

use crypto::sha256;

use crate::model::{EncryptionContext, MaterialId};

const MAGIC: [u8; 2] = [b'P', 2];
const EXTERNAL: u8 = 1;
const CLUSTER: u8 = 2;

/// Bytes in the tag of AES-GCM. Source: XKS Proxy API, Encrypt, `authenticationTag`.
pub const TAG_BYTES: usize = 16;
/// Most bytes of metadata. Source: XKS Proxy API, Encrypt, `ciphertextMetadata`.
pub const METADATA_BYTES_MAX: usize = 20;
/// Lengths of a vector. Source: XKS Proxy API, Encrypt, `initializationVector`.
pub const VECTOR_BYTES: [usize; 2] = [12, 16];
/// Longest blob. Source: KMS API Reference, `CiphertextBlob`.
const BYTES_MAX: usize = 6144;

/// A ciphertext that has been read but not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCiphertext {
    /// Which key and material.
    pub reference: Vec<u8>,
    /// By what it was sealed.
    pub sealed: SealedBy,
}

/// By what a ciphertext was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedBy {
    /// A key in a cluster: vector, ciphertext and tag as the cluster gave them.
    Cluster(Vec<u8>),
    /// An external key.
    External(ExternallySealed),
}

/// What a proxy gives for a plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternallySealed {
    /// As long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// What the proxy wants to see again; empty if nothing.
    pub metadata: Vec<u8>,
    /// The vector.
    pub vector: Vec<u8>,
    /// The tag.
    pub tag: [u8; TAG_BYTES],
}

impl StoredCiphertext {
    /// Whether the bytes begin as such a ciphertext does.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads one; `None` for anything that [`StoredCiphertext::to_bytes`] did not write.
    pub fn parse(bytes: &[u8]) -> Option<StoredCiphertext> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let (reference, rest) = sized(bytes.strip_prefix(&MAGIC)?)?;
        let (kind, rest) = rest.split_first()?;
        let sealed = match *kind {
            CLUSTER => SealedBy::Cluster(rest.to_vec()),
            EXTERNAL => {
                let (metadata, rest) = sized(rest)?;
                let (vector, rest) = sized(rest)?;
                let (tag, ciphertext) = rest.split_first_chunk::<TAG_BYTES>()?;
                let fits = metadata.len() <= METADATA_BYTES_MAX && VECTOR_BYTES.contains(&vector.len());
                fits.then(|| {
                    SealedBy::External(ExternallySealed {
                        ciphertext: ciphertext.to_vec(),
                        metadata: metadata.to_vec(),
                        vector: vector.to_vec(),
                        tag: *tag,
                    })
                })?
            }
            _ => return None,
        };
        Some(StoredCiphertext {
            reference: reference.to_vec(),
            sealed,
        })
    }

    /// The ciphertext as callers get it.
    ///
    /// # Panics
    ///
    /// If a part is longer than its length can say: every writer bounds them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        push_sized(&mut out, &self.reference);
        match &self.sealed {
            SealedBy::Cluster(sealed) => {
                out.push(CLUSTER);
                out.extend_from_slice(sealed);
            }
            SealedBy::External(sealed) => {
                out.push(EXTERNAL);
                push_sized(&mut out, &sealed.metadata);
                push_sized(&mut out, &sealed.vector);
                out.extend_from_slice(&sealed.tag);
                out.extend_from_slice(&sealed.ciphertext);
            }
        }
        out
    }
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn push_sized(out: &mut Vec<u8>, part: &[u8]) {
    out.push(u8::try_from(part.len()).expect("every part is bounded where it is made"));
    out.extend_from_slice(part);
}

/// What a key in a store binds a ciphertext to: a digest of everything that is
/// bound, so that it fits the 8,192 bytes which a proxy must take and tells it
/// nothing of the encryption context.
pub fn associated_data(binding: &str, material: &MaterialId, context: &EncryptionContext) -> [u8; 32] {
    let mut parts = Vec::new();
    let mut push = |part: &[u8]| {
        parts.extend_from_slice(&(part.len() as u64).to_be_bytes());
        parts.extend_from_slice(part);
    };
    push(b"palisade/kms/custom-key-store/1");
    push(binding.as_bytes());
    push(&material.bytes());
    for (name, value) in context.pairs() {
        push(name.as_bytes());
        push(value.as_bytes());
    }
    sha256(&[&parts])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn any_sealed() -> impl Strategy<Value = SealedBy> {
        let external = (
            vec(any::<u8>(), 0..60),
            vec(any::<u8>(), 0..=METADATA_BYTES_MAX),
            prop_oneof![vec(any::<u8>(), 12), vec(any::<u8>(), 16)],
            any::<[u8; TAG_BYTES]>(),
        );
        prop_oneof![
            vec(any::<u8>(), 0..60).prop_map(SealedBy::Cluster),
            external.prop_map(|(ciphertext, metadata, vector, tag)| {
                SealedBy::External(ExternallySealed {
                    ciphertext,
                    metadata,
                    vector,
                    tag,
                })
            })
        ]
    }

    proptest! {
        #[test]
        fn a_ciphertext_is_read_back(reference in vec(any::<u8>(), 1..64), sealed in any_sealed()) {
            let made = StoredCiphertext { reference, sealed };
            let bytes = made.to_bytes();
            prop_assert!(StoredCiphertext::is_one(&bytes));
            prop_assert_eq!(StoredCiphertext::parse(&bytes), Some(made));
        }

        /// There is one way to write each, so nobody can spell one in two ways.
        #[test]
        fn what_is_read_is_what_was_written(bytes in vec(any::<u8>(), 0..120)) {
            let bytes = [&MAGIC[..], &bytes].concat();
            if let Some(read) = StoredCiphertext::parse(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn everything_is_bound() {
        let context = |pairs: &[(&str, &str)]| {
            let pairs: BTreeMap<_, _> = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            EncryptionContext::parse(Some(pairs)).unwrap()
        };
        let one = MaterialId::from_bytes([1; 32]);
        let all = [
            associated_data("arn", &one, &context(&[])),
            associated_data("arm", &one, &context(&[])),
            associated_data("arn", &MaterialId::from_bytes([2; 32]), &context(&[])),
            associated_data("arn", &one, &context(&[("a", "b")])),
            associated_data("arn", &one, &context(&[("ab", "")])),
            associated_data("arn", &one, &context(&[("a", ""), ("b", "")])),
        ];
        for (at, left) in all.iter().enumerate() {
            assert!(!all[..at].contains(left), "{at}");
        }
    }
}
