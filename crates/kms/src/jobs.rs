//! What happens without being asked: keys whose waiting period is over are
//! deleted, each with a record of its own.

use gate::{Event, Job, JobCx, JobError, Touched};
use store::{Prefix, Scope, StoreError};

use crate::access::KEY_TYPE;
use crate::limits::DELETIONS_PER_RUN_MAX;
use crate::model::Key;
use crate::store::{DELETIONS, Due, KEYS, delete_key, grants};

/// Deletes the keys that are due.
pub fn deletion() -> Job {
    Job::new("kms/delete-due-keys", |cx| Box::pin(delete_due_keys(cx)))
}

/// Deletes keys that are due now, with their material and aliases, up to
/// [`DELETIONS_PER_RUN_MAX`] of them; the next run goes on.
///
/// It reads the index of deletions and the keys that are due, nothing else. A
/// key whose deletion is called off while this runs is left alone.
///
/// # Errors
///
/// Whatever the store and the journal report. What was deleted before stays
/// deleted.
async fn delete_due_keys(cx: &JobCx) -> Result<(), JobError> {
    let index = cx.store().view(Scope::global());
    let page = index
        .scan(&DELETIONS, &Prefix::all(), None, DELETIONS_PER_RUN_MAX)
        .await?;
    for (row, _) in page.items {
        if row.0 > cx.now() {
            break;
        }
        delete_due_key(cx, &row).await?;
    }
    Ok(())
}

async fn delete_due_key(cx: &JobCx, row: &Due) -> Result<(), JobError> {
    let (due, account, region, id) = row;
    let is_due = |key: &Key| key.state.deletion_due() == Some(*due);
    let scope = Scope::regional(*account, region);
    let key = cx.store().view(scope.clone()).get(&KEYS, id).await?;
    let Some(key) = key.filter(|key| is_due(key)) else {
        // Called off or deleted by another node since the index was read; its
        // writer has removed the row in the same commit.
        return Ok(());
    };
    if key.granted {
        grants::remove_all(cx, &key, is_due).await?;
    }
    let event = Event {
        source: "kms.amazonaws.com",
        name: "DeleteKey",
        account: *account,
        region: region.clone(),
        resources: vec![Touched {
            kind: KEY_TYPE,
            arn: key.arn(),
            account: *account,
        }],
        details: Some(serde_json::json!({ "keyId": id.as_str() })),
    };
    cx.write(scope, event, async |tx| {
        match tx.get(&KEYS, id).await? {
            Some(key) if is_due(&key) => delete_key(tx, &key).await,
            // Changed since it was read above: look again at the next run.
            Some(_) | None => Err(StoreError::Conflict),
        }
    })
    .await
}
