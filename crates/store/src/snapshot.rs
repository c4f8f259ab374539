//! All rows as they stood at one moment: for exports, checks and reports.
//!
//! Nothing read here conditions a write; use a view for that.

use std::sync::Arc;

use crate::commit::{KeyRange, Versioned};
use crate::engine::EngineSnapshot;
use crate::key::{Key, Prefix};
use crate::scope::Scope;
use crate::table::{Record, Table};
use crate::view::{Page, Wanted};
use crate::{StoreError, Version};

/// A consistent view of the whole store. It holds on to old rows (and, with
/// PostgreSQL, a connection) until it is dropped.
pub struct Snapshot(EngineSnapshot);

impl Snapshot {
    pub(crate) fn new(engine: EngineSnapshot) -> Snapshot {
        Snapshot(engine)
    }

    /// The newest commit the snapshot includes.
    pub fn version(&self) -> Version {
        self.0.version()
    }

    /// The record of `key` in `scope`, if there was one.
    ///
    /// # Errors
    ///
    /// As [`crate::View::get`].
    pub async fn cross_account_get<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        let row = table.row(scope, key)?;
        let found = self.0.get(&row).await?;
        found
            .map(|Versioned { value, .. }| table.decode_in(&row, &value))
            .transpose()
    }

    /// Up to `limit` records of `scope` whose keys begin with `prefix`, from behind `after`.
    ///
    /// # Errors
    ///
    /// As [`crate::View::get`].
    pub async fn cross_account_scan<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<Page<K, V>, StoreError> {
        let wanted = Wanted::new(table, scope, prefix, after, limit)?;
        let mut rows = self.0.scan(&wanted.range, wanted.limit + 1).await?;
        let more = rows.len() > wanted.limit;
        rows.truncate(wanted.limit);
        let next = match rows.last() {
            Some((row, _)) if more => Some(table.key(scope, row)?),
            Some(_) | None => None,
        };
        let items = rows.into_iter().map(|(row, Versioned { value, .. })| {
            Ok((table.key(scope, &row)?, table.decode_in(&row, &value)?))
        });
        Ok(Page {
            items: items.collect::<Result<_, StoreError>>()?,
            next,
        })
    }

    /// Up to `limit` raw rows of the whole store.
    pub(crate) async fn rows(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        self.0.scan(range, limit).await
    }
}
