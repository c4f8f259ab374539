//! The id of a key: a UUID in lower case, or `mrk-` and 32 hexadecimal digits.
//!
//! The second form is that of multi-Region keys, which are related if they have
//! one id.

use std::fmt;

use crypto::Random;
use ground::{Timestamp, id};
use serde::{Deserialize, Serialize};
use store::TextKey;

/// The id of a key, unique in its account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// What the ids of multi-Region keys begin with.
///
/// Source: KMS Developer Guide, "Multi-Region keys in AWS KMS".
const MULTI_REGION: &str = "mrk-";

/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl KeyId {
    /// Bytes in an id.
    pub const BYTES: usize = 16;

    /// A fresh id. It begins with the moment, so that the rows of keys made one
    /// after the other lie side by side in the store: under wholly random ids
    /// each would cost a page of its own (`docs/decisions/0003-door.md`). It
    /// calls itself version 4 all the same, since clients check that: Terraform
    /// takes versions 1 to 5.
    pub fn generate(now: Timestamp, random: &Random) -> KeyId {
        KeyId(id::uuid(id::led_by(now, random.bytes())))
    }

    /// A fresh id of a multi-Region key, by the same rule.
    pub fn generate_multi_region(now: Timestamp, random: &Random) -> KeyId {
        KeyId::multi_region_from_bytes(KeyId::generate(now, random).bytes())
    }

    /// Whether it is the id of a multi-Region key.
    pub fn is_multi_region(&self) -> bool {
        self.0.starts_with(MULTI_REGION)
    }

    /// The id of a multi-Region key with these bytes, as [`KeyId::bytes`] gave them.
    pub fn multi_region_from_bytes(bytes: [u8; KeyId::BYTES]) -> KeyId {
        KeyId(format!("{MULTI_REGION}{}", hex::encode(bytes)))
    }

    /// Reads a UUID in lower case, of any version, or the id of a multi-Region
    /// key; `None` for anything else.
    pub fn parse(text: &str) -> Option<KeyId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let fits = match text.strip_prefix(MULTI_REGION) {
            Some(digits) => digits.len() == 2 * KeyId::BYTES && digits.bytes().all(is_digit),
            None => id::uuid_bytes(text).is_some(),
        };
        fits.then(|| KeyId(text.to_owned()))
    }

    /// The UUID of these bytes, as [`KeyId::bytes`] gave them.
    pub fn from_bytes(bytes: [u8; KeyId::BYTES]) -> KeyId {
        let mut text = hex::encode(bytes);
        for at in HYPHENS {
            text.insert(at, '-');
        }
        KeyId(text)
    }

    /// The sixteen bytes of the id. They do not tell the id of a multi-Region
    /// key from the UUID with the same digits.
    pub fn bytes(&self) -> [u8; KeyId::BYTES] {
        if let Some(bytes) = id::uuid_bytes(&self.0) {
            return bytes;
        }
        let written = self.0.strip_prefix(MULTI_REGION).unwrap_or(&self.0);
        let mut digits = written.bytes();
        let mut digit = || digits.next().map_or(0, digit_value);
        std::array::from_fn(|_| digit() << 4 | digit())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of a hexadecimal digit in lower case, as ids are parsed from.
pub(super) fn digit_value(digit: u8) -> u8 {
    if digit.is_ascii_digit() {
        digit - b'0'
    } else {
        digit - b'a' + 10
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(text: String) -> Result<KeyId, String> {
        KeyId::parse(&text).ok_or_else(|| "not a key id".to_owned())
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.0
    }
}

impl TextKey for KeyId {
    fn as_text(&self) -> &str {
        &self.0
    }

    fn from_text(text: &str) -> Option<KeyId> {
        KeyId::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Terraform's AWS provider holds key ids against.
    #[test]
    fn ids_look_like_other_uuids_and_sort_by_their_time() {
        let random = Random::seeded(1);
        let ids = [1, 2, 1_700_000_000_000].map(|moment| KeyId::generate(Timestamp(moment), &random));
        assert!(ids.is_sorted(), "{ids:?}");
        for id in &ids {
            let text = id.as_str().as_bytes();
            assert!(text[14] == b'4' && b"89ab".contains(&text[19]), "{id}");
        }
    }

    proptest! {
        #[test]
        fn bytes_and_text_are_one(bytes in any::<[u8; 16]>()) {
            let id = KeyId::from_bytes(bytes);
            prop_assert_eq!(id.bytes(), bytes);
            prop_assert_eq!(KeyId::parse(id.as_str()), Some(id));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,40}|(mrk-)?[0-9a-f-]{31,37}") {
            if let Some(id) = KeyId::parse(&text) {
                id.bytes();
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }

    #[test]
    fn ids_of_multi_region_keys_are_ids() {
        let id = KeyId::parse("mrk-1234abcd12ab34cd56ef1234567890ab").unwrap();
        assert_eq!(id.as_str(), "mrk-1234abcd12ab34cd56ef1234567890ab");
        assert_eq!(id.bytes()[..2], [0x12, 0x34]);
        assert_eq!(KeyId::multi_region_from_bytes(id.bytes()), id);
        assert!(id.is_multi_region() && !KeyId::from_bytes(id.bytes()).is_multi_region());
        let made = KeyId::generate_multi_region(Timestamp(0), &Random::seeded(1));
        assert_eq!(KeyId::parse(made.as_str()), Some(made));
    }

    #[test]
    fn nothing_else_is_an_id() {
        for text in [
            "",
            "1234ABCD-12ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890a",
            "1234abcd012ab-34cd-56ef-1234567890ab",
            "1234abcd12ab34cd56ef1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890a",
            "mrk-1234ABCD12ab34cd56ef1234567890ab",
            "mrk-1234abcd-12ab-34cd-56ef-1234567890ab",
            "MRK-1234abcd12ab34cd56ef1234567890ab",
            "mrk-",
        ] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }
}
