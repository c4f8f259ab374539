//! The journal from outside: what it promises, and what happens to it.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the tests change the journal's files behind its back and kill a child process"
)]

mod crash;
mod full_disk;
mod keeping;
mod phrases;
mod tampering;

use std::path::Path;

use ground::{Clock, Timestamp};
use journal::{Config, Durability, Journal, Position, Recovery};

/// A small, throw-away journal on a clock that stands still.
fn config(directory: &Path) -> Config {
    Config {
        segment_bytes_max: 4096,
        reserve_bytes: 64 * 1024,
        durable: false,
        clock: Clock::virtual_from(Timestamp(1_767_323_045_678)),
        ..Config::new(directory)
    }
}

fn open(directory: &Path) -> (Journal, Recovery) {
    Journal::open(config(directory)).unwrap()
}

fn append(journal: &Journal, record: &[u8]) -> Position {
    journal.append_blocking(record, Durability::Written).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Everything on disk, in order, with positions counted from 1.
fn read_all(journal: &Journal) -> Vec<Vec<u8>> {
    runtime().block_on(journal.sync()).unwrap();
    let mut reader = journal.reader(Position::START).unwrap();
    let mut records = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        records.push(entry.record);
        assert_eq!(entry.position, Position(records.len() as u64));
    }
    records
}

/// A record that can be told from every other.
fn record(number: u64, size: usize) -> Vec<u8> {
    let mut record = format!("record {number} ").into_bytes();
    let mut state = number;
    while record.len() < size {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        record.push((state >> 56) as u8);
    }
    record
}

/// The image of a directory as a killed process would leave it.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn segment_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".segment"))
        .collect();
    files.sort();
    files
}
