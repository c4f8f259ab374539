//! When each key was last used for cryptography, and for what.
//!
//! Uses are noted in memory, which costs the call next to nothing, and a job of
//! each node writes them down together. Who asks the node that saw the use is
//! told at once; other nodes follow within [`LAST_USES_FLUSHED_AFTER`]. A node
//! that is stopped writes down what it has noted.
//!
//! Invariants: a later use is never replaced by an earlier one; a key that is
//! gone leaves no row; refused calls and rehearsals are no uses.
//!
//! Absent by design: certainty. A node that is killed forgets the uses of its
//! last minute, where AWS's figures may lag an hour; the journal has every call.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate::{Cx, Job, JobCx, JobError};
use ground::{AccountId, Region, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Scope, Store, StoreError, Table};

use crate::error::Error;
use crate::limits::{LAST_USES_FLUSHED_AFTER, LAST_USES_NOTED_MAX, LAST_USES_PER_COMMIT_MAX};
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
}

/// Uses by ARN.
type Noticings = HashMap<Arc<str>, Noticed, BuildHasherDefault<EndOfArn>>;

#[derive(Debug, Default)]
struct Noted {
    /// By the key's ARN.
    uses: Noticings,
    flushed: Option<Timestamp>,
}

/// Hashes an ARN by how it ends, which is the random end of a key's id: nobody
/// chooses those, and every use of a key asks for it.
#[derive(Debug, Default)]
struct EndOfArn(u64);

impl Hasher for EndOfArn {
    fn write(&mut self, bytes: &[u8]) {
        let end = match bytes.last_chunk() {
            Some(end) => u64::from_le_bytes(*end),
            // No ARN is as short, but the mark that ends a text.
            None => bytes.iter().fold(0, |end, byte| end << 8 | u64::from(*byte)),
        };
        self.0 = (self.0.rotate_left(5) ^ end).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// A use, and where its key lies.
#[derive(Debug)]
struct Noticed {
    account: AccountId,
    region: Region,
    key: KeyId,
    last: LastUse,
}

impl LastUses {
    /// Notes that the call of `cx` has used `key`. Beyond
    /// [`LAST_USES_NOTED_MAX`] keys between two writes nothing is noted of others.
    pub(crate) fn note(&self, cx: &Cx, key: &Key) {
        let (operation, event_id) = (cx.operation().name, cx.event_id(key.account));
        let mut noted = self.lock();
        if let Some(known) = noted.uses.get_mut(&**key.shared_arn()) {
            if known.last.at <= cx.now() {
                // In place: the texts keep their room.
                known.last.at = cx.now();
                operation.clone_into(&mut known.last.operation);
                event_id.as_ref().clone_into(&mut known.last.event_id);
                cx.request_id().clone_into(&mut known.last.request_id);
            }
            return;
        }
        let last = LastUse {
            at: cx.now(),
            operation: operation.to_owned(),
            event_id: event_id.into_owned(),
            request_id: cx.request_id().to_owned(),
        };
        noted.insert(
            Arc::clone(key.shared_arn()),
            Noticed {
                account: key.account,
                region: key.region.clone(),
                key: key.id.clone(),
                last,
            },
        );
    }

    /// What is known of the uses of `key`.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    pub(crate) async fn of(&self, cx: &Cx, key: &Key) -> Result<Usage, Error> {
        let noted = self
            .lock()
            .uses
            .get(&**key.shared_arn())
            .map(|it| it.last.clone());
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

    /// Writes down what is due. What cannot be written is noted again.
    async fn flush(&self, store: &Store, now: Timestamp, is_last: bool) -> Result<(), StoreError> {
        let Some(due) = self.lock().due(now, is_last) else {
            return Ok(());
        };
        begin_tracking(store, now).await?;
        let mut failed = None;
        for ((account, region), uses) in by_place(due) {
            for uses in uses.chunks(LAST_USES_PER_COMMIT_MAX) {
                if let Err(error) = write(store, &Scope::regional(account, &region), uses).await {
                    let mut noted = self.lock();
                    for (arn, key, last) in uses {
                        let noticed = Noticed {
                            account,
                            region: region.clone(),
                            key: key.clone(),
                            last: last.clone(),
                        };
                        noted.insert(Arc::clone(arn), noticed);
                    }
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Noted {
    fn insert(&mut self, arn: Arc<str>, noticed: Noticed) {
        let is_full = self.uses.len() >= LAST_USES_NOTED_MAX;
        match self.uses.get_mut(&arn) {
            Some(known) if known.last.at > noticed.last.at => {}
            Some(known) => *known = noticed,
            None if is_full => {}
            None => {
                self.uses.insert(arn, noticed);
            }
        }
    }

    /// What is to be written now: all that is noted, once in
    /// [`LAST_USES_FLUSHED_AFTER`], when much is, and when nobody will ask again.
    fn due(&mut self, now: Timestamp, is_last: bool) -> Option<Noticings> {
        let is_due = self
            .flushed
            .is_none_or(|flushed| now >= flushed.after(LAST_USES_FLUSHED_AFTER) || now < flushed);
        let is_much = self.uses.len() >= LAST_USES_NOTED_MAX / 4;
        if !is_due && !is_much && !is_last {
            return None;
        }
        self.flushed = Some(now);
        Some(std::mem::take(&mut self.uses))
    }
}

type Uses = Vec<(Arc<str>, KeyId, LastUse)>;

/// In the order of the rows, so that those of one commit lie on few pages: among
/// many keys a page serves one use after the other instead of each its own.
fn by_place(due: Noticings) -> HashMap<(AccountId, Region), Uses> {
    let mut places: HashMap<(AccountId, Region), Uses> = HashMap::new();
    for (arn, it) in due {
        let uses = places.entry((it.account, it.region)).or_default();
        uses.push((arn, it.key, it.last));
    }
    for uses in places.values_mut() {
        uses.sort_unstable_by(|(_, one, _), (_, other, _)| one.cmp(other));
    }
    places
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

async fn write(store: &Store, place: &Scope, uses: &[(Arc<str>, KeyId, LastUse)]) -> Result<(), StoreError> {
    store
        .transact(place, async |tx| {
            for (_, key, last) in uses {
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
    use super::*;

    fn noticed(key: usize, seconds: i64) -> (Arc<str>, Noticed) {
        let id = KeyId::from_bytes([u8::try_from(key % 251).unwrap(); 16]);
        let noticed = Noticed {
            account: AccountId::parse("111122223333").unwrap(),
            region: Region::us_east_1(),
            key: id,
            last: LastUse {
                at: Timestamp::from_seconds(seconds),
                operation: "Encrypt".into(),
                event_id: "e".into(),
                request_id: "r".into(),
            },
        };
        (key.to_string().into(), noticed)
    }

    fn note(noted: &mut Noted, key: usize, seconds: i64) {
        let (arn, noticed) = noticed(key, seconds);
        noted.insert(arn, noticed);
    }

    #[test]
    fn notes_are_taken_once_a_while_or_when_many_and_are_bounded() {
        let mut noted = Noted::default();
        let minute = LAST_USES_FLUSHED_AFTER.as_secs().cast_signed();
        let due = |noted: &mut Noted, seconds, is_last| {
            let due = noted.due(Timestamp::from_seconds(seconds), is_last);
            due.map(|due| due.len())
        };
        note(&mut noted, 1, 1);
        assert_eq!(due(&mut noted, 1_000, false), Some(1));
        note(&mut noted, 1, 2);
        assert_eq!(due(&mut noted, 999 + minute, false), None);
        assert_eq!(due(&mut noted, 999 + minute, true), Some(1), "nobody asks again");
        for key in 0..LAST_USES_NOTED_MAX + 1 {
            note(&mut noted, key, 3);
        }
        assert_eq!(due(&mut noted, 1_000 + minute, false), Some(LAST_USES_NOTED_MAX));
    }

    #[test]
    fn an_earlier_use_replaces_no_later_one() {
        let mut noted = Noted::default();
        for seconds in [200, 150] {
            note(&mut noted, 1, seconds);
        }
        assert_eq!(noted.uses["1"].last.at, Timestamp::from_seconds(200));
    }

    /// A job that comes late, or twice, and a key that went meanwhile.
    #[tokio::test]
    async fn what_is_gone_leaves_no_row() {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let uses = LastUses::default();
        note(&mut uses.lock(), 1, 100);
        uses.flush(&store, Timestamp::from_seconds(1_000), false)
            .await
            .unwrap();
        assert!(uses.lock().uses.is_empty());
        let account = AccountId::parse("111122223333").unwrap();
        let view = store.view(Scope::regional(account, &Region::us_east_1()));
        let row = view.get(&LAST_USES, &KeyId::from_bytes([1; 16])).await.unwrap();
        assert!(row.is_none());
    }
}
