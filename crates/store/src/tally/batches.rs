//! Batches of commits that add to the same few numbers, and what is to come of
//! them: both engines are held to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::Addition;
use crate::commit::{Commit, Outcome, Write};
use crate::committer::Queued;

const TABLE: crate::Table<String, u64> = crate::Table::new("test/tally", 1);

/// Rows by key, as an engine should hold them.
pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a commit does to one number.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    number: u8,
    /// What the commit itself puts there first; `Some(None)` removes it.
    write: Option<Option<u64>>,
    by: i64,
    most: Option<u64>,
}

fn step() -> impl Strategy<Value = Step> {
    let write = prop_oneof![
        4 => Just(None),
        1 => Just(Some(None)),
        1 => (0u64..8).prop_map(|put| Some(Some(put))),
    ];
    let most = prop_oneof![1 => Just(None), 4 => (0u64..10).prop_map(Some)];
    (0u8..3, write, -3i64..=3, most).prop_map(|(number, write, by, most)| Step {
        number,
        write,
        by,
        most,
    })
}

/// A few batches of commits, each of which does something to some numbers.
pub(crate) fn batches() -> impl Strategy<Value = Vec<Vec<Vec<Step>>>> {
    let commit = proptest::collection::btree_map(0u8..3, step(), 1..3).prop_map(|steps| {
        let steps = steps.into_iter().map(|(number, step)| Step { number, ..step });
        steps.collect()
    });
    proptest::collection::vec(proptest::collection::vec(commit, 1..8), 1..4)
}

fn key(number: u8) -> Vec<u8> {
    vec![b'n', number]
}

/// The batch as the committer takes it. Each commit also leaves a row of its own.
pub(crate) fn queued(batch: usize, commits: &[Vec<Step>]) -> Vec<Queued> {
    let commits = commits.iter().enumerate().map(|(at, steps)| {
        let mut commit = Commit::default();
        commit
            .writes
            .insert(own_row(batch, at).into(), Write::Put(b"made".to_vec()));
        for step in steps {
            let key: Arc<[u8]> = key(step.number).into();
            let write = step.write.map(|put| match put {
                Some(number) => Write::Put(TABLE.encode(&number).unwrap()),
                None => Write::Delete,
            });
            commit.writes.extend(write.map(|write| (Arc::clone(&key), write)));
            let addition = Addition {
                by: step.by,
                most: step.most,
                record_version: TABLE.version(),
                table: TABLE.name(),
            };
            commit.additions.insert(key, addition);
        }
        Queued {
            commit,
            answer: tokio::sync::oneshot::channel().0,
        }
    });
    commits.collect()
}

fn own_row(batch: usize, at: usize) -> Vec<u8> {
    format!("own/{batch}/{at}").into_bytes()
}

/// Does to `rows` what the batch should, one commit after the other and each whole
/// or not at all, and tells which of them are made.
pub(crate) fn make(rows: &mut Rows, batch: usize, commits: &[Vec<Step>]) -> Vec<bool> {
    let commits = commits.iter().enumerate().map(|(at, steps)| {
        let mut after = rows.clone();
        after.insert(own_row(batch, at), b"made".to_vec());
        for step in steps {
            let key = key(step.number);
            let before = match step.write {
                Some(put) => put.unwrap_or(0),
                None => rows.get(&key).map_or(0, |row| *TABLE.decode(row).unwrap()),
            };
            let sum = before.saturating_add_signed(step.by);
            if sum > before && step.most.is_some_and(|most| sum > most) {
                return false;
            }
            after.insert(key, TABLE.encode(&sum).unwrap());
        }
        *rows = after;
        true
    });
    commits.collect()
}

/// Which commits were made, so that it can be compared with what [`make`] says.
pub(crate) fn made(outcomes: &[Outcome]) -> Vec<bool> {
    let made = outcomes.iter().map(|outcome| match outcome {
        Outcome::Applied(_) => true,
        Outcome::Refused(crate::StoreError::PastMost { .. }) => false,
        Outcome::Conflict | Outcome::Refused(_) => panic!("nothing else was asked: {outcome:?}"),
    });
    made.collect()
}
