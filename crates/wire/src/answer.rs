//! What goes back: status, headers, body.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use shape::{OperationShape, Protocol, ServiceShape, Structure, StructureShape};

use crate::{cbor, json, query, rest};

/// An HTTP answer, complete but for what the connection adds (`Date`, `Content-Length`).
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers, the request's id among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: StatusCode) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn body(&mut self, media_type: &'static str, body: Vec<u8>) {
        if !self.headers.contains_key(http::header::CONTENT_TYPE) {
            self.headers
                .insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        self.body = Bytes::from(body);
    }
}

/// Spells an operation's output in its service's protocol.
pub fn encode(operation: &OperationShape, output: &dyn Structure, request_id: &str) -> Answer {
    let service = operation.service;
    let status = StatusCode::from_u16(operation.status).unwrap_or(StatusCode::OK);
    let mut answer = Answer::new(status);
    match service.protocol {
        Protocol::Json10 | Protocol::Json11 => {
            let media_type = if service.protocol == Protocol::Json10 {
                "application/x-amz-json-1.0"
            } else {
                "application/x-amz-json-1.1"
            };
            let body = if answers_nothing(operation) {
                Vec::new()
            } else {
                json::write::body(output)
            };
            answer.body(media_type, body);
        }
        Protocol::Query => answer.body("text/xml", query::write::answer(operation, output, request_id)),
        Protocol::Ec2 => answer.body(
            "text/xml;charset=UTF-8",
            query::write::ec2_answer(operation, output, request_id),
        ),
        Protocol::RestJson | Protocol::RestXml => rest::write::answer(operation, output, &mut answer),
    }
    mark(&mut answer.headers, Some(service), service.protocol, request_id);
    answer
}

/// As [`encode`] of a JSON service, but without headers: of an answer that
/// stands in a greater one.
///
/// # Panics
///
/// If the service speaks no JSON.
pub fn encode_body(operation: &OperationShape, output: &dyn Structure) -> Answer {
    let protocol = operation.service.protocol;
    assert!(
        matches!(protocol, Protocol::Json10 | Protocol::Json11),
        "only JSON stands in JSON"
    );
    let mut answer = Answer::new(StatusCode::from_u16(operation.status).unwrap_or(StatusCode::OK));
    if !answers_nothing(operation) {
        answer.body = json::write::body(output).into();
    }
    answer
}

/// Spells an operation's output in rpcv2Cbor.
pub fn encode_cbor(operation: &OperationShape, output: &dyn Structure, request_id: &str) -> Answer {
    let service = operation.service;
    let mut answer = Answer::new(StatusCode::from_u16(operation.status).unwrap_or(StatusCode::OK));
    if !answers_nothing(operation) {
        answer.body(cbor::MEDIA_TYPE, cbor::write::body(output));
    }
    mark(&mut answer.headers, Some(service), service.protocol, request_id);
    answer
}

/// Whether the model gives the operation no output at all; JSON services then answer an empty body.
pub(crate) fn answers_nothing(operation: &OperationShape) -> bool {
    operation.output.members.is_empty() && operation.output.name == StructureShape::EMPTY.name
}

/// Puts the request's id where clients of the protocol look for it.
pub(crate) fn mark(
    headers: &mut HeaderMap,
    service: Option<&ServiceShape>,
    protocol: Protocol,
    request_id: &str,
) {
    let Ok(id) = HeaderValue::from_str(request_id) else {
        return;
    };
    let s3 = protocol == Protocol::RestXml && service.is_none_or(|service| service.name == "s3");
    if s3 {
        headers.insert(HeaderName::from_static("x-amz-id-2"), id.clone());
        headers.insert(HeaderName::from_static("x-amz-request-id"), id);
    } else {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
}
