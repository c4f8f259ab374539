//! The outbox: what commits announced, in the order of commits, until every
//! reader has it.
//!
//! Each reader has a name and a cursor, kept here. A reader takes what follows
//! its cursor, acts, and acknowledges; after a crash it sees again what it had
//! not acknowledged, so acting must be idempotent. Announcements all readers
//! have acknowledged are removed.

use std::sync::Arc;

use ground::{AccountId, Region};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StoreError;
use crate::commit::{Append, Commit, KeyRange, Precondition, Versioned, Write, prefix_end, successor};
use crate::key::Stamp;
use crate::limits::{OUTBOX_TRIM_ROWS, PAGE_ITEMS_MAX};
use crate::open::Store;
use crate::scope::Scope;
use crate::table::{Table, encode_record};

const OUTBOX: Table<Stamp, Envelope> = Table::new("store/outbox", 1);
const CURSORS: Table<String, Stamp> = Table::new("store/outbox-cursor", 1);

/// What is stored of an announcement.
#[derive(Serialize, Deserialize)]
struct Envelope {
    account: Option<AccountId>,
    region: Option<Region>,
    name: String,
    event: Value,
}

/// The same, borrowed for writing.
#[derive(Serialize)]
struct EnvelopeRef<'a, E> {
    account: Option<AccountId>,
    region: Option<Region>,
    name: &'a str,
    event: &'a E,
}

/// Something a commit announced.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// Its place in the one order; what a reader acknowledges.
    pub cursor: Stamp,
    /// The account of the scope that announced it.
    pub account: Option<AccountId>,
    /// The region of that scope.
    pub region: Option<Region>,
    /// What happened, such as `kms/KeyDeleted`.
    pub name: String,
    /// The event itself.
    pub event: Value,
}

/// The row an announcement becomes.
pub(crate) fn announcement(scope: &Scope, name: &str, event: &impl Serialize) -> Result<Append, StoreError> {
    let envelope = EnvelopeRef {
        account: scope.account(),
        region: scope.region(),
        name,
        event,
    };
    Ok(Append {
        prefix: OUTBOX.start(&Scope::own()),
        value: encode_record(OUTBOX.name(), 1, &envelope)?,
    })
}

impl Store {
    /// Makes `reader` known, so that nothing announced from now on is removed
    /// before it has acknowledged it, and tells where it stands. A new reader
    /// stands before the oldest announcement still kept.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn outbox_reader(&self, reader: &str) -> Result<Stamp, StoreError> {
        loop {
            let row = CURSORS.row(&Scope::own(), &reader.to_owned())?;
            if let Some(Versioned { value, .. }) = self.engine().get(&row).await? {
                return CURSORS.decode(&value).map(|cursor| *cursor);
            }
            match self.submit(cursor_commit(row, Stamp::START, None)?).await {
                Ok(_) => return Ok(Stamp::START),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Up to `limit` announcements behind `cursor`.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn outbox_after(&self, cursor: Stamp, limit: usize) -> Result<Vec<Announcement>, StoreError> {
        let scope = Scope::own();
        let range = KeyRange {
            start: successor(&OUTBOX.row(&scope, &cursor)?),
            end: prefix_end(&OUTBOX.start(&scope)),
        };
        let rows = self.engine().scan(&range, limit.clamp(1, PAGE_ITEMS_MAX)).await?;
        let announcements = rows.into_iter().map(|(row, Versioned { value, .. })| {
            let Envelope {
                account,
                region,
                name,
                event,
            } = Arc::into_inner(OUTBOX.decode(&value)?).ok_or(StoreError::Closed)?;
            Ok(Announcement {
                cursor: OUTBOX.key(&scope, &row)?,
                account,
                region,
                name,
                event,
            })
        });
        announcements.collect()
    }

    /// Says that `reader` has everything up to and including `cursor`, and
    /// removes what all readers have. A cursor never moves back.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn outbox_ack(&self, reader: &str, cursor: Stamp) -> Result<(), StoreError> {
        let row = CURSORS.row(&Scope::own(), &reader.to_owned())?;
        loop {
            let found = self.engine().get(&row).await?;
            if let Some(Versioned { value, .. }) = &found
                && *CURSORS.decode(value)? >= cursor
            {
                break;
            }
            let expected = found.map(|found| found.version);
            match self.submit(cursor_commit(row.clone(), cursor, expected)?).await {
                Ok(_) => break,
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        self.outbox_trim().await.map(|_| ())
    }

    /// Forgets a reader that will not come back, so that nothing waits for it.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn outbox_retire(&self, reader: &str) -> Result<(), StoreError> {
        let row: Arc<[u8]> = CURSORS.row(&Scope::own(), &reader.to_owned())?.into();
        let mut commit = Commit::default();
        commit.writes.insert(row, Write::Delete);
        self.submit(commit).await.map(|_| ())
    }

    /// Removes announcements every reader has acknowledged, at most
    /// [`OUTBOX_TRIM_ROWS`] of them, and tells how many. While no reader is
    /// known nobody waits for any, and all go: a job that calls this now and
    /// then keeps a store without readers from growing.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn outbox_trim(&self) -> Result<usize, StoreError> {
        let scope = Scope::own();
        let cursors = self
            .engine()
            .scan(&KeyRange::prefixed(&CURSORS.start(&scope)), PAGE_ITEMS_MAX)
            .await?;
        // A reader that is known by the time of the removal keeps what is its own.
        let precondition = Precondition::Range {
            range: KeyRange::prefixed(&CURSORS.start(&scope)),
            count: cursors.len() as u64,
            newest: cursors
                .iter()
                .map(|(_, row)| row.version)
                .max()
                .unwrap_or_default(),
        };
        let mut everyone = None;
        for (_, Versioned { value, .. }) in &cursors {
            let cursor = *CURSORS.decode(value)?;
            everyone = Some(everyone.map_or(cursor, |least: Stamp| least.min(cursor)));
        }
        let start = OUTBOX.start(&scope);
        let end = match &everyone {
            Some(everyone) => successor(&OUTBOX.row(&scope, everyone)?),
            None => prefix_end(&start),
        };
        let range = KeyRange { start, end };
        let rows = self.engine().scan(&range, OUTBOX_TRIM_ROWS).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let count = rows.len();
        let mut commit = Commit {
            preconditions: vec![precondition],
            ..Commit::default()
        };
        for (row, _) in rows {
            commit.writes.insert(row.into(), Write::Delete);
        }
        match self.submit(commit).await {
            Ok(_) => Ok(count),
            // Cursors moved meanwhile; whoever moved them trims too.
            Err(StoreError::Conflict) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// Moves a cursor, on condition that it stands where it was seen.
fn cursor_commit(
    row: Vec<u8>,
    cursor: Stamp,
    expected: Option<crate::Version>,
) -> Result<Commit, StoreError> {
    let row: Arc<[u8]> = row.into();
    let mut commit = Commit {
        preconditions: vec![Precondition::Key {
            key: Arc::clone(&row),
            expected,
        }],
        ..Commit::default()
    };
    commit.writes.insert(row, Write::Put(CURSORS.encode(&cursor)?));
    Ok(commit)
}
