//! The file: for its owner alone, and flushed if commits are to outlive a loss
//! of power.

use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::error::io_failed;
use crate::StoreError;

/// Opens the file for its owner alone, with the directories above it.
#[expect(clippy::disallowed_methods, reason = "the store meets the disk")]
pub(super) fn open_file(path: &Path) -> Result<std::fs::File, StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    std::fs::create_dir_all(directory).map_err(io_failed)?;
    let new = !path.exists();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io_failed)?;
    if new {
        // Without this a crash of the machine may lose the file's name with all that is in it.
        std::fs::File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io_failed)?;
    }
    Ok(file)
}

/// The file, flushed only if commits are to outlive the machine's power.
///
/// Without flushes a commit still reaches the operating system before it is
/// answered, so it survives the end of the process.
#[derive(Debug)]
pub(super) struct FileStorage {
    pub(super) file: FileBackend,
    pub(super) durable: bool,
    #[cfg(test)]
    pub(super) faults: std::sync::Arc<super::failing_disk::Faults>,
}

impl StorageBackend for FileStorage {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        #[cfg(test)]
        self.faults.check_read()?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        if !self.durable {
            return Ok(());
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        #[cfg(test)]
        self.faults.check(offset, data.len())?;
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
