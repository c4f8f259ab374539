//! The feed of a node: follows the change log, in which every node writes what
//! it commits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::try_join;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Statement};

use super::PostgresEngine;
use super::connect::{BACKOFF, connect_announced};
use super::exchange::bounded;
use super::row::{column, number, version_column};
use crate::committer::Upkeep;
use crate::feed::{Change, ChangeKind};
use crate::limits::{FEED_POLL, STALENESS_MAX};
use crate::{StoreError, Version};

const CHANGES: &str = "SELECT version, key, deleted FROM palisade_change
    WHERE (version, key) > ($1, $2) ORDER BY version, key LIMIT $3";

/// Sorts behind every key: keys begin with ASCII.
const BEHIND_EVERY_KEY: &[u8] = &[0xff];

/// Changes read from the log at once.
const CHANGES_PAGE: i64 = 2_000;

/// Starts the task that reads the change log, from `from` on, until the engine closes.
#[expect(
    clippy::disallowed_methods,
    reason = "the store owns this task; Store::close waits for it"
)]
pub(crate) fn start_feed(engine: Arc<PostgresEngine>, from: Version, upkeep: Upkeep) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut follower = Follower {
            seen: (from, BEHIND_EVERY_KEY.to_vec()),
            upkeep,
        };
        let mut pause = BACKOFF.0;
        while !engine.closed.load(Ordering::SeqCst) {
            match follower.follow(&engine, &mut pause).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "the change feed of the database is interrupted"),
            }
            follower.upkeep.counters.reconnects.add(1);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
        follower.upkeep.feed.close();
    })
}

/// The reading side of the change log.
struct Follower {
    /// The last change read: its version and key.
    seen: (Version, Vec<u8>),
    upkeep: Upkeep,
}

impl Follower {
    /// Reads changes as they come until the engine closes or the connection fails.
    async fn follow(&mut self, engine: &PostgresEngine, pause: &mut Duration) -> Result<(), StoreError> {
        let announced = Arc::new(Notify::new());
        let client = connect_announced(&engine.target, Some(Arc::clone(&announced))).await?;
        bounded(client.batch_execute("LISTEN palisade_change")).await?;
        let changes = bounded(client.prepare(CHANGES)).await?;
        let state = bounded(client.prepare("SELECT version, trimmed FROM palisade_sequence")).await?;
        loop {
            while !self.read(&client, &changes, &state).await? {}
            *pause = BACKOFF.0;
            if engine.closed.load(Ordering::SeqCst) {
                return Ok(());
            }
            tokio::select! {
                () = announced.notified() => {}
                () = engine.committed.notified() => {}
                () = tokio::time::sleep(FEED_POLL) => {}
            }
        }
    }

    /// Reads one page of the log; tells whether it was the last.
    async fn read(
        &mut self,
        client: &Client,
        changes: &Statement,
        state: &Statement,
    ) -> Result<bool, StoreError> {
        let asked = Instant::now();
        let after = number(self.seen.0);
        let (rows, state) = bounded(try_join(
            client.query(changes, &[&after, &self.seen.1, &CHANGES_PAGE]),
            // Read after the changes: what was trimmed before they were read shows here.
            client.query_one(state, &[]),
        ))
        .await?;
        let newest = version_column(&state, 0)?;
        let trimmed = version_column(&state, 1)?;
        if trimmed > self.seen.0 || newest < self.seen.0 {
            // The log no longer reaches back to where we were, or the database
            // has gone back to an earlier state (a restore, or a failover that
            // lost commits). Either way nothing known before is certain.
            self.upkeep.counters.resyncs.add(1);
            self.upkeep.cache.all_changed();
            self.upkeep.feed.reset(newest);
            self.seen = (newest, BEHIND_EVERY_KEY.to_vec());
            return Ok(false);
        }
        let last_page = rows.len() < usize::try_from(CHANGES_PAGE).unwrap_or(usize::MAX);
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let version = version_column(row, 0)?;
            let key: Vec<u8> = column(row, 1)?;
            let deleted: bool = column(row, 2)?;
            self.upkeep.cache.changed(&key);
            found.push(Change {
                version,
                key: key.as_slice().into(),
                kind: if deleted {
                    ChangeKind::Delete
                } else {
                    ChangeKind::Put
                },
            });
            self.seen = (version, key);
        }
        if let Some(last) = found.last() {
            let version = last.version;
            self.upkeep.feed.publish(found, version);
        }
        if last_page {
            self.upkeep.cache.known_until(asked, STALENESS_MAX);
        }
        Ok(last_page)
    }
}
