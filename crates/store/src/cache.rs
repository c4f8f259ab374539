//! Decoded records and short scans in memory, kept true by the change feed.
//!
//! Nothing is removed when a row changes. Instead every key belongs to one of a
//! fixed number of generations, and a change moves its key's generation on. An
//! entry carries the generation that stood *before* its row was read from the
//! engine and answers only while that generation still stands. So an entry read
//! before a change can never answer after it, however late it was inserted: a
//! commit is visible in the engine before it moves the generation, hence
//! whatever was read under the standing generation includes every change whose
//! announcement has finished.
//!
//! Keys that share a generation by chance cost each other a miss, no more.

use std::any::Any;
use std::hash::BuildHasher as _;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use quick_cache::sync::{Cache as Shards, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use crate::Version;
use crate::key::closed_ends;

/// A decoded record, its type known to whoever knows the table.
pub(crate) type Decoded = Arc<dyn Any + Send + Sync>;

/// What one key held when it was read.
pub(crate) struct Entry {
    pub(crate) key: Arc<[u8]>,
    /// `None`: the row was absent.
    pub(crate) version: Option<Version>,
    pub(crate) value: Option<Decoded>,
    generation: u64,
    weight: u64,
}

/// What one scan found.
pub(crate) struct Page {
    pub(crate) rows: Vec<(Arc<[u8]>, Version, Decoded)>,
    /// Whether rows follow behind the last.
    pub(crate) more: bool,
    generation: u64,
    weight: u64,
}

/// A key and its hash, taken once for cache and generation.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub(crate) bytes: &'a [u8],
    hash: u64,
}

/// A generation read before the engine was asked, and whose it is.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    hash: u64,
    generation: u64,
}

/// The cache of one store.
pub(crate) struct Cache {
    shards: Shards<Held, Kept, ByWeight, DefaultHashBuilder, DefaultLifecycle<Held, Kept>>,
    generations: Generations,
    hasher: DefaultHashBuilder,
    /// `None`: this process makes every change, so the cache is always true.
    freshness: Option<Freshness>,
}

/// Until when the changes of other nodes are known.
struct Freshness {
    epoch: Instant,
    until_nanos: AtomicU64,
}

struct Held {
    bytes: Arc<[u8]>,
    hash: u64,
}

#[derive(Clone)]
enum Kept {
    Page(Arc<Page>),
    Record(Arc<Entry>),
}

#[derive(Clone)]
struct ByWeight;

/// Number of generations: 4 MiB once they are all in use. Of a million keys that
/// are used, 10,000 last uses are written a second, which then costs 2 keys of a
/// hundred in memory a miss; with 16,384 it was half of them.
const GENERATIONS: usize = PARTS * PART;

/// Parts that generations are made in, each when the first of it moves on.
const PARTS: usize = 1_024;

/// Generations in a part: a page of memory.
const PART: usize = 512;

/// How often what belongs to each generation changed. A part that is not there yet
/// stands at zero, so that a store nobody writes to takes no room for them.
struct Generations(Box<[OnceLock<Box<[AtomicU64]>>]>);

impl Generations {
    fn new() -> Generations {
        Generations((0..PARTS).map(|_| OnceLock::new()).collect())
    }

    fn of(&self, hash: u64) -> u64 {
        let slot = slot(hash);
        let part = self.0[slot / PART].get();
        part.map_or(0, |part| part[slot % PART].load(Ordering::SeqCst))
    }

    fn move_on(&self, hash: u64) {
        let slot = slot(hash);
        self.part(slot / PART)[slot % PART].fetch_add(1, Ordering::SeqCst);
    }

    fn move_all_on(&self) {
        for part in 0..PARTS {
            for generation in self.part(part) {
                generation.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn part(&self, part: usize) -> &[AtomicU64] {
        self.0[part].get_or_init(|| (0..PART).map(|_| AtomicU64::new(0)).collect())
    }
}

/// What an entry weighs beside its record: keys, counters, table slots.
const ENTRY_OVERHEAD: u64 = 200;

/// What a decoded record points at takes about this many times its encoded size.
const DECODED_FACTOR: usize = 2;

/// Average weight of an entry, from which the tables are dimensioned.
const ENTRY_WEIGHT_ESTIMATE: u64 = 1_500;

impl Entry {
    /// That a key was read at this version, of what is not kept.
    pub(crate) fn passing(probe: Probe<'_>, version: Option<Version>) -> Arc<Entry> {
        Arc::new(Entry {
            key: probe.bytes.into(),
            version,
            value: None,
            generation: 0,
            weight: 0,
        })
    }
}

impl Cache {
    /// A cache of at most `bytes`. `alone` says that no other process writes.
    pub(crate) fn new(bytes: u64, alone: bool) -> Cache {
        let items = usize::try_from(bytes / ENTRY_WEIGHT_ESTIMATE).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items.max(1))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are given");
        let hasher = DefaultHashBuilder::default();
        Cache {
            shards: Shards::with_options(options, ByWeight, hasher.clone(), DefaultLifecycle::default()),
            generations: Generations::new(),
            hasher,
            freshness: (!alone).then(|| Freshness {
                epoch: Instant::now(),
                until_nanos: AtomicU64::new(0),
            }),
        }
    }

    /// Hashes a key once for the calls that follow.
    pub(crate) fn probe<'a>(&self, bytes: &'a [u8]) -> Probe<'a> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        Probe {
            bytes,
            hash: hasher.finish(),
        }
    }

    /// The generation of a key; must be taken before the engine is read.
    pub(crate) fn standing(&self, probe: Probe<'_>) -> Standing {
        Standing {
            hash: probe.hash,
            generation: self.generations.of(probe.hash),
        }
    }

    /// Whether nothing was changed under a generation since it was taken, nor
    /// can have been by another node.
    pub(crate) fn still_stands(&self, standing: Standing) -> bool {
        self.is_fresh() && self.stands(standing.hash, standing.generation)
    }

    /// The standing of what was kept under `probe`.
    pub(crate) fn standing_of(probe: Probe<'_>, entry: &Entry) -> Standing {
        Standing {
            hash: probe.hash,
            generation: entry.generation,
        }
    }

    fn stands(&self, hash: u64, generation: u64) -> bool {
        self.generations.of(hash) == generation
    }

    /// The record of a key, if what is known of it is true now.
    pub(crate) fn record(&self, probe: Probe<'_>) -> Option<Arc<Entry>> {
        if !self.is_fresh() {
            return None;
        }
        match self.shards.get(&probe)? {
            Kept::Record(entry) if self.stands(probe.hash, entry.generation) => Some(entry),
            Kept::Record(_) | Kept::Page(_) => None,
        }
    }

    /// Keeps what the engine said of a key under the generation taken before: its
    /// version, the record, and how many bytes that takes.
    pub(crate) fn keep_record(
        &self,
        probe: Probe<'_>,
        standing: Standing,
        found: Option<(Version, Decoded, usize)>,
    ) -> Arc<Entry> {
        let key: Arc<[u8]> = probe.bytes.into();
        let size = found.as_ref().map_or(0, |(_, _, size)| *size);
        let entry = Arc::new(Entry {
            key: Arc::clone(&key),
            version: found.as_ref().map(|(version, _, _)| *version),
            value: found.map(|(_, value, _)| value),
            generation: standing.generation,
            weight: weight(key.len(), size),
        });
        let held = Held {
            bytes: key,
            hash: probe.hash,
        };
        self.shards.insert(held, Kept::Record(Arc::clone(&entry)));
        entry
    }

    /// The page of a scan, if no row under its prefix changed since. The scan
    /// is named by `probe`, its prefix by the `prefix` its page was kept under.
    pub(crate) fn page(&self, probe: Probe<'_>, prefix: Probe<'_>) -> Option<Arc<Page>> {
        if !self.is_fresh() {
            return None;
        }
        match self.shards.get(&probe)? {
            Kept::Page(page) if self.stands(prefix.hash, page.generation) => Some(page),
            Kept::Page(_) | Kept::Record(_) => None,
        }
    }

    /// A page read under the generation of its prefix taken before the scan,
    /// kept if `keep` says so. Its keys and records take so many `bytes`.
    pub(crate) fn page_of(
        &self,
        probe: Probe<'_>,
        standing: Standing,
        rows: Vec<(Arc<[u8]>, Version, Decoded)>,
        more: bool,
        bytes: usize,
        keep: bool,
    ) -> Arc<Page> {
        let page = Arc::new(Page {
            more,
            generation: standing.generation,
            weight: weight(probe.bytes.len(), bytes) + rows.len() as u64 * ENTRY_OVERHEAD,
            rows,
        });
        if keep {
            let held = Held {
                bytes: probe.bytes.into(),
                hash: probe.hash,
            };
            self.shards.insert(held, Kept::Page(Arc::clone(&page)));
        }
        page
    }

    /// Makes whatever is kept of `key`, alone or in a page, answer no more.
    /// To be called when the change is visible in the engine and before it is
    /// acknowledged.
    pub(crate) fn changed(&self, key: &[u8]) {
        self.move_on(key);
        if let Some(table) = key.iter().position(|byte| *byte == 0) {
            let start = table + 1;
            self.move_on(&key[..start]);
            for end in closed_ends(&key[start..]) {
                self.move_on(&key[..start + end]);
            }
        }
    }

    /// Makes whatever is kept under exactly this key or prefix answer no more.
    pub(crate) fn move_on(&self, bytes: &[u8]) {
        self.generations.move_on(self.probe(bytes).hash);
    }

    /// Makes everything kept answer no more.
    pub(crate) fn all_changed(&self) {
        self.generations.move_all_on();
        self.shards.clear();
    }

    /// Every change other nodes made before `read_at` has been told.
    pub(crate) fn known_until(&self, read_at: Instant, for_another: Duration) {
        if let Some(freshness) = &self.freshness {
            let until = read_at.duration_since(freshness.epoch) + for_another;
            let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
            freshness.until_nanos.store(nanos, Ordering::SeqCst);
        }
    }

    /// Whether other processes may change rows too.
    pub(crate) fn is_shared(&self) -> bool {
        self.freshness.is_some()
    }

    /// Whether the changes of other nodes are known.
    pub(crate) fn is_fresh(&self) -> bool {
        self.freshness.as_ref().is_none_or(|freshness| {
            freshness.epoch.elapsed().as_nanos() < u128::from(freshness.until_nanos.load(Ordering::SeqCst))
        })
    }

    /// Bytes kept, by estimate.
    pub(crate) fn weight(&self) -> u64 {
        self.shards.weight()
    }
}

fn slot(hash: u64) -> usize {
    // The low bits choose a place within the cache's shards, the high ones the generation.
    usize::try_from(hash >> 32).unwrap_or(0) % GENERATIONS
}

/// Bytes that a decoded record takes, by estimate: its type, whether or not the record
/// makes use of all of it, and what that points at. A short record of a large type is
/// not small.
pub(crate) fn decoded_bytes<V>(stored: usize) -> usize {
    size_of::<V>() + stored * DECODED_FACTOR
}

fn weight(key: usize, decoded: usize) -> u64 {
    ENTRY_OVERHEAD + key as u64 * 2 + decoded as u64
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Held> for Probe<'_> {
    fn equivalent(&self, held: &Held) -> bool {
        self.hash == held.hash && *self.bytes == *held.bytes
    }
}

impl Weighter<Held, Kept> for ByWeight {
    fn weight(&self, _key: &Held, kept: &Kept) -> u64 {
        match kept {
            Kept::Page(page) => page.weight,
            Kept::Record(entry) => entry.weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &Cache, key: &[u8], standing: Standing, version: u64) {
        let value: Decoded = Arc::new(version);
        cache.keep_record(cache.probe(key), standing, Some((Version(version), value, 8)));
    }

    #[test]
    fn what_was_read_before_a_change_never_answers_after_it() {
        let cache = Cache::new(1 << 20, true);
        let key = b"a/r/t\0k";
        let before = cache.standing(cache.probe(key));
        // The engine is read here, another commit changes the row, and only
        // then does the first reader come to insert.
        cache.changed(key);
        keep(&cache, key, before, 1);
        assert!(cache.record(cache.probe(key)).is_none());

        keep(&cache, key, cache.standing(cache.probe(key)), 2);
        let entry = cache.record(cache.probe(key)).unwrap();
        assert_eq!(entry.version, Some(Version(2)));
    }

    #[test]
    fn absence_is_remembered_until_the_row_appears() {
        let cache = Cache::new(1 << 20, true);
        let key = b"a/r/t\0k";
        cache.keep_record(cache.probe(key), cache.standing(cache.probe(key)), None);
        assert!(cache.record(cache.probe(key)).unwrap().value.is_none());
        cache.changed(key);
        assert!(cache.record(cache.probe(key)).is_none());
    }

    #[test]
    fn a_page_falls_with_any_row_under_its_prefix() {
        let cache = Cache::new(1 << 20, true);
        let scan = b"scan of a/r/t, first component x";
        for prefix in [b"a/r/t\0".as_slice(), b"a/r/t\0x\x00\x01"] {
            let standing = cache.standing(cache.probe(prefix));
            cache.page_of(cache.probe(scan), standing, Vec::new(), false, 0, true);
            assert!(cache.page(cache.probe(scan), cache.probe(prefix)).is_some());
            cache.changed(b"a/r/t\0x\x00\x01new");
            assert!(cache.page(cache.probe(scan), cache.probe(prefix)).is_none());
        }
    }

    #[test]
    fn a_cache_that_has_not_heard_of_others_does_not_answer() {
        let cache = Cache::new(1 << 20, false);
        let key = b"a/r/t\0k";
        keep(&cache, key, cache.standing(cache.probe(key)), 1);
        assert!(cache.record(cache.probe(key)).is_none());
        cache.known_until(Instant::now(), Duration::from_secs(3600));
        assert!(cache.record(cache.probe(key)).is_some());
        cache.known_until(Instant::now(), Duration::ZERO);
        assert!(cache.record(cache.probe(key)).is_none());
    }

    /// Whether what a key belongs to is there already or is made by its change.
    #[test]
    fn every_key_has_a_generation_that_moves() {
        let cache = Cache::new(1 << 20, true);
        for round in 0..2 {
            for number in 0..5_000u32 {
                let key = number.to_be_bytes();
                let before = cache.standing(cache.probe(&key));
                assert!(cache.still_stands(before));
                cache.move_on(&key);
                assert!(!cache.still_stands(before), "round {round}, key {number}");
            }
        }
        let before = cache.standing(cache.probe(b"untouched"));
        cache.all_changed();
        assert!(!cache.still_stands(before));
    }

    #[test]
    fn the_weight_is_bounded() {
        let cache = Cache::new(100_000, true);
        for number in 0..10_000u64 {
            let key = [b"a/r/t\0".as_slice(), &number.to_be_bytes()].concat();
            keep(&cache, &key, cache.standing(cache.probe(&key)), number);
        }
        assert!(cache.weight() <= 100_000);
    }
}
