//! What goes back: status, headers, body.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use shape::{OperationShape, Protocol, ServiceShape, Structure, StructureShape};

use crate::{cbor, json, query, rest};

/// An HTTP answer, complete but for what the connection adds (`Date`, `Content-Length`).
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// What the body is, if nothing among the headers says so.
    pub media_type: Option<&'static str>,
    /// Headers beside the media type and the request's id.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    id_under: IdUnder,
}

/// Where clients of a protocol look for the request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IdUnder {
    /// `x-amzn-requestid`
    RequestId,
    /// `x-amz-request-id` and `x-amz-id-2`
    S3,
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
static S3_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
static S3_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// Headers for which a request's map has room enough to be kept for the next:
/// who sends many must not keep much.
const ROOM_KEPT: usize = 64;

impl Answer {
    pub(crate) fn new(status: StatusCode) -> Answer {
        Answer {
            status,
            media_type: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            id_under: IdUnder::RequestId,
        }
    }

    pub(crate) fn body(&mut self, media_type: &'static str, body: Vec<u8>) {
        self.media_type = Some(media_type);
        self.body = Bytes::from(body);
    }

    /// The answer to the request with this id. Its headers are put in the place of
    /// those in `room`: mostly the request's own, which nobody needs any more.
    pub fn into_response(self, request_id: String, mut room: HeaderMap) -> http::Response<Bytes> {
        if room.capacity() > ROOM_KEPT {
            room = HeaderMap::new();
        }
        room.clear();
        if let Some(media_type) = self.media_type {
            room.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        if !self.headers.is_empty() {
            room.extend(self.headers);
        }
        // No copy is made of the text.
        if let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(request_id)) {
            match self.id_under {
                IdUnder::RequestId => {
                    room.insert(&REQUEST_ID, id);
                }
                IdUnder::S3 => {
                    room.insert(&S3_ID, id.clone());
                    room.insert(&S3_REQUEST_ID, id);
                }
            }
        }
        let mut response = http::Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = room;
        response
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
    answer.mark(Some(service), service.protocol);
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

/// Spells an operation's output in rpcv2Cbor, whose bodies do not tell the request's id.
pub fn encode_cbor(operation: &OperationShape, output: &dyn Structure) -> Answer {
    let service = operation.service;
    let mut answer = Answer::new(StatusCode::from_u16(operation.status).unwrap_or(StatusCode::OK));
    if !answers_nothing(operation) {
        answer.body(cbor::MEDIA_TYPE, cbor::write::body(output));
    }
    answer.mark(Some(service), service.protocol);
    answer
}

/// Whether the model gives the operation no output at all; JSON services then answer an empty body.
pub(crate) fn answers_nothing(operation: &OperationShape) -> bool {
    operation.output.members.is_empty() && operation.output.name == StructureShape::EMPTY.name
}

impl Answer {
    /// Says where clients of the protocol look for the request's id.
    pub(crate) fn mark(&mut self, service: Option<&ServiceShape>, protocol: Protocol) {
        let s3 = protocol == Protocol::RestXml && service.is_none_or(|service| service.name == "s3");
        self.id_under = if s3 { IdUnder::S3 } else { IdUnder::RequestId };
    }
}
