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
//! A small request can ask for long lists a thousand times: once the answers have
//! a certain length, what is left is told to come in another batch.
//!
//! Absent by design: a record of the batch as such. The records of its calls
//! say everything.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use ground::{Timestamp, id};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::value::RawValue;
use shape::{OperationShape, Protocol, ServiceShape};
use wire::{Answer, RequestHead};

use crate::authenticate::Authenticated;
use crate::cx::Said;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::limits::{BATCH_ANSWER_BYTES_MAX, BATCH_CALLS_AT_ONCE, BATCH_CALLS_MAX};
use crate::operator::{self, problem};
use crate::table::Spelled;
use crate::tell::{tell, wire_fault};
use crate::walk::{AskedToRun, Ran};

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
    #[serde(borrow)]
    operation: Cow<'a, str>,
    /// As the body of the call alone would be.
    #[serde(borrow)]
    input: &'a RawValue,
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
    let not_a_batch = |error: &dyn fmt::Display| {
        let message =
            format!("the body must be {{\"calls\": [{{\"operation\": NAME, \"input\": {{…}}}}]}}: {error}");
        problem(StatusCode::BAD_REQUEST, "ValidationException", &message)
    };
    // Looked at as text once, and not once per call.
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => return not_a_batch(&error),
    };
    let sent: Sent<'_> = match serde_json::from_str(text) {
        Ok(sent) => sent,
        Err(error) => return not_a_batch(&error),
    };
    if sent.calls.is_empty() || sent.calls.len() > BATCH_CALLS_MAX {
        let message = format!(
            "a batch has 1 to {BATCH_CALLS_MAX} calls, this one has {}",
            sent.calls.len()
        );
        return problem(StatusCode::BAD_REQUEST, "ValidationException", &message);
    }
    let batch = Batch {
        door,
        service,
        authenticated: &authenticated,
        headers: HeaderMap::new(),
        said: Said::of_agent(&head.headers),
        peer,
        now: door.now(),
    };
    let mut response = Response::new(Full::new(batch.answers(&sent.calls).await.into()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// What the calls of one batch have in common.
struct Batch<'a> {
    door: &'a Arc<Door>,
    service: &'static ServiceShape,
    authenticated: &'a Authenticated,
    headers: HeaderMap,
    said: Said,
    peer: &'a Arc<Peer>,
    now: Timestamp,
}

/// A call, its id and where it stands: what did not run has its answer already.
enum Begun<'a> {
    Refused(Answer),
    /// In a box, because it changes hands several times.
    Ran(Box<Ran<'a>>),
}

/// Bytes of most answers: id, status, and a ciphertext in base64.
const ANSWER_BYTES_EXPECTED: usize = 512;

impl Batch<'_> {
    /// The answers in the order of the calls, as JSON.
    async fn answers(&self, calls: &[Call<'_>]) -> Vec<u8> {
        let mut out = Vec::with_capacity(calls.len() * ANSWER_BYTES_EXPECTED);
        out.extend_from_slice(b"{\"answers\":[");
        for (at, calls) in calls.chunks(BATCH_CALLS_AT_ONCE).enumerate() {
            let ids: Vec<String> = calls
                .iter()
                .map(|_| id::uuid(self.door.random().public_bytes()))
                .collect();
            let is_full = out.len() > BATCH_ANSWER_BYTES_MAX;
            let each = calls.iter().zip(&ids);
            let begun = side_by_side(each.map(|(call, id)| self.begin(call, id, is_full))).await;
            // Those that ran are recorded together; the others stay where they are.
            let mut ran = Vec::with_capacity(begun.len());
            let refused: Vec<Option<Answer>> = begun
                .into_iter()
                .map(|begun| match begun {
                    Begun::Refused(answer) => Some(answer),
                    Begun::Ran(call) => {
                        ran.push(call);
                        None
                    }
                })
                .collect();
            let mut finished = self.door.finish_all(ran).await.into_iter();
            for (place, (refused, id)) in refused.into_iter().zip(&ids).enumerate() {
                if at + place > 0 {
                    out.push(b',');
                }
                let answer = refused
                    .or_else(|| finished.next())
                    .expect("a call that ran is finished");
                spell(&mut out, id, &answer);
            }
        }
        out.extend_from_slice(b"]}");
        out
    }

    /// Runs a call, unless the answers before it leave no room for its own.
    async fn begin<'b>(&'b self, call: &'b Call<'_>, request_id: &'b str, is_full: bool) -> Begun<'b> {
        let door = self.door;
        let refused = |operation, fault: &Fault| {
            Begun::Refused(tell(operation, &wire_fault(fault, operation), request_id))
        };
        let operation = match operation_of(self.service, &call.operation) {
            Ok(operation) => operation,
            Err((operation, fault)) => return refused(operation, &fault),
        };
        if is_full {
            let message = format!(
                "The answers to this batch have more than {BATCH_ANSWER_BYTES_MAX} bytes. This call was not run: send it in another batch"
            );
            return refused(operation, &Fault::client("LimitExceededException", message));
        }
        if let Err(fault) = door.admit(self.now).await {
            return refused(operation, &fault);
        }
        let head = RequestHead {
            method: operation.method,
            path: "/",
            query: "",
            // What they say is said already, and what is in them is JSON.
            headers: &self.headers,
        };
        let asked = AskedToRun {
            operation,
            authenticated: self.authenticated,
            peer: self.peer,
            head: &head,
            said: &self.said,
            body: call.input.get().as_bytes(),
            request_id,
            spelled: Spelled::AmongOthers,
        };
        Begun::Ran(Box::new(door.perform(&asked).await))
    }
}

/// One answer: the id of its request, the HTTP status of the call alone, and output or
/// error as the body of the call alone.
fn spell(out: &mut Vec<u8>, request_id: &str, answer: &Answer) {
    out.extend_from_slice(b"{\"requestId\":\"");
    out.extend_from_slice(request_id.as_bytes());
    out.extend_from_slice(b"\",\"status\":");
    out.extend_from_slice(answer.status.as_str().as_bytes());
    out.extend_from_slice(b",\"body\":");
    // The body is JSON, or nothing.
    match answer.body.is_empty() {
        true => out.extend_from_slice(b"null"),
        false => out.extend_from_slice(&answer.body),
    }
    out.push(b'}');
}

/// Runs futures side by side, and gives what they make in their order.
///
/// Nearly every call is done when it is first polled, so all of them begin in one place in
/// memory; one that has to wait keeps it, and the next begins in another.
async fn side_by_side<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut made: Vec<Option<F::Output>> = Vec::with_capacity(futures.size_hint().0);
    let mut waiting: Vec<(usize, Pin<Box<Option<F>>>)> = Vec::new();
    let mut futures = futures.enumerate().fuse();
    let mut place: Pin<Box<Option<F>>> = Box::pin(None);
    std::future::poll_fn(|task| {
        waiting.retain_mut(|(at, future)| match poll(future, task) {
            Poll::Ready(output) => {
                made[*at] = Some(output);
                false
            }
            Poll::Pending => true,
        });
        for (at, future) in futures.by_ref() {
            place.set(Some(future));
            match poll(&mut place, task) {
                Poll::Ready(output) => made.push(Some(output)),
                Poll::Pending => {
                    made.push(None);
                    waiting.push((at, std::mem::replace(&mut place, Box::pin(None))));
                }
            }
        }
        match waiting.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    made.into_iter()
        .map(|output| output.expect("every future has been waited for"))
        .collect()
}

/// Polls what is in a place; it is empty afterwards if that is done.
fn poll<F: Future>(place: &mut Pin<Box<Option<F>>>, task: &mut std::task::Context<'_>) -> Poll<F::Output> {
    let Some(future) = place.as_mut().as_pin_mut() else {
        return Poll::Pending;
    };
    let polled = future.poll(task);
    if polled.is_ready() {
        place.set(None);
    }
    polled
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
