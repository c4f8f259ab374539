//! Several nodes on one PostgreSQL, and what happens when it falters.

#![expect(
    clippy::disallowed_methods,
    reason = "tests have other callers run beside them"
)]

use std::time::{Duration, Instant};

use store::{Event, Prefix, Store, StoreError};
use tokio::task::JoinSet;

use crate::bed::{Bed, NUMBERS, get, put, scope, server};

/// The database's name within its connection string.
fn database(bed: &Bed) -> String {
    let store::EngineConfig::Postgres { url } = &bed.config.engine else {
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
                loop {
                    let done = store
                        .transact(&scope(), async |tx| {
                            let before = tx.get(&NUMBERS, &key).await?.map_or(0, |value| *value);
                            tx.put(&NUMBERS, &key, &(before + 1));
                            Ok::<_, StoreError>(())
                        })
                        .await;
                    match done {
                        Ok(()) => break,
                        // Another node's commit may not have reached this cache yet.
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
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

#[tokio::test]
async fn an_unreachable_database_is_an_error_without_its_password() {
    let config = store::Config::postgres("postgres://u:hush@127.0.0.1:1/none");
    let error = Store::open(config).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hush"));
}
