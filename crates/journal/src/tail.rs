//! The end of the log, where records are added.
//!
//! One mutex guards it. The hash of a record needs the hash of the one
//! before, so appends are serial by nature; one caller writes what others have
//! left with it ([`crate::arrivals`]), in one write, which costs less than
//! handing records to a thread (docs/decisions/0002-journal.md). Syncing never
//! happens under this lock.
//!
//! Space: the file system gives blocks ahead of the end (without changing the
//! file's length), always at least `reserve_bytes` more than the records need.
//! When it gives no more, the tail says [`Space::Reserve`] and goes on into
//! those blocks; nobody else can have taken them. When they are used up too,
//! appends fail with [`JournalError::Full`] until the syncer finds space.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::arrivals::{Batch, Told};
use crate::disk;
use crate::error::JournalError;
use crate::frame::{self, CHAIN, Chain, FOOTER, FRAME_OVERHEAD, Footer, HEADER, Header};
use crate::journal::Inner;
use crate::limits::{ALLOCATION_STEP_BYTES, RECORD_BYTES_MAX, RUN_BYTES_MAX};
use crate::phrases::{Book, Record};
use crate::segment;

/// Takes so many from the front.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (taken, after) = rest.split_at(count);
    *rest = after;
    taken
}

/// How much room the journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Records are accepted.
    Ample,
    /// The disk is full and records go into the reserve: finish what was
    /// admitted, admit nothing more.
    Reserve,
    /// The reserve is used up as well; records are refused.
    Full,
}

impl Space {
    pub(crate) fn code(self) -> u8 {
        match self {
            Space::Ample => 0,
            Space::Reserve => 1,
            Space::Full => 2,
        }
    }

    pub(crate) fn of_code(code: u8) -> Space {
        match code {
            0 => Space::Ample,
            1 => Space::Reserve,
            _ => Space::Full,
        }
    }
}

/// A place between two records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// First sequence number of the segment.
    pub(crate) segment: u64,
    /// Where in the segment.
    pub(crate) offset: u64,
    /// The last record before the place.
    pub(crate) sequence: u64,
    /// The chain there.
    pub(crate) chain: Chain,
}

/// What the syncer is doing, so that an append wakes it only when that helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncer {
    /// Nothing to sync: any append wakes it.
    Idle,
    /// Waiting out the sync interval: an append that waits for the disk wakes it.
    Dozing,
    /// About to sync, once so many wait for the disk: the append that makes them so many wakes it.
    Gathering(usize),
    /// It will look again by itself.
    Busy,
}

pub(crate) struct Waiter {
    pub(crate) sequence: u64,
    /// Told once the record is on disk; dropped if it will not be.
    pub(crate) done: oneshot::Sender<Told>,
}

/// Records that are encoded behind the end and not written yet.
struct Run {
    /// The place behind the last of them.
    end: Place,
    /// Their bytes without frames.
    record_bytes: u64,
    waiting: Vec<(Waiter, bool)>,
}

/// Whoever is to be told what, once no lock is held.
#[derive(Default)]
pub(crate) struct Answers(Vec<(oneshot::Sender<Told>, Told)>);

impl Answers {
    /// Tells them. Whoever appended may have stopped waiting; the record is kept all the same.
    pub(crate) fn tell(self) {
        for (done, told) in self.0 {
            let _ = done.send(told);
        }
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) records: u64,
    pub(crate) record_bytes: u64,
    pub(crate) refused_full: u64,
    pub(crate) syncs: u64,
    pub(crate) last_sync: Duration,
    pub(crate) sync_total: Duration,
    pub(crate) segments_sealed: u64,
    pub(crate) segments_compressed: u64,
}

pub(crate) struct Tail {
    pub(crate) file: Arc<File>,
    pub(crate) place: Place,
    /// Bytes of the file that have blocks; beyond `place.offset` is what may still be written on a full disk.
    allocated: u64,
    /// Whether the file system gives blocks ahead.
    pub(crate) preallocates: bool,
    pub(crate) space: Space,
    /// A rotation that found no space is not tried again before this offset.
    rotate_at: u64,
    /// Holds the frames of a run, behind the chain they continue.
    buffer: Vec<u8>,
    /// The phrases that the segment spells out near its end.
    book: Book,
    /// Since when there is something to sync.
    pub(crate) dirty_since: Option<Instant>,
    /// Sealed segments whose last bytes are not synced yet.
    pub(crate) sealed: Vec<(u64, Arc<File>)>,
    /// Whether names in the directory are not synced yet.
    pub(crate) names_changed: bool,
    pub(crate) syncer: Syncer,
    pub(crate) waiters: VecDeque<Waiter>,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) closers: Vec<oneshot::Sender<()>>,
    /// Why the journal stopped. After a failed write or sync nobody knows what
    /// the disk holds; a later sync that succeeds would prove nothing.
    pub(crate) failed: Option<String>,
    pub(crate) counters: Counters,
}

impl Tail {
    /// Continues at `place`, where `file` ends.
    pub(crate) fn at(file: File, place: Place, preallocates: bool) -> Tail {
        Tail {
            file: Arc::new(file),
            place,
            allocated: place.offset,
            preallocates,
            space: Space::Ample,
            rotate_at: 0,
            buffer: Vec::with_capacity(4096),
            book: Book::default(),
            dirty_since: None,
            sealed: Vec::new(),
            names_changed: false,
            syncer: Syncer::Busy,
            waiters: VecDeque::new(),
            closing: false,
            closed: false,
            closers: Vec::new(),
            failed: None,
            counters: Counters::default(),
        }
    }

    /// Writes the records of a batch; they are in the operating system's hands when this returns.
    pub(crate) fn append(&mut self, inner: &Inner, batch: &mut Batch) -> Answers {
        let mut answers = Answers(Vec::with_capacity(batch.arrivals.len()));
        let mut run = self.begin_run();
        let (mut bytes, mut phrases) = (batch.bytes.as_slice(), batch.phrases.as_slice());
        for arrival in batch.arrivals.drain(..) {
            let record = Record {
                bytes: take(&mut bytes, arrival.length),
                phrases: take(&mut phrases, arrival.phrases),
            };
            // With phrases it may take less, never more.
            let size = (record.bytes.len() + FRAME_OVERHEAD) as u64;
            if !self.fits(inner, &run.end, size) || self.buffer.len() >= RUN_BYTES_MAX {
                self.write_run(inner, run, &mut answers);
                if let Err(error) = self.make_fit(inner, size) {
                    answers.0.push((arrival.done, Err(error)));
                    run = self.begin_run();
                    continue;
                }
                run = self.begin_run();
            }
            let sequence = run.end.sequence + 1;
            let begin = self.buffer.len();
            let (buffer, book) = (&mut self.buffer, &mut self.book);
            run.end.chain = frame::append_record(buffer, book, run.end.offset, sequence, &record);
            run.end.sequence = sequence;
            run.end.offset += (self.buffer.len() - begin) as u64;
            run.record_bytes += record.bytes.len() as u64;
            let waiter = Waiter {
                sequence,
                done: arrival.done,
            };
            run.waiting.push((waiter, arrival.waits));
        }
        self.write_run(inner, run, &mut answers);
        // Large records must not hold their memory for ever.
        self.buffer.shrink_to(RUN_BYTES_MAX);
        answers
    }

    fn begin_run(&mut self) -> Run {
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.place.chain);
        Run {
            end: self.place,
            record_bytes: 0,
            waiting: Vec::new(),
        }
    }

    /// Writes a run, all of it or nothing, and settles what becomes of its records.
    fn write_run(&mut self, inner: &Inner, run: Run, answers: &mut Answers) {
        if run.waiting.is_empty() {
            return;
        }
        if let Err(error) = self.file.write_all_at(&self.buffer[CHAIN..], self.place.offset) {
            self.book.clear();
            for (waiter, _) in run.waiting {
                let told = self.write_failed(inner, &error);
                answers.0.push((waiter.done, Err(told)));
            }
            return;
        }
        self.place = run.end;
        self.dirty_since.get_or_insert_with(Instant::now);
        self.counters.records += run.waiting.len() as u64;
        self.counters.record_bytes += run.record_bytes;
        inner.written.store(run.end.sequence, Ordering::Release);
        for (waiter, waits) in run.waiting {
            if waits {
                self.waiters.push_back(waiter);
            } else {
                answers.0.push((waiter.done, Ok(waiter.sequence)));
            }
        }
    }

    /// Whether a record of `size` bytes with its frame may go to `end` as things are.
    fn fits(&self, inner: &Inner, end: &Place, size: u64) -> bool {
        self.failed.is_none()
            && !self.closing
            && !self.is_segment_over(inner, end, size)
            && (!self.preallocates
                || self.space == Space::Ample
                    && end.offset + size + inner.config.reserve_bytes <= self.allocated)
    }

    /// Whether the segment is to end before a record of `size` bytes at `end`.
    fn is_segment_over(&self, inner: &Inner, end: &Place, size: u64) -> bool {
        end.offset + size + FOOTER as u64 > inner.config.segment_bytes_max
            && end.offset > HEADER as u64
            && end.offset >= self.rotate_at
            && self.space == Space::Ample
    }

    /// Begins a segment or takes space, so that a record of `size` bytes may follow.
    fn make_fit(&mut self, inner: &Inner, size: u64) -> Result<(), JournalError> {
        if let Some(why) = &self.failed {
            return Err(JournalError::Failed(why.clone()));
        }
        if self.closing {
            return Err(JournalError::Closed);
        }
        if self.is_segment_over(inner, &self.place, size) {
            self.rotate(inner)?;
        }
        self.make_room(inner, size)
    }

    /// Stops the journal: nothing is accepted any more, and nobody is told that a record is safe.
    pub(crate) fn fail(&mut self, why: String) -> JournalError {
        tracing::error!(why, "the journal stopped");
        self.waiters.clear();
        self.dirty_since = None;
        let why = self.failed.get_or_insert(why);
        JournalError::Failed(why.clone())
    }

    pub(crate) fn set_space(&mut self, inner: &Inner, space: Space) {
        if self.space != space {
            tracing::warn!(before = ?self.space, now = ?space, "the journal's space changed");
            self.space = space;
            inner.space.store(space.code(), Ordering::Release);
        }
    }

    /// Asks the file system for the reserve and a step beyond the end; says whether it gave both.
    pub(crate) fn probe(&mut self, inner: &Inner) {
        let reserve = inner.config.reserve_bytes;
        let outcome = if self.preallocates {
            self.extend(reserve)
        } else {
            match disk::available(&self.file) {
                // Twice the watermark, so that it does not change with every record.
                Ok(bytes) if bytes >= reserve.saturating_mul(2).max(RECORD_BYTES_MAX as u64) => Ok(()),
                Ok(bytes) if bytes >= reserve && self.space == Space::Ample => Ok(()),
                Ok(_) => Err(io::Error::from(ErrorKind::StorageFull)),
                // A file system that cannot tell is believed when a write fails.
                Err(_) => Ok(()),
            }
        };
        match outcome {
            Ok(()) => self.set_space(inner, Space::Ample),
            Err(_) if self.space == Space::Ample => self.set_space(inner, Space::Reserve),
            Err(_) => {}
        }
    }

    fn make_room(&mut self, inner: &Inner, size: u64) -> Result<(), JournalError> {
        let reserve = inner.config.reserve_bytes;
        if self.space == Space::Ample
            && self.preallocates
            && self.place.offset + size + reserve > self.allocated
            && let Err(error) = self.extend(size + reserve)
        {
            tracing::warn!(%error, "the journal found no space");
            self.set_space(inner, Space::Reserve);
        }
        if self.preallocates && self.place.offset + size > self.allocated {
            self.set_space(inner, Space::Full);
            self.counters.refused_full += 1;
            return Err(JournalError::Full);
        }
        Ok(())
    }

    /// Takes blocks for `bytes` beyond the end, and a step more if it can.
    fn extend(&mut self, bytes: u64) -> io::Result<()> {
        if !self.preallocates {
            return Ok(());
        }
        let wanted = self.place.offset + bytes;
        for target in [wanted + ALLOCATION_STEP_BYTES, wanted] {
            let missing = target.saturating_sub(self.allocated);
            if missing == 0 {
                return Ok(());
            }
            match disk::allocate(&self.file, self.allocated, missing) {
                Ok(()) => {
                    self.allocated = target;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    tracing::warn!(
                        "the file system gives no space ahead; the journal's reserve is a watermark"
                    );
                    self.preallocates = false;
                    return Ok(());
                }
                Err(error) if target == wanted => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Cuts away what a failed write left, and counts one record as refused. Only a lack of space is survived.
    fn write_failed(&mut self, inner: &Inner, error: &io::Error) -> JournalError {
        if !disk::is_full(error) {
            return self.fail(format!("writing a record: {error}"));
        }
        if let Err(error) = self.file.set_len(self.place.offset) {
            return self.fail(format!("cutting away half a record: {error}"));
        }
        // Cutting gives the blocks beyond the end back as well.
        self.allocated = self.place.offset;
        self.set_space(inner, Space::Full);
        self.counters.refused_full += 1;
        JournalError::Full
    }

    /// Seals the segment and begins the next. Without space for that, the segment just grows on.
    fn rotate(&mut self, inner: &Inner) -> Result<(), JournalError> {
        let next = self.place.sequence + 1;
        let now = inner.config.clock.now().0;
        let mut footer = Footer {
            next,
            count: next - self.place.segment,
            sealed_ms: now,
            seal: [0; 32],
        };
        if let Some(key) = &inner.config.seal_key {
            footer.seal = footer.seal_under(key.expose(), &self.place.chain);
        }
        let previous = footer.encode(&mut self.buffer, &self.place.chain);

        // The new file comes first: a crash in between leaves a segment without
        // records, which is dropped, and never a sealed one without successor.
        let path = segment::plain_path(&inner.config.directory, next);
        let begun = begin_segment(&path, next, now, previous).and_then(|(file, place)| {
            let mut tail = Tail::at(file, place, self.preallocates);
            tail.extend(inner.config.reserve_bytes)?;
            self.file.write_all_at(&self.buffer[CHAIN..], self.place.offset)?;
            Ok(tail)
        });
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) if disk::is_full(&error) => {
                tracing::warn!(%error, "no space to begin a segment");
                self.rotate_at = self.place.offset + ALLOCATION_STEP_BYTES;
                if let Err(error) = disk::remove(&path) {
                    return Err(self.fail(format!("removing a segment that could not be begun: {error}")));
                }
                return self.cut_footer();
            }
            Err(error) => return Err(self.fail(format!("beginning a segment: {error}"))),
        };
        let sealed_size = self.place.offset + FOOTER as u64;
        if let Err(error) = self.file.set_len(sealed_size) {
            return Err(self.fail(format!("giving back unused space: {error}")));
        }
        self.sealed.push((self.place.segment, Arc::clone(&self.file)));
        self.names_changed = true;
        self.dirty_since.get_or_insert_with(Instant::now);
        self.file = begun.file;
        self.book = begun.book;
        self.place = begun.place;
        self.allocated = begun.allocated;
        self.preallocates = begun.preallocates;
        self.rotate_at = 0;
        self.counters.segments_sealed += 1;
        Ok(())
    }

    /// Cuts away half a footer, if a rotation that found no space left one.
    fn cut_footer(&mut self) -> Result<(), JournalError> {
        let cut = match self.file.metadata() {
            Ok(metadata) if metadata.len() <= self.place.offset => return Ok(()),
            // Blocks ahead of the end are given back by this; the next append asks for them again.
            Ok(_) => self.file.set_len(self.place.offset),
            Err(error) => Err(error),
        };
        self.allocated = self.place.offset;
        cut.map_err(|error| self.fail(format!("cutting away half a footer: {error}")))
    }
}

/// Makes the file of a segment and writes its header.
pub(crate) fn begin_segment(
    path: &Path,
    first: u64,
    created_ms: i64,
    previous: Chain,
) -> io::Result<(File, Place)> {
    let file = disk::create(path)?;
    let header = Header {
        first,
        created_ms,
        previous,
    }
    .encode();
    file.write_all_at(&header, 0)?;
    let place = Place {
        segment: first,
        offset: HEADER as u64,
        sequence: first - 1,
        chain: frame::chain_at(&header, HEADER - CHAIN),
    };
    Ok((file, place))
}
