//! When keys and roles were last used, and what users, roles and whole accounts
//! last did.
//!
//! The door tells of uses, a minute, action and place at a time. They are noted in
//! memory, which costs the call next to nothing, and a job of each node writes
//! them down together. Who asks the node that saw the use is told at once;
//! other nodes follow within [`LAST_USED_FLUSHED_AFTER`].
//!
//! Invariant: a later use is never replaced by an earlier one.
//!
//! A node that is stopped writes down what it has noted.
//!
//! Absent by design: certainty. A node that is killed forgets the uses of its
//! last minute, as AWS's own figures may lag; the journal has every call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gate::{Credential, Job, JobError, Use};
use ground::{AccountId, Timestamp};
use policy::Who;
use serde::{Deserialize, Serialize};
use store::{Scope, Store, StoreError};

use crate::limits::{LAST_USED_FLUSHED_AFTER, LAST_USES_NOTED_MAX, LAST_USES_PER_COMMIT_MAX};
use crate::model::{Access, Accesses};
use crate::store::{ACCESSES, KEY_OWNERS, LAST_USED, NAMES, Rows};

/// The last use of a key or role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastUse {
    pub(crate) at: Timestamp,
    /// As signatures name it: `kms`.
    pub(crate) service: String,
    pub(crate) region: String,
}

/// The uses that this node has seen and not yet written down.
#[derive(Default)]
pub struct LastUses {
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// By account, and id of the access key (`AKIA…`) or role (`AROA…`).
    uses: HashMap<(AccountId, String), LastUse>,
    /// By account, and id of the user (`AIDA…`) or role (`AROA…`), or of the
    /// account itself for what anybody in it did, its root user among them.
    accesses: HashMap<(AccountId, String), Accesses>,
    flushed: Option<Timestamp>,
}

impl Noted {
    fn note(&mut self, subject: (AccountId, String), seen: LastUse) {
        let is_full = self.uses.len() >= LAST_USES_NOTED_MAX;
        match self.uses.get_mut(&subject) {
            Some(known) if known.at > seen.at => {}
            Some(known) => *known = seen,
            None if is_full => {}
            None => {
                self.uses.insert(subject, seen);
            }
        }
    }

    fn note_access(&mut self, principal: (AccountId, String), at: &Use<'_>, access: &Access) {
        let is_full = self.accesses.len() >= LAST_USES_NOTED_MAX;
        if is_full && !self.accesses.contains_key(&principal) {
            return;
        }
        let accesses = self.accesses.entry(principal).or_default();
        match at.action {
            Some(action) => accesses.note(action, access),
            None => {
                accesses.note_service(at.service, access);
            }
        }
    }
}

impl LastUses {
    /// Notes the use of a long-term key, or of a role through its session, and
    /// what was tried with it.
    pub(crate) fn note(&self, credential: &Credential, at: Use<'_>) {
        let caller = &credential.caller;
        let access = Access {
            at: Timestamp::from_seconds(at.at.seconds()),
            region: at.region.as_str().to_owned(),
        };
        if let Who::User { id, .. } | Who::AssumedRole { role_id: id, .. } = caller.principal.who() {
            self.lock()
                .note_access((caller.account, id.clone()), &at, &access);
        }
        let whole = (caller.account, caller.account.to_string());
        self.lock().note_access(whole, &at, &access);
        let subject = match (caller.principal.who(), &caller.session) {
            (Who::AssumedRole { role_id, .. }, _) => role_id.to_string(),
            (_, None) => credential.access_key_id.clone(),
            (_, Some(_)) => return,
        };
        let seen = LastUse {
            at: Timestamp::from_seconds(at.at.seconds()),
            service: at.service.to_owned(),
            region: at.region.as_str().to_owned(),
        };
        self.lock().note((caller.account, subject), seen);
    }

    /// When the key or role of that id was last used, if it ever was.
    pub(crate) async fn last_use(&self, rows: &Rows<'_>, id: &str) -> Result<Option<LastUse>, StoreError> {
        let subject = (rows.account(), id.to_owned());
        let noted = self.lock().uses.get(&subject).cloned();
        let written = rows.get(&LAST_USED, &subject.1).await?;
        Ok(match (noted, written) {
            (Some(noted), Some(written)) if written.at > noted.at => Some((*written).clone()),
            (Some(noted), _) => Some(noted),
            (None, written) => written.map(|written| (*written).clone()),
        })
    }

    /// What the user or role with that id last did, or anybody in the account with that id.
    pub(crate) async fn accesses(&self, rows: &Rows<'_>, id: &str) -> Result<Accesses, StoreError> {
        let principal = (rows.account(), id.to_owned());
        let noted = self.lock().accesses.get(&principal).cloned();
        let written = rows.get(&ACCESSES, &principal.1).await?;
        let mut all = written.map(|written| (*written).clone()).unwrap_or_default();
        if let Some(noted) = noted {
            all.merge(&noted);
        }
        Ok(all)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written now: all that is noted, once in
    /// [`LAST_USED_FLUSHED_AFTER`], and when nobody will ask again.
    fn due(&self, now: Timestamp, is_last: bool) -> Due {
        let mut noted = self.lock();
        let is_due = noted
            .flushed
            .is_none_or(|flushed| now >= flushed.after(LAST_USED_FLUSHED_AFTER) || now < flushed);
        if !is_due && !is_last {
            return Due::default();
        }
        noted.flushed = Some(now);
        Due {
            uses: std::mem::take(&mut noted.uses),
            accesses: std::mem::take(&mut noted.accesses),
        }
    }

    /// Writes down what is due. What cannot be written is noted again.
    async fn flush(&self, store: &Store, now: Timestamp, is_last: bool) -> Result<(), StoreError> {
        let due = self.due(now, is_last);
        let mut failed = None;
        for (account, accesses) in by_account(due.accesses) {
            for accesses in accesses.chunks(LAST_USES_PER_COMMIT_MAX) {
                if let Err(error) = write_accesses(store, account, accesses).await {
                    let mut noted = self.lock();
                    for (id, seen) in accesses {
                        noted
                            .accesses
                            .entry((account, id.clone()))
                            .or_default()
                            .merge(seen);
                    }
                    failed = Some(error);
                }
            }
        }
        for (account, uses) in by_account(due.uses) {
            for uses in uses.chunks(LAST_USES_PER_COMMIT_MAX) {
                if let Err(error) = write(store, account, uses).await {
                    let mut noted = self.lock();
                    for (id, seen) in uses {
                        noted.note((account, id.clone()), seen.clone());
                    }
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// What is to be written.
#[derive(Default)]
struct Due {
    uses: HashMap<(AccountId, String), LastUse>,
    accesses: HashMap<(AccountId, String), Accesses>,
}

fn by_account<T>(due: HashMap<(AccountId, String), T>) -> HashMap<AccountId, Vec<(String, T)>> {
    let mut accounts: HashMap<AccountId, Vec<(String, T)>> = HashMap::new();
    for ((account, id), seen) in due {
        accounts.entry(account).or_default().push((id, seen));
    }
    accounts
}

async fn write_accesses(
    store: &Store,
    account: AccountId,
    accesses: &[(String, Accesses)],
) -> Result<(), StoreError> {
    store
        .transact(&Scope::regionless(account), async |tx| {
            for (id, seen) in accesses {
                // Whoever is gone meanwhile did nothing any more; the account did.
                let is_account = *id == account.to_string();
                if is_account || tx.get(&NAMES, id).await?.is_some() {
                    let written = tx.get(&ACCESSES, id).await?;
                    let mut all = written.map(|written| (*written).clone()).unwrap_or_default();
                    all.merge(seen);
                    tx.put(&ACCESSES, id, &all);
                }
            }
            Ok(())
        })
        .await
}

async fn write(store: &Store, account: AccountId, uses: &[(String, LastUse)]) -> Result<(), StoreError> {
    store
        .transact(&Scope::regionless(account), async |tx| {
            for (id, seen) in uses {
                // What is gone meanwhile has no last use any more.
                let is_there = tx.get(&NAMES, id).await?.is_some()
                    || tx
                        .cross_account_get(&Scope::global(), &KEY_OWNERS, id)
                        .await?
                        .is_some();
                let is_later = tx
                    .get(&LAST_USED, id)
                    .await?
                    .is_none_or(|written| written.at < seen.at);
                if is_there && is_later {
                    tx.put(&LAST_USED, id, seen);
                }
            }
            Ok(())
        })
        .await
}

/// Writes down the uses that this node has noted.
pub(crate) fn flushing(uses: Arc<LastUses>) -> Job {
    Job::new("iam/write-last-uses", move |cx| {
        let uses = Arc::clone(&uses);
        Box::pin(async move {
            let flushed: Result<(), StoreError> = uses.flush(cx.store(), cx.now(), cx.is_last()).await;
            flushed.map_err(|error| -> JobError { error.into() })
        })
    })
    .of_each_node()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeyOwner;
    use crate::store::rows_of;

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    fn at(seconds: i64) -> LastUse {
        LastUse {
            at: Timestamp::from_seconds(seconds),
            service: "kms".into(),
            region: "eu-west-1".into(),
        }
    }

    fn noted(uses: &LastUses, id: &str, seconds: i64) {
        uses.lock().note((account(), id.to_owned()), at(seconds));
    }

    /// A store in which the keys of these ids exist.
    async fn with_keys(ids: &[&str]) -> Store {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let tx = store.view(Scope::global()).begin();
        for id in ids {
            let owner = KeyOwner {
                account: account(),
                owner_id: "AIDA1".into(),
            };
            tx.put(&KEY_OWNERS, &(*id).to_owned(), &owner);
        }
        store.commit(tx).await.unwrap();
        store
    }

    #[tokio::test]
    async fn what_was_noted_is_told_before_and_after_it_is_written() {
        let store = with_keys(&["AKIA1"]).await;
        let uses = LastUses::default();
        noted(&uses, "AKIA1", 100);
        for flush in [false, true] {
            if flush {
                uses.flush(&store, Timestamp::from_seconds(1_000), false)
                    .await
                    .unwrap();
                assert!(uses.lock().uses.is_empty());
            }
            let view = store.view(Scope::regionless(account()));
            let rows = rows_of(&view, account());
            assert_eq!(uses.last_use(&rows, "AKIA1").await.unwrap(), Some(at(100)));
            assert_eq!(uses.last_use(&rows, "AKIA2").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn an_earlier_use_replaces_no_later_one() {
        let store = with_keys(&["AKIA1"]).await;
        let (one, other) = (LastUses::default(), LastUses::default());
        noted(&one, "AKIA1", 200);
        noted(&one, "AKIA1", 150);
        noted(&other, "AKIA1", 100);
        one.flush(&store, Timestamp::from_seconds(1_000), false)
            .await
            .unwrap();
        other
            .flush(&store, Timestamp::from_seconds(1_000), false)
            .await
            .unwrap();
        let view = store.view(Scope::regionless(account()));
        let told = other.last_use(&rows_of(&view, account()), "AKIA1").await.unwrap();
        assert_eq!(told, Some(at(200)));
    }

    #[tokio::test]
    async fn what_is_gone_leaves_no_row() {
        let store = with_keys(&["AKIA1"]).await;
        let uses = LastUses::default();
        noted(&uses, "AKIA9", 100);
        uses.flush(&store, Timestamp::from_seconds(1_000), false)
            .await
            .unwrap();
        let view = store.view(Scope::regionless(account()));
        assert_eq!(
            uses.last_use(&rows_of(&view, account()), "AKIA9").await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn what_somebody_did_is_told_before_and_after_it_is_written() {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let tx = store.view(Scope::regionless(account())).begin();
        let bob = crate::model::Named {
            kind: crate::model::EntityKind::User,
            folded_name: "bob".into(),
        };
        tx.put(&NAMES, &"AIDA1".to_owned(), &bob);
        store.commit(tx).await.unwrap();
        let uses = LastUses::default();
        let access = |seconds| Access {
            at: Timestamp::from_seconds(seconds),
            region: "eu-west-1".into(),
        };
        let region = ground::Region::us_east_1();
        let at = Use {
            service: "kms",
            action: Some("kms:Encrypt"),
            region: &region,
            at: Timestamp::from_seconds(100),
        };
        for id in ["AIDA1", "AIDA9"] {
            uses.lock()
                .note_access((account(), id.to_owned()), &at, &access(100));
        }
        let mut wanted = Accesses::default();
        wanted.note("kms:Encrypt", &access(100));
        for flush in [false, true] {
            if flush {
                uses.flush(&store, Timestamp::from_seconds(1_000), false)
                    .await
                    .unwrap();
                assert!(uses.lock().accesses.is_empty());
            }
            let view = store.view(Scope::regionless(account()));
            let rows = rows_of(&view, account());
            assert_eq!(uses.accesses(&rows, "AIDA1").await.unwrap(), wanted);
        }
        // Whoever is gone leaves no row.
        let view = store.view(Scope::regionless(account()));
        let nobody = uses.accesses(&rows_of(&view, account()), "AIDA9").await.unwrap();
        assert_eq!(nobody, Accesses::default());
    }

    #[test]
    fn notes_are_written_once_a_while_and_bounded() {
        let uses = LastUses::default();
        let minute = LAST_USED_FLUSHED_AFTER.as_secs().cast_signed();
        noted(&uses, "AKIA1", 1);
        let due = |seconds| uses.due(Timestamp::from_seconds(seconds), false).uses;
        assert_eq!(due(1_000).len(), 1);
        noted(&uses, "AKIA1", 2);
        assert!(due(999 + minute).is_empty());
        assert_eq!(due(1_000 + minute).len(), 1);
        noted(&uses, "AKIA1", 3);
        let last = uses.due(Timestamp::from_seconds(1_001 + minute), true);
        assert_eq!(last.uses.len(), 1, "a node that is stopped leaves nothing behind");
        for number in 0..LAST_USES_NOTED_MAX + 1 {
            noted(&uses, &number.to_string(), 3);
        }
        assert_eq!(uses.lock().uses.len(), LAST_USES_NOTED_MAX);
    }
}
