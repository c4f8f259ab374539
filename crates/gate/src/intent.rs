//! Intents to record: how a change and its record cannot be parted by a crash.
//!
//! A call that changes something commits, together with the change, the
//! record it is about to write. Once the journal has that record on disk the
//! intent is settled and removed, in company with a later commit or by the
//! sweep. Whatever is left when the door opens belongs to a process that died
//! in between: its record is written then, marked by an `addendum`.
//!
//! Nodes that share a store look after their own intents only: the records of
//! another are in that one's journal, or will be when it comes back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ground::Timestamp;
use journal::{Durability, Position};
use serde::{Deserialize, Serialize};
use store::{Prefix, Scope, Store, StoreError, Table, WriteTx};

use crate::door::{OpenError, Parts};
use crate::limits::{INTENTS_PER_COMMIT_MAX, INTENTS_PER_PAGE, RECOVERY_JOURNAL_BYTES_MAX};
use crate::record::Record;

/// Intents by node and event id.
const INTENTS: Table<(String, String), Row> = Table::new("gate/intent", 1);

/// A record that is about to be written, under its event id.
#[derive(Serialize, Deserialize)]
struct Row {
    time: Timestamp,
    record: String,
}

/// The intent of one call.
pub(crate) struct Intent {
    event_id: String,
    row: Row,
}

impl Intent {
    pub(crate) fn new(event_id: &str, record: &Record<'_>) -> Intent {
        Intent {
            event_id: event_id.to_owned(),
            row: Row {
                time: record.time,
                record: record.to_json(),
            },
        }
    }

    /// The intent to record what a service did by itself.
    pub(crate) fn of_event(event_id: &str, time: Timestamp, record: String) -> Intent {
        Intent {
            event_id: event_id.to_owned(),
            row: Row { time, record },
        }
    }

    pub(crate) fn record(&self) -> &str {
        &self.row.record
    }
}

/// The intents of this process that are recorded but not yet removed.
pub(crate) struct Intents {
    node: String,
    settled: Mutex<Vec<(String, Position)>>,
}

impl Intents {
    /// Adds a call's intent to its commit, and takes the settled ones of earlier calls away.
    pub(crate) fn add_to(&self, tx: &mut WriteTx, intent: &Intent, synced: Position) {
        let global = Scope::global();
        let key = (self.node.clone(), intent.event_id.clone());
        tx.cross_account_put(&global, &INTENTS, &key, &intent.row);
        for event_id in self.take(synced) {
            tx.cross_account_delete(&global, &INTENTS, &(self.node.clone(), event_id));
        }
    }

    /// The record of this intent is in the journal at `position`.
    pub(crate) fn settled(&self, intent: Intent, position: Position) {
        self.lock().push((intent.event_id, position));
    }

    /// Removes what is settled when no commit came by to do it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; what was not removed is found, and found recorded, when the door next opens.
    pub(crate) async fn sweep(&self, store: &Store, synced: Position) -> Result<(), StoreError> {
        loop {
            let gone = self.take(synced);
            if gone.is_empty() {
                return Ok(());
            }
            remove(store, &self.node, gone).await?;
        }
    }

    /// Writes the records that an earlier process of this node did not.
    pub(crate) async fn recover(parts: &Parts) -> Result<Intents, OpenError> {
        loop {
            let view = parts.store.view(Scope::global());
            let own = Prefix::<(String, String)>::first(&parts.node);
            let page = view.scan(&INTENTS, &own, None, INTENTS_PER_PAGE).await?;
            if page.items.is_empty() {
                return Ok(Intents {
                    node: parts.node.clone(),
                    settled: Mutex::default(),
                });
            }
            let mut missing: HashMap<&str, &Row> = page
                .items
                .iter()
                .map(|((_, event_id), row)| (event_id.as_str(), row.as_ref()))
                .collect();
            forget_recorded(parts, &mut missing)?;
            for row in missing.values() {
                let record = row.record.strip_suffix('}').unwrap_or(&row.record);
                let record = format!("{record},\"addendum\":{{\"reason\":\"SERVICE_OUTAGE\"}}}}");
                parts
                    .journal
                    .append(record.as_bytes(), Durability::Written)
                    .await?;
            }
            if !missing.is_empty() {
                parts.journal.sync().await?;
                tracing::warn!(
                    records = missing.len(),
                    "wrote records that a crash had held back"
                );
            }
            let done = page
                .items
                .into_iter()
                .map(|((_, event_id), _)| event_id)
                .collect();
            remove(&parts.store, &parts.node, done).await?;
        }
    }

    /// Settled intents whose records are on disk, a commit's worth at most.
    fn take(&self, synced: Position) -> Vec<String> {
        let mut settled = self.lock();
        let mut taken = Vec::new();
        settled.retain(|(event_id, position)| {
            let take = *position <= synced && taken.len() < INTENTS_PER_COMMIT_MAX;
            if take {
                taken.push(event_id.clone());
            }
            !take
        });
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Position)>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn remove(store: &Store, node: &str, event_ids: Vec<String>) -> Result<(), StoreError> {
    let tx = store.view(Scope::global()).begin();
    for event_id in event_ids {
        tx.delete(&INTENTS, &(node.to_owned(), event_id));
    }
    store.commit(tx).await.map(|_| ())
}

/// What is needed of a record to know it again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    #[serde(rename = "eventID")]
    event_id: String,
    event_time: String,
}

/// Takes from `missing` what the journal has, reading back to before the oldest of them.
fn forget_recorded(parts: &Parts, missing: &mut HashMap<&str, &Row>) -> Result<(), OpenError> {
    let oldest = missing.values().map(|row| row.time).min().unwrap_or_default();
    for entry in parts.journal.newest_first(RECOVERY_JOURNAL_BYTES_MAX)? {
        if missing.is_empty() {
            break;
        }
        let Ok(known) = serde_json::from_slice::<Known>(&entry?.record) else {
            continue;
        };
        missing.remove(known.event_id.as_str());
        // Records of one moment may stand in any order; a minute apart they do not.
        let time = Timestamp::parse_iso8601(&known.event_time).unwrap_or_default();
        if oldest.since(time).as_secs() > 60 {
            break;
        }
    }
    Ok(())
}
