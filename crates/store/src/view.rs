//! Reading within one scope, and remembering what was read.
//!
//! A view belongs to one request. What it reads becomes the condition under
//! which a write of the same request is committed, so a request never writes
//! on the strength of something that has changed meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use crate::StoreError;
use crate::Version;
use crate::cache::{Cache, Decoded, Entry, Page as Found, Probe, decoded_bytes};
use crate::commit::{KeyRange, Precondition, Versioned, prefix_end, successor};
use crate::key::{Key, Prefix};
use crate::limits::{CACHED_PAGE_ROWS_MAX, PAGE_ITEMS_MAX, READS_MAX};
use crate::open::Store;
use crate::scope::Scope;
use crate::table::{Record, Table};
use crate::witness::Witness;
use crate::write::WriteTx;

/// Items of a table in the order of their keys.
#[derive(Debug)]
pub struct Page<K, V> {
    /// The items; fewer than asked for only at the end or within a
    /// transaction that removed some.
    pub items: Vec<(K, Arc<V>)>,
    /// Where to go on: pass it as `after`. `None` at the end.
    pub next: Option<K>,
}

/// The read side of one request. Clones share what was read.
#[derive(Clone)]
pub struct View(Arc<Inner>);

struct Inner {
    reads: Mutex<Reads>,
    scope: Scope,
    store: Store,
}

/// What the view has read so far.
#[derive(Default)]
struct Reads {
    hits: u64,
    keys: Vec<Arc<Entry>>,
    misses: u64,
    ranges: Vec<ReadRange>,
    /// More was read than is remembered.
    overflow: bool,
}

/// A scan as it was answered.
struct ReadRange {
    /// The closed part of its prefix.
    closed: Vec<u8>,
    count: u64,
    newest: Version,
    range: KeyRange,
}

impl Reads {
    fn has_room(&mut self) -> bool {
        if self.keys.len() + self.ranges.len() < READS_MAX {
            return true;
        }
        self.overflow = true;
        false
    }
}

/// A scan in the engine's terms.
pub(crate) struct Wanted {
    /// The keys still wanted.
    pub(crate) range: KeyRange,
    /// The closed part of the prefix: whose changes matter to this scan.
    pub(crate) closed: Vec<u8>,
    pub(crate) limit: usize,
}

impl Wanted {
    pub(crate) fn new<K: Key, V: Record>(
        table: &Table<K, V>,
        scope: &Scope,
        prefix: &Prefix<K>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<Wanted, StoreError> {
        let (start, closed) = table.prefix(scope, prefix);
        let mut range = KeyRange {
            end: prefix_end(&start),
            start,
        };
        let closed = range.start[..closed].to_vec();
        if let Some(after) = after {
            range.start = range.start.max(successor(&table.row(scope, after)?));
        }
        Ok(Wanted {
            range,
            closed,
            limit: limit.clamp(1, PAGE_ITEMS_MAX),
        })
    }

    /// The name the cache keeps the scan under: no key begins so.
    fn name(&self) -> Vec<u8> {
        let mut name = Vec::with_capacity(self.range.start.len() + self.range.end.len() + 16);
        name.push(0xff);
        name.extend_from_slice(&self.limit.to_be_bytes());
        name.extend_from_slice(&self.range.start.len().to_be_bytes());
        name.extend_from_slice(&self.range.start);
        name.extend_from_slice(&self.range.end);
        name
    }
}

impl View {
    pub(crate) fn new(store: Store, scope: Scope) -> View {
        View(Arc::new(Inner {
            reads: Mutex::default(),
            scope,
            store,
        }))
    }

    /// The scope the view is bound to.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The store the view reads.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The record of `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] and [`StoreError::NewerRecord`] for what
    /// cannot be read, and whatever the engine reports.
    pub async fn get<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.read(table, &self.0.scope, key, true).await
    }

    /// The record of `key`, which no later write will depend on.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn peek<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.read(table, &self.0.scope, key, false).await
    }

    /// As [`View::peek`], of another scope.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn cross_account_peek<K: Key, V: Record>(
        &self,
        scope: &Scope,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.read(table, scope, key, false).await
    }

    /// As [`View::peek`], with the word that the row has not changed since.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub async fn peek_witnessed<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<(Option<Arc<V>>, Witness), StoreError> {
        let row = table.row(&self.0.scope, key)?;
        let store = &self.0.store;
        let probe = store.cache().probe(&row);
        let entry = match store.cache().record(probe) {
            Some(entry) => entry,
            None => Box::pin(self.fetch(table, probe)).await?,
        };
        let value = entry
            .value
            .as_ref()
            .map(|value| downcast(table, value))
            .transpose()?;
        let witness = Witness::new(store.clone(), Cache::standing_of(probe, &entry));
        Ok((value, witness))
    }

    /// As [`View::get`], of another scope: the index all accounts share, or an
    /// account the caller was authorized to reach.
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
        self.read(table, scope, key, true).await
    }

    /// Up to `limit` records whose keys begin with `prefix`, from behind `after`.
    ///
    /// A limit above [`PAGE_ITEMS_MAX`] gets that many.
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
        self.cross_account_scan(&self.0.scope, table, prefix, after, limit)
            .await
    }

    /// As [`View::scan`], of another scope.
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
        let found = self.rows(table, &wanted).await?;
        let items = found.rows.iter().map(|(row, _, value)| {
            let value = downcast(table, value)?;
            Ok((table.key(scope, row)?, value))
        });
        let items = items.collect::<Result<Vec<_>, StoreError>>()?;
        let next = match found.rows.last() {
            Some((row, _, _)) if found.more => Some(table.key(scope, row)?),
            Some(_) | None => None,
        };
        Ok(Page { items, next })
    }

    /// Begins a write that is conditional on everything this view has read and
    /// will read until it is committed.
    pub fn begin(&self) -> WriteTx {
        WriteTx::new(self.clone())
    }

    async fn read<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        scope: &Scope,
        key: &K,
        remember: bool,
    ) -> Result<Option<Arc<V>>, StoreError> {
        let row = table.row(scope, key)?;
        let cache = self.0.store.cache();
        let probe = cache.probe(&row);
        let (entry, hit) = match cache.record(probe) {
            Some(entry) => (entry, true),
            // Boxed, so that the way through the cache stays small.
            None => (Box::pin(self.fetch(table, probe)).await?, false),
        };
        let value = entry
            .value
            .as_ref()
            .map(|value| downcast(table, value))
            .transpose()?;
        let mut reads = self.reads();
        if hit {
            reads.hits += 1;
        } else {
            reads.misses += 1;
        }
        if remember && reads.has_room() {
            reads.keys.push(entry);
        }
        drop(reads);
        Ok(value)
    }

    /// Whether there is a record of `key`, which is not read: the condition of a
    /// write as if it had been.
    pub(crate) async fn is_there<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<bool, StoreError> {
        let row = table.row(&self.0.scope, key)?;
        let cache = self.0.store.cache();
        let probe = cache.probe(&row);
        let entry = match cache.record(probe) {
            Some(entry) => entry,
            None => {
                let found = self.0.store.engine().get(probe.bytes).await?;
                Entry::passing(probe, found.map(|found| found.version))
            }
        };
        let is_there = entry.version.is_some();
        self.remember(entry);
        Ok(is_there)
    }

    /// As [`View::get`], but the record is not kept in memory.
    pub(crate) async fn get_once<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        let row = table.row(&self.0.scope, key)?;
        let cache = self.0.store.cache();
        let probe = cache.probe(&row);
        if let Some(entry) = cache.record(probe) {
            let value = entry.value.as_ref().map(|value| downcast(table, value));
            let value = value.transpose()?;
            self.remember(entry);
            return Ok(value);
        }
        let found = self.0.store.engine().get(probe.bytes).await?;
        let version = found.as_ref().map(|found| found.version);
        let value = found
            .map(|found| table.decode_in(probe.bytes, &found.value))
            .transpose()?;
        self.remember(Entry::passing(probe, version));
        Ok(value)
    }

    /// Makes what was read the condition of what is written.
    fn remember(&self, entry: Arc<Entry>) {
        let mut reads = self.reads();
        if reads.has_room() {
            reads.keys.push(entry);
        }
    }

    /// Reads a record from the engine and keeps it.
    async fn fetch<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        probe: Probe<'_>,
    ) -> Result<Arc<Entry>, StoreError> {
        let cache = self.0.store.cache();
        let standing = cache.standing(probe);
        let found = match self.0.store.engine().get(probe.bytes).await? {
            Some(Versioned { version, value }) => {
                let decoded: Decoded = table.decode_in(probe.bytes, &value)?;
                Some((version, decoded, decoded_bytes::<V>(value.len())))
            }
            None => None,
        };
        Ok(cache.keep_record(probe, standing, found))
    }

    /// The rows of a scan, from the cache or the engine, remembered as read.
    pub(crate) async fn rows<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        wanted: &Wanted,
    ) -> Result<Arc<Found>, StoreError> {
        let cache = self.0.store.cache();
        let name = wanted.name();
        let (probe, prefix) = (cache.probe(&name), cache.probe(&wanted.closed));
        let (found, hit) = match cache.page(probe, prefix) {
            Some(found) => (found, true),
            None => (
                Box::pin(self.fetch_rows(table, wanted, probe, prefix)).await?,
                false,
            ),
        };
        let mut reads = self.reads();
        if hit {
            reads.hits += 1;
        } else {
            reads.misses += 1;
        }
        if reads.has_room() {
            let mut read = wanted.range.clone();
            if let Some((last, _, _)) = found.rows.last()
                && found.more
            {
                read.end = successor(last);
            }
            let newest = found.rows.iter().map(|(_, version, _)| *version).max();
            reads.ranges.push(ReadRange {
                closed: wanted.closed.clone(),
                count: found.rows.len() as u64,
                newest: newest.unwrap_or(Version(0)),
                range: read,
            });
        }
        drop(reads);
        Ok(found)
    }

    async fn fetch_rows<K: Key, V: Record>(
        &self,
        table: &Table<K, V>,
        wanted: &Wanted,
        probe: Probe<'_>,
        prefix: Probe<'_>,
    ) -> Result<Arc<Found>, StoreError> {
        let cache = self.0.store.cache();
        let standing = cache.standing(prefix);
        let mut stored = self
            .0
            .store
            .engine()
            .scan(&wanted.range, wanted.limit + 1)
            .await?;
        let more = stored.len() > wanted.limit;
        stored.truncate(wanted.limit);
        let mut bytes = 0;
        let mut rows = Vec::with_capacity(stored.len());
        for (key, Versioned { version, value }) in stored {
            // A record already decoded at this version is shared, with whatever was derived from it.
            let known = cache
                .record(cache.probe(&key))
                .filter(|entry| entry.version == Some(version))
                .and_then(|entry| entry.value.clone());
            bytes += key.len() + decoded_bytes::<V>(value.len());
            let decoded = match known {
                Some(decoded) => decoded,
                None => table.decode_in(&key, &value)?,
            };
            rows.push((Arc::from(key), version, decoded));
        }
        let keep = rows.len() <= CACHED_PAGE_ROWS_MAX;
        Ok(cache.page_of(probe, standing, rows, more, bytes, keep))
    }

    fn reads(&self) -> std::sync::MutexGuard<'_, Reads> {
        self.0.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what was read here read anew by whoever wants it next: another node
    /// changed it, which this node may not have heard of yet.
    pub(crate) fn distrust(&self) {
        let cache = self.0.store.cache();
        if !cache.is_shared() {
            return;
        }
        let reads = self.reads();
        for entry in &reads.keys {
            cache.move_on(&entry.key);
        }
        for read in &reads.ranges {
            cache.move_on(&read.closed);
        }
    }

    /// What was read, as conditions of a commit.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] if more was read than is remembered.
    pub(crate) fn preconditions(&self) -> Result<Vec<Precondition>, StoreError> {
        let reads = self.reads();
        if reads.overflow {
            return Err(StoreError::TooLarge {
                what: "the number of reads a write depends on",
                size: READS_MAX + 1,
                max: READS_MAX,
            });
        }
        let keys = reads.keys.iter().map(|entry| Precondition::Key {
            key: Arc::clone(&entry.key),
            expected: entry.version,
        });
        let ranges = reads.ranges.iter().map(|read| Precondition::Range {
            range: read.range.clone(),
            count: read.count,
            newest: read.newest,
        });
        Ok(keys.chain(ranges).collect())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Counted per request, so that readers do not contend for the counters.
        let reads = self.reads.get_mut().unwrap_or_else(PoisonError::into_inner);
        let counters = self.store.counters();
        counters.cache_hits.add(reads.hits);
        counters.cache_misses.add(reads.misses);
    }
}

/// The record as the table's type. Another type means that two tables bear one name.
fn downcast<K: Key, V: Record>(table: &Table<K, V>, value: &Decoded) -> Result<Arc<V>, StoreError> {
    Arc::clone(value).downcast().map_err(|_| StoreError::BadRecord {
        table: table.name(),
        reason: "another table of that name holds a different type".into(),
    })
}
