//! What a killed process and a cut cable leave behind.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use journal::{Config, Durability, Journal, Position, Tail, TailFound, verify};
use proptest::prelude::*;

use crate::{append, config, copy, open, read_all, record, segment_files};

const CHILD_DIRECTORY: &str = "JOURNAL_TEST_CHILD_DIRECTORY";

/// Frame bytes besides the payload, and the header's; the format is fixed on disk.
const OVERHEAD: usize = 52;
const HEADER: usize = 96;
const FOOTER: usize = 100;

/// Length of the last segment, by the rule of the format, after records of these sizes.
fn last_segment_records(sizes: &[usize], segment_bytes_max: usize) -> (usize, usize) {
    let (mut offset, mut first) = (HEADER, 0);
    for (index, size) in sizes.iter().enumerate() {
        if offset + size + OVERHEAD + FOOTER > segment_bytes_max && offset > HEADER {
            (offset, first) = (HEADER, index);
        }
        offset += size + OVERHEAD;
    }
    (first, offset)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Wherever the last file is cut, what is left is a prefix that ends with the last whole record.
    #[test]
    fn a_cut_anywhere_leaves_every_whole_record(
        sizes in prop::collection::vec(0usize..1500, 1..40),
        cut in 0.0f64..1.0,
    ) {
        let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // Heads are written each second; until the first, nothing but the log itself says how long it is.
        let (journal, _) = Journal::open(Config { compress_sealed: false, ..config(running.path()) }).unwrap();
        let records: Vec<Vec<u8>> =
            sizes.iter().zip(1..).map(|(size, number)| record(number, *size)).collect();
        for record in &records {
            append(&journal, record);
        }
        copy(running.path(), crashed.path());
        drop(journal);

        let lengths: Vec<usize> = records.iter().map(Vec::len).collect();
        let (first, length) = last_segment_records(&lengths, 4096);
        let last = segment_files(crashed.path()).pop().unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&last).unwrap();
        prop_assert_eq!(file.metadata().unwrap().len(), length as u64);
        // A cut into the header of the first segment would be a cut before the head.
        let least = if first == 0 { HEADER } else { 0 };
        let cut = least + ((length - least) as f64 * cut) as usize;
        file.set_len(cut as u64).unwrap();

        let mut offset = HEADER;
        let mut whole = first;
        while whole < records.len() && offset + lengths[whole] + OVERHEAD <= cut {
            offset += lengths[whole] + OVERHEAD;
            whole += 1;
        }
        let torn = if cut < HEADER { 0 } else { (cut - offset) as u64 };

        let report = verify(crashed.path(), None, |_| {}).unwrap();
        prop_assert_eq!(report.position, Position(whole as u64));
        prop_assert_eq!(matches!(report.tail, Tail::Torn { .. }), torn > 0);

        let (journal, recovery) = open(crashed.path());
        prop_assert_eq!(recovery.position, Position(whole as u64));
        prop_assert!(!recovery.clean);
        prop_assert_eq!(
            recovery.tail,
            if torn == 0 { TailFound::Whole } else { TailFound::Torn { bytes: torn } }
        );
        append(&journal, b"after the crash");
        let mut expected = records[..whole].to_vec();
        expected.push(b"after the crash".to_vec());
        prop_assert_eq!(read_all(&journal), expected);
        drop(journal);
        let report = verify(crashed.path(), None, |_| {}).unwrap();
        prop_assert_eq!((report.position.0, report.clean), (whole as u64 + 1, true));
    }

    /// A power cut may leave anything beyond the last sync. No record before it is lost,
    /// none after it is invented, and the rest is kept for a person to look at.
    #[test]
    fn rubbish_beyond_the_head_is_set_aside(
        count in 1usize..40,
        at in 0.0f64..1.0,
        rubbish in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (journal, _) = Journal::open(Config { compress_sealed: false, ..config(running.path()) }).unwrap();
        let records: Vec<Vec<u8>> = (1..=count as u64).map(|number| record(number, 400)).collect();
        for record in &records {
            append(&journal, record);
        }
        copy(running.path(), crashed.path());
        drop(journal);

        let files = segment_files(crashed.path());
        let file = &files[(files.len() as f64 * at) as usize];
        let mut bytes = std::fs::read(file).unwrap();
        let place = HEADER + ((bytes.len() - HEADER) as f64 * at) as usize;
        let end = (place + rubbish.len()).min(bytes.len());
        bytes[place..end].copy_from_slice(&rubbish[..end - place]);
        let damaged = bytes != std::fs::read(file).unwrap();
        std::fs::write(file, &bytes).unwrap();

        prop_assert_eq!(verify(crashed.path(), None, |_| {}).is_err(), damaged);
        let (journal, recovery) = open(crashed.path());
        let kept = read_all(&journal);
        prop_assert_eq!(recovery.position, Position(kept.len() as u64));
        prop_assert_eq!(&kept[..], &records[..kept.len()]);
        if damaged {
            prop_assert!(matches!(recovery.tail, TailFound::SetAside { .. }), "{:?}", recovery);
            let aside = std::fs::read_dir(crashed.path())
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|name| name == "aside"))
                .count();
            prop_assert!(aside >= 1);
        } else {
            prop_assert_eq!(kept.len(), records.len());
        }
        drop(journal);
        verify(crashed.path(), None, |_| {}).unwrap();
    }
}

/// A file system may give a file its length before its bytes.
#[test]
fn zeros_at_the_end_are_a_torn_tail() {
    let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, _) = open(running.path());
    append(&journal, b"whole");
    copy(running.path(), crashed.path());
    let last = segment_files(crashed.path()).pop().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&last).unwrap();
    file.set_len(file.metadata().unwrap().len() + 10_000).unwrap();
    let report = verify(crashed.path(), None, |_| {}).unwrap();
    assert!(
        matches!(report.tail, Tail::Torn { bytes: 10_000, .. }),
        "{report:?}"
    );
    let (journal, recovery) = open(crashed.path());
    assert_eq!(recovery.tail, TailFound::Torn { bytes: 10_000 });
    assert_eq!(read_all(&journal), [b"whole"]);
}

/// The crash between finishing a compressed file and removing the plain one.
#[test]
fn a_segment_in_both_forms_is_settled() {
    let (running, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, _) = Journal::open(Config {
        compress_sealed: false,
        ..config(running.path())
    })
    .unwrap();
    let records: Vec<Vec<u8>> = (1..=30).map(|number| record(number, 400)).collect();
    for record in &records {
        append(&journal, record);
    }
    copy(running.path(), crashed.path());
    drop(journal);
    let plain = segment_files(crashed.path()).remove(0);
    let bytes = std::fs::read(&plain).unwrap();
    let (journal, _) = open(crashed.path());
    while plain.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(journal);
    std::fs::write(&plain, &bytes).unwrap();
    std::fs::write(
        crashed.path().join("00000000000000000009.segment.zst.tmp"),
        b"half",
    )
    .unwrap();
    verify(crashed.path(), None, |_| {}).unwrap();

    let (journal, _) = open(crashed.path());
    assert!(!plain.exists());
    assert!(
        !crashed
            .path()
            .join("00000000000000000009.segment.zst.tmp")
            .exists()
    );
    assert_eq!(read_all(&journal), records);
}

/// A process that is killed at any moment has lost nothing that it was told is written.
#[test]
fn a_killed_process_loses_nothing_it_was_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0u64;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::child_that_appends_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD_DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The pause differs each time, so that the kill meets rotation, sync and compression too.
        let wanted = 200 + round * 131;
        let mut seen = 0;
        for line in lines {
            let Some(position) = line
                .unwrap()
                .strip_prefix("written ")
                .map(|text| text.parse().unwrap())
            else {
                continue;
            };
            acknowledged = position;
            seen += 1;
            if seen == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= wanted, "the child was killed, and did not end by itself");

        let report = verify(directory.path(), None, |_| {}).unwrap();
        assert!(
            report.position.0 >= acknowledged,
            "{report:?}, {acknowledged} acknowledged"
        );
        let (journal, recovery) = open(directory.path());
        assert!(!recovery.clean);
        assert!(
            !matches!(recovery.tail, TailFound::SetAside { .. }),
            "{recovery:?}"
        );
        let records = read_all(&journal);
        assert!(records.len() as u64 >= acknowledged);
        for (kept, number) in records.iter().zip(1..) {
            assert_eq!(*kept, record(number, (number * 37 % 900) as usize));
        }
        acknowledged = records.len() as u64;
        drop(journal);
    }
    assert!(acknowledged > 5000);
}

#[test]
#[ignore = "a part of a_killed_process_loses_nothing_it_was_told_of, which runs it"]
fn child_that_appends_until_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY) else {
        return;
    };
    let (journal, recovery) = Journal::open(Config {
        segment_bytes_max: 32 * 1024,
        ..config(Path::new(&directory))
    })
    .unwrap();
    let mut output = std::io::stdout().lock();
    for number in recovery.position.0 + 1.. {
        let position = journal
            .append_blocking(&record(number, (number * 37 % 900) as usize), Durability::Written)
            .unwrap();
        assert_eq!(position.0, number);
        writeln!(output, "written {number}").unwrap();
    }
}
