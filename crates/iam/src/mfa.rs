//! Checking one-time codes, for whoever asks: IAM when a device is enabled,
//! STS when a session is to have a second factor.
//!
//! Invariants:
//! - a seed is in the clear only while a code is judged;
//! - a device takes [`MFA_FAILURES_MAX`] wrong codes in
//!   [`MFA_FAILURES_WITHIN`] on each node, and then none for that long: six
//!   digits are soon guessed by who may guess as often as they like.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::DomainKey;
use gate::Cx;
use ground::{Region, Secret, Timestamp};
use policy::Who;
use store::{Scope, WriteTx};

use crate::error::Error;
use crate::limits::{MFA_DEVICES_WATCHED_MAX, MFA_FAILURES_MAX, MFA_FAILURES_WITHIN};
use crate::model::{Counter, MfaDevice, mfa_device};
use crate::store::{MFA_COUNTERS, mfa_row, rows};

/// What seeds are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "iam/mfa-seed";

const WRONG_CODE: Error =
    Error::AccessDenied("MultiFactorAuthentication failed with invalid MFA one time pass code. ");

const UNKNOWN_DEVICE: Error = Error::AccessDenied(
    "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid \
     and associated with this user.",
);

/// Wrong codes seen of late, by serial number.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<HashMap<String, Failures>>);

struct Failures {
    since: Timestamp,
    count: u32,
}

impl Guesses {
    /// Whether another code of the device may be looked at.
    pub(crate) fn may_try(&self, serial_number: &str, now: Timestamp) -> bool {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of a time to come count too: a clock that was moved back forgives nothing.
        failed.retain(|_, failures| now < failures.since.after(MFA_FAILURES_WITHIN));
        match failed.get(serial_number) {
            Some(failures) => failures.count < MFA_FAILURES_MAX,
            // Too many devices are being guessed at to watch one more.
            None => failed.len() < MFA_DEVICES_WATCHED_MAX,
        }
    }

    /// Notes a wrong code.
    pub(crate) fn failed(&self, serial_number: &str, now: Timestamp) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = failed
            .entry(serial_number.to_owned())
            .or_insert(Failures { since: now, count: 0 });
        failures.count = failures.count.saturating_add(1);
    }
}

/// A seed, sealed and bound to its device.
pub(crate) fn sealed(
    domain: &DomainKey,
    random: &crypto::Random,
    serial_number: &str,
    seed: &Secret<Vec<u8>>,
) -> Result<String, crypto::Error> {
    let sealed = domain.seal(&[serial_number.as_bytes()], seed.expose(), random)?;
    Ok(STANDARD.encode(sealed))
}

/// The seed of a device.
pub(crate) fn seed(cx: &Cx, device: &MfaDevice) -> Result<Secret<Vec<u8>>, Error> {
    let domain = cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR);
    let sealed = STANDARD
        .decode(&device.sealed_seed)
        .map_err(|_| crypto::Error::BadCiphertext)?;
    let serial_number = device.serial_number(cx.account());
    Ok(domain.open(&[serial_number.as_bytes()], &sealed)?)
}

/// A second factor that was just proven; it counts once it is spent.
pub(crate) struct Proven {
    device: String,
    counter: Counter,
}

/// Spends the code of a second factor, if one was proven: a call with a code
/// changes something, and of two that present the same code one succeeds.
pub(crate) async fn spend(cx: &Cx, proven: Option<Proven>) -> Result<(), Error> {
    let Some(Proven { device, counter }) = proven else {
        return Ok(());
    };
    let account = cx.account();
    cx.write(async |tx: &mut WriteTx| {
        // STS acts in a region, and IAM's rows are in none.
        tx.cross_account_put(&Scope::regionless(account), &MFA_COUNTERS, &device, &counter);
        Ok(())
    })
    .await
}

/// Proves the second factor of the calling user; `None` if none was presented.
///
/// # Errors
///
/// [`Error::AccessDenied`] for a device that is not the caller's, a code that
/// is wrong, spent or of another time, and for one without the other.
pub(crate) async fn prove(
    guesses: &Guesses,
    cx: &Cx,
    serial_number: Option<&str>,
    token_code: Option<&Secret<String>>,
) -> Result<Option<Proven>, Error> {
    let (serial_number, code) = match (serial_number, token_code) {
        (None, None) => return Ok(None),
        (Some(serial_number), Some(code)) => (serial_number, code),
        (Some(_), None) | (None, Some(_)) => return Err(UNKNOWN_DEVICE),
    };
    let Who::User { id, .. } = cx.caller().principal.who() else {
        return Err(UNKNOWN_DEVICE);
    };
    let rows = rows(cx);
    let device = rows.mfa_device(serial_number).await?;
    let device = device.filter(|device| device.is_of(id)).ok_or(UNKNOWN_DEVICE)?;
    let row = mfa_row(&device);
    let before = rows.mfa_counter(&device).await?.ok_or(UNKNOWN_DEVICE)?;
    if !guesses.may_try(serial_number, cx.now()) {
        return Err(WRONG_CODE);
    }
    let seed = seed(cx, &device)?;
    match mfa_device::spent(seed.expose(), before, cx.now(), code.expose()) {
        Some(counter) => Ok(Some(Proven { device: row, counter })),
        None => {
            guesses.failed(serial_number, cx.now());
            Err(WRONG_CODE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_ends_and_may_begin_again_later() {
        let guesses = Guesses::default();
        let begin = Timestamp::from_seconds(1_000);
        for _ in 0..MFA_FAILURES_MAX {
            assert!(guesses.may_try("a", begin));
            guesses.failed("a", begin);
        }
        assert!(!guesses.may_try("a", begin));
        assert!(!guesses.may_try("a", Timestamp::from_seconds(10)), "moved back");
        assert!(guesses.may_try("b", begin));
        assert!(guesses.may_try("a", begin.after(MFA_FAILURES_WITHIN)));
    }

    #[test]
    fn no_more_devices_are_watched_than_there_is_room_for() {
        let guesses = Guesses::default();
        let now = Timestamp::from_seconds(1_000);
        for number in 0..MFA_DEVICES_WATCHED_MAX {
            guesses.failed(&number.to_string(), now);
        }
        assert!(!guesses.may_try("another", now));
        assert!(guesses.may_try("0", now));
    }
}
