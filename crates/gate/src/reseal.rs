//! Sealing every row again under the current root key, while calls go on.
//!
//! A job, run by one node at a time. First it waits until every node that lives
//! knows a new root, and makes that the current one. Then it walks the declared
//! columns ([`crate::sealed`]) of every scope, a bounded transaction at a time;
//! how far it is stands in a row that the same transaction writes, so that it
//! goes on where it was after a crash, on any node. A pass that sealed anything
//! again is followed by another: it is done when a whole pass, begun when every
//! node sealed by the current root, found nothing to do.
//!
//! An old root leaves the ring after one more such pass, asked for by itself
//! ([`crate::root_keys`]).
//!
//! Invariants: a crash anywhere leaves a ring that opens every row; a row that is
//! changed meanwhile keeps the change. A row that does not open keeps its root in
//! the ring for ever, and is counted.

use std::fmt::Write as _;

use crypto::hierarchy::RootKey;
use ground::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Scope, StoreError, Table, WriteTx};

use crate::door::Door;
use crate::jobs::{Event, Job, JobCx, JobError};
use crate::limits::PAGES_RESEALED_PER_RUN;
use crate::operator::SIGNING_NAME;
use crate::ring;
use crate::sealed::{Column, Page, Place as SealedIn, ResealError, Tally};

/// The newest pass.
pub(crate) const PASS: Table<(), Pass> = Table::new("gate/reseal-pass", 1);

/// A walk over everything sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pass {
    /// The root that everything is to be sealed under.
    pub(crate) root: u32,
    /// The generation of the ring that every node must know before it begins.
    ring: u64,
    /// `None` before it has begun.
    pub(crate) begun: Option<Timestamp>,
    /// How far it is; `None` at its beginning.
    at: Option<Place>,
    /// Rows looked at.
    pub(crate) seen: u64,
    /// Rows sealed again.
    pub(crate) resealed: u64,
    /// Rows whose values do not open.
    pub(crate) unreadable: u64,
    /// Rows sealed again by the passes before it under the same root.
    pub(crate) resealed_before: u64,
    /// When a whole pass had found nothing to do.
    pub(crate) finished: Option<Timestamp>,
    /// The root that leaves the ring if this pass finds nothing to do.
    pub(crate) remove: Option<u32>,
}

/// A place in the walk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    scope: String,
    /// The table that is next; `None` once the scope is done.
    table: Option<String>,
    /// The key of the last row done there, in hexadecimal.
    after: Option<String>,
}

impl Pass {
    /// A pass that has not begun.
    pub(crate) fn of(root: u32, ring: u64) -> Pass {
        Pass {
            root,
            ring,
            begun: None,
            at: None,
            seen: 0,
            resealed: 0,
            unreadable: 0,
            resealed_before: 0,
            finished: None,
            remove: None,
        }
    }

    /// Another one, from the beginning.
    pub(crate) fn again(&self) -> Pass {
        Pass {
            resealed_before: self.resealed_before + self.resealed,
            remove: self.remove,
            ..Pass::of(self.root, self.ring)
        }
    }

    /// Another one, after which `root` leaves the ring.
    pub(crate) fn to_remove(&self, root: u32, ring: u64) -> Pass {
        Pass {
            ring,
            remove: Some(root),
            ..self.again()
        }
    }

    /// The same, further on.
    pub(crate) fn further(&self, tally: Tally, at: Place) -> Pass {
        Pass {
            at: Some(at),
            seen: self.seen + tally.seen,
            resealed: self.resealed + tally.resealed,
            unreadable: self.unreadable + tally.unreadable,
            ..self.clone()
        }
    }
}

impl Place {
    fn table(scope: &Scope, table: Option<&str>) -> Place {
        Place {
            scope: scope.to_string(),
            table: table.map(str::to_owned),
            after: None,
        }
    }

    /// Behind a row of the same table.
    pub(crate) fn behind(scope: &Scope, table: &str, row: &[u8]) -> Place {
        let mut after = String::with_capacity(row.len() * 2);
        for byte in row {
            // Writing to a String cannot fail.
            let _ = write!(after, "{byte:02x}");
        }
        Place {
            after: Some(after),
            ..Place::table(scope, Some(table))
        }
    }

    fn row(&self) -> Option<Vec<u8>> {
        let digits = self.after.as_deref()?;
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        (0..digits.len()).step_by(2).map(byte).collect()
    }
}

/// Writes how far a pass is, if it still is the one that was read.
///
/// # Errors
///
/// [`ResealError::Overtaken`] if it is not.
pub(crate) async fn keep(tx: &WriteTx, before: &Pass, after: &Pass) -> Result<(), ResealError> {
    let found = tx.cross_account_get(&Scope::global(), &PASS, &()).await?;
    if found.as_deref() != Some(before) {
        return Err(ResealError::Overtaken);
    }
    tx.cross_account_put(&Scope::global(), &PASS, &(), after);
    Ok(())
}

/// What happened to the store as a whole, which is of no account.
pub(crate) fn event(door: &Door, name: &'static str, details: serde_json::Value) -> Event {
    Event {
        source: SIGNING_NAME,
        name,
        account: AccountId::parse("000000000000").expect("twelve digits are an account id"),
        region: door.parts.home.clone(),
        resources: Vec::new(),
        details: Some(details),
    }
}

/// The job.
pub(crate) fn job() -> Job {
    Job::new("gate/reseal", |cx| Box::pin(run(cx)))
}

async fn run(cx: &JobCx) -> Result<(), JobError> {
    let root_key = &cx.door().parts.root_key;
    if root_key.ring_generation() == 0 {
        return Ok(());
    }
    let ring = root_key.ring();
    if ring.pending().is_some() {
        return move_on(cx, root_key).await;
    }
    let view = cx.store().view(Scope::global());
    match view.get(&PASS, &()).await? {
        Some(pass) if pass.finished.is_none() && pass.root == ring.current() => {
            match go_on(cx, Pass::clone(&pass)).await {
                Err(Stopped::Failed(error)) => Err(error),
                Ok(()) | Err(Stopped::Overtaken) => Ok(()),
            }
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes the pending root the current one, once every node knows it.
async fn move_on(cx: &JobCx, root_key: &RootKey) -> Result<(), JobError> {
    let (door, before) = (cx.door(), root_key.ring());
    let next = before.moved_on(cx.now())?;
    let look = cx.store().view(Scope::global()).begin();
    let lagging = ring::who_lags(&look, &door.node, before.generation()).await?;
    if !lagging.is_empty() {
        tracing::debug!(?lagging, "a new root key waits for nodes that do not know it yet");
        return Ok(());
    }
    let details = serde_json::json!({"root": next.current(), "previousRoot": before.current()});
    let made = event(door, "MakeRootKeyCurrent", details);
    cx.write(Scope::global(), made, async |tx| {
        if !ring::who_lags(tx, &door.node, before.generation())
            .await?
            .is_empty()
        {
            return Err(StoreError::Conflict);
        }
        ring::put(tx, root_key, cx.random(), &next).await?;
        tx.put(&PASS, &(), &Pass::of(next.current(), next.generation()));
        Ok(())
    })
    .await?;
    tracing::info!(
        root = next.current(),
        "values are sealed under a new root key from now on"
    );
    root_key.adopt(next);
    Ok(())
}

/// Why a run ended early.
enum Stopped {
    Failed(JobError),
    /// Another node, or an order, has changed the pass.
    Overtaken,
}

impl<E: Into<JobError>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        let error = error.into();
        match error.downcast_ref() {
            Some(ResealError::Overtaken) => Stopped::Overtaken,
            Some(_) | None => Stopped::Failed(error),
        }
    }
}

/// Writes a changed pass by itself.
async fn save(cx: &JobCx, before: &Pass, after: &Pass) -> Result<(), Stopped> {
    let tx = cx.store().view(Scope::global()).begin();
    keep(&tx, before, after).await?;
    cx.store().commit(tx).await?;
    Ok(())
}

/// Begins or goes on with a pass, for a while.
async fn go_on(cx: &JobCx, mut pass: Pass) -> Result<(), Stopped> {
    let door = cx.door();
    if pass.begun.is_none() {
        let look = cx.store().view(Scope::global()).begin();
        if !ring::who_lags(&look, &door.node, pass.ring).await?.is_empty() {
            return Ok(());
        }
        let begun = Pass {
            begun: Some(cx.now()),
            ..pass.clone()
        };
        save(cx, &pass, &begun).await?;
        pass = begun;
    }
    let declared = door.declared.all(&door.parts.services);
    let columns: Vec<&dyn Column> = declared
        .filter_map(|sealed| match &sealed.place {
            SealedIn::Carried(_) => None,
            SealedIn::Column(column) => Some(column.as_ref()),
        })
        .collect();
    if columns.is_empty() {
        return end(cx, &pass).await;
    }
    // What is saved, and how far beyond it the walk is over what has no rows.
    let mut at = pass.at.clone();
    for _ in 0..PAGES_RESEALED_PER_RUN {
        let (scope, table) = match &at {
            Some(Place {
                scope,
                table: Some(table),
                ..
            }) => (Scope::named(scope), Some(table.clone())),
            Some(Place {
                scope, table: None, ..
            }) => {
                let done = Scope::named(scope);
                (cx.store().cross_account_next_scope(done.as_ref()).await?, None)
            }
            None => (cx.store().cross_account_next_scope(None).await?, None),
        };
        let Some(scope) = scope else {
            return end(cx, &pass).await;
        };
        let begins = || columns.first().map(|column| column.table());
        let table = table.as_deref().or_else(begins);
        let Some(index) = columns.iter().position(|column| Some(column.table()) == table) else {
            // Another release declares other tables: whatever it saw counts for nothing.
            return save(cx, &pass, &pass.again()).await;
        };
        let following = columns.get(index + 1).map(|column| column.table());
        let done = Place::table(&scope, following);
        let after = at.as_ref().filter(|at| at.scope == scope.to_string());
        let after = after.and_then(Place::row);
        let page = Page {
            store: cx.store(),
            root_key: &door.parts.root_key,
            random: cx.random(),
            scope: &scope,
            after: after.as_deref(),
            pass: &pass,
            done: &done,
        };
        match columns[index].page(&page).await? {
            Some(written) => {
                at = written.at.clone();
                pass = written;
            }
            None => at = Some(done),
        }
    }
    let further = Pass { at, ..pass.clone() };
    if further == pass {
        return Ok(());
    }
    save(cx, &pass, &further).await
}

/// What follows a whole pass.
async fn end(cx: &JobCx, pass: &Pass) -> Result<(), Stopped> {
    if pass.resealed > 0 {
        return save(cx, pass, &pass.again()).await;
    }
    let finished = Pass {
        finished: Some(cx.now()),
        remove: None,
        ..pass.clone()
    };
    match pass.remove {
        Some(_) if pass.unreadable > 0 => {
            tracing::error!(
                rows = pass.unreadable,
                "an old root key stays: there are rows that do not open"
            );
            save(cx, pass, &finished).await
        }
        Some(root) => Ok(remove(cx, root, pass, &finished).await?),
        None => {
            tracing::info!(
                root = pass.root,
                rows = pass.seen,
                "every row is sealed under the current root key"
            );
            save(cx, pass, &finished).await
        }
    }
}

/// Takes an old root out of the ring.
async fn remove(cx: &JobCx, root: u32, pass: &Pass, finished: &Pass) -> Result<(), JobError> {
    let (door, root_key) = (cx.door(), &cx.door().parts.root_key);
    let next = root_key.ring().without(root)?;
    let removed = event(door, "RemoveRootKey", serde_json::json!({ "root": root }));
    cx.write(Scope::global(), removed, async |tx| {
        if tx.get(&PASS, &()).await?.as_deref() != Some(pass) {
            return Err(StoreError::Conflict);
        }
        ring::put(tx, root_key, cx.random(), &next).await?;
        tx.put(&PASS, &(), finished);
        Ok(())
    })
    .await?;
    tracing::info!(root, "an old root key has left the ring");
    root_key.adopt(next);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_remembers_its_row() {
        let scope = Scope::global();
        for row in [&[][..], &[0], &[0xff, 0x00, 0x1f]] {
            assert_eq!(Place::behind(&scope, "t", row).row().as_deref(), Some(row));
        }
        assert_eq!(Place::table(&scope, Some("t")).row(), None);
    }
}
