//! The change feed: every committed change, once, in the order of versions.
//!
//! The latest changes are kept in memory. A watcher further behind than they
//! reach is told to resync instead of being left with a gap. The embedded
//! engine fills the feed from its own commits; with PostgreSQL a task reads the
//! change log, so that the commits of every node arrive in their one order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::Version;
use crate::limits::{FEED_BYTES_MAX, FEED_CHANGES_MAX};

/// One row changed. [`crate::Table::key_of`] tells whose and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The commit that changed it.
    pub version: Version,
    /// The engine's key.
    pub(crate) key: Arc<[u8]>,
    /// Whether it was written or removed.
    pub kind: ChangeKind,
}

/// What happened to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The row is gone.
    Delete,
    /// The row is new or has a new value.
    Put,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next change.
    Change(Change),
    /// Changes up to and including this version are no longer at hand: read
    /// again whatever matters. The changes behind it follow.
    Resync(Version),
}

/// The latest changes and whoever waits for more.
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    /// Position behind the newest change, for watchers to wait on.
    head: watch::Sender<u64>,
}

struct Ring {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Position of the oldest change kept.
    start: u64,
    /// Every change above this version is in the ring.
    floor: Version,
    /// The newest version known to the feed, whether or not it changed a row.
    newest: Version,
    closed: bool,
}

impl Ring {
    fn head(&self) -> u64 {
        self.start + self.changes.len() as u64
    }
}

impl Feed {
    /// A feed that begins behind `newest`.
    pub(crate) fn new(newest: Version) -> Feed {
        Feed {
            ring: Mutex::new(Ring {
                changes: VecDeque::new(),
                bytes: 0,
                start: 0,
                floor: newest,
                newest,
                closed: false,
            }),
            head: watch::Sender::new(0),
        }
    }

    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        // The ring is whole between its statements, so a panic elsewhere leaves nothing torn.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds changes in the order of their versions, and the newest version they belong to.
    pub(crate) fn publish(&self, changes: impl IntoIterator<Item = Change>, newest: Version) {
        let mut ring = self.ring();
        for change in changes {
            ring.bytes += change.key.len();
            ring.changes.push_back(change);
            while ring.changes.len() > FEED_CHANGES_MAX || ring.bytes > FEED_BYTES_MAX {
                let Some(oldest) = ring.changes.pop_front() else {
                    break;
                };
                ring.bytes -= oldest.key.len();
                ring.start += 1;
                ring.floor = ring.floor.max(oldest.version);
            }
        }
        ring.newest = ring.newest.max(newest);
        let head = ring.head();
        drop(ring);
        self.head.send_replace(head);
    }

    /// Forgets everything: changes up to `newest` were missed or unmade.
    pub(crate) fn reset(&self, newest: Version) {
        let mut ring = self.ring();
        // One position is skipped, so that a watcher who had read everything notices.
        ring.start = ring.head() + 1;
        ring.changes.clear();
        ring.bytes = 0;
        ring.floor = newest;
        ring.newest = newest;
        let head = ring.head();
        drop(ring);
        self.head.send_replace(head);
    }

    /// No change will follow.
    pub(crate) fn close(&self) {
        self.ring().closed = true;
        self.head.send_modify(|_| ());
    }

    /// The newest version the feed has seen.
    pub(crate) fn newest(&self) -> Version {
        self.ring().newest
    }

    /// Follows the changes behind `from`.
    pub(crate) fn watch(self: &Arc<Feed>, from: Version) -> Watch {
        let ring = self.ring();
        let reaches = ring.floor <= from && from <= ring.newest;
        let behind = ring.changes.partition_point(|change| change.version <= from);
        let next = ring.start + behind as u64;
        drop(ring);
        Watch {
            head: self.head.subscribe(),
            feed: Arc::clone(self),
            next: reaches.then_some(next),
        }
    }
}

/// A place in the change feed.
pub struct Watch {
    feed: Arc<Feed>,
    head: watch::Receiver<u64>,
    /// Position of the next change; `None` if the place is lost.
    next: Option<u64>,
}

impl Watch {
    /// The next event, as soon as there is one; `None` once the store is
    /// closed and everything was told.
    ///
    /// May be dropped while waiting without losing an event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.feed.ring().closed {
                return None;
            }
            self.head.changed().await.ok()?;
        }
    }

    /// The next event, if there is one by now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.head.mark_unchanged();
        let ring = self.feed.ring();
        match self.next {
            Some(next) if next >= ring.start => {
                let at = usize::try_from(next - ring.start).ok()?;
                let change = ring.changes.get(at)?.clone();
                self.next = Some(next + 1);
                Some(Event::Change(change))
            }
            Some(_) | None => {
                self.next = Some(ring.head());
                Some(Event::Resync(ring.newest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: u64) -> Change {
        Change {
            version: Version(version),
            key: Arc::from(version.to_be_bytes()),
            kind: ChangeKind::Put,
        }
    }

    #[test]
    fn a_watcher_sees_what_follows_and_nothing_before() {
        let feed = Arc::new(Feed::new(Version(10)));
        let mut early = feed.watch(Version(10));
        feed.publish([change(11), change(12), change(12)], Version(12));
        let mut late = feed.watch(Version(11));
        for version in [11, 12, 12] {
            assert_eq!(early.try_next(), Some(Event::Change(change(version))));
        }
        assert_eq!(early.try_next(), None);
        for version in [12, 12] {
            assert_eq!(late.try_next(), Some(Event::Change(change(version))));
        }
        assert_eq!(late.try_next(), None);
    }

    #[test]
    fn whoever_cannot_be_served_without_a_gap_is_told() {
        let feed = Arc::new(Feed::new(Version(10)));
        for lost in [Version(9), Version(11)] {
            assert_eq!(feed.watch(lost).try_next(), Some(Event::Resync(Version(10))));
        }
        let mut watch = feed.watch(Version(10));
        let last = 10 + FEED_CHANGES_MAX as u64 + 5;
        for version in 11..=last {
            feed.publish([change(version)], Version(version));
        }
        assert_eq!(watch.try_next(), Some(Event::Resync(Version(last))));
        feed.publish([change(last + 1)], Version(last + 1));
        assert_eq!(watch.try_next(), Some(Event::Change(change(last + 1))));
        feed.reset(Version(5));
        assert_eq!(watch.try_next(), Some(Event::Resync(Version(5))));
        assert_eq!(watch.try_next(), None);
    }
}
