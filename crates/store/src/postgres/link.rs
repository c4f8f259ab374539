//! The connection that commits: what a commit says to the database, in two
//! exchanges. The first takes the turn to write and reads what the batch
//! depends on, the second writes and commits.

use std::collections::HashMap;

use futures_util::future::{try_join, try_join4, try_join5};
use tokio_postgres::{Client, Statement};

use super::connect::{Target, connect};
use super::exchange::{Failure, exchange};
use super::plan::{Plan, State};
use super::row::{column, number, version_column};
use crate::commit::Precondition;
use crate::committer::Queued;
use crate::limits::{CHANGE_LOG_TRIM_EVERY, CHANGE_LOG_VERSIONS};
use crate::{StoreError, Version};

/// Takes the turn to write. The lock is on a table without rows, so that no
/// maintenance of the database contends for it; LOCK TABLE takes no snapshot,
/// so what is read after it is what the commit before it left.
const BEGIN: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE palisade_writer IN EXCLUSIVE MODE";

const COMMIT: &str = "NOTIFY palisade_change; COMMIT";

const STATE: &str = "SELECT version, trimmed, (SELECT batch FROM palisade_node WHERE node = $1)
    FROM palisade_sequence";

const VERSIONS: &str = "SELECT key, version FROM palisade_kv WHERE key = ANY($1)";

const NUMBERS: &str = "SELECT key, value FROM palisade_kv WHERE key = ANY($1)";

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

/// A connection with the statements of a commit.
pub(super) struct Link {
    pub(super) client: Client,
    advance: Statement,
    delete: Statement,
    log: Statement,
    numbers: Statement,
    ranges: Statement,
    state: Statement,
    trim: Statement,
    upsert: Statement,
    versions: Statement,
}

impl Link {
    pub(super) async fn open(target: &Target) -> Result<Link, Failure> {
        let client = connect(target).await.map_err(Failure::lost)?;
        exchange(async {
            Ok(Link {
                advance: client.prepare(ADVANCE).await?,
                delete: client.prepare(DELETE).await?,
                log: client.prepare(LOG).await?,
                numbers: client.prepare(NUMBERS).await?,
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
    pub(super) async fn read_state(&self, node: &str, batch: &[Queued]) -> Result<State, Failure> {
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
        let additions = batch.iter().flat_map(|queued| queued.commit.additions.keys());
        let mut added_to: Vec<&[u8]> = additions.map(|key| &**key).collect();
        added_to.sort_unstable();
        added_to.dedup();
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
        let numbers = async {
            if added_to.is_empty() {
                return Ok(Vec::new());
            }
            self.client.query(&self.numbers, &[&added_to]).await
        };
        // Sent in this order on one connection, answered in this order.
        let ((), state, versions, ranges, numbers) = try_join5(
            self.client.batch_execute(BEGIN),
            self.client.query_one(&self.state, &[&node]),
            versions,
            ranges,
            numbers,
        )
        .await
        .map_err(Failure::of)?;
        let mut found = HashMap::with_capacity(versions.len());
        for row in &versions {
            found.insert(column(row, 0)?, version_column(row, 1)?);
        }
        let numbers = numbers.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?)));
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
            numbers: numbers.collect::<Result<_, StoreError>>()?,
            ranges: ranges.collect::<Result<_, StoreError>>()?,
        })
    }

    /// Writes the plan and commits: one exchange.
    pub(super) async fn write(
        &self,
        node: &str,
        batch: i64,
        plan: &Plan<'_>,
        state: &State,
    ) -> Result<(), Failure> {
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
                put.2.push(&**value);
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
