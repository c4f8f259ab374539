//! The proxy's `Encrypt`.

use gate::Cx;
use kms_api::EncryptionAlgorithmSpec;
use shape::Blob;

use super::api::{EncryptInput, EncryptOutput};
use super::error::Error;
use super::{Proxy, ask_to_use, cipher, sought};
use crate::model::{Demand, EncryptionContext};

/// Encrypts up to 4,300 bytes. Who asks for an integrity value is told one only
/// if the ciphertext opens again, and the value is computed before that, so
/// that it cannot be of bytes that were damaged after (Appendix C).
///
/// # Errors
///
/// [`Error`].
pub(super) async fn encrypt(proxy: &Proxy, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Error> {
    let additional = input.additional_authenticated_data.unwrap_or_default();
    let plaintext = input.plaintext.expose();
    cipher::check_lengths("plaintext", plaintext, &additional)?;
    let key = sought(cx, &input.external_key_id).await?;
    proxy.quotas.take_for(cx, &key)?;

    let nothing = EncryptionContext::default();
    let ask = ask_to_use(cx, key, &input.request_metadata, &nothing);
    let key = ask.permit().await?;
    key.check(Demand::Use)?;
    key.encrypts_with("Encrypt", EncryptionAlgorithmSpec::SymmetricDefault)?;
    cipher::check_here(&key)?;

    let parts = cipher::seal(cx, &key, &additional, plaintext).await?;
    let integrity_value = match input.ciphertext_data_integrity_value_algorithm {
        Some(_) => {
            let value = parts.integrity_value(&additional);
            let opened = cipher::open(cx, &key, &additional, &parts).await;
            let is_whole = opened.is_ok_and(|opened| *opened.plaintext.expose() == plaintext.0);
            if !is_whole {
                return Err(Error::Damaged);
            }
            Some(Blob(value.to_vec()))
        }
        None => None,
    };
    cx.note("keyMaterialId", key.material.to_string());
    proxy.last_uses.note(cx, &key);
    Ok(EncryptOutput {
        ciphertext: Blob(parts.ciphertext),
        ciphertext_metadata: Blob(parts.metadata),
        initialization_vector: Blob(parts.iv),
        authentication_tag: Blob(parts.tag),
        ciphertext_data_integrity_value: integrity_value,
    })
}
