//! Whether store and record are of one time.
//!
//! Each start is counted twice: in the store, with how much record there was, and in a
//! file of the data directory. A store that has counted less than the directory was
//! put back alone, and lacks what was acknowledged since; a record that is shorter than
//! the store knows was cut or put back alone. Either is refused unless the operator
//! says that it is meant.
//!
//! A backup holds both counts, so one that is restored whole passes, and so does a
//! snapshot of the whole directory. Between a backup, for which the server is stopped,
//! and whatever was recorded later lies a start: that is why counting those is enough.
//!
//! Absent by design: proof against whoever writes the disk, and can put the file back too.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use store::{Scope, Store, StoreError, Table};

use crate::files;

/// The starts of each node, by its name. In the global scope.
const STARTS: Table<String, Start> = Table::new("palisade/start", 1);

/// The table of starts, which stays when a store is emptied.
pub(crate) const TABLE: &str = STARTS.name();

/// The last start of a node.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Start {
    /// How many there were.
    number: u64,
    /// Records that were on disk then.
    records: u64,
}

/// Where a data directory counts.
pub(crate) struct Starts {
    pub(crate) file: PathBuf,
    /// Whether an older store or record is meant to be taken.
    pub(crate) accept_older: bool,
}

impl Starts {
    /// Counts a start of `node`, whose record has `records` on disk.
    ///
    /// # Errors
    ///
    /// If store or record is older than the other, and that is not accepted.
    pub(crate) async fn count(&self, store: &Store, node: &str, records: u64) -> Result<()> {
        let node = node.to_owned();
        let scope = Scope::global();
        let last = store.view(scope.clone()).get(&STARTS, &node).await?;
        let last = last.map(|last| *last).unwrap_or_default();
        let here = read(&self.file, &node)?;
        if !self.accept_older {
            if last.number < here {
                bail!(
                    "the store is older than the record beside it: it knows {} starts of this server, the directory \
                     {here}. It was put back alone, and what was acknowledged since is missing. Restore store and record \
                     of one backup (`palisade restore`), or, if the loss is meant, start once with --accept-older",
                    last.number
                );
            }
            if records < last.records {
                bail!(
                    "the record is older than the store: it has {records} entries on disk, and had {} at the last start. It \
                     was cut or put back alone; `palisade verify` tells more. If the loss is meant, start once with \
                     --accept-older",
                    last.records
                );
            }
        }
        let start = Start {
            number: last.number.max(here) + 1,
            records,
        };
        let row = node.clone();
        store
            .transact(&scope, async move |tx| {
                tx.put(&STARTS, &row, &start);
                Ok::<_, StoreError>(())
            })
            .await?;
        // After the store: a start that is cut off between the two is counted there alone, which passes.
        files::write_private(&self.file, format!("{node} {}\n", start.number).as_bytes())
    }
}

/// The starts that the directory has counted of this node.
fn read(file: &Path, node: &str) -> Result<u64> {
    if !file.exists() {
        return Ok(0);
    }
    let text = files::read_text(file)?;
    let (name, number) = text
        .trim()
        .split_once(' ')
        .with_context(|| format!("{} is damaged", file.display()))?;
    if name != node {
        return Ok(0);
    }
    number
        .parse()
        .with_context(|| format!("{} is damaged", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store(directory: &Path) -> Store {
        Store::open(store::Config::redb(directory.join("store.redb")))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn an_older_half_is_refused_unless_it_is_meant() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("starts");
        let starts = |accept_older| Starts {
            file: file.clone(),
            accept_older,
        };
        let newer = store(directory.path()).await;
        for records in [0, 10, 10] {
            starts(false).count(&newer, "a", records).await.unwrap();
        }
        let cut = starts(false).count(&newer, "a", 9).await.unwrap_err();
        assert!(cut.to_string().starts_with("the record is older"), "{cut}");

        // A store that has counted less, here none at all.
        let other = tempfile::tempdir().unwrap();
        let older = store(other.path()).await;
        let refused = starts(false).count(&older, "a", 10).await.unwrap_err();
        assert!(refused.to_string().starts_with("the store is older"), "{refused}");
        // What was refused has counted nothing.
        starts(false).count(&newer, "a", 10).await.unwrap();
        starts(true).count(&older, "a", 10).await.unwrap();
        starts(false).count(&older, "a", 10).await.unwrap();
        // The directory of another node, or a new one, says nothing of this.
        starts(false)
            .count(&store_of_nobody().await, "b", 0)
            .await
            .unwrap();
        newer.close().await;
        older.close().await;
    }

    async fn store_of_nobody() -> Store {
        let directory = tempfile::tempdir().unwrap();
        Store::open(store::Config::redb_throwaway(directory.keep().join("store.redb")))
            .await
            .unwrap()
    }
}
