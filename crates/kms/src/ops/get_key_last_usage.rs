//! `GetKeyLastUsage`.

use gate::Cx;
use ground::Timestamp;
use kms_api::{GetKeyLastUsageInput, GetKeyLastUsageOutput, KeyLastUsageData, KeyLastUsageTrackingOperation};

use crate::error::Error;
use crate::last_use::LastUse;
use crate::{Kms, access, store};

/// Tells of the last successful cryptographic operation with a key, and since
/// when such are noted.
///
/// # Errors
///
/// [`Error::AliasNotAccepted`], [`Error::KeyNotFound`], [`Error::Denied`].
pub async fn get_key_last_usage(
    kms: &Kms,
    cx: &Cx,
    input: GetKeyLastUsageInput,
) -> Result<GetKeyLastUsageOutput, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    let usage = kms.last_uses.of(cx, &key).await?;
    Ok(GetKeyLastUsageOutput {
        key_id: Some(key.id.to_string()),
        // Empty, not absent, of a key that was never used.
        key_last_usage: Some(usage.last.map(told).unwrap_or_default()),
        tracking_start_date: Some(usage.since),
        key_creation_date: Some(key.created),
    })
}

/// A use as the API tells it: to the second.
fn told(last: LastUse) -> KeyLastUsageData {
    KeyLastUsageData {
        operation: KeyLastUsageTrackingOperation::parse(&last.operation),
        timestamp: Some(Timestamp::from_seconds(last.at.seconds())),
        cloud_trail_event_id: Some(last.event_id),
        kms_request_id: Some(last.request_id),
    }
}
