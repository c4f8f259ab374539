//! What the store has done since it was opened, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the store was opened, and present sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions of the engine that were made durable; each carries one commit or many.
    pub batches: u64,
    /// Records and pages answered from memory.
    pub cache_hits: u64,
    /// Records and pages read from the engine.
    pub cache_misses: u64,
    /// Estimated bytes of the cache of decoded records.
    pub cache_weight: u64,
    /// Commits applied.
    pub commits: u64,
    /// Commits refused because another came first.
    pub conflicts: u64,
    /// Commits refused or failed for any other reason.
    pub failures: u64,
    /// Times the engine was opened again after a failure.
    pub reconnects: u64,
    /// Times watchers and cache had to begin anew because changes were missed.
    pub resyncs: u64,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) batches: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) commits: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) failures: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) resyncs: Counter,
}

/// A number that grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn stats(&self, cache_weight: u64) -> Stats {
        Stats {
            batches: self.batches.get(),
            cache_hits: self.cache_hits.get(),
            cache_misses: self.cache_misses.get(),
            cache_weight,
            commits: self.commits.get(),
            conflicts: self.conflicts.get(),
            failures: self.failures.get(),
            reconnects: self.reconnects.get(),
            resyncs: self.resyncs.get(),
        }
    }
}
