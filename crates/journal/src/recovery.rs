//! Opening a journal: finding its end after whatever happened to it.
//!
//! What the head file names was on disk and must be there; if it is not, the
//! journal is damaged and nothing is touched. Beyond the head there may be
//! more records, up to the place where a crash interrupted the writing: the
//! log is walked from the head to there and cut.
//!
//! A killed process leaves a whole record or the beginning of one. A power cut
//! may leave worse, so anything else beyond the head is moved aside rather
//! than refused: it is kept for a person to judge, and reported.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::compressed;
use crate::config::{Config, Recovery, TailFound};
use crate::disk;
use crate::error::{Damage, Doing, Fault, JournalError};
use crate::frame::{CHAIN, Chain, Footer, GENESIS, HEADER};
use crate::head::{self, FoundHead, Head, HeadFile};
use crate::limits::READ_BYTES;
use crate::segment::{self, Listed, Source, name_of, plain_path, read_full};
use crate::tail::{Place, Tail, begin_segment};
use crate::walk::{Step, Walk};
use crate::{Position, SealKey};

pub(crate) struct Found {
    pub(crate) tail: Tail,
    pub(crate) head: HeadFile,
    pub(crate) lock: File,
    /// Sealed segments that are still plain.
    pub(crate) to_compress: Vec<u64>,
    pub(crate) recovery: Recovery,
}

/// How the walk from the head ended.
struct End {
    place: Place,
    /// The last segment is sealed, so that a new one must be begun.
    sealed: bool,
    walked: u64,
    tail: TailFound,
}

pub(crate) fn recover(config: &Config) -> Result<Found, JournalError> {
    let directory = &config.directory;
    disk::create_directory(directory)?;
    let lock = disk::lock(directory)?;
    segment::remove_unfinished(directory)?;
    let segments = settled(directory)?;
    let found = head::read(directory, config.seal_key.as_ref())?;

    let (end, serial, clean) = match found {
        None => {
            expect_unborn(directory, &segments)?;
            let place = Place {
                segment: 0,
                offset: 0,
                sequence: 0,
                chain: GENESIS,
            };
            (
                End {
                    place,
                    sealed: true,
                    walked: 0,
                    tail: TailFound::Whole,
                },
                0,
                true,
            )
        }
        Some(FoundHead { head, .. }) => {
            let end = if head.clean {
                expect_end_at(directory, &head, &segments)?
            } else {
                walk_from(config, &head, &segments)?
            };
            (end, head.serial, head.clean)
        }
    };
    let (file, place) = if end.sealed {
        begin_next(config, &end.place)?
    } else {
        continue_at(config, &end.place)?
    };
    let head = Head {
        serial,
        clean: false,
        sequence: place.sequence,
        segment: place.segment,
        offset: place.offset,
        chain: place.chain,
        written_ms: config.clock.now().0,
    };
    let head = HeadFile::begin(directory, serial, config.durable, head, config.seal_key.as_ref())?;
    let segments = segment::list(directory)?;
    let recovery = Recovery {
        position: Position(place.sequence),
        segments: segments.len() as u64,
        walked: end.walked,
        clean,
        tail: end.tail,
    };
    let to_compress = segments
        .iter()
        .filter(|listed| listed.plain && listed.first != place.segment)
        .map(|listed| listed.first)
        .collect();
    Ok(Found {
        tail: Tail::at(file, place, config.preallocate),
        head,
        lock,
        to_compress,
        recovery,
    })
}

/// The segments, none of them in two forms any more.
fn settled(directory: &Path) -> Result<Vec<Listed>, JournalError> {
    let mut segments = segment::list(directory)?;
    for listed in &mut segments {
        if !(listed.plain && listed.compressed) {
            continue;
        }
        // A crash came between finishing the compressed file and removing the plain one.
        let mut compressed = Source::open_compressed(directory, listed.first)?;
        let mut plain = Source::open(directory, listed.first)?;
        let same = compressed::same_bytes(&mut plain, &mut compressed)
            .map_err(|error| compressed.error(0, listed.first, error))?;
        if !same {
            return Err(compressed.damage(0, listed.first, Fault::Altered));
        }
        disk::remove(&plain.path).doing("removing", &plain.path)?;
        listed.plain = false;
    }
    Ok(segments)
}

/// Without a head there may be nothing, or the first header of a journal whose making was interrupted.
fn expect_unborn(directory: &Path, segments: &[Listed]) -> Result<(), JournalError> {
    match segments {
        [] => Ok(()),
        [only] if only.first == 1 && only.plain && is_without_records(directory, 1)? => {
            let path = plain_path(directory, 1);
            disk::remove(&path).doing("removing", &path)
        }
        [first, ..] => Err(JournalError::Damaged(Damage {
            file: "head".to_owned(),
            offset: 0,
            position: Position(first.first),
            fault: Fault::HeadMissing,
            proven: Position::START,
        })),
    }
}

/// Whether a segment is no more than a header, whole or not.
pub(crate) fn is_without_records(directory: &Path, first: u64) -> Result<bool, JournalError> {
    let source = Source::open(directory, first)?;
    let size = source.size().doing("reading", &source.path)?;
    Ok(size <= HEADER as u64)
}

/// Opens the segment the head names and checks that its chain is there.
pub(crate) fn open_at_head(directory: &Path, head: &Head) -> Result<Walk, JournalError> {
    let mut source = match Source::open(directory, head.segment) {
        Err(JournalError::Damaged(damage)) if damage.fault == Fault::SegmentMissing => {
            return Err(JournalError::Damaged(Damage {
                fault: Fault::Truncated,
                ..damage
            }));
        }
        other => other?,
    };
    let mut chain = [0; CHAIN];
    let at = head.offset.saturating_sub(CHAIN as u64);
    let read = source
        .read_at(at, &mut chain)
        .map_err(|error| source.error(at, head.sequence, error))?;
    if read < CHAIN {
        return Err(source.damage(at, head.sequence, Fault::Truncated));
    }
    if chain != head.chain || source.header(head.segment)?.is_none() {
        return Err(source.damage(at, head.sequence, Fault::Altered));
    }
    Ok(Walk::from(source, head.offset, head.sequence + 1, chain))
}

/// Finds the end of a journal that was not closed, and cuts the log there.
fn walk_from(config: &Config, head: &Head, segments: &[Listed]) -> Result<End, JournalError> {
    let directory = &config.directory;
    let mut walk = open_at_head(directory, head)?;
    let mut segment = head.segment;
    let mut walked = 0;
    loop {
        let later: Vec<u64> = segments
            .iter()
            .map(|listed| listed.first)
            .filter(|first| *first > segment)
            .collect();
        let before = place_of(&walk, segment);
        let (place, sealed, torn) = match walk.step()? {
            Step::Record => {
                walked += 1;
                continue;
            }
            Step::Footer { footer, previous }
                if seal_is_right(config.seal_key.as_ref(), &footer, &previous) =>
            {
                let after = place_of(&walk, segment);
                let ends = matches!(walk.step()?, Step::End);
                if ends && let Some(next) = follow(directory, &after, &later)? {
                    segment = walk.sequence;
                    walk = next;
                    continue;
                }
                (after, true, ends.then_some(0))
            }
            Step::End => (before, false, Some(0)),
            Step::Torn { bytes } => (before, false, Some(bytes)),
            Step::Footer { .. } | Step::Wrong(_) => (before, false, None),
        };
        let tail = match torn {
            Some(bytes) if drop_empty(directory, &later)? => match bytes {
                0 => TailFound::Whole,
                bytes => TailFound::Torn { bytes },
            },
            Some(_) | None => set_aside(config, &walk.source, &place, &later)?,
        };
        return Ok(End {
            place,
            sealed,
            walked,
            tail,
        });
    }
}

/// A journal that was closed must end exactly where its head says.
fn expect_end_at(directory: &Path, head: &Head, segments: &[Listed]) -> Result<End, JournalError> {
    let mut walk = open_at_head(directory, head)?;
    let place = place_of(&walk, head.segment);
    let ends = matches!(walk.step()?, Step::End);
    if !ends || segments.iter().any(|listed| listed.first > head.segment) {
        return Err(walk
            .source
            .damage(head.offset, head.sequence + 1, Fault::BeyondEnd));
    }
    Ok(End {
        place,
        sealed: false,
        walked: 0,
        tail: TailFound::Whole,
    })
}

fn place_of(walk: &Walk, segment: u64) -> Place {
    Place {
        segment,
        offset: walk.offset,
        sequence: walk.sequence - 1,
        chain: walk.chain,
    }
}

/// Whether a footer carries the seal that a journal with this key gives it.
pub(crate) fn seal_is_right(key: Option<&SealKey>, footer: &Footer, previous: &Chain) -> bool {
    key.is_none_or(|key| crypto::constant_time_eq(&footer.seal_under(key.expose(), previous), &footer.seal))
}

/// The segment that continues a sealed one which ends at `end`, if the next one does.
fn follow(directory: &Path, end: &Place, later: &[u64]) -> Result<Option<Walk>, JournalError> {
    let first = end.sequence + 1;
    if later.first() != Some(&first) {
        return Ok(None);
    }
    let mut source = Source::open(directory, first)?;
    match source.header(first) {
        Ok(Some((header, chain))) if header.previous == end.chain => {
            Ok(Some(Walk::after_header(source, first, chain)))
        }
        Ok(_) | Err(JournalError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the segment whose beginning a crash interrupted. False if there is more than that.
fn drop_empty(directory: &Path, later: &[u64]) -> Result<bool, JournalError> {
    match later {
        [] => Ok(true),
        [only] if is_without_records(directory, *only)? => {
            let path = plain_path(directory, *only);
            disk::remove(&path).doing("removing", &path)?;
            Ok(true)
        }
        [..] => Ok(false),
    }
}

/// Moves everything after `end` into files of its own.
fn set_aside(
    config: &Config,
    source: &Source,
    end: &Place,
    later: &[u64],
) -> Result<TailFound, JournalError> {
    let path = plain_path(&config.directory, end.segment);
    if source.path != path {
        // A compressed segment was whole once; there is nothing to cut.
        return Err(source.damage(end.offset, end.sequence + 1, Fault::Altered));
    }
    let mut bytes = 0;
    let size = source.size().doing("reading", &path)?;
    if size > end.offset {
        let (aside_path, aside) = free_name(&path)?;
        copy_from(&path, end.offset, &aside).doing("setting aside the end of", &path)?;
        if config.durable {
            aside.sync_all().doing("syncing", &aside_path)?;
        }
        bytes += size - end.offset;
    }
    for first in later {
        let source = Source::open(&config.directory, *first)?;
        bytes += source.size().doing("reading", &source.path)?;
        let (aside_path, _) = free_name(&source.path)?;
        disk::rename(&source.path, &aside_path).doing("setting aside", &source.path)?;
    }
    if config.durable {
        disk::sync_directory(&config.directory).doing("syncing", &config.directory)?;
    }
    tracing::error!(
        bytes,
        position = end.sequence + 1,
        "unreadable bytes at the end of the journal were set aside"
    );
    Ok(TailFound::SetAside {
        bytes,
        position: Position(end.sequence + 1),
    })
}

/// Makes the first `NAME.N.aside` that does not exist.
fn free_name(path: &Path) -> Result<(PathBuf, File), JournalError> {
    let mut number = 0u32;
    loop {
        let aside = path.with_file_name(format!("{}.{number}.aside", name_of(path)));
        match disk::create(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            result => return result.doing("creating", &aside).map(|file| (aside, file)),
        }
    }
}

fn copy_from(path: &Path, offset: u64, to: &File) -> io::Result<()> {
    let from = disk::open(path)?;
    let mut chunk = vec![0; READ_BYTES];
    let mut done = 0;
    loop {
        let read = read_full(&from, offset + done, &mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all_at(&chunk[..read], done)?;
        done += read as u64;
    }
}

/// Opens the last segment for writing and cuts what follows its end.
fn continue_at(config: &Config, place: &Place) -> Result<(File, Place), JournalError> {
    let path = plain_path(&config.directory, place.segment);
    let file = disk::open_to_write(&path).doing("opening", &path)?;
    let size = file.metadata().doing("reading", &path)?.len();
    if size > place.offset {
        file.set_len(place.offset).doing("cutting", &path)?;
    }
    if config.durable {
        file.sync_all().doing("syncing", &path)?;
    }
    Ok((file, *place))
}

/// Begins the segment after `place`.
fn begin_next(config: &Config, place: &Place) -> Result<(File, Place), JournalError> {
    let first = place.sequence + 1;
    let path = plain_path(&config.directory, first);
    let begun = begin_segment(&path, first, config.clock.now().0, place.chain).and_then(|(file, place)| {
        if config.durable {
            file.sync_all()?;
            disk::sync_directory(&config.directory)?;
        }
        Ok((file, place))
    });
    match begun {
        Err(error) if disk::is_full(&error) => {
            disk::remove(&path).doing("removing", &path)?;
            Err(JournalError::Full)
        }
        result => result.doing("beginning", &path),
    }
}
