//! `UpdateAlias`.

use gate::Cx;
use kms_api::UpdateAliasInput;
use shape::Unit;

use crate::error::Error;
use crate::model::{AliasName, Demand, Key};
use crate::{Kms, access, store};

/// Points an alias at another key of the same kind and usage.
///
/// # Errors
///
/// [`Error::AliasFamily`] for a key of another kind, [`Error::TooManyAliases`];
/// [`Error::State`] while the deletion of the new key is pending. The state of
/// the old key does not matter.
pub async fn update_alias(_kms: &Kms, cx: &Cx, input: UpdateAliasInput) -> Result<Unit, Error> {
    let name = AliasName::parse(&input.alias_name)?;
    let alias = store::alias(cx, &name).await?;
    let from = store::key(cx, alias.key.as_str()).await?;
    let to = store::key(cx, &input.target_key_id).await?;

    let name = cx.authorize(access::alias(cx, &name)).await?;
    let from = access::key(cx, from).permit().await?;
    let to = access::key(cx, to).permit().await?;
    to.check(Demand::Annotate)?;
    refuse_other_family(&name, &from, &to)?;

    cx.write(async |tx| store::move_alias(tx, &name, &alias, &from, &to, cx.now()))
        .await?;
    Ok(Unit)
}

/// What used the alias goes on working only with a key that does the same.
///
/// Source: KMS API Reference, `UpdateAlias`.
fn refuse_other_family(alias: &AliasName, from: &Key, to: &Key) -> Result<(), Error> {
    let (from, to) = (from.purpose, to.purpose);
    if from.usage() == to.usage() && from.family() == to.family() {
        return Ok(());
    }
    Err(Error::AliasFamily {
        alias: alias.clone(),
        from: from.usage().as_str(),
        to: to.usage().as_str(),
    })
}
