//! The cache, as far as it can be seen from outside.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use store::{Prefix, StoreError, Table};

use crate::bed::{NUMBERS, PAIRS, on_every_engine, put, scope};

#[derive(Serialize, Deserialize)]
struct Document {
    text: String,
    #[serde(skip)]
    length: OnceLock<usize>,
}

const DOCUMENTS: Table<String, Document> = Table::new("test/document", 1);

/// What was derived from a record stays with it until it changes.
#[tokio::test]
async fn a_record_is_decoded_once() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        // The first poll of the database's change log may still be under way.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let key = "d".to_owned();
        let document = Document {
            text: "text".into(),
            length: OnceLock::new(),
        };
        let tx = store.view(scope()).begin();
        tx.put(&DOCUMENTS, &key, &document);
        store.commit(tx).await.unwrap();

        // The announcement of our own commit may come back once more.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let read = async || store.view(scope()).get(&DOCUMENTS, &key).await.unwrap().unwrap();
        let first = read().await;
        first.length.set(4).unwrap();
        assert_eq!(read().await.length.get(), Some(&4));
        assert!(Arc::ptr_eq(&first, &read().await));
        let page = store
            .view(scope())
            .scan(&DOCUMENTS, &Prefix::all(), None, 10)
            .await
            .unwrap();
        assert!(Arc::ptr_eq(&first, &page.items[0].1));

        let tx = store.view(scope()).begin();
        tx.put(&DOCUMENTS, &key, &document);
        store.commit(tx).await.unwrap();
        assert_eq!(read().await.length.get(), None);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn absence_and_pages_are_remembered_and_forgotten() {
    on_every_engine(async |bed| {
        let store = bed.open().await;
        put(&store, "other", 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let owner = "owner".to_owned();
        let look = async || {
            let view = store.view(scope());
            let row = view.get(&NUMBERS, &owner).await.unwrap().is_some();
            let prefix = Prefix::<(String, String)>::first(&owner);
            let page = view.scan(&PAIRS, &prefix, None, 10).await.unwrap();
            (row, page.items.len())
        };
        assert_eq!(look().await, (false, 0));
        let misses = store.stats().cache_misses;
        assert_eq!(look().await, (false, 0));
        assert_eq!(store.stats().cache_misses, misses);
        let tx = store.view(scope()).begin();
        tx.put(&NUMBERS, &owner, &1);
        tx.put(&PAIRS, &(owner.clone(), "x".into()), &1);
        store.commit(tx).await.unwrap();
        assert_eq!(look().await, (true, 1));
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn two_types_under_one_name_are_an_error() {
    const AS_TEXT: Table<String, String> = Table::new("test/number", 1);
    on_every_engine(async |bed| {
        let store = bed.open().await;
        put(&store, "k", 1).await;
        let key = "k".to_owned();
        let view = store.view(scope());
        view.get(&NUMBERS, &key).await.unwrap();
        let error = view.get(&AS_TEXT, &key).await.unwrap_err();
        assert!(matches!(error, StoreError::BadRecord { .. }), "{error:?}");
        store.close().await;
    })
    .await;
}

/// Handlers await many reads and writes; each adds its future to theirs.
#[tokio::test]
async fn futures_are_small() {
    let store = crate::bed::Bed::memory().open().await;
    let view = store.view(scope());
    let key = "k".to_owned();
    let tx = view.begin();
    let prefix = Prefix::all();
    for (what, size) in [
        ("get", size_of_val(&view.get(&NUMBERS, &key))),
        ("scan", size_of_val(&view.scan(&NUMBERS, &prefix, None, 10))),
        ("get in a transaction", size_of_val(&tx.get(&NUMBERS, &key))),
        (
            "scan in a transaction",
            size_of_val(&tx.scan(&NUMBERS, &prefix, None, 10)),
        ),
        ("commit", size_of_val(&store.commit(tx.clone()))),
    ] {
        println!("{what}: {size} bytes");
        assert!(size <= 1_024, "the future of {what} takes {size} bytes");
    }
    store.close().await;
}
