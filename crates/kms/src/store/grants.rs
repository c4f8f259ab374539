//! Rows of grants.
//!
//! A grant lies with its key, in the key's account and region. Two indexes lead
//! to it: by key and grantee, which also tells what the grant allows, so that a
//! decision reads that caller's grants on that key and no others; and by who may
//! retire it, in that principal's own account, for `ListRetirableGrants`.
//!
//! Invariants: a grant has all its rows or none; the count of a key's grants is
//! the number of its rows; a key with a grant is marked as `granted`.

use std::sync::Arc;

use gate::{Cx, JobCx, JobError, Permit};
use ground::AccountId;
use store::{Page, Prefix, Scope, StoreError, Table, WriteTx};

use crate::error::Error;
use crate::limits::{GRANTS_DELETED_AT_ONCE, GRANTS_PER_KEY_MAX, GRANTS_SOUGHT_AT_A_TIME};
use crate::model::grant::{Wish, holders};
use crate::model::{Grant, GrantId, Key, KeyId, Party, Terms};
use crate::store::KEYS;

/// Grants, with their key.
const GRANTS: Table<(KeyId, GrantId), Grant> = Table::new("kms/grant", 1);

/// What a grantee's grants on a key allow. With the key.
const BY_GRANTEE: Table<(KeyId, String, GrantId), Terms> = Table::new("kms/grant-of-grantee", 1);

/// By who may retire it: in that principal's account, in the key's region.
const BY_RETIRER: Table<Retirable, ()> = Table::new("kms/grant-to-retire", 1);

/// By a digest of everything its maker said, if it has a name. With the key.
const BY_NAME: Table<(KeyId, String), GrantId> = Table::new("kms/grant-of-name", 1);

/// How many grants a key has. With the key.
const COUNTS: Table<KeyId, u64> = Table::new("kms/grant-count", 1);

/// Who may retire it, then the owner of the key, the key and the grant.
type Retirable = (String, (AccountId, (KeyId, GrantId)));

/// Where a key and its grants lie.
fn scope_of(key: &Key) -> Scope {
    Scope::regional(key.account, &key.region)
}

/// The grants of a key that let the caller do it: the first that is found, or none.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn covering(cx: &Cx, key: &Key, wish: &Wish<'_>) -> Result<Option<GrantId>, StoreError> {
    if !key.granted {
        return Ok(None);
    }
    let scope = scope_of(key);
    for holder in holders(&cx.caller().principal, key.account) {
        let prefix = Prefix::<(KeyId, String, GrantId)>::first_two(&key.id, &holder);
        let mut after = None;
        loop {
            let view = cx.view();
            let page = view
                .cross_account_scan(
                    &scope,
                    &BY_GRANTEE,
                    &prefix,
                    after.as_ref(),
                    GRANTS_SOUGHT_AT_A_TIME,
                )
                .await?;
            for ((_, _, id), terms) in page.items {
                if terms.cover(wish) {
                    return Ok(Some(id));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(None)
}

/// One grant of a key.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn grant(cx: &Cx, key: &Key, id: &GrantId) -> Result<Option<Arc<Grant>>, StoreError> {
    let row = (key.id.clone(), id.clone());
    cx.view().cross_account_get(&scope_of(key), &GRANTS, &row).await
}

/// The grant that was made by the same request before: with this name, for
/// this grantee, retirer and these terms.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn same(cx: &Cx, key: &Key, grant: &Grant) -> Result<Option<GrantId>, StoreError> {
    let Some(said) = said(grant) else { return Ok(None) };
    let row = (key.id.clone(), said);
    let found = cx
        .view()
        .cross_account_get(&scope_of(key), &BY_NAME, &row)
        .await?;
    Ok(found.map(|id| GrantId::clone(&id)))
}

/// A digest of everything that the maker of a named grant said.
fn said(grant: &Grant) -> Option<String> {
    let name = grant.name.as_ref()?;
    let parts = (&grant.grantee, &grant.retirer, &grant.terms, grant.issuer);
    let parts = serde_json::to_vec(&parts).expect("a grant can be written as JSON");
    let label = b"palisade/kms/grant-of-name/1".as_slice();
    let length = u64::try_from(name.len()).expect("a name is short").to_be_bytes();
    Some(hex::encode(crypto::sha256(&[
        label,
        &length,
        name.as_bytes(),
        &parts,
    ])))
}

/// A page of the grants of a key, of all grantees or of one.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn of_key(
    cx: &Cx,
    key: &Key,
    holder: Option<&str>,
    after: Option<&GrantId>,
    limit: usize,
) -> Result<(Vec<Arc<Grant>>, Option<GrantId>), StoreError> {
    let scope = scope_of(key);
    let view = cx.view();
    let Some(holder) = holder else {
        let after = after.map(|id| (key.id.clone(), id.clone()));
        let prefix = Prefix::<(KeyId, GrantId)>::first(&key.id);
        let page = view
            .cross_account_scan(&scope, &GRANTS, &prefix, after.as_ref(), limit)
            .await?;
        let grants = page.items.into_iter().map(|(_, grant)| grant).collect();
        return Ok((grants, page.next.map(|(_, id)| id)));
    };
    let holder = holder.to_owned();
    let after = after.map(|id| (key.id.clone(), holder.clone(), id.clone()));
    let prefix = Prefix::<(KeyId, String, GrantId)>::first_two(&key.id, &holder);
    let page = view
        .cross_account_scan(&scope, &BY_GRANTEE, &prefix, after.as_ref(), limit)
        .await?;
    let mut grants = Vec::with_capacity(page.items.len());
    for ((_, _, id), _) in page.items {
        grants.extend(grant(cx, key, &id).await?);
    }
    Ok((grants, page.next.map(|(_, _, id)| id)))
}

/// A grant that somebody may retire, and where it is.
pub(crate) struct Found {
    pub(crate) owner: AccountId,
    pub(crate) key: KeyId,
    pub(crate) grant: Arc<Grant>,
}

/// A page of the grants in the caller's region that `party` may retire, on keys
/// of whatever account. The caller must have been allowed to see them.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn retirable(
    cx: &Cx,
    party: &Party,
    after: Option<&(AccountId, KeyId, GrantId)>,
    limit: usize,
) -> Result<(Vec<Found>, Option<(AccountId, KeyId, GrantId)>), StoreError> {
    let holder = party.holder().to_owned();
    let after = after
        .cloned()
        .map(|(owner, key, grant)| (holder.clone(), (owner, (key, grant))));
    let prefix = Prefix::<Retirable>::first(&holder);
    let page: Page<Retirable, ()> = cx
        .view()
        .scan(&BY_RETIRER, &prefix, after.as_ref(), limit)
        .await?;
    let mut found = Vec::with_capacity(page.items.len());
    for ((_, (owner, row)), ()) in page.items.into_iter().map(|(row, unit)| (row, *unit)) {
        let scope = Scope::regional(owner, cx.region());
        let grant = cx.view().cross_account_get(&scope, &GRANTS, &row).await?;
        found.extend(grant.map(|grant| Found {
            owner,
            key: row.0,
            grant,
        }));
    }
    let next = page.next.map(|(_, (owner, (key, grant)))| (owner, key, grant));
    Ok((found, next))
}

/// Writes a new grant on `key`. The permit proves that the caller may make it.
///
/// The makers of many grants on one key need not wait for each other: the limit is
/// held to where commits are made, which tells [`Error::TooManyGrants`].
///
/// # Errors
///
/// Those of [`Cx::write`].
pub(crate) async fn insert(cx: &Cx, key: &Permit<Arc<Key>>, grant: &Grant) -> Result<(), Error> {
    let written = cx.write(async |tx| {
        let scope = scope_of(key);
        tx.cross_account_add_up_to(&scope, &COUNTS, &key.id, 1, GRANTS_PER_KEY_MAX);
        write(tx, key, grant);
        if !key.granted {
            let after = Key {
                granted: true,
                ..Key::clone(key)
            };
            tx.cross_account_put(&scope, &KEYS, &key.id, &after);
        }
        Ok(())
    });
    written.await.map_err(|error| match error {
        StoreError::PastMost { .. } => Error::TooManyGrants { arn: key.arn() },
        error => Error::Store(error),
    })
}

/// Writes all rows of a grant but the count.
fn write(tx: &WriteTx, key: &Key, grant: &Grant) {
    let scope = scope_of(key);
    tx.cross_account_put(&scope, &GRANTS, &(key.id.clone(), grant.id.clone()), grant);
    tx.cross_account_put(&scope, &BY_GRANTEE, &by_grantee(&key.id, grant), &grant.terms);
    if let Some((scope, row)) = by_retirer(key, grant) {
        tx.cross_account_put(&scope, &BY_RETIRER, &row, &());
    }
    if let Some(said) = said(grant) {
        tx.cross_account_put(&scope, &BY_NAME, &(key.id.clone(), said), &grant.id);
    }
}

/// Writes the first grants of a key that is being made, of which it knows by being
/// `granted`. No permit: nobody asks, and only [`crate::stock`] calls it.
///
/// # Panics
///
/// If the key does not say that it has grants.
pub(crate) fn insert_first(tx: &WriteTx, key: &Key, grants: &[Grant]) {
    assert_eq!(
        key.granted,
        !grants.is_empty(),
        "a key knows whether it has grants"
    );
    for grant in grants {
        write(tx, key, grant);
    }
    if key.granted {
        tx.cross_account_put(&scope_of(key), &COUNTS, &key.id, &(grants.len() as u64));
    }
}

/// Removes a grant from `key`, which the transaction has read. The permit proves
/// that the caller may.
pub(crate) fn remove(tx: &WriteTx, key: &Permit<Arc<Key>>, grant: &Grant) {
    forget(tx, key, grant);
    tx.cross_account_add(&scope_of(key), &COUNTS, &key.id, -1);
}

fn by_grantee(key: &KeyId, grant: &Grant) -> (KeyId, String, GrantId) {
    (key.clone(), grant.grantee.holder().to_owned(), grant.id.clone())
}

fn by_retirer(key: &Key, grant: &Grant) -> Option<(Scope, Retirable)> {
    let retirer = grant.retirer.as_ref()?;
    let account = match retirer {
        Party::Principal { account, .. } => *account,
        Party::Service { .. } => key.account,
    };
    let row = (
        retirer.holder().to_owned(),
        (key.account, (key.id.clone(), grant.id.clone())),
    );
    Some((Scope::regional(account, &key.region), row))
}

/// Removes the rows of a grant, but not from the count.
fn forget(tx: &WriteTx, key: &Key, grant: &Grant) {
    let scope = scope_of(key);
    tx.cross_account_delete(&scope, &GRANTS, &(key.id.clone(), grant.id.clone()));
    tx.cross_account_delete(&scope, &BY_GRANTEE, &by_grantee(&key.id, grant));
    if let Some((scope, row)) = by_retirer(key, grant) {
        tx.cross_account_delete(&scope, &BY_RETIRER, &row);
    }
    if let Some(said) = said(grant) {
        tx.cross_account_delete(&scope, &BY_NAME, &(key.id.clone(), said));
    }
}

/// Removes the grants of a key that is about to be deleted, many at a time,
/// each time only while `is_due` says of the key that it still is.
///
/// # Errors
///
/// Whatever the store reports, a conflict if the key is not due any more.
pub(crate) async fn remove_all(cx: &JobCx, key: &Key, is_due: impl Fn(&Key) -> bool) -> Result<(), JobError> {
    let scope = scope_of(key);
    loop {
        let tx = cx.store().view(scope.clone()).begin();
        match tx.get(&KEYS, &key.id).await? {
            Some(key) if is_due(&key) => {}
            Some(_) | None => return Err(StoreError::Conflict.into()),
        }
        let prefix = Prefix::<(KeyId, GrantId)>::first(&key.id);
        let page = tx.scan(&GRANTS, &prefix, None, GRANTS_DELETED_AT_ONCE).await?;
        if page.items.is_empty() {
            return Ok(());
        }
        for (_, grant) in &page.items {
            forget(&tx, key, grant);
        }
        if page.next.is_none() {
            tx.delete(&COUNTS, &key.id);
        }
        cx.store().commit(tx).await?;
    }
}

/// How many grants a key has, by its rows, by the index of their grantees and by
/// the count.
#[cfg(test)]
pub(crate) async fn counted(store: &store::Store, key: &Key) -> (usize, usize, u64) {
    let view = store.view(scope_of(key));
    let rows = Prefix::<(KeyId, GrantId)>::first(&key.id);
    let rows = view.scan(&GRANTS, &rows, None, 1_000).await.unwrap();
    let index = Prefix::<(KeyId, String, GrantId)>::first(&key.id);
    let index = view.scan(&BY_GRANTEE, &index, None, 1_000).await.unwrap();
    let count = view.get(&COUNTS, &key.id).await.unwrap();
    (
        rows.items.len(),
        index.items.len(),
        count.map_or(0, |count| *count),
    )
}
