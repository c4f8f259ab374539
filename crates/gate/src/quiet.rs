//! An end to connections that ask nothing.
//!
//! One clock a connection: from its beginning, and from the end of each
//! request, the head of the next must be complete in time. So who sends no first
//! bytes, who sends half a head and waits, and who keeps an HTTP/2 connection by
//! its pings alone are all closed by the same rule.
//!
//! The clock is set once and looks, when it rings, how long it has been quiet:
//! a request moves no timer, it notes when it ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long it has been quiet on one connection.
pub(crate) struct Quiet {
    begun: Instant,
    time_max: Duration,
    /// Requests that are being answered.
    running: AtomicUsize,
    /// When the last of them ended, in nanoseconds from the beginning.
    heard: AtomicU64,
}

/// A request that is being answered.
pub(crate) struct Running(Arc<Quiet>);

impl Quiet {
    /// On a connection that begins now.
    pub(crate) fn new(time_max: Duration) -> Arc<Quiet> {
        Arc::new(Quiet {
            begun: Instant::now(),
            time_max,
            running: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
        })
    }

    /// A request begins, and runs until the answer is dropped.
    pub(crate) fn run(self: &Arc<Quiet>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// The connection's clock, for [`Quiet::poll_too_long`].
    pub(crate) fn clock(&self) -> Sleep {
        tokio::time::sleep_until(self.begun + self.time_max)
    }

    /// Completes when it has been quiet for too long. `clock` is this connection's
    /// [`Quiet::clock`].
    pub(crate) fn poll_too_long(&self, mut clock: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(clock.as_mut().poll(cx));
            let now = Instant::now();
            let until = match self.running.load(Ordering::Acquire) {
                0 => self.begun + Duration::from_nanos(self.heard.load(Ordering::Relaxed)) + self.time_max,
                // Quiet begins at the end of what runs, at the earliest.
                _ => now + self.time_max,
            };
            if until <= now {
                return Poll::Ready(());
            }
            clock.as_mut().reset(until);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Quiet {
            begun,
            running,
            heard,
            ..
        } = &*self.0;
        let now = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        heard.store(now, Ordering::Relaxed);
        // Whoever sees that nothing runs sees since when.
        running.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    async fn too_long(quiet: &Quiet) {
        let mut clock = pin!(quiet.clock());
        poll_fn(|cx| quiet.poll_too_long(clock.as_mut(), cx)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_begins_with_the_end_of_the_last_request() {
        let quiet = Quiet::new(LIMIT);
        let first = quiet.run();
        let second = quiet.run();
        let begun = Instant::now();
        let ends = async {
            tokio::time::sleep(seconds(100)).await;
            drop(first);
            tokio::time::sleep(seconds(100)).await;
            drop(second);
        };
        tokio::join!(ends, too_long(&quiet));
        // Looked at each minute, and once more when the last minute is over.
        assert!((seconds(260)..seconds(321)).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_between_two_looks_begins_the_time_anew() {
        let quiet = Quiet::new(LIMIT);
        let begun = Instant::now();
        let asks = async {
            tokio::time::sleep(seconds(50)).await;
            drop(quiet.run());
        };
        tokio::join!(asks, too_long(&quiet));
        assert!((seconds(110)..seconds(111)).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_at_all_is_quiet_from_the_beginning() {
        let quiet = Quiet::new(LIMIT);
        let begun = Instant::now();
        too_long(&quiet).await;
        assert!((seconds(60)..seconds(61)).contains(&begun.elapsed()));
    }
}
