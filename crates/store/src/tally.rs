//! Numbers that many add to at once.
//!
//! To read a number and write it anew makes every two writers conflict. What is
//! added is added where commits are made, one after the other, whatever the number
//! has become by then; so writers that only add never conflict over it.
//!
//! An addition may have a greatest value, and is judged there too: of many that are
//! made at the same moment, those that fit are made and the others are refused.
//!
//! Invariants: a tally never falls below zero, and nobody raises it past the greatest
//! value of his own addition; a row that holds no number stays as it is, and reading
//! it says so.

#[cfg(test)]
pub(crate) mod batches;

use serde::Serialize as _;

use crate::StoreError;

/// What a commit adds to the number in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addition {
    /// May be negative.
    pub(crate) by: i64,
    /// What the number is not to be raised past, if there is anything.
    pub(crate) most: Option<u64>,
    /// The record version of the table.
    pub(crate) record_version: u8,
    /// The table's name.
    pub(crate) table: &'static str,
}

impl Addition {
    /// Most bytes of a number's record: version and twenty digits.
    pub(crate) const RECORD_BYTES_MAX: usize = 21;

    /// Both additions as one, which is to pass neither greatest value.
    pub(crate) fn and(self, other: Addition) -> Addition {
        Addition {
            by: self.by.saturating_add(other.by),
            most: [self.most, other.most].into_iter().flatten().min(),
            ..self
        }
    }

    /// The record after the addition to `stored`, where a row that is absent counts
    /// as zero. `None` if it holds no number of this version.
    ///
    /// # Errors
    ///
    /// [`StoreError::PastMost`] if that would raise the number past the greatest
    /// value; one that is past it already may fall. [`StoreError::BadRecord`] if
    /// there is a greatest value, and no number of this version to hold to it.
    pub(crate) fn to(self, stored: Option<&[u8]>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(number) = stored.map_or(Some(0), |record| self.number(record)) else {
            return match self.most {
                None => Ok(None),
                Some(_) => Err(StoreError::BadRecord {
                    table: self.table,
                    reason: "it holds no number to add to".to_owned(),
                }),
            };
        };
        let sum = number.saturating_add_signed(self.by);
        if let Some(most) = self.most.filter(|most| sum > *most && sum > number) {
            return Err(StoreError::PastMost {
                table: self.table,
                most,
            });
        }
        let mut record = Vec::with_capacity(Addition::RECORD_BYTES_MAX);
        record.push(self.record_version);
        let written = sum.serialize(&mut serde_json::Serializer::new(&mut record));
        Ok(written.is_ok().then_some(record))
    }

    fn number(self, record: &[u8]) -> Option<u64> {
        let (version, json) = record.split_first()?;
        if *version != self.record_version {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: crate::Table<String, u64> = crate::Table::new("test/tally", 3);

    fn adding(by: i64, most: Option<u64>) -> Addition {
        Addition {
            by,
            most,
            record_version: 3,
            table: "test/tally",
        }
    }

    fn added(before: Option<u64>, addition: Addition) -> Result<u64, StoreError> {
        let before = before.map(|number| TABLE.encode(&number).unwrap());
        let after = addition.to(before.as_deref())?;
        Ok(*TABLE.decode(&after.unwrap()).unwrap())
    }

    #[test]
    fn what_is_added_is_read_as_the_tables_own_record() {
        let added = |before, by| added(before, adding(by, None)).unwrap();
        assert_eq!(added(None, 1), 1);
        assert_eq!(added(Some(41), 1), 42);
        assert_eq!(added(Some(1), -2), 0);
        assert_eq!(added(None, -1), 0);
        assert_eq!(added(Some(u64::MAX), 1), u64::MAX);
        assert_eq!(TABLE.encode(&u64::MAX).unwrap().len(), Addition::RECORD_BYTES_MAX);
    }

    /// One that is absent, at the edge, over it, and where the type ends.
    #[test]
    fn a_number_is_raised_up_to_its_greatest_value_and_falls_from_anywhere() {
        let added = |before, by, most| added(before, adding(by, Some(most)));
        assert_eq!(added(None, 5, 5).unwrap(), 5);
        assert_eq!(added(Some(4), 1, 5).unwrap(), 5);
        assert_eq!(added(Some(7), -1, 5).unwrap(), 6);
        assert_eq!(added(Some(7), 0, 5).unwrap(), 7);
        assert_eq!(added(Some(u64::MAX - 1), 1, u64::MAX).unwrap(), u64::MAX);
        for (before, by, most) in [
            (None, 6, 5),
            (None, 1, 0),
            (Some(5), 1, 5),
            (Some(7), 1, 5),
            (Some(u64::MAX - 1), 2, u64::MAX - 1),
        ] {
            let refused = added(before, by, most).unwrap_err();
            assert!(
                matches!(refused, StoreError::PastMost { table: "test/tally", most: told } if told == most),
                "{before:?} {by} {most}: {refused}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_left_alone_and_not_held_to_anything() {
        for stored in [
            b"".as_slice(),
            b"\x03",
            b"\x03\"a\"",
            b"\x03-1",
            b"\x02\x31",
            b"\x04\x31",
        ] {
            assert_eq!(adding(1, None).to(Some(stored)).unwrap(), None, "{stored:?}");
            let refused = adding(1, Some(9)).to(Some(stored)).unwrap_err();
            assert!(matches!(refused, StoreError::BadRecord { .. }), "{stored:?}");
        }
    }

    proptest! {
        /// Whatever is added in whatever order, each addition is made or refused by
        /// what the sum would be, and one that is refused changes nothing.
        #[test]
        fn no_addition_raises_the_number_past_its_greatest_value(
            additions in proptest::collection::vec((-4i64..=4, 0u64..12), 0..40),
        ) {
            let mut number = 0u64;
            for (by, most) in additions {
                let sum = number.saturating_add_signed(by);
                match added(Some(number), adding(by, Some(most))) {
                    Ok(after) => {
                        prop_assert_eq!(after, sum);
                        prop_assert!(after <= most.max(number));
                        number = after;
                    }
                    Err(_) => prop_assert!(by > 0 && sum > most),
                }
            }
        }

        /// Two additions of one commit come to what both add, up to the lower of
        /// their greatest values.
        #[test]
        fn additions_of_one_commit_are_one(
            before in 0u64..20, one in 0i64..9, other in 0i64..9,
            first in proptest::option::of(0u64..30), second in proptest::option::of(0u64..30),
        ) {
            let both = added(Some(before), adding(one, first).and(adding(other, second)));
            let sum = before.saturating_add_signed(one + other);
            let most = first.unwrap_or(u64::MAX).min(second.unwrap_or(u64::MAX));
            prop_assert_eq!(both.ok(), (sum <= most || sum == before).then_some(sum));
        }
    }
}
