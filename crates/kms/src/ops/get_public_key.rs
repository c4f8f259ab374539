//! `GetPublicKey`.

use gate::Cx;
use kms_api::{GetPublicKeyInput, GetPublicKeyOutput};
use shape::Blob;

use crate::error::Error;
use crate::model::Demand;
use crate::ops::{grant_token, metadata};
use crate::{Kms, access, store};

/// Gives the public half of an asymmetric key, as a SubjectPublicKeyInfo.
///
/// # Errors
///
/// [`Error::WithoutPublicKey`] for symmetric and HMAC keys.
pub async fn get_public_key(
    _kms: &Kms,
    cx: &Cx,
    input: GetPublicKeyInput,
) -> Result<GetPublicKeyOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = store::key_or_alias(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    key.check(Demand::Use)?;
    let backing = store::current_backing(cx, &key).await?;
    let purpose = key.purpose;
    let public_key = backing.public_key_der().ok_or_else(|| Error::WithoutPublicKey {
        arn: key.arn(),
        spec: purpose.spec().as_str(),
    })?;
    Ok(GetPublicKeyOutput {
        key_id: Some(key.arn()),
        public_key: Some(Blob(public_key.to_vec())),
        customer_master_key_spec: metadata::old_spec(purpose),
        key_spec: metadata::spec(purpose),
        key_usage: Some(metadata::usage(purpose)),
        encryption_algorithms: metadata::encryption_algorithms(purpose),
        signing_algorithms: metadata::signing_algorithms(purpose),
        key_agreement_algorithms: metadata::key_agreement_algorithms(purpose),
        encapsulation_algorithms: metadata::encapsulation_algorithms(purpose),
    })
}
