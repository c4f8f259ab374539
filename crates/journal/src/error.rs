//! What can go wrong, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Position;
use crate::limits::RECORD_BYTES_MAX;

/// Why the journal could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A configured number lies outside its bounds.
    #[error("{field} of {value} is not between {min} and {max}")]
    BadConfig {
        /// The field of [`crate::Config`].
        field: &'static str,
        /// What it said.
        value: u64,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The bytes on disk are not what this journal wrote.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// An earlier write or sync failed, so nobody knows what the disk holds.
    /// Only opening the journal again can find out.
    #[error("the journal stopped after a failure: {0}")]
    Failed(String),
    /// There is no space for the record, and the reserve is used up.
    #[error("the journal has no space left")]
    Full,
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, as in "opening".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another journal, in this process or another, holds the directory.
    #[error("the journal in {} is held by another process", .0.display())]
    Locked(PathBuf),
    /// The record is larger than [`crate::limits::RECORD_BYTES_MAX`].
    #[error("a record of {bytes} bytes is larger than {RECORD_BYTES_MAX}")]
    Oversized {
        /// Its size.
        bytes: usize,
    },
}

/// One place at which the journal is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Name of the file.
    pub file: String,
    /// Where in the file. For a compressed segment, where in its plain form.
    pub offset: u64,
    /// The record that should have been there.
    pub position: Position,
    /// What is wrong.
    pub fault: Fault,
    /// The last record that is known to be as it was written.
    pub proven: Position,
}

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Bytes do not match the hash that follows them.
    Altered,
    /// Records follow the end that a clean close wrote down.
    BeyondEnd,
    /// The head file does not match its own checksum.
    HeadAltered,
    /// Records exist but the head file does not.
    HeadMissing,
    /// A record or segment ends in the middle, and something follows it.
    Incomplete,
    /// A file holds another segment than its name says.
    Misplaced,
    /// The seal was made with another key, or not at all.
    SealWrong,
    /// A segment is not there.
    SegmentMissing,
    /// The log ends before the place that the head file says was reached.
    Truncated,
    /// A segment does not continue the one before it.
    Unlinked,
    /// A compressed segment cannot be decompressed.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Altered => "the bytes do not match their hash",
            Fault::BeyondEnd => "records follow the end that a clean close wrote down",
            Fault::HeadAltered => "the head file does not match its checksum",
            Fault::HeadMissing => "the head file is missing",
            Fault::Incomplete => "a record or segment ends in the middle and something follows it",
            Fault::Misplaced => "the file holds another segment than its name says",
            Fault::SealWrong => "the seal was made with another key, or not at all",
            Fault::SegmentMissing => "a segment is missing",
            Fault::Truncated => "the log ends before the place the head file says was reached",
            Fault::Unlinked => "the segment does not continue the one before it",
            Fault::Unreadable => "the compressed segment cannot be decompressed",
        })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at byte {}, record {}: {} (records up to {} are proven)",
            self.file, self.offset, self.position.0, self.fault, self.proven.0
        )
    }
}

/// Why the record could not be proven whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first place that is not as it was written.
    #[error("{0}")]
    Damaged(Damage),
    /// There is no journal in the directory.
    #[error("there is no journal in {}", .0.display())]
    Empty(PathBuf),
    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl From<JournalError> for VerifyError {
    fn from(error: JournalError) -> VerifyError {
        match error {
            JournalError::Damaged(damage) => VerifyError::Damaged(damage),
            JournalError::Io { doing, path, source } => VerifyError::Io { doing, path, source },
            other @ (JournalError::BadConfig { .. }
            | JournalError::Closed
            | JournalError::Failed(_)
            | JournalError::Full
            | JournalError::Locked(_)
            | JournalError::Oversized { .. }) => VerifyError::Io {
                doing: "reading",
                path: PathBuf::new(),
                source: std::io::Error::other(other.to_string()),
            },
        }
    }
}

/// Attaches to an operating system's error what was being done to which file.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, JournalError>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, JournalError> {
        self.map_err(|source| JournalError::Io {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}
