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

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join4};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Statement};

use crate::commit::{KeyRange, Outcome, Precondition, Versioned, Write};
use crate::committer::{Queued, Upkeep, gather};
use crate::feed::{Change, ChangeKind};
use crate::limits::{
    CHANGE_LOG_TRIM_EVERY, CHANGE_LOG_VERSIONS, CONNECT_MAX, DATABASE_EXCHANGE_MAX, DATABASE_PATIENCE,
    FEED_POLL, READ_CONNECTIONS, SERIALIZATION_ATTEMPTS, SNAPSHOTS_MAX, STALENESS_MAX,
};
use crate::tls::Tls;
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

/// Takes the turn to write. The lock is on a table without rows, so that no
/// maintenance of the database contends for it; LOCK TABLE takes no snapshot,
/// so what is read after it is what the commit before it left.
const BEGIN: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE palisade_writer IN EXCLUSIVE MODE";

const COMMIT: &str = "NOTIFY palisade_change; COMMIT";

const GET: &str = "SELECT version, value FROM palisade_kv WHERE key = $1";

const SCAN: &str =
    "SELECT key, version, value FROM palisade_kv WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";

const STATE: &str = "SELECT version, trimmed, (SELECT batch FROM palisade_node WHERE node = $1)
    FROM palisade_sequence";

const VERSIONS: &str = "SELECT key, version FROM palisade_kv WHERE key = ANY($1)";

/// One row for each range: how many rows it holds, at most one more than
/// expected, and the newest version among those.
const RANGES: &str = "SELECT found.rows, found.newest
    FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) WITH ORDINALITY AS wanted(first, behind, most, place)
    CROSS JOIN LATERAL (
        SELECT count(*) AS rows, max(version) AS newest FROM (
            SELECT version FROM palisade_kv WHERE key >= wanted.first AND key < wanted.behind
            ORDER BY key LIMIT wanted.most) AS counted) AS found
    ORDER BY wanted.place";

const DELETE: &str = "DELETE FROM palisade_kv WHERE key = ANY($1)";

const UPSERT: &str = "INSERT INTO palisade_kv (key, version, value)
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value";

const LOG: &str = "INSERT INTO palisade_change (version, key, deleted)
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::boolean[])";

const ADVANCE: &str = "WITH node AS (
        INSERT INTO palisade_node VALUES ($1, $2, now())
        ON CONFLICT (node) DO UPDATE SET batch = excluded.batch, seen = excluded.seen)
    UPDATE palisade_sequence SET version = $3";

const TRIM: &str = "WITH gone AS (DELETE FROM palisade_change WHERE version <= $1)
    UPDATE palisade_sequence SET trimmed = $1";

const CHANGES: &str = "SELECT version, key, deleted FROM palisade_change
    WHERE (version, key) > ($1, $2) ORDER BY version, key LIMIT $3";

/// Sorts behind every key: keys begin with ASCII.
const BEHIND_EVERY_KEY: &[u8] = &[0xff];

/// Changes read from the log at once.
const CHANGES_PAGE: i64 = 2_000;

/// First and longest pause between attempts to reach the database.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

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

/// A connection that many reads share, replaced when it is lost.
#[derive(Default)]
struct Lane(Mutex<Option<Arc<Reader>>>);

struct Reader {
    client: Client,
    get: Statement,
    scan: Statement,
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

    /// The row as it stands.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let rows = self
            .read(|reader| (&reader.get, vec![Box::new(key.to_vec()) as _]))
            .await?;
        rows.first()
            .map(|row| {
                Ok(Versioned {
                    version: version_column(row, 0)?,
                    value: column(row, 1)?,
                })
            })
            .transpose()
    }

    /// The first `limit` rows of a range.
    pub(crate) async fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .read(|reader| {
                let parameters: Vec<Box<dyn ToSql + Sync + Send>> = vec![
                    Box::new(range.start.clone()),
                    Box::new(range.end.clone()),
                    Box::new(limit),
                ];
                (&reader.scan, parameters)
            })
            .await?;
        rows.iter().map(scanned).collect()
    }

    /// Reads on one of the shared connections, on another if that one is lost.
    async fn read(
        &self,
        query: impl Fn(&Reader) -> (&Statement, Vec<Box<dyn ToSql + Sync + Send>>),
    ) -> Result<Vec<Row>, StoreError> {
        let give_up = Instant::now() + DATABASE_PATIENCE;
        let mut pause = BACKOFF.0;
        loop {
            let lane = &self.readers[self.next_reader.fetch_add(1, Ordering::Relaxed) % READ_CONNECTIONS];
            let failure = match lane.reader(self).await {
                Ok(reader) => {
                    let (statement, parameters) = query(&reader);
                    let parameters: Vec<&(dyn ToSql + Sync)> = parameters
                        .iter()
                        .map(|parameter| &**parameter as &(dyn ToSql + Sync))
                        .collect();
                    match exchange(reader.client.query(statement, &parameters)).await {
                        Ok(rows) => return Ok(rows),
                        Err(failure) if failure.lost => {
                            lane.drop_reader(&reader).await;
                            failure.error
                        }
                        Err(failure) => return Err(failure.error),
                    }
                }
                Err(error) => error,
            };
            if self.closed.load(Ordering::SeqCst) {
                return Err(StoreError::Closed);
            }
            if Instant::now() >= give_up {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// One consistent view of all rows, on a connection of its own.
    pub(crate) async fn snapshot(&self) -> Result<PostgresSnapshot, StoreError> {
        let permit = Arc::clone(&self.snapshots)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let client = connect(&self.target).await?;
        bounded(client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await?;
        let row = bounded(client.query_one("SELECT version FROM palisade_sequence", &[])).await?;
        Ok(PostgresSnapshot {
            version: version_column(&row, 0)?,
            client,
            _permit: permit,
        })
    }

    /// Ends the feed and lets go of the connections.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.snapshots.close();
        self.committed.notify_one();
        for lane in &self.readers {
            *lane.0.lock().await = None;
        }
    }
}

impl Lane {
    async fn reader(&self, engine: &PostgresEngine) -> Result<Arc<Reader>, StoreError> {
        let mut slot = self.0.lock().await;
        if let Some(reader) = &*slot
            && !reader.client.is_closed()
        {
            return Ok(Arc::clone(reader));
        }
        if engine.closed.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        let client = connect(&engine.target).await?;
        let (get, scan) = bounded(try_join(client.prepare(GET), client.prepare(SCAN))).await?;
        let reader = Arc::new(Reader { client, get, scan });
        *slot = Some(Arc::clone(&reader));
        Ok(reader)
    }

    async fn drop_reader(&self, lost: &Arc<Reader>) {
        let mut slot = self.0.lock().await;
        if slot.as_ref().is_some_and(|reader| Arc::ptr_eq(reader, lost)) {
            *slot = None;
        }
    }
}

/// One consistent view of all rows; dropping it closes its connection.
pub(crate) struct PostgresSnapshot {
    client: Client,
    version: Version,
    _permit: OwnedSemaphorePermit,
}

impl PostgresSnapshot {
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let row = bounded(self.client.query_opt(GET, &[&key])).await?;
        row.map(|row| {
            Ok(Versioned {
                version: version_column(&row, 0)?,
                value: column(&row, 1)?,
            })
        })
        .transpose()
    }

    pub(crate) async fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = bounded(self.client.query(SCAN, &[&range.start, &range.end, &limit])).await?;
        rows.iter().map(scanned).collect()
    }
}

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

/// A connection with the statements of a commit.
struct Link {
    client: Client,
    advance: Statement,
    delete: Statement,
    log: Statement,
    ranges: Statement,
    state: Statement,
    trim: Statement,
    upsert: Statement,
    versions: Statement,
}

/// What the database said of the state a batch meets.
struct State {
    version: Version,
    trimmed: Version,
    /// The newest batch of this node that was kept.
    kept: Option<i64>,
    versions: HashMap<Vec<u8>, Version>,
    /// Rows and newest version of each range condition, in the order of the batch.
    ranges: Vec<(u64, Option<Version>)>,
}

/// The last write to each key, `None` being a removal.
type LastWrites<'a> = BTreeMap<Arc<[u8]>, (Version, Option<&'a [u8]>)>;

/// What a batch writes, after its commits were weighed.
#[derive(Default)]
struct Plan<'a> {
    outcomes: Vec<Outcome>,
    rows: LastWrites<'a>,
    changes: Vec<(Version, Arc<[u8]>, bool)>,
    version: Version,
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

impl Link {
    async fn open(target: &Target) -> Result<Link, Failure> {
        let client = connect(target).await.map_err(Failure::lost)?;
        exchange(async {
            Ok(Link {
                advance: client.prepare(ADVANCE).await?,
                delete: client.prepare(DELETE).await?,
                log: client.prepare(LOG).await?,
                ranges: client.prepare(RANGES).await?,
                state: client.prepare(STATE).await?,
                trim: client.prepare(TRIM).await?,
                upsert: client.prepare(UPSERT).await?,
                versions: client.prepare(VERSIONS).await?,
                client,
            })
        })
        .await
    }

    /// Begins, takes the turn to write, and reads what the batch depends on: one exchange.
    async fn read_state(&self, node: &str, batch: &[Queued]) -> Result<State, Failure> {
        let mut keys: Vec<&[u8]> = Vec::new();
        let mut firsts: Vec<&[u8]> = Vec::new();
        let mut behinds: Vec<&[u8]> = Vec::new();
        let mut most: Vec<i64> = Vec::new();
        for precondition in batch.iter().flat_map(|queued| &queued.commit.preconditions) {
            match precondition {
                Precondition::Key { key, .. } => keys.push(key),
                Precondition::Range { range, count, .. } => {
                    firsts.push(&range.start);
                    behinds.push(&range.end);
                    most.push(i64::try_from(count.saturating_add(1)).unwrap_or(i64::MAX));
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let versions = async {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            self.client.query(&self.versions, &[&keys]).await
        };
        let ranges = async {
            if firsts.is_empty() {
                return Ok(Vec::new());
            }
            self.client.query(&self.ranges, &[&firsts, &behinds, &most]).await
        };
        // Sent in this order on one connection, answered in this order.
        let ((), state, versions, ranges) = try_join4(
            self.client.batch_execute(BEGIN),
            self.client.query_one(&self.state, &[&node]),
            versions,
            ranges,
        )
        .await
        .map_err(Failure::of)?;
        let mut found = HashMap::with_capacity(versions.len());
        for row in &versions {
            found.insert(column(row, 0)?, version_column(row, 1)?);
        }
        let ranges = ranges.iter().map(|row| {
            let rows: i64 = column(row, 0)?;
            let newest: Option<i64> = column(row, 1)?;
            Ok((
                rows.unsigned_abs(),
                newest.map(|newest| Version(newest.unsigned_abs())),
            ))
        });
        Ok(State {
            version: version_column(&state, 0)?,
            trimmed: version_column(&state, 1)?,
            kept: column(&state, 2)?,
            versions: found,
            ranges: ranges.collect::<Result<_, StoreError>>()?,
        })
    }

    /// Writes the plan and commits: one exchange.
    async fn write(&self, node: &str, batch: i64, plan: &Plan<'_>, state: &State) -> Result<(), Failure> {
        let deleted: Vec<&[u8]> = plan
            .rows
            .iter()
            .filter(|(_, (_, value))| value.is_none())
            .map(|(key, _)| &**key)
            .collect();
        let mut put = (Vec::new(), Vec::new(), Vec::new());
        for (key, (version, value)) in &plan.rows {
            if let Some(value) = value {
                put.0.push(&**key);
                put.1.push(number(*version));
                put.2.push(*value);
            }
        }
        let mut log = (Vec::new(), Vec::new(), Vec::new());
        for (version, key, gone) in &plan.changes {
            log.0.push(number(*version));
            log.1.push(&**key);
            log.2.push(*gone);
        }
        let trim_to = plan.version.0.saturating_sub(CHANGE_LOG_VERSIONS);
        let trim = async {
            if trim_to < state.trimmed.0 + CHANGE_LOG_TRIM_EVERY {
                return Ok(0);
            }
            self.client
                .execute(&self.trim, &[&number(Version(trim_to))])
                .await
        };
        let delete = async {
            if deleted.is_empty() {
                return Ok(0);
            }
            self.client.execute(&self.delete, &[&deleted]).await
        };
        let upsert = async {
            if put.0.is_empty() {
                return Ok(0);
            }
            self.client.execute(&self.upsert, &[&put.0, &put.1, &put.2]).await
        };
        let version = number(plan.version);
        // Sent in this order on one connection. If one fails, the ones behind
        // it fail too and the last rolls back, so any error means nothing was
        // kept; only a lost connection leaves that open.
        try_join(
            try_join4(
                delete,
                upsert,
                self.client.execute(&self.log, &[&log.0, &log.1, &log.2]),
                self.client.execute(&self.advance, &[&node, &batch, &version]),
            ),
            try_join(trim, self.client.batch_execute(COMMIT)),
        )
        .await
        .map_err(Failure::of)?;
        Ok(())
    }
}

/// Decides each commit against the state and the commits before it.
fn weigh<'a>(batch: &'a [Queued], state: &State) -> Plan<'a> {
    let mut plan = Plan {
        version: state.version,
        ..Plan::default()
    };
    let mut ranges = state.ranges.iter();
    for queued in batch {
        let mut holds = true;
        for precondition in &queued.commit.preconditions {
            match precondition {
                Precondition::Key { key, expected } => {
                    let found = match plan.rows.get(key) {
                        Some((version, Some(_))) => Some(*version),
                        Some((_, None)) => None,
                        None => state.versions.get(&**key).copied(),
                    };
                    holds &= found == *expected;
                }
                Precondition::Range { range, count, newest } => {
                    let found = ranges.next();
                    // A commit of the same batch that touched the range counts as
                    // a conflict without a closer look: the caller runs again.
                    let touched =
                        !range.is_empty() && plan.rows.range::<[u8], _>(range.bounds()).next().is_some();
                    holds &= !touched
                        && found.is_some_and(|(rows, latest)| {
                            rows == count && latest.is_none_or(|latest| latest <= *newest)
                        });
                }
            }
        }
        if !holds {
            plan.outcomes.push(Outcome::Conflict);
            continue;
        }
        plan.version = plan.version.next();
        for (key, write) in &queued.commit.writes {
            let value = match write {
                Write::Put(value) => Some(value.as_slice()),
                Write::Delete => None,
            };
            plan.changes
                .push((plan.version, Arc::clone(key), value.is_none()));
            plan.rows.insert(Arc::clone(key), (plan.version, value));
        }
        for (place, append) in queued.commit.appends.iter().enumerate() {
            let key: Arc<[u8]> = append.key(plan.version, place).into();
            plan.changes.push((plan.version, Arc::clone(&key), false));
            plan.rows
                .insert(key, (plan.version, Some(append.value.as_slice())));
        }
        plan.outcomes.push(Outcome::Applied(plan.version));
    }
    plan
}

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

/// A failure, and what it means for the exchange.
struct Failure {
    error: StoreError,
    /// The connection is gone, or must be treated so.
    lost: bool,
    /// The database asks for the transaction to be repeated.
    repeat: bool,
}

impl Failure {
    fn lost(error: StoreError) -> Failure {
        Failure {
            error,
            lost: true,
            repeat: false,
        }
    }

    fn of(error: tokio_postgres::Error) -> Failure {
        let Some(state) = error.code() else {
            return Failure::lost(unavailable(&error.to_string()));
        };
        let repeat = matches!(
            *state,
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED
        );
        // Class 08: connection; 57P: the server goes down or is not up; 25006:
        // a standby that is not, or no longer, the primary.
        let lost = state.code().starts_with("08")
            || state.code().starts_with("57P")
            || *state == SqlState::READ_ONLY_SQL_TRANSACTION;
        let error = if *state == SqlState::DISK_FULL {
            StoreError::Full
        } else if lost || repeat {
            unavailable(state.code())
        } else {
            StoreError::engine(error)
        };
        Failure { error, lost, repeat }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure {
            error,
            lost: false,
            repeat: false,
        }
    }
}

pub(crate) fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.into())
}

/// Awaits an exchange for as long as one may take.
async fn exchange_failures<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(DATABASE_EXCHANGE_MAX, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::lost(unavailable("it did not answer in time"))),
    }
}

async fn exchange<T>(work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
    exchange_failures(async { work.await.map_err(Failure::of) }).await
}

async fn bounded<T>(work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
    exchange(work).await.map_err(|failure| failure.error)
}

/// Where the database is and how to reach it.
struct Target {
    config: Config,
    tls: Option<Tls>,
}

impl Target {
    /// Reads the connection string. Beyond this machine only TLS will do,
    /// unless the string says `sslmode=disable` in so many words.
    fn new(url: &str, ca_file: Option<&Path>) -> Result<Target, StoreError> {
        let mut config: Config = url
            .parse()
            .map_err(|_| unavailable("the connection string is not valid"))?;
        config.connect_timeout(CONNECT_MAX);
        config.application_name("palisade");
        let tls = match (config.get_ssl_mode(), ca_file) {
            (SslMode::Disable, Some(_)) => {
                return Err(unavailable(
                    "sslmode=disable contradicts the certificate authority given",
                ));
            }
            (_, Some(ca_file)) => {
                config.ssl_mode(SslMode::Require);
                Some(Tls::trusting(ca_file)?)
            }
            (SslMode::Disable, None) => None,
            (SslMode::Prefer, None) if is_local(&config) => None,
            (_, None) => {
                return Err(unavailable(
                    "TLS to the database needs the file of its certificate authority; \
                     sslmode=disable does without TLS",
                ));
            }
        };
        Ok(Target { config, tls })
    }
}

/// Whether every host named is this machine.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

async fn connect(target: &Target) -> Result<Client, StoreError> {
    connect_announced(target, None).await
}

/// Connects; notifications of the database wake `announced`.
async fn connect_announced(target: &Target, announced: Option<Arc<Notify>>) -> Result<Client, StoreError> {
    match &target.tls {
        Some(tls) => {
            let (client, connection) = Box::pin(bounded(target.config.connect(tls.clone()))).await?;
            drive(connection, announced);
            Ok(client)
        }
        None => {
            let (client, connection) = Box::pin(bounded(target.config.connect(NoTls))).await?;
            drive(connection, announced);
            Ok(client)
        }
    }
}

/// Carries a connection's traffic until its client is dropped or it is lost.
#[expect(clippy::disallowed_methods, reason = "the task ends with its client")]
fn drive<S, T>(mut connection: Connection<S, T>, announced: Option<Arc<Notify>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            match std::future::poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => {
                    if let Some(announced) = &announced {
                        announced.notify_one();
                    }
                }
                Some(Ok(_)) => {}
                // Whoever uses the client learns of it there.
                Some(Err(_)) | None => break,
            }
        }
    });
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, place: usize) -> Result<T, StoreError> {
    row.try_get(place).map_err(StoreError::engine)
}

fn version_column(row: &Row, place: usize) -> Result<Version, StoreError> {
    let number: i64 = column(row, place)?;
    Ok(Version(number.unsigned_abs()))
}

/// A version as the database writes it; 2^63 commits are out of reach.
fn number(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

fn scanned(row: &Row) -> Result<(Vec<u8>, Versioned), StoreError> {
    Ok((
        column(row, 0)?,
        Versioned {
            version: version_column(row, 1)?,
            value: column(row, 2)?,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_machine_in_clear_unless_told_so() {
        for (url, allowed) in [
            ("postgres://u@127.0.0.1/db", true),
            ("postgres://u@localhost:5433/db", true),
            ("postgres://u@%2Frun%2Fpostgresql/db", true),
            ("host=/run/postgresql user=u", true),
            ("postgres://u@db.example/db", false),
            ("postgres://u@localhost,db.example/db", false),
            ("host=localhost hostaddr=192.0.2.1 user=u", false),
            ("postgres://u@localhost/db?sslmode=require", false),
            ("postgres://u@db.example/db?sslmode=disable", true),
            ("postgres://u@db.example:notaport/db", false),
        ] {
            assert_eq!(Target::new(url, None).is_ok(), allowed, "{url}");
        }
    }
}
