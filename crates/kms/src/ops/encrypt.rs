//! `Encrypt`.

use gate::Cx;
use kms_api::{EncryptInput, EncryptOutput, EncryptionAlgorithmSpec};
use shape::Blob;

use crate::error::Error;
use crate::model::{Demand, EncryptionContext};
use crate::ops::{cipher, grant_token, used};
use crate::{Kms, access, store};

/// Encrypts up to 4,096 bytes, or what fits an RSA key.
///
/// # Errors
///
/// [`Error::State`], [`Error::UsageMismatch`], [`Error::AlgorithmMismatch`],
/// [`Error::PlaintextLength`] and whatever else [`Error`] names.
pub async fn encrypt(kms: &Kms, cx: &Cx, input: EncryptInput) -> Result<EncryptOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let asked = input
        .encryption_algorithm
        .unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault);
    let context = EncryptionContext::parse(input.encryption_context)?;
    let key = store::key_or_alias(cx, &input.key_id).await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key).encryption(asked, &context).permit().await?;
    key.check(Demand::Use)?;
    let algorithm = key.encrypts_with("Encrypt", asked)?;

    let sealed = cipher::seal(kms, cx, &key, algorithm, &context, input.plaintext.expose()).await?;
    cipher::note(cx, "keyMaterialId", sealed.material.as_ref());
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        EncryptOutput {
            ciphertext_blob: Some(Blob(sealed.ciphertext)),
            key_id: Some(key.arn()),
            encryption_algorithm: Some(asked),
        },
    )
}
