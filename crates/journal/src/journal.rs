//! The journal as the rest of the house sees it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};

use crate::arrivals::{Arrivals, Batch, Told};
use crate::config::{Config, Recovery};
use crate::error::JournalError;
use crate::limits::RECORD_BYTES_MAX;
use crate::newest_first::NewestFirst;
use crate::phrases::Record;
use crate::reader::Reader;
use crate::recovery;
use crate::syncer;
use crate::tail::{Space, Syncer, Tail, Waiter};

/// The number of a record: 1 for the first, and one more for each after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first record.
    pub const START: Position = Position(0);
}

/// What must be true of a record before its append resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The operating system has it: the process may be killed.
    Written,
    /// The disk has it: the power may be cut.
    Synced,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Records appended since the journal was opened.
    pub records: u64,
    /// Bytes in them.
    pub record_bytes: u64,
    /// Appends refused because there was no space.
    pub refused_full: u64,
    /// Syncs since the journal was opened.
    pub syncs: u64,
    /// How long the last sync took.
    pub last_sync: Duration,
    /// How long all syncs together took.
    pub sync_total: Duration,
    /// Appends waiting for the disk now.
    pub waiting: u64,
    /// Segments sealed since the journal was opened.
    pub segments_sealed: u64,
    /// Segments compressed since the journal was opened.
    pub segments_compressed: u64,
    /// The last record written.
    pub written: Position,
    /// The last record synced.
    pub synced: Position,
    /// How much room there is.
    pub space: Space,
    /// Whether the journal stopped after a failure.
    pub failed: bool,
}

/// What the journal and its threads and readers share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) arrivals: Arrivals,
    tail: Mutex<Tail>,
    /// Wakes the syncer.
    pub(crate) wake: Condvar,
    /// The last record in the operating system's hands.
    pub(crate) written: AtomicU64,
    /// The last record on disk.
    pub(crate) synced: AtomicU64,
    /// [`Space`], by code.
    pub(crate) space: AtomicU8,
    /// Tells readers that `synced` moved, or that the journal ended.
    pub(crate) moved: Notify,
}

impl Inner {
    /// Writes a batch, wakes the syncer if that helps, and tells those who do not wait for the disk.
    pub(crate) fn write(&self, batch: &mut Batch) {
        let mut tail = self.lock();
        let waiting = tail.waiters.len();
        let answers = tail.append(self, batch);
        let waits = tail.waiters.len() > waiting;
        let wakes = match tail.syncer {
            Syncer::Idle => tail.dirty_since.is_some(),
            Syncer::Dozing => waits,
            Syncer::Gathering(expected) => tail.waiters.len() >= expected,
            Syncer::Busy => false,
        };
        if wakes {
            tail.syncer = Syncer::Busy;
        }
        let failed = tail.failed.is_some();
        drop(tail);
        if wakes {
            self.wake.notify_one();
        }
        if failed {
            // Readers that wait learn of it too.
            self.moved.notify_waiters();
        }
        answers.tell();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Tail> {
        match self.tail.lock() {
            Ok(tail) => tail,
            Err(poisoned) => {
                let mut tail = poisoned.into_inner();
                if tail.failed.is_none() {
                    tail.fail("a thread panicked while it held the tail".to_owned());
                }
                tail
            }
        }
    }
}

/// An append-only log of records.
///
/// Records are opaque bytes of at most [`crate::limits::RECORD_BYTES_MAX`].
/// Dropping the journal closes it, which waits for the disk; prefer
/// [`Journal::close`] where blocking matters.
pub struct Journal {
    inner: Arc<Inner>,
    syncer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in `config.directory`, making an empty one if there is none.
    ///
    /// Blocks on the disk. What was written since the last head is walked and
    /// checked, about a second's worth of records; the rest is for
    /// [`crate::verify`].
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] if records that the head names are not there
    /// or not whole: nothing is repaired then, the directory is evidence. Move
    /// it away to go on. [`JournalError::Locked`] if another process has it;
    /// [`JournalError::BadConfig`]; [`JournalError::Full`] if there is no space
    /// for the first bytes; [`JournalError::Io`].
    pub fn open(config: Config) -> Result<(Journal, Recovery), JournalError> {
        config.check()?;
        let found = recovery::recover(&config)?;
        let sequence = found.tail.place.sequence;
        let inner = Arc::new(Inner {
            config,
            arrivals: Arrivals::default(),
            tail: Mutex::new(found.tail),
            wake: Condvar::new(),
            written: AtomicU64::new(sequence),
            synced: AtomicU64::new(sequence),
            space: AtomicU8::new(Space::Ample.code()),
            moved: Notify::new(),
        });
        // Takes the reserve, or says at once that there is none.
        inner.lock().probe(&inner);
        let syncer = syncer::start(Arc::clone(&inner), found.head, found.lock, found.to_compress)?;
        Ok((
            Journal {
                inner,
                syncer: Mutex::new(Some(syncer)),
            },
            found.recovery,
        ))
    }

    /// Adds a record and tells its position. Runs of bytes that it names as
    /// phrases are written once in a megabyte.
    ///
    /// Callers that are ready at the same time share one write, which one of
    /// them does on its own thread; it takes microseconds. A future that is
    /// dropped while it waits leaves its record in the log.
    ///
    /// # Errors
    ///
    /// [`JournalError::Full`], after which nothing of the record is in the log
    /// and later appends may succeed; [`JournalError::Oversized`];
    /// [`JournalError::Closed`]; [`JournalError::Failed`] once the disk has
    /// failed: then the record may or may not be in the log, and the journal
    /// answers nothing else until it is opened again.
    pub async fn append<'a>(
        &self,
        record: impl Into<Record<'a>>,
        durability: Durability,
    ) -> Result<Position, JournalError> {
        let record = record.into();
        check_size(record.bytes)?;
        let (arrived, told) = Arrivals::leave(&self.inner, &record, self.waits(durability));
        // Whoever is ready leaves their record as well before one of us writes.
        tokio::task::yield_now().await;
        drop(arrived);
        self.position(told.await)
    }

    /// As [`Journal::append`], blocking the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`].
    ///
    /// # Panics
    ///
    /// Within an asynchronous task.
    pub fn append_blocking<'a>(
        &self,
        record: impl Into<Record<'a>>,
        durability: Durability,
    ) -> Result<Position, JournalError> {
        let record = record.into();
        check_size(record.bytes)?;
        let (arrived, told) = Arrivals::leave(&self.inner, &record, self.waits(durability));
        drop(arrived);
        self.position(told.blocking_recv())
    }

    /// Waits until everything written so far is on disk; tells the last record that is.
    ///
    /// # Errors
    ///
    /// [`JournalError::Closed`] and [`JournalError::Failed`].
    pub async fn sync(&self) -> Result<Position, JournalError> {
        self.inner.arrivals.write_all(&self.inner);
        let told = {
            let mut tail = self.inner.lock();
            if let Some(why) = &tail.failed {
                return Err(JournalError::Failed(why.clone()));
            }
            let sequence = tail.place.sequence;
            if self.inner.synced.load(Ordering::Acquire) >= sequence {
                return Ok(Position(sequence));
            }
            let (done, receiver) = oneshot::channel();
            tail.waiters.push_back(Waiter { sequence, done });
            // What is not synced is either dirty or in the hands of a sync that
            // runs now; marking it dirty makes the syncer look once more.
            tail.dirty_since.get_or_insert_with(std::time::Instant::now);
            receiver
        };
        self.inner.wake.notify_one();
        self.position(told.await)
    }

    /// Reads records after `after`, oldest first.
    ///
    /// A reader sees only what is on disk, so that no power cut can take back
    /// what it acted upon. Its calls block on the disk.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] and [`JournalError::Io`].
    pub fn reader(&self, after: Position) -> Result<Reader, JournalError> {
        Reader::open(Arc::clone(&self.inner), after)
    }

    /// Reads records from the newest written one back to older ones, through
    /// at most `bytes_max` bytes of log.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`].
    pub fn newest_first(&self, bytes_max: u64) -> Result<NewestFirst, JournalError> {
        let place = self.inner.lock().place;
        NewestFirst::open(&self.inner.config.directory, place, bytes_max)
    }

    /// Waits until a record after `position` is on disk, and tells the last one that is.
    ///
    /// Readers are woken once per sync, not once per record.
    ///
    /// # Errors
    ///
    /// [`JournalError::Closed`] and [`JournalError::Failed`] if there will be none.
    pub async fn wait_beyond(&self, position: Position) -> Result<Position, JournalError> {
        wait_beyond(&self.inner, position).await
    }

    /// The last record in the operating system's hands.
    pub fn written(&self) -> Position {
        Position(self.inner.written.load(Ordering::Acquire))
    }

    /// The last record on disk.
    pub fn synced(&self) -> Position {
        Position(self.inner.synced.load(Ordering::Acquire))
    }

    /// How much room there is. To be asked before a call is admitted: unless
    /// the answer is [`Space::Ample`], the call's record may find no place.
    pub fn space(&self) -> Space {
        Space::of_code(self.inner.space.load(Ordering::Acquire))
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> Stats {
        let tail = self.inner.lock();
        Stats {
            records: tail.counters.records,
            record_bytes: tail.counters.record_bytes,
            refused_full: tail.counters.refused_full,
            syncs: tail.counters.syncs,
            last_sync: tail.counters.last_sync,
            sync_total: tail.counters.sync_total,
            waiting: tail.waiters.len() as u64,
            segments_sealed: tail.counters.segments_sealed,
            segments_compressed: tail.counters.segments_compressed,
            written: Position(tail.place.sequence),
            synced: Position(self.inner.synced.load(Ordering::Acquire)),
            space: tail.space,
            failed: tail.failed.is_some(),
        }
    }

    /// Refuses further records, brings all others to the disk and writes down where the log ends.
    ///
    /// # Errors
    ///
    /// [`JournalError::Failed`] if the disk failed now or before.
    pub async fn close(&self) -> Result<(), JournalError> {
        self.inner.arrivals.write_all(&self.inner);
        let closed = {
            let mut tail = self.inner.lock();
            tail.closing = true;
            if tail.closed {
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                tail.closers.push(sender);
                Some(receiver)
            }
        };
        self.inner.wake.notify_one();
        if let Some(closed) = closed {
            // An error means that the syncer ended without an answer; the tail says why.
            let _ = closed.await;
        }
        match &self.inner.lock().failed {
            Some(why) => Err(JournalError::Failed(why.clone())),
            None => Ok(()),
        }
    }

    fn waits(&self, durability: Durability) -> bool {
        durability == Durability::Synced || self.inner.config.strict
    }

    fn position(&self, told: Result<Told, oneshot::error::RecvError>) -> Result<Position, JournalError> {
        if let Ok(told) = told {
            return told.map(Position);
        }
        let tail = self.inner.lock();
        let why = tail
            .failed
            .clone()
            .unwrap_or_else(|| "the syncing thread ended".to_owned());
        Err(JournalError::Failed(why))
    }
}

fn check_size(record: &[u8]) -> Result<(), JournalError> {
    if record.len() > RECORD_BYTES_MAX {
        return Err(JournalError::Oversized { bytes: record.len() });
    }
    Ok(())
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.inner.arrivals.write_all(&self.inner);
        self.inner.lock().closing = true;
        self.inner.wake.notify_one();
        let syncer = self.syncer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(syncer) = syncer
            && syncer.join().is_err()
        {
            tracing::error!("the journal's syncing thread panicked");
        }
    }
}

pub(crate) async fn wait_beyond(inner: &Inner, position: Position) -> Result<Position, JournalError> {
    loop {
        let moved = inner.moved.notified();
        tokio::pin!(moved);
        // Listening begins before looking, or a sync in between would be missed.
        moved.as_mut().enable();
        let synced = Position(inner.synced.load(Ordering::Acquire));
        if synced > position {
            return Ok(synced);
        }
        {
            let tail = inner.lock();
            if let Some(why) = &tail.failed {
                return Err(JournalError::Failed(why.clone()));
            }
            if tail.closed {
                return Err(JournalError::Closed);
            }
        }
        moved.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::Arrival;

    /// A disk that fails cannot be had for a test, so the failure is reported from within.
    #[test]
    fn after_a_failure_nothing_is_acknowledged_until_the_journal_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let config = || Config {
            sync_interval: Duration::from_secs(3600),
            ..Config::new(directory.path())
        };
        let (journal, _) = Journal::open(config()).unwrap();
        journal.append_blocking(b"synced", Durability::Synced).unwrap();
        journal.append_blocking(b"written", Durability::Written).unwrap();

        // Somebody waits for the disk when it fails.
        let mut tail = journal.inner.lock();
        let (done, receiver) = oneshot::channel();
        let mut batch = Batch {
            bytes: b"doubtful".to_vec(),
            phrases: Vec::new(),
            arrivals: vec![Arrival {
                length: 8,
                phrases: 0,
                waits: true,
                done,
            }],
        };
        tail.append(&journal.inner, &mut batch).tell();
        tail.fail("syncing: input/output error".to_owned());
        drop(tail);
        let told = journal.position(receiver.blocking_recv());
        assert!(matches!(told, Err(JournalError::Failed(_))));

        for durability in [Durability::Written, Durability::Synced] {
            let refused = journal.append_blocking(b"later", durability);
            assert!(matches!(refused, Err(JournalError::Failed(why)) if why.contains("input/output")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(
            runtime.block_on(journal.wait_beyond(Position(1))),
            Err(JournalError::Failed(_))
        ));
        assert!(matches!(
            runtime.block_on(journal.sync()),
            Err(JournalError::Failed(_))
        ));
        assert!(matches!(
            runtime.block_on(journal.close()),
            Err(JournalError::Failed(_))
        ));
        assert!(journal.stats().failed);
        assert_eq!(journal.synced(), Position(1));
        drop(journal);

        let (journal, recovery) = Journal::open(config()).unwrap();
        assert!(!recovery.clean);
        assert_eq!(recovery.position, Position(3));
        journal.append_blocking(b"again", Durability::Synced).unwrap();
    }
}
