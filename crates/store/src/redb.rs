//! The embedded engine: one file (or memory), one writer thread, readers that
//! never wait.
//!
//! A batch is one redb transaction. After a failed write redb refuses to go on
//! until the file is opened again; this engine does so by itself and then looks
//! whether the batch was kept, so that its callers learn the truth. A nearly
//! full disk is noticed before redb is asked to write, so that reads go on.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    BackendError, Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction,
    ReadableDatabase as _, ReadableTable as _, StorageBackend, Table, TableDefinition, TableError,
};
use tokio::sync::mpsc;

use crate::commit::{Commit, KeyRange, Outcome, Precondition, Versioned, Write};
use crate::committer::{Queued, Upkeep, gather};
use crate::limits::DISK_RESERVE_BYTES;
use crate::{StoreError, Version};

/// Key to version (8 bytes, big-endian) and value.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kv");

/// The version of the newest commit, and the layout of the store.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const META_LAYOUT: &str = "layout";
const META_VERSION: &str = "version";

/// The layout this release writes.
pub(crate) const LAYOUT: u64 = 1;

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
    faults: Arc<Faults>,
}

enum Slot {
    Closed,
    /// A write failed; whoever comes next opens the file again.
    Failed,
    Open(Database),
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
        *engine.slot.write().unwrap_or_else(PoisonError::into_inner) = Slot::Open(database);
        Ok(engine)
    }

    fn open_database(&self) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.page_cache_bytes);
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

    /// Runs `work` on the open database, opening it again if a write had failed.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Slot::Closed => return Err(StoreError::Closed),
                Slot::Failed => {}
                Slot::Open(database) => return work(database),
            }
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*slot, Slot::Failed) {
            *slot = Slot::Open(self.open_database()?);
        }
        match &*slot {
            Slot::Open(database) => work(database),
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
        self.reading(|transaction| get_row(&transaction.open_table(ROWS).map_err(failed)?, key))
    }

    /// The first `limit` rows of a range.
    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        self.reading(|transaction| scan_rows(&transaction.open_table(ROWS).map_err(failed)?, range, limit))
    }

    /// Weighs the commits one after the other and makes those that stand durable together.
    fn apply(&self, batch: &[Queued]) -> Result<Vec<Outcome>, StoreError> {
        self.check_room(batch)?;
        let mut tried = self.with(|database| Ok(attempt(database, batch)))?;
        if matches!(&tried, Attempt::Failed { error, reached: None } if self.is_latched(error)) {
            // A read had failed before: nothing of this batch was tried yet.
            self.distrust();
            tried = self.with(|database| Ok(attempt(database, batch)))?;
        }
        let (error, reached) = match tried {
            Attempt::Done(outcomes) => return Ok(outcomes),
            Attempt::Failed { error, reached } => (error, reached),
        };
        if let Place::Memory = self.place {
            // There is nothing to open again: what memory holds is all there is.
            return Err(error);
        }
        tracing::warn!(%error, "a write to the store's file failed; opening it again");
        self.distrust();
        match reached {
            None => Err(error),
            Some((last, outcomes)) => match self.version() {
                Ok(version) if version >= last => Ok(outcomes),
                Ok(_) => Err(error),
                Err(_) => Err(StoreError::Unsure),
            },
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

    /// Runs a read, once more on a newly opened file if an earlier failure had
    /// closed this one to everybody.
    fn reading<T>(&self, work: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let read = || self.with(|database| work(&database.begin_read().map_err(failed)?));
        match read() {
            Err(error) if self.is_latched(&error) => {
                self.distrust();
                read()
            }
            outcome => outcome,
        }
    }

    /// What a batch comes to that the engine panicked over.
    fn panicked(&self) -> Result<Vec<Outcome>, StoreError> {
        match self.place {
            Place::File { .. } => self.distrust(),
            Place::Memory => {}
        }
        Err(StoreError::Unsure)
    }

    /// Refuses a batch for which the disk may not have room.
    fn check_room(&self, batch: &[Queued]) -> Result<(), StoreError> {
        let Place::File { path, .. } = &self.place else {
            return Ok(());
        };
        let bytes: usize = batch.iter().map(|queued| queued.commit.bytes()).sum();
        // A changed row rewrites its page and the pages above it.
        let wanted = DISK_RESERVE_BYTES.saturating_add(4 * bytes as u64);
        let free = self.free_bytes(path);
        if free.is_some_and(|free| free < wanted) {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    /// Bytes free for this user; `None` if the file system does not say.
    fn free_bytes(&self, path: &Path) -> Option<u64> {
        #[cfg(test)]
        if let Some(free) = self.faults.free() {
            return Some(free);
        }
        let status = rustix::fs::statvfs(path).ok()?;
        Some(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

/// Starts the thread that commits, until the queue closes.
pub(crate) fn start(
    engine: Arc<RedbEngine>,
    mut queue: mpsc::Receiver<Queued>,
    upkeep: Upkeep,
) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("store-commit".into())
        .spawn(move || {
            while let Some(first) = queue.blocking_recv() {
                let batch = gather(first, &mut queue);
                // A defect of the engine must not end the committing of this process.
                let applied = catch_unwind(AssertUnwindSafe(|| engine.apply(&batch)));
                match applied.unwrap_or_else(|_| engine.panicked()) {
                    Ok(outcomes) => upkeep.settle(batch, &outcomes, true),
                    Err(error) => {
                        upkeep.fail(batch, &error);
                        if matches!(error, StoreError::Unsure) {
                            // If the batch was kept after all, nobody published its changes.
                            upkeep.feed.reset(upkeep.feed.newest());
                        }
                    }
                }
            }
            engine.close();
            upkeep.feed.close();
        })
        .map_err(StoreError::engine)
}

/// What became of writing one batch.
enum Attempt {
    Done(Vec<Outcome>),
    /// The engine must be opened again. `reached` is there if the batch got as
    /// far as its commit, so that it may have been kept.
    Failed {
        error: StoreError,
        reached: Option<(Version, Vec<Outcome>)>,
    },
}

fn attempt(database: &Database, batch: &[Queued]) -> Attempt {
    let early = |error| Attempt::Failed { error, reached: None };
    let mut transaction = match database.begin_write() {
        Ok(transaction) => transaction,
        Err(error) => return early(failed(error)),
    };
    if let Err(error) = transaction.set_durability(Durability::Immediate) {
        return early(failed(error));
    }
    let (version, outcomes) = match write_batch(&transaction, batch) {
        Ok(written) => written,
        Err(error) => return early(error),
    };
    if !outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Applied(_)))
    {
        return match transaction.abort() {
            Ok(()) => Attempt::Done(outcomes),
            Err(error) => early(failed(error)),
        };
    }
    match transaction.commit() {
        Ok(()) => Attempt::Done(outcomes),
        Err(error) => Attempt::Failed {
            error: failed(error),
            reached: Some((version, outcomes)),
        },
    }
}

/// Writes into the transaction what of the batch stands, and tells the newest version.
fn write_batch(
    transaction: &redb::WriteTransaction,
    batch: &[Queued],
) -> Result<(Version, Vec<Outcome>), StoreError> {
    let mut rows = transaction.open_table(ROWS).map_err(failed)?;
    let mut meta = transaction.open_table(META).map_err(failed)?;
    let mut version = read_version(&meta)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for queued in batch {
        if !stands(&rows, &queued.commit)? {
            outcomes.push(Outcome::Conflict);
            continue;
        }
        version = version.next();
        write_commit(&mut rows, &queued.commit, version)?;
        outcomes.push(Outcome::Applied(version));
    }
    meta.insert(META_VERSION, version.0).map_err(failed)?;
    Ok((version, outcomes))
}

fn stands(rows: &Table<'_, &'static [u8], &'static [u8]>, commit: &Commit) -> Result<bool, StoreError> {
    for precondition in &commit.preconditions {
        let holds = match precondition {
            Precondition::Key { key, expected } => {
                let found = rows.get(&**key).map_err(failed)?;
                let version = found.map(|stored| version_of(stored.value())).transpose()?;
                version == *expected
            }
            Precondition::Range { range, count, newest } => range_stands(rows, range, *count, *newest)?,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn range_stands(
    rows: &Table<'_, &'static [u8], &'static [u8]>,
    range: &KeyRange,
    count: u64,
    newest: Version,
) -> Result<bool, StoreError> {
    if range.is_empty() {
        return Ok(count == 0);
    }
    let mut found = 0;
    for row in rows
        .range(range.start.as_slice()..range.end.as_slice())
        .map_err(failed)?
    {
        let (_, stored) = row.map_err(failed)?;
        found += 1;
        if found > count || version_of(stored.value())? > newest {
            return Ok(false);
        }
    }
    Ok(found == count)
}

fn write_commit(
    rows: &mut Table<'_, &'static [u8], &'static [u8]>,
    commit: &Commit,
    version: Version,
) -> Result<(), StoreError> {
    let mut put = |key: &[u8], value: &[u8]| {
        let mut reserved = rows.insert_reserve(key, 8 + value.len()).map_err(failed)?;
        let (head, body) = reserved.as_mut().split_at_mut(8);
        head.copy_from_slice(&version.0.to_be_bytes());
        body.copy_from_slice(value);
        Ok::<(), StoreError>(())
    };
    for (place, append) in commit.appends.iter().enumerate() {
        put(&append.key(version, place), &append.value)?;
    }
    for (key, write) in &commit.writes {
        if let Write::Put(value) = write {
            put(key, value)?;
        }
    }
    for (key, write) in &commit.writes {
        if matches!(write, Write::Delete) {
            rows.remove(&**key).map_err(failed)?;
        }
    }
    Ok(())
}

/// One consistent view of all rows, for as long as it lives.
pub(crate) struct RedbSnapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    version: Version,
}

impl RedbSnapshot {
    fn of(transaction: &ReadTransaction) -> Result<RedbSnapshot, StoreError> {
        let meta = transaction.open_table(META).map_err(failed)?;
        Ok(RedbSnapshot {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            version: read_version(&meta)?,
        })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        get_row(&self.rows, key)
    }

    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        scan_rows(&self.rows, range, limit)
    }
}

fn get_row(
    rows: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Versioned>, StoreError> {
    let found = rows.get(key).map_err(failed)?;
    found.map(|stored| versioned(stored.value())).transpose()
}

fn scan_rows(
    rows: &ReadOnlyTable<&'static [u8], &'static [u8]>,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let range = range.start.as_slice()..range.end.as_slice();
    for row in rows.range(range).map_err(failed)?.take(limit) {
        let (key, stored) = row.map_err(failed)?;
        found.push((key.value().to_vec(), versioned(stored.value())?));
    }
    Ok(found)
}

fn version_of(stored: &[u8]) -> Result<Version, StoreError> {
    let head = stored.first_chunk::<8>().ok_or_else(torn)?;
    Ok(Version(u64::from_be_bytes(*head)))
}

fn versioned(stored: &[u8]) -> Result<Versioned, StoreError> {
    let (head, value) = stored.split_first_chunk::<8>().ok_or_else(torn)?;
    Ok(Versioned {
        version: Version(u64::from_be_bytes(*head)),
        value: value.to_vec(),
    })
}

fn torn() -> StoreError {
    StoreError::engine(redb::StorageError::Corrupted(
        "a row is shorter than its version".into(),
    ))
}

fn read_version(meta: &impl redb::ReadableTable<&'static str, u64>) -> Result<Version, StoreError> {
    let found = meta.get(META_VERSION).map_err(failed)?;
    Ok(Version(found.map_or(0, |version| version.value())))
}

/// Creates the tables of a new store and refuses one laid out by a newer release.
fn prepare(database: &Database) -> Result<(), StoreError> {
    let reading = database.begin_read().map_err(failed)?;
    let found = match reading.open_table(META) {
        Ok(meta) => meta
            .get(META_LAYOUT)
            .map_err(failed)?
            .map(|layout| layout.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(failed(error)),
    };
    match found {
        Some(LAYOUT) => Ok(()),
        Some(found) => Err(StoreError::NewerStore { found, known: LAYOUT }),
        None => {
            let writing = database.begin_write().map_err(failed)?;
            writing.open_table(ROWS).map_err(failed)?;
            writing
                .open_table(META)
                .map_err(failed)?
                .insert(META_LAYOUT, LAYOUT)
                .map_err(failed)?;
            writing.commit().map_err(failed)
        }
    }
}

/// Opens the file for its owner alone, with the directories above it.
#[expect(clippy::disallowed_methods, reason = "the store meets the disk")]
fn open_file(path: &Path) -> Result<std::fs::File, StoreError> {
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

fn open_failed(error: DatabaseError, path: &Path) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::InUse {
            path: path.display().to_string(),
        },
        DatabaseError::Storage(error) => failed(error),
        other => StoreError::engine(other),
    }
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => io_failed(error),
        other => StoreError::engine(other),
    }
}

fn io_failed(error: std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::engine(error),
    }
}

/// The file, flushed only if commits are to outlive the machine's power.
///
/// Without flushes a commit still reaches the operating system before it is
/// answered, so it survives the end of the process.
#[derive(Debug)]
struct FileStorage {
    file: FileBackend,
    durable: bool,
    #[cfg(test)]
    faults: Arc<Faults>,
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

/// A disk that fills up when a test asks for it.
#[cfg(test)]
#[derive(Debug)]
struct Faults {
    /// What the file system says is free; negative to ask the real one.
    free: std::sync::atomic::AtomicI64,
    /// Pages that may still be written for the first time. As on a real disk,
    /// what has its place can be overwritten when there is room for nothing new.
    pages_left: std::sync::atomic::AtomicI64,
    reads_fail: std::sync::atomic::AtomicBool,
    written: std::sync::Mutex<std::collections::BTreeSet<u64>>,
}

#[cfg(test)]
impl Default for Faults {
    fn default() -> Faults {
        Faults {
            free: (-1).into(),
            pages_left: i64::MAX.into(),
            reads_fail: false.into(),
            written: std::sync::Mutex::default(),
        }
    }
}

#[cfg(test)]
impl Faults {
    fn check(&self, offset: u64, length: usize) -> std::io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let mut written = self.written.lock().unwrap();
        for page in offset / 4_096..(offset + length as u64).div_ceil(4_096) {
            if written.contains(&page) {
                continue;
            }
            if self.pages_left.load(SeqCst) < i64::MAX && self.pages_left.fetch_sub(1, SeqCst) <= 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
            }
            written.insert(page);
        }
        Ok(())
    }

    fn check_read(&self) -> std::io::Result<()> {
        if self.reads_fail.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(std::io::Error::other("the disk does not answer"));
        }
        Ok(())
    }

    fn free(&self) -> Option<u64> {
        u64::try_from(self.free.load(std::sync::atomic::Ordering::SeqCst)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    fn put(key: &str, value: &[u8]) -> Vec<Queued> {
        let mut commit = Commit::default();
        commit
            .writes
            .insert(key.as_bytes().into(), Write::Put(value.to_vec()));
        vec![Queued {
            commit,
            answer: tokio::sync::oneshot::channel().0,
        }]
    }

    fn engine(directory: &tempfile::TempDir) -> RedbEngine {
        let place = Place::File {
            path: directory.path().join("store.redb"),
            durable: true,
        };
        RedbEngine::open(place, 1 << 20).unwrap()
    }

    /// Wherever in a commit the disk fills up: nothing acknowledged is lost,
    /// nothing refused is kept, reads go on, and commits do when there is room.
    #[test]
    fn a_disk_that_fills_up_in_the_middle_of_a_commit() {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(&directory);
        let mut acknowledged = Vec::new();
        let mut refused = 0;
        for round in 0..60i64 {
            let key = format!("k{round:03}");
            engine.faults.pages_left.store(round % 12, SeqCst);
            let outcome = engine.apply(&put(&key, &[7; 40_000]));
            engine.faults.pages_left.store(i64::MAX, SeqCst);
            match outcome {
                Ok(outcomes) => {
                    assert!(matches!(outcomes[..], [Outcome::Applied(_)]));
                    acknowledged.push(key);
                }
                // The file could not even be opened again to look.
                Err(StoreError::Unsure) => {
                    if engine.get(key.as_bytes()).unwrap().is_some() {
                        acknowledged.push(key);
                    }
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Full), "{error:?}");
                    refused += 1;
                }
            }
            let rows = engine.scan(&KeyRange::everything(), 1_000).unwrap();
            let kept: Vec<_> = rows
                .into_iter()
                .map(|(key, _)| String::from_utf8(key).unwrap())
                .collect();
            assert_eq!(kept, acknowledged, "after round {round}");
        }
        assert!(refused > 5 && acknowledged.len() > 10, "{refused} refused");
        drop(engine);
        let again = self::engine(&directory);
        assert_eq!(
            again.scan(&KeyRange::everything(), 1_000).unwrap().len(),
            acknowledged.len()
        );
    }

    /// While the disk stays full even the opening after a failure may fail;
    /// the store still recovers when room returns.
    #[test]
    fn a_disk_that_stays_full_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(&directory);
        engine.apply(&put("before", b"1")).unwrap();
        engine.faults.pages_left.store(0, SeqCst);
        for _ in 0..3 {
            let error = engine.apply(&put("during", &[7; 100_000])).unwrap_err();
            assert!(
                matches!(error, StoreError::Full | StoreError::Unsure),
                "{error:?}"
            );
        }
        engine.faults.pages_left.store(i64::MAX, SeqCst);
        engine.apply(&put("after", b"2")).unwrap();
        assert!(engine.get(b"before").unwrap().is_some());
        assert!(engine.get(b"after").unwrap().is_some());
        assert!(engine.get(b"during").unwrap().is_none());
    }

    /// A read that failed closes the engine to everybody until it is opened again.
    #[test]
    fn a_read_that_failed_costs_itself_alone() {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(&directory);
        for number in 0..200 {
            engine.apply(&put(&format!("k{number}"), &[7; 20_000])).unwrap();
        }
        for commit_next in [false, true] {
            engine.faults.reads_fail.store(true, SeqCst);
            let failed = engine.scan(&KeyRange::everything(), 1_000).unwrap_err();
            engine.faults.reads_fail.store(false, SeqCst);
            assert!(matches!(failed, StoreError::Engine(_)), "{failed:?}");
            if commit_next {
                engine.apply(&put("k0", b"new")).unwrap();
            }
            assert_eq!(engine.scan(&KeyRange::everything(), 1_000).unwrap().len(), 200);
        }
    }

    #[test]
    fn a_nearly_full_disk_refuses_before_anything_breaks() {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(&directory);
        engine.faults.free.store(1_000, SeqCst);
        assert!(matches!(engine.apply(&put("k", b"1")), Err(StoreError::Full)));
        engine.faults.free.store(-1, SeqCst);
        engine.apply(&put("k", b"1")).unwrap();
        assert_eq!(engine.version().unwrap(), Version(1));
    }

    #[test]
    fn a_file_of_a_newer_layout_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(&directory);
        engine
            .with(|database| {
                let transaction = database.begin_write().map_err(failed)?;
                transaction
                    .open_table(META)
                    .map_err(failed)?
                    .insert(META_LAYOUT, LAYOUT + 1)
                    .map_err(failed)?;
                transaction.commit().map_err(failed)
            })
            .unwrap();
        drop(engine);
        let place = Place::File {
            path: directory.path().join("store.redb"),
            durable: true,
        };
        assert!(matches!(
            RedbEngine::open(place, 1 << 20),
            Err(StoreError::NewerStore { .. })
        ));
    }
}
