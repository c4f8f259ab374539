//! The KMS v2 plugin of a Kubernetes API server: a Unix socket on one side, an
//! AWS-compatible KMS on the other.
//!
//! What the API server sends is a data key. It is encrypted under one key, with
//! one encryption context, and what was encrypted is proven to open before it
//! is given out. The plugin keeps nothing: key, permission and record are the
//! KMS's.
//!
//! Absent by design: a cache of data keys (a disabled key is felt at once), and
//! any other key or context than the plugin was started with, except that data
//! encrypted before an alias was moved is opened by the key that its id names.

mod socket;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bridge::grpc::{self, BODY_BYTES_MAX, Code, Status};
use bridge::kubernetes::{
    BadRequest, CONTEXT_ANNOTATION, DecryptRequest, EncryptRequest, HEALTHY, KeyId, decrypt_response,
    encrypt_response, path, status_response,
};
use bytes::Bytes;
use ground::Secret;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::remote_kms::{Problem, RemoteKms, blob, text};

pub(crate) use socket::{Socket, serve};

/// What the plugin answers with.
pub(crate) struct Plugin {
    kms: RemoteKms,
    key: String,
    context: BTreeMap<String, String>,
    /// The context as the annotation spells it.
    annotation: String,
    patience: Duration,
}

/// The context's pair that says what the ciphertext is for.
pub(crate) const PURPOSE: (&str, &str) = ("palisade:purpose", "kubernetes-kms-v2");

/// An answer: a message, if all is well, then the status.
type Answer = Response<WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>>;

impl Plugin {
    /// A plugin that encrypts with `key` (id, ARN or alias) under `context`, and
    /// gives the KMS `patience` for each request.
    pub(crate) fn new(
        kms: RemoteKms,
        key: String,
        mut context: BTreeMap<String, String>,
        patience: Duration,
    ) -> Plugin {
        context.insert(PURPOSE.0.to_owned(), PURPOSE.1.to_owned());
        let annotation = json!(context).to_string();
        Plugin {
            kms,
            key,
            context,
            annotation,
            patience,
        }
    }

    /// Answers one request.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match self.outcome(request).await {
            Ok(message) => spoken(&message, 0, None),
            Err(status) => {
                tracing::warn!(code = status.code.number(), reason = status.message, "refused");
                spoken(&[], status.code.number(), Some(&status.message))
            }
        }
    }

    async fn outcome(&self, request: Request<Incoming>) -> Result<Vec<u8>, Status> {
        let (head, body) = request.into_parts();
        let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if head.method != Method::POST || !kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
            return Err(Status::new(Code::Unimplemented, "this is a gRPC server"));
        }
        let asked = head.headers.get("grpc-timeout");
        let given = asked.and_then(|asked| grpc::timeout(asked.to_str().ok()?));
        let patience = given.map_or(self.patience, |given| given.min(self.patience));
        let started = Instant::now();
        let body = tokio::time::timeout(patience, Limited::new(body, BODY_BYTES_MAX).collect())
            .await
            .map_err(|_| Status::new(Code::DeadlineExceeded, "the request did not come in time"))?
            .map_err(|_| Status::new(Code::ResourceExhausted, "the request is too long, or was cut off"))?
            .to_bytes();
        let message = grpc::message(&body)?;
        let left = Left {
            until: started + patience,
        };
        match head.uri.path() {
            path::STATUS => self.status(&left).await,
            path::ENCRYPT => {
                self.encrypt(&EncryptRequest::parse(message).map_err(bad)?, &left)
                    .await
            }
            path::DECRYPT => {
                self.decrypt(DecryptRequest::parse(message).map_err(bad)?, &left)
                    .await
            }
            _ => Err(Status::new(Code::Unimplemented, "there is no such method")),
        }
    }

    /// Well is a plugin whose key is enabled and may be used.
    async fn status(&self, left: &Left) -> Result<Vec<u8>, Status> {
        let answer = self
            .call("DescribeKey", &json!({"KeyId": self.key}), left)
            .await?;
        let key = &answer["KeyMetadata"];
        let text = |name: &str| text(key, name).map_err(told);
        if text("KeySpec")? != "SYMMETRIC_DEFAULT" {
            let reason = format!("{} is not a symmetric key for encryption", self.key);
            return Err(Status::new(Code::FailedPrecondition, reason));
        }
        let state = text("KeyState")?;
        if state == "PendingImport" {
            // It has no material that an id could name.
            let reason = format!("the key {} is {state}", text("Arn")?);
            return Err(Status::new(Code::FailedPrecondition, reason));
        }
        let id = key_id(text("Arn")?, text("CurrentKeyMaterialId")?)?;
        if state != "Enabled" {
            let health = format!("the key {} is {state}", id.arn);
            return Ok(status_response(&health, &id));
        }
        let input = json!({
            "KeyId": id.arn,
            "Plaintext": BASE64.encode(PURPOSE.1),
            "EncryptionContext": self.context,
            "DryRun": true,
        });
        let health = match self.kms.call("Encrypt", &input, left.now()).await {
            Err(Problem::Refused { code, .. }) if code == "DryRunOperationException" => HEALTHY.to_owned(),
            Err(Problem::Refused { code, message }) => format!("{code}: {message}"),
            Err(problem) => return Err(told(problem)),
            Ok(_) => return Err(Status::new(Code::Internal, "the KMS does not know DryRun")),
        };
        Ok(status_response(&health, &id))
    }

    async fn encrypt(&self, request: &EncryptRequest, left: &Left) -> Result<Vec<u8>, Status> {
        let input = json!({
            "KeyId": self.key,
            "Plaintext": BASE64.encode(request.plaintext.expose()),
            "EncryptionContext": self.context,
        });
        let answer = self.call("Encrypt", &input, left).await?;
        let arn = text(&answer, "KeyId").map_err(told)?;
        let ciphertext = blob(&answer, "CiphertextBlob").map_err(told)?;
        // Only opening tells which material sealed it: another may be in use by now.
        let (opened, material) = self.open(arn, ciphertext.expose(), left).await?;
        if opened.expose() != request.plaintext.expose() {
            return Err(Status::new(
                Code::Internal,
                "what the KMS encrypted opens to something else",
            ));
        }
        tracing::debug!(uid = request.uid, "encrypted");
        let annotations = [(CONTEXT_ANNOTATION, self.annotation.as_bytes())];
        Ok(encrypt_response(
            ciphertext.expose(),
            &key_id(arn, &material)?,
            &annotations,
        ))
    }

    async fn decrypt(&self, request: DecryptRequest, left: &Left) -> Result<Vec<u8>, Status> {
        let invalid = |reason: &str| Status::new(Code::InvalidArgument, reason);
        let id = KeyId::parse(&request.key_id).ok_or_else(|| invalid("key_id is none of this plugin's"))?;
        for (name, value) in &request.annotations {
            if name != CONTEXT_ANNOTATION {
                return Err(invalid("an annotation is none of this plugin's"));
            }
            if *value != self.annotation.as_bytes() {
                return Err(invalid(
                    "this was encrypted under another encryption context than this plugin's",
                ));
            }
        }
        let (plaintext, material) = self.open(&id.arn, &request.ciphertext, left).await?;
        if material != id.material {
            return Err(invalid("key_id is not that of the ciphertext"));
        }
        tracing::debug!(uid = request.uid, "decrypted");
        Ok(decrypt_response(&plaintext))
    }

    /// Has a ciphertext opened by this very key: what was in it, and the id of
    /// the material that sealed it.
    async fn open(
        &self,
        arn: &str,
        ciphertext: &[u8],
        left: &Left,
    ) -> Result<(Secret<Vec<u8>>, String), Status> {
        let input = json!({
            "KeyId": arn,
            "CiphertextBlob": BASE64.encode(ciphertext),
            "EncryptionContext": self.context,
        });
        let answer = self.call("Decrypt", &input, left).await?;
        let plaintext = blob(&answer, "Plaintext").map_err(told)?;
        Ok((
            plaintext,
            text(&answer, "KeyMaterialId").map_err(told)?.to_owned(),
        ))
    }

    async fn call(&self, operation: &str, input: &Value, left: &Left) -> Result<Value, Status> {
        self.kms.call(operation, input, left.now()).await.map_err(told)
    }
}

/// The time there is.
struct Left {
    until: Instant,
}

impl Left {
    fn now(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

fn bad(error: BadRequest) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}

fn key_id(arn: &str, material: &str) -> Result<KeyId, Status> {
    KeyId::new(arn, material).ok_or_else(|| {
        Status::new(
            Code::Internal,
            "the KMS names key or material as none can be named",
        )
    })
}

/// A problem of the KMS as the API server is told.
fn told(problem: Problem) -> Status {
    let (code, message) = match problem {
        Problem::Overdue => (
            Code::DeadlineExceeded,
            "the KMS did not answer in time".to_owned(),
        ),
        Problem::Silent(error) => (Code::Unavailable, format!("{error:#}")),
        Problem::Refused { code, message } => (code_of(&code), format!("{code}: {message}")),
    };
    Status::new(code, message)
}

/// Which kind of failure an error of KMS is (KMS API Reference, Common Errors,
/// and those of DescribeKey, Encrypt and Decrypt).
fn code_of(error: &str) -> Code {
    match error {
        "AccessDeniedException" | "NotAuthorized" | "OptInRequired" => Code::PermissionDenied,
        "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "UnrecognizedClientException" => Code::Unauthenticated,
        "NotFoundException" => Code::NotFound,
        "DisabledException" | "KMSInvalidStateException" | "InvalidKeyUsageException" => {
            Code::FailedPrecondition
        }
        "IncorrectKeyException"
        | "InvalidArnException"
        | "InvalidCiphertextException"
        | "ValidationError"
        | "ValidationException" => Code::InvalidArgument,
        "LimitExceededException" | "ThrottlingException" => Code::ResourceExhausted,
        "DependencyTimeoutException"
        | "InternalFailure"
        | "KMSInternalException"
        | "KeyUnavailableException"
        | "ServiceUnavailable" => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// An answer as gRPC has it: always 200, the status behind the message.
fn spoken(message: &[u8], status: u32, reason: Option<&str>) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let reason = reason.and_then(|reason| HeaderValue::from_str(&grpc::header_message(reason)).ok());
    if let Some(reason) = reason {
        trailers.insert("grpc-message", reason);
    }
    let body = if status == 0 {
        Bytes::from(grpc::framed(message))
    } else {
        Bytes::new()
    };
    let mut response = Response::new(Full::new(body).with_trailers(ready(Some(Ok(trailers)))));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

async fn answer(plugin: Arc<Plugin>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(plugin.answer(request).await)
}
