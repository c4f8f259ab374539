//! Walking a segment forwards, piece by piece, checking the chain on the way.

use std::ops::Range;

use crate::error::{Fault, JournalError};
use crate::frame::{self, CHAIN, Chain, FOOTER, FRAME_HEAD, FRAME_TAIL, Footer, HEADER, Piece};
use crate::limits::READ_BYTES;
use crate::phrases::Before;
use crate::segment::Source;

/// A place in a segment from which the pieces can be checked.
pub(crate) struct Walk {
    pub(crate) source: Source,
    /// Where the next piece begins.
    pub(crate) offset: u64,
    /// The sequence number it must carry.
    pub(crate) sequence: u64,
    /// The chain it continues.
    pub(crate) chain: Chain,
    /// Bytes of the file from `offset - CHAIN`, as far as they have been read.
    window: Vec<u8>,
    /// Where in `window` the bytes at `offset - CHAIN` are.
    start: usize,
    /// The record met last.
    last: Option<Last>,
    /// What it may point at.
    before: Before,
}

struct Last {
    frame_at: u64,
    sequence: u64,
    /// Where its payload is in `window`.
    payload: Range<usize>,
    parted: bool,
}

/// What was met.
pub(crate) enum Step {
    /// A record; [`Walk::record`] has it.
    Record,
    /// The segment is sealed and ends here; `previous` is the chain before the footer.
    Footer { footer: Footer, previous: Chain },
    /// The file ends after a whole piece.
    End,
    /// The file ends within a piece, or in zeros, after this many bytes of it.
    Torn { bytes: u64 },
    /// The bytes are not what was written.
    Wrong(Fault),
}

impl Walk {
    /// Begins after the header, which must have been checked and ended with `chain`.
    pub(crate) fn after_header(source: Source, sequence: u64, chain: Chain) -> Walk {
        Walk::from(source, HEADER as u64, sequence, chain)
    }

    /// Begins at `offset`, where `chain` is known to end.
    pub(crate) fn from(source: Source, offset: u64, sequence: u64, chain: Chain) -> Walk {
        Walk {
            source,
            offset,
            sequence,
            chain,
            window: chain.to_vec(),
            start: 0,
            last: None,
            before: Before::default(),
        }
    }

    /// Looks at the next piece and moves behind it if it is whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or decompressed.
    pub(crate) fn step(&mut self) -> Result<Step, JournalError> {
        self.last = None;
        let mut ended = false;
        loop {
            match frame::parse(&self.window[self.start..], self.sequence) {
                Piece::Record { size, chain, parted } => {
                    let (frame_at, sequence) = (self.offset, self.sequence);
                    let payload = self.advance(size, chain);
                    self.sequence += 1;
                    self.last = Some(Last {
                        frame_at,
                        sequence,
                        payload,
                        parted,
                    });
                    return Ok(Step::Record);
                }
                Piece::Footer { footer, chain } => {
                    let previous = self.chain;
                    self.advance(FOOTER, chain);
                    return Ok(Step::Footer { footer, previous });
                }
                Piece::Incomplete if !ended => ended = self.fill()?,
                Piece::Incomplete => {
                    let bytes = (self.window.len() - self.start - CHAIN) as u64;
                    return Ok(if bytes == 0 {
                        Step::End
                    } else {
                        Step::Torn { bytes }
                    });
                }
                Piece::Wrong(fault) => return self.rest_of_zeros(fault),
            }
        }
    }

    /// The record that the last step met.
    ///
    /// # Errors
    ///
    /// When what it points at cannot be read or was changed.
    ///
    /// # Panics
    ///
    /// If the last step met none.
    pub(crate) fn record(&mut self) -> Result<Vec<u8>, JournalError> {
        let last = self.last.as_ref().expect("the last step met a record");
        let payload = &self.window[last.payload.clone()];
        if !last.parted {
            return Ok(payload.to_vec());
        }
        self.before
            .expand(&mut self.source, last.frame_at, last.sequence, payload)
    }

    /// Moves to the record `sequence` by the lengths alone. What is passed over is not checked.
    ///
    /// Returns false, having moved to some place before it, if the segment does not reach so far.
    pub(crate) fn seek(&mut self, sequence: u64) -> Result<bool, JournalError> {
        while self.sequence < sequence {
            let bytes = &self.window[self.start + CHAIN..];
            let size = frame::size_of(bytes, self.sequence);
            match size {
                Some(size) if size <= bytes.len() => {
                    let end = self.start + CHAIN + size;
                    let chain = frame::chain_at(&self.window, end - CHAIN);
                    self.advance(size, chain);
                    self.sequence += 1;
                }
                None if bytes.len() >= FRAME_HEAD => {
                    return Err(self.source.damage(self.offset, self.sequence, Fault::Altered));
                }
                Some(_) | None => {
                    if self.fill()? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Forgets what was read ahead, so that it is read again.
    pub(crate) fn forget(&mut self) {
        self.window.clear();
        self.window.extend_from_slice(&self.chain);
        self.start = 0;
    }

    /// Passes over `size` bytes, whose last are `chain`; returns where their payload is in `window`.
    fn advance(&mut self, size: usize, chain: Chain) -> Range<usize> {
        let begin = self.start + CHAIN;
        self.start += size;
        self.offset += size as u64;
        self.chain = chain;
        begin + FRAME_HEAD..begin + size - FRAME_TAIL
    }

    /// Reads on; true if the file has no more bytes.
    fn fill(&mut self) -> Result<bool, JournalError> {
        self.window.drain(..self.start);
        self.start = 0;
        let have = self.window.len();
        let offset = self.offset + (have - CHAIN) as u64;
        self.window.resize(have + READ_BYTES, 0);
        let read = self.source.read_at(offset, &mut self.window[have..]);
        self.window.truncate(have + *read.as_ref().unwrap_or(&0));
        let read = read.map_err(|error| self.source.error(offset, self.sequence, error))?;
        Ok(read == 0)
    }

    /// A file that a power cut left longer than its contents ends in zeros: that is torn, not altered.
    fn rest_of_zeros(&mut self, fault: Fault) -> Result<Step, JournalError> {
        let mut bytes = 0u64;
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let offset = self.offset + bytes;
            let read = self
                .source
                .read_at(offset, &mut chunk)
                .map_err(|error| self.source.error(offset, self.sequence, error))?;
            if chunk[..read].iter().any(|byte| *byte != 0) {
                return Ok(Step::Wrong(fault));
            }
            if read == 0 {
                return Ok(Step::Torn { bytes });
            }
            bytes += read as u64;
        }
    }
}
