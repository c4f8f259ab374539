//! Signing, for our own command line and for tests.
//!
//! What is signed: `host`, every header the caller gives except those that
//! travel and change on the way, and what the signature itself adds.

use std::borrow::Cow;
use std::time::Duration;

use ground::{Secret, Timestamp};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

use super::claim::{write_canonical_head, write_string_to_sign};
use super::payload::CONTENT_SHA256;
use super::scope::{Regions, TERMINATOR, signs_like_s3};
use super::{Algorithm, Payload, RequestParts, Scope, SigningKey, canonical};

/// Headers that are never signed, because proxies and clients change them.
const UNSIGNED: [&str; 12] = [
    "authorization",
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// With what to sign. No `Debug`.
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret: Secret<String>,
    /// The session token of a temporary key.
    pub session_token: Option<Secret<String>>,
}

/// For what to sign.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The region; for Version 4A the region set, such as `*` or `us-east-1,eu-*`.
    pub region: &'a str,
    /// The service's signing name.
    pub service: &'a str,
}

impl<'a> Target<'a> {
    /// The scope of a signature made at `amz_date`.
    fn scope(&self, amz_date: &'a str) -> Scope<'a> {
        let region = Cow::Borrowed(self.region);
        Scope {
            date: Cow::Borrowed(amz_date.get(..8).unwrap_or(amz_date)),
            region: match self.algorithm {
                Algorithm::V4 => Regions::One(region),
                Algorithm::V4a => Regions::Set(region),
            },
            service: Cow::Borrowed(self.service),
        }
    }
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningFault {
    /// There is no `host` header.
    #[error("the request has no host header")]
    HostMissing,
    /// Credentials, region or service hold characters that no header may.
    #[error("a value cannot stand in a header")]
    NotHeaderText(#[from] InvalidHeaderValue),
}

/// Signs in the header: gives the headers to add to the request.
///
/// # Errors
///
/// [`SigningFault`] if `host` is missing or a value cannot stand in a header.
pub fn sign_request(
    parts: &RequestParts<'_>,
    payload: Payload,
    credentials: &Credentials,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<Vec<(HeaderName, HeaderValue)>, SigningFault> {
    let amz_date = now.amz_date();
    let scope = target.scope(&amz_date);
    let payload_text = payload.text();

    let mut added = vec![(
        HeaderName::from_static("x-amz-date"),
        HeaderValue::from_str(&amz_date)?,
    )];
    if let Some(token) = &credentials.session_token {
        let mut value = HeaderValue::from_str(token.expose())?;
        value.set_sensitive(true);
        added.push((HeaderName::from_static("x-amz-security-token"), value));
    }
    if scope.is_s3() || !matches!(payload, Payload::Hash(_)) {
        added.push((
            HeaderName::from_static(CONTENT_SHA256),
            HeaderValue::from_str(&payload_text)?,
        ));
    }
    if target.algorithm == Algorithm::V4a {
        added.push((
            HeaderName::from_static("x-amz-region-set"),
            HeaderValue::from_str(target.region)?,
        ));
    }

    let mut headers = parts.headers.clone();
    for (name, value) in &added {
        headers.insert(name.clone(), value.clone());
    }
    let parts = RequestParts {
        headers: &headers,
        ..*parts
    };
    let signed_headers = names_to_sign(&headers)?;
    let signature = signature(
        &parts,
        &signed_headers,
        &payload_text,
        credentials,
        &scope,
        &amz_date,
    );

    let mut authorization = HeaderValue::from_str(&format!(
        "{} Credential={}, SignedHeaders={signed_headers}, Signature={signature}",
        target.algorithm.name(),
        credential(credentials, &scope),
    ))?;
    authorization.set_sensitive(true);
    added.push((AUTHORIZATION, authorization));
    Ok(added)
}

/// Signs in the query: gives the whole query of the presigned request.
///
/// # Errors
///
/// [`SigningFault::HostMissing`].
pub fn presign_request(
    parts: &RequestParts<'_>,
    payload: Payload,
    credentials: &Credentials,
    target: &Target<'_>,
    expires: Duration,
    now: Timestamp,
) -> Result<String, SigningFault> {
    let amz_date = now.amz_date();
    let scope = target.scope(&amz_date);
    let payload_text = payload.text();
    let signed_headers = names_to_sign(parts.headers)?;
    let credential = credential(credentials, &scope);
    let seconds = expires.as_secs().to_string();

    let mut parameters = vec![
        ("X-Amz-Algorithm", target.algorithm.name()),
        ("X-Amz-Credential", credential.as_str()),
        ("X-Amz-Date", amz_date.as_str()),
        ("X-Amz-Expires", seconds.as_str()),
        ("X-Amz-SignedHeaders", signed_headers.as_str()),
    ];
    if let Some(token) = &credentials.session_token {
        parameters.push(("X-Amz-Security-Token", token.expose()));
    }
    if target.algorithm == Algorithm::V4a {
        parameters.push(("X-Amz-Region-Set", target.region));
    }
    let declared_in_header = parts.headers.contains_key(CONTENT_SHA256);
    if signs_like_s3(target.service) && payload != Payload::Unsigned && !declared_in_header {
        parameters.push(("X-Amz-Content-Sha256", payload_text.as_str()));
    }
    let mut query = parts.query.as_bytes().to_vec();
    for (name, value) in parameters {
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(name.as_bytes());
        query.push(b'=');
        for byte in value.bytes() {
            canonical::write_encoded(byte, &mut query);
        }
    }
    let query = String::from_utf8(query).expect("ASCII was added to text");
    let parts = RequestParts {
        query: &query,
        ..*parts
    };
    let signature = signature(
        &parts,
        &signed_headers,
        &payload_text,
        credentials,
        &scope,
        &amz_date,
    );
    Ok(format!("{query}&X-Amz-Signature={signature}"))
}

fn signature(
    parts: &RequestParts<'_>,
    signed_headers: &str,
    payload: &str,
    credentials: &Credentials,
    scope: &Scope<'_>,
    amz_date: &str,
) -> String {
    let mut canonical_request = Vec::with_capacity(1024);
    write_canonical_head(parts, scope.is_s3(), None, signed_headers, &mut canonical_request);
    canonical_request.extend_from_slice(payload.as_bytes());
    let key = SigningKey::derive(&credentials.access_key_id, &credentials.secret, scope);
    let mut string_to_sign = Vec::with_capacity(256);
    write_string_to_sign(
        key.algorithm(),
        amz_date,
        scope,
        &crypto::sha256(&[&canonical_request]),
        &mut string_to_sign,
    );
    key.sign(&string_to_sign)
}

/// The names of the headers to sign, in order, joined with `;`.
fn names_to_sign(headers: &HeaderMap) -> Result<String, SigningFault> {
    let mut names: Vec<&str> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| !UNSIGNED.contains(name))
        .collect();
    if !names.contains(&"host") {
        return Err(SigningFault::HostMissing);
    }
    names.sort_unstable();
    Ok(names.join(";"))
}

fn credential(credentials: &Credentials, scope: &Scope<'_>) -> String {
    let (id, date, service) = (&credentials.access_key_id, scope.date(), scope.service());
    match scope.region() {
        Some(region) => format!("{id}/{date}/{region}/{service}/{TERMINATOR}"),
        None => format!("{id}/{date}/{service}/{TERMINATOR}"),
    }
}
