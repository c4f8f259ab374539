//! The embedded engine: one file (or memory), one writer thread, readers that
//! never wait.
//!
//! A batch is one redb transaction, which keeps the state of redb's allocator with
//! it: so whatever ends the process, the next opens the file without walking it
//! (`docs/decisions/0007-start-after-a-crash.md`). After a failed write redb refuses to go on
//! until the file is opened again; this engine does so by itself and then looks
//! whether the batch was kept, so that its callers learn the truth. A nearly
//! full disk is noticed before redb is asked to write, so that reads go on.

mod committer;
mod error;
#[cfg(test)]
mod failing_disk;
mod file;
mod layout;
mod reading;

pub(crate) use committer::start;
pub(crate) use reading::RedbSnapshot;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase as _};

use self::error::{failed, open_failed};
use self::file::{FileStorage, open_file};
use self::layout::{META, prepare, read_version};
use crate::commit::{KeyRange, Versioned};
use crate::{StoreError, Version};

/// Where the rows are kept.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A file; `durable` says whether a commit is flushed before it is answered.
    File { path: PathBuf, durable: bool },
    /// Nowhere, once the store is closed.
    Memory,
}

pub(crate) struct RedbEngine {
    place: Place,
    page_cache_bytes: usize,
    slot: RwLock<Slot>,
    #[cfg(test)]
    faults: Arc<failing_disk::Faults>,
}

enum Slot {
    Closed,
    /// A write failed; whoever comes next opens the file again.
    Failed,
    Open(Opened),
}

/// An open file, and what is read of it.
struct Opened {
    /// The rows as the newest commit left them, kept for all reads until the next
    /// commit: to begin a transaction and find the table costs a read of one row
    /// nearly as much again. Taken away by whoever commits before anybody hears of
    /// it; made under the lock, so that none from before can come after.
    latest: RwLock<Option<Arc<RedbSnapshot>>>,
    database: Database,
}

impl Opened {
    fn new(database: Database) -> Opened {
        Opened {
            latest: RwLock::default(),
            database,
        }
    }

    fn latest(&self) -> Result<Arc<RedbSnapshot>, StoreError> {
        if let Some(latest) = &*self.latest.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(latest));
        }
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(latest) = &*latest {
            return Ok(Arc::clone(latest));
        }
        let newest = self.database.begin_read().map_err(failed)?;
        let newest = Arc::new(RedbSnapshot::of(&newest)?);
        *latest = Some(Arc::clone(&newest));
        Ok(newest)
    }
}

impl RedbEngine {
    /// Opens or creates the store.
    pub(crate) fn open(place: Place, page_cache_bytes: usize) -> Result<RedbEngine, StoreError> {
        let engine = RedbEngine {
            place,
            page_cache_bytes,
            slot: RwLock::new(Slot::Closed),
            #[cfg(test)]
            faults: Arc::default(),
        };
        let database = engine.open_database()?;
        *engine.slot.write().unwrap_or_else(PoisonError::into_inner) = Slot::Open(Opened::new(database));
        Ok(engine)
    }

    fn open_database(&self) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.page_cache_bytes);
        builder.set_repair_callback(self.on_repair());
        let opened = match &self.place {
            Place::File { path, durable } => {
                let storage = FileStorage {
                    file: FileBackend::new(open_file(path)?).map_err(|error| open_failed(error, path))?,
                    durable: *durable,
                    #[cfg(test)]
                    faults: Arc::clone(&self.faults),
                };
                builder
                    .create_with_backend(storage)
                    .map_err(|error| open_failed(error, path))
            }
            Place::Memory => builder
                .create_with_backend(InMemoryBackend::new())
                .map_err(|error| open_failed(error, Path::new("memory"))),
        };
        let database = opened?;
        prepare(&database)?;
        Ok(database)
    }

    /// What is done when the file must be walked before it can be used: it was
    /// last written by a release that did not spare the next one that, and then
    /// its process died.
    fn on_repair(&self) -> impl Fn(&mut redb::RepairSession) + 'static {
        let told = std::cell::Cell::new(false);
        #[cfg(test)]
        let faults = Arc::clone(&self.faults);
        move |_| {
            if !told.replace(true) {
                tracing::warn!(
                    "the store's file is walked to repair it, which takes seconds for every gigabyte"
                );
            }
            #[cfg(test)]
            faults.walked();
        }
    }

    /// Runs `work` on the open database, opening it again if a write had failed.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with_open(|opened| work(&opened.database))
    }

    fn with_open<T>(&self, work: impl FnOnce(&Opened) -> Result<T, StoreError>) -> Result<T, StoreError> {
        {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Slot::Closed => return Err(StoreError::Closed),
                Slot::Failed => {}
                Slot::Open(opened) => return work(opened),
            }
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*slot, Slot::Failed) {
            *slot = Slot::Open(Opened::new(self.open_database()?));
        }
        match &*slot {
            Slot::Open(opened) => work(opened),
            Slot::Closed | Slot::Failed => Err(StoreError::Closed),
        }
    }

    /// Gives the file back to whoever wants it next.
    pub(crate) fn close(&self) {
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Slot::Closed;
    }

    /// One consistent view of all rows.
    pub(crate) fn snapshot(&self) -> Result<RedbSnapshot, StoreError> {
        self.reading(RedbSnapshot::of)
    }

    /// The version of the newest commit.
    pub(crate) fn version(&self) -> Result<Version, StoreError> {
        self.reading(|transaction| read_version(&transaction.open_table(META).map_err(failed)?))
    }

    /// The row as it stands.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        self.reading_latest(|rows| rows.get(key))
    }

    /// The first `limit` rows of a range.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        self.reading_latest(|rows| rows.scan(range, limit))
    }

    /// Has whoever reads from now on see what was committed meanwhile.
    fn move_on(&self) {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Open(opened) = &*slot {
            let latest = opened.latest.write();
            drop(latest.unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    /// Has the file opened again before anything else is done with it.
    fn distrust(&self) {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*slot, Slot::Open(_)) {
            *slot = Slot::Failed;
        }
    }

    /// Whether the engine says only that something failed earlier, which it does
    /// until the file is opened again.
    fn is_latched(&self, error: &StoreError) -> bool {
        let StoreError::Engine(error) = error else {
            return false;
        };
        matches!(self.place, Place::File { .. })
            && matches!(error.downcast_ref(), Some(redb::Error::PreviousIo))
    }

    /// Reads in a transaction of its own.
    fn reading<T>(&self, work: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.twice(|| self.with(|database| work(&database.begin_read().map_err(failed)?)))
    }

    /// Reads the rows as they stand now.
    fn reading_latest<T>(
        &self,
        work: impl Fn(&RedbSnapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.twice(|| self.with_open(|opened| work(&*opened.latest()?)))
    }

    /// Runs a read, once more on a newly opened file if an earlier failure had
    /// closed this one to everybody.
    fn twice<T>(&self, read: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match read() {
            Err(error) if self.is_latched(&error) => {
                self.distrust();
                read()
            }
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::commit::{Commit, Write};
    use crate::committer::Queued;

    /// However many read meanwhile: once a commit is made, every read sees it.
    #[test]
    fn what_is_kept_for_reads_is_never_from_before_a_commit() {
        let engine = RedbEngine::open(Place::Memory, 1 << 20).unwrap();
        let done = AtomicBool::new(false);
        let newest = || {
            let row = engine.get(b"k").unwrap();
            let scanned = engine.scan(&KeyRange::everything(), 2).unwrap();
            assert!(scanned.len() <= 1);
            let scanned = scanned.into_iter().next().map(|(_, row)| row.version);
            (row.map(|row| row.version), scanned)
        };
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    let mut before = None;
                    while !done.load(Ordering::SeqCst) {
                        let (got, scanned) = newest();
                        assert!(before <= got && got <= scanned);
                        before = scanned;
                    }
                });
            }
            let mut seen = Vec::new();
            for number in 1..=500u64 {
                let mut commit = Commit::default();
                let value = number.to_be_bytes().to_vec();
                commit.writes.insert(b"k".as_slice().into(), Write::Put(value));
                let answer = tokio::sync::oneshot::channel().0;
                engine.apply(&[Queued { commit, answer }]).unwrap();
                seen.push(newest());
            }
            // First, or the others would go on for ever where this fails.
            done.store(true, Ordering::SeqCst);
            for (number, seen) in (1..).zip(seen) {
                assert_eq!(seen, (Some(Version(number)), Some(Version(number))));
            }
        });
    }
}
