//! Many calls in one signed request: `POST /_palisade/SERVICE/batch`.
//!
//! Ours, not AWS's. A signature, a connection and a round trip cost more than
//! an encryption does; who has a thousand at once pays for them once. The
//! request is signed for the service whose calls it carries, and each call is
//! what it would be alone: it has a request id of its own, is decoded,
//! authorized, recorded and explained by itself, and fails by itself.
//!
//! Calls run in no order, several at a time. So only those that change nothing
//! are taken, which are those that use keys.
//!
//! Absent by design: a record of the batch as such. The records of its calls
//! say everything.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use ground::id;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shape::{OperationShape, Protocol, ServiceShape};
use wire::{Answer, RequestHead};

use crate::authenticate::Authenticated;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::limits::{BATCH_CALLS_AT_ONCE, BATCH_CALLS_MAX};
use crate::operator::{self, problem};
use crate::tell::{tell, wire_fault};

/// What is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<'a> {
    #[serde(borrow)]
    calls: Vec<Call<'a>>,
}

/// One call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call<'a> {
    /// `Encrypt`
    operation: &'a str,
    /// As the body of the call alone would be.
    #[serde(borrow)]
    input: &'a RawValue,
}

/// What is answered, in the order of the calls.
#[derive(Serialize)]
struct Told {
    answers: Vec<One>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    request_id: String,
    /// The HTTP status of the call alone.
    status: u16,
    /// Output or error, as the body of the call alone.
    body: Box<RawValue>,
}

/// The service whose batches this path takes; `None` if it is no such path.
pub(crate) fn service_of(door: &Door, path: &str) -> Option<&'static ServiceShape> {
    let name = path.strip_prefix("/_palisade/")?.strip_suffix("/batch")?;
    let service = door
        .services()
        .iter()
        .find(|service| service.shape().name == name)?;
    let speaks_json = matches!(service.shape().protocol, Protocol::Json10 | Protocol::Json11);
    speaks_json.then(|| service.shape())
}

pub(crate) async fn answer(
    door: &Arc<Door>,
    service: &'static ServiceShape,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
) -> Response<Full<Bytes>> {
    let authenticated = match operator::believe(door, service, None, head, body).await {
        Ok(authenticated) => authenticated,
        Err(answer) => return answer,
    };
    let sent: Sent<'_> = match serde_json::from_slice(body) {
        Ok(sent) => sent,
        Err(error) => {
            let message = format!(
                "the body must be {{\"calls\": [{{\"operation\": NAME, \"input\": {{…}}}}]}}: {error}"
            );
            return problem(StatusCode::BAD_REQUEST, "ValidationException", &message);
        }
    };
    if sent.calls.is_empty() || sent.calls.len() > BATCH_CALLS_MAX {
        let message = format!(
            "a batch has 1 to {BATCH_CALLS_MAX} calls, this one has {}",
            sent.calls.len()
        );
        return problem(StatusCode::BAD_REQUEST, "ValidationException", &message);
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    if service.protocol == Protocol::Json10 {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-amz-json-1.0"),
        );
    }
    if let Some(agent) = head.headers.get(USER_AGENT) {
        headers.insert(USER_AGENT, agent.clone());
    }
    let (authenticated, headers) = (&authenticated, &headers);
    let mut calls: Vec<BoxFuture<'_, One>> = Vec::with_capacity(sent.calls.len());
    for call in &sent.calls {
        calls.push(Box::pin(one(door, service, call, authenticated, headers, peer)));
    }
    let answers = stream::iter(calls).buffered(BATCH_CALLS_AT_ONCE).collect().await;
    match serde_json::to_vec(&Told { answers }) {
        Ok(body) => {
            let mut response = Response::new(Full::new(body.into()));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        Err(error) => {
            tracing::error!(%error, "the answer to a batch cannot be written");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "an internal error occurred",
            )
        }
    }
}

async fn one(
    door: &Arc<Door>,
    service: &'static ServiceShape,
    call: &Call<'_>,
    authenticated: &Authenticated,
    headers: &HeaderMap,
    peer: &Arc<Peer>,
) -> One {
    let request_id = id::uuid(door.random().public_bytes());
    let answer = match operation_of(service, call.operation) {
        Ok(operation) => {
            if let Err(fault) = door.admit(door.now()).await {
                let answer = tell(operation, &wire_fault(&fault, operation), &request_id);
                return One::of(request_id, &answer);
            }
            let head = RequestHead {
                method: operation.method,
                path: "/",
                query: "",
                headers,
            };
            let input = call.input.get().as_bytes();
            door.run(operation, authenticated, peer, &head, input, &request_id)
                .await
        }
        Err((operation, fault)) => tell(operation, &wire_fault(&fault, operation), &request_id),
    };
    One::of(request_id, &answer)
}

impl One {
    fn of(request_id: String, answer: &Answer) -> One {
        // The body is JSON, or nothing.
        let text = std::str::from_utf8(&answer.body)
            .ok()
            .filter(|text| !text.is_empty());
        let body = text.and_then(|text| RawValue::from_string(text.to_owned()).ok());
        One {
            request_id,
            status: answer.status.as_u16(),
            body: body.unwrap_or_else(|| RawValue::NULL.to_owned()),
        }
    }
}

/// The operation of that name, if it changes nothing; otherwise a refusal, and
/// an operation in whose protocol it is told.
fn operation_of(
    service: &'static ServiceShape,
    name: &str,
) -> Result<&'static OperationShape, (&'static OperationShape, Fault)> {
    let found = service.operations.iter().find(|operation| operation.name == name);
    match found {
        Some(operation) if operation.read_only && !operation.unsigned => Ok(operation),
        Some(operation) => {
            let message = format!("{name} changes something, and is to be called alone");
            Err((operation, Fault::client("ValidationException", message)))
        }
        None => {
            let message = format!("{} has no operation {name:?}", service.service_id);
            Err((
                service.operations[0],
                Fault::client("UnknownOperationException", message),
            ))
        }
    }
}
