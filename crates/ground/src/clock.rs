//! The only place that reads the wall clock.
//!
//! Invariant: no clock ever goes back. Whoever sets the machine's back while we
//! run finds our time standing until the machine's has caught up: what has
//! expired stays expired, and what was counted stays counted. A new process
//! believes the machine.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::Timestamp;

/// Tells the time: the machine's, or one that moves only when told to.
///
/// Clones share the same hands.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Read(Arc<Reading>),
    Virtual(Arc<AtomicI64>),
}

/// A source of time, and the latest that it has told.
struct Reading {
    latest: AtomicI64,
    read: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Reading {
    fn now(&self) -> Timestamp {
        let read = (self.read)();
        // Mostly somebody has told this millisecond already: then nothing is written,
        // and processors do not take the hand from one another.
        let latest = self.latest.load(Ordering::SeqCst);
        if read.0 <= latest {
            return Timestamp(latest);
        }
        let before = self.latest.fetch_max(read.0, Ordering::SeqCst);
        Timestamp(before.max(read.0))
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reading")
            .field("latest", &self.latest)
            .finish_non_exhaustive()
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock::reading(machine_time)
    }

    /// A clock over another source of time, which may go back; the clock does not.
    pub fn reading(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Kind::Read(Arc::new(Reading {
            latest: AtomicI64::new(i64::MIN),
            read: Box::new(source),
        })))
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn virtual_from(start: Timestamp) -> Clock {
        Clock(Kind::Virtual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The present moment, never earlier than what this clock told before.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Read(reading) => reading.now(),
            Kind::Virtual(hands) => Timestamp(hands.load(Ordering::SeqCst)),
        }
    }

    /// How far the machine's clock is behind what this one has told: since it was
    /// set back, time stands here.
    pub fn behind(&self) -> Duration {
        match &self.0 {
            Kind::Read(reading) => reading.now().since((reading.read)()),
            Kind::Virtual(_) => Duration::ZERO,
        }
    }

    /// Moves a virtual clock forward and tells the new time; `None` for the machine's clock.
    pub fn advance(&self, by: Duration) -> Option<Timestamp> {
        match &self.0 {
            Kind::Read(_) => None,
            Kind::Virtual(hands) => {
                let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                let before = hands
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                        Some(now.saturating_add(millis))
                    })
                    .unwrap_or_else(|now| now);
                Some(Timestamp(before.saturating_add(millis)))
            }
        }
    }

    /// What the clocks of clients show where this one does not: the machine's
    /// time, if time here moves only when told to. Nothing but the date of a
    /// signature is held to it.
    pub fn of_clients(&self) -> Option<Timestamp> {
        self.is_virtual().then(machine_time)
    }

    /// Whether time moves only when told to.
    pub fn is_virtual(&self) -> bool {
        matches!(self.0, Kind::Virtual(_))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one crate that meets the wall clock"
)]
fn machine_time() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(0).after(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_stands_while_its_source_is_behind() {
        let hands = Arc::new(AtomicI64::new(1_000));
        let read = Arc::clone(&hands);
        let clock = Clock::reading(move || Timestamp(read.load(Ordering::SeqCst)));
        let clone = clock.clone();
        assert_eq!(clock.now(), Timestamp(1_000));
        for (source, told) in [(400, 1_000), (999, 1_000), (1_001, 1_001), (0, 1_001)] {
            hands.store(source, Ordering::SeqCst);
            assert_eq!(clone.now(), Timestamp(told), "the source says {source}");
            let behind = u64::try_from(told - source).unwrap();
            assert_eq!(clock.behind(), Duration::from_millis(behind));
        }
        // Another process, so to speak.
        let read = Arc::clone(&hands);
        let another = Clock::reading(move || Timestamp(read.load(Ordering::SeqCst)));
        assert_eq!(another.now(), Timestamp(0));
    }

    #[test]
    fn clones_of_a_virtual_clock_move_together() {
        let clock = Clock::virtual_from(Timestamp(5));
        let other = clock.clone();
        assert_eq!(clock.advance(Duration::from_millis(7)), Some(Timestamp(12)));
        assert_eq!(other.now(), Timestamp(12));
        assert_eq!(Clock::system().advance(Duration::ZERO), None);
    }
}
