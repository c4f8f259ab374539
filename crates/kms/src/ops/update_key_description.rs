//! `UpdateKeyDescription`.

use gate::Cx;
use kms_api::UpdateKeyDescriptionInput;
use shape::Unit;

use crate::error::Error;
use crate::model::{Demand, Key};
use crate::{Kms, access, store};

/// Replaces what the owner says of a key.
///
/// # Errors
///
/// [`Error::State`] while its deletion is pending.
pub async fn update_key_description(
    _kms: &Kms,
    cx: &Cx,
    input: UpdateKeyDescriptionInput,
) -> Result<Unit, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    key.check(Demand::Annotate)?;

    let after = Key {
        description: input.description,
        ..Key::clone(&key)
    };
    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}
