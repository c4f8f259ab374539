//! The floor both engines share: versioned rows under ordered keys.

use std::sync::Arc;

use crate::commit::{KeyRange, Versioned};
use crate::postgres::{PostgresEngine, PostgresSnapshot};
use crate::redb::{RedbEngine, RedbSnapshot};
use crate::{StoreError, Version};

/// One of the two engines.
///
/// Reads are here; commits go to each engine's committer through one queue.
/// Reads of the embedded engine are answered in place: a page is in memory or
/// one short read away, which is less than handing the work to another thread.
/// The futures of PostgreSQL's reads are boxed, so that those of every handler
/// that may read stay small.
pub(crate) enum Engine {
    Postgres(Arc<PostgresEngine>),
    Redb(Arc<RedbEngine>),
}

impl Engine {
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        match self {
            Engine::Postgres(engine) => Box::pin(engine.get(key)).await,
            Engine::Redb(engine) => engine.get(key),
        }
    }

    pub(crate) async fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        match self {
            Engine::Postgres(engine) => Box::pin(engine.scan(range, limit)).await,
            Engine::Redb(engine) => engine.scan(range, limit),
        }
    }

    pub(crate) async fn snapshot(&self) -> Result<EngineSnapshot, StoreError> {
        match self {
            Engine::Postgres(engine) => Box::pin(engine.snapshot()).await.map(EngineSnapshot::Postgres),
            Engine::Redb(engine) => engine.snapshot().map(EngineSnapshot::Redb),
        }
    }
}

/// All rows as they stood at one version.
pub(crate) enum EngineSnapshot {
    Postgres(PostgresSnapshot),
    Redb(RedbSnapshot),
}

impl EngineSnapshot {
    pub(crate) fn version(&self) -> Version {
        match self {
            EngineSnapshot::Postgres(snapshot) => snapshot.version(),
            EngineSnapshot::Redb(snapshot) => snapshot.version(),
        }
    }

    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        match self {
            EngineSnapshot::Postgres(snapshot) => Box::pin(snapshot.get(key)).await,
            EngineSnapshot::Redb(snapshot) => snapshot.get(key),
        }
    }

    pub(crate) async fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        match self {
            EngineSnapshot::Postgres(snapshot) => Box::pin(snapshot.scan(range, limit)).await,
            EngineSnapshot::Redb(snapshot) => snapshot.scan(range, limit),
        }
    }
}
