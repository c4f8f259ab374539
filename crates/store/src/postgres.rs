//! The database engine: PostgreSQL, shared by any number of nodes.
//!
//! Every commit takes the same table lock before it reads anything, so commits
//! of all nodes run one after the other, versions become visible in their
//! order, and the change log has no gaps that fill later. SERIALIZABLE stands
//! behind that as a second line; 40001 and 40P01 repeat the batch.
//!
//! A node numbers its batches and writes the number in the same transaction.
//! When a connection is lost during a commit, the number tells on the next one
//! whether the batch had been kept, so that no commit is made twice and none is
//! reported lost that was kept.
//!
//! Nothing but plain tables is used, so that highly available PostgreSQL and
//! databases that speak its protocol can serve.

mod committer;
mod connect;
mod exchange;
mod feed;
mod link;
mod plan;
mod reading;
mod row;
mod tls;

pub(crate) use committer::start_committer;
pub(crate) use feed::start_feed;
pub(crate) use reading::PostgresSnapshot;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore};

use self::connect::{Target, connect};
use self::exchange::bounded;
use self::reading::Lane;
use self::row::{column, version_column};
use crate::limits::{READ_CONNECTIONS, SNAPSHOTS_MAX};
use crate::{StoreError, Version};

/// The layout this release writes.
const LAYOUT: i64 = 1;

/// Creates what is missing. The advisory lock keeps two nodes that start
/// together from creating the same table twice.
const CREATE: &str = "
BEGIN;
SELECT pg_advisory_xact_lock(7233183901);
CREATE TABLE IF NOT EXISTS palisade_kv (key bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL);
CREATE TABLE IF NOT EXISTS palisade_change (
    version bigint NOT NULL, key bytea NOT NULL, deleted boolean NOT NULL, PRIMARY KEY (version, key));
CREATE TABLE IF NOT EXISTS palisade_sequence (
    id int PRIMARY KEY CHECK (id = 1), layout bigint NOT NULL, version bigint NOT NULL, trimmed bigint NOT NULL);
INSERT INTO palisade_sequence VALUES (1, 1, 0, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS palisade_node (node text PRIMARY KEY, batch bigint NOT NULL, seen timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS palisade_writer (id int PRIMARY KEY);
DELETE FROM palisade_node WHERE seen < now() - interval '7 days';
COMMIT";

pub(crate) struct PostgresEngine {
    readers: Vec<Lane>,
    next_reader: AtomicUsize,
    snapshots: Arc<Semaphore>,
    /// Woken when this node has committed, so that its watchers need not wait for the poll.
    committed: Notify,
    closed: AtomicBool,
    node: String,
    target: Target,
}

impl PostgresEngine {
    /// Connects, creates the tables if they are missing, and tells the newest version.
    pub(crate) async fn open(
        url: &str,
        ca_file: Option<&Path>,
    ) -> Result<(PostgresEngine, Version), StoreError> {
        let target = Target::new(url, ca_file)?;
        let client = connect(&target).await?;
        bounded(client.batch_execute(CREATE)).await?;
        let row = bounded(client.query_one(
            "SELECT layout, version, gen_random_uuid()::text FROM palisade_sequence",
            &[],
        ))
        .await?;
        let layout: i64 = column(&row, 0)?;
        if layout != LAYOUT {
            return Err(StoreError::NewerStore {
                found: layout.unsigned_abs(),
                known: LAYOUT.unsigned_abs(),
            });
        }
        let engine = PostgresEngine {
            readers: (0..READ_CONNECTIONS).map(|_| Lane::default()).collect(),
            next_reader: AtomicUsize::new(0),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS_MAX)),
            committed: Notify::new(),
            closed: AtomicBool::new(false),
            node: column(&row, 2)?,
            target,
        };
        Ok((engine, version_column(&row, 1)?))
    }

    /// Ends the feed and lets go of the connections.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.snapshots.close();
        self.committed.notify_one();
        for lane in &self.readers {
            lane.close().await;
        }
    }
}
