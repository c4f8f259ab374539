//! Proving that the record is whole.
//!
//! Every byte of every segment is read and the chain computed anew from the
//! first record to the last. Nothing is written, so it may run beside a
//! journal that is open: what is being written at that moment looks torn, and
//! is looked at again before it is called so.

use std::path::Path;

use serde::Serialize;

use crate::SealKey;
use crate::error::{Damage, Doing, Fault, JournalError, VerifyError};
use crate::frame::{Chain, Footer, GENESIS};
use crate::head::{self, FoundHead, Head};
use crate::journal::Position;
use crate::limits::{VERIFY_RETRIES, VERIFY_RETRY_PAUSE};
use crate::recovery::{is_without_records, seal_is_right};
use crate::segment::{self, Source};
use crate::walk::{Step, Walk};

/// What was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Segments read.
    pub segments: u64,
    /// The last record; all from the first to this one are as they were written.
    pub position: Position,
    /// Bytes of log read, in plain form.
    pub bytes: u64,
    /// The chain after the last record. Published elsewhere, it proves the
    /// record against somebody who can rewrite this directory.
    pub chain: [u8; 32],
    /// The last record that the head file names.
    pub head: Position,
    /// Whether the journal had been closed when it was verified.
    pub clean: bool,
    /// Whether a key was given and all seals were right.
    pub seals_checked: bool,
    /// How the log ends.
    pub tail: Tail,
}

/// How a proven log ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tail {
    /// After a whole record.
    Whole,
    /// Within a record: the journal was killed while it wrote, or is writing
    /// now. Nobody was told that this record is safe.
    Torn {
        /// Name of the file.
        file: String,
        /// Where the record begins.
        offset: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
}

/// How far the verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Segments that were listed at the beginning.
    pub segments_total: u64,
    /// Segments read.
    pub segments: u64,
    /// Bytes read, in plain form.
    pub bytes: u64,
    /// Records proven.
    pub records: u64,
}

/// Reads the whole journal and proves that nothing was changed, removed, added
/// or put elsewhere since it was written.
///
/// `progress` is called after each megabyte or so and after each segment. With
/// a key the seals must be right; without one, only somebody who does not
/// compute the chain anew is found out.
///
/// # Errors
///
/// [`VerifyError::Damaged`] names the first bad place and what is proven up to
/// there; [`VerifyError::Empty`] if there is no journal; [`VerifyError::Io`].
pub fn verify(
    directory: &Path,
    seal_key: Option<&SealKey>,
    progress: impl FnMut(Progress),
) -> Result<Report, VerifyError> {
    verify_each(directory, seal_key, progress, |_, _| {})
}

/// As [`verify`], and hands every record to `each`, oldest first, once its own
/// bytes are proven. What follows may still be damaged.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_each(
    directory: &Path,
    seal_key: Option<&SealKey>,
    mut progress: impl FnMut(Progress),
    mut each: impl FnMut(Position, &[u8]),
) -> Result<Report, VerifyError> {
    let listed: Vec<u64> = segment::list(directory)?
        .iter()
        .map(|listed| listed.first)
        .collect();
    // The head is read after the list and before the segments: the log may
    // have grown since, but must contain this place.
    let found = head::read(directory, seal_key)?;
    let Some(FoundHead { head, .. }) = found else {
        if listed.is_empty() || listed == [1] && is_without_records(directory, 1)? {
            return Err(VerifyError::Empty(directory.to_owned()));
        }
        return Err(VerifyError::Damaged(Damage {
            file: "head".to_owned(),
            offset: 0,
            position: Position(listed[0]),
            fault: Fault::HeadMissing,
            proven: Position::START,
        }));
    };
    let mut proof = Proof {
        directory,
        seal_key,
        head,
        head_met: false,
        report: Report {
            segments: 0,
            position: Position::START,
            bytes: 0,
            chain: GENESIS,
            head: Position(head.sequence),
            clean: head.clean,
            seals_checked: seal_key.is_some(),
            tail: Tail::Whole,
        },
    };
    let mut tell = |report: &Report| {
        progress(Progress {
            segments_total: listed.len() as u64,
            segments: report.segments,
            bytes: report.bytes,
            records: report.position.0,
        });
    };
    let mut first = 1;
    let mut end_offset = 0;
    let mut visited = Vec::new();
    loop {
        visited.push(first);
        match proof.segment(first, &mut tell, &mut each)? {
            Ended::Sealed if segment::exists(directory, proof.report.position.0 + 1) => {
                first = proof.report.position.0 + 1;
            }
            Ended::Sealed => break,
            Ended::Open { offset } => {
                end_offset = offset;
                break;
            }
            Ended::Unborn => break,
        }
    }
    proof.check_end(&listed, &visited, end_offset)?;
    tell(&proof.report);
    Ok(proof.report)
}

/// How a segment ended.
enum Ended {
    /// With a footer.
    Sealed,
    /// Without one: it is the last.
    Open { offset: u64 },
    /// Before its header was whole: it is the last, and has no records.
    Unborn,
}

struct Proof<'a> {
    directory: &'a Path,
    seal_key: Option<&'a SealKey>,
    head: Head,
    head_met: bool,
    report: Report,
}

impl Proof<'_> {
    /// Proves one segment, which must continue what has been proven.
    fn segment(
        &mut self,
        first: u64,
        tell: &mut impl FnMut(&Report),
        each: &mut impl FnMut(Position, &[u8]),
    ) -> Result<Ended, JournalError> {
        let mut source = Source::open(self.directory, first)?;
        let Some((header, chain)) = source.header(first)? else {
            return if self.exists_after(first)? {
                Err(source.damage(0, first, Fault::Incomplete))
            } else {
                Ok(Ended::Unborn)
            };
        };
        if header.previous != self.report.chain {
            return Err(source.damage(0, first, Fault::Unlinked));
        }
        let mut walk = Walk::after_header(source, first, chain);
        let begun_bytes = self.report.bytes;
        let mut told = begun_bytes;
        let mut retries = 0;
        loop {
            self.meet_head(&walk, first)?;
            let sequence = walk.sequence;
            let offset = walk.offset;
            let trouble = match walk.step()? {
                Step::Record => {
                    each(Position(sequence), &walk.record()?);
                    self.report.position = Position(sequence);
                    self.report.chain = walk.chain;
                    self.report.bytes = begun_bytes + walk.offset;
                    if self.report.bytes - told >= 1024 * 1024 {
                        told = self.report.bytes;
                        tell(&self.report);
                    }
                    continue;
                }
                Step::Footer { footer, previous } => {
                    self.check_footer(&walk, first, &footer, &previous)?;
                    if !matches!(walk.step()?, Step::End) {
                        return Err(walk.source.damage(walk.offset, sequence, Fault::BeyondEnd));
                    }
                    self.meet_head(&walk, first)?;
                    self.report.chain = walk.chain;
                    self.report.bytes = begun_bytes + walk.offset;
                    self.report.segments += 1;
                    tell(&self.report);
                    return Ok(Ended::Sealed);
                }
                Step::End => None,
                Step::Torn { bytes } => Some(Ok(bytes)),
                Step::Wrong(fault) => Some(Err(fault)),
            };
            // What looks like the end may be the journal writing just now, or going on to the next segment.
            let more_follows = self.exists_after(first)?;
            let open = matches!(trouble, None | Some(Ok(_)));
            if trouble.is_some() || more_follows {
                let may_be_writing = !self.head.clean && walk.sequence > self.head.sequence;
                if may_be_writing && retries < VERIFY_RETRIES {
                    retries += 1;
                    std::thread::sleep(VERIFY_RETRY_PAUSE);
                    walk.forget();
                    continue;
                }
                if !open || more_follows && !self.only_unborn_after(first)? {
                    let fault = match trouble {
                        Some(Err(fault)) => fault,
                        None | Some(Ok(_)) => Fault::Incomplete,
                    };
                    return Err(walk.source.damage(offset, sequence, fault));
                }
            }
            if let Some(Ok(bytes)) = trouble {
                self.report.tail = Tail::Torn {
                    file: walk.source.name(),
                    offset,
                    bytes,
                };
            }
            self.report.segments += 1;
            return Ok(Ended::Open { offset });
        }
    }

    /// Where the head says the log had come, the chain must be what the head says.
    fn meet_head(&mut self, walk: &Walk, segment: u64) -> Result<(), JournalError> {
        let head = &self.head;
        if segment != head.segment || walk.offset != head.offset {
            return Ok(());
        }
        if walk.chain != head.chain || walk.sequence != head.sequence + 1 {
            return Err(walk.source.damage(head.offset, head.sequence, Fault::HeadAltered));
        }
        self.head_met = true;
        Ok(())
    }

    fn check_footer(
        &self,
        walk: &Walk,
        first: u64,
        footer: &Footer,
        previous: &Chain,
    ) -> Result<(), JournalError> {
        if footer.count != walk.sequence - first {
            return Err(walk.source.damage(walk.offset, walk.sequence, Fault::Altered));
        }
        if !seal_is_right(self.seal_key, footer, previous) {
            return Err(walk.source.damage(walk.offset, walk.sequence, Fault::SealWrong));
        }
        Ok(())
    }

    fn check_end(&self, listed: &[u64], visited: &[u64], end_offset: u64) -> Result<(), VerifyError> {
        let position = self.report.position.0;
        let damage = |file: String, fault| {
            Err(VerifyError::Damaged(Damage {
                file,
                offset: end_offset,
                position: Position(position + 1),
                fault,
                proven: Position(position),
            }))
        };
        let last = visited.last().copied().unwrap_or(1);
        let last_file = segment::name_of(&segment::plain_path(self.directory, last));
        for first in listed {
            if visited.contains(first) {
                continue;
            }
            if *first > last && is_unborn(self.directory, *first)? {
                continue;
            }
            let fault = if *first > last {
                Fault::SegmentMissing
            } else {
                Fault::Misplaced
            };
            return damage(
                segment::name_of(&segment::plain_path(self.directory, *first)),
                fault,
            );
        }
        if !self.head_met {
            return damage(last_file, Fault::Truncated);
        }
        let ends_at_head =
            self.head.segment == last && self.head.offset == end_offset && self.report.tail == Tail::Whole;
        if self.head.clean && !ends_at_head {
            // A journal that was opened meanwhile has written a newer head.
            let now = head::read(self.directory, self.seal_key)?;
            if now.is_some_and(|now| now.head.serial == self.head.serial) {
                return damage(last_file, Fault::BeyondEnd);
            }
        }
        Ok(())
    }

    fn exists_after(&self, first: u64) -> Result<bool, JournalError> {
        Ok(segment::list(self.directory)?
            .iter()
            .any(|listed| listed.first > first))
    }

    /// Whether all that follows is one segment whose beginning a crash interrupted.
    fn only_unborn_after(&self, first: u64) -> Result<bool, JournalError> {
        let later: Vec<u64> = segment::list(self.directory)?
            .iter()
            .map(|listed| listed.first)
            .filter(|later| *later > first)
            .collect();
        match later.as_slice() {
            [only] => is_unborn(self.directory, *only),
            [] | [_, _, ..] => Ok(false),
        }
    }
}

fn is_unborn(directory: &Path, first: u64) -> Result<bool, JournalError> {
    let plain = segment::plain_path(directory, first);
    let source = Source::open(directory, first)?;
    let size = source.size().doing("reading", &plain)?;
    Ok(source.path == plain && size <= crate::frame::HEADER as u64)
}
