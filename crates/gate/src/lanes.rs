//! Lanes: threads that each serve connections of their own.
//!
//! A connection stays on one thread from its first byte to its last. So what a
//! request touches stays near one processor, no thread wakes another to go on
//! with it, and none looks for work in another's queue
//! (docs/decisions/0006-lanes.md tells what that saves).
//!
//! Absent by design: moving a connection to another lane. A handler that
//! calculates for long holds up the connections of its own lane, so slow work
//! belongs on the blocking pool.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Lanes that serve; one for each processor.
pub(crate) struct Lanes(Vec<Lane>);

struct Lane {
    runtime: Handle,
    /// Every connection holds one, so that they can be counted.
    places: Arc<()>,
    /// Dropped when the lane shall end.
    stop: oneshot::Sender<()>,
    /// Told once it has, with everything that ran on it.
    ended: oneshot::Receiver<()>,
}

impl Lanes {
    /// Starts as many as the process may use processors.
    ///
    /// # Errors
    ///
    /// If the system gives no thread or no selector.
    pub(crate) fn start() -> io::Result<Lanes> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        (0..count).map(Lane::start).collect::<io::Result<_>>().map(Lanes)
    }

    /// Has a connection served by the lane that serves the fewest.
    pub(crate) fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let lane = self.0.iter().min_by_key(|lane| Arc::strong_count(&lane.places));
        let lane = lane.expect("there is a lane for each of at least one processor");
        let place = Arc::clone(&lane.places);
        lane.runtime.spawn(async move {
            connection.await;
            drop(place);
        });
    }

    /// Ends every lane, and whatever still runs there.
    pub(crate) async fn end(self) {
        let ended: Vec<_> = self
            .0
            .into_iter()
            .map(|Lane { stop, ended, .. }| {
                drop(stop);
                ended
            })
            .collect();
        for ended in ended {
            // The sender is dropped at the end, whichever way the thread ends.
            let _ = ended.await;
        }
    }
}

impl Lane {
    fn start(number: usize) -> io::Result<Lane> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(move || {
                // Nothing is ever sent: it ends with the other half.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(Duration::ZERO);
                // Who no longer waits for the end is not told.
                let _ = end.send(());
            })?;
        Ok(Lane {
            runtime: handle,
            places: Arc::new(()),
            stop,
            ended,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use super::*;

    #[tokio::test]
    async fn a_connection_stays_on_its_lane_and_the_emptiest_takes_the_next() {
        let lanes = Lanes(vec![Lane::start(0).unwrap(), Lane::start(1).unwrap()]);
        let seen: Arc<Mutex<Vec<[ThreadId; 2]>>> = Arc::default();
        let (open, _) = tokio::sync::broadcast::channel::<()>(1);
        let (arrived, mut arrivals) = tokio::sync::mpsc::channel(1);
        for _ in 0..4 {
            let (seen, mut open, arrived) = (Arc::clone(&seen), open.subscribe(), arrived.clone());
            lanes.serve(async move {
                let before = std::thread::current().id();
                arrived.send(()).await.unwrap();
                let _ = open.recv().await;
                seen.lock().unwrap().push([before, std::thread::current().id()]);
                arrived.send(()).await.unwrap();
            });
            arrivals.recv().await;
        }
        drop(open);
        for _ in 0..4 {
            arrivals.recv().await;
        }
        lanes.end().await;
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|[before, after]| before == after));
        let first = seen.iter().filter(|[thread, _]| *thread == seen[0][0]).count();
        assert_eq!((first, seen.len()), (2, 4));
    }

    #[tokio::test]
    async fn what_still_runs_at_the_end_is_dropped() {
        let lanes = Lanes::start().unwrap();
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let (arrived, arrival) = oneshot::channel();
        lanes.serve(async move {
            let _inside = inside;
            let _ = arrived.send(());
            std::future::pending::<()>().await;
        });
        arrival.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 2);
        lanes.end().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
