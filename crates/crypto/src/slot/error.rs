//! What can go wrong with key slots, said so that an operator can act on it.
//!
//! Shares are named by their position among those given, from 1, because a
//! share that cannot be read has no other name.

use super::document::SlotId;
use super::share::SetId;

/// A refusal concerning key slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The slot document fails its own checksum: it was damaged, or edited by
    /// hand.
    #[error("the slot document is damaged: its checksum does not match its content")]
    Damaged,
    /// The same share was given twice.
    #[error("share {position} repeats share number {index} of set {set}")]
    DuplicateShare {
        /// Which of the shares given, from 1.
        position: usize,
        /// Its number in the set.
        index: u8,
        /// Its set.
        set: SetId,
    },
    /// A share belongs to another set than the others, or to no slot at all.
    #[error("share {position} belongs to set {found}, which {}", match .expected {
        Some(expected) => format!("is not set {expected}"),
        None => "no slot of this store knows".to_owned(),
    })]
    ForeignShare {
        /// Which of the shares given, from 1.
        position: usize,
        /// The set it belongs to.
        found: SetId,
        /// The set it should belong to, if there is one.
        expected: Option<SetId>,
    },
    /// A share is well formed but cannot belong with the others: it was forged.
    #[error("share {position} does not fit the other shares of its set")]
    InconsistentShare {
        /// Which of the shares given, from 1.
        position: usize,
    },
    /// A key file or credential does not hold exactly one key.
    #[error("a key file or credential holds {expected} bytes, not {given}")]
    KeyLength {
        /// The right length in bytes.
        expected: usize,
        /// The length given in bytes.
        given: usize,
    },
    /// The last recovery slot cannot go: when all else is lost, nothing could
    /// open the store again.
    #[error("slot {0} is the last one with recovery shares; issue new ones before it is removed")]
    LastRecovery(SlotId),
    /// The last slot cannot go: nothing could open the store again.
    #[error("slot {0} is the last one and cannot be removed")]
    LastSlot(SlotId),
    /// There is not enough memory to hash the passphrase.
    #[error("{memory_kib} KiB of memory for hashing the passphrase are not to be had")]
    Memory {
        /// The memory asked for.
        memory_kib: u32,
    },
    /// A share has characters missing, added or changed.
    #[error("share {position} is mistyped: its checksum does not match")]
    MistypedShare {
        /// Which of the shares given, from 1.
        position: usize,
    },
    /// The store has no slot of this kind.
    #[error("the store has no slot of kind {0}")]
    NoSlotOfKind(&'static str),
    /// The store has no such slot.
    #[error("the store has no slot {0}")]
    NoSuchSlot(String),
    /// A text is not a recovery share at all.
    #[error("share {position} is not a recovery share")]
    NotAShare {
        /// Which of the shares given, from 1.
        position: usize,
    },
    /// A number or length is outside its bounds.
    #[error("{what} is {given}, not between {min} and {max}")]
    OutOfBounds {
        /// What was measured, with its unit.
        what: &'static str,
        /// The value given.
        given: u64,
        /// The least value allowed.
        min: u64,
        /// The greatest value allowed.
        max: u64,
    },
    /// The provider failed where its contract says that it does not.
    #[error("the cryptography provider failed: {0}")]
    Provider(&'static str),
    /// A slot of this id was added since the recovery shares were issued.
    #[error("the store already has a slot {0}")]
    SlotExists(SlotId),
    /// The slot document is not what this program writes.
    #[error("the slot document cannot be read: {0}")]
    Syntax(String),
    /// The secret is right, but what it wraps was changed on purpose: the
    /// checksum of the document matches.
    #[error("slot {0} was tampered with")]
    Tampered(SlotId),
    /// More shares are needed.
    #[error("{have} shares of set {set} were given, {need} are needed")]
    TooFewShares {
        /// Their set.
        set: SetId,
        /// How many were given.
        have: usize,
        /// How many are needed.
        need: u8,
    },
    /// The slot document is of a version this program does not know.
    #[error("the slot document has version {0}, which this program does not know")]
    UnknownVersion(u32),
    /// A slot cannot be replaced by a secret of another kind.
    #[error("slot {slot} is of kind {kind}")]
    WrongKind {
        /// The slot.
        slot: SlotId,
        /// Its kind.
        kind: &'static str,
    },
    /// The root key is not the one of this store.
    #[error("the root key is not the one of this store")]
    WrongRootKey,
    /// The secret opens no slot of its kind.
    #[error("the {0} is wrong: it opens no slot of this store")]
    WrongSecret(&'static str),
}
