//! What jobs stand on: leases and the outbox.

use std::time::Duration;

use ground::Timestamp;
use serde_json::json;
use store::{Stamp, StoreError};
use tokio::task::JoinSet;

use crate::bed::{NUMBERS, on_every_engine, scope};

const TTL: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let mut tasks = JoinSet::new();
        for holder in 0..10 {
            let store = store.clone();
            tasks.spawn(async move {
                store
                    .acquire("job", &format!("node{holder}"), TTL, Timestamp(0))
                    .await
                    .unwrap()
            });
        }
        let held: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(held.len(), 1);
        assert_eq!(store.held("jo", Timestamp(9_999)).await.unwrap(), ["job"]);
        for (prefix, now) in [("job", 10_000), ("jobs", 0), ("another", 0)] {
            let held = store.held(prefix, Timestamp(now)).await.unwrap();
            assert_eq!(held, Vec::<String>::new(), "{prefix}");
        }
        let lease = &held[0];
        assert_eq!(lease.expires, Timestamp(10_000));

        // Others wait until it lapses; its holder may take it again.
        assert_eq!(
            store
                .acquire("job", "other", TTL, Timestamp(9_999))
                .await
                .unwrap(),
            None
        );
        assert!(
            store
                .acquire("another job", "other", TTL, Timestamp(0))
                .await
                .unwrap()
                .is_some()
        );
        let renewed = store.renew(lease, TTL, Timestamp(5_000)).await.unwrap().unwrap();
        assert_eq!(renewed.expires, Timestamp(15_000));
        assert!(renewed.fence > lease.fence);
        assert_eq!(
            store
                .acquire("job", "other", TTL, Timestamp(14_999))
                .await
                .unwrap(),
            None
        );
        let taken = store
            .acquire("job", "other", TTL, Timestamp(15_000))
            .await
            .unwrap()
            .unwrap();

        // The holder before can neither prolong nor give back what is not its own.
        assert_eq!(store.renew(&renewed, TTL, Timestamp(15_001)).await.unwrap(), None);
        store.release(&renewed).await.unwrap();
        assert_eq!(
            store
                .acquire("job", "third", TTL, Timestamp(15_002))
                .await
                .unwrap(),
            None
        );
        store.release(&taken).await.unwrap();
        assert!(
            store
                .acquire("job", "third", TTL, Timestamp(15_003))
                .await
                .unwrap()
                .is_some()
        );
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn whoever_lost_the_lease_cannot_commit() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let key = "result".to_owned();
        let mine = store
            .acquire("job", "me", TTL, Timestamp(0))
            .await
            .unwrap()
            .unwrap();
        let tx = store.view(scope()).begin();
        tx.require(&mine);
        tx.put(&NUMBERS, &key, &1);
        store.commit(tx).await.unwrap();

        let yours = store
            .acquire("job", "you", TTL, Timestamp(20_000))
            .await
            .unwrap()
            .unwrap();
        for (lease, may) in [(&mine, false), (&yours, true)] {
            let tx = store.view(scope()).begin();
            tx.require(lease);
            tx.put(&NUMBERS, &key, &2);
            let outcome = store.commit(tx).await;
            assert_eq!(outcome.is_ok(), may);
            assert!(may || matches!(outcome, Err(StoreError::Conflict)));
        }
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_announced_reaches_every_reader_in_order() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        assert_eq!(store.outbox_reader("trail").await.unwrap(), Stamp::START);
        assert_eq!(store.outbox_reader("events").await.unwrap(), Stamp::START);
        for number in 0..10u64 {
            let tx = store.view(scope()).begin();
            tx.put(&NUMBERS, &number.to_string(), &number);
            tx.announce("test/Made", &json!({ "number": number }));
            if number % 2 == 0 {
                tx.announce("test/Even", &json!({ "number": number }));
            }
            store.commit(tx).await.unwrap();
        }
        // What is not committed is not announced.
        let view = store.view(scope());
        view.get(&NUMBERS, &"3".to_owned()).await.unwrap();
        let other = store.view(scope()).begin();
        other.put(&NUMBERS, &"3".to_owned(), &33);
        store.commit(other).await.unwrap();
        let tx = view.begin();
        tx.announce("test/Never", &json!({}));
        assert!(matches!(store.commit(tx).await, Err(StoreError::Conflict)));

        let all = store.outbox_after(Stamp::START, 100).await.unwrap();
        assert_eq!(all.len(), 15);
        assert!(all.is_sorted_by_key(|announcement| announcement.cursor));
        assert_eq!(all[0].account, scope().account());
        assert_eq!(all[0].region, scope().region());
        let numbers: Vec<_> = all
            .iter()
            .filter(|announcement| announcement.name == "test/Made")
            .map(|announcement| announcement.event["number"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());

        // One reader is done, the other is not: nothing is removed yet.
        let first = store.outbox_after(Stamp::START, 4).await.unwrap();
        let rest = store.outbox_after(first[3].cursor, 100).await.unwrap();
        assert_eq!(first.len() + rest.len(), 15);
        store.outbox_ack("trail", all[14].cursor).await.unwrap();
        assert_eq!(store.outbox_after(Stamp::START, 100).await.unwrap().len(), 15);
        store.outbox_ack("events", first[3].cursor).await.unwrap();
        assert_eq!(store.outbox_after(Stamp::START, 100).await.unwrap(), rest);
        // A cursor does not move back, and is remembered.
        store.outbox_ack("trail", first[0].cursor).await.unwrap();
        assert_eq!(store.outbox_reader("trail").await.unwrap(), all[14].cursor);
        store.outbox_ack("events", all[14].cursor).await.unwrap();
        assert!(store.outbox_after(Stamp::START, 100).await.unwrap().is_empty());

        // A reader that does not come back holds things up until it is retired;
        // without any reader nothing is kept for long.
        let announce = async || {
            let tx = store.view(scope()).begin();
            tx.announce("test/Made", &json!({}));
            store.commit(tx).await.unwrap();
        };
        announce().await;
        let last = store.outbox_after(Stamp::START, 100).await.unwrap()[0].cursor;
        store.outbox_ack("trail", last).await.unwrap();
        assert_eq!(store.outbox_after(Stamp::START, 100).await.unwrap().len(), 1);
        store.outbox_retire("events").await.unwrap();
        assert_eq!(store.outbox_trim().await.unwrap(), 1);
        announce().await;
        assert_eq!(store.outbox_trim().await.unwrap(), 0);
        store.outbox_retire("trail").await.unwrap();
        assert_eq!(store.outbox_trim().await.unwrap(), 1);
        assert!(store.outbox_after(Stamp::START, 100).await.unwrap().is_empty());
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn erasing_keeps_what_it_is_told_to_keep() {
    const CREDENTIALS: store::Table<String, u64> = store::Table::new("test/credential", 1);
    on_every_engine(async |bed| {
        let store = bed.open().await;
        let key = "k".to_owned();
        let lease = store
            .acquire("job", "me", TTL, Timestamp(0))
            .await
            .unwrap()
            .unwrap();
        for scope in [scope(), store::Scope::global()] {
            let tx = store.view(scope).begin();
            tx.put(&NUMBERS, &key, &1);
            tx.put(&CREDENTIALS, &key, &1);
            tx.announce("test/Made", &1);
            store.commit(tx).await.unwrap();
        }
        store.cross_account_erase(&["test/credential"]).await.unwrap();
        for scope in [scope(), store::Scope::global()] {
            let view = store.view(scope);
            assert_eq!(view.get(&NUMBERS, &key).await.unwrap(), None);
            assert!(view.get(&CREDENTIALS, &key).await.unwrap().is_some());
        }
        assert!(store.outbox_after(Stamp::START, 10).await.unwrap().is_empty());
        assert!(store.renew(&lease, TTL, Timestamp(1)).await.unwrap().is_some());
        store.close().await;
    })
    .await;
}
