//! Virtual MFA devices: made, bound to a user by two codes, and let go.
//!
//! A seed is shown once, when the device is made.

use std::sync::Arc;

use gate::{Cx, Permit};
use ground::{Region, Secret};
use iam_api::{
    AssignmentStatusType, CreateVirtualMFADeviceInput, CreateVirtualMFADeviceOutput,
    DeactivateMFADeviceInput, DeleteVirtualMFADeviceInput, EnableMFADeviceInput, GetMFADeviceInput,
    GetMFADeviceOutput, ListMFADevicesInput, ListMFADevicesOutput, ListVirtualMFADevicesInput,
    ListVirtualMFADevicesOutput, MFADevice as ApiDevice, ResyncMFADeviceInput, VirtualMFADevice,
};
use shape::{Blob, Unit};

use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::{MFA_DEVICES_MAX, MFA_DEVICES_PER_USER_MAX};
use crate::mfa::{self, SEALED_FOR};
use crate::model::{Assigned, CaseOfKeys, Counter, MfaDevice, Tags, User, mfa_device};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::store::{self, MFA_DEVICES, mfa_row, rows, written_at};
use crate::{Iam, qr};

/// Bytes of a seed: 64 characters of base32, as AWS's are. (RFC 4226, 4, asks
/// for 20 at least.)
const SEED_BYTES: usize = 40;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A seed as apps take it (RFC 4648, 6). Its length is a multiple of five, so
/// there is no padding.
fn base32(seed: &Secret<Vec<u8>>) -> Secret<String> {
    let mut text = Secret::new(String::with_capacity(SEED_BYTES * 8 / 5));
    for five in seed.expose().chunks(5) {
        let number = five
            .iter()
            .fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        for at in (0..8).rev() {
            let letter = usize::try_from((number >> (5 * at)) & 31).unwrap_or(0);
            text.expose_mut().push(char::from(BASE32[letter]));
        }
    }
    text
}

pub(crate) async fn create_virtual_mfa_device(
    _iam: &Iam,
    cx: &Cx,
    input: CreateVirtualMFADeviceInput,
) -> Result<CreateVirtualMFADeviceOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Matters)?;
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    let name = input.virtual_mfa_device_name;
    let asking = Asking {
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let permit = access::new(cx, (), "mfa", (&path, &name), asking).await?;
    if rows(cx).mfa_device_called(&name).await?.is_some() {
        return Err(Error::Taken(
            "MFADevice entity at the same path and name already exists.".to_owned(),
        ));
    }
    let mut summary = rows(cx).summary().await?;
    if summary.mfa_devices >= MFA_DEVICES_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for VirtualMFADevicesPerAccount: {MFA_DEVICES_MAX}"
        )));
    }
    summary.mfa_devices += 1;

    let mut seed = Secret::new(vec![0; SEED_BYTES]);
    cx.random().fill(seed.expose_mut());
    let serial_number = crate::model::arn(cx.account(), "mfa", &path, &name);
    let domain = cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR);
    let sealed_seed = mfa::sealed(&domain, cx.random(), &serial_number, &seed)?;
    let shown = base32(&seed);
    // The text is AWS's: API Reference, VirtualMFADevice, QRCodePNG.
    let address = Secret::new(format!(
        "otpauth://totp/{name}@{}?secret={}",
        cx.account(),
        shown.expose()
    ));
    let picture = qr::png(address.expose()).map_err(|error| Error::Picture(error.to_string()))?;
    let device = permit.map(|()| MfaDevice {
        name,
        path,
        sealed_seed,
        assigned: None,
        tags: tags.clone(),
    });
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_mfa_device(tx, &device);
    })
    .await?;
    Ok(CreateVirtualMFADeviceOutput {
        virtual_mfa_device: VirtualMFADevice {
            serial_number,
            base32_string_seed: Some(Secret::new(Blob(shown.expose().as_bytes().to_vec()))),
            qr_code_png: Some(Secret::new(Blob(picture))),
            user: None,
            enable_date: None,
            tags: answer::tags(&device.tags),
        },
    })
}

/// The counter of a device whose two codes prove it.
async fn proven(
    iam: &Iam,
    cx: &Cx,
    device: &MfaDevice,
    (first, second): (&Secret<String>, &Secret<String>),
) -> Result<Counter, Error> {
    let serial_number = device.serial_number(cx.account());
    if !iam.guesses.may_try(&serial_number, cx.now()) {
        return Err(Error::InvalidAuthenticationCode);
    }
    let before = rows(cx).mfa_counter(device).await?;
    let seed = mfa::seed(cx, device)?;
    mfa_device::synchronised(seed.expose(), before, cx.now(), first.expose(), second.expose()).ok_or_else(
        || {
            iam.guesses.failed(&serial_number, cx.now());
            Error::InvalidAuthenticationCode
        },
    )
}

pub(crate) async fn enable_mfa_device(
    iam: &Iam,
    cx: &Cx,
    input: EnableMFADeviceInput,
) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let rows = rows(cx);
    let device = rows.mfa_device(&input.serial_number).await?;
    let device = device.ok_or_else(|| access::no_device(&input.serial_number))?;
    if device.assigned.is_some() {
        return Err(Error::Taken("MFA Device is already in use.".to_owned()));
    }
    if rows.mfa_devices_of(&user.id).await?.len() >= MFA_DEVICES_PER_USER_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for MFADevicesPerUser: {MFA_DEVICES_PER_USER_MAX}"
        )));
    }
    let codes = (&input.authentication_code1, &input.authentication_code2);
    let counter = proven(iam, cx, &device, codes).await?;
    let mut summary = rows.summary().await?;
    summary.mfa_devices_in_use += 1;
    let user_id = user.id.clone();
    let device = user.map(|user| MfaDevice {
        assigned: Some(Assigned {
            user_id: user.id.clone(),
            since: written_at(cx),
        }),
        ..(*device).clone()
    });
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_assigned_mfa_device(tx, &user_id, &device);
        store::put_mfa_counter(tx, &device, &counter);
    })
    .await?;
    Ok(Unit)
}

/// The device with this serial number, if it is this user's.
async fn device_of(cx: &Cx, owner_id: &str, serial_number: &str) -> Result<Arc<MfaDevice>, Error> {
    let device = rows(cx).mfa_device(serial_number).await?;
    device
        .filter(|device| device.is_of(owner_id))
        .ok_or_else(|| access::no_device(serial_number))
}

pub(crate) async fn resync_mfa_device(
    iam: &Iam,
    cx: &Cx,
    input: ResyncMFADeviceInput,
) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let device = device_of(cx, &user.id, &input.serial_number).await?;
    let codes = (&input.authentication_code1, &input.authentication_code2);
    let counter = proven(iam, cx, &device, codes).await?;
    let device = user.map(|_| (*device).clone());
    store::write(cx, |tx| store::put_mfa_counter(tx, &device, &counter)).await?;
    Ok(Unit)
}

pub(crate) async fn deactivate_mfa_device(
    _iam: &Iam,
    cx: &Cx,
    input: DeactivateMFADeviceInput,
) -> Result<Unit, Error> {
    let holder = access::sign_in_holder(cx, input.user_name.as_deref()).await?;
    let owner_id = holder.owner_id();
    let device = device_of(cx, &owner_id, &input.serial_number).await?;
    let mut summary = rows(cx).summary().await?;
    summary.mfa_devices_in_use = summary.mfa_devices_in_use.saturating_sub(1);
    let device = holder.map(|_| MfaDevice {
        assigned: None,
        ..(*device).clone()
    });
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_released_mfa_device(tx, &owner_id, &device);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn delete_virtual_mfa_device(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteVirtualMFADeviceInput,
) -> Result<Unit, Error> {
    let device = access::mfa_device(cx, &input.serial_number, Asking::NOTHING).await?;
    if device.assigned.is_some() {
        return Err(Error::DeleteConflict(
            "MFA VirtualDevice must be deactivated before it can be deleted.",
        ));
    }
    let mut summary = rows(cx).summary().await?;
    summary.mfa_devices = summary.mfa_devices.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_mfa_device(tx, &device);
    })
    .await?;
    Ok(Unit)
}

/// About a device that is assigned: to the user named, or else to whoever signed.
pub(crate) async fn get_mfa_device(
    _iam: &Iam,
    cx: &Cx,
    input: GetMFADeviceInput,
) -> Result<GetMFADeviceOutput, Error> {
    let user: Permit<Arc<User>> = match input.user_name.as_deref() {
        Some(name) => access::user(cx, name, Asking::NOTHING).await?,
        None => access::calling_user(cx).await?,
    };
    let device = device_of(cx, &user.id, &input.serial_number).await?;
    Ok(GetMFADeviceOutput {
        user_name: Some(user.name.clone()),
        serial_number: input.serial_number,
        enable_date: device.assigned.as_ref().map(|assigned| assigned.since),
        certifications: None,
    })
}

pub(crate) async fn list_mfa_devices(
    _iam: &Iam,
    cx: &Cx,
    input: ListMFADevicesInput,
) -> Result<ListMFADevicesOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let owner_id = holder.owner_id();
    let paging = Paging::new(
        "ListMFADevices",
        &owner_id,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let devices = rows(cx).mfa_devices_of(&owner_id).await?;
    let page = paging.of(devices.into_iter().filter_map(|device| {
        let told = ApiDevice {
            user_name: holder.user_name().to_owned(),
            serial_number: device.serial_number(cx.account()),
            enable_date: device.assigned.as_ref()?.since,
        };
        Some((mfa_row(&device), told))
    }));
    Ok(ListMFADevicesOutput {
        is_truncated: page.is_truncated(),
        mfa_devices: page.items,
        marker: page.marker,
    })
}

/// Devices of the whole account, without seeds and tags.
pub(crate) async fn list_virtual_mfa_devices(
    _iam: &Iam,
    cx: &Cx,
    input: ListVirtualMFADevicesInput,
) -> Result<ListVirtualMFADevicesOutput, Error> {
    access::list(cx, "mfa", "/").await?;
    let status = input.assignment_status.unwrap_or(AssignmentStatusType::Any);
    let paging = Paging::new(
        "ListVirtualMFADevices",
        status.as_str(),
        input.marker.as_deref(),
        input.max_items,
    )?;
    let rows = rows(cx);
    let page = paging
        .names(&rows, &MFA_DEVICES, |device| match status {
            AssignmentStatusType::Any => true,
            AssignmentStatusType::Assigned => device.assigned.is_some(),
            AssignmentStatusType::Unassigned => device.assigned.is_none(),
        })
        .await?;
    let mut devices = Vec::with_capacity(page.items.len());
    for device in &page.items {
        let user = match &device.assigned {
            Some(assigned) => rows.user_by_id(&assigned.user_id).await?,
            None => None,
        };
        devices.push(VirtualMFADevice {
            serial_number: device.serial_number(cx.account()),
            base32_string_seed: None,
            qr_code_png: None,
            user: user.map(|user| answer::listed_user(cx.account(), &user)),
            enable_date: device.assigned.as_ref().map(|assigned| assigned.since),
            tags: None,
        });
    }
    Ok(ListVirtualMFADevicesOutput {
        is_truncated: page.is_truncated(),
        virtual_mfa_devices: devices,
        marker: page.marker,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, 10, of lengths that need no padding.
    #[test]
    fn seeds_are_spelled_as_published() {
        assert_eq!(base32(&Secret::new(b"fooba".to_vec())).expose(), "MZXW6YTB");
        assert_eq!(
            base32(&Secret::new(b"12345678901234567890".to_vec())).expose(),
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        );
        assert_eq!(base32(&Secret::new(vec![0; SEED_BYTES])).expose().len(), 64);
    }
}
