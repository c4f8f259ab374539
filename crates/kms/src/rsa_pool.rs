//! RSA keys made ahead of need: a data key pair, or a new key, takes one that
//! lies ready instead of the tenth of a second to several seconds that making
//! one takes.
//!
//! A server that was never asked for a spec makes none of it. From the first
//! request on, a thread of the lowest priority keeps as many of that spec ready
//! as [`RSA_KEYS_READY_MAX`] says; who comes when all are taken waits for one
//! that is made for it.
//!
//! Invariant: a key is given to one taker and to nobody else. Keys that nobody
//! took are wiped by the provider when the pool goes, as all its keys are.
//!
//! Absent by design: keys ready on disk. They would have to be sealed, and are
//! made again within seconds.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crypto::Random;
use crypto::key::{BackingKey, KeySpec};

use crate::limits::RSA_KEYS_READY_MAX;

/// The lowest priority there is. Source: setpriority(2).
const NICEST: i32 = 19;

/// The keys that lie ready.
#[derive(Debug)]
pub(crate) struct RsaPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    shelves: Vec<Shelf>,
    /// Whether its thread was started, or could not be.
    started: bool,
    /// Whether the pool is gone.
    closed: bool,
}

/// The keys of one spec.
struct Shelf {
    spec: KeySpec,
    room: usize,
    /// Whether anyone ever asked for one.
    wanted: bool,
    ready: Vec<BackingKey>,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.ready.len(), self.spec.as_str())
    }
}

impl Default for RsaPool {
    fn default() -> RsaPool {
        RsaPool::with_room(RSA_KEYS_READY_MAX)
    }
}

impl Drop for RsaPool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl RsaPool {
    /// A pool that keeps so many of each spec, once it is asked for one.
    fn with_room(room: &[(KeySpec, usize)]) -> RsaPool {
        let shelves = room.iter().map(|(spec, room)| Shelf {
            spec: *spec,
            room: *room,
            wanted: false,
            ready: Vec::new(),
        });
        let state = State {
            shelves: shelves.collect(),
            started: false,
            closed: false,
        };
        RsaPool {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    /// A key that lies ready; `None` if there is none, or none of this spec ever.
    /// Either way more will be made.
    pub(crate) fn take(&self, spec: KeySpec, random: &Random) -> Option<BackingKey> {
        let mut state = self.shared.lock();
        let shelf = state.shelves.iter_mut().find(|shelf| shelf.spec == spec)?;
        shelf.wanted = true;
        let key = shelf.ready.pop();
        if !std::mem::replace(&mut state.started, true) {
            self.start(random.clone());
        }
        drop(state);
        self.shared.changed.notify_all();
        key
    }

    /// How many of a spec lie ready.
    #[cfg(test)]
    fn ready(&self, spec: KeySpec) -> usize {
        let state = self.shared.lock();
        let shelf = state.shelves.iter().find(|shelf| shelf.spec == spec);
        shelf.map_or(0, |shelf| shelf.ready.len())
    }

    fn start(&self, random: Random) {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("kms-rsa-keys".to_owned());
        if let Err(error) = thread.spawn(move || shared.fill(&random)) {
            tracing::warn!(%error, "no RSA keys are made ahead: each waits for its own");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes keys until the pool is gone.
    fn fill(&self, random: &Random) {
        // Of this thread alone: on Linux it has a priority of its own.
        if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICEST) {
            tracing::warn!(%error, "RSA keys are made ahead at the priority of everything else");
        }
        while let Some(spec) = self.next() {
            match BackingKey::generate(spec, random) {
                Ok(key) => self.put(spec, key),
                Err(error) => {
                    tracing::error!(%error, "no more RSA keys are made ahead");
                    return;
                }
            }
        }
    }

    /// What is missing, once something is; `None` when the pool is gone.
    fn next(&self) -> Option<KeySpec> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let mut shelves = state.shelves.iter();
            if let Some(shelf) = shelves.find(|shelf| shelf.wanted && shelf.ready.len() < shelf.room) {
                return Some(shelf.spec);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, spec: KeySpec, key: BackingKey) {
        let mut state = self.lock();
        if let Some(shelf) = state.shelves.iter_mut().find(|shelf| shelf.spec == spec) {
            shelf.ready.push(key);
        }
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: KeySpec = KeySpec::Rsa2048;

    /// Waits until so many lie ready, as long as the thread makes any.
    fn until_ready(pool: &RsaPool, count: usize) {
        let mut state = pool.shared.lock();
        while state
            .shelves
            .iter()
            .find(|it| it.spec == SPEC)
            .unwrap()
            .ready
            .len()
            < count
        {
            state = pool.shared.changed.wait(state).unwrap();
        }
    }

    #[test]
    fn keys_are_made_once_somebody_asked_and_never_given_twice() {
        let pool = RsaPool::with_room(&[(SPEC, 2), (KeySpec::Rsa4096, 1)]);
        let random = Random::system();
        assert!(pool.take(KeySpec::EccNistP256, &random).is_none());
        assert!(!pool.shared.lock().started, "nobody wanted an RSA key");
        assert!(
            pool.take(SPEC, &random).is_none(),
            "the first is made for whoever asks"
        );
        until_ready(&pool, 2);
        let one = pool.take(SPEC, &random).unwrap();
        let other = pool.take(SPEC, &random).unwrap();
        assert_ne!(one.public_key_der(), other.public_key_der());
        assert_eq!(one.spec(), SPEC);
        // It fills up again, no further than its room, and of the other spec makes none.
        until_ready(&pool, 2);
        assert_eq!((pool.ready(SPEC), pool.ready(KeySpec::Rsa4096)), (2, 0));
    }

    #[test]
    fn the_thread_ends_with_the_pool() {
        let pool = RsaPool::with_room(&[(SPEC, 1)]);
        assert!(pool.take(SPEC, &Random::system()).is_none());
        let shared = Arc::downgrade(&pool.shared);
        until_ready(&pool, 1);
        drop(pool);
        while shared.upgrade().is_some() {
            std::thread::yield_now();
        }
    }

    /// Nothing of a key is in what is written for people.
    #[test]
    fn what_it_shows_of_itself_is_how_many() {
        let pool = RsaPool::default();
        assert!(format!("{pool:?}").contains("0 of RSA_2048"));
    }
}
