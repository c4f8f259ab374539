//! Several nodes on one PostgreSQL, and what happens when it falters.

#![expect(
    clippy::disallowed_methods,
    reason = "tests have other callers run beside them"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use store::limits::STALENESS_MAX;
use store::{Event, Prefix, Store, StoreError, Version, Watch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::bed::{Bed, NUMBERS, get, put, scope, server};

/// The database's name within its connection string.
fn database(bed: &Bed) -> String {
    let store::EngineConfig::Postgres { url, .. } = &bed.config.engine else {
        panic!("not a database");
    };
    url.rsplit('/').next().unwrap().to_owned()
}

async fn eventually(what: &str, within: Duration, condition: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + within;
    while !condition().await {
        assert!(
            Instant::now() < give_up,
            "{what} did not happen within {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_one_node_is_seen_on_the_other_within_a_second() {
    let bed = Bed::postgres().await;
    let (one, two) = (bed.open().await, bed.open().await);
    for round in 1..=20 {
        // The other node has the row before it, and the page, in its cache.
        get(&two, "k").await;
        two.view(scope())
            .scan(&NUMBERS, &Prefix::all(), None, 10)
            .await
            .unwrap();
        put(&one, "k", round).await;
        eventually("the row", Duration::from_secs(1), async || {
            get(&two, "k").await == Some(round)
        })
        .await;
        eventually("the page", Duration::from_secs(1), async || {
            let page = two
                .view(scope())
                .scan(&NUMBERS, &Prefix::all(), None, 10)
                .await
                .unwrap();
            page.items.first().is_some_and(|(_, value)| **value == round)
        })
        .await;
    }
    one.close().await;
    two.close().await;
}

/// A feed that has fallen silent, on a connection that still stands: what the
/// cache says is believed no longer than the bound, and then the database is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hears_nothing_asks_the_database() {
    let bed = Bed::postgres().await;
    let (wire, through) = Wire::before(&bed).await;
    let deaf = Store::open(store::Config::postgres(through)).await.unwrap();
    let other = bed.open().await;
    put(&other, "k", 0).await;
    eventually("the row", Duration::from_secs(30), async || {
        get(&deaf, "k").await == Some(0)
    })
    .await;
    wire.silence_feed();
    for round in 1..=3 {
        // Each time the node reads the row, and would keep it.
        put(&other, "k", round).await;
        tokio::time::sleep(STALENESS_MAX).await;
        assert_eq!(get(&deaf, "k").await, Some(round));
    }
    assert!(wire.withheld.load(Ordering::SeqCst), "the feed was never silent");
    deaf.close().await;
    other.close().await;
}

/// A node that acts on a stale cache cannot commit what follows from it.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_do_not_lose_each_others_writes() {
    let bed = Bed::postgres().await;
    let nodes = [bed.open().await, bed.open().await, bed.open().await];
    let mut tasks = JoinSet::new();
    for task in 0..9 {
        let store = nodes[task % 3].clone();
        tasks.spawn(async move {
            let key = "counter".to_owned();
            for _ in 0..10 {
                store
                    .transact(&scope(), async |tx| {
                        let before = tx.get(&NUMBERS, &key).await?.map_or(0, |value| *value);
                        tx.put(&NUMBERS, &key, &(before + 1));
                        Ok::<_, StoreError>(())
                    })
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    for store in &nodes {
        eventually("the sum", Duration::from_secs(1), async || {
            get(store, "counter").await == Some(90)
        })
        .await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_of_every_node_see_one_order() {
    let bed = Bed::postgres().await;
    let nodes = [bed.open().await, bed.open().await];
    let mut watches = nodes.each_ref().map(|store| store.watch(store.newest()));
    let mut tasks = JoinSet::new();
    for task in 0..6 {
        let store = nodes[task % 2].clone();
        tasks.spawn(async move {
            for step in 0..10 {
                put(&store, &format!("k{task}-{step}"), 1).await;
            }
        });
    }
    tasks.join_all().await;
    let mut orders = Vec::new();
    for watch in &mut watches {
        let mut order = Vec::new();
        while order.len() < 60 {
            let event = tokio::time::timeout(Duration::from_secs(10), watch.next())
                .await
                .unwrap();
            match event.unwrap() {
                Event::Change(change) => order.push((change.version, NUMBERS.key_of(&change).unwrap().1)),
                Event::Resync(version) => panic!("resync at {version:?}"),
            }
        }
        orders.push(order);
    }
    assert!(orders[0].is_sorted_by_key(|(version, _)| *version));
    assert_eq!(orders[0], orders[1]);
    for store in nodes {
        store.close().await;
    }
}

/// Every connection is cut again and again while commits run: each commit is
/// made exactly once, and what was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_and_repeat_nothing() {
    let bed = Bed::postgres().await;
    let store = bed.open().await;
    let name = database(&bed);
    let cutter = tokio::spawn(async move {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            server()
                .execute(
                    "postgres",
                    &format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                    ),
                )
                .await;
        }
    });
    let mut tasks = JoinSet::new();
    for task in 0..6 {
        let store = store.clone();
        let running = cutter.abort_handle();
        tasks.spawn(async move {
            let key = format!("counter{task}");
            let mut done = 0u64;
            while !running.is_finished() {
                // Not conditional on the row: a commit made twice would go unnoticed
                // there, so the order of its own log shows it.
                let tx = store.view(scope()).begin();
                tx.put(&NUMBERS, &key, &done);
                tx.append(&LOG, &format!("{task}:{done}"));
                store.commit(tx).await.unwrap();
                assert_eq!(get(&store, &key).await, Some(done));
                done += 1;
            }
            done
        });
    }
    cutter.await.unwrap();
    let done = tasks.join_all().await;
    let mut logged = Vec::new();
    let view = store.view(scope());
    let mut after = None;
    loop {
        let page = view
            .scan(&LOG, &Prefix::all(), after.as_ref(), 500)
            .await
            .unwrap();
        logged.extend(page.items.iter().map(|(_, text)| text.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(logged.len() as u64, done.iter().sum::<u64>());
    logged.sort();
    logged.dedup();
    assert_eq!(logged.len() as u64, done.iter().sum::<u64>());
    assert!(store.stats().reconnects > 0);
    store.close().await;
}

const LOG: store::Table<store::Stamp, String> = store::Table::new("test/log", 1);

/// The server crashes and comes back: commits wait for it, reads do not answer
/// from a cache that has heard nothing for too long.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_and_returns() {
    let server = tokio::task::spawn_blocking(testkit::postgres::Server::start)
        .await
        .unwrap();
    let store = Store::open(store::Config::postgres(server.database().await))
        .await
        .unwrap();
    put(&store, "k", 1).await;
    assert_eq!(get(&store, "k").await, Some(1));
    let server = tokio::task::spawn_blocking(move || {
        server.crash();
        server
    })
    .await
    .unwrap();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move {
            let tx = store.view(scope()).begin();
            tx.put(&NUMBERS, &"k".to_owned(), &2);
            store.commit(tx).await
        })
    };
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let read = tokio::time::timeout(Duration::from_millis(100), get(&store, "k")).await;
    assert!(read.is_err(), "a cache that is out of touch answered {read:?}");
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    })
    .await
    .unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(get(&store, "k").await, Some(2));
    let version = put(&store, "k", 3).await;
    eventually("the feed", Duration::from_secs(3), async || {
        store.newest() >= version
    })
    .await;
    store.close().await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_behind_tls_is_verified() {
    let server = tokio::task::spawn_blocking(testkit::postgres::Server::start_tls)
        .await
        .unwrap();
    let url = server.url("postgres");
    let open = async |url: &str, ca_file: Option<std::path::PathBuf>| {
        let mut config = store::Config::postgres(url);
        config.engine = store::EngineConfig::Postgres {
            url: url.to_owned(),
            ca_file,
        };
        Store::open(config).await
    };
    let store = open(&url, Some(server.ca_file())).await.unwrap();
    put(&store, "k", 1).await;
    assert_eq!(get(&store, "k").await, Some(1));
    store.close().await;

    // Without TLS the server refuses; another authority, or a name the
    // certificate does not bear, is refused by us.
    assert!(matches!(open(&url, None).await, Err(StoreError::Engine(_))));
    let other = testkit::postgres::certificate_authority();
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("other.pem");
    #[expect(clippy::disallowed_methods, reason = "the test's own file")]
    std::fs::write(&ca_file, other.0).unwrap();
    let error = open(&url, Some(ca_file)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let url = url.replace("127.0.0.1", "localhost");
    let error = open(&url, Some(server.ca_file())).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let nothing = directory.path().join("nothing.pem");
    assert!(open(&url, Some(nothing)).await.is_err());
    drop(server);
}

#[tokio::test]
async fn an_unreachable_database_is_an_error_without_its_password() {
    let config = store::Config::postgres("postgres://u:hush@127.0.0.1:1/none");
    let error = Store::open(config).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hush"));
}

/// The database asks for a transaction to be repeated, then has no room.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_repeated_or_reported() {
    let bed = Bed::postgres().await;
    let store = bed.open().await;
    put(&store, "k", 1).await;
    let refuse = |code: &str, times: u32| {
        format!(
            "CREATE SEQUENCE asked;
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('asked') <= {times} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END IF;
                 RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON palisade_kv FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    };
    let allow = "DROP FUNCTION refuse CASCADE; DROP SEQUENCE asked";
    let commit = async |value: u64| {
        let tx = store.view(scope()).begin();
        tx.put(&NUMBERS, &"k".to_owned(), &value);
        store.commit(tx).await
    };
    for code in ["40001", "40P01"] {
        server().execute(&database(&bed), &refuse(code, 3)).await;
        commit(2).await.unwrap();
        server().execute(&database(&bed), allow).await;
    }
    server().execute(&database(&bed), &refuse("53100", 1)).await;
    assert!(matches!(commit(3).await, Err(StoreError::Full)));
    assert_eq!(get(&store, "k").await, Some(2));
    commit(4).await.unwrap();
    assert_eq!(get(&store, "k").await, Some(4));
    server().execute(&database(&bed), allow).await;
    // Anything else is the engine's own failure, and costs this batch alone.
    server().execute(&database(&bed), &refuse("22000", 1)).await;
    assert!(matches!(commit(5).await, Err(StoreError::Engine(_))));
    commit(6).await.unwrap();
    assert_eq!(get(&store, "k").await, Some(6));
    store.close().await;
}

/// The change log is trimmed, and whoever it no longer reaches back to is told;
/// so it is when the database goes back to an earlier state.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_log_with_a_gap_makes_everyone_begin_anew() {
    let bed = Bed::postgres().await;
    let store = bed.open().await;
    for number in 0..5 {
        put(&store, "k", number).await;
    }
    eventually("the feed", Duration::from_secs(2), async || {
        store.newest() == Version(5)
    })
    .await;
    let mut watch = store.watch(Version(5));
    let server = server();
    server
        .execute(&database(&bed), "UPDATE palisade_sequence SET version = 250000")
        .await;
    let version = put(&store, "k", 9).await;
    assert_eq!(version, Version(250_001));
    let next = async |watch: &mut Watch| tokio::time::timeout(Duration::from_secs(5), watch.next()).await;
    assert!(matches!(next(&mut watch).await.unwrap(), Some(Event::Resync(seen)) if seen >= version));
    assert_eq!(get(&store, "k").await, Some(9));
    let version = put(&store, "k", 10).await;
    match next(&mut watch).await.unwrap() {
        Some(Event::Change(change)) => assert_eq!(change.version, version),
        other => panic!("{other:?}"),
    }

    // Another session writes the row behind our back and turns the count back,
    // as a restore of an older backup would.
    server
        .execute(
            &database(&bed),
            "UPDATE palisade_kv SET value = '\\x0137', version = 7 WHERE encode(key, 'escape') LIKE '%number%k';
             UPDATE palisade_sequence SET version = 7, trimmed = 0; DELETE FROM palisade_change",
        )
        .await;
    assert_eq!(next(&mut watch).await.unwrap(), Some(Event::Resync(Version(7))));
    assert_eq!(get(&store, "k").await, Some(7));
    assert_eq!(put(&store, "k", 11).await, Version(8));
    assert_eq!(get(&store, "k").await, Some(11));
    store.close().await;
}

/// The commit arrives and its answer is lost: it must not be made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_made_once() {
    let bed = Bed::postgres().await;
    let (wire, through) = Wire::before(&bed).await;
    let store = Store::open(store::Config::postgres(through)).await.unwrap();
    put(&store, "k", 0).await;
    for round in 1..=5u64 {
        // In turn: the answer is lost, or the commit itself.
        wire.cut(if round % 2 == 0 { Cut::Commit } else { Cut::Answer });
        let tx = store.view(scope()).begin();
        tx.put(&NUMBERS, &"k".to_owned(), &round);
        tx.append(&LOG, &round.to_string());
        let version = store.commit(tx).await.unwrap();
        assert_eq!(version, Version(1 + round));
        assert!(!wire.is_armed(), "the wire was cut in round {round}");
    }
    let page = store
        .view(scope())
        .scan(&LOG, &Prefix::all(), None, 100)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 5);
    assert!(store.stats().reconnects >= 5);
    store.close().await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Answer,
    Commit,
}

/// A wire to the server that can be cut around the next commit, or made to
/// swallow what the server tells those who listen for changes.
#[derive(Clone, Default)]
struct Wire {
    armed: Arc<Mutex<Option<Cut>>>,
    silenced: Arc<AtomicBool>,
    /// Whether anything was swallowed.
    withheld: Arc<AtomicBool>,
}

impl Wire {
    /// A wire to the server of `bed`, and the connection string that leads through it.
    async fn before(bed: &Bed) -> (Wire, String) {
        let store::EngineConfig::Postgres { url, .. } = &bed.config.engine else {
            panic!("not a database");
        };
        let (before, rest) = url.split_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = format!("{before}@{}/{name}", listener.local_addr().unwrap());
        let wire = Wire::default();
        let (server, carrier) = (server.to_owned(), wire.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                tokio::spawn(carry(client, server, carrier.clone()));
            }
        });
        (wire, through)
    }

    fn silence_feed(&self) {
        self.silenced.store(true, Ordering::SeqCst);
    }

    fn cut(&self, cut: Cut) {
        *self.armed.lock().unwrap() = Some(cut);
    }

    fn is_armed(&self) -> bool {
        self.armed.lock().unwrap().is_some()
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, wire: Wire) {
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    let mut listens = false;
    loop {
        tokio::select! {
            Ok(count) = client.read(&mut up) => {
                if count == 0 {
                    return;
                }
                listens |= up[..count].windows(7).any(|part| part == b"LISTEN ");
                let committing = up[..count].windows(7).any(|part| part == b" COMMIT");
                let cut = if committing { wire.armed.lock().unwrap().take() } else { None };
                if cut != Some(Cut::Commit) && server.write_all(&up[..count]).await.is_err() {
                    return;
                }
                if cut.is_some() {
                    // Long enough for the server to commit; its answer goes nowhere.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    return;
                }
            }
            Ok(count) = server.read(&mut down) => {
                if count > 0 && listens && wire.silenced.load(Ordering::SeqCst) {
                    wire.withheld.store(true, Ordering::SeqCst);
                    continue;
                }
                if count == 0 || client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
