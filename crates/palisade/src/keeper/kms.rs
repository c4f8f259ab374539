//! A key of an AWS-compatible KMS: `kms:Encrypt` wraps, `kms:Decrypt` opens.
//!
//! The encryption context `palisade:store` names the store, so that the other
//! side can permit and record by it.

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crypto::slot::{Kept, KmsKeeper};
use ground::Secret;
use serde_json::{Value, json};

use super::{Key, Means, file_or_credential, whole};
use crate::client;
use crate::credentials::ClientSettings;

/// The name under which systemd hands over a credentials file.
const CREDENTIAL_NAME: &str = "palisade-seal-kms";

/// Has a key encrypted by the key that endpoint, region and key id name.
pub(super) fn wrap(means: &Means, store_id: &str, place: &[&str; 3], key: &Key) -> Result<KmsKeeper> {
    let [endpoint, region, key_id] = *place;
    let input = json!({
        "KeyId": key_id,
        "Plaintext": BASE64.encode(key.expose()),
        "EncryptionContext": {"palisade:store": store_id},
    });
    let answer = call(means, endpoint, region, "Encrypt", &input)?;
    Ok(KmsKeeper {
        endpoint: endpoint.to_owned(),
        region: region.to_owned(),
        key_id: key_id.to_owned(),
        ciphertext: Kept::new(&blob(&answer, "CiphertextBlob")?)?,
    })
}

/// Has a key decrypted, by the very key that encrypted it.
pub(super) fn unwrap(means: &Means, store_id: &str, keeper: &KmsKeeper) -> Result<Key> {
    let input = json!({
        "KeyId": keeper.key_id,
        "CiphertextBlob": BASE64.encode(keeper.ciphertext.bytes()),
        "EncryptionContext": {"palisade:store": store_id},
    });
    let answer = call(means, &keeper.endpoint, &keeper.region, "Decrypt", &input)?;
    whole(&Secret::new(blob(&answer, "Plaintext")?))
}

fn call(means: &Means, endpoint: &str, region: &str, operation: &str, input: &Value) -> Result<Value> {
    let found = match file_or_credential(means.kms_credentials_file.as_ref(), CREDENTIAL_NAME) {
        Some(path) => ClientSettings::from_file(&path)?,
        None => ClientSettings::from_environment()?,
    };
    let settings = ClientSettings {
        endpoint: endpoint.to_owned(),
        region: region.to_owned(),
        ..found
    };
    let reply = client::kms(&settings, operation, input)?;
    if reply.status != 200 {
        let text = |name: &str| reply.body.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = [text("message"), text("Message")].concat();
        bail!(
            "{endpoint} refuses kms:{operation}: {} {}",
            text("__type"),
            message.chars().take(1_000).collect::<String>()
        );
    }
    Ok(reply.body)
}

fn blob(answer: &Value, name: &str) -> Result<Vec<u8>> {
    answer
        .get(name)
        .and_then(Value::as_str)
        .and_then(|text| BASE64.decode(text).ok())
        .with_context(|| format!("the answer has no {name}"))
}
