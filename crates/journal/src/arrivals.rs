//! Records on their way to the end of the log.
//!
//! A write costs the operating system about as much for one record as for
//! fifty. So callers leave their records here, and one of them writes for
//! all: whoever finds nobody writing takes what has arrived, again until
//! nothing has. The others wait to be told, which costs them no thread.
//!
//! Invariant: whatever arrives is written by somebody. Whoever leaves a record
//! tries to write afterwards ([`Arrived`] does when it is dropped); if
//! somebody else is writing just then, they look again once they are done.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::sync::oneshot;

use crate::error::JournalError;
use crate::journal::Inner;
use crate::limits::PHRASES_MAX;
use crate::phrases::{Phrase, Record};

/// What becomes of a record: its sequence number, or why it was refused.
pub(crate) type Told = Result<u64, JournalError>;

/// One record among the bytes of a batch.
pub(crate) struct Arrival {
    /// Bytes of the record.
    pub(crate) length: usize,
    /// How many phrases it has.
    pub(crate) phrases: usize,
    /// Whether it waits for the disk.
    pub(crate) waits: bool,
    pub(crate) done: oneshot::Sender<Told>,
}

/// Records in the order of their arrival.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) phrases: Vec<Phrase>,
    pub(crate) arrivals: Vec<Arrival>,
}

/// Memory that a batch keeps once it is written.
const KEPT_BYTES: usize = 256 * 1024;

impl Batch {
    /// Makes room for the next records.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.phrases.clear();
        self.arrivals.clear();
    }
}

/// Where callers leave records.
#[derive(Default)]
pub(crate) struct Arrivals {
    waiting: Mutex<Batch>,
    /// Held by whoever writes, with what they are writing.
    writing: Mutex<Batch>,
}

/// Writes what has arrived once it is dropped, even if the caller gave up waiting.
pub(crate) struct Arrived<'a>(&'a Inner);

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        self.0.arrivals.write_if_nobody_does(self.0);
    }
}

impl Arrivals {
    /// Leaves a record. The receiver is told once it is written, or on the disk if it waits for that.
    pub(crate) fn leave<'a>(
        inner: &'a Inner,
        record: &Record<'_>,
        waits: bool,
    ) -> (Arrived<'a>, oneshot::Receiver<Told>) {
        let (done, receiver) = oneshot::channel();
        let mut waiting = inner.arrivals.waiting();
        let phrases = &record.phrases[..record.phrases.len().min(PHRASES_MAX)];
        waiting.bytes.extend_from_slice(record.bytes);
        waiting.phrases.extend_from_slice(phrases);
        waiting.arrivals.push(Arrival {
            length: record.bytes.len(),
            phrases: phrases.len(),
            waits,
            done,
        });
        drop(waiting);
        (Arrived(inner), receiver)
    }

    /// Writes what has arrived, unless somebody else is at it: they will see it.
    fn write_if_nobody_does(&self, inner: &Inner) {
        loop {
            let writing = match self.writing.try_lock() {
                Ok(writing) => writing,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            self.write(inner, writing);
            // What came after the last look, while the lock was still held, is ours too.
            if self.waiting().arrivals.is_empty() {
                return;
            }
        }
    }

    /// Writes everything that arrived before this call, blocking while somebody else writes.
    pub(crate) fn write_all(&self, inner: &Inner) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(inner, writing);
    }

    fn write(&self, inner: &Inner, mut writing: MutexGuard<'_, Batch>) {
        let batch = &mut *writing;
        loop {
            std::mem::swap(batch, &mut self.waiting());
            if batch.arrivals.is_empty() {
                return;
            }
            inner.write(batch);
            batch.clear();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
