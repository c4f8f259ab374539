//! What redb and the disk say went wrong, as the store's own errors.

use std::path::Path;

use redb::DatabaseError;

use crate::StoreError;

pub(super) fn open_failed(error: DatabaseError, path: &Path) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::InUse {
            path: path.display().to_string(),
        },
        DatabaseError::Storage(error) => failed(error),
        other => StoreError::engine(other),
    }
}

pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => io_failed(error),
        other => StoreError::engine(other),
    }
}

pub(super) fn io_failed(error: std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::engine(error),
    }
}
