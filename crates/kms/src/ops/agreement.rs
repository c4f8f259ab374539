//! `DeriveSharedSecret`, `Encapsulate` and `Decapsulate`: secrets that two
//! sides come to have without sending them.

use gate::Cx;
use kms_api::{
    DecapsulateInput, DecapsulateOutput, DeriveSharedSecretInput, DeriveSharedSecretOutput, EncapsulateInput,
    EncapsulateOutput, OriginType,
};
use shape::Blob;

use crate::error::Error;
use crate::model::{Demand, KeyUsage};
use crate::ops::{cipher, grant_token, used};
use crate::recipient::{self, Recipient};
use crate::{Kms, access, store};

/// Gives the secret that a key shares with the holder of the other half of a
/// public key: the raw x coordinate, which is to be put through a key
/// derivation function.
///
/// # Errors
///
/// [`Error::PeerKey`] unless the public key is of the key's curve;
/// [`Error::State`] and [`Error::UsageMismatch`] for the key.
pub async fn derive_shared_secret(
    kms: &Kms,
    cx: &Cx,
    input: DeriveSharedSecretInput,
) -> Result<DeriveSharedSecretOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let recipient = Recipient::read(kms, cx, input.recipient)?;
    let algorithm = input.key_agreement_algorithm;
    let key = store::key_or_alias(cx, &input.key_id).await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key)
        .with("kms:keyagreementalgorithm", Some(algorithm.as_str()))
        .attested(recipient.as_ref())
        .permit()
        .await?;
    key.check(Demand::Use)?;
    key.check_usage("DeriveSharedSecret", KeyUsage::KeyAgreement)?;

    let backing = store::current_backing(cx, &key).await?;
    let secret = backing.agree(&input.public_key).map_err(|error| match error {
        crypto::Error::BadKey(spec) => Error::PeerKey { spec: spec.as_str() },
        error => error.into(),
    })?;
    let (shared_secret, for_recipient) = recipient::told(recipient.as_ref(), cx, secret.expose())?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        DeriveSharedSecretOutput {
            key_id: Some(key.arn()),
            shared_secret,
            ciphertext_for_recipient: for_recipient,
            key_agreement_algorithm: Some(algorithm),
            key_origin: OriginType::parse(key.origin.as_str()),
        },
    )
}

/// Makes a secret of 32 bytes, and what is sent so that the holder of the key
/// gets the same.
///
/// # Errors
///
/// [`Error::State`], [`Error::UsageMismatch`].
pub async fn encapsulate(kms: &Kms, cx: &Cx, input: EncapsulateInput) -> Result<EncapsulateOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = store::key_or_alias(cx, &input.key_id).await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key)
        .with(
            "kms:encapsulationalgorithm",
            Some(input.encapsulation_algorithm.as_str()),
        )
        .permit()
        .await?;
    key.check(Demand::Use)?;
    key.check_usage("Encapsulate", KeyUsage::EncapsulateDecapsulate)?;

    let backing = store::current_backing(cx, &key).await?;
    let (ciphertext, secret) = backing.encapsulate()?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        EncapsulateOutput {
            key_id: Some(key.arn()),
            shared_secret: Some(cipher::told(&secret)),
            shared_secret_ciphertext_blob: Some(Blob(ciphertext)),
            encapsulation_algorithm: Some(input.encapsulation_algorithm),
        },
    )
}

/// Gives the secret that was encapsulated for a key. Anything else of the same
/// length gives another secret and no error: so wills FIPS 203.
///
/// # Errors
///
/// [`Error::InvalidCiphertext`] for another length; otherwise those of
/// [`encapsulate`].
pub async fn decapsulate(kms: &Kms, cx: &Cx, input: DecapsulateInput) -> Result<DecapsulateOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = store::key_or_alias(cx, &input.key_id).await?;
    kms.quotas.take_for(cx, &key)?;

    let key = access::key(cx, key)
        .with(
            "kms:encapsulationalgorithm",
            Some(input.encapsulation_algorithm.as_str()),
        )
        .permit()
        .await?;
    key.check(Demand::Use)?;
    key.check_usage("Decapsulate", KeyUsage::EncapsulateDecapsulate)?;

    let backing = store::current_backing(cx, &key).await?;
    let secret = backing.decapsulate(&input.shared_secret_ciphertext_blob)?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        DecapsulateOutput {
            key_id: Some(key.arn()),
            shared_secret: Some(cipher::told(&secret)),
            encapsulation_algorithm: Some(input.encapsulation_algorithm),
        },
    )
}
