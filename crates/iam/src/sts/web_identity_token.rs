//! `GetWebIdentityToken`: a signed statement of who the caller is, for services
//! that believe the account's issuer (RFC 7519; IAM User Guide, "Understanding
//! token claims").
//!
//! A token lives an hour at most, and no longer than the session that asked for
//! it. Nothing is kept of it.
//!
//! Absent by design: claims of what is not here, such as the instance or
//! function that calls.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::jose;
use gate::{Access, Cx, Standing};
use ground::{Secret, Timestamp, id};
use policy::{Value, Who};
use serde_json::{Map, json};
use sts_api::{GetWebIdentityTokenInput, GetWebIdentityTokenOutput};

use crate::Sts;
use crate::access::Asking;
use crate::directory::session::TRANSITIVE_TAG_KEYS;
use crate::error::Error;
use crate::limits::{WEB_IDENTITY_CLAIMS_BYTES_MAX, WEB_IDENTITY_TOKEN_DEFAULT_SECONDS};
use crate::model::{Tag, Tags, TokenAlgorithm};
use crate::ops::outbound_federation;
use crate::store::rows;
use crate::sts::caller;

/// Under which name the claims are that are not of RFC 7519.
const NAMESPACE: &str = "https://sts.amazonaws.com/";

pub(crate) async fn get_web_identity_token(
    _sts: &Sts,
    cx: &Cx,
    input: GetWebIdentityTokenInput,
) -> Result<GetWebIdentityTokenOutput, Error> {
    caller::admit(cx)?;
    let algorithm = TokenAlgorithm::parse(&input.signing_algorithm).ok_or_else(|| {
        Error::Validation(format!(
            "SigningAlgorithm {} is neither RS256 nor ES384.",
            input.signing_algorithm
        ))
    })?;
    let given = input.tags.unwrap_or_default().into_iter().map(|tag| Tag {
        key: tag.key,
        value: tag.value,
    });
    let tags = Tags::of_session(given.collect())?;
    let seconds = input
        .duration_seconds
        .map_or(WEB_IDENTITY_TOKEN_DEFAULT_SECONDS, i64::from);
    let asked = |access: Access<()>| {
        let asking = Asking {
            tags: Some(&tags),
            ..Asking::NOTHING
        };
        asking.add_to(access, None)
    };
    let access = Access::to((), "*")
        .key("sts:DurationSeconds", Some(seconds))
        .key("sts:SigningAlgorithm", Some(algorithm.name()))
        .key(
            "sts:IdentityTokenAudience",
            Some(input.audience.iter().cloned().collect::<Value<'static>>()),
        );
    cx.authorize(asked(access)).await?;
    if !tags.is_empty() {
        cx.authorize(asked(Access::to((), "*").doing("sts:TagGetWebIdentityToken")))
            .await?;
    }

    let outbound = rows(cx).outbound().await?.filter(|outbound| outbound.enabled);
    let outbound = outbound.ok_or(Error::OutboundDisabled)?;
    let expires = Timestamp::from_seconds(cx.now().seconds() + seconds);
    let session = cx.caller().session.as_ref();
    if session.is_some_and(|session| expires > session.expires) {
        return Err(Error::SessionEscalation);
    }
    let key = outbound.keys.iter().find(|key| key.algorithm == algorithm);
    let key = key.ok_or(crypto::Error::Provider("a key of every algorithm"))?;

    let mut claims = json!({
        "iss": outbound.issuer,
        "aud": audience(&input.audience),
        "sub": subject(cx),
        "iat": cx.now().seconds(),
        "exp": expires.seconds(),
        "jti": id::uuid(cx.random().bytes()),
    });
    claims[NAMESPACE] = context(cx, &tags).await?;
    let claims = claims.to_string();
    if claims.len() > WEB_IDENTITY_CLAIMS_BYTES_MAX {
        return Err(Error::TokenTooLarge);
    }
    let head = json!({"alg": algorithm.name(), "typ": "JWT", "kid": key.id}).to_string();
    let text = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let mut token = format!("{}.{}", text(head.as_bytes()), text(claims.as_bytes()));
    let signature = jose::sign(&outbound_federation::private(cx, key)?, token.as_bytes())?;
    token.push('.');
    token.push_str(&text(&signature));
    Ok(GetWebIdentityTokenOutput {
        web_identity_token: Some(Secret::new(token)),
        expiration: Some(expires),
    })
}

/// One audience stands by itself, several in a list (RFC 7519, 4.1.3).
fn audience(audience: &[String]) -> serde_json::Value {
    match audience {
        [one] => json!(one),
        several => json!(several),
    }
}

/// The caller as others know it: of a role's session the role.
fn subject(cx: &Cx) -> &str {
    let principal = &cx.caller().principal;
    principal.principal_arn().unwrap_or_else(|| principal.arn())
}

/// The claims that are AWS's own.
async fn context(cx: &Cx, tags: &Tags) -> Result<serde_json::Value, Error> {
    let mut told = Map::new();
    told.insert("aws_account".into(), json!(cx.account()));
    told.insert("source_region".into(), json!(cx.region().as_str()));
    told.insert("principal_id".into(), json!(subject(cx)));
    let standing = cx.account_standing(cx.account()).await?;
    if let Standing {
        membership: Some(membership),
        ..
    } = &*standing
    {
        told.insert("org_id".into(), json!(membership.organization));
        told.insert("ou_path".into(), json!([membership.path]));
    }
    if let Some(session) = &cx.caller().session {
        told.insert(
            "original_session_exp".into(),
            json!(session.expires.iso8601_seconds()),
        );
        if let Some(identity) = &session.source_identity {
            told.insert("source_identity".into(), json!(identity));
        }
    }
    if let Some(provider) = cx.caller().principal.keys().get("aws:FederatedProvider") {
        told.insert("federated_provider".into(), json!(provider.texts().next()));
    }
    let principal_tags = principal_tags(cx).await?;
    if !principal_tags.is_empty() {
        told.insert("principal_tags".into(), json!(principal_tags));
    }
    if !tags.is_empty() {
        let tags: BTreeMap<_, _> = tags.iter().map(|tag| (&tag.key, &tag.value)).collect();
        told.insert("request_tags".into(), json!(tags));
    }
    Ok(serde_json::Value::Object(told))
}

/// The caller's tags. The condition keys that tell of them are in lower case:
/// as they were spelled is told by the user or role, or by the transitive keys
/// of the session.
async fn principal_tags(cx: &Cx) -> Result<BTreeMap<String, String>, Error> {
    let principal = &cx.caller().principal;
    let rows = rows(cx);
    let own = match principal.who() {
        Who::User { id, .. } => rows.user_by_id(id).await?.map(|user| user.tags.clone()),
        Who::AssumedRole { role_name, .. } => rows.role(role_name).await?.map(|role| role.tags.clone()),
        _ => None,
    };
    let mut spelled: Vec<String> = own
        .iter()
        .flat_map(Tags::iter)
        .map(|tag| tag.key.clone())
        .collect();
    if let Some(transitive) = principal.keys().get(TRANSITIVE_TAG_KEYS) {
        spelled.extend(transitive.texts().map(Cow::into_owned));
    }
    let tags = principal.keys().iter().filter_map(|(key, value)| {
        let folded = key.strip_prefix("aws:principaltag/")?;
        let key = spelled.iter().find(|known| known.to_lowercase() == folded);
        let key = key.cloned().unwrap_or_else(|| folded.to_owned());
        Some((key, value.texts().next()?.into_owned()))
    });
    Ok(tags.collect())
}
