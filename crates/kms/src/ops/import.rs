//! `GetParametersForImport`, `ImportKeyMaterial` and `DeleteImportedKeyMaterial`.
//! What expires is forgotten by [`crate::jobs::expiry`].

use ::store::TextKey as _;
use crypto::key::{BackingKey, KeySpec, WrappingAlgorithm};
use gate::Cx;
use ground::{Secret, Timestamp};
use kms_api::{
    AlgorithmSpec, DeleteImportedKeyMaterialInput, DeleteImportedKeyMaterialOutput, ExpirationModelType,
    GetParametersForImportInput, GetParametersForImportOutput, ImportKeyMaterialInput,
    ImportKeyMaterialOutput, ImportType, WrappingKeySpec,
};
use shape::Blob;

use crate::error::Error;
use crate::limits::{IMPORT_PARAMETERS_VALID, MATERIAL_VALID_MAX};
use crate::model::generation::Import;
use crate::model::{Demand, Family, Key, MaterialId};
use crate::ops::create_key::make;
use crate::ops::import_token::ImportToken;
use crate::{Kms, access, store};

/// Gives a public key under which material is to be wrapped, and a token that
/// holds its private half, sealed. Both serve one key for a day.
///
/// # Errors
///
/// [`Error::NotImported`] for a key with material made here,
/// [`Error::Unsupported`] for PKCS #1 v1.5 and SM2; [`Error::State`] while the
/// deletion of the key is pending.
pub async fn get_parameters_for_import(
    kms: &Kms,
    cx: &Cx,
    input: GetParametersForImportInput,
) -> Result<GetParametersForImportOutput, Error> {
    let (algorithm, spec) = (input.wrapping_algorithm, input.wrapping_key_spec);
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key)
        .with("kms:wrappingalgorithm", Some(algorithm.as_str()))
        .with("kms:wrappingkeyspec", Some(spec.as_str()))
        .permit()
        .await?;
    key.check_imported()?;
    key.check(Demand::Import)?;
    let token = ImportToken {
        algorithm: wrapping_algorithm(algorithm)?,
        valid_to: cx.now().after(IMPORT_PARAMETERS_VALID),
        wrapping_key: make(kms, wrapping_key_spec(spec)?, cx.random()).await?,
    };
    let public_key = token.wrapping_key.public_key_der();
    let public_key = public_key.expect("an RSA key has a public half").to_vec();
    Ok(GetParametersForImportOutput {
        key_id: Some(key.arn()),
        import_token: Some(Blob(token.seal(cx, &key)?)),
        public_key: Some(Secret::new(Blob(public_key))),
        parameters_valid_to: Some(token.valid_to),
    })
}

/// Gives a key the material that was wrapped for it.
///
/// A key for anything but symmetric encryption has one material for ever, and
/// takes that again when it was lost. A symmetric encryption key takes another
/// too, and rotates to it when `RotateKeyOnDemand` says so.
///
/// # Errors
///
/// [`Error::ImportToken`], [`Error::ImportTokenExpired`],
/// [`Error::InvalidCiphertext`] for what does not unwrap,
/// [`Error::IncorrectMaterial`] for material of another length or kind, and for
/// other material than is asked for; [`Error::Expiration`], [`Error::ImportTerms`].
pub async fn import_key_material(
    _kms: &Kms,
    cx: &Cx,
    input: ImportKeyMaterialInput,
) -> Result<ImportKeyMaterialOutput, Error> {
    let model = input
        .expiration_model
        .unwrap_or(ExpirationModelType::KeyMaterialExpires);
    let expires = expiration(cx, model, input.valid_to)?;
    let named = input.key_material_id.as_deref().map(read_id).transpose()?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key)
        .with("kms:expirationmodel", Some(model.as_str()))
        .with("kms:validto", expires)
        .permit()
        .await?;
    key.check_imported()?;
    key.check(Demand::Import)?;
    check_terms(&key, &input)?;
    let token = ImportToken::open(cx, &key, &input.import_token)?;
    let wrapped = &input.encrypted_key_material;
    let material = token.wrapping_key.unwrap_material(token.algorithm, wrapped)?;
    let spec = key.purpose.spec();
    let backing = BackingKey::from_bytes(spec, material.expose())
        .map_err(|_| Error::IncorrectMaterial { arn: key.arn() })?;
    let id = MaterialId::of_given(&key.id, &backing.to_bytes()?);
    if named.is_some_and(|named| named != id) {
        return Err(Error::IncorrectMaterial { arn: key.arn() });
    }

    let is_new = input.import_type.map(|kind| kind == ImportType::NewKeyMaterial);
    let mut after = Key::clone(&key);
    after.import(
        &id,
        is_new,
        Import {
            description: input.key_material_description,
            expires,
            present: true,
        },
    )?;
    let sealed = store::seal_as(cx, &after, &id, &backing)?;
    cx.note("importedKeyMaterialId", id.to_string());
    cx.write(async |tx| {
        store::place_material(tx, &mut after, &id, sealed.clone());
        store::update_key(tx, &key, &after);
        store::tell_related(tx, &after, |related| {
            if !after.is_replica() {
                related.expect_material(&after);
            }
            Ok(())
        })
        .await?;
        Ok::<_, Error>(())
    })
    .await?;
    Ok(ImportKeyMaterialOutput {
        key_id: Some(key.arn()),
        key_material_id: Some(id.into()),
    })
}

/// Forgets a material: the one that is named, or the current one. The key is
/// of no use until it is imported again.
///
/// # Errors
///
/// [`Error::NotImported`], [`Error::MaterialUnknown`].
pub async fn delete_imported_key_material(
    _kms: &Kms,
    cx: &Cx,
    input: DeleteImportedKeyMaterialInput,
) -> Result<DeleteImportedKeyMaterialOutput, Error> {
    let named = input.key_material_id.as_deref().map(read_id).transpose()?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    key.check_imported()?;
    let told = |id: Option<MaterialId>| DeleteImportedKeyMaterialOutput {
        key_id: Some(key.arn()),
        key_material_id: id.map(String::from),
    };
    let id = match named {
        Some(id) if !key.has_material(&id) => return Err(Error::MaterialUnknown { arn: key.arn() }),
        Some(id) => id,
        // Nothing was ever imported, so nothing is lost.
        None if key.has_no_material_yet() => return Ok(told(None)),
        None => key.material.clone(),
    };
    let mut after = Key::clone(&key);
    after.lose(&id);
    cx.write(async |tx| {
        store::drop_material(tx, &after, &id);
        store::update_key(tx, &key, &after);
        store::forget_pending(tx, &after, &id).await
    })
    .await
    .map_err(Error::Store)?;
    Ok(told(Some(id)))
}

/// What is said of a material beside its expiry is for symmetric encryption
/// keys, which may have several.
///
/// Source: KMS API Reference, `ImportKeyMaterial`, `ImportType`,
/// `KeyMaterialDescription`, `KeyMaterialId`.
fn check_terms(key: &Key, input: &ImportKeyMaterialInput) -> Result<(), Error> {
    let says = input.import_type.is_some()
        || input.key_material_description.is_some()
        || input.key_material_id.is_some();
    if says && key.purpose.family() != Family::Symmetric {
        return Err(Error::ImportTerms(
            "ImportType, KeyMaterialDescription and KeyMaterialId are valid only for symmetric encryption KMS keys",
        ));
    }
    if input.key_material_id.is_some() && input.import_type == Some(ImportType::NewKeyMaterial) {
        return Err(Error::ImportTerms(
            "KeyMaterialId is not valid with an ImportType of NEW_KEY_MATERIAL",
        ));
    }
    Ok(())
}

fn wrapping_algorithm(asked: AlgorithmSpec) -> Result<WrappingAlgorithm, Error> {
    WrappingAlgorithm::parse(asked.as_str()).ok_or(Error::Unsupported(asked.as_str()))
}

fn wrapping_key_spec(asked: WrappingKeySpec) -> Result<KeySpec, Error> {
    match asked {
        WrappingKeySpec::Rsa2048 => Ok(KeySpec::Rsa2048),
        WrappingKeySpec::Rsa3072 => Ok(KeySpec::Rsa3072),
        WrappingKeySpec::Rsa4096 => Ok(KeySpec::Rsa4096),
        WrappingKeySpec::Sm2 => Err(Error::Unsupported(asked.as_str())),
    }
}

/// Until when the material serves; `None` for ever.
///
/// Source: KMS API Reference, `ImportKeyMaterial`, `ExpirationModel`, `ValidTo`.
fn expiration(
    cx: &Cx,
    model: ExpirationModelType,
    valid_to: Option<Timestamp>,
) -> Result<Option<Timestamp>, Error> {
    match (model, valid_to) {
        (ExpirationModelType::KeyMaterialDoesNotExpire, None) => Ok(None),
        (ExpirationModelType::KeyMaterialDoesNotExpire, Some(_)) => {
            Err(Error::Expiration("ValidTo is for material that expires"))
        }
        (ExpirationModelType::KeyMaterialExpires, None) => {
            Err(Error::Expiration("ValidTo is needed for material that expires"))
        }
        (ExpirationModelType::KeyMaterialExpires, Some(at)) if at <= cx.now() => {
            Err(Error::Expiration("ValidTo is not in the future"))
        }
        (ExpirationModelType::KeyMaterialExpires, Some(at)) if at > cx.now().after(MATERIAL_VALID_MAX) => {
            Err(Error::Expiration("ValidTo is more than 365 days ahead"))
        }
        (ExpirationModelType::KeyMaterialExpires, Some(at)) => Ok(Some(at)),
    }
}

fn read_id(text: &str) -> Result<MaterialId, Error> {
    MaterialId::from_text(text).ok_or(Error::BadMaterialId)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrapped in a way that nobody unwraps any more is refused by name.
    #[test]
    fn every_way_to_wrap_is_done_or_refused() {
        for asked in AlgorithmSpec::ALL {
            let done = wrapping_algorithm(*asked);
            let refused = matches!(asked, AlgorithmSpec::RsaesPkcs1V15 | AlgorithmSpec::Sm2pke);
            assert_eq!(matches!(done, Err(Error::Unsupported(_))), refused, "{asked:?}");
        }
    }
}
