//! What can go wrong in keeping.

use std::sync::Arc;

/// Why the store did not do what was asked.
///
/// Clonable, because one failed disk write answers many callers at once.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A stored record does not decode as its table says.
    #[error("a record of table {table} is not readable: {reason}")]
    BadRecord {
        /// The table's name.
        table: &'static str,
        /// What the decoder said; never the record's content.
        reason: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Another commit changed what this one had read; run the request again.
    #[error("another commit came first")]
    Conflict,
    /// The engine failed for a reason of its own.
    #[error("the storage engine failed")]
    Engine(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The disk has no room; nothing of the commit was kept.
    #[error("the disk is full")]
    Full,
    /// Another process, or another store of this process, has the file open.
    #[error("the store at {path} is in use by another process")]
    InUse {
        /// The store's file.
        path: String,
    },
    /// The record was written by a newer release.
    #[error("a record of table {table} has version {found}, this release knows up to {known}")]
    NewerRecord {
        /// The table's name.
        table: &'static str,
        /// The version found.
        found: u8,
        /// The newest version this release reads.
        known: u8,
    },
    /// The store was laid out by a newer release.
    #[error("the store has layout {found}, this release knows up to {known}")]
    NewerStore {
        /// The layout found.
        found: u64,
        /// The newest layout this release reads.
        known: u64,
    },
    /// Rows were to be copied into a store that has some.
    #[error("the store is not empty")]
    NotEmpty,
    /// An addition would raise a number past the greatest value it may have;
    /// nothing of the commit was kept.
    #[error("a number of table {table} would pass {most}")]
    PastMost {
        /// The table's name.
        table: &'static str,
        /// The greatest value.
        most: u64,
    },
    /// A key, record, commit or read set is beyond its limit.
    #[error("{what} of {size} is beyond the limit of {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The database does not answer; nothing of the commit was kept.
    #[error("the database is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The connection or disk failed while the commit was being made durable:
    /// it was kept whole or not at all, and which is not known.
    #[error("the outcome of the commit is not known")]
    Unsure,
    /// The record's type cannot be written as JSON.
    #[error("a record of table {table} cannot be written: {reason}")]
    Unwritable {
        /// The table's name.
        table: &'static str,
        /// What the encoder said.
        reason: String,
    },
}

impl StoreError {
    /// Wraps a failure of the engine itself.
    pub(crate) fn engine(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        StoreError::Engine(Arc::new(error))
    }
}
