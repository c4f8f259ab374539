//! Virtual MFA devices, and when a one-time code is good.
//!
//! Invariants:
//! - a code is good once: only a step later than the last one used is taken;
//! - a device that drifts is followed a step at a time, and no further.
//!
//! Absent by design: hardware and FIDO devices.

use crypto::constant_time_eq;
use crypto::totp::{self, STEP_SECONDS};
use ground::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{Tags, arn};

/// A virtual MFA device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MfaDevice {
    pub(crate) name: String,
    pub(crate) path: String,
    /// The seed, sealed under the account's key and bound to the serial number; base64.
    pub(crate) sealed_seed: String,
    pub(crate) assigned: Option<Assigned>,
    pub(crate) tags: Tags,
}

/// Whose second factor a device is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Assigned {
    /// `AIDA…`
    pub(crate) user_id: String,
    pub(crate) since: Timestamp,
}

impl MfaDevice {
    /// The serial number: `arn:aws:iam::A:mfa/PATH/NAME`
    pub(crate) fn serial_number(&self, account: AccountId) -> String {
        arn(account, "mfa", &self.path, &self.name)
    }

    /// Whether it is the second factor of that user.
    pub(crate) fn is_of(&self, user_id: &str) -> bool {
        self.assigned
            .as_ref()
            .is_some_and(|assigned| assigned.user_id == user_id)
    }
}

/// Which codes of a device are spent, and how far its clock is from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    /// The last step whose code was used.
    pub(crate) last_step: u64,
    /// The device's step less ours when that code was used.
    pub(crate) drift_steps: i64,
}

/// How far from ours a device's clock may be when it is enabled or resynchronised: ten minutes.
const RESYNC_STEPS: i64 = 20;

/// How far a code may be from where the device was last seen (RFC 6238, 5.2:
/// one step for the network, and the clock of the device).
const WINDOW_STEPS: i64 = 1;

fn step_at(now: Timestamp) -> i64 {
    now.seconds() / STEP_SECONDS.cast_signed()
}

fn is_code_of(seed: &[u8], step: i64, code: &str) -> bool {
    u64::try_from(step).is_ok_and(|step| constant_time_eq(totp::code(seed, step).as_bytes(), code.as_bytes()))
}

/// Where the device stands if `first` and `second` are codes that follow each
/// other, later than any that was used; `None` if they are not.
pub(crate) fn synchronised(
    seed: &[u8],
    before: Option<Counter>,
    now: Timestamp,
    first: &str,
    second: &str,
) -> Option<Counter> {
    let used = before.map_or(0, |before| before.last_step);
    let ours = step_at(now);
    (-RESYNC_STEPS..=RESYNC_STEPS).find_map(|drift_steps| {
        let second_step = ours + drift_steps;
        let last_step = u64::try_from(second_step).ok()?;
        let is_new = last_step > used + 1 || before.is_none();
        (is_new && is_code_of(seed, second_step - 1, first) && is_code_of(seed, second_step, second))
            .then_some(Counter {
                last_step,
                drift_steps,
            })
    })
}

/// The counter once `code` is used; `None` if it is not good now.
pub(crate) fn spent(seed: &[u8], before: Counter, now: Timestamp, code: &str) -> Option<Counter> {
    let expected = step_at(now) + before.drift_steps;
    (-WINDOW_STEPS..=WINDOW_STEPS).find_map(|off| {
        let step = expected + off;
        let last_step = u64::try_from(step).ok()?;
        (last_step > before.last_step && is_code_of(seed, step, code)).then_some(Counter {
            last_step,
            drift_steps: before.drift_steps + off,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    fn at(step: i64) -> Timestamp {
        Timestamp::from_seconds(step * STEP_SECONDS.cast_signed())
    }

    fn code(step: i64) -> String {
        totp::code(SEED, step.cast_unsigned())
    }

    fn enabled(step: i64) -> Counter {
        synchronised(SEED, None, at(step), &code(step - 1), &code(step)).unwrap()
    }

    #[test]
    fn two_codes_must_follow_each_other() {
        let with = |first: i64, second: i64| synchronised(SEED, None, at(1_000), &code(first), &code(second));
        assert_eq!(with(999, 1_000).unwrap().drift_steps, 0);
        assert_eq!(with(1_004, 1_005).unwrap().drift_steps, 5);
        assert_eq!(with(1_000, 999), None);
        assert_eq!(with(1_000, 1_000), None);
        assert_eq!(with(998, 1_000), None);
        assert_eq!(with(1_020, 1_021), None);
        assert_eq!(with(978, 979), None);
    }

    #[test]
    fn a_code_is_good_once() {
        let counter = enabled(1_000);
        // Both of the codes that enabled the device are spent.
        assert_eq!(spent(SEED, counter, at(1_000), &code(1_000)), None);
        assert_eq!(spent(SEED, counter, at(1_000), &code(999)), None);
        let counter = spent(SEED, counter, at(1_001), &code(1_001)).unwrap();
        assert_eq!(spent(SEED, counter, at(1_001), &code(1_001)), None);
        assert!(spent(SEED, counter, at(1_002), &code(1_002)).is_some());
        let again = synchronised(SEED, Some(counter), at(1_001), &code(1_000), &code(1_001));
        assert_eq!(again, None, "spent codes do not resynchronise");
    }

    #[test]
    fn a_code_is_good_near_its_time_only() {
        let counter = enabled(1_000);
        let then = |step: i64| spent(SEED, counter, at(2_000), &code(step));
        assert!(then(1_999).is_some() && then(2_000).is_some() && then(2_001).is_some());
        assert_eq!(then(1_998), None);
        assert_eq!(then(2_002), None);
    }

    #[test]
    fn a_clock_moved_back_gives_no_code_again() {
        let counter = spent(SEED, enabled(1_000), at(1_500), &code(1_500)).unwrap();
        assert_eq!(spent(SEED, counter, at(1_400), &code(1_400)), None);
    }

    proptest! {
        /// Whatever is sent, in whatever order, no step is taken twice and none goes back.
        #[test]
        fn steps_only_rise(sent in prop::collection::vec((1_001i64..1_060, -2i64..=2), 0..40)) {
            let mut counter = enabled(1_000);
            for (now, off) in sent {
                if let Some(next) = spent(SEED, counter, at(now), &code(now + off)) {
                    prop_assert!(next.last_step > counter.last_step);
                    counter = next;
                }
            }
        }

        #[test]
        fn judging_codes_is_total(text in "\\PC{0,12}", now in any::<i32>()) {
            let now = Timestamp::from_seconds(i64::from(now));
            let _ = spent(SEED, enabled(1_000), now, &text);
            let _ = synchronised(SEED, None, now, &text, &text);
        }
    }
}
