//! `CreateAlias`.

use gate::Cx;
use kms_api::CreateAliasInput;
use shape::Unit;

use crate::error::Error;
use crate::model::{AliasName, Demand};
use crate::{Kms, access, store};

/// Points a new alias at a key of the caller's account.
///
/// # Errors
///
/// [`Error::AliasExists`], [`Error::AliasReserved`], [`Error::TooManyAliases`];
/// [`Error::State`] while the deletion of the key is pending.
pub async fn create_alias(_kms: &Kms, cx: &Cx, input: CreateAliasInput) -> Result<Unit, Error> {
    let name = AliasName::parse(&input.alias_name)?;
    let key = store::key(cx, &input.target_key_id).await?;

    let name = cx.authorize(access::alias(cx, &name)).await?;
    let key = access::key(cx, key).permit().await?;
    key.check(Demand::Annotate)?;

    cx.write(async |tx| store::insert_alias(tx, &name, &key, cx.now()).await)
        .await?;
    Ok(Unit)
}
