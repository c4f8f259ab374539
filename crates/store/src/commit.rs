//! What a commit is: conditions on what was read, and the rows to write.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_ROWS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::tally::Addition;

/// The place of a commit in the one order of all commits of a store.
///
/// Versions grow by one with every commit and never repeat. A row carries the
/// version of the commit that last wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

impl Version {
    pub(crate) fn next(self) -> Version {
        Version(self.0 + 1)
    }
}

/// A row as the engine keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) version: Version,
    pub(crate) value: Vec<u8>,
}

/// The keys from `start` up to and without `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    pub(crate) fn prefixed(prefix: &[u8]) -> KeyRange {
        KeyRange {
            start: prefix.to_vec(),
            end: prefix_end(prefix),
        }
    }

    /// Every key there can be: keys begin with ASCII.
    pub(crate) fn everything() -> KeyRange {
        KeyRange {
            start: Vec::new(),
            end: vec![0xff],
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The range as the standard collections take it; not for an empty one.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (Bound::Included(&self.start), Bound::Excluded(&self.end))
    }
}

/// The first key behind all that begin with `prefix`.
pub(crate) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; KEY_BYTES_MAX + 1]
}

/// The first key behind `key`.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// What must still hold when the commit is made.
#[derive(Clone, Debug)]
pub(crate) enum Precondition {
    /// The row has this version, or is absent.
    Key {
        key: Arc<[u8]>,
        expected: Option<Version>,
    },
    /// The range holds this many rows and none newer.
    ///
    /// Every put carries a version above all before it and every delete lowers
    /// the count, so no change of the range leaves both as they were.
    Range {
        range: KeyRange,
        count: u64,
        newest: Version,
    },
}

/// What a commit does to one key.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Vec<u8>),
    Delete,
}

/// A row whose key ends with the version of its commit: it sorts behind every
/// row appended to the same prefix before it.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) prefix: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Append {
    /// The row's key: prefix, version, and place within the commit.
    pub(crate) fn key(&self, version: Version, place: usize) -> Vec<u8> {
        let mut key = self.prefix.clone();
        key.extend_from_slice(&version.0.to_be_bytes());
        // COMMIT_ROWS_MAX keeps the place within sixteen bits.
        key.extend_from_slice(&u16::try_from(place).unwrap_or(u16::MAX).to_be_bytes());
        key
    }
}

/// One commit, applied whole or not at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commit {
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) writes: BTreeMap<Arc<[u8]>, Write>,
    /// Made after the writes.
    pub(crate) additions: BTreeMap<Arc<[u8]>, Addition>,
    pub(crate) appends: Vec<Append>,
}

impl Commit {
    /// Whether the commit writes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.additions.is_empty() && self.appends.is_empty()
    }

    /// What the row of `key`, an addition's, holds once this commit has made its own
    /// writes, if `stored` is what it held before.
    pub(crate) fn leaves<'a>(&'a self, key: &[u8], stored: Option<&'a [u8]>) -> Option<&'a [u8]> {
        match self.writes.get(key) {
            Some(Write::Put(value)) => Some(value),
            Some(Write::Delete) => None,
            None => stored,
        }
    }

    /// Bytes to be written, keys and values.
    pub(crate) fn bytes(&self) -> usize {
        let writes = self.writes.iter().map(|(key, write)| {
            key.len()
                + match write {
                    Write::Put(value) => value.len(),
                    Write::Delete => 0,
                }
        });
        let appends = self
            .appends
            .iter()
            .map(|append| append.prefix.len() + 10 + append.value.len());
        let additions = self
            .additions
            .keys()
            .map(|key| key.len() + Addition::RECORD_BYTES_MAX);
        writes.chain(appends).chain(additions).sum()
    }

    /// The rows this commit changes once it has its version, in key order, and
    /// whether they are there afterwards.
    pub(crate) fn rows(&self, version: Version) -> impl Iterator<Item = (Arc<[u8]>, bool)> {
        let writes = self.writes.iter().map(|(key, write)| match write {
            Write::Put(_) => (Arc::clone(key), true),
            Write::Delete => (Arc::clone(key), false),
        });
        let mut rows: BTreeMap<Arc<[u8]>, bool> = writes.collect();
        rows.extend(self.additions.keys().map(|key| (Arc::clone(key), true)));
        for (place, append) in self.appends.iter().enumerate() {
            rows.insert(append.key(version, place).into(), true);
        }
        rows.into_iter()
    }

    /// Refuses a commit beyond the limits, before it is queued.
    pub(crate) fn check_limits(&self) -> Result<(), StoreError> {
        let limit = |what, size, max| {
            if size > max {
                return Err(StoreError::TooLarge { what, size, max });
            }
            Ok(())
        };
        limit("the number of rows written", self.writes.len(), COMMIT_ROWS_MAX)?;
        limit("the number of rows appended", self.appends.len(), COMMIT_ROWS_MAX)?;
        limit(
            "the number of rows added to",
            self.additions.len(),
            COMMIT_ROWS_MAX,
        )?;
        limit("the commit", self.bytes(), COMMIT_BYTES_MAX)?;
        for key in self.additions.keys() {
            limit("the key", key.len(), KEY_BYTES_MAX)?;
        }
        for (key, write) in &self.writes {
            limit("the key", key.len(), KEY_BYTES_MAX)?;
            if let Write::Put(value) = write {
                limit("the record", value.len(), VALUE_BYTES_MAX)?;
            }
        }
        for append in &self.appends {
            limit("the key", append.prefix.len() + 10, KEY_BYTES_MAX)?;
            limit("the record", append.value.len(), VALUE_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// What became of one commit of a batch that was made durable.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Applied(Version),
    Conflict,
    /// For what one of its additions would come to.
    Refused(StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(prefix_end(b"ab"), b"ac");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert!(KeyRange::prefixed(b"a").end.as_slice() > b"a\xff\xff\xff".as_slice());
        assert!(successor(b"a").as_slice() > b"a".as_slice());
        assert!(successor(b"a").as_slice() <= b"a\0".as_slice());
    }

    #[test]
    fn appended_rows_sort_by_version_and_place() {
        let append = Append {
            prefix: b"p".to_vec(),
            value: Vec::new(),
        };
        let keys = [
            append.key(Version(1), 0),
            append.key(Version(1), 1),
            append.key(Version(255), 0),
            append.key(Version(256), 0),
        ];
        assert!(keys.is_sorted());
    }
}
