//! Records that say the same again: shorter in the file, and the same when read.

use proptest::prelude::*;

use journal::{
    Config, Damage, Durability, Journal, JournalError, Phrase, Position, Record, VerifyError, verify,
};

use crate::{config, open, read_all, record, runtime, segment_files};

/// A record of parts, some of which are phrases.
#[derive(Debug, Clone)]
struct Spoken {
    bytes: Vec<u8>,
    phrases: Vec<Phrase>,
}

impl Spoken {
    fn of(parts: &[(Vec<u8>, bool)]) -> Spoken {
        let mut spoken = Spoken {
            bytes: Vec::new(),
            phrases: Vec::new(),
        };
        for (part, is_phrase) in parts {
            let start = spoken.bytes.len() as u32;
            spoken.bytes.extend_from_slice(part);
            let end = spoken.bytes.len() as u32;
            if *is_phrase {
                spoken.phrases.push(Phrase { start, end });
            }
        }
        spoken
    }

    /// Something new, and two of the phrases that others say too.
    fn usual(number: u64) -> Spoken {
        Spoken::of(&[
            (record(number % 3, 300), true),
            (record(1000 + number, 40), false),
            (record(500 + number % 5, 200), true),
        ])
    }

    fn append(&self, journal: &Journal) -> Position {
        let record = Record {
            bytes: &self.bytes,
            phrases: &self.phrases,
        };
        journal.append_blocking(record, Durability::Written).unwrap()
    }
}

fn backwards(journal: &Journal) -> Vec<Vec<u8>> {
    let mut records: Vec<_> = journal
        .newest_first(u64::MAX)
        .unwrap()
        .map(|entry| entry.unwrap().record)
        .collect();
    records.reverse();
    records
}

#[test]
fn what_is_said_again_takes_no_room_and_reads_the_same_from_every_place() {
    // More than one block, so that phrases are spelled out again on the way.
    const RECORDS: u64 = 14_000;
    let directory = tempfile::tempdir().unwrap();
    let wide = || Config {
        segment_bytes_max: 1024 * 1024 + 400_000,
        ..config(directory.path())
    };
    let (journal, _) = Journal::open(wide()).unwrap();
    let spoken: Vec<_> = (0..RECORDS).map(Spoken::usual).collect();
    for spoken in &spoken {
        spoken.append(&journal);
    }
    let told: Vec<_> = spoken.iter().map(|spoken| spoken.bytes.clone()).collect();
    assert!(read_all(&journal) == told);
    assert!(backwards(&journal) == told);
    while journal.stats().segments_compressed < journal.stats().segments_sealed {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for after in [1, 1_000, 6_543, 8_000, 9_000, RECORDS - 1] {
        let mut reader = journal.reader(Position(after)).unwrap();
        for expected in told[after as usize..].iter().take(40) {
            assert_eq!(&reader.next_entry().unwrap().unwrap().record, expected);
        }
    }
    let bytes: u64 = segment_files(directory.path())
        .iter()
        .map(|file| std::fs::metadata(file).unwrap().len())
        .sum();
    let plain: usize = told.iter().map(Vec::len).sum();
    assert!(bytes * 3 < plain as u64, "{bytes} of {plain}");
    drop(journal);

    let report = verify(directory.path(), None, |_| {}).unwrap();
    assert_eq!(report.position, Position(RECORDS));
    assert_eq!(report.segments, 2);

    // Whoever opens it again knows no phrase, and begins anew.
    let (journal, _) = Journal::open(wide()).unwrap();
    Spoken::usual(0).append(&journal);
    assert!(read_all(&journal)[RECORDS as usize] == told[0]);
}

#[test]
fn a_changed_phrase_is_noticed_in_every_record_that_points_at_it() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for number in 0..6 {
        Spoken::usual(number).append(&journal);
    }
    runtime().block_on(journal.sync()).unwrap();
    let file = segment_files(directory.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    // The first record's first phrase, which the fourth points at.
    bytes[200] ^= 1;
    std::fs::write(&file, &bytes).unwrap();

    let altered = |error: JournalError| matches!(error, JournalError::Damaged(Damage { .. }));
    let mut reader = journal.reader(Position(3)).unwrap();
    assert!(altered(reader.next_entry().unwrap_err()));
    let first = journal.newest_first(u64::MAX).unwrap().next().unwrap();
    assert!(altered(first.unwrap_err()));
    drop(journal);
    assert!(matches!(
        verify(directory.path(), None, |_| {}),
        Err(VerifyError::Damaged(damage)) if damage.position == Position(1)
    ));
}

#[test]
fn every_changed_byte_of_a_journal_with_phrases_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for number in 0..4 {
        Spoken::usual(number).append(&journal);
    }
    drop(journal);
    let file = segment_files(directory.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&file, &changed).unwrap();
        assert!(verify(directory.path(), None, |_| {}).is_err(), "byte {at}");
    }
}

#[test]
fn phrases_that_are_none_are_spelled_out() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let bytes = record(1, 400);
    let odd = [
        Phrase { start: 90, end: 50 },
        Phrase { start: 0, end: 10 },
        Phrase { start: 20, end: 120 },
        Phrase { start: 100, end: 200 },
        Phrase { start: 300, end: 401 },
        Phrase {
            start: u32::MAX,
            end: u32::MAX,
        },
    ];
    for _ in 0..3 {
        let record = Record {
            bytes: &bytes,
            phrases: &odd,
        };
        journal.append_blocking(record, Durability::Written).unwrap();
    }
    assert!(read_all(&journal) == vec![bytes; 3]);
}

fn parts() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    let known =
        (0..6u64, 20..260usize).prop_map(|(number, size)| (record(number, size / 80 * 80 + 30), true));
    let new = proptest::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| (bytes, false));
    proptest::collection::vec(prop_oneof![known, new], 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_appended_is_read_back_both_ways(
        records in proptest::collection::vec(parts(), 1..60),
        reopened_after in 0..60usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(directory.path());
        let mut told = Vec::new();
        for (index, parts) in records.iter().enumerate() {
            if index == reopened_after {
                drop(journal);
                journal = open(directory.path()).0;
            }
            let spoken = Spoken::of(parts);
            spoken.append(&journal);
            told.push(spoken.bytes);
        }
        prop_assert!(read_all(&journal) == told);
        prop_assert!(backwards(&journal) == told);
        for (after, next) in told.iter().enumerate() {
            let mut reader = journal.reader(Position(after as u64)).unwrap();
            prop_assert!(&reader.next_entry().unwrap().unwrap().record == next);
        }
        drop(journal);
        let report = verify(directory.path(), None, |_| {}).unwrap();
        prop_assert_eq!(report.position, Position(told.len() as u64));
    }
}
