//! `DeleteAlias`.

use gate::Cx;
use kms_api::DeleteAliasInput;
use shape::Unit;

use crate::error::Error;
use crate::model::AliasName;
use crate::{Kms, access, store};

/// Deletes an alias. The key it points at stays, whatever its state.
///
/// # Errors
///
/// [`Error::AliasNotFound`].
pub async fn delete_alias(_kms: &Kms, cx: &Cx, input: DeleteAliasInput) -> Result<Unit, Error> {
    let name = AliasName::parse(&input.alias_name)?;
    let alias = store::alias(cx, &name).await?;
    let key = store::key(cx, alias.key.as_str()).await?;

    let name = cx.authorize(access::alias(cx, &name)).await?;
    let key = access::key(cx, key).permit().await?;

    cx.write(async |tx| {
        store::delete_alias(tx, &name, &key);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}
