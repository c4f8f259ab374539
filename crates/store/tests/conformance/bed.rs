//! Where a test's store lies, engine by engine.

use std::sync::OnceLock;

use ground::{AccountId, Region};
use store::{Config, EngineConfig, Scope, Store, Table};
use testkit::postgres::Server;

pub(crate) const NUMBERS: Table<String, u64> = Table::new("test/number", 1);
pub(crate) const PAIRS: Table<(String, String), u64> = Table::new("test/pair", 1);

/// A place where a store can be opened, closed and opened again.
pub(crate) struct Bed {
    pub(crate) config: Config,
    pub(crate) name: &'static str,
    _directory: Option<tempfile::TempDir>,
}

impl Bed {
    pub(crate) fn memory() -> Bed {
        Bed {
            config: Config::memory(),
            name: "memory",
            _directory: None,
        }
    }

    pub(crate) fn redb() -> Bed {
        let directory = tempfile::tempdir().unwrap();
        Bed {
            config: Config::redb(directory.path().join("below/store.redb")),
            name: "redb",
            _directory: Some(directory),
        }
    }

    pub(crate) async fn postgres() -> Bed {
        Bed {
            config: Config::postgres(server().database().await),
            name: "postgres",
            _directory: None,
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.config.clone()).await.unwrap()
    }

    /// Whether many stores can have it open at once.
    pub(crate) fn has_nodes(&self) -> bool {
        matches!(self.config.engine, EngineConfig::Postgres { .. })
    }

    /// Whether rows outlive the store.
    pub(crate) fn lasts(&self) -> bool {
        !matches!(self.config.engine, EngineConfig::Memory)
    }
}

/// The server of this test program.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// Runs a test on every engine.
pub(crate) async fn on_every_engine(test: impl AsyncFn(&Bed)) {
    for bed in [Bed::redb(), Bed::memory(), Bed::postgres().await] {
        println!("engine: {}", bed.name);
        test(&bed).await;
    }
}

pub(crate) fn account(number: u64) -> AccountId {
    AccountId::from_number(number).unwrap()
}

pub(crate) fn scope() -> Scope {
    Scope::regional(account(123_456_789_012), &Region::us_east_1())
}

pub(crate) async fn put(store: &Store, key: &str, value: u64) -> store::Version {
    let tx = store.view(scope()).begin();
    tx.put(&NUMBERS, &key.to_owned(), &value);
    store.commit(tx).await.unwrap()
}

pub(crate) async fn get(store: &Store, key: &str) -> Option<u64> {
    let found = store.view(scope()).get(&NUMBERS, &key.to_owned()).await.unwrap();
    found.map(|value| *value)
}
