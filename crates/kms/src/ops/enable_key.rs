//! `EnableKey` and `DisableKey`.

use std::sync::Arc;

use gate::{Cx, Permit};
use kms_api::{DisableKeyInput, EnableKeyInput};
use shape::Unit;

use crate::error::Error;
use crate::model::Key;
use crate::{Kms, access, store};

/// Switches a key on. One that is on stays on.
///
/// # Errors
///
/// [`Error::State`] while its deletion is pending.
pub async fn enable_key(_kms: &Kms, cx: &Cx, input: EnableKeyInput) -> Result<Unit, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    switch(cx, &key, Key::enable).await
}

/// Switches a key off: cryptography with it fails until it is switched on.
///
/// # Errors
///
/// [`Error::State`] while its deletion is pending.
pub async fn disable_key(kms: &Kms, cx: &Cx, input: DisableKeyInput) -> Result<Unit, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::unused_for(kms, cx, key).await?.permit().await?;
    switch(cx, &key, Key::disable).await
}

async fn switch(
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    change: fn(&mut Key) -> Result<(), Error>,
) -> Result<Unit, Error> {
    let mut after = Key::clone(key);
    change(&mut after)?;

    cx.write(async |tx| {
        store::update_key(tx, key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}
