//! The only place that reads the wall clock.

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
    System,
    Virtual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Kind::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn virtual_from(start: Timestamp) -> Clock {
        Clock(Kind::Virtual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one crate that meets the wall clock"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => {
                let since = SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(0).after(since)
            }
            Kind::Virtual(hands) => Timestamp(hands.load(Ordering::SeqCst)),
        }
    }

    /// Moves a virtual clock forward and tells the new time; `None` for the machine's clock.
    pub fn advance(&self, by: Duration) -> Option<Timestamp> {
        match &self.0 {
            Kind::System => None,
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

    /// Whether time moves only when told to.
    pub fn is_virtual(&self) -> bool {
        matches!(self.0, Kind::Virtual(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_virtual_clock_move_together() {
        let clock = Clock::virtual_from(Timestamp(5));
        let other = clock.clone();
        assert_eq!(clock.advance(Duration::from_millis(7)), Some(Timestamp(12)));
        assert_eq!(other.now(), Timestamp(12));
        assert_eq!(Clock::system().advance(Duration::ZERO), None);
    }
}
