//! Typed tables: a name, the type of its key, the type of its records.
//!
//! A record is stored as one byte, its record version, and JSON. A record of
//! an older version is brought up by the table's `migrate` when it is read; it
//! is rewritten only when its owner next writes it. A newer version than the
//! release knows is an error, never a guess.
//!
//! Records are opaque here and stored as they come: whatever is secret in a
//! record must have been sealed (by `crypto`'s domain keys) before it is put.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::key::{Key, Prefix};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::scope::Scope;
use crate::{Change, StoreError};

/// What a table can hold. Every serialisable type is one.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Record for T {}

/// Brings a record's JSON from the given version to the one after it, or says
/// why it cannot.
pub type Migrate = fn(u8, Value) -> Result<Value, String>;

/// Where a record says that it lies.
pub type Place<K, V> = fn(&V) -> (Scope, K);

/// A typed table, declared as a constant.
///
/// ```
/// use store::Table;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Alias { key: String }
///
/// const ALIASES: Table<String, Alias> = Table::new("kms/alias", 1);
/// ```
///
/// The name is the service's prefix and the noun, and is written into every
/// key: it must never change and never be used for two types. Secrets must be
/// sealed before they are put.
pub struct Table<K, V> {
    name: &'static str,
    version: u8,
    /// The first version that is read as it stands.
    read_from: u8,
    migrate: Option<Migrate>,
    place: Option<Place<K, V>>,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Record> Table<K, V> {
    /// A table whose records are written with `version` and read at that version only.
    pub const fn new(name: &'static str, version: u8) -> Table<K, V> {
        Table {
            name,
            version,
            read_from: version,
            migrate: None,
            place: None,
            types: PhantomData,
        }
    }

    /// The same table, reading older records through `migrate`, which is called
    /// once for every version between.
    #[must_use]
    pub const fn migrated_by(self, migrate: Migrate) -> Table<K, V> {
        Table {
            migrate: Some(migrate),
            ..self
        }
    }

    /// The same table, which reads records from version `first` on as its own. What a
    /// later version only leaves out need not be taken out of the earlier ones, which
    /// would make reading them dearer than it was.
    #[must_use]
    pub const fn reading_from(self, first: u8) -> Table<K, V> {
        assert!(first <= self.version, "a table reads what it writes");
        Table {
            read_from: first,
            ..self
        }
    }

    /// The same table, whose records say themselves where they lie: what was
    /// copied to another row, by whoever writes to the disk, is not read there.
    #[must_use]
    pub const fn lying_at(self, place: Place<K, V>) -> Table<K, V> {
        Table {
            place: Some(place),
            ..self
        }
    }

    /// The table's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The version of the records it writes.
    pub(crate) const fn version(&self) -> u8 {
        self.version
    }

    /// The scope and key of a change, if the change is in this table.
    pub fn key_of(&self, change: &Change) -> Option<(Scope, K)> {
        let (scope, rest) = Scope::split(&change.key)?;
        let key = rest.strip_prefix(self.name.as_bytes())?.strip_prefix(b"\0")?;
        Some((scope, K::decode(key)?))
    }

    /// Where all of the table's keys in `scope` begin.
    pub(crate) fn start(&self, scope: &Scope) -> Vec<u8> {
        let path = scope.path();
        // Room for the usual key (an id or a name), so that appending it does not allocate again.
        let mut key = Vec::with_capacity(path.len() + self.name.len() + 1 + 64);
        key.extend_from_slice(path.as_bytes());
        key.extend_from_slice(self.name.as_bytes());
        key.push(0);
        key
    }

    /// The engine's key of one row.
    pub(crate) fn row(&self, scope: &Scope, key: &K) -> Result<Vec<u8>, StoreError> {
        let mut row = self.start(scope);
        key.encode(&mut row);
        if row.len() > KEY_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "the key",
                size: row.len(),
                max: KEY_BYTES_MAX,
            });
        }
        Ok(row)
    }

    /// The engine's keys that begin with `prefix`, and how much of that beginning is closed.
    pub(crate) fn prefix(&self, scope: &Scope, prefix: &Prefix<K>) -> (Vec<u8>, usize) {
        let mut start = self.start(scope);
        let closed = start.len() + prefix.closed();
        start.extend_from_slice(prefix.bytes());
        (start, closed)
    }

    /// The typed key behind an engine's key that began with this table's start.
    pub(crate) fn key(&self, scope: &Scope, row: &[u8]) -> Result<K, StoreError> {
        let skip = scope.path().len() + self.name.len() + 1;
        row.get(skip..)
            .and_then(K::decode)
            .ok_or_else(|| StoreError::BadRecord {
                table: self.name,
                reason: "its key does not decode".into(),
            })
    }

    /// Writes a record.
    pub(crate) fn encode(&self, record: &V) -> Result<Vec<u8>, StoreError> {
        encode_record(self.name, self.version, record)
    }

    /// Reads the record that was found in `row`.
    pub(crate) fn decode_in(&self, row: &[u8], stored: &[u8]) -> Result<Arc<V>, StoreError> {
        let record = self.decode(stored)?;
        if let Some(place) = self.place {
            let (scope, key) = place(&record);
            if self.row(&scope, &key)? != row {
                return Err(StoreError::BadRecord {
                    table: self.name,
                    reason: "it says that it is that of another row".to_owned(),
                });
            }
        }
        Ok(record)
    }

    /// Reads a record of this or an older version.
    pub(crate) fn decode(&self, stored: &[u8]) -> Result<Arc<V>, StoreError> {
        let bad = |reason: String| StoreError::BadRecord {
            table: self.name,
            reason,
        };
        let (&found, json) = stored
            .split_first()
            .ok_or_else(|| bad("it is empty".to_owned()))?;
        if (self.read_from..=self.version).contains(&found) {
            return serde_json::from_slice(json)
                .map(Arc::new)
                .map_err(|error| bad(without_content(&error)));
        }
        if found > self.version {
            return Err(StoreError::NewerRecord {
                table: self.name,
                found,
                known: self.version,
            });
        }
        let migrate = self
            .migrate
            .ok_or_else(|| bad(format!("its version {found} is no longer read")))?;
        let mut value = serde_json::from_slice(json).map_err(|error| bad(without_content(&error)))?;
        for version in found..self.read_from {
            value = migrate(version, value).map_err(bad)?;
        }
        serde_json::from_value(value)
            .map(Arc::new)
            .map_err(|error| bad(without_content(&error)))
    }
}

/// Writes version byte and JSON, within the limit of a record.
pub(crate) fn encode_record(
    table: &'static str,
    version: u8,
    record: &(impl Serialize + ?Sized),
) -> Result<Vec<u8>, StoreError> {
    let mut stored = Vec::with_capacity(256);
    stored.push(version);
    serde_json::to_writer(&mut stored, record).map_err(|error| StoreError::Unwritable {
        table,
        reason: without_content(&error),
    })?;
    if stored.len() > VALUE_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "the record",
            size: stored.len(),
            max: VALUE_BYTES_MAX,
        });
    }
    Ok(stored)
}

/// Where and in what manner JSON failed. The decoder's own message may quote
/// the record, which may hold what a log must not.
fn without_content(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Io => "cannot be written",
        serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Data => "does not fit the type",
        serde_json::error::Category::Eof => "ends early",
    };
    format!("it {kind} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name {
        given: String,
        family: String,
    }

    #[expect(clippy::needless_pass_by_value, reason = "the type of a migration")]
    fn split_name(version: u8, value: Value) -> Result<Value, String> {
        match version {
            1 => Ok(serde_json::json!({ "whole": value })),
            2 => {
                let whole = value["whole"].as_str().ok_or("no name")?;
                let (given, family) = whole.split_once(' ').ok_or("no family name")?;
                Ok(serde_json::json!({ "given": given, "family": family }))
            }
            _ => Err("unknown".into()),
        }
    }

    const NAMES: Table<String, Name> = Table::new("test/name", 3).migrated_by(split_name);

    #[test]
    fn old_records_come_up_version_by_version() {
        let ada = Name {
            given: "Ada".into(),
            family: "Byron".into(),
        };
        assert_eq!(*NAMES.decode(b"\x01\"Ada Byron\"").unwrap(), ada);
        assert_eq!(*NAMES.decode(b"\x02{\"whole\":\"Ada Byron\"}").unwrap(), ada);
        assert_eq!(*NAMES.decode(&NAMES.encode(&ada).unwrap()).unwrap(), ada);
    }

    /// Read as they stand, and none of them by a migration; what is written says the
    /// newest version.
    #[test]
    fn records_that_only_spell_out_more_are_read_as_they_stand() {
        const LEAN: Table<String, Name> = Table::new("test/name", 5).migrated_by(split_name).reading_from(3);
        let ada = Name {
            given: "Ada".into(),
            family: "Byron".into(),
        };
        let json = br#"{"given":"Ada","family":"Byron"}"#;
        for version in 3..=5 {
            let stored = [&[version], json.as_slice()].concat();
            assert_eq!(*LEAN.decode(&stored).unwrap(), ada);
        }
        assert_eq!(*LEAN.decode(b"\x01\"Ada Byron\"").unwrap(), ada);
        assert_eq!(LEAN.encode(&ada).unwrap()[0], 5);
        let newer = LEAN.decode(&[&[6], json.as_slice()].concat()).unwrap_err();
        assert!(matches!(
            newer,
            StoreError::NewerRecord {
                found: 6,
                known: 5,
                ..
            }
        ));
        let older = Table::<String, Name>::new("test/name", 5)
            .reading_from(3)
            .decode(b"\x02{}");
        assert!(matches!(older.unwrap_err(), StoreError::BadRecord { .. }));
    }

    #[test]
    fn newer_and_broken_records_are_errors_that_quote_nothing() {
        assert!(matches!(
            NAMES.decode(b"\x04{}"),
            Err(StoreError::NewerRecord {
                found: 4,
                known: 3,
                ..
            })
        ));
        for stored in [
            b"".as_slice(),
            b"\x03",
            b"\x03{\"given\":\"hush\"}",
            b"\x03hush",
            b"\x02{}",
        ] {
            let error = NAMES.decode(stored).unwrap_err();
            assert!(matches!(error, StoreError::BadRecord { .. }));
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
