//! The committer of one node: takes batches from the queue, repeats those the
//! database asks to repeat, and finds out what became of a batch whose
//! connection was lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PostgresEngine;
use super::connect::BACKOFF;
use super::exchange::{Failure, exchange, exchange_failures};
use super::link::Link;
use super::plan::weigh;
use crate::StoreError;
use crate::commit::Outcome;
use crate::committer::{Queued, Upkeep, gather};
use crate::limits::{DATABASE_PATIENCE, SERIALIZATION_ATTEMPTS};

/// Starts the task that commits, until the queue closes.
#[expect(
    clippy::disallowed_methods,
    reason = "the store owns this task; Store::close waits for it"
)]
pub(crate) fn start_committer(
    engine: Arc<PostgresEngine>,
    mut queue: mpsc::Receiver<Queued>,
    upkeep: Upkeep,
) -> JoinHandle<()> {
    let mut writer = Writer {
        engine,
        counters: Arc::clone(&upkeep.counters),
        link: None,
        batch: 0,
    };
    tokio::spawn(async move {
        while let Some(first) = queue.recv().await {
            let batch = gather(first, &mut queue);
            match Box::pin(writer.apply(&batch)).await {
                Ok(outcomes) => {
                    upkeep.settle(batch, &outcomes, false);
                    writer.engine.committed.notify_one();
                }
                Err(error) => upkeep.fail(batch, &error),
            }
        }
        writer.engine.close().await;
    })
}

/// The committing side of one node.
struct Writer {
    engine: Arc<PostgresEngine>,
    counters: Arc<crate::stats::Counters>,
    link: Option<Link>,
    /// The number of this node's newest batch.
    batch: i64,
}

impl Writer {
    async fn apply(&mut self, batch: &[Queued]) -> Result<Vec<Outcome>, StoreError> {
        self.batch += 1;
        let give_up = Instant::now() + DATABASE_PATIENCE;
        let mut pause = BACKOFF.0;
        let mut repeats = 0;
        // What the batch was to write when its commit was sent and no answer came.
        let mut sent: Option<Vec<Outcome>> = None;
        loop {
            let failure = match self.attempt(batch, &mut sent).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(failure) => failure,
            };
            if failure.lost {
                self.link = None;
            } else if failure.repeat && repeats < SERIALIZATION_ATTEMPTS {
                repeats += 1;
                continue;
            } else {
                // The database refused and rolled back; the connection is sound
                // once it has left the transaction.
                self.leave_transaction().await;
                return Err(failure.error);
            }
            if Instant::now() >= give_up || self.engine.closed.load(Ordering::SeqCst) {
                return Err(match sent {
                    Some(_) => StoreError::Unsure,
                    None => failure.error,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    async fn leave_transaction(&mut self) {
        if let Some(link) = &self.link
            && exchange(link.client.batch_execute("ROLLBACK")).await.is_err()
        {
            self.link = None;
        }
    }

    async fn attempt(
        &mut self,
        batch: &[Queued],
        sent: &mut Option<Vec<Outcome>>,
    ) -> Result<Vec<Outcome>, Failure> {
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            if self.batch > 1 || sent.is_some() {
                self.counters.reconnects.add(1);
            }
            self.link = Some(Box::pin(Link::open(&self.engine.target)).await?);
        }
        let Some(link) = &self.link else {
            return Err(Failure::lost(StoreError::Closed));
        };
        let state = exchange_failures(link.read_state(&self.engine.node, batch)).await;
        let state = match state {
            Ok(state) => state,
            Err(failure) => {
                if failure.repeat {
                    exchange(link.client.batch_execute("ROLLBACK")).await?;
                }
                return Err(failure);
            }
        };
        if state.kept == Some(self.batch)
            && let Some(outcomes) = sent.take()
        {
            exchange(link.client.batch_execute("ROLLBACK")).await?;
            return Ok(outcomes);
        }
        // The earlier attempt was not kept and cannot be any more: its
        // connection's locks are gone, or we would not hold them.
        *sent = None;
        let plan = weigh(batch, &state);
        if plan.changes.is_empty() && plan.version == state.version {
            exchange(link.client.batch_execute("ROLLBACK")).await?;
            return Ok(plan.outcomes);
        }
        let written = exchange_failures(link.write(&self.engine.node, self.batch, &plan, &state)).await;
        match written {
            Ok(()) => Ok(plan.outcomes),
            Err(failure) => {
                if failure.lost {
                    *sent = Some(plan.outcomes);
                } else if failure.repeat {
                    exchange(link.client.batch_execute("ROLLBACK")).await?;
                }
                Err(failure)
            }
        }
    }
}
