//! Phrases: runs of bytes that records of one segment say again and again.
//!
//! An audit record repeats who called, from where, and by which policy; hashing,
//! copying and compressing that costs more than everything new in it. So the
//! caller names the runs that other records are likely to hold as well, and one
//! that an earlier record spells out is not written again: the payload points
//! at it. Such a payload is called *parted*, and its frame says so.
//!
//! ```text
//! parted   length of the record[v]  { literal length[v]  literal  { phrase: offset[v] length[v] } }*
//! ```
//!
//! `[v]` is a number of seven bits a byte, least first, the highest bit set but
//! in the last (LEB128). An offset counts from the beginning of the *block* of
//! [`BLOCK_BYTES`] in which the frame begins, and what it points at lies before
//! the frame, in frames that begin in the same block, as plain bytes: nothing
//! points at a pointer. So what a record takes to read is its block, which is
//! also the unit of compression.
//!
//! A record is proven by its own frame and by those it points into. Whoever
//! reads it checks them all ([`Before`]), so that a changed byte is noticed
//! in every record that says it.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use crate::error::{Fault, JournalError};
use crate::frame::{self, CHAIN, FRAME_HEAD, HEADER, Piece};
use crate::limits::{
    BLOCK_BYTES, PHRASE_BYTES_MAX, PHRASE_BYTES_MIN, PHRASE_SLOTS, PHRASES_MAX, RECORD_BYTES_MAX,
};
use crate::segment::Source;

/// A run of a record's bytes that other records are likely to hold as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phrase {
    /// Where it begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What it says.
    pub bytes: &'a [u8],
    /// In order, without overlap. One that is none, or more than
    /// [`PHRASES_MAX`](crate::limits::PHRASES_MAX), is spelled out.
    pub phrases: &'a [Phrase],
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Record<'a> {
    fn from(bytes: &'a T) -> Record<'a> {
        Record {
            bytes: bytes.as_ref(),
            phrases: &[],
        }
    }
}

/// Where the phrases of the newest block stand.
///
/// As many as there are slots; a phrase takes the slot of its hash from the one before.
#[derive(Default)]
pub(crate) struct Book {
    slots: Vec<Slot>,
    hashes: RandomState,
}

#[derive(Clone, Default)]
struct Slot {
    hash: u64,
    /// Offset in the segment; zero, where the header is, if there is none.
    at: u64,
    bytes: Vec<u8>,
}

/// A phrase of the record being written.
#[derive(Clone, Copy)]
struct Met {
    start: usize,
    end: usize,
    hash: u64,
    /// Where it stands already.
    at: Option<u64>,
}

impl Book {
    /// Forgets every phrase: what was written last did not stay.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.at = 0;
        }
    }

    /// Appends the payload of a record whose frame begins at `frame_at` of the
    /// segment. Returns whether it is parted; it is no longer than the record.
    pub(crate) fn append(&mut self, buffer: &mut Vec<u8>, frame_at: u64, record: &Record<'_>) -> bool {
        let bytes = record.bytes;
        let mut met = [Met {
            start: 0,
            end: 0,
            hash: 0,
            at: None,
        }; PHRASES_MAX];
        let mut count = 0;
        let mut parted = false;
        let mut free_from = 0;
        for phrase in record.phrases {
            let (start, end) = (phrase.start as usize, phrase.end as usize);
            let is_one = start >= free_from
                && end <= bytes.len()
                && end
                    .checked_sub(start)
                    .is_some_and(|size| (PHRASE_BYTES_MIN..=PHRASE_BYTES_MAX).contains(&size));
            if !is_one || count == PHRASES_MAX {
                continue;
            }
            let hash = self.hashes.hash_one(&bytes[start..end]);
            let at = self.find(hash, &bytes[start..end], frame_at);
            parted |= at.is_some();
            met[count] = Met { start, end, hash, at };
            count += 1;
            free_from = end;
        }
        let payload_at = frame_at + FRAME_HEAD as u64;
        let begin = buffer.len();
        if parted {
            push_number(buffer, bytes.len() as u64);
        }
        // Spells out `bytes[from..to]`, and remembers the phrases in it.
        let mut spelled = 0;
        let mut first = 0;
        let block = block_of(frame_at);
        for index in 0..=count {
            let pointer = met[..count].get(index).filter(|met| met.at.is_some());
            let to = match pointer {
                Some(met) => met.start,
                None if index == count => bytes.len(),
                None => continue,
            };
            if parted && (to > spelled || pointer.is_some()) {
                push_number(buffer, (to - spelled) as u64);
            }
            let literal_at = payload_at + (buffer.len() - begin) as u64;
            buffer.extend_from_slice(&bytes[spelled..to]);
            for new in &met[first..index] {
                let at = literal_at + (new.start - spelled) as u64;
                let end = at + (new.end - new.start) as u64;
                if block_of(end - 1) == block {
                    self.remember(new.hash, at, &bytes[new.start..new.end]);
                }
            }
            let Some(Met {
                end, at: Some(at), ..
            }) = pointer
            else {
                break;
            };
            push_number(buffer, at - block);
            push_number(buffer, (*end - to) as u64);
            spelled = *end;
            first = index + 1;
        }
        parted
    }

    fn find(&self, hash: u64, phrase: &[u8], frame_at: u64) -> Option<u64> {
        let slot = self.slots.get(slot_of(hash))?;
        let found =
            slot.hash == hash && slot.at != 0 && slot.at >= block_of(frame_at) && slot.bytes == phrase;
        found.then_some(slot.at)
    }

    fn remember(&mut self, hash: u64, at: u64, phrase: &[u8]) {
        if self.slots.is_empty() {
            self.slots.resize(PHRASE_SLOTS, Slot::default());
        }
        let slot = &mut self.slots[slot_of(hash)];
        slot.hash = hash;
        slot.at = at;
        slot.bytes.clear();
        slot.bytes.extend_from_slice(phrase);
    }
}

fn slot_of(hash: u64) -> usize {
    (hash % PHRASE_SLOTS as u64) as usize
}

/// Where the block begins that holds this offset.
fn block_of(offset: u64) -> u64 {
    offset - offset % BLOCK_BYTES as u64
}

/// What stands before a frame in its block, checked: what its payload may point at.
#[derive(Default)]
pub(crate) struct Before {
    /// Offset of `bytes` in the segment.
    from: u64,
    bytes: Vec<u8>,
    /// The first frame that begins in the block; only from here on a payload may point.
    frames_from: u64,
}

impl Before {
    /// The record behind the payload of the frame that begins at `frame_at` and carries `sequence`.
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] if what it points at is not there or was changed; [`JournalError::Io`].
    pub(crate) fn expand(
        &mut self,
        source: &mut Source,
        frame_at: u64,
        sequence: u64,
        payload: &[u8],
    ) -> Result<Vec<u8>, JournalError> {
        self.load(source, frame_at, sequence)?;
        let block = block_of(frame_at);
        let before = usize::try_from(frame_at - self.from).expect("a block has at most BLOCK_BYTES");
        let spelled = |offset: u64, length: usize| {
            let at = block.checked_add(offset).filter(|at| *at >= self.frames_from)?;
            let at = usize::try_from(at - self.from).ok()?;
            self.bytes[..before].get(at..at.checked_add(length)?)
        };
        expand(payload, spelled).ok_or_else(|| source.damage(frame_at, sequence, Fault::Altered))
    }

    /// Reads and checks the frames between what is here and `frame_at`.
    fn load(&mut self, source: &mut Source, frame_at: u64, sequence: u64) -> Result<(), JournalError> {
        let block = block_of(frame_at);
        let from = block.saturating_sub(CHAIN as u64);
        if self.from != from || self.bytes.is_empty() {
            self.from = from;
            self.bytes.clear();
        } else if frame_at <= self.end() {
            // Somebody who reads backwards was further on already.
            return Ok(());
        }
        // Where the last of the checked frames ends, if any is.
        let checked = (!self.bytes.is_empty()).then(|| self.end());
        let have = self.bytes.len();
        let missing = usize::try_from(frame_at - self.end()).expect("a block has at most BLOCK_BYTES");
        self.bytes.resize(have + missing, 0);
        let read = source.read_at(frame_at - missing as u64, &mut self.bytes[have..]);
        let whole = match read {
            Ok(read) => read == missing,
            Err(error) => {
                self.bytes.clear();
                return Err(source.error(frame_at, sequence, error));
            }
        };
        let first = whole.then(|| self.check(frame_at, sequence, checked)).flatten();
        let Some(first) = first else {
            self.bytes.clear();
            return Err(source.damage(frame_at, sequence, Fault::Altered));
        };
        if checked.is_none() {
            self.frames_from = first;
        }
        Ok(())
    }

    fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }

    /// Checks frames backwards from the one before `sequence`, which ends at
    /// `end`, until `checked` or the first that begins in the block. Tells where that begins.
    fn check(&self, end: u64, sequence: u64, checked: Option<u64>) -> Option<u64> {
        let stop = checked.unwrap_or_else(|| block_of(end).max(HEADER as u64));
        let (mut end, mut sequence) = (end, sequence);
        while end > stop {
            let within = usize::try_from(end - self.from).ok()?;
            // Where the block begins, its first bytes may end a frame that began before it.
            let Some(size) = frame::size_before(&self.bytes[..within]) else {
                return checked.is_none().then_some(end);
            };
            let Some(begin) = end.checked_sub(size as u64).filter(|begin| *begin >= stop) else {
                return checked.is_none().then_some(end);
            };
            sequence = sequence.checked_sub(1)?;
            let window = within.checked_sub(size + CHAIN)?;
            match frame::parse(&self.bytes[window..within], sequence) {
                Piece::Record { size: found, .. } if found == size => {}
                _ => return None,
            }
            end = begin;
        }
        Some(end)
    }
}

/// Puts a parted payload together; `None` if it is none.
fn expand<'a>(payload: &[u8], spelled: impl Fn(u64, usize) -> Option<&'a [u8]>) -> Option<Vec<u8>> {
    let mut rest = payload;
    let size = usize::try_from(take_number(&mut rest)?).ok()?;
    if size > RECORD_BYTES_MAX {
        return None;
    }
    let mut record = Vec::with_capacity(size);
    while !rest.is_empty() {
        let literal = usize::try_from(take_number(&mut rest)?).ok()?;
        let (bytes, after) = rest.split_at_checked(literal)?;
        record.extend_from_slice(bytes);
        rest = after;
        if rest.is_empty() {
            break;
        }
        let offset = take_number(&mut rest)?;
        let length = usize::try_from(take_number(&mut rest)?).ok()?;
        record.extend_from_slice(spelled(offset, length)?);
        if record.len() > size {
            return None;
        }
    }
    (record.len() == size).then_some(record)
}

fn push_number(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

/// Takes a number of at most four bytes: more than any length or offset in a block needs.
fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..4 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
