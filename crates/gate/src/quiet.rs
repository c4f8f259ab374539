//! An end to connections that ask nothing, and to those that take nothing.
//!
//! One clock a connection: from its beginning, and from the end of each
//! request, the head of the next must be complete in time. So who sends no first
//! bytes, who sends half a head and waits, and who keeps an HTTP/2 connection by
//! its pings alone are all closed by the same rule.
//!
//! So are readers who let their answers wait: over HTTP/1 nothing more is asked
//! until they are taken, and over HTTP/2 an answer that lies there through a whole
//! round of the clock ends its connection, though others are asked for and taken
//! beside it.
//!
//! The clock is set once and looks, when it rings, how long it has been quiet:
//! a request moves no timer, it notes when it ended.

use std::pin::Pin;
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
    /// How often the clock has rung.
    rings: AtomicUsize,
    /// Answers that have not been taken: those of this round of the clock, and those of the
    /// round before it. Rounds of an even number have the first place.
    untaken: [AtomicUsize; 2],
}

/// When an answer began that has not been taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round(usize);

impl Quiet {
    /// On a connection that begins now.
    pub(crate) fn new(time_max: Duration) -> Quiet {
        Quiet {
            begun: Instant::now(),
            time_max,
            running: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            rings: AtomicUsize::new(0),
            untaken: [AtomicUsize::new(0), AtomicUsize::new(0)],
        }
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has its answer, or goes without.
    pub(crate) fn end(&self) {
        let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
        // Whoever sees that nothing runs sees since when.
        self.running.fetch_sub(1, Ordering::Release);
    }

    /// An answer is on its way. To be called before [`Quiet::end`] of its request, so
    /// that the clock rings no sooner than the time after it.
    pub(crate) fn answer(&self) -> Round {
        let round = Round(self.rings.load(Ordering::Relaxed) % 2);
        self.untaken[round.0].fetch_add(1, Ordering::Relaxed);
        round
    }

    /// The answer of this round was taken.
    pub(crate) fn taken(&self, round: Round) {
        self.untaken[round.0].fetch_sub(1, Ordering::Relaxed);
    }

    /// The connection's clock, for [`Quiet::poll_too_long`].
    pub(crate) fn clock(&self) -> Sleep {
        tokio::time::sleep_until(self.begun + self.time_max)
    }

    /// Completes when it has been quiet for too long, or an answer was not taken for too
    /// long: for one to two times the longest quiet. `clock` is this connection's [`Quiet::clock`].
    pub(crate) fn poll_too_long(&self, mut clock: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(clock.as_mut().poll(cx));
            let now = Instant::now();
            let until = match self.running.load(Ordering::Acquire) {
                0 => self.begun + Duration::from_nanos(self.heard.load(Ordering::Relaxed)) + self.time_max,
                // Quiet begins at the end of what runs, at the earliest.
                _ => now + self.time_max,
            };
            let ring = self.rings.load(Ordering::Relaxed);
            let is_left = self.untaken[(ring + 1) % 2].load(Ordering::Relaxed) > 0;
            if until <= now || is_left {
                return Poll::Ready(());
            }
            self.rings.store(ring + 1, Ordering::Relaxed);
            clock.as_mut().reset(until);
        }
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
        quiet.begin();
        quiet.begin();
        let begun = Instant::now();
        let ends = async {
            tokio::time::sleep(seconds(100)).await;
            quiet.end();
            tokio::time::sleep(seconds(100)).await;
            quiet.end();
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
            quiet.begin();
            quiet.end();
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

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_taken_in_time_or_ends_the_connection() {
        for is_taken in [true, false] {
            let quiet = Quiet::new(LIMIT);
            let begun = Instant::now();
            let asks = async {
                tokio::time::sleep(seconds(50)).await;
                let answer = quiet.answer();
                for second in 0..950 {
                    // Others are asked for and taken beside it.
                    quiet.begin();
                    let other = quiet.answer();
                    quiet.end();
                    tokio::time::sleep(seconds(1)).await;
                    quiet.taken(other);
                    if is_taken && second == 55 {
                        quiet.taken(answer);
                    }
                }
            };
            tokio::select! {
                () = asks => {},
                () = too_long(&quiet) => {},
            }
            match is_taken {
                true => assert_eq!(begun.elapsed(), seconds(1000)),
                false => assert!((seconds(110)..seconds(171)).contains(&begun.elapsed())),
            }
        }
    }
}
