//! The proxy's `GetKeyMetadata`.

use crypto::key::KeySpec;
use gate::Cx;

use super::api::{GetKeyMetadataInput, GetKeyMetadataOutput};
use super::error::Error;
use super::{Proxy, ask, cipher, sought};
use crate::model::{Demand, KeyUsage};

/// Tells spec, usage and status. Of a key that is not for this it tells the
/// truth too, and AWS KMS then refuses it.
///
/// # Errors
///
/// [`Error`].
pub(super) async fn get_key_metadata(
    _proxy: &Proxy,
    cx: &Cx,
    input: GetKeyMetadataInput,
) -> Result<GetKeyMetadataOutput, Error> {
    let key = sought(cx, &input.external_key_id).await?;
    let key = ask(cx, key, &input.request_metadata).permit().await?;
    cipher::check_here(&key)?;
    let spec = match key.purpose.spec() {
        KeySpec::SymmetricDefault => "AES_256",
        other => other.as_str(),
    };
    // The specification's words, and those of PKCS #11 that it points at.
    let usage: &[&str] = match key.purpose.usage() {
        KeyUsage::EncryptDecrypt => &["ENCRYPT", "DECRYPT"],
        KeyUsage::GenerateVerifyMac | KeyUsage::SignVerify => &["SIGN", "VERIFY"],
        KeyUsage::KeyAgreement => &["DERIVE"],
        KeyUsage::EncapsulateDecapsulate => &["WRAP", "UNWRAP"],
    };
    let status = match key.check(Demand::Use) {
        Ok(()) => "ENABLED",
        Err(_) => "DISABLED",
    };
    Ok(GetKeyMetadataOutput {
        key_spec: spec.to_owned(),
        key_usage: usage.iter().map(|&word| word.to_owned()).collect(),
        key_status: status.to_owned(),
    })
}
