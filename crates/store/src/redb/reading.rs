//! Reads: single rows and ranges, and all rows as they stood at one version.

use redb::{ReadOnlyTable, ReadTransaction};

use super::error::failed;
use super::layout::{META, ROWS, read_version, versioned};
use crate::commit::{KeyRange, Versioned};
use crate::{StoreError, Version};

/// One consistent view of all rows, for as long as it lives.
pub(crate) struct RedbSnapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    version: Version,
}

impl RedbSnapshot {
    pub(super) fn of(transaction: &ReadTransaction) -> Result<RedbSnapshot, StoreError> {
        let meta = transaction.open_table(META).map_err(failed)?;
        Ok(RedbSnapshot {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            version: read_version(&meta)?,
        })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let found = self.rows.get(key).map_err(failed)?;
        found.map(|stored| versioned(stored.value())).transpose()
    }

    pub(crate) fn scan(
        &self,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Versioned)>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let range = range.start.as_slice()..range.end.as_slice();
        for row in self.rows.range(range).map_err(failed)?.take(limit) {
            let (key, stored) = row.map_err(failed)?;
            found.push((key.value().to_vec(), versioned(stored.value())?));
        }
        Ok(found)
    }
}
