//! What a journal is told when it is opened, and what it found.

use std::path::PathBuf;
use std::time::Duration;

use ground::Clock;
use serde::Serialize;

use crate::error::JournalError;
use crate::limits::{RESERVE_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::{Position, SealKey};

/// How a journal is kept. [`Config::new`] gives the safe choice for every field.
pub struct Config {
    /// The directory, made if need be, that belongs to this journal alone.
    pub directory: PathBuf,
    /// A segment is sealed and compressed once it has reached this size.
    pub segment_bytes_max: u64,
    /// Longest time between a record and the sync that covers it.
    pub sync_interval: Duration,
    /// Every append waits for the disk, whatever it asked for.
    pub strict: bool,
    /// Space that is kept for the records of calls already admitted when the
    /// disk is found to be full.
    pub reserve_bytes: u64,
    /// False for a throw-away journal: nothing is synced, so that a power cut
    /// may lose records. A killed process still loses none.
    pub durable: bool,
    /// Takes space ahead of the records, so that the reserve is the journal's
    /// own. False for file systems that are slow at it or only pretend; then
    /// the reserve is a watermark of free space, which others may use up.
    pub preallocate: bool,
    /// Sealed segments are compressed by a thread in the background.
    pub compress_sealed: bool,
    /// Signs the seal of each segment and the head, so that whoever can write
    /// the files still cannot forge them.
    pub seal_key: Option<SealKey>,
    /// Dates segments and heads.
    pub clock: Clock,
}

impl Config {
    /// The safe choice for every field.
    pub fn new(directory: impl Into<PathBuf>) -> Config {
        Config {
            directory: directory.into(),
            segment_bytes_max: 64 * 1024 * 1024,
            sync_interval: Duration::from_millis(5),
            strict: false,
            reserve_bytes: 4 * 1024 * 1024,
            durable: true,
            preallocate: true,
            compress_sealed: true,
            seal_key: None,
            clock: Clock::system(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let bounded = |field, value, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(JournalError::BadConfig {
                    field,
                    value,
                    min,
                    max,
                })
            }
        };
        bounded(
            "segment_bytes_max",
            self.segment_bytes_max,
            SEGMENT_BYTES_MIN,
            SEGMENT_BYTES_MAX,
        )?;
        bounded("reserve_bytes", self.reserve_bytes, 0, RESERVE_BYTES_MAX)
    }
}

/// What was found when a journal was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The last record kept.
    pub position: Position,
    /// Segments found, the one being written included.
    pub segments: u64,
    /// Records found beyond the last head, which is all that was walked.
    pub walked: u64,
    /// Whether the journal had been closed, rather than killed.
    pub clean: bool,
    /// How the log ended.
    pub tail: TailFound,
}

/// How the log ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TailFound {
    /// After a whole record.
    Whole,
    /// Within a record that was never acknowledged; its bytes were cut away.
    Torn {
        /// How many.
        bytes: u64,
    },
    /// In bytes that no kill leaves behind, beyond the last head: a power cut
    /// on a file system that writes out of order, a broken disk, or a hand.
    /// They were moved into files ending in `.aside`, for a person to look at.
    SetAside {
        /// How many.
        bytes: u64,
        /// The first record that may be among them.
        position: Position,
    },
}
