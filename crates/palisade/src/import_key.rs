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

/// Imports `material` into the `EXTERNAL` key `key_id`, for ever; tells the
/// material's id. What the key has already is imported again, to no effect;
/// `further` is another material of a key that has one.
pub(crate) async fn give(
    kms: &RemoteKms,
    key_id: &str,
    material: &Secret<Vec<u8>>,
    further: bool,
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
    if further {
        input["ImportType"] = json!("NEW_KEY_MATERIAL");
    }
    let imported = kms.call("ImportKeyMaterial", &input, patience).await?;
    Ok(text(&imported, "KeyMaterialId")?.to_owned())
}
