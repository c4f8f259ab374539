//! Writing within one scope: rows, announcements and whatever the gate adds
//! are committed together or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::StoreError;
use crate::commit::{Append, Commit, KeyRange, Precondition, Write, successor};
use crate::key::{Key, Prefix, Stamp};
use crate::lease::Lease;
use crate::outbox;
use crate::scope::Scope;
use crate::table::{Record, Table};
use crate::tally::Addition;
use crate::view::{Page, View, Wanted};

/// A write in the making. It sees its own changes; nobody else does until
/// [`crate::Store::commit`].
///
/// Clones are handles of the same write, so that it can be given to an async
/// closure and still be committed by whoever called that.
///
/// Writing never fails at once: a record that cannot be written makes the
/// commit fail, before anything is kept.
#[derive(Clone)]
pub struct WriteTx {
    pending: Arc<Mutex<Pending>>,
    view: View,
}

#[derive(Default)]
struct Pending {
    additions: BTreeMap<Arc<[u8]>, Addition>,
    appends: Vec<Append>,
    failure: Option<StoreError>,
    fences: Vec<Precondition>,
    writes: BTreeMap<Arc<[u8]>, Write>,
}

impl Pending {
    fn fail(&mut self, error: StoreError) {
        self.failure.get_or_insert(error);
    }
}

/// What a transaction has done to one row.
enum Own<V> {
    Put(Arc<V>),
    Deleted,
    Untouched,
}

impl WriteTx {
    pub(crate) fn new(view: View) -> WriteTx {
        WriteTx {
            pending: Arc::default(),
            view,
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this transaction itself has done to the row of `key` so far.
    fn written<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Own<V>, StoreError> {
        match self.pending().writes.get(table.row(scope, key)?.as_slice()) {
            Some(Write::Put(value)) => table.decode(value).map(Own::Put),
            Some(Write::Delete) => Ok(Own::Deleted),
            None => Ok(Own::Untouched),
        }
    }

    /// The view this write depends on.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The record of `key`, as this transaction leaves it.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn get<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.cross_account_get(self.view.scope(), table, key).await
    }

    /// As [`WriteTx::get`], of another scope.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn cross_account_get<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        match self.written(scope, table, key)? {
            Own::Put(record) => Ok(Some(record)),
            Own::Deleted => Ok(None),
            Own::Untouched => self.view.cross_account_get(scope, table, key).await,
        }
    }

    /// Whether there is a record of `key`, as this transaction leaves it, for who
    /// need not know what it says: what is stored is neither decoded nor kept in memory.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn is_there<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<bool, StoreError> {
        match self.written(self.view.scope(), table, key)? {
            Own::Put(_) => Ok(true),
            Own::Deleted => Ok(false),
            Own::Untouched => self.view.is_there(table, key).await,
        }
    }

    /// As [`WriteTx::get`], for who goes through many records: what is read takes
    /// the place of nothing in memory.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn get_once<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        match self.written(self.view.scope(), table, key)? {
            Own::Put(record) => Ok(Some(record)),
            Own::Deleted => Ok(None),
            Own::Untouched => self.view.get_once(table, key).await,
        }
    }

    /// Up to `limit` records whose keys begin with `prefix`, from behind
    /// `after`, as this transaction leaves them.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn scan<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<Page<K, V>, StoreError> {
        self.cross_account_scan(self.view.scope(), table, prefix, after, limit)
            .await
    }

    /// As [`WriteTx::scan`], of another scope.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn cross_account_scan<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<Page<K, V>, StoreError> {
        let wanted = Wanted::new(table, scope, prefix, after, limit)?;
        let below = self
            .view
            .cross_account_scan(scope, table, prefix, after, limit)
            .await?;
        // Own writes count as far as the page reaches.
        let end = match &below.next {
            Some(next) => successor(&table.row(scope, next)?),
            None => wanted.range.end.clone(),
        };
        let reach = KeyRange {
            start: wanted.range.start.clone(),
            end,
        };
        if reach.is_empty() {
            return Ok(below);
        }
        let pending = self.pending();
        let mut own = pending.writes.range::<[u8], _>(reach.bounds()).peekable();
        if own.peek().is_none() {
            return Ok(below);
        }
        let mut merged = BTreeMap::new();
        for (key, value) in below.items {
            merged.insert(table.row(scope, &key)?, value);
        }
        for (row, write) in own {
            match write {
                Write::Put(value) => merged.insert(row.to_vec(), table.decode(value)?),
                Write::Delete => merged.remove(&**row),
            };
        }
        let cut = merged.len() > wanted.limit;
        let mut items = Vec::with_capacity(merged.len().min(wanted.limit));
        for (row, value) in merged.into_iter().take(wanted.limit) {
            items.push((table.key(scope, &row)?, value));
        }
        let next = match items.last() {
            Some((last, _)) if cut => Some(table.key(scope, &table.row(scope, last)?)?),
            Some(_) | None => below.next,
        };
        Ok(Page { items, next })
    }

    /// Writes a record, whether or not there is one.
    pub fn put<K: Key, V: Record>(&self, table: &Table<K, V>, key: &K, record: &V) {
        self.cross_account_put(self.view.scope(), table, key, record);
    }

    /// As [`WriteTx::put`], into another scope.
    pub fn cross_account_put<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
        record: &V,
    ) {
        let encoded = table
            .row(scope, key)
            .and_then(|row| Ok((row, table.encode(record)?)));
        let mut pending = self.pending();
        match encoded {
            Ok((row, stored)) => {
                pending.writes.insert(row.into(), Write::Put(stored));
            }
            Err(error) => pending.fail(error),
        }
    }

    /// Removes a record, if there is one.
    pub fn delete<K: Key, V: Record>(&self, table: &Table<K, V>, key: &K) {
        self.cross_account_delete(self.view.scope(), table, key);
    }

    /// As [`WriteTx::delete`], from another scope.
    pub fn cross_account_delete<K: Key, V: Record>(&self, scope: &Scope, table: &Table<K, V>, key: &K) {
        let mut pending = self.pending();
        match table.row(scope, key) {
            Ok(row) => {
                pending.writes.insert(row.into(), Write::Delete);
            }
            Err(error) => pending.fail(error),
        }
    }

    /// Adds a record behind all that were ever added to the table in this
    /// scope. Its key, the [`Stamp`] of the commit, exists once that is made;
    /// until then this transaction does not see it.
    pub fn append<V: Record>(&self, table: &Table<Stamp, V>, record: &V) {
        self.cross_account_append(self.view.scope(), table, record);
    }

    /// As [`WriteTx::append`], in another scope: the gate's intents to record,
    /// which one reader follows for all accounts.
    pub fn cross_account_append<V: Record>(&self, scope: &Scope, table: &Table<Stamp, V>, record: &V) {
        let encoded = table.encode(record);
        let mut pending = self.pending();
        match encoded {
            Ok(value) => pending.appends.push(Append {
                prefix: table.start(scope),
                value,
            }),
            Err(error) => pending.fail(error),
        }
    }

    /// Adds to a number without a look at it, so that those who only add never
    /// conflict over it. A row that is absent counts as zero, and no number falls
    /// below that. It is added after everything else of this write is done; until
    /// then this transaction does not see it.
    pub fn add<K: Key>(&self, table: &Table<K, u64>, key: &K, by: i64) {
        self.cross_account_add(self.view.scope(), table, key, by);
    }

    /// As [`WriteTx::add`], in another scope.
    pub fn cross_account_add<K: Key>(&self, scope: &Scope, table: &Table<K, u64>, key: &K, by: i64) {
        self.add_to(scope, table, key, by, None);
    }

    /// As [`WriteTx::add`], up to a greatest value: the commit fails with
    /// [`StoreError::PastMost`] if this would raise the number past `most`, which is
    /// judged when the commit is made. A number past it already, or one that it does
    /// not raise, is not refused.
    pub fn add_up_to<K: Key>(&self, table: &Table<K, u64>, key: &K, by: i64, most: u64) {
        self.cross_account_add_up_to(self.view.scope(), table, key, by, most);
    }

    /// As [`WriteTx::add_up_to`], in another scope.
    pub fn cross_account_add_up_to<K: Key>(
        &self,
        scope: &Scope,
        table: &Table<K, u64>,
        key: &K,
        by: i64,
        most: u64,
    ) {
        self.add_to(scope, table, key, by, Some(most));
    }

    fn add_to<K: Key>(&self, scope: &Scope, table: &Table<K, u64>, key: &K, by: i64, most: Option<u64>) {
        let addition = Addition {
            by,
            most,
            record_version: table.version(),
            table: table.name(),
        };
        let mut pending = self.pending();
        match table.row(scope, key) {
            Ok(row) => {
                let entry = pending.additions.entry(row.into());
                entry
                    .and_modify(|earlier| *earlier = earlier.and(addition))
                    .or_insert(addition);
            }
            Err(error) => pending.fail(error),
        }
    }

    /// Announces that something happened, to whoever reads the outbox.
    ///
    /// The announcement is kept with the commit and delivered at least once,
    /// in the order of commits. It must hold no secret.
    pub fn announce(&self, name: &str, event: &impl Serialize) {
        let encoded = outbox::announcement(self.view.scope(), name, event);
        let mut pending = self.pending();
        match encoded {
            Ok(append) => pending.appends.push(append),
            Err(error) => pending.fail(error),
        }
    }

    /// Makes the commit depend on `lease` being held as it is: it conflicts
    /// once the lease was renewed, released or taken by another.
    pub fn require(&self, lease: &Lease) {
        let mut pending = self.pending();
        match lease.precondition() {
            Ok(precondition) => pending.fences.push(precondition),
            Err(error) => pending.fail(error),
        }
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        let pending = self.pending();
        pending.writes.is_empty() && pending.additions.is_empty() && pending.appends.is_empty()
    }

    /// Takes what was written; other handles of this write hold nothing afterwards.
    pub(crate) fn into_commit(self) -> Result<Commit, StoreError> {
        let Pending {
            additions,
            appends,
            failure,
            fences,
            writes,
        } = std::mem::take(&mut *self.pending());
        if let Some(failure) = failure {
            return Err(failure);
        }
        if writes.is_empty() && additions.is_empty() && appends.is_empty() {
            return Ok(Commit::default());
        }
        let mut preconditions = self.view.preconditions()?;
        preconditions.extend(fences);
        Ok(Commit {
            preconditions,
            writes,
            additions,
            appends,
        })
    }
}
