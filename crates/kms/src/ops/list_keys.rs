//! `ListKeys`.

use gate::Cx;
use kms_api::{KeyListEntry, ListKeysInput, ListKeysOutput, ResourceOwnerType};

use crate::error::Error;
use crate::limits::KEYS_PAGE;
use crate::model::KeyId;
use crate::ops::page;
use crate::{Kms, access, store};

const LIST: &str = "ListKeys";

/// Lists the keys of the caller's account and region, in the order of their ids.
///
/// Keys of other accounts come by shares of Resource Access Manager; there are
/// none here, so asking for those alone gives an empty list.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::Limit`], [`Error::Denied`].
pub async fn list_keys(_kms: &Kms, cx: &Cx, input: ListKeysInput) -> Result<ListKeysOutput, Error> {
    let size = page::size(input.limit, KEYS_PAGE)?;
    let after = page::after(LIST, input.marker.as_deref(), KeyId::parse)?;
    let owners = input.resource_owners.unwrap_or_default();

    cx.authorize(access::account(())).await?;
    if !owners.is_empty() && !owners.contains(&ResourceOwnerType::Self_) {
        return Ok(ListKeysOutput {
            keys: Some(Vec::new()),
            next_marker: None,
            truncated: Some(false),
        });
    }
    let keys = store::keys(cx, after.as_ref(), size).await?;
    let entries = keys.items.iter().map(|(id, key)| KeyListEntry {
        key_id: Some(id.to_string()),
        key_arn: Some(key.arn()),
    });
    Ok(ListKeysOutput {
        keys: Some(entries.collect()),
        next_marker: page::marker(LIST, keys.next.as_ref().map(KeyId::as_str)),
        truncated: Some(keys.next.is_some()),
    })
}
