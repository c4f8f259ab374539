//! `Decrypt`.

use gate::Cx;
use kms_api::{DecryptInput, DecryptOutput, EncryptionAlgorithmSpec};

use crate::error::Error;
use crate::model::{Demand, EncryptionContext};
use crate::ops::cipher::{self, Source};
use crate::ops::{grant_token, used};
use crate::recipient::{self, Recipient};
use crate::{Kms, access};

/// Decrypts what `Encrypt`, a data key operation or, for RSA, anyone with the
/// public key has encrypted.
///
/// # Errors
///
/// [`Error::InvalidCiphertext`] without saying why, [`Error::IncorrectKey`] if
/// the ciphertext names another key than the request.
pub async fn decrypt(kms: &Kms, cx: &Cx, input: DecryptInput) -> Result<DecryptOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let recipient = Recipient::read(kms, cx, input.recipient)?;
    let asked = input
        .encryption_algorithm
        .unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault);
    let context = EncryptionContext::parse(input.encryption_context)?;
    let source = Source::parse(
        input.ciphertext_blob,
        input.dry_run,
        input.dry_run_modifiers.as_deref(),
    )?;
    let key = source.key(cx, input.key_id.as_deref(), asked, "keyId").await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key)
        .encryption(asked, &context)
        .attested(recipient.as_ref())
        .permit()
        .await?;
    key.check(Demand::Use)?;
    let algorithm = key.encrypts_with("Decrypt", asked)?;

    let Source::Blob(ciphertext) = source else {
        return Err(Error::DryRun);
    };
    let opened = cipher::open(kms, cx, &key, algorithm, &context, &ciphertext).await?;
    cipher::note(cx, "keyMaterialId", opened.material.as_ref());
    let (plaintext, sealed) = recipient::told(recipient.as_ref(), cx, opened.plaintext.expose())?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        DecryptOutput {
            key_id: Some(key.arn()),
            plaintext,
            encryption_algorithm: Some(asked),
            ciphertext_for_recipient: sealed,
            key_material_id: opened.material.filter(|_| recipient.is_none()).map(String::from),
        },
    )
}
