//! `GenerateMac` and `VerifyMac`.

use gate::Cx;
use kms_api::{GenerateMacInput, GenerateMacOutput, VerifyMacInput, VerifyMacOutput};
use shape::Blob;

use crate::error::Error;
use crate::model::Demand;
use crate::ops::{grant_token, used};
use crate::{Kms, access, store};

/// Makes the HMAC of a message of up to 4,096 bytes.
///
/// # Errors
///
/// [`Error::State`], [`Error::UsageMismatch`], [`Error::AlgorithmMismatch`].
pub async fn generate_mac(kms: &Kms, cx: &Cx, input: GenerateMacInput) -> Result<GenerateMacOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = store::key_or_alias(cx, &input.key_id).await?;

    let key = access::key(cx, key).mac(input.mac_algorithm).permit().await?;
    key.check(Demand::Use)?;
    let algorithm = key.authenticates_with("GenerateMac", input.mac_algorithm)?;

    let backing = store::current_backing(cx, &key).await?;
    let mac = backing.mac(algorithm, input.message.expose())?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        GenerateMacOutput {
            mac: Some(Blob(mac)),
            mac_algorithm: Some(input.mac_algorithm),
            key_id: Some(key.arn()),
        },
    )
}

/// Verifies an HMAC. It is valid, or the operation fails.
///
/// # Errors
///
/// [`Error::InvalidMac`]; otherwise those of [`generate_mac`].
pub async fn verify_mac(kms: &Kms, cx: &Cx, input: VerifyMacInput) -> Result<VerifyMacOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = store::key_or_alias(cx, &input.key_id).await?;

    let key = access::key(cx, key).mac(input.mac_algorithm).permit().await?;
    key.check(Demand::Use)?;
    let algorithm = key.authenticates_with("VerifyMac", input.mac_algorithm)?;

    let backing = store::current_backing(cx, &key).await?;
    backing.verify_mac(algorithm, input.message.expose(), &input.mac)?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        VerifyMacOutput {
            key_id: Some(key.arn()),
            mac_valid: Some(true),
            mac_algorithm: Some(input.mac_algorithm),
        },
    )
}
