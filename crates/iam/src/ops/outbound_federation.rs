//! Outbound federation of an account: whether its principals can have tokens
//! that other services believe, and under which issuer's address.
//!
//! The address is the one by which the account reached the server when it
//! enabled the feature, and the account's own path below it; the keys are made
//! then, and stay. Whoever reads them need not sign ([`gate::TokenIssuer`]).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use crypto::jose::{self, JwkNumbers};
use crypto::key::{BackingKey, KeySpec, PublicKey};
use gate::{Cx, TOKEN_ISSUER_PATH, TokenIssuer};
use ground::{Region, id};
use iam_api::{EnableOutboundWebIdentityFederationOutput, GetOutboundWebIdentityFederationInfoOutput};
use serde_json::json;
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::limits::ISSUER_CHARACTERS_MAX;
use crate::model::{Outbound, TokenAlgorithm, TokenKey};
use crate::ops::login_profile::slowly;
use crate::store::{self, rows};

/// What keys are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "iam/outbound-federation";

fn spec(algorithm: TokenAlgorithm) -> KeySpec {
    match algorithm {
        TokenAlgorithm::Rs256 => KeySpec::Rsa2048,
        TokenAlgorithm::Es384 => KeySpec::EccNistP384,
    }
}

/// Makes the account's keys.
async fn new_keys(iam: &Iam, cx: &Cx) -> Result<Vec<TokenKey>, Error> {
    let random = cx.random().clone();
    let made = slowly(iam, move || {
        TokenAlgorithm::ALL
            .into_iter()
            .map(|algorithm| Ok((algorithm, BackingKey::generate(spec(algorithm), &random)?)))
            .collect::<Result<Vec<_>, crypto::Error>>()
    })
    .await?;
    let domain = cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR);
    let keys = made.into_iter().map(|(algorithm, key)| {
        let id = id::uuid(cx.random().bytes());
        let public = key.public_key_der().ok_or(crypto::Error::BadKey(key.spec()))?;
        let sealed = domain.seal(&[id.as_bytes()], key.to_bytes()?.expose(), cx.random())?;
        Ok(TokenKey {
            public: STANDARD.encode(public),
            sealed: STANDARD.encode(sealed),
            algorithm,
            id,
        })
    });
    keys.collect()
}

/// The private half of a key.
///
/// # Errors
///
/// [`Error::Crypto`] if it does not open under this root key.
pub(crate) fn private(cx: &Cx, key: &TokenKey) -> Result<BackingKey, Error> {
    let sealed = STANDARD
        .decode(&key.sealed)
        .map_err(|_| crypto::Error::BadCiphertext)?;
    let domain = cx.domain_key(cx.account(), &Region::us_east_1(), SEALED_FOR);
    let bytes = domain.open(&[key.id.as_bytes()], &sealed)?;
    Ok(BackingKey::from_bytes(spec(key.algorithm), bytes.expose())?)
}

/// # Errors
///
/// [`Error::FeatureEnabled`] if it is; [`Error::Validation`] if the address by
/// which the server was reached can be no issuer's.
pub(crate) async fn enable_outbound_web_identity_federation(
    iam: &Iam,
    cx: &Cx,
    _: Unit,
) -> Result<EnableOutboundWebIdentityFederationOutput, Error> {
    let permit = access::of_account(cx, ()).await?;
    let known = rows(cx).outbound().await?;
    if known.as_ref().is_some_and(|known| known.enabled) {
        return Err(Error::FeatureEnabled);
    }
    let (id, keys) = match known {
        Some(known) => (known.id.clone(), known.keys.clone()),
        None => (id::uuid(cx.random().bytes()), new_keys(iam, cx).await?),
    };
    let address = cx
        .reached_at()
        .filter(|address| address.len() <= ISSUER_CHARACTERS_MAX);
    let address = address.ok_or_else(|| {
        Error::Validation("The address of the request cannot be that of an issuer.".to_owned())
    })?;
    let issuer = format!("{address}{TOKEN_ISSUER_PATH}{id}");
    let outbound = permit.map(|()| Outbound {
        enabled: true,
        id,
        issuer: issuer.clone(),
        keys,
    });
    store::write(cx, |tx| store::put_outbound(tx, cx.account(), &outbound)).await?;
    Ok(EnableOutboundWebIdentityFederationOutput {
        issuer_identifier: Some(issuer),
    })
}

/// Tokens given out before go on to be good, and their keys to be told.
pub(crate) async fn disable_outbound_web_identity_federation(
    _iam: &Iam,
    cx: &Cx,
    _: Unit,
) -> Result<Unit, Error> {
    let permit = access::of_account(cx, ()).await?;
    let known = enabled(rows(cx).outbound().await?)?;
    let outbound = permit.map(|()| Outbound {
        enabled: false,
        ..(*known).clone()
    });
    store::write(cx, |tx| store::put_outbound(tx, cx.account(), &outbound)).await?;
    Ok(Unit)
}

pub(crate) async fn get_outbound_web_identity_federation_info(
    _iam: &Iam,
    cx: &Cx,
    _: Unit,
) -> Result<GetOutboundWebIdentityFederationInfoOutput, Error> {
    access::account_wide(cx).await?;
    let known = enabled(rows(cx).outbound().await?)?;
    Ok(GetOutboundWebIdentityFederationInfoOutput {
        issuer_identifier: Some(known.issuer.clone()),
        jwt_vending_enabled: Some(true),
    })
}

fn enabled(known: Option<Arc<Outbound>>) -> Result<Arc<Outbound>, Error> {
    known.filter(|known| known.enabled).ok_or(Error::FeatureDisabled)
}

/// What others are told of the issuer.
///
/// # Errors
///
/// [`crypto::Error`] if a public key does not read as one.
pub(crate) fn published(outbound: &Outbound) -> Result<TokenIssuer, crypto::Error> {
    let keys = outbound.keys.iter().map(|key| {
        let spec = spec(key.algorithm);
        let der = STANDARD
            .decode(&key.public)
            .map_err(|_| crypto::Error::BadKey(spec))?;
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut told = match jose::jwk_numbers(&PublicKey::from_der(spec, &der)?)? {
            JwkNumbers::Ec { x, y } => json!({"kty": "EC", "crv": "P-384", "x": number(&x), "y": number(&y)}),
            JwkNumbers::Rsa { modulus, exponent } => {
                json!({"kty": "RSA", "n": number(&modulus), "e": number(&exponent)})
            }
        };
        told["kid"] = json!(key.id);
        told["alg"] = json!(key.algorithm.name());
        told["use"] = json!("sig");
        Ok(told)
    });
    let keys = keys.collect::<Result<Vec<_>, crypto::Error>>()?;
    Ok(TokenIssuer {
        issuer: outbound.issuer.clone(),
        keys: json!({"keys": keys}),
        algorithms: TokenAlgorithm::ALL.map(|known| known.name().to_owned()).to_vec(),
    })
}
