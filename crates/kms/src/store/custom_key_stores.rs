//! Rows: custom key stores, and which keys live in each.
//!
//! Invariants, each kept by writing both sides in one transaction:
//! - a store that is being connected or disconnected, and no other, has a row in
//!   [`CONNECTIONS`];
//! - a store that is connected to a proxy, and no other, has a row in
//!   [`PROXIES`], and no other has one in [`OUTAGES`];
//! - a key in a store has a row in [`STORE_KEYS`] under what it is found by
//!   there, so that no two have one external key.

use std::sync::Arc;

use gate::{Cx, JobCx, Permit};
use ground::{AccountId, Region, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Prefix, Scope, Store, StoreError, Table, TextKey as _, WriteTx};

use super::{KEYS, scope};
use crate::error::Error;
use crate::limits::CUSTOM_KEY_STORES_MAX;
use crate::model::{Custody, CustomKeyStore, Key, KeyId, Place, StoreId};

/// Custom key stores, in their owner's account and region.
pub(crate) const STORES: Table<StoreId, CustomKeyStore> = Table::new("kms/custom-key-store", 1);

/// The keys of stores, by what they are found by there: the id of the external
/// key, or of the KMS key itself.
const STORE_KEYS: Table<(StoreId, String), KeyId> = Table::new("kms/custom-key-store-key", 1);

/// The stores of all accounts that are being connected or disconnected, so that
/// the job that does it reads those and nothing else. In the global scope.
const CONNECTIONS: Table<UnderWay, ()> = Table::new("kms/custom-key-store-connection", 1);

/// The stores of all accounts that are connected to a proxy, so that the job that
/// looks after proxies reads those and nothing else. In the global scope.
const PROXIES: Table<UnderWay, ()> = Table::new("kms/custom-key-store-proxy", 1);

/// The proxies that were not well when they were last asked.
const OUTAGES: Table<StoreId, Outage> = Table::new("kms/custom-key-store-outage", 1);

/// Since when a proxy is not well, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub(crate) since: Timestamp,
    /// AWS's name of the reason why a store could not be connected now.
    pub(crate) code: String,
}

/// Which store is being connected or disconnected.
pub(crate) type UnderWay = (AccountId, Region, StoreId);

/// Purpose of the domain key that seals the secrets of stores.
pub(crate) const SECRET_PURPOSE: &str = "kms/custom-key-store";

/// The caller's custom key stores, in the order of their ids.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn all(cx: &Cx) -> Result<Vec<Arc<CustomKeyStore>>, Error> {
    // There are never more.
    let page = cx
        .view()
        .scan(&STORES, &Prefix::all(), None, CUSTOM_KEY_STORES_MAX)
        .await?;
    Ok(page.items.into_iter().map(|(_, store)| store).collect())
}

/// The caller's custom key store of this id.
///
/// # Errors
///
/// [`Error::StoreNotFound`] if there is none, whatever the text is.
pub(crate) async fn by_id(cx: &Cx, text: &str) -> Result<Arc<CustomKeyStore>, Error> {
    let found = match StoreId::from_text(text) {
        Some(id) => cx.view().get(&STORES, &id).await?,
        None => None,
    };
    found.ok_or_else(|| Error::StoreNotFound(text.to_owned()))
}

/// A key with the store that it lives in, if it does.
///
/// # Errors
///
/// Whatever the store reports.
pub(super) async fn with_its_store(cx: &Cx, key: Arc<Key>) -> Result<Arc<Key>, Error> {
    let Some(custody) = &key.custody else {
        return Ok(key);
    };
    let store = cx
        .view()
        .cross_account_get(&scope(cx, key.account), &STORES, &custody.store)
        .await?;
    Ok(Arc::new(Key {
        in_store: store,
        ..Key::clone(&key)
    }))
}

/// Whether an external key of a store is taken.
///
/// # Errors
///
/// [`Error::ExternalKeyInUse`] if it is.
pub(crate) async fn check_free(cx: &Cx, store: &StoreId, external_key: &str) -> Result<(), Error> {
    let row = (store.clone(), external_key.to_owned());
    match cx.view().get(&STORE_KEYS, &row).await? {
        None => Ok(()),
        Some(_) => Err(Error::ExternalKeyInUse(external_key.to_owned())),
    }
}

/// Whether keys live in a store.
///
/// # Errors
///
/// [`Error::StoreHasKeys`] if so.
pub(crate) async fn check_empty(cx: &Cx, store: &StoreId) -> Result<(), Error> {
    let prefix = Prefix::<(StoreId, String)>::first(store);
    let page = cx.view().scan(&STORE_KEYS, &prefix, None, 1).await?;
    match page.items.is_empty() {
        true => Ok(()),
        false => Err(Error::StoreHasKeys(store.clone())),
    }
}

/// Writes a new store.
pub(crate) fn insert(tx: &mut WriteTx, _may_create: &Permit<()>, store: &CustomKeyStore) {
    put(tx, store);
}

/// Replaces a store by what it has become.
pub(crate) fn update(tx: &mut WriteTx, _may_change: &Permit<()>, after: &CustomKeyStore) {
    put(tx, after);
}

/// Removes a store, which nothing is under way with.
pub(crate) fn delete(tx: &mut WriteTx, _may_delete: &Permit<()>, store: &CustomKeyStore) {
    tx.delete(&STORES, &store.id);
}

fn put(tx: &WriteTx, store: &CustomKeyStore) {
    let row = (store.account, store.region.clone(), store.id.clone());
    if store.connection.is_under_way() {
        tx.cross_account_put(&Scope::global(), &CONNECTIONS, &row, &());
    } else {
        tx.cross_account_delete(&Scope::global(), &CONNECTIONS, &row);
    }
    let scope = Scope::regional(store.account, &store.region);
    if store.is_connected() && matches!(store.place, Place::Proxy(_)) {
        tx.cross_account_put(&Scope::global(), &PROXIES, &row, &());
    } else {
        tx.cross_account_delete(&Scope::global(), &PROXIES, &row);
        tx.cross_account_delete(&scope, &OUTAGES, &store.id);
    }
    tx.cross_account_put(&scope, &STORES, &store.id, store);
}

/// What a key is found by in its store.
fn found_by(key: &Key, custody: &Custody) -> (StoreId, String) {
    let name = custody.external_key.as_deref().unwrap_or(key.id.as_str());
    (custody.store.clone(), name.to_owned())
}

/// Writes a new key that lives in a store.
///
/// # Errors
///
/// [`Error::ExternalKeyInUse`]; a conflict if the store was disconnected or
/// deleted meanwhile.
pub(crate) async fn insert_key(
    tx: &mut WriteTx,
    _may_create: &Permit<()>,
    key: &Key,
    custody: &Custody,
) -> Result<(), Error> {
    let store = tx.get(&STORES, &custody.store).await?;
    if !store.is_some_and(|store| store.is_connected()) {
        return Err(StoreError::Conflict.into());
    }
    let row = found_by(key, custody);
    if tx.get(&STORE_KEYS, &row).await?.is_some() {
        return Err(Error::ExternalKeyInUse(row.1));
    }
    tx.put(&STORE_KEYS, &row, &key.id);
    tx.put(&KEYS, &key.id, key);
    Ok(())
}

/// Forgets that a key that is being deleted lives in its store.
pub(super) fn forget_key(tx: &WriteTx, key: &Key) {
    if let Some(custody) = &key.custody {
        tx.delete(&STORE_KEYS, &found_by(key, custody));
    }
}

/// Up to `most` stores that something is under way with.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn under_way(cx: &JobCx, most: usize) -> Result<Vec<UnderWay>, StoreError> {
    let view = cx.store().view(Scope::global());
    let page = view.scan(&CONNECTIONS, &Prefix::all(), None, most).await?;
    Ok(page.items.into_iter().map(|(row, _)| row).collect())
}

/// Up to `most` stores that are connected to a proxy, of those behind `after`.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn at_proxies(
    store: &Store,
    after: Option<&UnderWay>,
    most: usize,
) -> Result<Vec<UnderWay>, StoreError> {
    let view = store.view(Scope::global());
    let page = view.scan(&PROXIES, &Prefix::all(), after, most).await?;
    Ok(page.items.into_iter().map(|(row, _)| row).collect())
}

/// What is wrong with the proxy of a store, if something was when it was last asked.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn outage(
    store: &Store,
    (account, region, id): &UnderWay,
) -> Result<Option<Arc<Outage>>, StoreError> {
    store
        .view(Scope::regional(*account, region))
        .get(&OUTAGES, id)
        .await
}

/// Writes down what is wrong with the proxy of a store now, within its scope.
///
/// # Errors
///
/// A conflict if the store is not connected any more; whatever the store reports.
pub(crate) async fn note_outage(
    tx: &mut WriteTx,
    id: &StoreId,
    now: Option<&Outage>,
) -> Result<(), StoreError> {
    let store = tx.get(&STORES, id).await?;
    if !store.is_some_and(|store| store.is_connected()) {
        return Err(StoreError::Conflict);
    }
    match now {
        Some(outage) => tx.put(&OUTAGES, id, outage),
        None => tx.delete(&OUTAGES, id),
    }
    Ok(())
}

/// A store, for the job.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn of_job(
    cx: &JobCx,
    (account, region, id): &UnderWay,
) -> Result<Option<Arc<CustomKeyStore>>, StoreError> {
    let view = cx.store().view(Scope::regional(*account, region));
    view.get(&STORES, id).await
}

/// Writes what the job makes of a store, and gives it; `None` if somebody wants
/// something else of its connection meanwhile, and then nothing is written. No
/// permit: it was given when the job was asked for.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn settle(
    cx: &JobCx,
    before: &CustomKeyStore,
    change: impl Fn(&mut CustomKeyStore),
) -> Result<Option<CustomKeyStore>, StoreError> {
    let scope = Scope::regional(before.account, &before.region);
    cx.store()
        .transact(&scope, async |tx: WriteTx| {
            let now = tx.get(&STORES, &before.id).await?;
            let now = now.filter(|now| now.connection == before.connection);
            let after = now.map(|now| {
                let mut after = CustomKeyStore::clone(&now);
                change(&mut after);
                put(&tx, &after);
                after
            });
            Ok(after)
        })
        .await
}

/// The store that a key lives in which the deletion job is to delete.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn of_key(cx: &JobCx, key: &Key) -> Result<Option<Arc<CustomKeyStore>>, StoreError> {
    let Some(custody) = &key.custody else {
        return Ok(None);
    };
    let row = (key.account, key.region.clone(), custody.store.clone());
    of_job(cx, &row).await
}
