//! The slot document: the JSON that lies beside the store and says how its
//! root key can be opened.
//!
//! It holds no secret in clear. It carries a checksum, so that damage is told
//! apart from a wrong passphrase, and a check value of the root key, so that
//! the document of one store is not taken for that of another.
//!
//! Absent by design: protection from someone who can write the file putting
//! back an older one, whose removed slots would then open again. Guard the file
//! as the store itself is guarded.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::SlotError;
use super::keeper::Keeper;
use super::passphrase::{self, Argon2Cost};
use crate::canonical::parts;
use crate::hash::{constant_time_eq, sha256};
use crate::hierarchy::ROOT_KEY_BYTES;
use crate::message;

/// The longest slot document in bytes that is worth reading. Sixteen slots
/// take about ten thousand.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// The most slots of a store, which bounds how many passphrase hashes one
/// attempt to open it can cost.
pub const SLOTS_MAX: usize = 16;
/// The longest label of a slot in bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// The longest id of a store in bytes.
pub const STORE_ID_BYTES_MAX: usize = 64;
/// The most shares of a recovery key.
pub const SHARES_MAX: u8 = 32;

const VERSION: u32 = 1;
const CHECKSUM_LABEL: &[u8] = b"palisade slot document v1";

/// Bytes of a wrapped root key: salt, ciphertext and tag.
const WRAPPED_BYTES: usize = message::SALT_BYTES + ROOT_KEY_BYTES + crate::aead::TAG_BYTES;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: u32,
    pub(super) store_id: String,
    pub(super) root_key_check: Hex<32>,
    pub(super) slots: Vec<Slot>,
    checksum: Hex<32>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slot {
    pub(super) id: SlotId,
    pub(super) label: String,
    pub(super) method: Method,
    pub(super) key_check: Hex<32>,
    pub(super) wrapped_root_key: Hex<WRAPPED_BYTES>,
}

/// How a slot's key is come by.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Method {
    Passphrase {
        function: Function,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
        salt: Hex<{ passphrase::SALT_BYTES }>,
    },
    KeyFile {},
    SystemdCredential {},
    RecoveryShares {
        set: Hex<4>,
        threshold: u8,
        count: u8,
    },
    /// Everything kept elsewhere, each under its keeper's own kind.
    #[serde(untagged)]
    Kept(Keeper),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Function {
    Argon2id,
}

/// The name of a slot: eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(pub(super) Hex<4>);

impl SlotId {
    /// Reads the eight hexadecimal digits.
    pub fn parse(text: &str) -> Option<SlotId> {
        Hex::parse(text).map(SlotId)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_text())
    }
}

impl Document {
    pub(super) fn new(store_id: &str, root_key_check: [u8; 32]) -> Result<Document, SlotError> {
        check_length(
            "the length of the store id in bytes",
            store_id,
            STORE_ID_BYTES_MAX,
        )?;
        Ok(Document {
            version: VERSION,
            store_id: store_id.to_owned(),
            root_key_check: Hex(root_key_check),
            slots: Vec::new(),
            checksum: Hex([0; 32]),
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Document, SlotError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }

        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(out_of_bounds(
                "the length of the slot document in bytes",
                bytes.len(),
                DOCUMENT_BYTES_MAX,
            ));
        }
        let syntax = |error: serde_json::Error| SlotError::Syntax(error.to_string());
        // The version first: a later one may look different in every other way.
        let Version { version } = serde_json::from_slice(bytes).map_err(syntax)?;
        if version != VERSION {
            return Err(SlotError::UnknownVersion(version));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(syntax)?;
        if !constant_time_eq(&document.checksum.0, &document.checksum()) {
            return Err(SlotError::Damaged);
        }
        document.check()?;
        Ok(document)
    }

    /// The bounds of everything in the document. A document with a right
    /// checksum may still have been written by someone hostile.
    fn check(&self) -> Result<(), SlotError> {
        check_length(
            "the length of the store id in bytes",
            &self.store_id,
            STORE_ID_BYTES_MAX,
        )?;
        if !(1..=SLOTS_MAX).contains(&self.slots.len()) {
            return Err(out_of_bounds("the number of slots", self.slots.len(), SLOTS_MAX));
        }
        for (at, slot) in self.slots.iter().enumerate() {
            check_label(&slot.label)?;
            slot.method.check()?;
            if self.slots[..at].iter().any(|earlier| earlier.id == slot.id) {
                return Err(SlotError::Syntax(format!("slot {} appears twice", slot.id)));
            }
        }
        Ok(())
    }

    pub(super) fn to_json(&self) -> String {
        let mut document = self.clone();
        document.checksum = Hex(self.checksum());
        let mut text = serde_json::to_string_pretty(&document)
            .expect("a document of strings and numbers is always JSON");
        text.push('\n');
        text
    }

    fn checksum(&self) -> [u8; 32] {
        let slots: Vec<Vec<u8>> = self
            .slots
            .iter()
            .map(|slot| {
                parts(&[
                    &slot.bound_to(&self.store_id),
                    &slot.key_check.0,
                    &slot.wrapped_root_key.0,
                ])
            })
            .collect();
        let slots: Vec<&[u8]> = slots.iter().map(Vec::as_slice).collect();
        sha256(&[&parts(&[
            CHECKSUM_LABEL,
            &self.version.to_be_bytes(),
            self.store_id.as_bytes(),
            &self.root_key_check.0,
            &parts(&slots),
        ])])
    }
}

impl Slot {
    /// All of the slot that is not derived from its secret. It is bound to the
    /// wrapped root key as associated data.
    pub(super) fn bound_to(&self, store_id: &str) -> Vec<u8> {
        parts(&[
            store_id.as_bytes(),
            &self.id.0.0,
            self.label.as_bytes(),
            self.method.kind().as_bytes(),
            &self.method.parameters(),
        ])
    }
}

impl Method {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Method::Passphrase { .. } => "passphrase",
            Method::KeyFile {} => "key-file",
            Method::SystemdCredential {} => "systemd-credential",
            Method::RecoveryShares { .. } => "recovery-shares",
            Method::Kept(keeper) => keeper.kind(),
        }
    }

    fn parameters(&self) -> Vec<u8> {
        match self {
            Method::Passphrase {
                function: Function::Argon2id,
                memory_kib,
                passes,
                lanes,
                salt,
            } => parts(&[
                b"argon2id",
                &memory_kib.to_be_bytes(),
                &passes.to_be_bytes(),
                &lanes.to_be_bytes(),
                &salt.0,
            ]),
            Method::KeyFile {} | Method::SystemdCredential {} => Vec::new(),
            Method::RecoveryShares {
                set,
                threshold,
                count,
            } => parts(&[&set.0, &[*threshold], &[*count]]),
            Method::Kept(keeper) => keeper.parameters(),
        }
    }

    fn check(&self) -> Result<(), SlotError> {
        match self {
            Method::Passphrase {
                memory_kib,
                passes,
                lanes,
                ..
            } => Argon2Cost::new(*memory_kib, *passes, *lanes).map(|_| ()),
            Method::KeyFile {} | Method::SystemdCredential {} => Ok(()),
            Method::RecoveryShares { threshold, count, .. } => {
                SharePolicy::new(*threshold, *count).map(|_| ())
            }
            Method::Kept(keeper) => keeper.check(),
        }
    }
}

/// How many recovery shares there are, and how many of them open the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharePolicy {
    threshold: u8,
    count: u8,
}

impl SharePolicy {
    /// `threshold` of `count` shares. One of one is a plain recovery key.
    ///
    /// # Errors
    ///
    /// [`SlotError::OutOfBounds`] unless `1 <= threshold <= count <=`
    /// [`SHARES_MAX`].
    pub fn new(threshold: u8, count: u8) -> Result<SharePolicy, SlotError> {
        if !(1..=SHARES_MAX).contains(&count) {
            return Err(out_of_bounds(
                "the number of shares",
                count.into(),
                SHARES_MAX.into(),
            ));
        }
        if !(1..=count).contains(&threshold) {
            return Err(out_of_bounds(
                "the threshold of shares",
                threshold.into(),
                count.into(),
            ));
        }
        Ok(SharePolicy { threshold, count })
    }

    /// How many shares open the store.
    pub fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many shares there are.
    pub fn count(self) -> u8 {
        self.count
    }
}

pub(super) fn check_label(label: &str) -> Result<(), SlotError> {
    check_length("the length of the label in bytes", label, LABEL_BYTES_MAX)
}

pub(super) fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), SlotError> {
    if (1..=max).contains(&text.len()) {
        Ok(())
    } else {
        Err(out_of_bounds(what, text.len(), max))
    }
}

pub(super) fn out_of_bounds(what: &'static str, given: usize, max: usize) -> SlotError {
    SlotError::OutOfBounds {
        what,
        given: given as u64,
        min: 1,
        max: max as u64,
    }
}

/// Exactly `N` bytes, in JSON as lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> Hex<N> {
    fn to_text(self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    fn parse(text: &str) -> Option<Hex<N>> {
        if text.len() != 2 * N {
            return None;
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = *pair else { return None };
            *byte = (digit(high)? << 4) | digit(low)?;
        }
        Some(Hex(bytes))
    }
}

pub(super) fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex<N>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hex::parse(&text)
            .ok_or_else(|| D::Error::custom(format_args!("expected {} hexadecimal digits", 2 * N)))
    }
}
