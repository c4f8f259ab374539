//! What becomes of commits and reads when the disk fails, on a disk that does so
//! when a test asks.

use std::sync::atomic::Ordering::SeqCst;

use super::{Place, RedbEngine};
use crate::commit::{Commit, KeyRange, Outcome, Write};
use crate::committer::Queued;
use crate::{StoreError, Version};

/// A disk that fills up when a test asks for it.
#[derive(Debug)]
pub(super) struct Faults {
    /// What the file system says is free; negative to ask the real one.
    free: std::sync::atomic::AtomicI64,
    /// Pages that may still be written for the first time. As on a real disk,
    /// what has its place can be overwritten when there is room for nothing new.
    pages_left: std::sync::atomic::AtomicI64,
    reads_fail: std::sync::atomic::AtomicBool,
    /// Whether the file was walked to repair it.
    walked: std::sync::atomic::AtomicBool,
    written: std::sync::Mutex<std::collections::BTreeSet<u64>>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            free: (-1).into(),
            pages_left: i64::MAX.into(),
            reads_fail: false.into(),
            walked: false.into(),
            written: std::sync::Mutex::default(),
        }
    }
}

impl Faults {
    pub(super) fn check(&self, offset: u64, length: usize) -> std::io::Result<()> {
        let mut written = self.written.lock().unwrap();
        for page in offset / 4_096..(offset + length as u64).div_ceil(4_096) {
            if written.contains(&page) {
                continue;
            }
            if self.pages_left.load(SeqCst) < i64::MAX && self.pages_left.fetch_sub(1, SeqCst) <= 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
            }
            written.insert(page);
        }
        Ok(())
    }

    pub(super) fn check_read(&self) -> std::io::Result<()> {
        if self.reads_fail.load(SeqCst) {
            return Err(std::io::Error::other("the disk does not answer"));
        }
        Ok(())
    }

    pub(super) fn walked(&self) {
        self.walked.store(true, SeqCst);
    }

    pub(super) fn free(&self) -> Option<u64> {
        u64::try_from(self.free.load(SeqCst)).ok()
    }
}

fn put(key: &str, value: &[u8]) -> Vec<Queued> {
    let mut commit = Commit::default();
    commit
        .writes
        .insert(key.as_bytes().into(), Write::Put(value.to_vec()));
    vec![Queued {
        commit,
        answer: tokio::sync::oneshot::channel().0,
    }]
}

fn engine(directory: &tempfile::TempDir) -> RedbEngine {
    let place = Place::File {
        path: directory.path().join("store.redb"),
        durable: true,
    };
    RedbEngine::open(place, 1 << 20).unwrap()
}

/// Wherever in a commit the disk fills up: nothing acknowledged is lost,
/// nothing refused is kept, reads go on, and commits do when there is room.
#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(&directory);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for round in 0..60i64 {
        let key = format!("k{round:03}");
        engine.faults.pages_left.store(round % 12, SeqCst);
        let outcome = engine.apply(&put(&key, &[7; 40_000]));
        engine.faults.pages_left.store(i64::MAX, SeqCst);
        match outcome {
            Ok(outcomes) => {
                assert!(matches!(outcomes[..], [Outcome::Applied(_)]));
                acknowledged.push(key);
            }
            // The file could not even be opened again to look.
            Err(StoreError::Unsure) => {
                if engine.get(key.as_bytes()).unwrap().is_some() {
                    acknowledged.push(key);
                }
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Full), "{error:?}");
                refused += 1;
            }
        }
        let rows = engine.scan(&KeyRange::everything(), 1_000).unwrap();
        let kept: Vec<_> = rows
            .into_iter()
            .map(|(key, _)| String::from_utf8(key).unwrap())
            .collect();
        assert_eq!(kept, acknowledged, "after round {round}");
    }
    assert!(refused > 5 && acknowledged.len() > 10, "{refused} refused");
    drop(engine);
    let again = self::engine(&directory);
    assert_eq!(
        again.scan(&KeyRange::everything(), 1_000).unwrap().len(),
        acknowledged.len()
    );
}

/// While the disk stays full even the opening after a failure may fail;
/// the store still recovers when room returns.
#[test]
fn a_disk_that_stays_full_for_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(&directory);
    engine.apply(&put("before", b"1")).unwrap();
    engine.faults.pages_left.store(0, SeqCst);
    for _ in 0..3 {
        let error = engine.apply(&put("during", &[7; 100_000])).unwrap_err();
        assert!(
            matches!(error, StoreError::Full | StoreError::Unsure),
            "{error:?}"
        );
    }
    engine.faults.pages_left.store(i64::MAX, SeqCst);
    engine.apply(&put("after", b"2")).unwrap();
    assert!(engine.get(b"before").unwrap().is_some());
    assert!(engine.get(b"after").unwrap().is_some());
    assert!(engine.get(b"during").unwrap().is_none());
}

/// A read that failed closes the engine to everybody until it is opened again.
#[test]
fn a_read_that_failed_costs_itself_alone() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(&directory);
    for number in 0..200 {
        engine.apply(&put(&format!("k{number}"), &[7; 20_000])).unwrap();
    }
    for commit_next in [false, true] {
        engine.faults.reads_fail.store(true, SeqCst);
        let failed = engine.scan(&KeyRange::everything(), 1_000).unwrap_err();
        engine.faults.reads_fail.store(false, SeqCst);
        assert!(matches!(failed, StoreError::Engine(_)), "{failed:?}");
        if commit_next {
            engine.apply(&put("k0", b"new")).unwrap();
        }
        assert_eq!(engine.scan(&KeyRange::everything(), 1_000).unwrap().len(), 200);
    }
}

#[test]
fn a_nearly_full_disk_refuses_before_anything_breaks() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(&directory);
    engine.faults.free.store(1_000, SeqCst);
    assert!(matches!(engine.apply(&put("k", b"1")), Err(StoreError::Full)));
    engine.faults.free.store(-1, SeqCst);
    engine.apply(&put("k", b"1")).unwrap();
    assert_eq!(engine.version().unwrap(), Version(1));
}

/// What lies on the disk after any commit, and after none, is opened without
/// walking it: that is what makes the start after a crash quick.
#[test]
fn what_a_killed_process_leaves_is_not_walked() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(&directory);
    let left = |name: &str| {
        let killed = tempfile::tempdir_in(&directory).unwrap();
        let file = directory.path().join("store.redb");
        std::fs::copy(file, killed.path().join("store.redb")).unwrap();
        let opened = self::engine(&killed);
        assert!(!opened.faults.walked.load(SeqCst), "after {name}");
        opened.scan(&KeyRange::everything(), 1_000).unwrap().len()
    };
    assert_eq!(left("nothing"), 0);
    for round in 0..20 {
        engine
            .apply(&put(&format!("k{round:03}"), &vec![7; round * 3_000]))
            .unwrap();
        assert_eq!(left("a commit"), round + 1);
    }
    let mut refused = put("k000", b"never");
    refused[0]
        .commit
        .preconditions
        .push(crate::commit::Precondition::Key {
            key: b"k000".as_slice().into(),
            expected: None,
        });
    let outcomes = engine.apply(&refused).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Conflict]));
    assert_eq!(left("a commit that conflicts"), 20);

    // And it would be noticed, if a commit did not keep the allocator's state.
    engine
        .with(|database| {
            let writing = database.begin_write().unwrap();
            drop(writing.open_table(super::layout::ROWS).unwrap());
            writing.commit().unwrap();
            Ok(())
        })
        .unwrap();
    let killed = tempfile::tempdir_in(&directory).unwrap();
    std::fs::copy(
        directory.path().join("store.redb"),
        killed.path().join("store.redb"),
    )
    .unwrap();
    assert!(self::engine(&killed).faults.walked.load(SeqCst));
}
