//! The proxy's `Decrypt`.

use crypto::xks::Parts;
use gate::Cx;
use ground::Secret;
use kms_api::EncryptionAlgorithmSpec;
use shape::Blob;

use super::api::{DecryptInput, DecryptOutput};
use super::error::Error;
use super::{Proxy, ask_to_use, cipher, sought};
use crate::model::{Demand, EncryptionContext};

/// Decrypts what the proxy's `Encrypt` has encrypted.
///
/// # Errors
///
/// [`Error`]; of parts that do not open without saying why.
pub(super) async fn decrypt(proxy: &Proxy, cx: &Cx, input: DecryptInput) -> Result<DecryptOutput, Error> {
    let additional = input.additional_authenticated_data.unwrap_or_default();
    cipher::check_lengths("ciphertext", &input.ciphertext, &additional)?;
    let parts = Parts {
        metadata: input.ciphertext_metadata.unwrap_or_default().0,
        iv: input.initialization_vector.0,
        ciphertext: input.ciphertext.0,
        tag: input.authentication_tag.0,
    };
    let key = sought(cx, &input.external_key_id).await?;
    proxy.quotas.take_for(cx, &key)?;

    let nothing = EncryptionContext::default();
    let ask = ask_to_use(cx, key, &input.request_metadata, &nothing);
    let key = ask.permit().await?;
    key.check(Demand::Use)?;
    key.encrypts_with("Decrypt", EncryptionAlgorithmSpec::SymmetricDefault)?;
    cipher::check_here(&key)?;

    let opened = cipher::open(cx, &key, &additional, &parts).await?;
    cx.note("keyMaterialId", opened.material.to_string());
    proxy.last_uses.note(cx, &key);
    Ok(DecryptOutput {
        plaintext: Secret::new(Blob(opened.plaintext.expose().clone())),
    })
}
