//! The door of an external key store's proxy: AWS KMS comes in.
//!
//! Its requests are signed for `kms-xks-proxy` by a credential of the
//! operator's making, which is no access key of IAM and opens nothing else. It
//! stands for a user or role, as whom the request is made: from there on it is
//! decoded, authorized, recorded and explained as any other. Answers are REST
//! with JSON, refusals spelled as the specification has them.
//!
//! The paths are on the server's own listener. AWS KMS asks at port 443 of one
//! name and shows one certificate to be proven, which the listener has already;
//! a second listener would have to be given both again, and would guard nothing
//! that the signature does not.
//!
//! Absent by design: records of `GetHealthStatus`, which asks of no key, is
//! asked of nobody's policy and comes every few minutes; client certificates,
//! which the specification leaves to each proxy.
//!
//! Source: AWS KMS External Key Store Proxy API Specification,
//! "Authentication", "GetHealthStatus" and Appendix A.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use ground::{Arn, Region, Secret};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use shape::OperationShape;
use wire::sigv4::{Algorithm, Claim, Kind, Manner, PayloadHash};
use wire::xks::{Asked, Call, SIGNING_NAME};
use wire::{Answer, RequestHead, xks};

use crate::authenticate::Authenticated;
use crate::directory::SigningKeys;
use crate::door::{Door, Peer};
use crate::metrics::Refusal;
use crate::walk::{request_parts, respond};

/// What sessions of roles are called by which AWS KMS acts.
const SESSION: &str = "xks-proxy";

/// A credential by which AWS KMS signs.
pub struct XksCredential {
    access_key_id: String,
    secret: Secret<String>,
    principal: String,
    prefix: String,
    region: Option<Region>,
    signing: SigningKeys,
}

/// Why something cannot be a credential of the proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XksCredentialError {
    /// Of another form than AWS KMS takes.
    #[error("an access key id has 20 to 30 characters from A to Z and 2 to 7")]
    AccessKeyId,
    /// Of another form than AWS KMS takes, or guessable for its length.
    #[error("a secret access key has 43 to 64 characters from a to z, A to Z, 0 to 9, /, + and =")]
    Secret,
    /// Not the ARN of a user or role.
    #[error("{0:?} is not the ARN of a user or role")]
    Principal(String),
    /// Not what can stand before `/kms/xks/v1`.
    #[error(
        "{0:?} is no path prefix: it is empty, or begins with a slash and has letters, digits, dashes, underscores \
         and slashes, 116 characters at most"
    )]
    Prefix(String),
    /// Two credentials have one id.
    #[error("two credentials have the access key id {0}")]
    Twice(String),
}

impl XksCredential {
    /// A credential for `principal`, to be used below `prefix`. Its keys are
    /// those of `region`, or if there is none of the region that AWS KMS is in.
    ///
    /// # Errors
    ///
    /// [`XksCredentialError`], by the forms in the KMS API Reference
    /// (`XksProxyAuthenticationCredentialType`, `XksProxyUriPath`).
    pub fn new(
        access_key_id: String,
        secret: Secret<String>,
        principal: String,
        prefix: String,
        region: Option<Region>,
    ) -> Result<XksCredential, XksCredentialError> {
        let good = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
        if !(20..=30).contains(&access_key_id.len()) || !access_key_id.bytes().all(good) {
            return Err(XksCredentialError::AccessKeyId);
        }
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'=');
        let text = secret.expose();
        if !(43..=64).contains(&text.len()) || !text.bytes().all(good) {
            return Err(XksCredentialError::Secret);
        }
        let arn = Arn::parse(&principal).ok().filter(|arn| {
            let resource = &arn.resource;
            let is_entity = resource.starts_with("user/") || resource.starts_with("role/");
            arn.service == "iam" && arn.account_id().is_some() && is_entity
        });
        if arn.is_none() {
            return Err(XksCredentialError::Principal(principal));
        }
        if !xks::is_prefix(&prefix) {
            return Err(XksCredentialError::Prefix(prefix));
        }
        Ok(XksCredential {
            access_key_id,
            secret,
            principal,
            prefix,
            region,
            signing: SigningKeys::default(),
        })
    }
}

/// The credentials that AWS KMS may sign by now.
pub struct XksCredentials(RwLock<Arc<ById>>);

type ById = HashMap<String, XksCredential>;

impl XksCredentials {
    /// These credentials.
    ///
    /// # Errors
    ///
    /// [`XksCredentialError::Twice`].
    pub fn new(credentials: Vec<XksCredential>) -> Result<XksCredentials, XksCredentialError> {
        Ok(XksCredentials(RwLock::new(by_id(credentials)?)))
    }

    /// From now on these and no others.
    ///
    /// # Errors
    ///
    /// As [`XksCredentials::new`]; then the ones before go on.
    pub fn replace(&self, credentials: Vec<XksCredential>) -> Result<(), XksCredentialError> {
        let fresh = by_id(credentials)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn now(&self) -> Arc<ById> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn by_id(credentials: Vec<XksCredential>) -> Result<Arc<ById>, XksCredentialError> {
    let mut all = HashMap::with_capacity(credentials.len());
    for credential in credentials {
        let id = credential.access_key_id.clone();
        if all.insert(id.clone(), credential).is_some() {
            return Err(XksCredentialError::Twice(id));
        }
    }
    Ok(Arc::new(all))
}

/// Why a request does not come to an answer.
struct Turned {
    status: StatusCode,
    name: &'static str,
    message: String,
}

impl Turned {
    fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Turned {
        Turned {
            status,
            name,
            message: message.into(),
        }
    }

    fn unproven(message: impl Into<String>) -> Turned {
        Turned::new(StatusCode::UNAUTHORIZED, "AuthenticationFailedException", message)
    }

    fn ours() -> Turned {
        let message = "an internal error occurred";
        Turned::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalException", message)
    }
}

pub(crate) async fn answer(
    door: &Arc<Door>,
    credentials: &XksCredentials,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Response<Full<Bytes>> {
    let answer = match call(door, credentials, head, body, peer, request_id).await {
        Ok(answer) if answer.status.is_success() => answer,
        Ok(answer) => xks::respell(&answer),
        Err(turned) => {
            door.metrics.refuse(match turned.status {
                StatusCode::UNAUTHORIZED => Refusal::Authentication,
                StatusCode::INTERNAL_SERVER_ERROR => Refusal::NoRecord,
                _ => Refusal::Route,
            });
            xks::refusal(turned.status, turned.name, &turned.message)
        }
    };
    let mut response = respond(answer, request_id.to_owned(), HeaderMap::new());
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let post = HeaderValue::from_static("POST");
        response.headers_mut().insert(http::header::ALLOW, post);
    }
    response
}

async fn call(
    door: &Arc<Door>,
    credentials: &XksCredentials,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Result<Answer, Turned> {
    let has_query = head.uri.query().is_some_and(|query| !query.is_empty());
    let asked = Asked::parse(head.uri.path()).filter(|_| !has_query);
    let asked = asked.ok_or_else(|| {
        let message =
            "the path is not [PREFIX]/kms/xks/v1/health, nor …/keys/ID/metadata, encrypt or decrypt";
        Turned::new(StatusCode::NOT_FOUND, "InvalidUriPathException", message)
    })?;
    if head.method != Method::POST {
        let message = "the method must be POST";
        return Err(Turned::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "ValidationException",
            message,
        ));
    }
    let all = credentials.now();
    let (credential, region) = believe(door, &all, asked.prefix, head, body)?;
    let now = door.now();
    if let Err(fault) = door.admit(now).await {
        tracing::error!(request_id, %fault, "the external key store's call is refused");
        return Err(Turned::ours());
    }
    let directory = door.parts.directory.as_ref();
    let caller = directory.supposed(&credential.principal, SESSION, now).await;
    let caller = caller.map_err(|error| {
        tracing::error!(request_id, %error, "the principal of an external key store cannot be read");
        Turned::ours()
    })?;
    let mut caller = caller.ok_or_else(|| {
        tracing::warn!(
            principal = credential.principal,
            "the principal of an external key store's credential does not exist"
        );
        Turned::unproven("the principal of the credential does not exist")
    })?;
    caller.access_key_id.clone_from(&credential.access_key_id);
    let (name, key_id) = match asked.call {
        Call::GetHealthStatus => return Ok(health(door)),
        Call::Decrypt(key) => ("Decrypt", key),
        Call::Encrypt(key) => ("Encrypt", key),
        Call::GetKeyMetadata(key) => ("GetKeyMetadata", key),
    };
    let operation = operation(door, name).ok_or_else(|| {
        Turned::new(
            StatusCode::NOT_IMPLEMENTED,
            "UnsupportedOperationException",
            "no service here has external keys",
        )
    })?;
    let authenticated = Authenticated {
        caller: Arc::new(caller),
        region: credential.region.clone().unwrap_or(region),
    };
    // Where the operation expects the id, without the prefix.
    let path = operation.uri.replace("{externalKeyId}", key_id);
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(agent) = head.headers.get(http::header::USER_AGENT) {
        headers.insert(http::header::USER_AGENT, agent.clone());
    }
    let inner = RequestHead {
        method: "POST",
        path: &path,
        query: "",
        headers: &headers,
    };
    Ok(door
        .run(operation, &authenticated, peer, &inner, body, request_id)
        .await)
}

/// Whose signature it is, and for which region.
fn believe<'a>(
    door: &Door,
    all: &'a ById,
    prefix: &str,
    head: &http::request::Parts,
    body: &[u8],
) -> Result<(&'a XksCredential, Region), Turned> {
    let now = door.now();
    let parts = request_parts(head);
    let wrong = |fault: wire::sigv4::SignatureFault| {
        let (_, _, message) = fault.code_and_message(Manner::RestJson, now);
        Turned::unproven(message)
    };
    let claim = Claim::parse(&parts).map_err(wrong)?;
    if claim.kind() != Kind::Header || claim.algorithm() != Algorithm::V4 || claim.session_token().is_some() {
        let message =
            "the request must be signed with AWS4-HMAC-SHA256, in the Authorization header, without a token";
        return Err(Turned::unproven(message));
    }
    claim.check_time(now).map_err(wrong)?;
    let region = claim.scope().region().and_then(|text| Region::parse(text).ok());
    let region = region.ok_or_else(|| Turned::unproven("the scope of the credential names no region"))?;
    claim.check_scope(region.as_str(), SIGNING_NAME).map_err(wrong)?;
    // A credential is good for its own path, so that two customers of one proxy stay apart.
    let credential = all
        .get(claim.access_key_id())
        .filter(|credential| credential.prefix == prefix);
    let credential =
        credential.ok_or_else(|| Turned::unproven("no such access key id is known for this path"))?;
    let key = credential
        .signing
        .get_or_derive(&credential.access_key_id, &credential.secret, claim.scope());
    let hash = crypto::sha256(&[body]);
    claim
        .verify(&key, &parts, PayloadHash::Body(&hash))
        .map_err(wrong)?;
    Ok((credential, region))
}

fn operation(door: &Door, name: &str) -> Option<&'static OperationShape> {
    let mut services = door.services().iter();
    let service = services.find(|service| service.shape().signing_name == SIGNING_NAME)?;
    service.shape().operation(name)
}

/// How it is. To come this far the record had to have room, the store to be
/// read, and the principal to exist; what is left to try is the cipher.
fn health(door: &Door) -> Answer {
    let model = format!("Palisade {}", env!("CARGO_PKG_VERSION"));
    let key = crypto::key::SymmetricKey::generate(door.random());
    let works = crypto::xks::Parts::seal(&key, [0; 3], b"health", b"", b"health", door.random())
        .and_then(|parts| parts.open(&key, b"health", b""))
        .is_ok_and(|opened| *opened.expose() == *b"health");
    let told = json!({
        "xksProxyFleetSize": 1,
        "xksProxyVendor": "Palisade",
        "xksProxyModel": model,
        "ekmVendor": "Palisade",
        "ekmFleetDetails": [{
            "id": door.parts.node,
            "model": model,
            "healthStatus": if works { "ACTIVE" } else { "UNAVAILABLE" },
        }],
    });
    xks::told(&told)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "FYtE5EFA5FT0mCc3DrGUe2sti527BitkQ0Zr9MO9fvE";

    fn made(
        id: &str,
        secret: &str,
        principal: &str,
        prefix: &str,
    ) -> Result<XksCredential, XksCredentialError> {
        let secret = Secret::new(secret.to_owned());
        XksCredential::new(
            id.to_owned(),
            secret,
            principal.to_owned(),
            prefix.to_owned(),
            None,
        )
    }

    #[test]
    fn only_what_aws_takes_is_a_credential() {
        const ID: &str = "AKIAI2SFODNN7EXAMPLE";
        const ROLE: &str = "arn:aws:iam::111122223333:role/xks";
        assert!(made(ID, SECRET, ROLE, "").is_ok());
        assert!(made(ID, SECRET, "arn:aws:iam::111122223333:user/a/b", "/a/b-c_d").is_ok());
        let longest = format!("/{}", "p".repeat(116));
        assert!(made(ID, SECRET, ROLE, &longest).is_ok());
        for id in [
            "",
            "AKIAI2SFODNN7EXAMPL",
            "akiai2sfodnn7example",
            "AKIAI1SFODNN7EXAMPLE",
            &"A".repeat(31),
        ] {
            assert_eq!(
                made(id, SECRET, ROLE, "").err(),
                Some(XksCredentialError::AccessKeyId),
                "{id}"
            );
        }
        for secret in [
            "",
            &SECRET[1..],
            &"a".repeat(65),
            &format!("{SECRET}-"),
            &format!("{SECRET} "),
        ] {
            assert_eq!(made(ID, secret, ROLE, "").err(), Some(XksCredentialError::Secret));
        }
        for principal in [
            "",
            "*",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam:::role/xks",
            "arn:aws:sts::111122223333:assumed-role/xks/s",
        ] {
            let refused = made(ID, SECRET, principal, "").err();
            assert!(
                matches!(refused, Some(XksCredentialError::Principal(_))),
                "{principal}"
            );
        }
        for prefix in ["a", "/", "/a/", "//a", "/a.b", "/..", &format!("{longest}p")] {
            let refused = made(ID, SECRET, ROLE, prefix).err();
            assert!(matches!(refused, Some(XksCredentialError::Prefix(_))), "{prefix}");
        }
        let twice = vec![
            made(ID, SECRET, ROLE, "").unwrap(),
            made(ID, SECRET, ROLE, "/a").unwrap(),
        ];
        assert!(matches!(
            XksCredentials::new(twice),
            Err(XksCredentialError::Twice(_))
        ));
    }
}
