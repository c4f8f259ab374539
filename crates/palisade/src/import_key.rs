//! Gives a KMS key material from elsewhere, as any client does: asks for a
//! wrapping key, wraps, imports. Nothing but the KMS opens what was wrapped.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto::Random;
use crypto::key::{KeySpec, PublicKey, WrappingAlgorithm};
use ground::Secret;
use serde_json::json;

use crate::remote_kms::{Problem, RemoteKms, blob, text};

/// What wraps. Private RSA keys have no room in OAEP alone.
const ALGORITHM: WrappingAlgorithm = WrappingAlgorithm::RsaAesKeyWrapSha256;

/// Which of a key's materials is given.
pub(crate) enum Which<'a> {
    /// The only one, or the first; given again it must be the same.
    First,
    /// Another one, which the key rotates to when it is told to.
    Further,
    /// The one with this id, again.
    Known(&'a str),
}

/// Imports `material` into the `EXTERNAL` key `key_id`, for ever; tells the
/// material's id. `description` is kept with the material of a symmetric key.
pub(crate) async fn give(
    kms: &RemoteKms,
    key_id: &str,
    material: &Secret<Vec<u8>>,
    which: Which<'_>,
    description: Option<&str>,
    patience: Duration,
) -> Result<String, Problem> {
    let asked = json!({
        "KeyId": key_id,
        "WrappingAlgorithm": ALGORITHM.as_str(),
        "WrappingKeySpec": "RSA_3072",
    });
    let parameters = kms.call("GetParametersForImport", &asked, patience).await?;
    let public = blob(&parameters, "PublicKey")?;
    let wrapped = PublicKey::from_der(KeySpec::Rsa3072, public.expose())
        .and_then(|public| public.wrap_material(ALGORITHM, material.expose(), &Random::system()))
        .map_err(|error| Problem::Silent(error.into()))?;
    let mut input = json!({
        "KeyId": key_id,
        "ImportToken": text(&parameters, "ImportToken")?,
        "EncryptedKeyMaterial": BASE64.encode(wrapped),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    });
    match which {
        Which::First => {}
        Which::Further => input["ImportType"] = json!("NEW_KEY_MATERIAL"),
        Which::Known(id) => input["KeyMaterialId"] = json!(id),
    }
    if let Some(description) = description {
        input["KeyMaterialDescription"] = json!(description);
    }
    let imported = kms.call("ImportKeyMaterial", &input, patience).await?;
    Ok(imported["KeyMaterialId"].as_str().unwrap_or_default().to_owned())
}
