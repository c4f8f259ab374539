//! Emptying a development store without closing it.

use crate::StoreError;
use crate::commit::{Commit, KeyRange, Write, successor};
use crate::limits::PAGE_ITEMS_MAX;
use crate::open::Store;
use crate::scope::Scope;

impl Store {
    /// Removes every row of every account, and what was announced, except the
    /// rows of the tables named in `keep`. Leases and the outbox's cursors stay.
    ///
    /// For `dev` and tests: it is not one transaction, and requests that run
    /// meanwhile see part of it.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports.
    pub async fn cross_account_erase(&self, keep: &[&str]) -> Result<(), StoreError> {
        let own = Scope::own();
        let mut range = KeyRange::everything();
        loop {
            let rows = self.engine().scan(&range, PAGE_ITEMS_MAX).await?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            range.start = successor(last);
            let mut commit = Commit::default();
            for (key, _) in rows {
                let Some((scope, rest)) = Scope::split(&key) else {
                    continue;
                };
                let table = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                let stays = if scope == own {
                    table != b"store/outbox"
                } else {
                    keep.iter().any(|kept| kept.as_bytes() == table)
                };
                if !stays {
                    commit.writes.insert(key.into(), Write::Delete);
                }
            }
            self.submit(commit).await?;
        }
    }
}
