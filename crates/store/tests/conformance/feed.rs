//! The change feed.

use std::time::Duration;

use store::{ChangeKind, Event, Scope, Stamp, Table, Version, Watch};
use tokio::task::JoinSet;

use crate::bed::{NUMBERS, account, on_every_engine, put, scope};

async fn next(watch: &mut Watch) -> Event {
    tokio::time::timeout(Duration::from_secs(10), watch.next())
        .await
        .expect("an event within ten seconds")
        .expect("the store is open")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_arrives_once_and_in_order() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let mut watch = store.watch(store.newest());
        let mut tasks = JoinSet::new();
        for task in 0..8u64 {
            let store = store.clone();
            tasks.spawn(async move {
                for step in 0..15u64 {
                    let tx = store.view(scope()).begin();
                    tx.put(&NUMBERS, &format!("k{task}-{step}"), &step);
                    tx.delete(&NUMBERS, &format!("gone{task}-{step}"));
                    store.commit(tx).await.unwrap();
                }
            });
        }
        let mut seen = Vec::new();
        let mut last = Version(0);
        while seen.len() < 240 {
            match next(&mut watch).await {
                Event::Change(change) => {
                    assert!(change.version >= last);
                    last = change.version;
                    let (whose, key) = NUMBERS.key_of(&change).unwrap();
                    assert_eq!(whose, scope());
                    assert_eq!(change.kind == ChangeKind::Delete, key.starts_with("gone"));
                    seen.push(key);
                }
                Event::Resync(version) => panic!("resync at {version:?}"),
            }
        }
        tasks.join_all().await;
        assert_eq!(watch.try_next(), None);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 240);

        // From the middle on, exactly the rest.
        let mut watch = store.watch(Version(last.0 - 10));
        let mut rest = 0;
        while rest < 20 {
            assert!(matches!(next(&mut watch).await, Event::Change(_)));
            rest += 1;
        }
        assert_eq!(watch.try_next(), None);
        store.close().await;
        assert_eq!(watch.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_watcher_who_missed_something_is_told() {
    on_every_engine(async |bed| {
        if !bed.lasts() {
            return;
        }
        let store = bed.open().await;
        for number in 0..5 {
            put(&store, "k", number).await;
        }
        store.close().await;
        let store = bed.open().await;
        let newest = store.newest();
        assert_eq!(newest, Version(5));
        for from in [Version(0), Version(4), Version(99)] {
            assert_eq!(store.watch(from).next().await, Some(Event::Resync(newest)));
        }
        let mut watch = store.watch(newest);
        assert_eq!(watch.try_next(), None);
        let version = put(&store, "k", 9).await;
        let Event::Change(change) = next(&mut watch).await else {
            panic!("a change was expected");
        };
        assert_eq!(change.version, version);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn appended_rows_stand_in_the_order_of_commits() {
    const LOG: Table<Stamp, String> = Table::new("test/log", 1);
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let global = Scope::global();
        let mut expected = Vec::new();
        for number in 0..12u64 {
            let tx = store.view(Scope::regionless(account(number % 3))).begin();
            for line in ["a", "b"] {
                let text = format!("{number}{line}");
                tx.cross_account_append(&global, &LOG, &text);
                expected.push(text);
            }
            store.commit(tx).await.unwrap();
        }
        let view = store.view(global);
        let page = view.scan(&LOG, &store::Prefix::all(), None, 100).await.unwrap();
        let seen: Vec<_> = page.items.iter().map(|(_, text)| text.to_string()).collect();
        assert_eq!(seen, expected);
        let after = page.items[9].0;
        let rest = view
            .scan(&LOG, &store::Prefix::all(), Some(&after), 100)
            .await
            .unwrap();
        assert_eq!(rest.items.len(), 14);
        store.close().await;
    })
    .await;
}
