//! What a symmetric ciphertext says of its key, so that it opens without `KeyId`.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | `01`: the version of this layout; `02` if the key is a multi-Region key |
//! | 5 | the owner's account number, big-endian |
//! | 16 | the id of the key |
//! | 32 | the id of the material |
//!
//! Absent by design: the region. A ciphertext opens in the region that made it
//! (its tag covers the key's ARN), so only that region's keys are looked at,
//! and a ciphertext of another looks like one of a key that does not exist. That
//! of a multi-Region key opens wherever there is a related key: its tag covers
//! the ARN without the region.

use ground::AccountId;

use crate::model::{KeyId, MaterialId};

/// The key and material a ciphertext names. Nothing in it is proven until the
/// ciphertext has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiphertextReference {
    /// The owner of the key.
    pub account: AccountId,
    /// The key.
    pub key: KeyId,
    /// The material of the key.
    pub material: MaterialId,
}

const LAYOUT: u8 = 1;
const LAYOUT_MULTI_REGION: u8 = 2;
const ACCOUNT_BYTES: usize = 5;

impl CiphertextReference {
    /// Bytes in a reference.
    pub const BYTES: usize = 1 + ACCOUNT_BYTES + KeyId::BYTES + MaterialId::BYTES;

    /// The reference as the envelope carries it.
    pub fn to_bytes(&self) -> [u8; CiphertextReference::BYTES] {
        let account = self.account.number().to_be_bytes();
        let layout = if self.key.is_multi_region() {
            LAYOUT_MULTI_REGION
        } else {
            LAYOUT
        };
        let parts = [
            &[layout],
            // An account number is below 10^12, which is below 2^40.
            &account[account.len() - ACCOUNT_BYTES..],
            &self.key.bytes(),
            &self.material.bytes(),
        ];
        let mut bytes = [0; CiphertextReference::BYTES];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        bytes
    }

    /// Reads a reference; `None` for anything [`CiphertextReference::to_bytes`] did not write.
    pub fn parse(bytes: &[u8]) -> Option<CiphertextReference> {
        let (&[layout], rest) = bytes.split_first_chunk::<1>()?;
        let (account, rest) = rest.split_first_chunk::<ACCOUNT_BYTES>()?;
        let (key, material) = rest.split_first_chunk::<{ KeyId::BYTES }>()?;
        let key = match layout {
            LAYOUT => KeyId::from_bytes(*key),
            LAYOUT_MULTI_REGION => KeyId::multi_region_from_bytes(*key),
            _ => return None,
        };
        let number = account.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        Some(CiphertextReference {
            account: AccountId::from_number(number)?,
            key,
            material: MaterialId::from_bytes(material.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reference_is_read_back(
            number in 0u64..1_000_000_000_000,
            key in any::<[u8; 16]>(),
            material in any::<[u8; 32]>(),
            multi_region in any::<bool>(),
        ) {
            let reference = CiphertextReference {
                account: AccountId::from_number(number).unwrap(),
                key: if multi_region { KeyId::multi_region_from_bytes(key) } else { KeyId::from_bytes(key) },
                material: MaterialId::from_bytes(material),
            };
            let bytes = reference.to_bytes();
            prop_assert!(bytes.len() <= crypto::blob::REFERENCE_BYTES_MAX);
            prop_assert_eq!(CiphertextReference::parse(&bytes), Some(reference));
            prop_assert_eq!(CiphertextReference::parse(&bytes[1..]), None);
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = CiphertextReference::parse(&bytes);
        }
    }
}
