//! `DescribeKey`.

use gate::Cx;
use kms_api::{DescribeKeyInput, DescribeKeyOutput};

use crate::error::Error;
use crate::ops::grant_token;
use crate::ops::metadata::metadata;
use crate::{Kms, access, store};

/// Tells everything about a key but its policy, tags and material.
///
/// # Errors
///
/// [`Error::KeyNotFound`] and its kin, [`Error::Denied`].
pub async fn describe_key(_kms: &Kms, cx: &Cx, input: DescribeKeyInput) -> Result<DescribeKeyOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = store::key_or_alias(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    Ok(DescribeKeyOutput {
        key_metadata: Some(metadata(&key)),
    })
}
