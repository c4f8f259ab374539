//! `ScheduleKeyDeletion` and `CancelKeyDeletion`. The deletion itself is
//! [`crate::jobs::delete_due_keys`].

use gate::Cx;
use kms_api::{
    CancelKeyDeletionInput, CancelKeyDeletionOutput, ScheduleKeyDeletionInput, ScheduleKeyDeletionOutput,
};

use crate::error::Error;
use crate::model::{DeletionWindow, Key};
use crate::ops::metadata;
use crate::{Kms, access, store};

/// Sets the deletion of a key for the end of a waiting period.
///
/// # Errors
///
/// [`Error::BadWindow`]; [`Error::State`] if it is pending already.
pub async fn schedule_key_deletion(
    kms: &Kms,
    cx: &Cx,
    input: ScheduleKeyDeletionInput,
) -> Result<ScheduleKeyDeletionOutput, Error> {
    let window = DeletionWindow::new(input.pending_window_in_days)?;
    let key = store::key(cx, &input.key_id).await?;

    let days = input.pending_window_in_days.map(i64::from);
    let key = access::unused_for(kms, cx, key)
        .await?
        .with("kms:schedulekeydeletionpendingwindowindays", days)
        .permit()
        .await?;
    let mut after = Key::clone(&key);
    let due = after.schedule_deletion(cx.now(), window)?;

    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(ScheduleKeyDeletionOutput {
        key_id: Some(after.arn()),
        deletion_date: due,
        key_state: Some(metadata::state(after.state_now())),
        pending_window_in_days: i32::try_from(window.days()).ok(),
    })
}

/// Calls the deletion of a key off. The key stays disabled.
///
/// # Errors
///
/// [`Error::State`] if none is pending, [`Error::KeyNotFound`] once its time
/// has come: the deletion may have begun.
pub async fn cancel_key_deletion(
    _kms: &Kms,
    cx: &Cx,
    input: CancelKeyDeletionInput,
) -> Result<CancelKeyDeletionOutput, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    if key.state.deletion_due().is_some_and(|due| due <= cx.now()) {
        return Err(Error::KeyNotFound(key.arn()));
    }
    let mut after = Key::clone(&key);
    after.cancel_deletion()?;

    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(CancelKeyDeletionOutput {
        key_id: Some(after.arn()),
    })
}
