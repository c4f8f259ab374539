//! When each key was last used for cryptography, and for what.
//!
//! Uses are noted in memory, which costs the call next to nothing, and a job of
//! each node writes them down, a row for each key. Who asks the node that saw the
//! use is told at once; other nodes follow when it is written. That is within a
//! minute or two while some 30,000 keys are used. Keys drawn at random from more
//! would pay a row for each call if it stayed so: they wait for
//! [`LAST_USES_WRITTEN_WITHIN`] at the most, and a million of them pay a row for
//! every thirty minutes. A node that is stopped writes down what it has noted.
//!
//! Invariants: a later use is never replaced by an earlier one; a key that is
//! gone leaves no row; refused calls and rehearsals are no uses.
//!
//! Absent by design: certainty. A node that is killed forgets what was not written,
//! where AWS's figures may lag an hour; the journal has every call.

mod noted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate::{Cx, Job, JobCx, JobError};
use ground::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Scope, Store, StoreError, Table};

use self::noted::{Due, Noted, Use, Uuid};
use crate::error::Error;
use crate::model::{Key, KeyId};
use crate::store::KEYS;

/// The last uses that were written down, in their key's account and region.
pub(crate) const LAST_USES: Table<KeyId, LastUse> = Table::new("kms/last-use", 1);

/// Since when uses are noted in this store. In the global scope.
const TRACKED_SINCE: Table<(), Timestamp> = Table::new("kms/last-use-since", 1);

/// One use of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastUse {
    pub(crate) at: Timestamp,
    /// `Encrypt`
    pub(crate) operation: String,
    /// Of the record in the trail of the key's owner.
    pub(crate) event_id: String,
    pub(crate) request_id: String,
}

/// What is known of the uses of a key.
pub(crate) struct Usage {
    /// From when on its uses were noted; not before it was made.
    pub(crate) since: Timestamp,
    pub(crate) last: Option<LastUse>,
}

impl Usage {
    /// `kms:TrailingDaysWithoutKeyUsage`: whole days since its last use or, if
    /// none is known, since uses were noted.
    ///
    /// Source: KMS Developer Guide, "kms:TrailingDaysWithoutKeyUsage".
    pub(crate) fn trailing_days(&self, now: Timestamp) -> i64 {
        let from = self.last.as_ref().map_or(self.since, |last| last.at);
        let days = now.since(from).as_secs() / (24 * 60 * 60);
        i64::try_from(days).unwrap_or(i64::MAX)
    }
}

/// The uses that this node has seen and not yet written down.
#[derive(Debug, Default)]
pub(crate) struct LastUses {
    noted: Mutex<Noted>,
    /// Held by who writes: what is due is written once.
    writing: tokio::sync::Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Writing {
    /// Whether the store says since when uses are noted.
    is_tracked: bool,
}

impl LastUses {
    /// Notes that the call of `cx` has used `key`.
    pub(crate) fn note(&self, cx: &Cx, key: &Key) {
        let uuid = |text: &str| Uuid::parse(text).expect("the gate gives requests and records UUIDs");
        let noticed = Use {
            at: cx.now(),
            operation: cx.operation().name,
            event: uuid(&cx.event_id(key.account)),
            request: uuid(cx.request_id()),
        };
        self.lock().note(key.account, &key.region, &key.id, &noticed);
    }

    /// What is known of the uses of `key`.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    pub(crate) async fn of(&self, cx: &Cx, key: &Key) -> Result<Usage, Error> {
        // First what is noted: it stays so until it can be read.
        let noted = self.lock().of(key.account, &key.region, &key.id);
        let scope = Scope::regional(key.account, &key.region);
        let written = cx.view().cross_account_get(&scope, &LAST_USES, &key.id).await?;
        let since = cx
            .view()
            .cross_account_get(&Scope::global(), &TRACKED_SINCE, &())
            .await?;
        let written = written.map(|row| (*row).clone());
        Ok(Usage {
            // Until the job has run for the first time, it begins now.
            since: since.map_or(cx.now(), |row| *row).max(key.created),
            last: match (noted, written) {
                (Some(noted), Some(written)) if written.at > noted.at => Some(written),
                (Some(noted), _) => Some(noted),
                (None, written) => written,
            },
        })
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what is due. What cannot be written stays noted.
    async fn flush(&self, store: &Store, now: Timestamp, is_last: bool) -> Result<(), StoreError> {
        let mut writing = self.writing.lock().await;
        if !writing.is_tracked {
            begin_tracking(store, now).await?;
            writing.is_tracked = true;
        }
        let due = self.lock().due(now, is_last);
        let mut failed = None;
        for due in due {
            match self.write(store, &due).await {
                Ok(()) => self.lock().written(&due),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn write(&self, store: &Store, due: &Due) -> Result<(), StoreError> {
        let uses: Vec<(KeyId, LastUse)> = {
            let noted = self.lock();
            due.notes.iter().map(|note| noted.spelled(note)).collect()
        };
        store
            .transact(&Scope::regional(due.account, &due.region), async |tx| {
                for (key, last) in &uses {
                    let is_there = tx.is_there(&KEYS, key).await?;
                    let written = tx.get_once(&LAST_USES, key).await?;
                    if is_there && written.is_none_or(|written| written.at < last.at) {
                        tx.put(&LAST_USES, key, last);
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Says once and for all that uses are noted from now on.
async fn begin_tracking(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    if store
        .view(Scope::global())
        .get(&TRACKED_SINCE, &())
        .await?
        .is_some()
    {
        return Ok(());
    }
    store
        .transact(&Scope::global(), async |tx| {
            if tx.get(&TRACKED_SINCE, &()).await?.is_none() {
                tx.put(&TRACKED_SINCE, &(), &now);
            }
            Ok(())
        })
        .await
}

/// Writes down the uses that this node has noted.
pub(crate) fn flushing(uses: Arc<LastUses>) -> Job {
    Job::new("kms/write-last-uses", move |cx: &JobCx| {
        let uses = Arc::clone(&uses);
        Box::pin(async move {
            let flushed = uses.flush(cx.store(), cx.now(), cx.is_last()).await;
            flushed.map_err(|error| -> JobError { error.into() })
        })
    })
    .of_each_node()
}

#[cfg(test)]
mod tests {
    use ground::{AccountId, Region};

    use super::*;

    fn place() -> (AccountId, Region) {
        (AccountId::parse("111122223333").unwrap(), Region::us_east_1())
    }

    fn key() -> KeyId {
        KeyId::from_bytes([1; 16])
    }

    fn note(uses: &LastUses, seconds: i64) {
        let id = Uuid::parse("01234567-89ab-4def-8123-456789abcdef").unwrap();
        let noticed = Use {
            at: Timestamp::from_seconds(seconds),
            operation: "Encrypt",
            event: id,
            request: id,
        };
        let (account, region) = place();
        uses.lock().note(account, &region, &key(), &noticed);
    }

    fn noted(uses: &LastUses) -> Option<LastUse> {
        let (account, region) = place();
        uses.lock().of(account, &region, &key())
    }

    /// A job that comes late, or twice, and a key that went meanwhile.
    #[tokio::test]
    async fn what_is_gone_leaves_no_row() {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let uses = LastUses::default();
        note(&uses, 100);
        uses.flush(&store, Timestamp::from_seconds(1_000), false)
            .await
            .unwrap();
        assert!(noted(&uses).is_none());
        let (account, region) = place();
        let view = store.view(Scope::regional(account, &region));
        assert!(view.get(&LAST_USES, &key()).await.unwrap().is_none());
    }

    /// What the store does not take is told from memory, and tried again.
    #[tokio::test]
    async fn what_cannot_be_written_stays_noted() {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let uses = LastUses::default();
        uses.flush(&store, Timestamp::from_seconds(0), false)
            .await
            .unwrap();
        note(&uses, 100);
        store.close().await;
        for is_last in [false, true] {
            uses.flush(&store, Timestamp::from_seconds(1_000), is_last)
                .await
                .unwrap_err();
            assert_eq!(noted(&uses).unwrap().at, Timestamp::from_seconds(100));
        }
    }
}
