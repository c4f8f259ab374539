//! Sealing and opening in parts.

use std::sync::Arc;

use crypto::xks::{ADDITIONAL_BYTES_MAX, HINT_BYTES, PLAINTEXT_BYTES_MAX, Parts};
use gate::{Cx, Permit};
use ground::Secret;

use super::error::Error;
use crate::model::{Key, MaterialId};
use crate::store;

/// A plaintext, and the material that had sealed it.
pub(super) struct Opened {
    pub(super) plaintext: Secret<Vec<u8>>,
    pub(super) material: MaterialId,
}

/// Refuses what is longer than every proxy must take.
pub(super) fn check_lengths(member: &'static str, text: &[u8], additional: &[u8]) -> Result<(), Error> {
    let lengths = [
        (member, text.len(), PLAINTEXT_BYTES_MAX),
        (
            "additionalAuthenticatedData",
            additional.len(),
            ADDITIONAL_BYTES_MAX,
        ),
    ];
    match lengths.into_iter().find(|(_, given, max)| given > max) {
        Some((member, given, max)) => Err(Error::TooLong { member, given, max }),
        None => Ok(()),
    }
}

/// Refuses a key whose material is not here.
pub(super) fn check_here(key: &Key) -> Result<(), Error> {
    match &key.custody {
        Some(_) => Err(Error::Elsewhere(key.arn())),
        None => Ok(()),
    }
}

/// Encrypts under the current material of `key`.
pub(super) async fn seal(
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    additional: &[u8],
    plaintext: &[u8],
) -> Result<Parts, crate::Error> {
    let backing = store::current_backing(cx, key).await?;
    let symmetric = backing.symmetric().ok_or(crate::Error::InvalidCiphertext)?;
    let (hint, binding) = (hint(&key.material), key.binding().as_bytes());
    Ok(Parts::seal(
        symmetric,
        hint,
        binding,
        additional,
        plaintext,
        cx.random(),
    )?)
}

/// Decrypts with the material of `key` that sealed the parts: the hint leaves
/// one, or by a rare chance a few, to try.
pub(super) async fn open(
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    additional: &[u8],
    parts: &Parts,
) -> Result<Opened, crate::Error> {
    let hinted = parts.hint().ok_or(crate::Error::InvalidCiphertext)?;
    let materials = key.generations().into_iter().rev().map(|it| it.material);
    for material in materials.filter(|material| hint(material) == hinted) {
        let Some(backing) = store::backing(cx, key, &material).await? else {
            continue;
        };
        let Some(symmetric) = backing.symmetric() else {
            continue;
        };
        match parts.open(symmetric, key.binding().as_bytes(), additional) {
            Ok(plaintext) => return Ok(Opened { plaintext, material }),
            Err(crypto::Error::BadCiphertext) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(crate::Error::InvalidCiphertext)
}

fn hint(material: &MaterialId) -> [u8; HINT_BYTES] {
    let bytes = material.bytes();
    let (hint, _) = bytes
        .split_first_chunk()
        .expect("a material's id is longer than a hint");
    *hint
}
