//! The one writer of a process: a queue of commits, taken in batches.
//!
//! While a batch is being made durable the next one gathers, so that the cost
//! of a flush is shared by all who wait for it. Commits of a batch are weighed
//! one after the other against the state the ones before them left.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::cache::Cache;
use crate::commit::{Commit, Outcome};
use crate::feed::{Change, ChangeKind, Feed};
use crate::limits::{BATCH_BYTES_MAX, BATCH_COMMITS_MAX};
use crate::stats::Counters;
use crate::{StoreError, Version};

/// A commit and whoever waits for it.
pub(crate) struct Queued {
    pub(crate) commit: Commit,
    pub(crate) answer: oneshot::Sender<Result<Version, StoreError>>,
}

/// Takes `first` and whatever else is waiting, up to the limits of a batch.
pub(crate) fn gather(first: Queued, queue: &mut mpsc::Receiver<Queued>) -> Vec<Queued> {
    let mut bytes = first.commit.bytes();
    let mut batch = vec![first];
    while batch.len() < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(next) = queue.try_recv() else {
            break;
        };
        bytes += next.commit.bytes();
        batch.push(next);
    }
    batch
}

/// What must hear of every commit before its caller does.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) cache: Arc<Cache>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) feed: Arc<Feed>,
}

impl Upkeep {
    /// Answers a batch that was made durable. The cache hears first, so that a
    /// caller who was told of a commit never reads what was before it.
    ///
    /// `publish` feeds the watchers too; PostgreSQL's feed reads the change log
    /// instead, where the commits of all nodes have one order.
    pub(crate) fn settle(&self, batch: Vec<Queued>, outcomes: &[Outcome], publish: bool) {
        let mut changes = Vec::new();
        let mut newest = Version(0);
        for (queued, outcome) in batch.iter().zip(outcomes) {
            let &Outcome::Applied(version) = outcome else {
                continue;
            };
            newest = newest.max(version);
            for (key, is_there) in queued.commit.rows(version) {
                self.cache.changed(&key);
                if publish {
                    let kind = if is_there {
                        ChangeKind::Put
                    } else {
                        ChangeKind::Delete
                    };
                    changes.push(Change { version, key, kind });
                }
            }
        }
        if publish {
            self.feed.publish(changes, newest);
        }
        self.counters.batches.add(1);
        for (queued, outcome) in batch.into_iter().zip(outcomes) {
            let answer = match outcome {
                Outcome::Applied(version) => {
                    self.counters.commits.add(1);
                    Ok(*version)
                }
                Outcome::Conflict => {
                    self.counters.conflicts.add(1);
                    Err(StoreError::Conflict)
                }
                Outcome::Refused(error) => {
                    self.counters.failures.add(1);
                    Err(error.clone())
                }
            };
            // Whoever asked may have gone; the commit stands all the same.
            let _ = queued.answer.send(answer);
        }
    }

    /// Answers a batch that failed as a whole.
    pub(crate) fn fail(&self, batch: Vec<Queued>, error: &StoreError) {
        if matches!(error, StoreError::Unsure) {
            // Part of what is cached may be overtaken by a commit nobody was told of.
            for queued in &batch {
                let added_to = queued.commit.additions.keys();
                for key in queued.commit.writes.keys().chain(added_to) {
                    self.cache.changed(key);
                }
                for append in &queued.commit.appends {
                    self.cache.changed(&append.prefix);
                }
            }
        }
        self.counters.failures.add(batch.len() as u64);
        for queued in batch {
            let _ = queued.answer.send(Err(error.clone()));
        }
    }
}
