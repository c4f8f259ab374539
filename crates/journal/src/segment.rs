//! Segment files: their names, and reading them whether plain or compressed.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Position;
use crate::compressed::Compressed;
use crate::disk;
use crate::error::{Damage, Doing, Fault, JournalError};
use crate::frame::{Chain, HEADER, Header};
use crate::limits::CLAIMED_MAX;

const PLAIN: &str = ".segment";
const COMPRESSED: &str = ".segment.zst";
/// Ending of a file that is not finished; removed when the journal opens.
const UNFINISHED: &str = ".tmp";

/// The plain file of the segment that begins with record `first`.
pub(crate) fn plain_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}{PLAIN}"))
}

/// The compressed file of that segment.
pub(crate) fn compressed_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}{COMPRESSED}"))
}

/// Where the compressed file is prepared.
pub(crate) fn unfinished_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}{COMPRESSED}{UNFINISHED}"))
}

/// The segment files of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Sequence number of the first record, from the name.
    pub(crate) first: u64,
    pub(crate) plain: bool,
    pub(crate) compressed: bool,
}

/// Lists the segments in order of their first record. A segment that is just
/// being compressed may be there in both forms.
pub(crate) fn list(directory: &Path) -> Result<Vec<Listed>, JournalError> {
    let mut found: Vec<Listed> = Vec::new();
    for name in disk::names(directory).doing("listing", directory)? {
        if let Some(first) = number(&name, PLAIN) {
            found.push(Listed {
                first,
                plain: true,
                compressed: false,
            });
        } else if let Some(first) = number(&name, COMPRESSED) {
            found.push(Listed {
                first,
                plain: false,
                compressed: true,
            });
        }
    }
    found.sort_unstable();
    found.dedup_by(|later, earlier| {
        let same = later.first == earlier.first;
        if same {
            earlier.plain |= later.plain;
            earlier.compressed |= later.compressed;
        }
        same
    });
    Ok(found)
}

/// Whether the segment is there in either form. The compressed one is made
/// before the plain one is removed, so looking in this order meets one.
pub(crate) fn exists(directory: &Path, first: u64) -> bool {
    plain_path(directory, first).exists() || compressed_path(directory, first).exists()
}

/// Removes what an interrupted compression left.
pub(crate) fn remove_unfinished(directory: &Path) -> Result<(), JournalError> {
    for name in disk::names(directory).doing("listing", directory)? {
        if name
            .strip_suffix(UNFINISHED)
            .is_some_and(|stem| number(stem, COMPRESSED).is_some())
        {
            let path = directory.join(&name);
            disk::remove(&path).doing("removing", &path)?;
        }
    }
    Ok(())
}

fn number(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let sound = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| sound && *first <= CLAIMED_MAX)
}

/// The bytes of one segment in their plain form, wherever they come from.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    kind: Kind,
}

enum Kind {
    Plain(File),
    Compressed(Box<Compressed>),
}

impl Source {
    /// Opens the segment in whichever form it is in, even if that changes meanwhile.
    pub(crate) fn open(directory: &Path, first: u64) -> Result<Source, JournalError> {
        let plain = plain_path(directory, first);
        // Compression renames the new file into place before it removes the
        // old one, so that looking for plain, compressed, plain always meets one.
        match disk::open(&plain) {
            Ok(file) => {
                return Ok(Source {
                    path: plain,
                    kind: Kind::Plain(file),
                });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing("opening", &plain),
        }
        Source::open_compressed(directory, first)
    }

    /// Opens the compressed form.
    pub(crate) fn open_compressed(directory: &Path, first: u64) -> Result<Source, JournalError> {
        let path = compressed_path(directory, first);
        match disk::open(&path) {
            Ok(file) => match Compressed::open(file) {
                Ok(compressed) => Ok(Source {
                    path,
                    kind: Kind::Compressed(Box::new(compressed)),
                }),
                Err(error) => Err(read_error(&path, 0, first, error)),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Err(JournalError::Damaged(Damage {
                file: name_of(&plain_path(directory, first)),
                offset: 0,
                position: Position(first),
                fault: Fault::SegmentMissing,
                proven: Position(first.saturating_sub(1)),
            })),
            Err(error) => Err(error).doing("opening", &path),
        }
    }

    /// Length of the plain form, in bytes.
    pub(crate) fn size(&self) -> io::Result<u64> {
        match &self.kind {
            Kind::Plain(file) => Ok(file.metadata()?.len()),
            Kind::Compressed(compressed) => Ok(compressed.size()),
        }
    }

    /// Fills `buffer` from `offset` of the plain form as far as there are bytes.
    ///
    /// A block that cannot be decompressed is an error of kind `InvalidData`.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Plain(file) => read_full(file, offset, buffer),
            Kind::Compressed(compressed) => compressed.read_at(offset, buffer),
        }
    }

    /// Reads and checks the header; `None` if it is not complete, or nothing but zeros.
    pub(crate) fn header(&mut self, first: u64) -> Result<Option<(Header, Chain)>, JournalError> {
        let mut bytes = [0; HEADER];
        let read = self
            .read_at(0, &mut bytes)
            .map_err(|error| self.error(0, first, error))?;
        if read < HEADER || bytes == [0; HEADER] {
            return Ok(None);
        }
        match Header::decode(&bytes) {
            Ok((header, _)) if header.first != first => Err(self.damage(0, first, Fault::Misplaced)),
            Ok(found) => Ok(Some(found)),
            Err(fault) => Err(self.damage(0, first, fault)),
        }
    }

    /// The file's name without its directory.
    pub(crate) fn name(&self) -> String {
        name_of(&self.path)
    }

    /// A damage in this file; everything before `position` is taken as proven.
    pub(crate) fn damage(&self, offset: u64, position: u64, fault: Fault) -> JournalError {
        JournalError::Damaged(Damage {
            file: self.name(),
            offset,
            position: Position(position),
            fault,
            proven: Position(position.saturating_sub(1)),
        })
    }

    /// What a failed [`Source::read_at`] means.
    pub(crate) fn error(&self, offset: u64, position: u64, error: io::Error) -> JournalError {
        read_error(&self.path, offset, position, error)
    }
}

fn read_error(path: &Path, offset: u64, position: u64, source: io::Error) -> JournalError {
    if source.kind() != ErrorKind::InvalidData {
        return JournalError::Io {
            doing: "reading",
            path: path.to_owned(),
            source,
        };
    }
    JournalError::Damaged(Damage {
        file: name_of(path),
        offset,
        position: Position(position),
        fault: Fault::Unreadable,
        proven: Position(position.saturating_sub(1)),
    })
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset = offset.saturating_add(read as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buffer.len())
}
