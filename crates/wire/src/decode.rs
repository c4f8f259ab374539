//! From a routed request to its typed input.

use shape::fill::Seen;
use shape::{OperationShape, Path, Protocol, Structure, Violations};

use crate::fault::WireFault;
use crate::head::RequestHead;
use crate::limits::{body_bytes_max, echo};
use crate::{cbor, json, query, rest};

/// Why a request does not become an input.
#[derive(Debug)]
pub enum DecodeFault {
    /// The values are readable and break the model's constraints.
    Invalid(Violations),
    /// The bytes do not say what the model expects.
    Malformed(Malformed),
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    kind: MalformedKind,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MalformedKind {
    /// A header, label or query parameter is not of its type.
    Argument,
    /// The body is of another media type than the protocol's.
    MediaType,
    /// A value in the body is not of its type.
    Mismatch,
    /// The body is empty and may not be.
    MissingBody,
    /// The body is not in the protocol's syntax.
    Syntax,
    /// The body has more bytes than the protocol takes.
    TooLarge,
}

impl Malformed {
    pub(crate) fn argument(message: String) -> Malformed {
        Malformed {
            kind: MalformedKind::Argument,
            message,
        }
    }

    pub(crate) fn mismatch(message: String) -> Malformed {
        Malformed {
            kind: MalformedKind::Mismatch,
            message,
        }
    }

    pub(crate) fn missing_body() -> Malformed {
        Malformed {
            kind: MalformedKind::MissingBody,
            message: "Request body is empty.".to_owned(),
        }
    }

    pub(crate) fn syntax(message: String) -> Malformed {
        Malformed {
            kind: MalformedKind::Syntax,
            message,
        }
    }

    pub(crate) fn media_type(head: &RequestHead<'_>, expected: &str) -> Malformed {
        let given = head.header("content-type").map_or("unreadable", echo);
        Malformed {
            kind: MalformedKind::MediaType,
            message: format!("The content type '{given}' is not supported; send {expected}"),
        }
    }
}

impl From<Malformed> for DecodeFault {
    fn from(malformed: Malformed) -> DecodeFault {
        DecodeFault::Malformed(malformed)
    }
}

impl DecodeFault {
    /// The fault in the words and codes of the operation's service.
    pub fn to_fault(&self, operation: &OperationShape) -> WireFault {
        match self {
            DecodeFault::Invalid(violations) => invalid(operation, violations),
            DecodeFault::Malformed(malformed) => malformed_fault(operation.service.protocol, malformed),
        }
    }
}

fn invalid(operation: &OperationShape, violations: &Violations) -> WireFault {
    let message = violations.message();
    match operation.service.protocol {
        Protocol::Json10 | Protocol::Json11 => WireFault::client(400, "ValidationException", message),
        Protocol::Query => WireFault::client(400, "ValidationError", message),
        // Of the codes a REST service may use, the one that its model has.
        Protocol::RestJson => {
            let code = [
                "ValidationException",
                "BadRequestException",
                "InvalidInputException",
            ]
            .into_iter()
            .find(|code| operation.error(code).is_some())
            .unwrap_or("ValidationException");
            WireFault::client(400, code, message)
        }
        Protocol::RestXml => WireFault::client(400, "InvalidArgument", message),
        Protocol::Ec2 => match violations.first_missing() {
            Some(name) => WireFault::client(
                400,
                "MissingParameter",
                format!("The request must contain the parameter {name}"),
            ),
            None => WireFault::client(400, "InvalidParameterValue", message),
        },
    }
}

fn malformed_fault(protocol: Protocol, malformed: &Malformed) -> WireFault {
    use MalformedKind::{Argument, MediaType, Mismatch, MissingBody, Syntax, TooLarge};
    let message = malformed.message.clone();
    match (protocol, malformed.kind) {
        (Protocol::Json10 | Protocol::Json11 | Protocol::RestJson, kind) => match kind {
            Argument | Mismatch | MissingBody | Syntax => {
                WireFault::client(400, "SerializationException", message)
            }
            MediaType => WireFault::client(415, "UnsupportedMediaTypeException", message),
            TooLarge => WireFault::client(413, "RequestEntityTooLargeException", message),
        },
        (Protocol::Query, kind) => match kind {
            Argument | Mismatch | MissingBody => WireFault::client(400, "MalformedInput", message),
            // 404 is what the query services' list of common errors says.
            Syntax => WireFault::client(404, "MalformedQueryString", message),
            MediaType => WireFault::client(400, "InvalidQueryParameter", message),
            TooLarge => WireFault::client(413, "RequestEntityTooLarge", message),
        },
        (Protocol::Ec2, kind) => match kind {
            Argument | Mismatch | MissingBody => WireFault::client(400, "InvalidParameterValue", message),
            Syntax | MediaType => WireFault::client(400, "InvalidQueryParameter", message),
            TooLarge => WireFault::client(413, "RequestEntityTooLarge", message),
        },
        (Protocol::RestXml, kind) => match kind {
            Argument => WireFault::client(400, "InvalidArgument", message),
            MissingBody => WireFault::client(400, "MissingRequestBodyError", message),
            // S3's one sentence for everything wrong in a document.
            Mismatch | Syntax | MediaType => WireFault::client(
                400,
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema"
                    .to_owned(),
            ),
            TooLarge => WireFault::client(
                400,
                "MaxMessageLengthExceeded",
                "Your request was too big.".to_owned(),
            ),
        },
    }
}

/// Reads a request into the operation's input and checks the model's constraints.
///
/// `into` is the operation's empty input. A streamed payload is taken whole
/// from `body`; its size is the gate's to bound.
///
/// # Errors
///
/// [`DecodeFault`]; `into` is then half filled and good for nothing.
pub fn decode(
    operation: &OperationShape,
    head: &RequestHead<'_>,
    body: &[u8],
    into: &mut dyn Structure,
) -> Result<(), DecodeFault> {
    let protocol = operation.service.protocol;
    if !rest::is_streamed(operation.input) && body.len() > body_bytes_max(protocol) {
        let limit = body_bytes_max(protocol);
        return Err(DecodeFault::Malformed(Malformed {
            kind: MalformedKind::TooLarge,
            message: format!("The request body has more than {limit} bytes"),
        }));
    }
    let mut violations = Violations::default();
    let mut seen = Seen::default();
    match protocol {
        Protocol::Json10 | Protocol::Json11 if head.speaks_cbor() => {
            if !head.media_type_is(&[cbor::MEDIA_TYPE]) {
                return Err(Malformed::media_type(head, cbor::MEDIA_TYPE).into());
            }
            cbor::read::body(body, into, &Path::ROOT, &mut seen, &mut violations)?;
        }
        Protocol::Json10 | Protocol::Json11 => {
            let types = [
                "application/x-amz-json-1.1",
                "application/x-amz-json-1.0",
                "application/json",
            ];
            if !head.media_type_is(&types) {
                return Err(
                    Malformed::media_type(head, types[usize::from(protocol == Protocol::Json10)]).into(),
                );
            }
            json::read::body(body, into, &Path::ROOT, &mut seen, &mut violations)?;
        }
        Protocol::Query | Protocol::Ec2 => {
            let ec2 = protocol == Protocol::Ec2;
            query::read::request(ec2, head, body, into, &mut seen, &mut violations)?;
        }
        Protocol::RestJson | Protocol::RestXml => {
            rest::read::request(operation, head, body, into, &mut seen, &mut violations)?;
        }
    }
    seen.require(operation.input, &Path::ROOT, &mut violations);
    if violations.is_empty() {
        Ok(())
    } else {
        Err(DecodeFault::Invalid(violations))
    }
}
