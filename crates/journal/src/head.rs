//! The head file: how far the log had come, written down beside it.
//!
//! A log that only grows cannot show by itself that its end was cut off. The
//! head can: it names a place that was on disk when the head was written, and
//! the chain there.
//!
//! The file has two copies that are written in turn, in place, so that a crash
//! within one leaves the other, and so that a full disk cannot keep it from
//! being written. A clean close writes both, marked `clean`: then the log must
//! end exactly there.
//!
//! Absent by design: protection from somebody who puts back an older head
//! together with an older log, or who empties the directory. No file on the
//! same disk can give that; the chain published elsewhere can.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::checksum::crc32c;
use crate::disk;
use crate::error::{Damage, Doing, Fault, JournalError};
use crate::frame::{CHAIN, Chain, HEADER, chain_at};
use crate::limits::CLAIMED_MAX;
use crate::segment::read_full;
use crate::{Position, SealKey};

const MAGIC: &[u8; 8] = b"PLSDHEAD";
const VERSION: u32 = 1;
const COPY: usize = 4096;
const FLAG_CLEAN: u32 = 1;
const FLAG_SEALED: u32 = 2;
/// Where the fields end and the seal begins.
const SEAL_AT: usize = 88;

/// A place that the log had reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Counts the heads written, so that the newer copy is known.
    pub(crate) serial: u64,
    /// The journal was closed here.
    pub(crate) clean: bool,
    /// The last record before the place.
    pub(crate) sequence: u64,
    /// First sequence number of the segment the place is in.
    pub(crate) segment: u64,
    /// Where in that segment.
    pub(crate) offset: u64,
    /// The chain at the place.
    pub(crate) chain: Chain,
    /// When the head was written.
    pub(crate) written_ms: i64,
}

/// A head that was read, and whether its other copy could be read too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundHead {
    pub(crate) head: Head,
    pub(crate) both_copies: bool,
}

pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("head")
}

/// Reads the newer copy; `None` if there is no head file.
///
/// With a key, the seal must be right; without one it is not looked at.
pub(crate) fn read(directory: &Path, key: Option<&SealKey>) -> Result<Option<FoundHead>, JournalError> {
    let path = path(directory);
    let file = match disk::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing("opening", &path),
    };
    let mut bytes = vec![0; 2 * COPY + 1];
    let read = read_full(&file, 0, &mut bytes).doing("reading", &path)?;
    if read != 2 * COPY {
        return Err(damage(Fault::HeadAltered));
    }
    let copies = [decode(&bytes[..COPY], key), decode(&bytes[COPY..2 * COPY], key)];
    let found = match copies {
        [Ok(first), Ok(second)] => {
            let head = if first.serial > second.serial {
                first
            } else {
                second
            };
            FoundHead {
                head,
                both_copies: true,
            }
        }
        [Ok(head), Err(_)] | [Err(_), Ok(head)] => FoundHead {
            head,
            both_copies: false,
        },
        [Err(fault), Err(_)] => return Err(damage(fault)),
    };
    // Only a crash while the journal ran can leave one copy unreadable.
    if found.head.clean && !found.both_copies {
        return Err(damage(Fault::HeadAltered));
    }
    Ok(Some(found))
}

fn damage(fault: Fault) -> JournalError {
    JournalError::Damaged(Damage {
        file: "head".to_owned(),
        offset: 0,
        position: Position(0),
        fault,
        proven: Position(0),
    })
}

/// The head file, open for writing.
pub(crate) struct HeadFile {
    file: File,
    serial: u64,
    durable: bool,
}

impl HeadFile {
    /// Opens the head file, making it if need be, and writes both copies.
    pub(crate) fn begin(
        directory: &Path,
        serial: u64,
        durable: bool,
        head: Head,
        key: Option<&SealKey>,
    ) -> Result<HeadFile, JournalError> {
        let path = path(directory);
        match disk::open_to_write(&path) {
            Ok(file) => {
                let mut found = HeadFile {
                    file,
                    serial,
                    durable,
                };
                found.write_both(head, key).doing("writing", &path)?;
                Ok(found)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Both copies must be there before the name is, or a crash in
                // between would look like tampering.
                let unfinished = directory.join("head.tmp");
                disk::remove(&unfinished).doing("removing", &unfinished)?;
                let file = disk::create(&unfinished).doing("creating", &unfinished)?;
                let mut found = HeadFile {
                    file,
                    serial,
                    durable,
                };
                found.write_both(head, key).doing("writing", &unfinished)?;
                disk::rename(&unfinished, &path).doing("renaming", &unfinished)?;
                if durable {
                    disk::sync_directory(directory).doing("syncing", directory)?;
                }
                Ok(found)
            }
            Err(error) => Err(error).doing("opening", &path),
        }
    }

    /// Writes the older copy anew. `head.serial` is given here.
    pub(crate) fn write(&mut self, mut head: Head, key: Option<&SealKey>) -> io::Result<()> {
        self.serial += 1;
        head.serial = self.serial;
        let at = if self.serial.is_multiple_of(2) {
            0
        } else {
            COPY as u64
        };
        self.file.write_all_at(&encode(&head, key), at)?;
        if self.durable {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }

    /// Writes both copies anew, one after the other.
    pub(crate) fn write_both(&mut self, head: Head, key: Option<&SealKey>) -> io::Result<()> {
        self.write(head, key)?;
        self.write(head, key)
    }
}

fn encode(head: &Head, key: Option<&SealKey>) -> [u8; COPY] {
    let mut bytes = [0; COPY];
    let mut flags = 0;
    if head.clean {
        flags |= FLAG_CLEAN;
    }
    if key.is_some() {
        flags |= FLAG_SEALED;
    }
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&flags.to_le_bytes());
    bytes[16..24].copy_from_slice(&head.serial.to_le_bytes());
    bytes[24..32].copy_from_slice(&head.sequence.to_le_bytes());
    bytes[32..40].copy_from_slice(&head.segment.to_le_bytes());
    bytes[40..48].copy_from_slice(&head.offset.to_le_bytes());
    bytes[48..56].copy_from_slice(&head.written_ms.to_le_bytes());
    bytes[56..SEAL_AT].copy_from_slice(&head.chain);
    if let Some(key) = key {
        let seal = seal(key, &bytes);
        bytes[SEAL_AT..SEAL_AT + 32].copy_from_slice(&seal);
    }
    let check = crc32c(&bytes[..COPY - 4]);
    bytes[COPY - 4..].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], key: Option<&SealKey>) -> Result<Head, Fault> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the range is four bytes"));
    let long =
        |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the range is eight bytes"));
    if &bytes[..8] != MAGIC || word(8) != VERSION || word(COPY - 4) != crc32c(&bytes[..COPY - 4]) {
        return Err(Fault::HeadAltered);
    }
    let flags = word(12);
    if let Some(key) = key {
        let sealed = flags & FLAG_SEALED != 0
            && crypto::constant_time_eq(&seal(key, bytes), &bytes[SEAL_AT..SEAL_AT + 32]);
        if !sealed {
            return Err(Fault::SealWrong);
        }
    }
    let head = Head {
        serial: long(16),
        clean: flags & FLAG_CLEAN != 0,
        sequence: long(24),
        segment: long(32),
        offset: long(40),
        chain: chain_at(bytes, 56),
        written_ms: long(48).cast_signed(),
    };
    let possible = head.serial <= CLAIMED_MAX
        && head.sequence <= CLAIMED_MAX
        && (1..=head.sequence + 1).contains(&head.segment)
        && (HEADER as u64..=CLAIMED_MAX).contains(&head.offset);
    if possible {
        Ok(head)
    } else {
        Err(Fault::HeadAltered)
    }
}

fn seal(key: &SealKey, bytes: &[u8]) -> [u8; CHAIN] {
    crypto::hmac_sha256(key.expose(), &[b"palisade journal head 1", &bytes[..SEAL_AT]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: u64, clean: bool) -> Head {
        Head {
            serial: 0,
            clean,
            sequence,
            segment: 1,
            offset: 96,
            chain: [7; 32],
            written_ms: 5,
        }
    }

    #[test]
    fn a_copy_lost_in_a_crash_is_no_loss_but_one_lost_after_a_clean_close_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = HeadFile::begin(directory.path(), 0, false, head(0, false), None).unwrap();
        file.write(head(5, false), None).unwrap();
        file.write(head(6, false), None).unwrap();
        assert_eq!(read(directory.path(), None).unwrap().unwrap().head.sequence, 6);

        let newest = if file.serial.is_multiple_of(2) {
            0
        } else {
            COPY as u64
        };
        file.file.write_all_at(b"torn", newest + 100).unwrap();
        let found = read(directory.path(), None).unwrap().unwrap();
        assert_eq!((found.head.sequence, found.both_copies), (5, false));

        file.write_both(head(7, true), None).unwrap();
        assert!(read(directory.path(), None).unwrap().unwrap().both_copies);
        file.file.write_all_at(b"torn", 100).unwrap();
        assert!(matches!(
            read(directory.path(), None),
            Err(JournalError::Damaged(Damage {
                fault: Fault::HeadAltered,
                ..
            }))
        ));
    }

    /// Whoever can write the file can make its checksum right.
    #[test]
    fn impossible_places_are_refused() {
        let possible = head(5, false);
        for impossible in [
            Head {
                serial: u64::MAX,
                ..possible
            },
            Head {
                sequence: u64::MAX,
                ..possible
            },
            Head {
                segment: 0,
                ..possible
            },
            Head {
                segment: 7,
                ..possible
            },
            Head {
                offset: 95,
                ..possible
            },
            Head {
                offset: u64::MAX,
                ..possible
            },
        ] {
            assert_eq!(decode(&encode(&impossible, None), None), Err(Fault::HeadAltered));
        }
        assert_eq!(decode(&encode(&possible, None), None), Ok(possible));
    }

    #[test]
    fn a_seal_needs_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let key = SealKey::new([1; 32]);
        HeadFile::begin(directory.path(), 0, false, head(0, false), Some(&key)).unwrap();
        assert!(read(directory.path(), Some(&key)).unwrap().is_some());
        assert!(read(directory.path(), None).unwrap().is_some());
        assert!(matches!(
            read(directory.path(), Some(&SealKey::new([2; 32]))),
            Err(JournalError::Damaged(Damage {
                fault: Fault::SealWrong,
                ..
            }))
        ));
    }
}
