//! Reading the log forwards while it is being written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Position;
use crate::error::{Fault, JournalError};
use crate::journal::{Inner, wait_beyond};
use crate::segment::{self, Source};
use crate::walk::{Step, Walk};

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its position.
    pub position: Position,
    /// Its bytes, as they were appended.
    pub record: Vec<u8>,
}

/// A cursor over the records on disk, oldest first. Each record's hash is checked.
pub struct Reader {
    inner: Arc<Inner>,
    /// The last record read.
    after: u64,
    /// Opened when the first record is there to be read.
    walk: Option<Walk>,
    /// The last record that was complete when the walk last read the file; what it holds beyond may be half written.
    complete: u64,
}

impl Reader {
    pub(crate) fn open(inner: Arc<Inner>, after: Position) -> Result<Reader, JournalError> {
        let reader = Reader {
            inner,
            after: after.0,
            walk: None,
            complete: after.0,
        };
        let written = reader.inner.written.load(Ordering::Acquire);
        if after.0 > written {
            // Whoever remembers a later position has seen records that are gone.
            let source_name = Path::new("head");
            return Err(JournalError::Damaged(crate::Damage {
                file: segment::name_of(source_name),
                offset: 0,
                position: Position(written + 1),
                fault: Fault::Truncated,
                proven: Position(written),
            }));
        }
        Ok(reader)
    }

    /// The last record read.
    pub fn position(&self) -> Position {
        Position(self.after)
    }

    /// The next record, or `None` while there is none on disk. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] and [`JournalError::Io`]; the reader stays where it is.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, JournalError> {
        let sequence = self.after + 1;
        if sequence > self.complete {
            let synced = self.inner.synced.load(Ordering::Acquire);
            if sequence > synced {
                return Ok(None);
            }
            self.complete = synced;
            if let Some(walk) = &mut self.walk {
                walk.forget();
            }
        }
        let mut walk = match self.walk.take() {
            Some(walk) => walk,
            None => open_before(&self.inner.config.directory, sequence)?,
        };
        let entry = loop {
            let fault = match walk.step()? {
                Step::Record => {
                    break Entry {
                        position: Position(sequence),
                        record: walk.record()?,
                    };
                }
                Step::Footer { .. } => {
                    walk = open_next(&self.inner.config.directory, &walk)?;
                    continue;
                }
                Step::End | Step::Torn { .. } => Fault::Truncated,
                Step::Wrong(fault) => fault,
            };
            return Err(walk.source.damage(walk.offset, sequence, fault));
        };
        self.after = sequence;
        self.walk = Some(walk);
        Ok(Some(entry))
    }

    /// Waits until [`Reader::next_entry`] has something to give.
    ///
    /// # Errors
    ///
    /// [`JournalError::Closed`] and [`JournalError::Failed`] if it never will.
    pub async fn wait(&self) -> Result<(), JournalError> {
        wait_beyond(&self.inner, Position(self.after)).await.map(|_| ())
    }
}

/// Opens the segment that holds the record and moves to it.
fn open_before(directory: &Path, sequence: u64) -> Result<Walk, JournalError> {
    let segments = segment::list(directory)?;
    let index = segments.partition_point(|listed| listed.first <= sequence);
    let first = index
        .checked_sub(1)
        .map_or(sequence, |index| segments[index].first);
    let mut source = Source::open(directory, first)?;
    let Some((_, chain)) = source.header(first)? else {
        return Err(source.damage(0, first, Fault::Truncated));
    };
    let mut walk = Walk::after_header(source, first, chain);
    if !walk.seek(sequence)? {
        return Err(walk.source.damage(walk.offset, walk.sequence, Fault::Truncated));
    }
    Ok(walk)
}

/// Opens the segment that continues the one that `sealed` has come to the end of.
fn open_next(directory: &Path, sealed: &Walk) -> Result<Walk, JournalError> {
    let first = sealed.sequence;
    let mut source = Source::open(directory, first)?;
    match source.header(first)? {
        None => Err(source.damage(0, first, Fault::Truncated)),
        Some((header, _)) if header.previous != sealed.chain => Err(source.damage(0, first, Fault::Unlinked)),
        Some((_, chain)) => Ok(Walk::after_header(source, first, chain)),
    }
}
