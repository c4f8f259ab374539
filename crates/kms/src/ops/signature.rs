//! `Sign` and `Verify`.

use gate::Cx;
use kms_api::{MessageType, SignInput, SignOutput, VerifyInput, VerifyOutput};
use shape::Blob;

use crate::error::Error;
use crate::model::Demand;
use crate::ops::{grant_token, used};
use crate::{Kms, access, store};

/// Signs a message of up to 4,096 bytes, or a digest.
///
/// # Errors
///
/// [`Error::DigestLength`] and [`Error::MessageType`] for what the algorithm
/// does not take; [`Error::State`], [`Error::UsageMismatch`] and
/// [`Error::AlgorithmMismatch`] for the key.
pub async fn sign(kms: &Kms, cx: &Cx, input: SignInput) -> Result<SignOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let message_type = input.message_type.unwrap_or(MessageType::Raw);
    let key = store::key_or_alias(cx, &input.key_id).await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key)
        .signing(input.signing_algorithm, message_type)
        .permit()
        .await?;
    key.check(Demand::Use)?;
    let algorithm = key.signs_with("Sign", input.signing_algorithm)?;
    let kind = kind(message_type);

    let backing = store::current_backing(cx, &key).await?;
    let signature = backing.sign(algorithm, kind, input.message.expose())?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        SignOutput {
            key_id: Some(key.arn()),
            signature: Some(Blob(signature)),
            signing_algorithm: Some(input.signing_algorithm),
        },
    )
}

/// Verifies a signature. It is valid, or the operation fails.
///
/// # Errors
///
/// [`Error::InvalidSignature`]; otherwise those of [`sign`].
pub async fn verify(kms: &Kms, cx: &Cx, input: VerifyInput) -> Result<VerifyOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let message_type = input.message_type.unwrap_or(MessageType::Raw);
    let key = store::key_or_alias(cx, &input.key_id).await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key)
        .signing(input.signing_algorithm, message_type)
        .permit()
        .await?;
    key.check(Demand::Use)?;
    let algorithm = key.signs_with("Verify", input.signing_algorithm)?;
    let kind = kind(message_type);

    let backing = store::current_backing(cx, &key).await?;
    backing.verify(algorithm, kind, input.message.expose(), &input.signature)?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        VerifyOutput {
            key_id: Some(key.arn()),
            signature_valid: Some(true),
            signing_algorithm: Some(input.signing_algorithm),
        },
    )
}

/// What the message is.
fn kind(message_type: MessageType) -> crypto::key::MessageType {
    match message_type {
        MessageType::Raw => crypto::key::MessageType::Raw,
        MessageType::Digest => crypto::key::MessageType::Digest,
        MessageType::ExternalMu => crypto::key::MessageType::ExternalMu,
    }
}
