//! What KMS seals, and where it lies.
//!
//! Backing keys are in the rows of keys, and those of earlier generations in rows
//! of their own; secrets of custom key stores are in the rows of these. Grant tokens
//! and import tokens are with callers: the first are needed until a grant has come
//! to bind everywhere, which here is at once and at AWS within minutes; an import
//! token serves a day.

use std::sync::Arc;

use gate::{ResealError, Resealed, Resealing, Sealed};

use crate::limits::{GRANT_TOKEN_NEEDED, IMPORT_PARAMETERS_VALID};
use crate::model::{CustomKeyStore, Key, KeyId, Material, MaterialId, StoreId};
use crate::ops::{grant_token, import_token};
use crate::store::custom_key_stores::{SECRET_PURPOSE, STORES};
use crate::store::{KEYS, MATERIAL_PURPOSE, MATERIALS};

/// Everything that KMS seals.
pub fn sealed() -> [Sealed; 5] {
    [
        Sealed::column(MATERIAL_PURPOSE, &KEYS, key),
        Sealed::column(MATERIAL_PURPOSE, &MATERIALS, material),
        Sealed::column(SECRET_PURPOSE, &STORES, store),
        Sealed::carried(grant_token::PURPOSE, GRANT_TOKEN_NEEDED),
        Sealed::carried(import_token::PURPOSE, IMPORT_PARAMETERS_VALID),
    ]
}

fn again(
    resealing: &Resealing<'_>,
    key: &Key,
    id: &MaterialId,
    sealed: &Material,
) -> Result<Option<Material>, ResealError> {
    let domain = resealing.domain(key.account, &key.region);
    Ok(sealed.resealed(&key.id, id, key.purpose.spec(), &domain, resealing.random())?)
}

fn key<'a>(resealing: &'a Resealing<'a>, _: &'a KeyId, row: &'a Key) -> Resealed<'a, Key> {
    Box::pin(async move {
        let Some(sealed) = &row.sealed else {
            return Ok(None);
        };
        let fresh = again(resealing, row, &row.material, sealed)?;
        Ok(fresh.map(|fresh| Key {
            sealed: Some(fresh),
            ..Key::clone(row)
        }))
    })
}

fn material<'a>(
    resealing: &'a Resealing<'a>,
    (key, id): &'a (KeyId, MaterialId),
    row: &'a Material,
) -> Resealed<'a, Material> {
    Box::pin(async move {
        let owner: Option<Arc<Key>> = resealing.tx().get(&KEYS, key).await?;
        let owner = owner.ok_or(ResealError::Incomplete("its key is gone"))?;
        again(resealing, &owner, id, row)
    })
}

fn store<'a>(
    resealing: &'a Resealing<'a>,
    _: &'a StoreId,
    row: &'a CustomKeyStore,
) -> Resealed<'a, CustomKeyStore> {
    Box::pin(async move {
        let domain = resealing.domain(row.account, &row.region);
        Ok(row.resealed(&domain, resealing.random())?)
    })
}
