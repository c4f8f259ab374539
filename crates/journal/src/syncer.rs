//! The thread that brings records to the disk.
//!
//! One sync serves everybody who waits: those who come while it runs are
//! served by the next. So the rate of waiting appends is
//! the number of waiters divided by the time of a sync. Records that nobody
//! waits for are synced within `sync_interval`.
//!
//! Callers that append again as soon as they are answered would split in two
//! halves, each waiting out the other's sync, if the next sync began with the
//! first of them. So it waits a moment for as many as there were, and leaves
//! that for a while when they do not come.
//!
//! The thread also writes the head file, asks for space when there was none,
//! and owns the thread that compresses sealed segments.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::compressed;
use crate::disk;
use crate::error::{Doing, JournalError};
use crate::head::{Head, HeadFile};
use crate::journal::Inner;
use crate::limits::{GATHER_FRACTION, GATHER_MAX, GATHER_REST, HEAD_INTERVAL, SPACE_PROBE_INTERVAL};
use crate::tail::{Place, Space, Syncer, Tail, Waiter};

/// What the thread owns.
struct Keeper {
    inner: Arc<Inner>,
    head: HeadFile,
    /// The last record the head file names.
    head_sequence: u64,
    head_written: Instant,
    probed: Instant,
    to_compress: Sender<u64>,
    /// How many callers the last sync answered or left waiting.
    expected: usize,
    /// So many syncs begin without waiting for them.
    gather_rest: u32,
}

/// Starts the thread. It ends once the tail is closing, and lets go of `lock` then.
pub(crate) fn start(
    inner: Arc<Inner>,
    head: HeadFile,
    lock: File,
    to_compress: Vec<u64>,
) -> Result<JoinHandle<()>, JournalError> {
    let directory = inner.config.directory.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = channel();
    for first in to_compress {
        // The receiver is in this function still.
        let _ = sender.send(first);
    }
    let compressor = {
        let (inner, stop) = (Arc::clone(&inner), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("journal-compress".to_owned())
            .spawn(move || compress_all(&inner, &receiver, &stop))
            .doing("starting a thread for", &directory)?
    };
    let head_sequence = inner.written.load(Ordering::Acquire);
    let now = Instant::now();
    let keeper = Keeper {
        inner,
        head,
        head_sequence,
        head_written: now,
        probed: now,
        to_compress: sender,
        expected: 0,
        gather_rest: 0,
    };
    std::thread::Builder::new()
        .name("journal-sync".to_owned())
        .spawn(move || {
            keeper.run(&stop, compressor);
            drop(lock);
        })
        .doing("starting a thread for", &directory)
}

impl Keeper {
    fn run(mut self, stop: &AtomicBool, compressor: JoinHandle<()>) {
        let inner = Arc::clone(&self.inner);
        let mut tail = inner.lock();
        loop {
            let now = Instant::now();
            if tail.failed.is_some() && !tail.closing {
                tail.syncer = Syncer::Idle;
                tail = wait(&inner, tail, None);
            } else if tail.failed.is_none() && self.sync_is_due(&tail, now) {
                drop(self.gather(&inner, tail));
                self.sync();
                self.write_head_if_due();
                tail = inner.lock();
            } else if tail.closing {
                break;
            } else if self.probe_is_due(&tail, now) {
                self.probed = now;
                tail.probe(&inner);
            } else if self.head_is_due(now) {
                drop(tail);
                self.write_head_if_due();
                tail = inner.lock();
            } else {
                let pause = self.next_due(&tail).map(|due| due.saturating_duration_since(now));
                tail.syncer = if tail.dirty_since.is_some() {
                    Syncer::Dozing
                } else {
                    Syncer::Idle
                };
                tail = wait(&inner, tail, pause);
            }
        }
        drop(tail);
        stop.store(true, Ordering::Relaxed);
        let Keeper {
            inner,
            mut head,
            to_compress,
            ..
        } = self;
        drop(to_compress);
        if compressor.join().is_err() {
            tracing::error!("the journal's compressing thread panicked");
        }
        let mut tail = inner.lock();
        if tail.failed.is_none()
            && let Err(error) =
                head.write_both(head_at(&inner, &tail.place, true), inner.config.seal_key.as_ref())
        {
            // The records are safe; only the proof of their end is older than it could be.
            tail.failed = Some(format!("writing the head: {error}"));
        }
        tail.closed = true;
        for closer in tail.closers.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = closer.send(());
        }
        drop(tail);
        inner.moved.notify_waiters();
    }

    fn sync_is_due(&self, tail: &Tail, now: Instant) -> bool {
        let Some(since) = tail.dirty_since else {
            return false;
        };
        tail.closing
            || !tail.waiters.is_empty()
            || now.duration_since(since) >= self.inner.config.sync_interval
    }

    fn probe_is_due(&self, tail: &Tail, now: Instant) -> bool {
        // Where blocks cannot be taken ahead, free space is watched while records come in.
        let watched = tail.space != Space::Ample || !tail.preallocates && tail.dirty_since.is_some();
        tail.failed.is_none() && watched && now.duration_since(self.probed) >= SPACE_PROBE_INTERVAL
    }

    fn head_is_due(&self, now: Instant) -> bool {
        self.inner.synced.load(Ordering::Acquire) != self.head_sequence
            && now.duration_since(self.head_written) >= HEAD_INTERVAL
    }

    /// When there is something to do next, if nobody appends.
    fn next_due(&self, tail: &Tail) -> Option<Instant> {
        let sync = tail
            .dirty_since
            .map(|since| since + self.inner.config.sync_interval);
        let head = (self.inner.synced.load(Ordering::Acquire) != self.head_sequence)
            .then(|| self.head_written + HEAD_INTERVAL);
        let probe = (tail.space != Space::Ample).then(|| self.probed + SPACE_PROBE_INTERVAL);
        [sync, head, probe].into_iter().flatten().min()
    }

    /// Waits a moment for the callers that the last sync answered to append again.
    fn gather<'a>(&mut self, inner: &'a Inner, mut tail: MutexGuard<'a, Tail>) -> MutexGuard<'a, Tail> {
        if tail.waiters.is_empty() || tail.waiters.len() >= self.expected {
            return tail;
        }
        if self.gather_rest > 0 {
            self.gather_rest -= 1;
            return tail;
        }
        let pause = (tail.counters.last_sync / GATHER_FRACTION).min(GATHER_MAX);
        let deadline = Instant::now() + pause;
        while !tail.closing && tail.failed.is_none() && tail.waiters.len() < self.expected {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.gather_rest = GATHER_REST;
                break;
            }
            tail.syncer = Syncer::Gathering(self.expected);
            tail = wait(inner, tail, Some(left));
        }
        tail
    }

    /// Brings everything written so far to the disk and tells those who wait for it.
    fn sync(&mut self) {
        let mut tail = self.inner.lock();
        tail.syncer = Syncer::Busy;
        tail.dirty_since = None;
        let reached = tail.place.sequence;
        let file = Arc::clone(&tail.file);
        let sealed = std::mem::take(&mut tail.sealed);
        let names_changed = std::mem::take(&mut tail.names_changed);
        drop(tail);

        let began = Instant::now();
        let result = if self.inner.config.durable {
            sync_files(&self.inner, &file, &sealed, names_changed)
        } else {
            Ok(())
        };
        let took = began.elapsed();

        let mut tail = self.inner.lock();
        let told = match result {
            Ok(()) => {
                tail.counters.syncs += 1;
                tail.counters.last_sync = took;
                tail.counters.sync_total += took;
                self.inner.synced.store(reached, Ordering::Release);
                let waiting = tail.waiters.partition_point(|waiter| waiter.sequence <= reached);
                self.expected = tail.waiters.len();
                let told: Vec<Waiter> = tail.waiters.drain(..waiting).collect();
                told
            }
            Err(error) => {
                tail.fail(format!("syncing: {error}"));
                Vec::new()
            }
        };
        drop(tail);
        for waiter in told {
            // Whoever appended may have stopped waiting; the record is kept all the same.
            let _ = waiter.done.send(Ok(waiter.sequence));
        }
        self.inner.moved.notify_waiters();
        for (first, _) in sealed {
            // The compressing thread lives as long as the sender.
            let _ = self.to_compress.send(first);
        }
    }

    fn write_head_if_due(&mut self) {
        let now = Instant::now();
        if !self.head_is_due(now) {
            return;
        }
        // The head must name a place that is synced. The tail is one only
        // while nothing is dirty, so otherwise what is there is synced first.
        let tail = self.inner.lock();
        if tail.failed.is_some() {
            return;
        }
        let place = tail.place;
        let dirty = tail.dirty_since.is_some();
        drop(tail);
        if dirty {
            self.sync();
            if self.inner.synced.load(Ordering::Acquire) < place.sequence {
                return;
            }
        }
        let head = head_at(&self.inner, &place, false);
        match self.head.write(head, self.inner.config.seal_key.as_ref()) {
            Ok(()) => self.head_sequence = place.sequence,
            // It is written in place, but a file system that copies on writing may have no space even so.
            Err(error) if disk::is_full(&error) => tracing::warn!(%error, "no space to write the head"),
            Err(error) => {
                self.inner.lock().fail(format!("writing the head: {error}"));
                self.inner.moved.notify_waiters();
            }
        }
        self.head_written = now;
    }
}

fn wait<'a>(inner: &'a Inner, tail: MutexGuard<'a, Tail>, pause: Option<Duration>) -> MutexGuard<'a, Tail> {
    let mut tail = match pause {
        // A poisoned lock is noticed, and the journal stopped, by `Inner::lock`.
        Some(pause) => match inner.wake.wait_timeout(tail, pause) {
            Ok((tail, _)) => tail,
            Err(poisoned) => poisoned.into_inner().0,
        },
        None => inner
            .wake
            .wait(tail)
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    };
    tail.syncer = Syncer::Busy;
    tail
}

fn sync_files(
    inner: &Inner,
    file: &File,
    sealed: &[(u64, Arc<File>)],
    names_changed: bool,
) -> io::Result<()> {
    for (_, file) in sealed {
        file.sync_data()?;
    }
    file.sync_data()?;
    if names_changed {
        disk::sync_directory(&inner.config.directory)?;
    }
    Ok(())
}

/// The head that names `place`.
pub(crate) fn head_at(inner: &Inner, place: &Place, clean: bool) -> Head {
    Head {
        serial: 0,
        clean,
        sequence: place.sequence,
        segment: place.segment,
        offset: place.offset,
        chain: place.chain,
        written_ms: inner.config.clock.now().0,
    }
}

fn compress_all(inner: &Inner, sealed: &Receiver<u64>, stop: &AtomicBool) {
    while let Ok(first) = sealed.recv() {
        if !inner.config.compress_sealed {
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match compressed::compress(&inner.config.directory, first, inner.config.durable, stop) {
            Ok(true) => inner.lock().counters.segments_compressed += 1,
            Ok(false) => return,
            // The plain file stays and is as good; the next opening tries again.
            Err(error) => tracing::warn!(%error, first, "a sealed segment could not be compressed"),
        }
    }
}
