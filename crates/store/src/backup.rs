//! Copies of a whole store, as it stood at one moment.
//!
//! A backup is a redb file whatever engine the store has, so that it can be
//! opened, looked into, and brought back into either engine.

use std::path::Path;
use std::sync::Arc;

use crate::commit::{Commit, KeyRange, Versioned, Write, successor};
use crate::limits::{COMMIT_BYTES_MAX, PAGE_ITEMS_MAX};
use crate::open::{Config, Store};
use crate::{StoreError, Version};

impl Store {
    /// Copies every row, as of one moment, into a new file at `path`, and tells
    /// the version of that moment. Commits go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotEmpty`] if a store with rows is there already, and
    /// whatever either engine reports.
    pub async fn backup(&self, path: &Path) -> Result<Version, StoreError> {
        let snapshot = self.snapshot().await?;
        let copy = Store::open(Config::redb(path)).await?;
        let copied = copy_rows(&snapshot, &copy).await;
        copy.close().await;
        copied?;
        Ok(snapshot.version())
    }

    /// Brings every row of the backup at `path` into this store, which must be empty.
    ///
    /// Rows get new versions. It is not one transaction: a restore that failed
    /// half-way is begun again on an empty store.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotEmpty`] if this store has rows, and whatever either
    /// engine reports.
    pub async fn restore(&self, path: &Path) -> Result<(), StoreError> {
        let backup = Store::open(Config::redb(path)).await?;
        let restored = match backup.snapshot().await {
            Ok(snapshot) => copy_rows(&snapshot, self).await,
            Err(error) => Err(error),
        };
        backup.close().await;
        restored
    }
}

async fn copy_rows(from: &crate::Snapshot, to: &Store) -> Result<(), StoreError> {
    if !to.engine().scan(&KeyRange::everything(), 1).await?.is_empty() {
        return Err(StoreError::NotEmpty);
    }
    let mut range = KeyRange::everything();
    loop {
        let rows = from.rows(&range, PAGE_ITEMS_MAX).await?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        range.start = successor(last);
        let mut commit = Commit::default();
        let mut bytes = 0;
        for (key, Versioned { value, .. }) in rows {
            if bytes + key.len() + value.len() > COMMIT_BYTES_MAX {
                to.submit(std::mem::take(&mut commit)).await?;
                bytes = 0;
            }
            bytes += key.len() + value.len();
            commit.writes.insert(Arc::from(key), Write::Put(value));
        }
        to.submit(commit).await?;
    }
}
