//! An end to HTTP/2 connections that ask nothing.
//!
//! Under HTTP/1.1 the time for the next head is running whenever no request
//! is. An HTTP/2 connection is kept by its pings, also when nobody asks
//! anything any more; so who asks nothing is counted here.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

/// How long it has been quiet on one connection.
pub(crate) struct Quiet {
    /// Set once the connection is known to speak HTTP/2.
    counts: AtomicBool,
    heard: Mutex<Heard>,
    time_max: Duration,
}

struct Heard {
    running: usize,
    /// When the connection began, or its last request ended.
    last: Instant,
}

/// A request that is being answered.
pub(crate) struct Running(Arc<Quiet>);

impl Quiet {
    /// On a connection that begins now.
    pub(crate) fn new(time_max: Duration) -> Arc<Quiet> {
        Arc::new(Quiet {
            counts: AtomicBool::new(false),
            heard: Mutex::new(Heard {
                running: 0,
                last: Instant::now(),
            }),
            time_max,
        })
    }

    /// The connection speaks HTTP/2.
    pub(crate) fn count(&self) {
        self.counts.store(true, Ordering::Relaxed);
    }

    /// A request begins, and runs until the answer is dropped.
    pub(crate) fn run(self: &Arc<Quiet>) -> Running {
        self.heard().running += 1;
        Running(Arc::clone(self))
    }

    /// Completes when it has been quiet for too long. To be polled by the task
    /// that serves the connection, after it: nothing else wakes this one.
    pub(crate) async fn too_long(&self) {
        poll_fn(|_| match self.counts.load(Ordering::Relaxed) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        loop {
            let now = Instant::now();
            let until = {
                let heard = self.heard();
                // While a request runs, quiet begins at its end at the earliest.
                let last = if heard.running == 0 { heard.last } else { now };
                last + self.time_max
            };
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut heard = self.0.heard();
        heard.running -= 1;
        heard.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_begins_with_the_end_of_the_last_request() {
        let quiet = Quiet::new(LIMIT);
        quiet.count();
        let first = quiet.run();
        let second = quiet.run();
        let begun = Instant::now();
        let ends = async {
            tokio::time::sleep(seconds(100)).await;
            drop(first);
            tokio::time::sleep(seconds(100)).await;
            drop(second);
        };
        tokio::join!(ends, quiet.too_long());
        assert!(begun.elapsed() >= seconds(260), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_at_all_is_quiet_from_the_beginning() {
        let quiet = Quiet::new(LIMIT);
        quiet.count();
        let begun = Instant::now();
        quiet.too_long().await;
        assert!((seconds(60)..seconds(61)).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn http_1_is_not_counted() {
        let quiet = Quiet::new(LIMIT);
        let waited = tokio::time::timeout(seconds(1000), quiet.too_long()).await;
        assert!(waited.is_err());
    }
}
