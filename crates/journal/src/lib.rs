//! The append-only, hash-chained record of everything that was asked and decided.
//!
//! Records are opaque bytes. An append resolves once the record is in the
//! operating system's hands, or once it is on disk, as the caller asks; many
//! callers share one sync. Each record carries a SHA-256 over itself and the
//! one before, so that a change anywhere is a change everywhere after; a head
//! file beside the log shows when its end was cut off. [`verify`] proves a
//! whole directory, also while it is being written.
//!
//! Invariants: a record that was acknowledged is never lost to a killed
//! process, one acknowledged as [`Durability::Synced`] not to a power cut
//! either. A record is never written in part as far as any reader can see. A
//! full disk refuses records and never drops one. After a failed write or sync
//! nothing is acknowledged any more until the journal is opened again.
//!
//! Absent by design: deletion of old records, which would break the proof; an
//! index, which lives in the store and can be rebuilt from here; knowledge of
//! what a record means.

mod arrivals;
mod checksum;
mod compressed;
mod config;
mod disk;
mod error;
mod frame;
mod head;
mod journal;
pub mod limits;
mod newest_first;
mod phrases;
mod reader;
mod recovery;
mod segment;
mod syncer;
mod tail;
mod verify;
mod walk;

pub use config::{Config, Recovery, TailFound};
pub use error::{Damage, Fault, JournalError, VerifyError};
pub use journal::{Durability, Journal, Position, Stats};
pub use newest_first::NewestFirst;
pub use phrases::{Phrase, Record};
pub use reader::{Entry, Reader};
pub use tail::Space;
pub use verify::{Progress, Report, Tail, verify, verify_each};

/// The key that signs seals and heads.
pub type SealKey = ground::Secret<[u8; 32]>;
