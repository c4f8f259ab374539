//! Opening, closing and looking at a store.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::cache::Cache;
use crate::commit::Commit;
use crate::committer::{Queued, Upkeep};
use crate::engine::Engine;
use crate::feed::{Feed, Watch};
use crate::limits::{
    ATTEMPTS_BEFORE_TURN, CACHE_BYTES_DEFAULT, PAGE_CACHE_BYTES_DEFAULT, QUEUE_COMMITS_MAX,
    TRANSACT_ATTEMPTS, TURN_MAX,
};
use crate::postgres::{self, PostgresEngine};
use crate::redb::{self, Place, RedbEngine};
use crate::scope::Scope;
use crate::snapshot::Snapshot;
use crate::stats::{Counters, Stats};
use crate::view::View;
use crate::write::WriteTx;
use crate::{StoreError, Version};

/// Which store to open, and how much memory it may take.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the rows are kept.
    pub engine: EngineConfig,
    /// Bytes the cache of decoded records may take, by estimate.
    pub cache_bytes: u64,
    /// Bytes the embedded engine's page cache may take.
    pub page_cache_bytes: usize,
}

/// Where the rows are kept.
#[derive(Clone)]
pub enum EngineConfig {
    /// In memory: gone when the store is closed.
    Memory,
    /// In a PostgreSQL database, shared by every node that names it.
    Postgres {
        /// `postgres://user:password@host/database`, or key-value pairs as libpq reads them.
        url: String,
        /// The PEM file of the authority that signed the server's certificate.
        /// With it the connection is TLS; a host beyond this machine is refused
        /// without it, unless the string says `sslmode=disable`.
        ca_file: Option<PathBuf>,
    },
    /// In one file, which belongs to this process for as long as it is open.
    Redb {
        /// The file; created with the directories above it if missing.
        path: PathBuf,
        /// Whether a commit survives the machine's power, not only the process.
        durable: bool,
    },
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineConfig::Memory => f.write_str("Memory"),
            // The string holds the password.
            EngineConfig::Postgres { .. } => f.write_str("Postgres"),
            EngineConfig::Redb { path, durable } => f
                .debug_struct("Redb")
                .field("path", path)
                .field("durable", durable)
                .finish(),
        }
    }
}

impl Config {
    /// A store in memory.
    pub fn memory() -> Config {
        Config::with(EngineConfig::Memory)
    }

    /// A store in the file at `path`, every commit flushed.
    pub fn redb(path: impl Into<PathBuf>) -> Config {
        Config::with(EngineConfig::Redb {
            path: path.into(),
            durable: true,
        })
    }

    /// A store in a throw-away file: commits survive the process, not the machine.
    pub fn redb_throwaway(path: impl Into<PathBuf>) -> Config {
        Config::with(EngineConfig::Redb {
            path: path.into(),
            durable: false,
        })
    }

    /// A store in a PostgreSQL database.
    pub fn postgres(url: impl Into<String>) -> Config {
        Config::with(EngineConfig::Postgres {
            url: url.into(),
            ca_file: None,
        })
    }

    fn with(engine: EngineConfig) -> Config {
        Config {
            engine,
            cache_bytes: CACHE_BYTES_DEFAULT,
            page_cache_bytes: PAGE_CACHE_BYTES_DEFAULT,
        }
    }
}

/// A turn to write; dropping it lets the next one go.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not read")] tokio::sync::OwnedMutexGuard<()>);

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    cache: Arc<Cache>,
    counters: Arc<Counters>,
    engine: Engine,
    feed: Arc<Feed>,
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    /// Taken in turns by those who keep losing against others.
    turns: Arc<tokio::sync::Mutex<()>>,
    /// What runs beside the callers, until the store is closed.
    workers: tokio::sync::Mutex<Vec<Worker>>,
}

enum Worker {
    Task(tokio::task::JoinHandle<()>),
    Thread(std::thread::JoinHandle<()>),
}

impl Store {
    /// Opens the store, creating it if it is not there.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another process has the file open,
    /// [`StoreError::NewerStore`] if a newer release laid it out,
    /// [`StoreError::Unavailable`] if the database cannot be reached.
    pub async fn open(config: Config) -> Result<Store, StoreError> {
        let (place, alone) = match config.engine {
            EngineConfig::Memory => (Ok(Place::Memory), true),
            EngineConfig::Postgres { url, ca_file } => (Err((url, ca_file)), false),
            EngineConfig::Redb { path, durable } => (Ok(Place::File { path, durable }), true),
        };
        let cache = Arc::new(Cache::new(config.cache_bytes, alone));
        let counters = Arc::new(Counters::default());
        let (queue, waiting) = mpsc::channel(QUEUE_COMMITS_MAX);
        let upkeep = |feed: &Arc<Feed>| Upkeep {
            cache: Arc::clone(&cache),
            counters: Arc::clone(&counters),
            feed: Arc::clone(feed),
        };
        let (engine, feed, workers) = match place {
            Ok(place) => {
                let engine = Arc::new(RedbEngine::open(place, config.page_cache_bytes)?);
                let feed = Arc::new(Feed::new(engine.version()?));
                let thread = redb::start(Arc::clone(&engine), waiting, upkeep(&feed))?;
                (Engine::Redb(engine), feed, vec![Worker::Thread(thread)])
            }
            Err((url, ca_file)) => {
                let (engine, newest) = Box::pin(PostgresEngine::open(&url, ca_file.as_deref())).await?;
                let engine = Arc::new(engine);
                let feed = Arc::new(Feed::new(newest));
                let workers = vec![
                    Worker::Task(postgres::start_committer(
                        Arc::clone(&engine),
                        waiting,
                        upkeep(&feed),
                    )),
                    Worker::Task(postgres::start_feed(Arc::clone(&engine), newest, upkeep(&feed))),
                ];
                (Engine::Postgres(engine), feed, workers)
            }
        };
        Ok(Store(Arc::new(Inner {
            cache,
            counters,
            engine,
            feed,
            queue: Mutex::new(Some(queue)),
            turns: Arc::default(),
            workers: tokio::sync::Mutex::new(workers),
        })))
    }

    /// Finishes the commits that are queued, then gives the file or the
    /// connections back. Whatever is asked afterwards answers
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        self.queue().take();
        for worker in self.0.workers.lock().await.drain(..) {
            match worker {
                Worker::Task(task) => drop(task.await),
                Worker::Thread(thread) => drop(tokio::task::spawn_blocking(|| thread.join()).await),
            }
        }
    }

    /// A view of one scope, for one request.
    pub fn view(&self, scope: Scope) -> View {
        View::new(self.clone(), scope)
    }

    /// All rows as they stand now, for as long as the snapshot lives.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::new(self.0.engine.snapshot().await?))
    }

    /// Commits what `tx` holds, if everything it read still stands.
    ///
    /// A transaction that writes nothing succeeds without a look at its reads
    /// and answers the newest version known. The commit goes on even if the
    /// caller stops waiting for it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`]: run the request again from its beginning.
    /// [`StoreError::Full`]: nothing was kept. [`StoreError::Unsure`]: kept
    /// whole or not at all. Others as their names say, nothing was kept.
    pub async fn commit(&self, tx: WriteTx) -> Result<Version, StoreError> {
        let view = tx.view().clone();
        let outcome = self.submit(tx.into_commit()?).await;
        if matches!(outcome, Err(StoreError::Conflict)) {
            view.distrust();
        }
        outcome
    }

    /// Runs `work` and commits what it wrote, again and again while others
    /// come first. For jobs; a request reruns its handler instead.
    ///
    /// # Errors
    ///
    /// Whatever `work` reports, and [`StoreError::Conflict`] when
    /// [`TRANSACT_ATTEMPTS`] were not enough.
    pub async fn transact<T, E>(
        &self,
        scope: &Scope,
        work: impl AsyncFnOnce(WriteTx) -> Result<T, E> + Clone,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let mut attempts = 0;
        let mut turn = None;
        loop {
            attempts += 1;
            let tx = self.view(scope.clone()).begin();
            // Cloned rather than lent: the compiler cannot see yet that a future
            // which borrows its closure may move between threads.
            let done = work.clone()(tx.clone()).await?;
            match self.commit(tx).await {
                Ok(_) => return Ok(done),
                Err(StoreError::Conflict) if attempts < TRANSACT_ATTEMPTS => {
                    if attempts >= ATTEMPTS_BEFORE_TURN && turn.is_none() {
                        turn = self.turn().await;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for a turn to write what many want to write: those who lost
    /// against others again and again go one after the other, first come first
    /// served, instead of losing by chance for ever. Held while running again.
    ///
    /// A turn is a courtesy, not a lock: whoever waits longer than
    /// [`TURN_MAX`] goes on without one.
    pub async fn turn(&self) -> Option<Turn> {
        let turns = Arc::clone(&self.0.turns).lock_owned();
        tokio::time::timeout(TURN_MAX, turns).await.ok().map(Turn)
    }

    /// Follows every change behind `from`.
    ///
    /// Begins with [`crate::Event::Resync`] if the changes behind `from` are
    /// not all at hand: the embedded engine remembers those since it was
    /// opened, within [`crate::limits::FEED_CHANGES_MAX`].
    pub fn watch(&self, from: Version) -> Watch {
        self.0.feed.watch(from)
    }

    /// The newest version this node has heard of.
    pub fn newest(&self) -> Version {
        self.0.feed.newest()
    }

    /// Counters since the store was opened.
    pub fn stats(&self) -> Stats {
        self.0.counters.stats(self.0.cache.weight())
    }

    pub(crate) async fn submit(&self, commit: Commit) -> Result<Version, StoreError> {
        if commit.is_empty() {
            return Ok(self.newest());
        }
        commit.check_limits()?;
        let queue = self.queue().clone().ok_or(StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        queue
            .send(Queued { commit, answer })
            .await
            .map_err(|_| StoreError::Closed)?;
        // Otherwise close() would wait for whoever merely waits for an answer.
        drop(queue);
        answered.await.map_err(|_| StoreError::Closed)?
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Queued>>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("newest", &self.newest())
            .finish_non_exhaustive()
    }
}
