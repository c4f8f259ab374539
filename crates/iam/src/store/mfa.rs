//! Rows of virtual MFA devices.
//!
//! Invariants:
//! - [`DEVICES_OF_USER`] has a row for every device that is assigned;
//! - a device's counter stays until the device is deleted, so that taking it
//!   off a user and giving it back makes no spent code good.

use std::sync::Arc;

use gate::Permit;
use ground::Arn;
use store::{Prefix, StoreError, Table, WriteTx};

use crate::limits::MFA_DEVICES_PER_USER_MAX;
use crate::model::{Attachment, Counter, MfaDevice, fold};
use crate::store::Rows;

/// By folded name: names are unique whatever their path.
pub(crate) const MFA_DEVICES: Table<String, MfaDevice> = Table::new("iam/mfa-device", 1);
/// By folded name of the device.
pub(crate) const MFA_COUNTERS: Table<String, Counter> = Table::new("iam/mfa-counter", 1);
/// By id of the user, and folded name of the device.
const DEVICES_OF_USER: Table<(String, String), Attachment> = Table::new("iam/user-mfa-device", 1);

/// The key of a device's rows.
pub(crate) fn mfa_row(device: &MfaDevice) -> String {
    fold(&device.name)
}

impl Rows<'_> {
    /// The device with this very serial number.
    pub(crate) async fn mfa_device(&self, serial_number: &str) -> Result<Option<Arc<MfaDevice>>, StoreError> {
        let Some(name) = Arn::parse(serial_number)
            .ok()
            .and_then(|arn| arn.resource.rsplit('/').next().map(fold))
        else {
            return Ok(None);
        };
        let found = self.get(&MFA_DEVICES, &name).await?;
        Ok(found.filter(|device| device.serial_number(self.account()) == serial_number))
    }

    /// The device called `name`, in any case.
    pub(crate) async fn mfa_device_called(&self, name: &str) -> Result<Option<Arc<MfaDevice>>, StoreError> {
        self.get(&MFA_DEVICES, &fold(name)).await
    }

    /// The devices of a user, by name.
    pub(crate) async fn mfa_devices_of(&self, user_id: &str) -> Result<Vec<Arc<MfaDevice>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&user_id.to_owned());
        let page = self
            .scan(&DEVICES_OF_USER, &prefix, None, MFA_DEVICES_PER_USER_MAX + 1)
            .await?;
        let mut devices = Vec::with_capacity(page.items.len());
        for ((_, name), _) in page.items {
            devices.extend(self.get(&MFA_DEVICES, &name).await?);
        }
        Ok(devices)
    }

    /// Which codes of a device are spent; `None` before it was ever enabled.
    pub(crate) async fn mfa_counter(&self, device: &MfaDevice) -> Result<Option<Counter>, StoreError> {
        let counter = self.get(&MFA_COUNTERS, &mfa_row(device)).await?;
        Ok(counter.map(|counter| *counter))
    }
}

/// Keeps a device, new or with other tags.
pub(crate) fn put_mfa_device(tx: &mut WriteTx, device: &Permit<MfaDevice>) {
    tx.put(&MFA_DEVICES, &mfa_row(device), &**device);
}

/// Keeps a device that was just assigned to the user with this id.
pub(crate) fn put_assigned_mfa_device(tx: &mut WriteTx, user_id: &str, device: &Permit<MfaDevice>) {
    tx.put(
        &DEVICES_OF_USER,
        &(user_id.to_owned(), mfa_row(device)),
        &Attachment {},
    );
    put_mfa_device(tx, device);
}

/// Keeps a device that was just taken off the user with this id.
pub(crate) fn put_released_mfa_device(tx: &mut WriteTx, user_id: &str, device: &Permit<MfaDevice>) {
    tx.delete(&DEVICES_OF_USER, &(user_id.to_owned(), mfa_row(device)));
    put_mfa_device(tx, device);
}

/// Notes which codes of a device are spent.
pub(crate) fn put_mfa_counter(tx: &mut WriteTx, device: &Permit<MfaDevice>, counter: &Counter) {
    tx.put(&MFA_COUNTERS, &mfa_row(device), counter);
}

/// Removes a device that is assigned to nobody.
pub(crate) fn delete_mfa_device(tx: &mut WriteTx, device: &Permit<Arc<MfaDevice>>) {
    tx.delete(&MFA_DEVICES, &mfa_row(device));
    tx.delete(&MFA_COUNTERS, &mfa_row(device));
}
