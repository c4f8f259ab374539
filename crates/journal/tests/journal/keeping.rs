//! Appending, reading, rotating, closing.

use std::sync::Arc;

use journal::{
    Config, Durability, Journal, JournalError, Position, SealKey, Tail, TailFound, limits, verify,
};

use crate::{append, config, open, read_all, record, runtime, segment_files};

#[test]
fn what_was_appended_is_read_back_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (1..=200)
        .map(|number| record(number, number as usize * 3 % 700))
        .collect();
    for (round, part) in records.chunks(50).enumerate() {
        let (journal, recovery) = open(directory.path());
        assert_eq!(recovery.position, Position(round as u64 * 50));
        assert!(recovery.clean);
        assert_eq!(recovery.tail, TailFound::Whole);
        for (index, record) in part.iter().enumerate() {
            assert_eq!(append(&journal, record).0, (round * 50 + index + 1) as u64);
        }
        runtime().block_on(journal.close()).unwrap();
        assert!(matches!(
            journal.append_blocking(b"late", Durability::Written),
            Err(JournalError::Closed)
        ));
    }
    let (journal, _) = open(directory.path());
    assert_eq!(read_all(&journal), records);
    assert!(segment_files(directory.path()).len() > 5, "the segments rotate");

    let backwards: Vec<_> = journal
        .newest_first(u64::MAX)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(backwards.len(), 200);
    for (entry, number) in backwards.iter().zip((1..=200u64).rev()) {
        assert_eq!(entry.position, Position(number));
        assert_eq!(entry.record, records[number as usize - 1]);
    }
    let few = journal.newest_first(2000).unwrap().count();
    assert!((2..20).contains(&few), "{few} records in 2000 bytes");

    for after in [0, 1, 17, 100, 199, 200] {
        let mut reader = journal.reader(Position(after)).unwrap();
        let next = reader.next_entry().unwrap().map(|entry| entry.record);
        assert_eq!(next.as_ref(), records.get(after as usize));
    }
    assert!(matches!(
        journal.reader(Position(201)),
        Err(JournalError::Damaged(_))
    ));
}

#[test]
fn sealed_segments_are_compressed_and_the_chain_runs_through_them() {
    let directory = tempfile::tempdir().unwrap();
    let key = SealKey::new([5; 32]);
    let sealed = || Config {
        seal_key: Some(key.duplicate()),
        ..config(directory.path())
    };
    let (journal, _) = Journal::open(sealed()).unwrap();
    let records: Vec<Vec<u8>> = (1..=100).map(|number| record(number, 300)).collect();
    for record in &records {
        append(&journal, record);
    }
    let waiting = std::time::Instant::now();
    while journal.stats().segments_compressed < journal.stats().segments_sealed {
        assert!(waiting.elapsed().as_secs() < 20, "{:?}", journal.stats());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(journal.stats().segments_sealed >= 8);
    assert_eq!(read_all(&journal), records);
    assert_eq!(
        journal
            .newest_first(u64::MAX)
            .unwrap()
            .filter(Result::is_ok)
            .count(),
        100
    );
    let compressed = segment_files(directory.path())
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "zst"))
        .count();
    assert_eq!(compressed as u64, journal.stats().segments_sealed);

    let report = verify(directory.path(), Some(&key), |_| {}).unwrap();
    assert_eq!(
        (report.position, report.clean, report.seals_checked),
        (Position(100), false, true)
    );
    drop(journal);
    let report = verify(directory.path(), None, |_| {}).unwrap();
    assert_eq!(
        (report.position, report.head, report.clean),
        (Position(100), Position(100), true)
    );
    assert_eq!(report.tail, Tail::Whole);

    let (journal, recovery) = Journal::open(sealed()).unwrap();
    assert_eq!(recovery.position, Position(100));
    assert_eq!(read_all(&journal), records);
}

/// Any file that zstd's own tools can read is read by others too, in ten years.
#[test]
fn a_compressed_segment_is_an_ordinary_zstd_file() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for number in 1..=40 {
        append(&journal, &record(number, 300));
    }
    while journal.stats().segments_compressed == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let file = std::fs::read(&segment_files(directory.path())[0]).unwrap();
    let plain = zstd::decode_all(file.as_slice()).unwrap();
    assert!(plain.starts_with(b"PLSDJRNL"));
    assert!(plain.windows(9).any(|window| window == b"record 3 "));
}

#[test]
fn an_append_given_up_leaves_its_record() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    runtime().block_on(async {
        tokio::select! {
            biased;
            _ = journal.append(b"given up", Durability::Written) => panic!("others are given a turn first"),
            () = std::future::ready(()) => {}
        }
    });
    assert_eq!(journal.written(), Position(1));
    assert_eq!(append(&journal, b"after it"), Position(2));
    runtime().block_on(journal.sync()).unwrap();
    assert_eq!(read_all(&journal), [b"given up".to_vec(), b"after it".to_vec()]);
}

#[test]
fn records_have_a_largest_size_and_larger_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let largest = record(1, limits::RECORD_BYTES_MAX);
    append(&journal, &largest);
    append(&journal, b"");
    assert!(matches!(
        journal.append_blocking(&record(1, limits::RECORD_BYTES_MAX + 1), Durability::Written),
        Err(JournalError::Oversized { bytes }) if bytes == limits::RECORD_BYTES_MAX + 1
    ));
    append(&journal, &largest);
    assert_eq!(read_all(&journal), [largest.clone(), Vec::new(), largest.clone()]);
    let backwards: Vec<_> = journal
        .newest_first(u64::MAX)
        .unwrap()
        .map(|entry| entry.unwrap().record)
        .collect();
    assert_eq!(backwards, [largest.clone(), Vec::new(), largest]);
    drop(journal);
    verify(directory.path(), None, |_| {}).unwrap();
}

#[test]
fn a_directory_belongs_to_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    assert!(matches!(
        Journal::open(config(directory.path())),
        Err(JournalError::Locked(_))
    ));
    // A reader outlives the journal, but does not keep the directory.
    let reader = journal.reader(Position::START).unwrap();
    drop(journal);
    let (journal, _) = open(directory.path());
    assert!(matches!(
        runtime().block_on(reader.wait()),
        Err(JournalError::Closed)
    ));
    drop(journal);
}

#[test]
fn a_configuration_out_of_bounds_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for config in [
        Config {
            segment_bytes_max: limits::SEGMENT_BYTES_MIN - 1,
            ..config(directory.path())
        },
        Config {
            segment_bytes_max: limits::SEGMENT_BYTES_MAX + 1,
            ..config(directory.path())
        },
        Config {
            reserve_bytes: limits::RESERVE_BYTES_MAX + 1,
            ..config(directory.path())
        },
    ] {
        assert!(matches!(
            Journal::open(config),
            Err(JournalError::BadConfig { .. })
        ));
    }
}

#[test]
fn five_hundred_callers_share_syncs_and_each_finds_its_record_where_it_was_told() {
    const CALLERS: u64 = 512;
    const EACH: u64 = 10;
    let directory = tempfile::tempdir().unwrap();
    let durable = Config {
        durable: true,
        segment_bytes_max: 256 * 1024,
        ..config(directory.path())
    };
    let (journal, _) = Journal::open(durable).unwrap();
    let journal = Arc::new(journal);
    let mut told = runtime().block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            let journal = Arc::clone(&journal);
            tasks.spawn(async move {
                let mut told = Vec::new();
                for number in 0..EACH {
                    let record = record(caller * EACH + number, 400);
                    let position = journal.append(&record, Durability::Synced).await.unwrap();
                    assert!(journal.synced() >= position);
                    told.push((position, record));
                }
                told
            });
        }
        tasks.join_all().await.concat()
    });
    told.sort();
    let stats = journal.stats();
    assert_eq!(stats.records, CALLERS * EACH);
    assert!(
        stats.syncs < CALLERS * EACH / 4,
        "{} syncs for {} records",
        stats.syncs,
        stats.records
    );
    let records: Vec<Vec<u8>> = told.iter().map(|(_, record)| record.clone()).collect();
    assert!(
        told.iter()
            .zip(1..)
            .all(|((position, _), number)| position.0 == number)
    );
    assert_eq!(read_all(&journal), records);
}

#[test]
fn readers_follow_the_writer_through_rotation_and_compression() {
    const RECORDS: u64 = 2000;
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let journal = Arc::new(journal);
    runtime().block_on(async {
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let mut reader = journal.reader(Position::START).unwrap();
            readers.spawn(async move {
                while reader.position() < Position(RECORDS) {
                    match reader.next_entry().unwrap() {
                        Some(entry) => assert_eq!(entry.record, record(entry.position.0, 200)),
                        None => reader.wait().await.unwrap(),
                    }
                }
            });
        }
        for number in 1..=RECORDS {
            journal
                .append(&record(number, 200), Durability::Written)
                .await
                .unwrap();
            if number % 100 == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        readers.join_all().await;
    });
}

#[test]
fn a_strict_journal_syncs_every_record_before_it_answers() {
    let directory = tempfile::tempdir().unwrap();
    let strict = Config {
        strict: true,
        durable: true,
        ..config(directory.path())
    };
    let (journal, _) = Journal::open(strict).unwrap();
    for number in 1..=20 {
        append(&journal, &record(number, 100));
        assert_eq!(journal.synced(), Position(number));
    }
    assert!(journal.stats().syncs >= 20);
}

#[test]
fn a_record_nobody_waits_for_is_synced_soon_and_named_by_the_head() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Config {
        durable: true,
        ..config(directory.path())
    })
    .unwrap();
    append(&journal, b"left alone");
    runtime().block_on(journal.wait_beyond(Position::START)).unwrap();
    let waiting = std::time::Instant::now();
    while verify(directory.path(), None, |_| {}).unwrap().head != Position(1) {
        assert!(waiting.elapsed().as_secs() < 20, "the head is not written");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
