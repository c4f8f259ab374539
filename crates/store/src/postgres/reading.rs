//! Reads: of rows as they stand, on connections that many share; and of all
//! rows as they stood at one version, on a connection of the snapshot's own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::try_join;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::PostgresEngine;
use super::connect::{BACKOFF, connect};
use super::exchange::{bounded, exchange};
use super::row::{column, version_column};
use crate::commit::{KeyRange, Versioned};
use crate::limits::{DATABASE_PATIENCE, READ_CONNECTIONS};
use crate::{StoreError, Version};

const GET: &str = "SELECT version, value FROM palisade_kv WHERE key = $1";

const SCAN: &str =
    "SELECT key, version, value FROM palisade_kv WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";

/// A connection that many reads share, replaced when it is lost.
#[derive(Default)]
pub(super) struct Lane(Mutex<Option<Arc<Reader>>>);

struct Reader {
    client: Client,
    get: Statement,
    scan: Statement,
}

impl PostgresEngine {
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
}

impl Lane {
    pub(super) async fn close(&self) {
        *self.0.lock().await = None;
    }

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

fn scanned(row: &Row) -> Result<(Vec<u8>, Versioned), StoreError> {
    Ok((
        column(row, 0)?,
        Versioned {
            version: version_column(row, 1)?,
            value: column(row, 2)?,
        },
    ))
}
