//! The thread that commits: weighs a batch and writes what of it stands, one
//! transaction for each batch, and finds out what became of a write that failed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, Durability, ReadableTable as _, Table};
use tokio::sync::mpsc;

use super::error::failed;
use super::layout::{META, META_VERSION, ROWS, read_version, version_of, versioned};
use super::{Place, RedbEngine};
use crate::commit::{Commit, KeyRange, Outcome, Precondition, Write};
use crate::committer::{Queued, Upkeep, gather};
use crate::limits::DISK_RESERVE_BYTES;
use crate::{StoreError, Version};

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

impl RedbEngine {
    /// Weighs the commits one after the other and makes those that stand durable together.
    /// Whoever reads afterwards sees them.
    pub(super) fn apply(&self, batch: &[Queued]) -> Result<Vec<Outcome>, StoreError> {
        self.check_room(batch)?;
        let outcomes = self.write(batch);
        self.move_on();
        outcomes
    }

    fn write(&self, batch: &[Queued]) -> Result<Vec<Outcome>, StoreError> {
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

    /// What a batch comes to that the engine panicked over.
    fn panicked(&self) -> Result<Vec<Outcome>, StoreError> {
        match self.place {
            Place::File { .. } => self.distrust(),
            Place::Memory => self.move_on(),
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
    // So that opening after a crash need not walk the file, however long it is.
    transaction.set_quick_repair(true);
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
        let sums = match sums(&rows, &queued.commit)? {
            Ok(sums) => sums,
            Err(refused) => {
                outcomes.push(Outcome::Refused(refused));
                continue;
            }
        };
        version = version.next();
        write_commit(&mut rows, &queued.commit, &sums, version)?;
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

/// The rows that the commit's additions leave, or why it is refused for them.
fn sums<'a>(
    rows: &Table<'_, &'static [u8], &'static [u8]>,
    commit: &'a Commit,
) -> Result<Result<Vec<Sum<'a>>, StoreError>, StoreError> {
    let mut sums = Vec::with_capacity(commit.additions.len());
    for (key, addition) in &commit.additions {
        let found = rows.get(&**key).map_err(failed)?;
        let stored = found.map(|stored| versioned(stored.value())).transpose()?;
        let stored = stored.as_ref().map(|row| &*row.value);
        match addition.to(commit.leaves(key, stored)) {
            Ok(record) => sums.extend(record.map(|record| (&**key, record))),
            Err(refused) => return Ok(Err(refused)),
        }
    }
    Ok(Ok(sums))
}

/// The row of a number, and its record after an addition.
type Sum<'a> = (&'a [u8], Vec<u8>);

fn write_commit(
    rows: &mut Table<'_, &'static [u8], &'static [u8]>,
    commit: &Commit,
    sums: &[Sum<'_>],
    version: Version,
) -> Result<(), StoreError> {
    for (place, append) in commit.appends.iter().enumerate() {
        put(rows, &append.key(version, place), &append.value, version)?;
    }
    for (key, write) in &commit.writes {
        if let Write::Put(value) = write {
            put(rows, key, value, version)?;
        }
    }
    for (key, write) in &commit.writes {
        if matches!(write, Write::Delete) {
            rows.remove(&**key).map_err(failed)?;
        }
    }
    for (key, record) in sums {
        put(rows, key, record, version)?;
    }
    Ok(())
}

/// Writes a row as the commit of that version leaves it.
fn put(
    rows: &mut Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    value: &[u8],
    version: Version,
) -> Result<(), StoreError> {
    let mut reserved = rows.insert_reserve(key, 8 + value.len()).map_err(failed)?;
    let (head, body) = reserved.as_mut().split_at_mut(8);
    head.copy_from_slice(&version.0.to_be_bytes());
    body.copy_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tally::batches;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Of many commits that are made durable together, each is judged by what the
        /// ones before it left, and one that is refused leaves nothing.
        #[test]
        fn each_commit_of_a_batch_is_held_to_greatest_values(wanted in batches::batches()) {
            let engine = RedbEngine::open(Place::Memory, 1 << 20).unwrap();
            let mut rows = batches::Rows::new();
            let mut version = Version(0);
            for (at, commits) in wanted.iter().enumerate() {
                let outcomes = engine.apply(&batches::queued(at, commits)).unwrap();
                prop_assert_eq!(batches::made(&outcomes), batches::make(&mut rows, at, commits));
                let kept = engine.scan(&KeyRange::everything(), 1_000).unwrap();
                let kept: batches::Rows = kept.into_iter().map(|(key, row)| (key, row.value)).collect();
                prop_assert_eq!(&kept, &rows);
                for outcome in &outcomes {
                    if let Outcome::Applied(applied) = outcome {
                        version = version.next();
                        prop_assert_eq!(*applied, version);
                    }
                }
                prop_assert_eq!(engine.version().unwrap(), version);
            }
        }
    }
}
