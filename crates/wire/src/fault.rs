//! Errors as each protocol tells them.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value as Json;
use shape::{Protocol, ServiceShape};

use crate::answer::Answer;
use crate::json;
use crate::xml::write::Writer;

/// What went wrong, in the words a client will see.
#[derive(Debug, Clone, PartialEq)]
pub struct WireFault {
    /// HTTP status.
    pub status: u16,
    /// `NotFoundException`
    pub code: Cow<'static, str>,
    /// The message. JSON leaves the member out without one, as KMS does for
    /// `InvalidCiphertextException`.
    pub message: Option<String>,
    /// Whether the caller is at fault.
    pub sender: bool,
    /// Further members of the modelled error, or of S3's `<Error>`.
    pub extra: Vec<(Cow<'static, str>, Json)>,
}

impl WireFault {
    /// The caller's fault.
    pub fn client(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Option<String>>,
    ) -> WireFault {
        WireFault {
            status,
            code: code.into(),
            message: message.into(),
            sender: true,
            extra: Vec::new(),
        }
    }

    /// The same fault with a further member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Json>) -> WireFault {
        self.extra.push((name.into(), value.into()));
        self
    }
}

/// Spells a fault in a service's protocol. `head_only` leaves the body out, as
/// the answer to a `HEAD` request must.
pub fn encode_fault(
    service: Option<&ServiceShape>,
    protocol: Protocol,
    fault: &WireFault,
    request_id: &str,
    head_only: bool,
) -> Answer {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Answer::new(status);
    let (media_type, body) = match protocol {
        Protocol::Json10 => ("application/x-amz-json-1.0", json_body(fault, true)),
        Protocol::Json11 => ("application/x-amz-json-1.1", json_body(fault, true)),
        Protocol::RestJson => {
            if let Ok(code) = HeaderValue::from_str(&fault.code) {
                answer
                    .headers
                    .insert(HeaderName::from_static("x-amzn-errortype"), code);
            }
            ("application/json", json_body(fault, false))
        }
        Protocol::Query => ("text/xml", error_response(service, fault, request_id)),
        Protocol::Ec2 => ("text/xml;charset=UTF-8", ec2_response(fault, request_id)),
        // S3 alone has an error without an envelope, and is the service without a name.
        Protocol::RestXml if service.is_none_or(|service| service.name == "s3") => {
            ("application/xml", s3_error(fault, request_id))
        }
        Protocol::RestXml => ("text/xml", error_response(service, fault, request_id)),
    };
    if !head_only {
        answer.body(media_type, body);
    }
    answer.mark(service, protocol);
    answer
}

fn json_body(fault: &WireFault, with_type: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + fault.message.as_ref().map_or(0, String::len));
    out.push(b'{');
    if with_type {
        out.extend_from_slice(b"\"__type\":");
        json::write::string(&mut out, &fault.code);
    }
    if let Some(message) = &fault.message {
        comma(&mut out);
        out.extend_from_slice(b"\"message\":");
        json::write::string(&mut out, message);
    }
    for (name, value) in &fault.extra {
        if (with_type && name == "__type") || (fault.message.is_some() && name == "message") {
            continue;
        }
        comma(&mut out);
        json::write::string(&mut out, name);
        out.push(b':');
        json::write::document(&mut out, value);
    }
    out.push(b'}');
    out
}

fn comma(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn error_response(service: Option<&ServiceShape>, fault: &WireFault, request_id: &str) -> Vec<u8> {
    let mut xml = Writer::default();
    let namespace = service.map_or("", |service| service.xml_namespace);
    xml.open_in("ErrorResponse", namespace);
    xml.open("Error");
    xml.leaf("Type", if fault.sender { "Sender" } else { "Receiver" });
    code_and_message(&mut xml, fault);
    xml.close("Error");
    xml.leaf("RequestId", request_id);
    xml.close("ErrorResponse");
    xml.into_bytes()
}

fn ec2_response(fault: &WireFault, request_id: &str) -> Vec<u8> {
    let mut xml = Writer::with_declaration();
    xml.open("Response");
    xml.open("Errors");
    xml.open("Error");
    code_and_message(&mut xml, fault);
    xml.close("Error");
    xml.close("Errors");
    xml.leaf("RequestID", request_id);
    xml.close("Response");
    xml.into_bytes()
}

fn s3_error(fault: &WireFault, request_id: &str) -> Vec<u8> {
    let mut xml = Writer::with_declaration();
    xml.open("Error");
    code_and_message(&mut xml, fault);
    xml.leaf("RequestId", request_id);
    xml.leaf("HostId", request_id);
    xml.close("Error");
    xml.into_bytes()
}

fn code_and_message(xml: &mut Writer, fault: &WireFault) {
    xml.leaf("Code", &fault.code);
    if let Some(message) = &fault.message {
        xml.leaf("Message", message);
    }
    for (name, value) in &fault.extra {
        xml.json(name, value);
    }
}
