//! How rows lie in the file: two tables, and the version ahead of each value.

use redb::{Database, ReadableDatabase as _, TableDefinition, TableError};

use super::error::failed;
use crate::commit::Versioned;
use crate::{StoreError, Version};

/// Key to version (8 bytes, big-endian) and value.
pub(super) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kv");

/// The version of the newest commit, and the layout of the store.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const META_LAYOUT: &str = "layout";
pub(super) const META_VERSION: &str = "version";

/// The layout this release writes.
const LAYOUT: u64 = 1;

pub(super) fn version_of(stored: &[u8]) -> Result<Version, StoreError> {
    let head = stored.first_chunk::<8>().ok_or_else(torn)?;
    Ok(Version(u64::from_be_bytes(*head)))
}

pub(super) fn versioned(stored: &[u8]) -> Result<Versioned, StoreError> {
    let (head, value) = stored.split_first_chunk::<8>().ok_or_else(torn)?;
    Ok(Versioned {
        version: Version(u64::from_be_bytes(*head)),
        value: value.to_vec(),
    })
}

fn torn() -> StoreError {
    StoreError::engine(redb::StorageError::Corrupted(
        "a row is shorter than its version".into(),
    ))
}

pub(super) fn read_version(
    meta: &impl redb::ReadableTable<&'static str, u64>,
) -> Result<Version, StoreError> {
    let found = meta.get(META_VERSION).map_err(failed)?;
    Ok(Version(found.map_or(0, |version| version.value())))
}

/// Creates the tables of a new store and refuses one laid out by a newer release.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    let reading = database.begin_read().map_err(failed)?;
    let found = match reading.open_table(META) {
        Ok(meta) => meta
            .get(META_LAYOUT)
            .map_err(failed)?
            .map(|layout| layout.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(failed(error)),
    };
    match found {
        Some(LAYOUT) => Ok(()),
        Some(found) => Err(StoreError::NewerStore { found, known: LAYOUT }),
        None => {
            let mut writing = database.begin_write().map_err(failed)?;
            writing.set_quick_repair(true);
            writing.open_table(ROWS).map_err(failed)?;
            writing
                .open_table(META)
                .map_err(failed)?
                .insert(META_LAYOUT, LAYOUT)
                .map_err(failed)?;
            writing.commit().map_err(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redb::{Place, RedbEngine};

    fn open(directory: &tempfile::TempDir) -> Result<RedbEngine, StoreError> {
        let place = Place::File {
            path: directory.path().join("store.redb"),
            durable: true,
        };
        RedbEngine::open(place, 1 << 20)
    }

    #[test]
    fn a_file_of_a_newer_layout_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(&directory).unwrap();
        engine
            .with(|database| {
                let transaction = database.begin_write().map_err(failed)?;
                transaction
                    .open_table(META)
                    .map_err(failed)?
                    .insert(META_LAYOUT, LAYOUT + 1)
                    .map_err(failed)?;
                transaction.commit().map_err(failed)
            })
            .unwrap();
        drop(engine);
        assert!(matches!(open(&directory), Err(StoreError::NewerStore { .. })));
    }
}
