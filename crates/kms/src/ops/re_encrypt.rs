//! `ReEncrypt`.

use gate::Cx;
use kms_api::{EncryptionAlgorithmSpec, ReEncryptInput, ReEncryptOutput};
use shape::Blob;

use crate::error::Error;
use crate::model::{Demand, EncryptionContext};
use crate::ops::cipher::{self, Source};
use crate::ops::{grant_token, used};
use crate::{Kms, access, store};

/// Decrypts under one key and encrypts under another, or under the same with
/// another context. The plaintext is not shown.
///
/// # Errors
///
/// Those of `Decrypt` for the source and of `Encrypt` for the destination.
pub async fn re_encrypt(kms: &Kms, cx: &Cx, input: ReEncryptInput) -> Result<ReEncryptOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let default = EncryptionAlgorithmSpec::SymmetricDefault;
    let asked_from = input.source_encryption_algorithm.unwrap_or(default);
    let asked_to = input.destination_encryption_algorithm.unwrap_or(default);
    let context_from = EncryptionContext::parse(input.source_encryption_context)?;
    let context_to = EncryptionContext::parse(input.destination_encryption_context)?;
    let source = Source::parse(
        input.ciphertext_blob,
        input.dry_run,
        input.dry_run_modifiers.as_deref(),
    )?;
    let from = source
        .key(cx, input.source_key_id.as_deref(), asked_from, "sourceKeyId")
        .await?;
    let to = store::key_or_alias(cx, &input.destination_key_id).await?;
    kms.quotas.take_for_both(cx, &from, &to)?;

    let is_same = from.arn == to.arn;
    let from = access::key(cx, from)
        .doing("kms:ReEncryptFrom")
        .encryption(asked_from, &context_from)
        .with("kms:reencryptonsamekey", Some(is_same))
        .permit()
        .await?;
    let to = access::key(cx, to)
        .doing("kms:ReEncryptTo")
        .encryption(asked_to, &context_to)
        .with("kms:reencryptonsamekey", Some(is_same))
        .permit()
        .await?;
    from.check(Demand::Use)?;
    to.check(Demand::Use)?;
    let algorithm_from = from.encrypts_with("ReEncryptFrom", asked_from)?;
    let algorithm_to = to.encrypts_with("ReEncryptTo", asked_to)?;

    let Source::Blob(ciphertext) = source else {
        return Err(Error::DryRun);
    };
    let opened = cipher::open(kms, cx, &from, algorithm_from, &context_from, &ciphertext).await?;
    let sealed = cipher::seal(kms, cx, &to, algorithm_to, &context_to, opened.plaintext.expose()).await?;
    cipher::note(cx, "sourceKeyMaterialId", opened.material.as_ref());
    cipher::note(cx, "destinationKeyMaterialId", sealed.material.as_ref());
    used(
        kms,
        cx,
        &[&from, &to],
        input.dry_run,
        ReEncryptOutput {
            ciphertext_blob: Some(Blob(sealed.ciphertext)),
            source_key_id: Some(from.arn()),
            key_id: Some(to.arn()),
            source_encryption_algorithm: Some(asked_from),
            destination_encryption_algorithm: Some(asked_to),
            source_key_material_id: opened.material.map(String::from),
            destination_key_material_id: sealed.material.map(String::from),
        },
    )
}
