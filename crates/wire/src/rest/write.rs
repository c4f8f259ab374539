//! REST answers written from typed structures.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use shape::{Kind, Location, Member, OperationShape, Protocol, Structure, Value};

use crate::answer::Answer;
use crate::json;
use crate::rest::payload;
use crate::scalar::{self, Spelling};
use crate::xml::write::Writer;

pub(crate) fn answer(operation: &OperationShape, output: &dyn Structure, answer: &mut Answer) {
    for (at, member) in output.shape().members.iter().enumerate() {
        let Some(value) = output.get(at) else { continue };
        match member.location {
            Location::Header => header(&mut answer.headers, member, value),
            Location::HeaderPrefix => prefixed(&mut answer.headers, member, value),
            Location::Status => {
                if let Value::Integer(status) = value
                    && let Some(status) = u16::try_from(status)
                        .ok()
                        .and_then(|status| StatusCode::from_u16(status).ok())
                {
                    answer.status = status;
                }
            }
            Location::Body | Location::Uri | Location::Query => {}
        }
    }
    // These have no body by HTTP's own rules.
    if matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return;
    }
    let json = operation.service.protocol == Protocol::RestJson;
    match payload(output.shape()) {
        Some((at, member)) => {
            if let Some(value) = output.get(at) {
                whole_body(operation, member, value, answer);
            }
        }
        None if json => answer.body("application/json", json::write::body(output)),
        None if has_body(output) => {
            let mut xml = Writer::with_declaration();
            let root = root_name(operation);
            xml.begin(&root, namespace(operation), output);
            xml.members(output);
            xml.close(&root);
            answer.body("application/xml", xml.into_bytes());
        }
        None => {}
    }
}

fn has_body(output: &dyn Structure) -> bool {
    output
        .shape()
        .members
        .iter()
        .any(|member| member.location == Location::Body)
}

/// The namespace of documents. S3's is not in its model at service level.
fn namespace(operation: &OperationShape) -> &'static str {
    match (operation.service.name, operation.service.xml_namespace) {
        ("s3", "") => "http://s3.amazonaws.com/doc/2006-03-01/",
        (_, namespace) => namespace,
    }
}

/// The root element of an answer. The public model has none where S3's own
/// documents differ from the operation's name; clients in typed languages check it.
///
/// Source: S3 API Reference, response syntax of each operation.
fn root_name(operation: &OperationShape) -> Cow<'static, str> {
    let name = match (operation.service.name, operation.name) {
        ("s3", "ListObjects" | "ListObjectsV2") => "ListBucketResult",
        ("s3", "ListObjectVersions") => "ListVersionsResult",
        ("s3", "ListBuckets") => "ListAllMyBucketsResult",
        ("s3", "ListDirectoryBuckets") => "ListAllMyDirectoryBucketsResult",
        ("s3", "ListMultipartUploads") => "ListMultipartUploadsResult",
        ("s3", "ListParts") => "ListPartsResult",
        ("s3", "CreateMultipartUpload") => "InitiateMultipartUploadResult",
        ("s3", "CompleteMultipartUpload") => "CompleteMultipartUploadResult",
        ("s3", "DeleteObjects") => "DeleteResult",
        ("s3", "GetBucketAcl" | "GetObjectAcl") => "AccessControlPolicy",
        ("s3", "GetBucketVersioning") => "VersioningConfiguration",
        ("s3", "GetBucketTagging" | "GetObjectTagging") => "Tagging",
        ("s3", "GetBucketLogging") => "BucketLoggingStatus",
        ("s3", "GetBucketWebsite") => "WebsiteConfiguration",
        ("s3", "GetBucketCors") => "CORSConfiguration",
        ("s3", "GetBucketLifecycleConfiguration") => "LifecycleConfiguration",
        ("s3", "GetBucketNotificationConfiguration") => "NotificationConfiguration",
        ("s3", "GetBucketAccelerateConfiguration") => "AccelerateConfiguration",
        ("s3", "GetBucketRequestPayment") => "RequestPaymentConfiguration",
        ("s3", "GetObjectAttributes") => "GetObjectAttributesResponse",
        _ => return Cow::Owned(format!("{}Result", operation.name)),
    };
    Cow::Borrowed(name)
}

/// The body is one member and nothing else.
fn whole_body(operation: &OperationShape, member: &Member, value: Value<'_>, answer: &mut Answer) {
    let json = operation.service.protocol == Protocol::RestJson;
    let names_its_type = operation.output.members.iter().any(|member| {
        member.location == Location::Header && member.wire_name.eq_ignore_ascii_case("content-type")
    });
    match value {
        // The service says what its bytes are, or that nobody knows.
        Value::Blob(bytes) if names_its_type => answer.body = Bytes::copy_from_slice(bytes),
        Value::Blob(bytes) => answer.body("application/octet-stream", bytes.to_vec()),
        Value::String(text) => answer.body("text/plain", text.as_bytes().to_vec()),
        Value::Structure(structure) if json => {
            answer.body("application/json", json::write::body(structure));
        }
        Value::Structure(structure) => {
            let mut xml = Writer::with_declaration();
            let namespace = member.xml_namespace.unwrap_or_else(|| namespace(operation));
            xml.begin(member.wire_name, namespace, structure);
            xml.members(structure);
            xml.close(member.wire_name);
            answer.body("application/xml", xml.into_bytes());
        }
        other => {
            let mut out = Vec::new();
            json::write::any(&mut out, member.shape, member.timestamp, other);
            answer.body("application/json", out);
        }
    }
}

fn header(headers: &mut HeaderMap, member: &Member, value: Value<'_>) {
    let spelling = Spelling::HEADER.of(member.timestamp);
    let text = match (value, &member.shape.kind) {
        (Value::List(list), Kind::List { item, .. }) => {
            let items: Vec<String> = (0..list.len())
                .filter_map(|at| list.item(at))
                .filter_map(|value| scalar::text(item, Spelling::HEADER, value))
                .map(|text| quoted(&text))
                .collect();
            if items.is_empty() {
                return;
            }
            Cow::Owned(items.join(","))
        }
        (value, _) => match scalar::text(member.shape, spelling, value) {
            Some(text) => text,
            None => return,
        },
    };
    insert(headers, member.wire_name, &text);
}

fn prefixed(headers: &mut HeaderMap, member: &Member, value: Value<'_>) {
    let (Value::Map(map), Kind::Map { value: shape, .. }) = (value, &member.shape.kind) else {
        return;
    };
    map.each(&mut |key, value| {
        if let Some(text) = scalar::text(shape, Spelling::HEADER, value) {
            insert(headers, &format!("{}{key}", member.wire_name), &text);
        }
    });
}

/// Sets a header. What cannot be a header's name is left out: the service that
/// stored it took it from a header. What cannot be a value is spelled as RFC 2047
/// does, as S3 does for metadata; a line break never gets through.
fn insert(headers: &mut HeaderMap, name: &str, text: &str) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return;
    };
    let printable = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let value = if printable {
        HeaderValue::from_str(text)
    } else {
        HeaderValue::from_str(&format!("=?UTF-8?B?{}?=", BASE64.encode(text)))
    };
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// An item of a list in a header, in quotes if it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text.to_owned()
    }
}
