//! What IAM and STS seal, and where it lies.

use std::time::Duration;

use gate::{Resealed, Resealing, Sealed};
use ground::Region;

use crate::limits::SESSION_SECONDS_MAX;
use crate::mfa;
use crate::model::{AccessKey, LoginProfile, MfaDevice, Outbound, ServerCertificate};
use crate::ops::{access_key, login_profile, outbound_federation, server_certificate};
use crate::store::ACCESS_KEYS;
use crate::store::login_profile::LOGIN_PROFILES;
use crate::store::mfa::MFA_DEVICES;
use crate::store::outbound::OUTBOUND;
use crate::store::server_certificate::SERVER_CERTIFICATES;
use crate::sts::token;

/// Everything that IAM seals.
pub(crate) fn iam() -> [Sealed; 5] {
    [
        Sealed::column(access_key::SEALED_FOR, &ACCESS_KEYS, key),
        Sealed::column(login_profile::SEALED_FOR, &LOGIN_PROFILES, profile),
        Sealed::column(mfa::SEALED_FOR, &MFA_DEVICES, device),
        Sealed::column(outbound_federation::SEALED_FOR, &OUTBOUND, outbound),
        Sealed::column(server_certificate::SEALED_FOR, &SERVER_CERTIFICATES, certificate),
    ]
}

/// Everything that STS seals: session tokens, in no row.
pub(crate) fn sts() -> [Sealed; 1] {
    [Sealed::carried(
        token::SEALED_FOR,
        Duration::from_secs(SESSION_SECONDS_MAX),
    )]
}

fn key<'a>(
    resealing: &'a Resealing<'a>,
    _: &'a (String, String),
    row: &'a AccessKey,
) -> Resealed<'a, AccessKey> {
    Box::pin(async move {
        let account = resealing.account()?;
        let domain = resealing.domain(account, &Region::us_east_1());
        let account = account.to_string();
        let bound_to = [account.as_bytes(), row.id.as_bytes()];
        let fresh = resealing.text(&domain, &bound_to, &row.sealed_secret)?;
        Ok(fresh.map(|sealed_secret| AccessKey {
            sealed_secret,
            ..row.clone()
        }))
    })
}

/// Every digest is bound to the id of the user, under which the row is.
fn profile<'a>(
    resealing: &'a Resealing<'a>,
    owner_id: &'a String,
    row: &'a LoginProfile,
) -> Resealed<'a, LoginProfile> {
    Box::pin(async move {
        let domain = resealing.domain(resealing.account()?, &Region::us_east_1());
        let mut fresh = row.clone();
        let mut changed = false;
        for digest in &mut fresh.sealed_digests {
            if let Some(resealed) = resealing.text(&domain, &[owner_id.as_bytes()], digest)? {
                *digest = resealed;
                changed = true;
            }
        }
        Ok(changed.then_some(fresh))
    })
}

fn device<'a>(resealing: &'a Resealing<'a>, _: &'a String, row: &'a MfaDevice) -> Resealed<'a, MfaDevice> {
    Box::pin(async move {
        let account = resealing.account()?;
        let domain = resealing.domain(account, &Region::us_east_1());
        let serial_number = row.serial_number(account);
        let fresh = resealing.text(&domain, &[serial_number.as_bytes()], &row.sealed_seed)?;
        Ok(fresh.map(|sealed_seed| MfaDevice {
            sealed_seed,
            ..row.clone()
        }))
    })
}

fn outbound<'a>(resealing: &'a Resealing<'a>, (): &'a (), row: &'a Outbound) -> Resealed<'a, Outbound> {
    Box::pin(async move {
        let domain = resealing.domain(resealing.account()?, &Region::us_east_1());
        let mut fresh = row.clone();
        let mut changed = false;
        for key in &mut fresh.keys {
            if let Some(resealed) = resealing.text(&domain, &[key.id.as_bytes()], &key.sealed)? {
                key.sealed = resealed;
                changed = true;
            }
        }
        Ok(changed.then_some(fresh))
    })
}

fn certificate<'a>(
    resealing: &'a Resealing<'a>,
    _: &'a String,
    row: &'a ServerCertificate,
) -> Resealed<'a, ServerCertificate> {
    Box::pin(async move {
        let domain = resealing.domain(resealing.account()?, &Region::us_east_1());
        let fresh = resealing.text(&domain, &[row.id.as_bytes()], &row.sealed_key)?;
        Ok(fresh.map(|sealed_key| ServerCertificate {
            sealed_key,
            ..row.clone()
        }))
    })
}
