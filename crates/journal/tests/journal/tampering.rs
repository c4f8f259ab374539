//! Whatever is done to the files of a closed journal is found out.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use journal::{Config, Damage, Fault, Journal, JournalError, Position, SealKey, Tail, VerifyError, verify};

use crate::{append, config, copy, open, record, segment_files};

/// A closed journal of a few segments: 30 records of 300 bytes.
fn closed(compress_sealed: bool) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Config {
        compress_sealed,
        ..config(directory.path())
    })
    .unwrap();
    for number in 1..=30 {
        append(&journal, &record(number, 300));
    }
    while compress_sealed && journal.stats().segments_compressed < journal.stats().segments_sealed {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(journal);
    verify(directory.path(), None, |_| {}).unwrap();
    directory
}

fn damage(directory: &Path) -> Damage {
    match verify(directory, None, |_| {}) {
        Err(VerifyError::Damaged(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

fn copied(directory: &Path) -> tempfile::TempDir {
    let other = tempfile::tempdir().unwrap();
    copy(directory, other.path());
    other
}

#[test]
fn every_changed_byte_of_every_file_is_noticed() {
    let directory = closed(false);
    let mut files = segment_files(directory.path());
    assert!(files.len() >= 3);
    files.push(directory.path().join("head"));
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            std::fs::write(&file, &changed).unwrap();
            assert!(
                verify(directory.path(), None, |_| {}).is_err(),
                "byte {at} of {}",
                file.display()
            );
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    verify(directory.path(), None, |_| {}).unwrap();
}

/// A compressed file has bits that mean nothing; with those changed the records must be the same.
#[test]
fn a_changed_compressed_file_fails_or_holds_the_same_records() {
    let directory = closed(true);
    let intact = verify(directory.path(), None, |_| {}).unwrap();
    let files = segment_files(directory.path());
    assert!(files[0].extension().is_some_and(|extension| extension == "zst"));
    let bytes = std::fs::read(&files[0]).unwrap();
    let mut unnoticed = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&files[0], &changed).unwrap();
        if let Ok(report) = verify(directory.path(), None, |_| {}) {
            assert_eq!(report.chain, intact.chain, "byte {at}");
            unnoticed += 1;
        }
    }
    assert!(
        unnoticed < bytes.len() / 100,
        "{unnoticed} of {} bytes",
        bytes.len()
    );
}

#[test]
fn the_first_bad_place_is_named() {
    let directory = closed(false);
    let file = segment_files(directory.path()).remove(1);
    let mut bytes = std::fs::read(&file).unwrap();
    let needle = b"record 13 ";
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    bytes[at + 50] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let damage = damage(directory.path());
    assert_eq!(damage.file, file.file_name().unwrap().to_string_lossy());
    assert_eq!(damage.offset, at as u64 - 16);
    assert_eq!(damage.position, Position(13));
    assert_eq!(damage.proven, Position(12));
    assert_eq!(damage.fault, Fault::Altered);
}

#[test]
fn a_removed_segment_is_missed() {
    let directory = closed(false);
    let files = segment_files(directory.path());
    for (index, file) in files.iter().enumerate() {
        let copied = copied(directory.path());
        std::fs::remove_file(copied.path().join(file.file_name().unwrap())).unwrap();
        let damage = damage(copied.path());
        let expected = if index + 1 == files.len() {
            Fault::Truncated
        } else {
            Fault::SegmentMissing
        };
        assert_eq!(damage.fault, expected, "{}", file.display());
        if index + 1 == files.len() {
            assert!(matches!(
                Journal::open(config(copied.path())),
                Err(JournalError::Damaged(_))
            ));
        }
    }
}

#[test]
fn a_shortened_log_is_noticed_by_verify_and_refused_by_open() {
    let directory = closed(false);
    let last = segment_files(directory.path()).pop().unwrap();
    let length = std::fs::metadata(&last).unwrap().len();
    for cut in 0..length {
        std::fs::OpenOptions::new()
            .write(true)
            .open(&last)
            .unwrap()
            .set_len(length - 1 - cut)
            .unwrap();
        assert!(verify(directory.path(), None, |_| {}).is_err(), "{cut}");
        assert!(
            matches!(
                Journal::open(config(directory.path())),
                Err(JournalError::Damaged(_))
            ),
            "{cut}"
        );
    }
}

#[test]
fn exchanged_and_renamed_segments_are_noticed() {
    let directory = closed(false);
    let files = segment_files(directory.path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_owned();
    for left in 0..files.len() {
        for right in left + 1..files.len() {
            let copied = copied(directory.path());
            std::fs::copy(&files[left], copied.path().join(name(&files[right]))).unwrap();
            assert_eq!(damage(copied.path()).fault, Fault::Misplaced);
            std::fs::copy(&files[right], copied.path().join(name(&files[left]))).unwrap();
            assert_eq!(damage(copied.path()).fault, Fault::Misplaced);
        }
    }
}

#[test]
fn exchanged_and_repeated_records_are_noticed() {
    let directory = closed(false);
    let file = segment_files(directory.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    let frame = |number: usize| 96 + (number - 1) * 352..96 + number * 352;
    assert!(bytes[frame(2)].windows(9).any(|window| window == b"record 2 "));
    for (from, to) in [(2, 3), (3, 2), (1, 2), (2, 1)] {
        let mut changed = bytes.clone();
        changed[frame(to)].copy_from_slice(&bytes[frame(from)]);
        std::fs::write(&file, &changed).unwrap();
        assert_eq!(damage(directory.path()).position, Position(to as u64));
    }
    // One record cut out, the later ones moved up.
    let changed = [&bytes[..frame(2).start], &bytes[frame(3).start..]].concat();
    std::fs::write(&file, &changed).unwrap();
    assert_eq!(damage(directory.path()).position, Position(2));
}

#[test]
fn segments_of_another_journal_do_not_fit() {
    let directory = closed(false);
    let other = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Config {
        compress_sealed: false,
        ..config(other.path())
    })
    .unwrap();
    for number in 1..=30 {
        append(&journal, &record(number + 100, 300));
    }
    drop(journal);
    let (ours, theirs) = (segment_files(directory.path()), segment_files(other.path()));
    assert_eq!(ours[1].file_name(), theirs[1].file_name());
    std::fs::copy(&theirs[1], &ours[1]).unwrap();
    assert_eq!(damage(directory.path()).fault, Fault::Unlinked);
}

#[test]
fn a_log_that_grew_after_its_close_is_noticed() {
    let directory = closed(false);
    let grown = copied(directory.path());
    let head = std::fs::read(grown.path().join("head")).unwrap();
    let (journal, _) = open(grown.path());
    append(&journal, b"afterwards");
    drop(journal);
    std::fs::write(grown.path().join("head"), head).unwrap();
    assert_eq!(damage(grown.path()).fault, Fault::BeyondEnd);
    assert!(matches!(
        Journal::open(config(grown.path())),
        Err(JournalError::Damaged(Damage {
            fault: Fault::BeyondEnd,
            ..
        }))
    ));
}

#[test]
fn stray_segments_and_a_missing_head_are_noticed() {
    let directory = closed(false);
    let stray = copied(directory.path());
    std::fs::copy(
        &segment_files(directory.path())[0],
        stray.path().join("00000000000000000005.segment"),
    )
    .unwrap();
    assert_eq!(damage(stray.path()).fault, Fault::Misplaced);

    std::fs::remove_file(directory.path().join("head")).unwrap();
    assert_eq!(damage(directory.path()).fault, Fault::HeadMissing);
    assert!(matches!(
        Journal::open(config(directory.path())),
        Err(JournalError::Damaged(_))
    ));

    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        verify(empty.path(), None, |_| {}),
        Err(VerifyError::Empty(_))
    ));
}

/// Somebody who recomputes the whole chain is stopped by the key alone.
#[test]
fn a_log_written_anew_without_the_key_is_noticed() {
    let key = SealKey::new([9; 32]);
    let write = |key: Option<&SealKey>| {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(Config {
            seal_key: key.map(SealKey::duplicate),
            compress_sealed: false,
            ..config(directory.path())
        })
        .unwrap();
        for number in 1..=30 {
            append(&journal, &record(number, 300));
        }
        drop(journal);
        directory
    };
    let genuine = write(Some(&key));
    verify(genuine.path(), Some(&key), |_| {}).unwrap();
    for forged in [write(None), write(Some(&SealKey::new([8; 32])))] {
        verify(forged.path(), None, |_| {}).unwrap();
        let wrong = verify(forged.path(), Some(&key), |_| {});
        assert!(matches!(
            wrong,
            Err(VerifyError::Damaged(Damage {
                fault: Fault::SealWrong,
                ..
            }))
        ));
        // With the genuine head, the forged segments do not fit either.
        std::fs::copy(genuine.path().join("head"), forged.path().join("head")).unwrap();
        assert!(verify(forged.path(), Some(&key), |_| {}).is_err());
    }
    let changed_mind = Config {
        seal_key: Some(SealKey::new([7; 32])),
        ..config(genuine.path())
    };
    assert!(matches!(
        Journal::open(changed_mind),
        Err(JournalError::Damaged(_))
    ));
}

/// The end of a killed journal is torn, not altered; a byte changed in a whole record is altered.
#[test]
fn a_torn_tail_is_told_from_a_changed_byte() {
    let (running, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, _) = open(running.path());
    for number in 1..=5 {
        append(&journal, &record(number, 300));
    }
    copy(running.path(), killed.path());
    drop(journal);
    let last = segment_files(killed.path()).pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 7]).unwrap();
    let report = verify(killed.path(), None, |_| {}).unwrap();
    assert_eq!(report.position, Position(4));
    assert!(matches!(report.tail, Tail::Torn { bytes: 345, .. }), "{report:?}");

    let mut changed = bytes.clone();
    changed[bytes.len() - 100] ^= 1;
    std::fs::write(&last, &changed).unwrap();
    let damage = damage(killed.path());
    assert_eq!((damage.position, damage.fault), (Position(5), Fault::Altered));
}

#[test]
fn a_running_journal_verifies_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Config {
        durable: true,
        ..config(directory.path())
    })
    .unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                append(&journal, &record(number, 200));
                if number % 5 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            }
        });
        let mut last = Position(0);
        for _ in 0..25 {
            let before = journal.synced();
            // The writer must be stopped before a failed test can end.
            let report = verify(directory.path(), None, |_| {});
            if !report
                .as_ref()
                .is_ok_and(|report| report.position >= before && report.position >= last)
            {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                panic!("{report:?}, {before:?} synced before");
            }
            last = report.unwrap().position;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever the files hold, reading them ends in an answer.
    #[test]
    fn no_content_of_the_files_makes_the_journal_panic(
        which in 0usize..6,
        at in 0.0f64..1.0,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        length in prop::option::of(0.0f64..2.0),
        compress in any::<bool>(),
        killed in any::<bool>(),
    ) {
        let running = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(Config { compress_sealed: compress, ..config(running.path()) }).unwrap();
        for number in 1..=30 {
            append(&journal, &record(number, 300));
        }
        while compress && journal.stats().segments_compressed < journal.stats().segments_sealed {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mangled = tempfile::tempdir().unwrap();
        if killed {
            copy(running.path(), mangled.path());
        }
        drop(journal);
        if !killed {
            copy(running.path(), mangled.path());
        }
        let mut files = segment_files(mangled.path());
        files.push(mangled.path().join("head"));
        let file = &files[which % files.len()];
        let mut content = std::fs::read(file).unwrap();
        let place = (content.len() as f64 * at) as usize;
        let end = (place + bytes.len()).min(content.len());
        content[place..end].copy_from_slice(&bytes[..end - place]);
        if let Some(length) = length {
            content.resize((content.len() as f64 * length) as usize, 0xFF);
        }
        std::fs::write(file, &content).unwrap();

        // Only the answer's coming is tested here; which one is right is tested above.
        let _ = verify(mangled.path(), None, |_| {});
        if let Ok((journal, _)) = Journal::open(config(mangled.path())) {
            let _ = append(&journal, b"more");
            if let Ok(mut reader) = journal.reader(Position::START) {
                while let Ok(Some(_)) = reader.next_entry() {}
            }
            let _ = journal.newest_first(u64::MAX).unwrap().count();
        }
    }
}
