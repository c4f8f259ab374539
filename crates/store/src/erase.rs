//! Emptying a store: for development servers that begin anew.

use crate::commit::{Commit, KeyRange, Write};
use crate::limits::PAGE_ITEMS_MAX;
use crate::open::Store;
use crate::StoreError;

impl Store {
    /// Deletes every row of every account. It is not one transaction: what is
    /// written meanwhile may stay.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports; what was deleted until then is gone.
    pub async fn erase(&self) -> Result<(), StoreError> {
        loop {
            let rows = self.engine().scan(&KeyRange::everything(), PAGE_ITEMS_MAX).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut commit = Commit::default();
            commit.writes.extend(rows.into_iter().map(|(key, _)| (key.into(), Write::Delete)));
            self.submit(commit).await?;
        }
    }
}
