//! The materials of a key, one after the other, and what makes the next.
//!
//! The last generation encrypts; every generation decrypts what it encrypted.
//! A key that never rotated keeps no list: its one material is all there is.
//!
//! Absent by design: a rotation under way. It is one transaction, so a key has
//! either rotated or not.

use std::time::Duration;

use ground::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{ROTATION_PERIOD_DAYS, ROTATION_PERIOD_DAYS_DEFAULT};
use crate::model::MaterialId;

/// One material in a key's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its material.
    pub material: MaterialId,
    /// When it took over, and why; `None` of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<Rotated>,
    /// What is known of it if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
}

/// What is known of imported material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// What was said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it is forgotten by itself; `None` for never, or if it is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it is here: it was neither deleted nor did it expire.
    pub present: bool,
}

impl Generation {
    /// When its material is forgotten by itself.
    pub fn expires(&self) -> Option<Timestamp> {
        let import = self.import.as_ref().filter(|import| import.present)?;
        import.expires
    }

    /// Whether its material is here.
    pub fn is_present(&self) -> bool {
        self.import.as_ref().is_none_or(|import| import.present)
    }

    /// Its material is here no more.
    pub fn lose(&mut self) {
        if let Some(import) = &mut self.import {
            import.present = false;
            import.expires = None;
        }
    }
}

/// Where the material of a key comes from, for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Made here.
    #[default]
    AwsKms,
    /// Made in a cluster of hardware security modules, where it stays.
    AwsCloudhsm,
    /// Imported.
    External,
    /// Made here, and used together with a key in an external key manager.
    ExternalKeyStore,
}

impl Origin {
    /// AWS's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::AwsKms => "AWS_KMS",
            Origin::AwsCloudhsm => "AWS_CLOUDHSM",
            Origin::External => "EXTERNAL",
            Origin::ExternalKeyStore => "EXTERNAL_KEY_STORE",
        }
    }

    /// Made here: what rows leave out.
    pub fn is_aws_kms(&self) -> bool {
        *self == Origin::AwsKms
    }
}

/// A rotation that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub kind: RotationKind,
}

/// Why a key rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotationKind {
    /// Its time had come.
    Automatic,
    /// Somebody asked for it.
    OnDemand,
}

/// That a key rotates by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// How often.
    pub period: RotationPeriod,
    /// When next.
    pub next: Timestamp,
}

impl Schedule {
    /// A schedule that begins now.
    pub fn from(now: Timestamp, period: RotationPeriod) -> Schedule {
        Schedule {
            period,
            next: period.after(now),
        }
    }

    /// The schedule once the rotation that was due has been made. Its date
    /// counts from when it was due, unless the next would be due already: what
    /// was missed while a key was switched off is made up for once.
    #[must_use]
    pub fn advanced(self, now: Timestamp) -> Schedule {
        let next = self.period.after(self.next);
        Schedule {
            next: if next > now { next } else { self.period.after(now) },
            ..self
        }
    }
}

/// How often a key rotates by itself: whole days, 90 to 2,560 inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPeriod {
    days: u32,
}

impl RotationPeriod {
    /// 365 days when the caller says nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BadPeriod`] outside the range.
    ///
    /// Source: KMS API Reference, `EnableKeyRotation`, `RotationPeriodInDays`.
    pub fn new(days: Option<i32>) -> Result<RotationPeriod, Error> {
        let Some(given) = days else {
            return Ok(RotationPeriod {
                days: ROTATION_PERIOD_DAYS_DEFAULT,
            });
        };
        match u32::try_from(given) {
            Ok(days) if ROTATION_PERIOD_DAYS.contains(&days) => Ok(RotationPeriod { days }),
            Ok(_) | Err(_) => Err(Error::BadPeriod { days: given }),
        }
    }

    /// Its length in days.
    pub fn days(self) -> u32 {
        self.days
    }

    fn after(self, start: Timestamp) -> Timestamp {
        start.after(Duration::from_secs(u64::from(self.days) * 24 * 60 * 60))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn periods_are_granted_or_refused_never_bent(days in any::<i32>()) {
            match RotationPeriod::new(Some(days)) {
                Ok(period) => prop_assert_eq!(i64::from(period.days()), i64::from(days)),
                Err(_) => prop_assert!(!(90..=2560).contains(&days)),
            }
        }

        /// A key is never due twice for the same time, and never skips a whole period.
        #[test]
        fn the_next_rotation_is_ahead_and_within_a_period(late in 0i64..400_000_000_000, days in 90i32..=2560) {
            let period = RotationPeriod::new(Some(days)).unwrap();
            let schedule = Schedule::from(Timestamp(0), period);
            let now = Timestamp(schedule.next.0 + late);
            let next = schedule.advanced(now).next;
            prop_assert!(next > now);
            prop_assert!(next.0 - now.0 <= i64::from(days) * 86_400_000);
        }
    }

    #[test]
    fn a_year_unless_said() {
        assert_eq!(RotationPeriod::new(None).unwrap().days(), 365);
        for (days, fits) in [(89, false), (90, true), (2560, true), (2561, false)] {
            assert_eq!(RotationPeriod::new(Some(days)).is_ok(), fits, "{days}");
        }
    }
}
