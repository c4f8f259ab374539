//! External key store proxies, asked as the XKS Proxy API says.
//!
//! KMS is the client: it posts JSON over https, signed with Signature Version 4
//! under the credential that the owner of the store brought, and believes an
//! answer only as far as [`answer`] could check it. Nothing a proxy says reaches
//! a caller but by the name of its error.
//!
//! Signatures are dated by the machine's clock, also where the program runs under
//! a virtual one: a proxy lives in real time.
//!
//! Absent by design: HTTP/2 and VPC endpoint services.
//!
//! Source: AWS KMS External Keystore (XKS) Proxy API Specification
//! (github.com/aws/aws-kms-xksproxy-api-spec).

pub mod answer;
mod failure;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::Cx;
use ground::{Clock, Region};
use http::{HeaderMap, HeaderValue, header};
use outbound::{Outbound, OutboundError, Post};
use serde::Serialize;
use wire::sigv4::{Algorithm, Credentials, Payload, RequestParts, Target, sign_request};

pub use answer::KeyMetadata;
pub use failure::{Doing, Failure};

use crate::model::custom_key_store::{Credential, ProxyPlace};
use crate::model::stored_ciphertext::ExternallySealed;

/// The signing name of proxies.
const SERVICE: &str = "kms-xks-proxy";

/// The way to the proxies.
pub struct Proxies {
    outbound: Outbound,
    time: Duration,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// One proxy, and who signs there.
pub struct Proxy<'a> {
    proxies: &'a Proxies,
    place: &'a ProxyPlace,
    region: &'a Region,
    credentials: Credentials,
}

/// For whom a proxy is asked. The proxy may log it, and decide by it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_principal_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_arn: Option<String>,
    kms_operation: String,
    kms_request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_via_service: Option<String>,
}

impl RequestMetadata {
    /// Of a call that concerns no key: it tells nothing of its caller.
    pub fn of_store(operation: &str, request: &str) -> RequestMetadata {
        RequestMetadata {
            aws_principal_arn: None,
            kms_key_arn: None,
            kms_operation: operation.to_owned(),
            kms_request_id: request.to_owned(),
            kms_via_service: None,
        }
    }

    /// Of a call that concerns a key; none yet if it is to be made.
    pub fn of_key(cx: &Cx, key_arn: Option<&str>) -> RequestMetadata {
        RequestMetadata {
            aws_principal_arn: Some(cx.caller().principal.arn().to_owned()),
            kms_key_arn: key_arn.map(str::to_owned),
            kms_operation: cx.operation().name.to_owned(),
            kms_request_id: cx.request_id().to_owned(),
            kms_via_service: cx.via_service(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    request_metadata: &'a RequestMetadata,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToEncrypt<'a> {
    request_metadata: &'a RequestMetadata,
    additional_authenticated_data: String,
    plaintext: String,
    encryption_algorithm: &'static str,
    ciphertext_data_integrity_value_algorithm: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToDecrypt<'a> {
    request_metadata: &'a RequestMetadata,
    additional_authenticated_data: String,
    ciphertext: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_metadata: Option<String>,
    encryption_algorithm: &'static str,
    initialization_vector: String,
    authentication_tag: String,
}

/// The one algorithm there is.
const AES_GCM: &str = "AES_GCM";

impl Proxies {
    /// Proxies that are found by `outbound` and have `time` to answer, from the
    /// name to the last byte; on AWS it is 250 ms.
    pub fn new(outbound: Outbound, time: Duration) -> Proxies {
        Proxies { outbound, time }
    }

    /// The proxy at a place, with the credential that it knows.
    pub fn at<'a>(&'a self, place: &'a ProxyPlace, credential: Credential, region: &'a Region) -> Proxy<'a> {
        Proxy {
            proxies: self,
            place,
            region,
            credentials: Credentials {
                access_key_id: credential.access_key_id.expose().clone(),
                secret: credential.secret,
                session_token: None,
            },
        }
    }
}

impl Proxy<'_> {
    /// Whether it is there, knows the credential, and reaches its key manager.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn check_health(&self, metadata: &RequestMetadata) -> Result<(), Failure> {
        let asked = Asked {
            request_metadata: metadata,
        };
        answer::health(&self.ask("/health", &asked).await?)
    }

    /// What an external key is.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn key_metadata(&self, key: &str, metadata: &RequestMetadata) -> Result<KeyMetadata, Failure> {
        let asked = Asked {
            request_metadata: metadata,
        };
        let body = self.ask(&format!("/keys/{key}/metadata"), &asked).await?;
        answer::key_metadata(&body)
    }

    /// Encrypts under an external key.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn encrypt(
        &self,
        key: &str,
        metadata: &RequestMetadata,
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<ExternallySealed, Failure> {
        let asked = ToEncrypt {
            request_metadata: metadata,
            additional_authenticated_data: STANDARD.encode(associated),
            plaintext: STANDARD.encode(plaintext),
            encryption_algorithm: AES_GCM,
            ciphertext_data_integrity_value_algorithm: "SHA_256",
        };
        let body = self.ask(&format!("/keys/{key}/encrypt"), &asked).await?;
        answer::encrypted(&body, associated, plaintext.len())
    }

    /// Decrypts what [`Proxy::encrypt`] gave.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub async fn decrypt(
        &self,
        key: &str,
        metadata: &RequestMetadata,
        associated: &[u8],
        sealed: &ExternallySealed,
    ) -> Result<Vec<u8>, Failure> {
        let metadata_of_proxy = (!sealed.metadata.is_empty()).then(|| STANDARD.encode(&sealed.metadata));
        let asked = ToDecrypt {
            request_metadata: metadata,
            additional_authenticated_data: STANDARD.encode(associated),
            ciphertext: STANDARD.encode(&sealed.ciphertext),
            ciphertext_metadata: metadata_of_proxy,
            encryption_algorithm: AES_GCM,
            initialization_vector: STANDARD.encode(&sealed.vector),
            authentication_tag: STANDARD.encode(sealed.tag),
        };
        let body = self.ask(&format!("/keys/{key}/decrypt"), &asked).await?;
        answer::decrypted(&body, sealed.ciphertext.len())
    }

    /// Posts, and gives the body of an answer that is no error.
    async fn ask(&self, operation: &str, asked: &impl Serialize) -> Result<bytes::Bytes, Failure> {
        let url = format!("{}{operation}", self.place.url());
        let body = serde_json::to_vec(asked).expect("what is asked is plain text");
        let headers = self.signed(operation, &body).ok_or(Failure::Malformed)?;
        let post = Post {
            url: &url,
            headers,
            body: body.into(),
            time: self.proxies.time,
        };
        let answered = self.proxies.outbound.post(&post).await.map_err(|error| {
            tracing::warn!(proxy = self.place.url(), %error, "an external key store proxy does not answer");
            match error {
                OutboundError::Address(_) | OutboundError::Connection { .. } | OutboundError::Url(_) => {
                    Failure::NoConnection
                }
                OutboundError::Tls { .. } => Failure::NoTls,
                OutboundError::Time { .. } => Failure::NotInTime,
                OutboundError::Answer { .. } => Failure::Malformed,
            }
        })?;
        if answered.status == http::StatusCode::OK {
            return Ok(answered.body);
        }
        let (failure, message) = answer::failure(&answered.body);
        tracing::warn!(
            proxy = self.place.url(),
            status = answered.status.as_u16(),
            message,
            "an external key store proxy answers with an error"
        );
        Err(failure)
    }

    /// The headers of a request. Signed are `host` and `x-amz-date`, as KMS does
    /// and no more, so that a proxy that checks for just these is content.
    fn signed(&self, operation: &str, body: &[u8]) -> Option<HeaderMap> {
        let host = self.place.endpoint.strip_prefix("https://")?;
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
        let path = format!("{}{operation}", self.place.path);
        let parts = RequestParts {
            method: "POST",
            path: &path,
            query: "",
            headers: &headers,
        };
        let target = Target {
            algorithm: Algorithm::V4,
            region: self.region.as_str(),
            service: SERVICE,
        };
        let payload = Payload::Hash(crypto::sha256(&[body]));
        let now = Clock::system().now();
        let added = sign_request(&parts, payload, &self.credentials, &target, now).ok()?;
        headers.extend(added.into_iter().map(|(name, value)| (Some(name), value)));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(headers)
    }
}
