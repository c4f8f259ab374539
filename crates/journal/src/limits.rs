//! Every bound of the journal, and where it comes from.

use std::time::Duration;

/// Largest record, in bytes.
///
/// Source: CloudTrail's limit for one event sent to CloudWatch Logs or
/// EventBridge is 256 KB, so a larger record could not be delivered.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Smallest `segment_bytes_max` a configuration may ask for. Below this the
/// headers would outweigh the records.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

/// Largest `segment_bytes_max` a configuration may ask for. Opening a reader
/// in the middle of a segment walks it from the start, so a segment must stay
/// small enough to walk.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Largest `reserve_bytes` a configuration may ask for.
pub const RESERVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Largest sequence number, offset or serial that a file may claim. No journal
/// comes near; a file that says more was not written by one, and arithmetic on
/// what is below cannot overflow.
pub(crate) const CLAIMED_MAX: u64 = i64::MAX as u64 / 2;

/// Space is taken from the file system in steps of this many bytes, so that
/// the call is paid once in about a thousand records.
pub(crate) const ALLOCATION_STEP_BYTES: u64 = 1024 * 1024;

/// Phrases of one record; more are spelled out.
pub const PHRASES_MAX: usize = 16;

/// Shortest phrase worth pointing at: a pointer takes up to eight bytes.
pub const PHRASE_BYTES_MIN: usize = 24;

/// Longest phrase that is remembered, so that all of them take 2 MiB at most.
pub const PHRASE_BYTES_MAX: usize = 2048;

/// Phrases that are remembered at a time.
pub(crate) const PHRASE_SLOTS: usize = 1024;

/// Records go to the file in writes of about this many bytes at most, so that
/// the lock on the end of the log is held for a moment only.
pub(crate) const RUN_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a sealed segment that are compressed as one unit. Reading one
/// record of a sealed segment costs the decompression of one or two blocks.
/// What a record points at lies in the block where its frame begins.
pub(crate) const BLOCK_BYTES: usize = 1024 * 1024;

/// Blocks of one compressed segment: the largest segment, with the overrun
/// that a full disk may cause, in blocks.
pub(crate) const BLOCKS_MAX: usize =
    ((SEGMENT_BYTES_MAX + RESERVE_BYTES_MAX) as usize + 2 * RECORD_BYTES_MAX) / BLOCK_BYTES + 1;

/// Level of zstd. Measured on audit records: level -3 takes half of the
/// processor time of level 1 and makes files a fifth larger, still a twelfth
/// of the records (docs/decisions/0002-journal.md).
pub(crate) const COMPRESSION_LEVEL: i32 = -3;

/// How often the head file is rewritten while records arrive. Truncation of
/// the last second before a crash cannot be told from the crash itself.
pub(crate) const HEAD_INTERVAL: Duration = Duration::from_secs(1);

/// How often a journal without space asks the file system again.
pub(crate) const SPACE_PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// A sync waits for callers that are expected to join it for at most this
/// fraction of the last sync, and at most [`GATHER_MAX`].
pub(crate) const GATHER_FRACTION: u32 = 4;
/// See [`GATHER_FRACTION`].
pub(crate) const GATHER_MAX: Duration = Duration::from_millis(1);
/// After waiting in vain, so many syncs begin at once.
pub(crate) const GATHER_REST: u32 = 15;

/// Bytes a reader takes from the file at once; it takes more for a larger record.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// How often and how long `verify` looks again at the end of a segment that a
/// running journal may be writing.
pub(crate) const VERIFY_RETRIES: u32 = 5;
/// See [`VERIFY_RETRIES`].
pub(crate) const VERIFY_RETRY_PAUSE: Duration = Duration::from_millis(10);
