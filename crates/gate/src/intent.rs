//! Intents to record: how a change and its record cannot be parted by a crash.
//!
//! A call that changes something commits, together with the change, the
//! record it is about to write. Once the journal has that record on disk the
//! intent is settled and removed, in company with a later commit or by the
//! sweep. Whatever is left when the door opens belongs to a process that died
//! in between: its record is written then, marked by an `addendum`.
//!
//! Nodes that share a store look after their own intents: the records of
//! another are in that one's journal, or will be when it comes back. Of one
//! that does not come back, [`crate::node`] says what happens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ground::Timestamp;
use journal::{Durability, Position};
use serde::{Deserialize, Serialize};
use store::{Lease, Prefix, Scope, Store, StoreError, Table, WriteTx};

use crate::copies::Copies;
use crate::door::{OpenError, Parts};
use crate::limits::{INTENTS_PER_COMMIT_MAX, INTENTS_PER_PAGE, RECOVERY_JOURNAL_BYTES_MAX};
use crate::record::json_text;

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
    /// Those of the owners' copies.
    copies: Vec<Intent>,
}

impl Intent {
    pub(crate) fn new(event_id: &str, time: Timestamp, copies: Copies) -> Intent {
        let of_owners = copies.owners.into_iter();
        Intent {
            copies: of_owners
                .map(|(event_id, record)| Intent::of_event(&event_id, time, record.json))
                .collect(),
            ..Intent::of_event(event_id, time, copies.own.json)
        }
    }

    /// The intent to record what a service did by itself.
    pub(crate) fn of_event(event_id: &str, time: Timestamp, record: String) -> Intent {
        Intent {
            event_id: event_id.to_owned(),
            row: Row { time, record },
            copies: Vec::new(),
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
        for intent in std::iter::once(intent).chain(&intent.copies) {
            let key = (self.node.clone(), intent.event_id.clone());
            tx.cross_account_put(&global, &INTENTS, &key, &intent.row);
        }
        for event_id in self.take(synced) {
            tx.cross_account_delete(&global, &INTENTS, &(self.node.clone(), event_id));
        }
    }

    /// The record of this intent is in the journal, and those of its copies, up to `position`.
    pub(crate) fn settled(&self, intent: Intent, position: Position) {
        let copies = intent.copies.into_iter().map(|copy| (copy.event_id, position));
        let mut settled = self.lock();
        settled.extend(copies);
        settled.push((intent.event_id, position));
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
            remove(store, &self.node, gone, None).await?;
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
                write(parts, row, None).await?;
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
            remove(&parts.store, &parts.node, done, None).await?;
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

/// The first node after `after` that has intents.
///
/// # Errors
///
/// [`StoreError`]
pub(crate) async fn next_node(store: &Store, after: Option<&str>) -> Result<Option<String>, StoreError> {
    // No event id comes after this one.
    let after = after.map(|node| (node.to_owned(), char::MAX.to_string()));
    let view = store.view(Scope::global());
    let page = view.scan(&INTENTS, &Prefix::all(), after.as_ref(), 1).await?;
    Ok(page.items.into_iter().next().map(|((node, _), _)| node))
}

/// Writes the records of some intents of another node, whose name `lease` is
/// for, and removes the intents; tells how many there were.
///
/// # Errors
///
/// [`OpenError`]; a conflict if the lease has passed to another meanwhile.
pub(crate) async fn take_over_page(parts: &Parts, dead: &str, lease: &Lease) -> Result<usize, OpenError> {
    let view = parts.store.view(Scope::global());
    let theirs = Prefix::<(String, String)>::first(&dead.to_owned());
    let page = view.scan(&INTENTS, &theirs, None, INTENTS_PER_PAGE).await?;
    for (_, row) in &page.items {
        write(parts, row, Some(dead)).await?;
    }
    parts.journal.sync().await?;
    let written = page.items.len();
    let done = page
        .items
        .into_iter()
        .map(|((_, event_id), _)| event_id)
        .collect();
    remove(&parts.store, dead, done, Some(lease)).await?;
    Ok(written)
}

/// Writes the record of an intent late, and says so in it (CloudTrail record
/// contents, `addendum`), also whose it was if another node's.
async fn write(parts: &Parts, row: &Row, node: Option<&str>) -> Result<(), OpenError> {
    let mut record = row.record.strip_suffix('}').unwrap_or(&row.record).to_owned();
    record.push_str(",\"addendum\":{\"reason\":\"SERVICE_OUTAGE\"");
    if let Some(node) = node {
        record.push_str(",\"node\":");
        json_text(&mut record, node);
    }
    record.push_str("}}");
    parts
        .journal
        .append(record.as_bytes(), Durability::Written)
        .await?;
    Ok(())
}

async fn remove(
    store: &Store,
    node: &str,
    event_ids: Vec<String>,
    lease: Option<&Lease>,
) -> Result<(), StoreError> {
    let tx = store.view(Scope::global()).begin();
    for event_id in event_ids {
        tx.delete(&INTENTS, &(node.to_owned(), event_id));
    }
    if let Some(lease) = lease {
        tx.require(lease);
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
