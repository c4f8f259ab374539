//! Reading the log backwards: for finding a recent record by what is in it.

use std::path::{Path, PathBuf};

use crate::Position;
use crate::error::{Fault, JournalError};
use crate::frame::{self, CHAIN, FOOTER, FRAME_HEAD, FRAME_TAIL, HEADER, Piece};
use crate::limits::READ_BYTES;
use crate::phrases::Before;
use crate::reader::Entry;
use crate::segment::{self, Source};
use crate::tail::Place;

/// Records from the newest to older ones. Each record's hash is checked.
///
/// Ends after the first error, at the first record, or once it has gone
/// through the bytes it was allowed.
pub struct NewestFirst {
    directory: PathBuf,
    /// First sequence numbers of the segments not opened yet, ascending.
    segments: Vec<u64>,
    current: Option<Current>,
    /// The record to be read next.
    sequence: u64,
    /// Bytes that may still be gone through.
    bytes_left: u64,
}

struct Current {
    source: Source,
    /// Everything from here on has been given out.
    offset: u64,
    /// Bytes of the file from `window_at`.
    window: Vec<u8>,
    window_at: u64,
    /// What a record may point at.
    before: Before,
}

impl NewestFirst {
    pub(crate) fn open(directory: &Path, place: Place, bytes_max: u64) -> Result<NewestFirst, JournalError> {
        let segments = segment::list(directory)?
            .into_iter()
            .map(|listed| listed.first)
            .filter(|first| *first < place.segment)
            .collect();
        let source = Source::open(directory, place.segment)?;
        Ok(NewestFirst {
            directory: directory.to_owned(),
            segments,
            current: Some(Current::at(source, place.offset)),
            sequence: place.sequence,
            bytes_left: bytes_max,
        })
    }

    fn step(&mut self) -> Result<Option<Entry>, JournalError> {
        while self.sequence > 0 && self.bytes_left > 0 {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => {
                    let Some(first) = self.segments.pop() else {
                        return Ok(None);
                    };
                    let source = Source::open(&self.directory, first)?;
                    let size = source.size().map_err(|error| source.error(0, first, error))?;
                    Current::at(source, size)
                }
            };
            if current.offset <= HEADER as u64 {
                continue;
            }
            let before = current.offset;
            let record = current.piece_before(self.sequence)?;
            self.bytes_left = self.bytes_left.saturating_sub(before - current.offset);
            self.current = Some(current);
            if let Some(record) = record {
                let position = Position(self.sequence);
                self.sequence -= 1;
                return Ok(Some(Entry { position, record }));
            }
        }
        Ok(None)
    }
}

impl Iterator for NewestFirst {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.sequence = 0;
        }
        step.transpose()
    }
}

impl Current {
    fn at(source: Source, offset: u64) -> Current {
        Current {
            source,
            offset,
            window: Vec::new(),
            window_at: offset,
            before: Before::default(),
        }
    }

    /// Reads the piece that ends at `offset` and moves before it; `None` if it was a footer.
    fn piece_before(&mut self, sequence: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let wrong = |this: &Current| this.source.damage(this.offset, sequence, Fault::Altered);
        let tail = self.bytes_before(FRAME_TAIL, sequence)?;
        let Some(size) = frame::size_before(tail) else {
            return Err(wrong(self));
        };
        let fits = usize::try_from(self.offset).unwrap_or(usize::MAX) >= size + HEADER;
        if !fits {
            return Err(wrong(self));
        }
        let window = self.bytes_before(CHAIN + size, sequence)?;
        // A footer carries the number of the record after it.
        let expected = if size == FOOTER && window[CHAIN..CHAIN + 4] == [0xFF; 4] {
            sequence + 1
        } else {
            sequence
        };
        let payload = || window[CHAIN + FRAME_HEAD..CHAIN + size - FRAME_TAIL].to_vec();
        let (payload, parted) = match frame::parse(window, expected) {
            Piece::Record { parted, .. } => (payload(), parted),
            Piece::Footer { .. } => {
                self.offset -= size as u64;
                return Ok(None);
            }
            Piece::Incomplete | Piece::Wrong(_) => return Err(wrong(self)),
        };
        self.offset -= size as u64;
        if !parted {
            return Ok(Some(payload));
        }
        let record = self
            .before
            .expand(&mut self.source, self.offset, sequence, &payload)?;
        Ok(Some(record))
    }

    /// The `count` bytes before `offset`.
    fn bytes_before(&mut self, count: usize, sequence: u64) -> Result<&[u8], JournalError> {
        let Some(from) = self.offset.checked_sub(count as u64) else {
            return Err(self.source.damage(self.offset, sequence, Fault::Altered));
        };
        if from < self.window_at {
            let size = count.max(READ_BYTES);
            let at = self.offset.saturating_sub(size as u64);
            self.window
                .resize(usize::try_from(self.offset - at).unwrap_or(size), 0);
            let read = self
                .source
                .read_at(at, &mut self.window)
                .map_err(|error| self.source.error(at, sequence, error))?;
            if read < self.window.len() {
                return Err(self.source.damage(at, sequence, Fault::Truncated));
            }
            self.window_at = at;
        }
        let begin = usize::try_from(from - self.window_at)
            .expect("the window is a frame and its chain, or READ_BYTES");
        Ok(&self.window[begin..begin + count])
    }
}
