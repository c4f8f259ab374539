//! Leases: exactly one holder of a name at a time, for as long as it renews.
//!
//! A lease is a row. Whoever takes, renews or releases it does so on condition
//! that the row is what they saw, so two can never both succeed. Time comes
//! from the caller's clock: a holder whose clock is slow may believe for a
//! while that it still holds a lease another has taken, which is why a job's
//! commits name the lease ([`crate::WriteTx::require`]) and fail from then on.

use std::sync::Arc;
use std::time::Duration;

use ground::Timestamp;
use serde::{Deserialize, Serialize};

use crate::commit::{Commit, KeyRange, Precondition, Versioned, Write, successor};
use crate::limits::PAGE_ITEMS_MAX;
use crate::open::Store;
use crate::scope::Scope;
use crate::table::Table;
use crate::{StoreError, Version};

const LEASES: Table<String, Holding> = Table::new("store/lease", 1);

#[derive(Serialize, Deserialize)]
struct Holding {
    holder: String,
    expires: Timestamp,
}

/// The proof that `holder` holds `name` until `expires`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// When it lapses unless it is renewed.
    pub expires: Timestamp,
    /// The commit that granted or renewed it; grows with every change of hands.
    pub fence: Version,
}

impl Lease {
    pub(crate) fn precondition(&self) -> Result<Precondition, StoreError> {
        Ok(Precondition::Key {
            key: LEASES.row(&Scope::own(), &self.name)?.into(),
            expected: Some(self.fence),
        })
    }
}

impl Store {
    /// Takes the lease of `name`, if nobody holds it at `now` or `holder` itself does.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports; that another holds it is no error.
    pub async fn acquire(
        &self,
        name: &str,
        holder: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let row = LEASES.row(&Scope::own(), &name.to_owned())?;
        // Leases are read past the cache: what another node holds must be known now.
        let found = self.engine().get(&row).await?;
        if let Some(Versioned { value, .. }) = &found {
            let holding = LEASES.decode(value)?;
            if holding.expires > now && holding.holder != holder {
                return Ok(None);
            }
        }
        let expected = found.map(|found| found.version);
        self.grant(row, name, holder, now.after(ttl), expected).await
    }

    /// The names that begin with `prefix` and are held at `now`, whoever holds them.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn held(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let own = Scope::own();
        let mut range = KeyRange::prefixed(&LEASES.row(&own, &prefix.to_owned())?);
        let mut held = Vec::new();
        loop {
            let rows = self.engine().scan(&range, PAGE_ITEMS_MAX).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(held);
            };
            range.start = successor(last);
            for (row, found) in &rows {
                if LEASES.decode(&found.value)?.expires > now {
                    held.push(LEASES.key(&own, row)?);
                }
            }
        }
    }

    /// Prolongs a lease; `None` if it has passed to another or was released.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let row = LEASES.row(&Scope::own(), &lease.name)?;
        let expires = now.after(ttl);
        self.grant(row, &lease.name, &lease.holder, expires, Some(lease.fence))
            .await
    }

    /// Gives a lease back; no matter if it has passed to another.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut commit = Commit {
            preconditions: vec![lease.precondition()?],
            ..Commit::default()
        };
        let row: Arc<[u8]> = LEASES.row(&Scope::own(), &lease.name)?.into();
        commit.writes.insert(row, Write::Delete);
        match self.submit(commit).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn grant(
        &self,
        row: Vec<u8>,
        name: &str,
        holder: &str,
        expires: Timestamp,
        expected: Option<Version>,
    ) -> Result<Option<Lease>, StoreError> {
        let holding = Holding {
            holder: holder.to_owned(),
            expires,
        };
        let row: Arc<[u8]> = row.into();
        let mut commit = Commit {
            preconditions: vec![Precondition::Key {
                key: Arc::clone(&row),
                expected,
            }],
            ..Commit::default()
        };
        commit.writes.insert(row, Write::Put(LEASES.encode(&holding)?));
        match self.submit(commit).await {
            Ok(fence) => Ok(Some(Lease {
                name: name.to_owned(),
                holder: holder.to_owned(),
                expires,
                fence,
            })),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
