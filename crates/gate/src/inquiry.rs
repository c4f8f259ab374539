//! Inquiries: what operators ask of a server, or order it to do, by signed
//! requests on its own paths.
//!
//! An inquiry is authenticated, admitted, authorized by its handler and recorded
//! as any call is; only its input is no model's.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use shape::{OperationShape, StructureShape};

use crate::cx::Cx;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::operator;

/// What records call an inquiry, and the action that it needs.
pub(crate) const fn operation(
    name: &'static str,
    action: &'static str,
    uri: &'static str,
    read_only: bool,
) -> OperationShape {
    OperationShape {
        name,
        action,
        service: &operator::SHAPE,
        method: "POST",
        uri,
        status: 200,
        input: StructureShape::EMPTY,
        output: StructureShape::EMPTY,
        result_wrapper: "",
        errors: &[],
        read_only,
        unsigned: false,
    }
}

/// Authenticates an inquiry, and gives its context, or the answer to whoever is not believed.
pub(crate) async fn enter(
    door: &Arc<Door>,
    operation: &'static OperationShape,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Result<Cx, Response<Full<Bytes>>> {
    let cx = operator::enter(door, operation, head, body, peer, request_id).await?;
    match door.admit(cx.now()).await {
        Ok(_) => Ok(cx),
        Err(fault) => Err(told(&fault)),
    }
}

/// Records an inquiry, and then answers it.
pub(crate) async fn finish(
    door: &Arc<Door>,
    cx: &Cx,
    outcome: Result<serde_json::Value, Fault>,
) -> Response<Full<Bytes>> {
    let request_id = cx.request_id();
    let error = outcome
        .as_ref()
        .err()
        .map(|fault| (fault.code(), fault.message()));
    if let Err(error) = door.record(cx, error, None).await {
        door.metrics.unrecorded.inc();
        tracing::error!(request_id, %error, "no record could be written; the question is not answered");
        return told(&Fault::server("ServiceUnavailable", &error).with_status(503));
    }
    cx.keep_decisions();
    match outcome {
        Ok(answer) => operator::json(StatusCode::OK, &answer),
        Err(fault) => {
            if let Some(detail) = &fault.detail {
                tracing::error!(request_id, detail, "a question could not be answered");
            }
            told(&fault)
        }
    }
}

/// A fault on the operator's paths; without a status of its own, of a bad request.
fn told(fault: &Fault) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(fault.status.unwrap_or(400)).unwrap_or(StatusCode::BAD_REQUEST);
    let message = fault.message().unwrap_or("an internal error occurred");
    operator::problem(status, fault.code(), message)
}

/// The fault of an inquiry that cannot be understood.
pub(crate) fn bad(message: impl std::fmt::Display) -> Fault {
    Fault::client("ValidationException", message)
}
