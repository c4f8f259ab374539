//! Which scopes there are: for work on the store as a whole.

use crate::StoreError;
use crate::commit::{KeyRange, prefix_end};
use crate::open::Store;
use crate::scope::Scope;

impl Store {
    /// The first scope behind `after` that has a row, in an order of its own; of
    /// all but the store's own, and from the beginning without `after`. Each step
    /// reads one row, however many there are.
    ///
    /// # Errors
    ///
    /// Whatever the engine reports; [`StoreError::BadRecord`] of a key that is in no scope.
    pub async fn cross_account_next_scope(&self, after: Option<&Scope>) -> Result<Option<Scope>, StoreError> {
        let own = Scope::own();
        let behind = after.unwrap_or(&own);
        let range = KeyRange {
            start: prefix_end(behind.path().as_bytes()),
            ..KeyRange::everything()
        };
        let Some((key, _)) = self.engine().scan(&range, 1).await?.into_iter().next() else {
            return Ok(None);
        };
        match Scope::split(&key) {
            Some((scope, _)) => Ok(Some(scope)),
            None => Err(StoreError::BadRecord {
                table: "of any",
                reason: "a key is in no scope".to_owned(),
            }),
        }
    }
}
