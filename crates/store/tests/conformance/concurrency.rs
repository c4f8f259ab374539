//! What others do meanwhile.

#![expect(
    clippy::disallowed_methods,
    reason = "tests have other callers run beside them"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use store::{Event, Prefix, Store, StoreError};
use tokio::task::JoinSet;

use crate::bed::{Bed, NUMBERS, PAIRS, get, on_every_engine, put, scope};

/// A read of the row, whatever it answered, is a condition of the write.
#[tokio::test]
async fn a_write_on_the_strength_of_what_changed_is_refused() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let (a, b) = ("a".to_owned(), "b".to_owned());
        put(&store, "a", 1).await;

        // Changed, removed, and appeared.
        for change in ["change", "remove", "appear"] {
            let view = store.view(scope());
            let key = if change == "appear" { &b } else { &a };
            view.get(&NUMBERS, key).await.unwrap();
            let other = store.view(scope()).begin();
            match change {
                "remove" => other.delete(&NUMBERS, key),
                _ => other.put(&NUMBERS, key, &7),
            }
            store.commit(other).await.unwrap();
            let tx = view.begin();
            tx.put(&NUMBERS, &"c".to_owned(), &1);
            assert!(
                matches!(store.commit(tx).await, Err(StoreError::Conflict)),
                "{change}"
            );
            assert_eq!(get(&store, "c").await, None, "{change}");
        }

        // A peek is none, and neither is a read of what did not change.
        let view = store.view(scope());
        view.peek(&NUMBERS, &b).await.unwrap();
        view.get(&NUMBERS, &a).await.unwrap();
        put(&store, "b", 8).await;
        let tx = view.begin();
        tx.put(&NUMBERS, &"c".to_owned(), &1);
        store.commit(tx).await.unwrap();

        // A blind write needs nothing.
        let first = store.view(scope()).begin();
        first.put(&NUMBERS, &a, &1);
        let second = store.view(scope()).begin();
        second.put(&NUMBERS, &a, &2);
        store.commit(second).await.unwrap();
        store.commit(first).await.unwrap();
        assert_eq!(get(&store, "a").await, Some(1));
        assert_eq!(store.stats().conflicts, 3);
        store.close().await;
    })
    .await;
}

/// Those who only add never conflict, and nothing that was added is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_add_is_all_there_and_nobody_conflicts() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let (seen, unseen) = ("seen".to_owned(), "unseen".to_owned());
        put(&store, "seen", 1_000).await;
        let mut tasks = JoinSet::new();
        for writer in 0..16u64 {
            let (store, seen, unseen) = (store.clone(), seen.clone(), unseen.clone());
            tasks.spawn(async move {
                for step in 0..25 {
                    let view = store.view(scope());
                    view.peek(&NUMBERS, &seen).await.unwrap();
                    let tx = view.begin();
                    tx.add(&NUMBERS, &seen, 3);
                    tx.add(&NUMBERS, &seen, -1);
                    tx.add(&NUMBERS, &unseen, 1);
                    tx.put(&NUMBERS, &format!("{writer}/{step}"), &1);
                    store.commit(tx).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(get(&store, "seen").await, Some(1_000 + 2 * 16 * 25));
        assert_eq!(get(&store, "unseen").await, Some(16 * 25));
        assert_eq!(store.stats().conflicts, 0);
        store.close().await;
    })
    .await;
}

/// However many add at once: what fits is added, the rest is refused, and nobody
/// conflicts. As the number only grows, whatever was refused would not fit at the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_many_add_up_to_a_greatest_value_is_never_past_it() {
    const MOST: u64 = 60;
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let other = if bed.has_nodes() {
            bed.open().await
        } else {
            store.clone()
        };
        let mut tasks = JoinSet::new();
        for writer in 0..64i64 {
            let store = if writer % 2 == 0 {
                store.clone()
            } else {
                other.clone()
            };
            tasks.spawn(async move {
                let by = 1 + writer % 3;
                let tx = store.view(scope()).begin();
                tx.add_up_to(&NUMBERS, &"bounded".to_owned(), by, MOST);
                tx.add(&NUMBERS, &"unbounded".to_owned(), by);
                tx.put(&NUMBERS, &format!("made/{writer}"), &by.unsigned_abs());
                match store.commit(tx).await {
                    Ok(_) => (by.unsigned_abs(), true),
                    Err(StoreError::PastMost { most: MOST, table }) if table == NUMBERS.name() => {
                        (by.unsigned_abs(), false)
                    }
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let told = tasks.join_all().await;
        let added: u64 = told.iter().filter(|(_, made)| *made).map(|(by, _)| by).sum();
        let refused = told.iter().filter(|(_, made)| !*made);
        assert!(added <= MOST, "{added}");
        assert!(refused.clone().count() > 0, "there was more than fits");
        for (by, _) in refused {
            assert!(added + by > MOST, "{by} was refused, with {added} in the end");
        }
        let snapshot = store.snapshot().await.unwrap();
        let numbers = snapshot
            .cross_account_scan(&scope(), &NUMBERS, &Prefix::all(), None, 100)
            .await
            .unwrap();
        let sum_of = |prefix: &str| -> u64 {
            let named = numbers.items.iter().filter(|(key, _)| key.starts_with(prefix));
            named.map(|(_, value)| **value).sum()
        };
        assert_eq!(sum_of("bounded"), added);
        assert_eq!(sum_of("unbounded"), added, "what was refused left nothing");
        assert_eq!(sum_of("made/"), added);
        assert_eq!(store.stats().conflicts + other.stats().conflicts, 0);
        other.close().await;
        store.close().await;
    })
    .await;
}

/// The sum is judged when the commit is made: behind its own writes, and not before
/// it stands on what it read.
#[tokio::test]
async fn a_refused_addition_leaves_nothing_and_frees_nothing() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let (key, other) = ("n".to_owned(), "other".to_owned());
        put(&store, "n", 4).await;
        let adding = |by| {
            let tx = store.view(scope()).begin();
            tx.add_up_to(&NUMBERS, &key, by, 5);
            tx
        };
        let newest = store.commit(adding(1)).await.unwrap();
        let tx = adding(1);
        tx.put(&NUMBERS, &other, &1);
        let refused = store.commit(tx).await;
        assert!(
            matches!(refused, Err(StoreError::PastMost { most: 5, .. })),
            "{refused:?}"
        );
        assert_eq!(get(&store, "other").await, None);
        assert_eq!(get(&store, "n").await, Some(5));
        assert_eq!(store.stats().failures, 1);

        // What makes room in the same commit, by writing or adding, makes it fit.
        let tx = adding(1);
        tx.put(&NUMBERS, &key, &2);
        assert!(store.commit(tx).await.unwrap() > newest);
        assert_eq!(get(&store, "n").await, Some(3));
        let tx = adding(4);
        tx.add(&NUMBERS, &key, -2);
        store.commit(tx).await.unwrap();
        assert_eq!(get(&store, "n").await, Some(5));

        // Who read what has changed runs again, and is told of the bound only then.
        let view = store.view(scope());
        view.get(&NUMBERS, &key).await.unwrap();
        store.commit(adding(-1)).await.unwrap();
        let tx = view.begin();
        tx.add_up_to(&NUMBERS, &key, 9, 5);
        assert!(matches!(store.commit(tx).await, Err(StoreError::Conflict)));

        // A number that is past it already may only fall.
        put(&store, "n", 9).await;
        assert!(store.commit(adding(1)).await.is_err());
        store.commit(adding(-1)).await.unwrap();
        assert_eq!(get(&store, "n").await, Some(8));
        store.close().await;
    })
    .await;
}

/// Who read the number, or wrote it, is told of what others added.
#[tokio::test]
async fn an_addition_is_a_change_like_any_other() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let key = "n".to_owned();
        put(&store, "n", 5).await;
        let mut watch = store.watch(store.newest());
        let reader = store.view(scope());
        assert_eq!(reader.get(&NUMBERS, &key).await.unwrap().as_deref(), Some(&5));

        let tx = store.view(scope()).begin();
        tx.add(&NUMBERS, &key, -7);
        assert!(!tx.is_empty());
        store.commit(tx).await.unwrap();
        assert_eq!(get(&store, "n").await, Some(0), "no tally falls below zero");
        let Event::Change(change) = watch.next().await.unwrap() else {
            panic!("nothing was missed");
        };
        assert_eq!(NUMBERS.key_of(&change), Some((scope(), key.clone())));

        let tx = reader.begin();
        tx.put(&NUMBERS, &"other".to_owned(), &1);
        assert!(matches!(store.commit(tx).await, Err(StoreError::Conflict)));

        // What one commit puts and removes comes before what it adds.
        let tx = store.view(scope()).begin();
        tx.add(&NUMBERS, &key, 2);
        tx.put(&NUMBERS, &key, &40);
        store.commit(tx).await.unwrap();
        assert_eq!(get(&store, "n").await, Some(42));
        let tx = store.view(scope()).begin();
        tx.delete(&NUMBERS, &key);
        tx.add(&NUMBERS, &key, 2);
        store.commit(tx).await.unwrap();
        assert_eq!(get(&store, "n").await, Some(2));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn phantoms_are_noticed_as_far_as_was_looked() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        for number in [10, 20, 30, 40] {
            put(&store, &format!("k{number}"), number).await;
        }
        let key = |text: &str| text.to_owned();
        // Each change, and whether it lies in the first page of three.
        for (change, noticed) in [
            ("put k05", true),
            ("put k20", true),
            ("put k25", true),
            ("delete k10", true),
            ("put k35", false),
            ("delete k40", false),
            ("put l", false),
            ("put a", false),
        ] {
            let view = store.view(scope());
            let page = view.scan(&NUMBERS, &Prefix::text("k"), None, 3).await.unwrap();
            assert_eq!(page.items.len(), 3);
            let other = store.view(scope()).begin();
            match change.split_once(' ').unwrap() {
                ("put", row) => other.put(&NUMBERS, &key(row), &1),
                (_, row) => other.delete(&NUMBERS, &key(row)),
            }
            store.commit(other).await.unwrap();
            let tx = view.begin();
            tx.put(&NUMBERS, &key("result"), &1);
            let outcome = store.commit(tx).await;
            assert_eq!(
                matches!(outcome, Err(StoreError::Conflict)),
                noticed,
                "{change}: {outcome:?}"
            );
            // Back to the four rows.
            let tidy = store.view(scope()).begin();
            let page = tidy.scan(&NUMBERS, &Prefix::all(), None, 100).await.unwrap();
            for (row, _) in page.items {
                tidy.delete(&NUMBERS, &row);
            }
            for number in [10, 20, 30, 40] {
                tidy.put(&NUMBERS, &format!("k{number}"), &number);
            }
            store.commit(tidy).await.unwrap();
        }

        // An exhausted scan covers the whole prefix, an empty one too.
        for prefix in ["k", "none"] {
            let view = store.view(scope());
            view.scan(&NUMBERS, &Prefix::text(prefix), None, 100)
                .await
                .unwrap();
            put(&store, &format!("{prefix}99"), 1).await;
            let tx = view.begin();
            tx.put(&NUMBERS, &key("result"), &1);
            assert!(
                matches!(store.commit(tx).await, Err(StoreError::Conflict)),
                "{prefix}"
            );
        }
        store.close().await;
    })
    .await;
}

async fn increment(store: &Store, key: &str) {
    let key = key.to_owned();
    store
        .transact(&scope(), async |tx| {
            let before = tx.get(&NUMBERS, &key).await?.map_or(0, |value| *value);
            tx.put(&NUMBERS, &key, &(before + 1));
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let mut tasks = JoinSet::new();
        for _ in 0..12 {
            let store = store.clone();
            tasks.spawn(async move {
                for _ in 0..20 {
                    increment(&store, "counter").await;
                }
            });
        }
        tasks.join_all().await;
        assert_eq!(get(&store, "counter").await, Some(240));
        assert!(store.stats().commits >= 240);
        store.close().await;
    })
    .await;
}

/// Money moves between accounts while an auditor adds it up.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_neither_make_nor_lose_money() {
    const ACCOUNTS: u64 = 6;
    on_every_engine(async |bed| {
        let store = bed.open().await;
        for account in 0..ACCOUNTS {
            put(&store, &format!("account{account}"), 100).await;
        }
        let done = Arc::new(AtomicBool::new(false));
        let auditor = {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut audits = 0;
                while !done.load(Ordering::SeqCst) {
                    let snapshot = store.snapshot().await.unwrap();
                    let page = snapshot
                        .cross_account_scan(&scope(), &NUMBERS, &Prefix::all(), None, 100)
                        .await
                        .unwrap();
                    assert_eq!(
                        page.items.iter().map(|(_, value)| **value).sum::<u64>(),
                        100 * ACCOUNTS
                    );
                    audits += 1;
                    tokio::task::yield_now().await;
                }
                audits
            })
        };
        let mut tasks = JoinSet::new();
        for task in 0..6u64 {
            let store = store.clone();
            tasks.spawn(async move {
                for step in 0..25u64 {
                    let from = format!("account{}", (task + step) % ACCOUNTS);
                    let to = format!("account{}", (task * 5 + step * 3 + 1) % ACCOUNTS);
                    let amount = 1 + (task * 7 + step) % 30;
                    store
                        .transact(&scope(), async |tx| {
                            let have = tx.get(&NUMBERS, &from).await?.map_or(0, |value| *value);
                            if have < amount || from == to {
                                return Ok(());
                            }
                            let there = tx.get(&NUMBERS, &to).await?.map_or(0, |value| *value);
                            tx.put(&NUMBERS, &from, &(have - amount));
                            tx.put(&NUMBERS, &to, &(there + amount));
                            Ok::<_, StoreError>(())
                        })
                        .await
                        .unwrap();
                }
            });
        }
        tasks.join_all().await;
        done.store(true, Ordering::SeqCst);
        assert!(auditor.await.unwrap() > 0);
        store.close().await;
    })
    .await;
}

/// A quota counted by a scan holds however many arrive at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_never_exceeded() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let owner = "owner".to_owned();
        let mut tasks = JoinSet::new();
        for task in 0..16 {
            let (store, owner) = (store.clone(), owner.clone());
            tasks.spawn(async move {
                store
                    .transact(&scope(), async |tx| {
                        let prefix = Prefix::<(String, String)>::first(&owner);
                        let page = tx.scan(&PAIRS, &prefix, None, 100).await?;
                        if page.items.len() < 5 {
                            tx.put(&PAIRS, &(owner.clone(), format!("item{task}")), &1);
                        }
                        Ok::<_, StoreError>(())
                    })
                    .await
                    .unwrap();
            });
        }
        tasks.join_all().await;
        let prefix = Prefix::<(String, String)>::first(&owner);
        let page = store
            .view(scope())
            .scan(&PAIRS, &prefix, None, 100)
            .await
            .unwrap();
        assert_eq!(page.items.len(), 5);
        store.close().await;
    })
    .await;
}

/// Whoever was told of a commit never reads what was before it, in a row or a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_sees_what_was_before_an_acknowledged_commit() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let acknowledged = Arc::new(AtomicU64::new(0));
        let done = Arc::new(AtomicBool::new(false));
        put(&store, "clock", 0).await;
        let mut readers = JoinSet::new();
        for _ in 0..3 {
            let (store, acknowledged, done) = (store.clone(), Arc::clone(&acknowledged), Arc::clone(&done));
            readers.spawn(async move {
                let mut reads = 0u64;
                while !done.load(Ordering::SeqCst) {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let seen = get(&store, "clock").await.unwrap();
                    assert!(seen >= least, "row {seen} was overtaken by {least}");
                    let least = acknowledged.load(Ordering::SeqCst);
                    let page = store
                        .view(scope())
                        .scan(&NUMBERS, &Prefix::all(), None, 10)
                        .await
                        .unwrap();
                    let seen = *page.items[0].1;
                    assert!(seen >= least, "page {seen} was overtaken by {least}");
                    reads += 1;
                    tokio::task::yield_now().await;
                }
                reads
            });
        }
        for time in 1..=150 {
            put(&store, "clock", time).await;
            acknowledged.store(time, Ordering::SeqCst);
            if time % 10 == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        done.store(true, Ordering::SeqCst);
        assert!(readers.join_all().await.into_iter().sum::<u64>() > 0);
        assert!(store.stats().cache_hits > 0);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_does_not_move() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let before = put(&store, "a", 1).await;
        let snapshot = store.snapshot().await.unwrap();
        put(&store, "a", 2).await;
        put(&store, "b", 3).await;
        assert_eq!(snapshot.version(), before);
        let key = "a".to_owned();
        let seen = snapshot
            .cross_account_get(&scope(), &NUMBERS, &key)
            .await
            .unwrap();
        assert_eq!(seen.as_deref(), Some(&1));
        let page = snapshot
            .cross_account_scan(&scope(), &NUMBERS, &Prefix::all(), None, 10)
            .await
            .unwrap();
        assert_eq!(page.items.len(), 1);
        drop(snapshot);
        store.close().await;
    })
    .await;
}

/// Many callers share the flush: there are fewer batches than commits.
#[tokio::test(flavor = "multi_thread")]
async fn commits_that_wait_together_are_flushed_together() {
    for bed in [Bed::redb(), Bed::postgres().await] {
        let store = bed.open().await;
        let mut tasks = JoinSet::new();
        for task in 0..64u64 {
            let store = store.clone();
            tasks.spawn(async move {
                for step in 0..5u64 {
                    put(&store, &format!("k{task}-{step}"), step).await;
                }
            });
        }
        tasks.join_all().await;
        let stats = store.stats();
        assert_eq!(stats.commits, 320);
        assert!(stats.batches < 160, "{} batches", stats.batches);
        store.close().await;
    }
}
