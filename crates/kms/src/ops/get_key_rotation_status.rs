//! `GetKeyRotationStatus`.

use gate::Cx;
use kms_api::{GetKeyRotationStatusInput, GetKeyRotationStatusOutput};

use crate::error::Error;
use crate::{Kms, access, store};

/// Tells that a key does not rotate: no operation makes one rotate yet, and of
/// asymmetric and HMAC keys it is always so.
///
/// # Errors
///
/// [`Error::KeyNotFound`] and its kin, [`Error::Denied`].
pub async fn get_key_rotation_status(
    _kms: &Kms,
    cx: &Cx,
    input: GetKeyRotationStatusInput,
) -> Result<GetKeyRotationStatusOutput, Error> {
    let key = store::shared_key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    Ok(GetKeyRotationStatusOutput {
        key_rotation_enabled: Some(false),
        key_id: Some(key.arn()),
        // Of keys that rotate, or have been told to.
        rotation_period_in_days: None,
        next_rotation_date: None,
        on_demand_rotation_start_date: None,
    })
}
