//! Numbers that many add to at once.
//!
//! To read a number and write it anew makes every two writers conflict. What is
//! added is added where commits are made, one after the other, whatever the number
//! has become by then; so writers that only add never conflict over it.
//!
//! Invariants: a tally never falls below zero; a row that holds no number stays as
//! it is, and reading it says so.

use serde::Serialize as _;

/// What a commit adds to the number in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addition {
    /// May be negative.
    pub(crate) by: i64,
    /// The record version of the table.
    pub(crate) record_version: u8,
}

impl Addition {
    /// Most bytes of a number's record: version and twenty digits.
    pub(crate) const RECORD_BYTES_MAX: usize = 21;

    /// The record after the addition to `stored`, where a row that is absent counts
    /// as zero. `None` if it holds no number of this version.
    pub(crate) fn to(self, stored: Option<&[u8]>) -> Option<Vec<u8>> {
        let number: u64 = match stored {
            None => 0,
            Some(record) => {
                let (version, json) = record.split_first()?;
                if *version != self.record_version {
                    return None;
                }
                serde_json::from_slice(json).ok()?
            }
        };
        let mut record = Vec::with_capacity(Addition::RECORD_BYTES_MAX);
        record.push(self.record_version);
        let sum = number.saturating_add_signed(self.by);
        sum.serialize(&mut serde_json::Serializer::new(&mut record))
            .ok()?;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: crate::Table<String, u64> = crate::Table::new("test/tally", 3);

    fn added(before: Option<u64>, by: i64) -> u64 {
        let before = before.map(|number| TABLE.encode(&number).unwrap());
        let addition = Addition {
            by,
            record_version: 3,
        };
        *TABLE.decode(&addition.to(before.as_deref()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_added_is_read_as_the_tables_own_record() {
        assert_eq!(added(None, 1), 1);
        assert_eq!(added(Some(41), 1), 42);
        assert_eq!(added(Some(1), -2), 0);
        assert_eq!(added(None, -1), 0);
        assert_eq!(added(Some(u64::MAX), 1), u64::MAX);
        assert_eq!(TABLE.encode(&u64::MAX).unwrap().len(), Addition::RECORD_BYTES_MAX);
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        let one = Addition {
            by: 1,
            record_version: 3,
        };
        for stored in [
            b"".as_slice(),
            b"\x03",
            b"\x03\"a\"",
            b"\x03-1",
            b"\x02\x31",
            b"\x04\x31",
        ] {
            assert_eq!(one.to(Some(stored)), None, "{stored:?}");
        }
    }
}
