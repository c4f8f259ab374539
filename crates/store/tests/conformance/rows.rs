//! Rows, pages, records, limits, reopening.

use std::time::Duration;

use ground::{Region, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Config, Page, Prefix, Scope, Store, StoreError, Table, limits};

use crate::bed::{Bed, NUMBERS, PAIRS, account, get, on_every_engine, put, scope};

#[tokio::test]
async fn rows_are_written_read_and_removed() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        assert_eq!(get(&store, "a").await, None);
        let first = put(&store, "a", 1).await;
        let second = put(&store, "a", 2).await;
        assert!(second > first);
        assert_eq!(get(&store, "a").await, Some(2));
        let tx = store.view(scope()).begin();
        tx.delete(&NUMBERS, &"a".to_owned());
        tx.delete(&NUMBERS, &"never there".to_owned());
        tx.put(&NUMBERS, &"b".to_owned(), &3);
        store.commit(tx).await.unwrap();
        assert_eq!(get(&store, "a").await, None);
        assert_eq!(get(&store, "b").await, Some(3));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn scopes_do_not_see_each_other() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let region = Region::parse("eu-west-1").unwrap();
        let scopes = [
            scope(),
            Scope::regional(account(123_456_789_012), &region),
            Scope::regional(account(1), &region),
            Scope::regionless(account(1)),
            Scope::global(),
        ];
        let key = "k".to_owned();
        for (value, scope) in scopes.iter().enumerate() {
            let tx = store.view(scope.clone()).begin();
            tx.put(&NUMBERS, &key, &(value as u64));
            store.commit(tx).await.unwrap();
        }
        for (value, scope) in scopes.iter().enumerate() {
            let view = store.view(scope.clone());
            assert_eq!(*view.get(&NUMBERS, &key).await.unwrap().unwrap(), value as u64);
            let page = view.scan(&NUMBERS, &Prefix::all(), None, 10).await.unwrap();
            assert_eq!(items(&page), [(key.clone(), value as u64)]);
            let other = &scopes[(value + 1) % scopes.len()];
            let crossed = view
                .cross_account_get(other, &NUMBERS, &key)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(*crossed, ((value + 1) % scopes.len()) as u64);
        }

        // Each is found once by whoever looks for all; the store's own is nobody's to see.
        store
            .acquire("a lease", "of the store", Duration::from_secs(9), Timestamp(0))
            .await
            .unwrap();
        let (mut found, mut after) = (Vec::new(), None);
        while let Some(scope) = store.cross_account_next_scope(after.as_ref()).await.unwrap() {
            found.push(scope.clone());
            after = Some(scope);
        }
        let mut all = scopes.to_vec();
        for scopes in [&mut all, &mut found] {
            scopes.sort();
        }
        assert_eq!(found, all);
    })
    .await;
}

fn items<K: Clone>(page: &Page<K, u64>) -> Vec<(K, u64)> {
    page.items
        .iter()
        .map(|(key, value)| (key.clone(), **value))
        .collect()
}

#[tokio::test]
async fn pages_hold_every_row_once_and_in_order() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let tx = store.view(scope()).begin();
        for number in 0..25u64 {
            tx.put(&NUMBERS, &format!("k{number:02}"), &number);
        }
        // Neighbours that must stay outside.
        tx.put(&Table::<String, u64>::new("test/numbe", 1), &"x".into(), &99);
        tx.put(&Table::<String, u64>::new("test/number/x", 1), &"x".into(), &99);
        tx.put(&NUMBERS, &"l".to_owned(), &100);
        store.commit(tx).await.unwrap();

        for limit in [1, 7, 25, 26, usize::MAX] {
            for _ in 0..2 {
                let view = store.view(scope());
                let mut seen = Vec::new();
                let mut after = None;
                loop {
                    let page = view
                        .scan(&NUMBERS, &Prefix::text("k"), after.as_ref(), limit)
                        .await
                        .unwrap();
                    assert!(page.items.len() <= limit);
                    seen.extend(page.items.iter().map(|(_, value)| **value));
                    match page.next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
                assert_eq!(seen, (0..25).collect::<Vec<_>>(), "limit {limit}");
            }
        }
        let view = store.view(scope());
        let page = view.scan(&NUMBERS, &Prefix::text("k1"), None, 100).await.unwrap();
        assert_eq!(page.items.len(), 10);
        let page = view
            .scan(&NUMBERS, &Prefix::text("nothing"), None, 100)
            .await
            .unwrap();
        assert!(page.items.is_empty() && page.next.is_none());
        // Behind the end of the prefix there is nothing, wherever `after` points.
        let after = "l".to_owned();
        let page = view
            .scan(&NUMBERS, &Prefix::text("k"), Some(&after), 100)
            .await
            .unwrap();
        assert!(page.items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_first_component_selects_its_rows_alone() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let tx = store.view(scope()).begin();
        for first in ["a", "ab", "a\0", "b", ""] {
            for second in ["", "x", "xy", "z"] {
                tx.put(
                    &PAIRS,
                    &(first.to_owned(), second.to_owned()),
                    &(second.len() as u64),
                );
            }
        }
        store.commit(tx).await.unwrap();
        let view = store.view(scope());
        let all = view.scan(&PAIRS, &Prefix::all(), None, 100).await.unwrap();
        assert_eq!(all.items.len(), 20);
        for first in ["a", "ab", "a\0", "b", ""] {
            let first = first.to_owned();
            let page = view
                .scan(&PAIRS, &Prefix::<(String, String)>::first(&first), None, 100)
                .await
                .unwrap();
            assert!(page.items.len() == 4 && page.items.iter().all(|(key, _)| key.0 == first));
            let prefix = Prefix::first_and_text(&first, "x");
            let page = view.scan(&PAIRS, &prefix, None, 100).await.unwrap();
            assert_eq!(page.items.len(), 2);
        }
    })
    .await;
}

#[tokio::test]
async fn a_transaction_sees_its_own_writes() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        for number in [1, 3, 5, 7] {
            put(&store, &format!("k{number}"), number).await;
        }
        let tx = store.view(scope()).begin();
        tx.delete(&NUMBERS, &"k3".to_owned());
        tx.put(&NUMBERS, &"k5".to_owned(), &50);
        tx.put(&NUMBERS, &"k4".to_owned(), &40);
        tx.put(&NUMBERS, &"k9".to_owned(), &90);
        assert_eq!(tx.get(&NUMBERS, &"k3".to_owned()).await.unwrap(), None);
        assert_eq!(*tx.get(&NUMBERS, &"k5".to_owned()).await.unwrap().unwrap(), 50);
        let expected = [1, 40, 50, 7, 90];
        for limit in 1..=6 {
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = tx
                    .scan(&NUMBERS, &Prefix::text("k"), after.as_ref(), limit)
                    .await
                    .unwrap();
                assert!(page.items.len() <= limit);
                seen.extend(page.items.iter().map(|(_, value)| **value));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(seen, expected, "limit {limit}");
        }
        // Nobody else sees them before the commit.
        assert_eq!(get(&store, "k3").await, Some(3));
        drop(tx);
        assert_eq!(get(&store, "k4").await, None);
    })
    .await;
}

/// Records that are looked at in passing: as true as those that are kept in
/// memory, and as much a condition of what is written.
#[tokio::test]
async fn what_is_read_in_passing_is_true_and_a_condition() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let key = |name: &str| name.to_owned();
        for name in ["read", "met", "own"] {
            put(&store, name, 1).await;
        }
        let tx = store.view(scope()).begin();
        tx.delete(&NUMBERS, &key("own"));
        tx.put(&NUMBERS, &key("new"), &2);
        for (name, number) in [
            ("read", Some(1)),
            ("own", None),
            ("new", Some(2)),
            ("absent", None),
        ] {
            let got = tx.get_once(&NUMBERS, &key(name)).await.unwrap();
            assert_eq!(got.map(|got| *got), number, "{name}");
            let is_there = tx.is_there(&NUMBERS, &key(name)).await.unwrap();
            assert_eq!(is_there, number.is_some(), "{name}");
        }
        drop(tx);

        // Whatever of it changes meanwhile, in memory before or not.
        for remembered in [false, true] {
            for (at, changed) in ["read", "met", "absent", "absent too"].iter().enumerate() {
                if remembered {
                    get(&store, changed).await;
                }
                let tx = store.view(scope()).begin();
                if at % 2 == 0 {
                    tx.get_once(&NUMBERS, &key(changed)).await.unwrap();
                } else {
                    tx.is_there(&NUMBERS, &key(changed)).await.unwrap();
                }
                put(&store, changed, 7).await;
                tx.put(&NUMBERS, &key("written"), &1);
                let outcome = store.commit(tx).await;
                assert!(
                    matches!(outcome, Err(StoreError::Conflict)),
                    "{changed}: {outcome:?}"
                );
                assert_eq!(get(&store, changed).await, Some(7));
            }
        }
        let tx = store.view(scope()).begin();
        tx.get_once(&NUMBERS, &key("read")).await.unwrap();
        assert!(!tx.is_there(&NUMBERS, &key("never")).await.unwrap());
        tx.put(&NUMBERS, &key("written"), &1);
        store.commit(tx).await.unwrap();
    })
    .await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Named {
    name: String,
}

const NAMED_1: Table<String, String> = Table::new("test/named", 1);
const NAMED_2: Table<String, Named> =
    Table::new("test/named", 2).migrated_by(|version, value| match version {
        1 => Ok(serde_json::json!({ "name": value })),
        _ => Err("no such version".into()),
    });

#[tokio::test]
async fn old_records_are_read_and_newer_ones_refused() {
    on_every_engine(async |bed| {
        let (old, new) = ("old".to_owned(), "new".to_owned());
        if !bed.lasts() {
            return;
        }
        let store = bed.open().await;
        let tx = store.view(scope()).begin();
        tx.put(&NAMED_1, &old, &"Ada".to_owned());
        store.commit(tx).await.unwrap();
        store.close().await;

        // The next release opens the same store.
        let store = bed.open().await;
        let view = store.view(scope());
        assert_eq!(view.get(&NAMED_2, &old).await.unwrap().unwrap().name, "Ada");
        let tx = view.begin();
        tx.put(&NAMED_2, &new, &Named { name: "Bob".into() });
        store.commit(tx).await.unwrap();
        store.close().await;

        // And the release before it refuses what it cannot know.
        let store = bed.open().await;
        let view = store.view(scope());
        assert!(matches!(
            view.get(&NAMED_1, &new).await,
            Err(StoreError::NewerRecord {
                found: 2,
                known: 1,
                ..
            })
        ));
        assert!(matches!(
            view.scan(&NAMED_1, &Prefix::all(), None, 10).await,
            Err(StoreError::NewerRecord { .. })
        ));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_closing() {
    on_every_engine(async |bed| {
        if !bed.lasts() {
            return;
        }
        let mut last = store::Version(0);
        for round in 0..3u64 {
            let store = bed.open().await;
            for earlier in 0..round {
                assert_eq!(get(&store, &format!("k{earlier}")).await, Some(earlier));
            }
            let version = put(&store, &format!("k{round}"), round).await;
            assert!(version > last, "versions go on where they ended");
            last = version;
            store.close().await;
            let tx = store.view(scope()).begin();
            tx.put(&NUMBERS, &"late".to_owned(), &1);
            assert!(matches!(store.commit(tx).await, Err(StoreError::Closed)));
            let read = store.view(scope()).get(&NUMBERS, &"unread".to_owned()).await;
            assert!(matches!(read, Err(StoreError::Closed)), "{read:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn closing_finishes_what_is_queued() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..50u64 {
            let store = store.clone();
            waiting.spawn(async move {
                let tx = store.view(scope()).begin();
                tx.put(&NUMBERS, &format!("k{number}"), &number);
                (number, store.commit(tx).await)
            });
        }
        tokio::task::yield_now().await;
        store.close().await;
        let mut kept = Vec::new();
        while let Some(done) = waiting.join_next().await {
            match done.unwrap() {
                (number, Ok(_)) => kept.push(number),
                (_, Err(StoreError::Closed)) => {}
                (_, Err(error)) => panic!("{error:?}"),
            }
        }
        if bed.lasts() {
            let store = bed.open().await;
            let page = store
                .view(scope())
                .scan(&NUMBERS, &Prefix::all(), None, 100)
                .await
                .unwrap();
            assert_eq!(page.items.len(), kept.len());
            store.close().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_beyond_a_limit_is_refused_and_changes_nothing() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let texts: Table<String, String> = Table::new("test/text", 1);
        let too_long = "k".repeat(limits::KEY_BYTES_MAX);
        let refused = |outcome: Result<store::Version, StoreError>| {
            assert!(matches!(outcome, Err(StoreError::TooLarge { .. })), "{outcome:?}");
        };
        assert!(store.view(scope()).get(&NUMBERS, &too_long).await.is_err());

        let tx = store.view(scope()).begin();
        tx.put(&NUMBERS, &"fine".to_owned(), &1);
        tx.put(&NUMBERS, &too_long, &1);
        refused(store.commit(tx).await);

        let tx = store.view(scope()).begin();
        tx.put(&NUMBERS, &"fine".to_owned(), &1);
        tx.put(&texts, &"k".to_owned(), &"x".repeat(limits::VALUE_BYTES_MAX));
        refused(store.commit(tx).await);

        let tx = store.view(scope()).begin();
        for number in 0..=limits::COMMIT_ROWS_MAX {
            tx.put(&NUMBERS, &number.to_string(), &1);
        }
        refused(store.commit(tx).await);

        let view = store.view(scope());
        for number in 0..=limits::READS_MAX {
            view.get(&NUMBERS, &(number % 10).to_string()).await.unwrap();
        }
        let tx = view.begin();
        tx.put(&NUMBERS, &"fine".to_owned(), &1);
        refused(store.commit(tx).await);

        assert_eq!(get(&store, "fine").await, None);
        // The longest key that fits is served, even if it cannot be compressed.
        let table = "123456789012/us-east-1/test/number".len() + 1;
        let mut state = 1u32;
        let letters = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + u8::try_from(state >> 24).unwrap() % 75)
        });
        let fits: String = letters.take(limits::KEY_BYTES_MAX - table).collect();
        put(&store, &fits, 5).await;
        assert_eq!(get(&store, &fits).await, Some(5));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_in_use_says_so() {
    let bed = Bed::redb();
    let store = bed.open().await;
    let error = Store::open(bed.config.clone()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::InUse { path } if path.ends_with("store.redb")),
        "{error:?}"
    );
    store.close().await;
    bed.open().await.close().await;
}

#[tokio::test]
async fn a_backup_can_be_brought_into_either_engine() {
    on_every_engine(async |bed| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup.redb");
        let store = bed.open().await;
        for batch in 0..3u64 {
            let tx = store.view(scope()).begin();
            for number in 0..1_000 {
                tx.put(&NUMBERS, &format!("k{batch}-{number}"), &number);
            }
            store.commit(tx).await.unwrap();
        }
        let version = store.backup(&path).await.unwrap();
        assert_eq!(version, store::Version(3));
        assert!(matches!(store.backup(&path).await, Err(StoreError::NotEmpty)));
        put(&store, "later", 1).await;

        for into in [Bed::redb(), Bed::postgres().await] {
            let restored = into.open().await;
            restored.restore(&path).await.unwrap();
            assert_eq!(get(&restored, "k2-999").await, Some(999));
            assert_eq!(get(&restored, "later").await, None);
            assert!(matches!(restored.restore(&path).await, Err(StoreError::NotEmpty)));
            restored.close().await;
        }
        store.close().await;
    })
    .await;
}

#[test]
fn a_configuration_shows_no_password() {
    let config = Config::postgres("postgres://u:hush@localhost/db");
    assert!(!format!("{config:?}").contains("hush"));
}
