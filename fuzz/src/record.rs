//! Two small sound journals, and what must be true after their files were changed.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use ground::Clock;
use journal::{Config, Durability, Entry, Journal, Phrase, Position, Reader, Record, verify};
use tempfile::TempDir;

use crate::fixed::NOW;

/// How many records the journal has.
pub const RECORDS: u64 = 40;

/// One file of a journal.
#[derive(Clone)]
pub struct Piece {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The files of two closed journals with the same records: with plain and with
/// compressed segments.
pub static SOUND: LazyLock<[Vec<Piece>; 2]> = LazyLock::new(|| [sound_journal(false), sound_journal(true)]);

/// A throw-away journal on a clock that stands still.
fn config(directory: &Path, compress_sealed: bool) -> Config {
    Config {
        segment_bytes_max: 4096,
        reserve_bytes: 0,
        durable: false,
        preallocate: false,
        compress_sealed,
        clock: Clock::virtual_from(NOW),
        ..Config::new(directory)
    }
}

/// The record at a position, from 1.
fn record(position: u64) -> Vec<u8> {
    let filler = "x".repeat(200);
    format!("{{\"eventName\":\"Encrypt\",\"position\":{position},\"filler\":\"{filler}\"}}").into_bytes()
}

fn sound_journal(compress: bool) -> Vec<Piece> {
    let directory = TempDir::new().expect("there is room for temporary files");
    let (journal, _) = Journal::open(config(directory.path(), compress)).expect("an empty directory opens");
    for position in 1..=RECORDS {
        let bytes = record(position);
        // The filler, which all have.
        let end = bytes.len() as u32;
        let phrases = [Phrase {
            start: end - 202,
            end,
        }];
        // Every fourth spells it out.
        let phrases = &phrases[usize::from(position % 4 == 0)..];
        let record = Record {
            bytes: &bytes,
            phrases,
        };
        journal
            .append_blocking(record, Durability::Written)
            .expect("a small record is taken");
    }
    while compress && journal.stats().segments_compressed < journal.stats().segments_sealed {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(journal);
    let mut pieces = Vec::new();
    for entry in std::fs::read_dir(directory.path()).expect("the journal made its directory") {
        let entry = entry.expect("the directory can be read");
        pieces.push(Piece {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: std::fs::read(entry.path()).expect("the journal's files can be read"),
        });
    }
    pieces.sort_by(|one, other| one.name.cmp(&other.name));
    pieces
}

/// Lays the files into a fresh directory, proves and opens the journal there:
/// whatever is read must be what was written, and all of it if it was proven.
pub fn check(pieces: &[Piece]) {
    let directory = TempDir::new().expect("there is room for temporary files");
    for piece in pieces {
        std::fs::write(directory.path().join(&piece.name), &piece.bytes)
            .expect("there is room for temporary files");
    }
    let proven = verify(directory.path(), None, |_| {});
    let opened = Journal::open(config(directory.path(), false));
    let Ok((journal, _)) = opened else {
        assert!(proven.is_err(), "a journal was proven and does not open");
        return;
    };
    let reader = journal
        .reader(Position::START)
        .expect("an opened journal has a beginning");
    let read = read_all(reader);
    if proven.is_ok() {
        assert_eq!(read.len() as u64, RECORDS, "a proven journal has lost records");
    }
    for (index, entry) in read.iter().enumerate() {
        let position = index as u64 + 1;
        assert_eq!(entry.position, Position(position));
        assert!(
            entry.record == record(position),
            "record {position} was changed unnoticed"
        );
    }
}

/// Every record until the end or the first damage.
fn read_all(mut reader: Reader) -> Vec<Entry> {
    let mut records = Vec::new();
    while let Ok(Some(entry)) = reader.next_entry() {
        records.push(entry);
    }
    records
}
