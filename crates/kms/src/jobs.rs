//! What happens without being asked: keys whose waiting period is over are
//! deleted, those whose time has come rotate, and imported material that expires
//! is forgotten; each with a record of its own. And what was asked for and takes
//! its time: custom key stores are connected and disconnected.

mod connections;
mod proxy_health;

use std::sync::Arc;

pub(crate) use proxy_health::{conditions, proxy_health};

use crypto::key::BackingKey;
use gate::{Event, Job, JobCx, JobError, Touched};
use ground::Region;
use store::{Prefix, Scope, StoreError, Table};

use crate::access::KEY_TYPE;
use crate::announce::{Happened, announce};
use crate::custodians::Custodians;
use crate::limits::KEYS_PER_RUN_MAX;
use crate::model::generation::RotationKind;
use crate::model::{Key, Material, MaterialId};
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::store::{
    DELETIONS, Due, EXPIRIES, KEYS, MATERIAL_PURPOSE, ROTATIONS, delete_key, drop_material, forget_pending,
    grants, keep_material, replace_key, tell_related,
};

/// Deletes the keys that are due.
pub(crate) fn deletion(custodians: Arc<Custodians>) -> Job {
    Job::new("kms/delete-due-keys", move |cx| {
        let custodians = Arc::clone(&custodians);
        Box::pin(async move { delete_due_keys(cx, &custodians).await })
    })
}

/// Connects and disconnects custom key stores.
pub(crate) fn connections(custodians: Arc<Custodians>) -> Job {
    Job::new("kms/connect-custom-key-stores", move |cx| {
        let custodians = Arc::clone(&custodians);
        Box::pin(async move { connections::settle(cx, &custodians).await })
    })
}

/// Rotates the keys that are due.
pub fn rotation() -> Job {
    Job::new("kms/rotate-due-keys", |cx| Box::pin(rotate_due_keys(cx)))
}

/// Forgets the imported material that has expired.
pub fn expiry() -> Job {
    Job::new("kms/forget-expired-material", |cx| Box::pin(forget_expired(cx)))
}

/// The rows of an index of dues whose time has come, up to [`KEYS_PER_RUN_MAX`].
async fn due_now(cx: &JobCx, index: &Table<Due, ()>) -> Result<Vec<Due>, StoreError> {
    let view = cx.store().view(Scope::global());
    let page = view.scan(index, &Prefix::all(), None, KEYS_PER_RUN_MAX).await?;
    let rows = page.items.into_iter().map(|(row, _)| row);
    Ok(rows.take_while(|row| row.0 <= cx.now()).collect())
}

/// The key of a row of an index, while it is due as the row says. `None` if it
/// was called off or done by another node since the index was read; its writer
/// has removed the row in the same commit.
async fn due_key(
    cx: &JobCx,
    (_, account, region, id): &Due,
    is_due: impl Fn(&Key) -> bool,
) -> Result<Option<Arc<Key>>, StoreError> {
    let scope = Scope::regional(*account, region);
    let key = cx.store().view(scope).get(&KEYS, id).await?;
    Ok(key.filter(|key| is_due(key)))
}

/// The record of what happened to a key.
fn event(name: &'static str, key: &Key, details: serde_json::Value) -> Event {
    Event {
        source: "kms.amazonaws.com",
        name,
        account: key.account,
        region: key.region.clone(),
        resources: vec![Touched {
            kind: KEY_TYPE,
            arn: key.arn().into(),
            account: key.account,
        }],
        details: Some(details),
    }
}

/// Gives keys that are due now new material, up to [`KEYS_PER_RUN_MAX`] of them.
///
/// # Errors
///
/// Whatever the store, the journal and the provider report. What was rotated
/// before stays so.
async fn rotate_due_keys(cx: &JobCx) -> Result<(), JobError> {
    for row in due_now(cx, &ROTATIONS).await? {
        rotate_due_key(cx, &row).await?;
    }
    Ok(())
}

async fn rotate_due_key(cx: &JobCx, row: &Due) -> Result<(), JobError> {
    let is_due = |key: &Key| key.rotation_due() == Some(row.0);
    let Some(before) = due_key(cx, row, is_due).await? else {
        return Ok(());
    };
    let backing = BackingKey::generate(before.purpose.spec(), cx.random())?;
    let id = MaterialId::generate(cx.random());
    let seal = |region: &Region| {
        let domain = cx.domain_key(before.account, region, MATERIAL_PURPOSE);
        Material::seal(&before.id, &id, &backing, &domain, cx.random(), cx.now())
    };
    let details = serde_json::json!({
        "keyId": before.id.as_str(),
        "rotationType": "AUTOMATIC",
        "currentKeyMaterialId": id.as_str(),
        "previousKeyMaterialId": before.material.as_str(),
    });
    let scope = Scope::regional(before.account, &before.region);
    cx.write(scope, event("RotateKey", &before, details), async |tx| {
        match tx.get(&KEYS, &before.id).await? {
            Some(now) if is_due(&now) && now.material == before.material => {
                let mut after = Key::clone(&now);
                let rotate = |key: &mut Key| {
                    key.rotate(id.clone(), cx.now(), RotationKind::Automatic);
                    let sealed = seal(&key.region);
                    key.sealed = Some(sealed.map_err(|_| StoreError::Conflict)?);
                    Ok(())
                };
                rotate(&mut after)?;
                keep_material(tx, &now);
                replace_key(tx, &now, &after);
                let rotated = Happened::Rotated {
                    kind: RotationKind::Automatic,
                    previous: &now.material,
                    current: &id,
                };
                announce(tx, cx.random(), cx.now(), &after, rotated);
                tell_related(tx, &after, rotate).await
            }
            // Changed since it was read above: look again at the next run.
            Some(_) | None => Err(StoreError::Conflict),
        }
    })
    .await
}

/// Forgets material that expires now, of up to [`KEYS_PER_RUN_MAX`] keys.
///
/// # Errors
///
/// Whatever the store and the journal report.
async fn forget_expired(cx: &JobCx) -> Result<(), JobError> {
    for row in due_now(cx, &EXPIRIES).await? {
        forget_expired_of(cx, &row).await?;
    }
    Ok(())
}

async fn forget_expired_of(cx: &JobCx, row: &Due) -> Result<(), JobError> {
    let is_due = |key: &Key| key.expiry_due() == Some(row.0);
    let Some(before) = due_key(cx, row, is_due).await? else {
        return Ok(());
    };
    for id in before.expired(cx.now()) {
        forget_material(cx, &before, &id).await?;
    }
    Ok(())
}

async fn forget_material(cx: &JobCx, before: &Key, id: &MaterialId) -> Result<(), JobError> {
    let details = serde_json::json!({ "keyId": before.id.as_str(), "keyMaterialId": id.as_str() });
    let scope = Scope::regional(before.account, &before.region);
    let event = event("DeleteExpiredKeyMaterial", before, details);
    cx.write(scope, event, async |tx| {
        match tx.get(&KEYS, &before.id).await? {
            Some(now) if now.expired(cx.now()).contains(id) => {
                let mut after = Key::clone(&now);
                after.lose(id);
                drop_material(tx, &after, id);
                replace_key(tx, &now, &after);
                announce(tx, cx.random(), cx.now(), &after, Happened::Expired);
                forget_pending(tx, &after, id).await
            }
            // Changed since it was read above: look again at the next run.
            Some(_) | None => Err(StoreError::Conflict),
        }
    })
    .await
}

/// Deletes keys that are due now, with their material, grants and aliases, up to
/// [`KEYS_PER_RUN_MAX`] of them; the next run goes on.
///
/// It reads the index of deletions and the keys that are due, nothing else. A
/// key whose deletion is called off while this runs is left alone.
///
/// # Errors
///
/// Whatever the store and the journal report. What was deleted before stays
/// deleted.
async fn delete_due_keys(cx: &JobCx, custodians: &Custodians) -> Result<(), JobError> {
    for row in due_now(cx, &DELETIONS).await? {
        delete_due_key(cx, custodians, &row).await?;
    }
    Ok(())
}

async fn delete_due_key(cx: &JobCx, custodians: &Custodians, row: &Due) -> Result<(), JobError> {
    let is_due = |key: &Key| key.state.deletion_due() == Some(row.0);
    let Some(key) = due_key(cx, row, is_due).await? else {
        return Ok(());
    };
    if key.granted {
        grants::remove_all(cx, &key, is_due).await?;
    }
    let keeper = custom_key_stores::of_key(cx, &key).await?;
    let scope = Scope::regional(key.account, &key.region);
    let details = serde_json::json!({ "keyId": key.id.as_str() });
    cx.write(scope, event("DeleteKey", &key, details), async |tx| {
        match tx.get(&KEYS, &key.id).await? {
            Some(key) if is_due(&key) => {
                announce(tx, cx.random(), cx.now(), &key, Happened::Deleted);
                delete_key(tx, &key, cx.now()).await
            }
            // Changed since it was read above: look again at the next run.
            Some(_) | None => Err(StoreError::Conflict),
        }
    })
    .await?;
    // After the write: a key may be called back until then.
    if let Some(keeper) = keeper {
        let domain = cx.domain_key(keeper.account, &keeper.region, SECRET_PURPOSE);
        custodians
            .delete_in_cluster(&keeper, &domain, key.id.as_str())
            .await;
    }
    Ok(())
}
