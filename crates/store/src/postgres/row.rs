//! The columns of an answer, as the store's own types.

use tokio_postgres::Row;

use crate::{StoreError, Version};

pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    place: usize,
) -> Result<T, StoreError> {
    row.try_get(place).map_err(StoreError::engine)
}

pub(super) fn version_column(row: &Row, place: usize) -> Result<Version, StoreError> {
    let number: i64 = column(row, place)?;
    Ok(Version(number.unsigned_abs()))
}

/// A version as the database writes it; 2^63 commits are out of reach.
pub(super) fn number(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}
