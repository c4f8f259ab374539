//! Decoders are total: whatever the bytes, they answer; and whatever is
//! answered can be read.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use proptest::sample::Index;
use shape::{Kind, Protocol, Shape, StructureShape};
use wire::{RequestHead, Router, WireFault, encode_fault};

use super::SERVICES;
use super::canonical::says;
use super::operations::{Row, rows};

/// Names that mean something to an operation: of members, however deep, and of the syntax around them.
fn names(row: &Row) -> Vec<&'static str> {
    let mut names = vec![
        "member",
        "entry",
        "key",
        "value",
        "item",
        "1",
        "2",
        "007",
        "4294967296",
        "x",
        "",
    ];
    members(row.shape.input, 0, &mut names);
    names
}

fn members(shape: &StructureShape, depth: usize, names: &mut Vec<&'static str>) {
    for member in shape.members {
        names.push(member.wire_name);
        inside(member.shape, depth, names);
    }
}

fn inside(shape: &Shape, depth: usize, names: &mut Vec<&'static str>) {
    if depth > 3 || names.len() > 200 {
        return;
    }
    match shape.kind {
        Kind::Structure(shape) => members(shape, depth + 1, names),
        Kind::List { item, item_name, .. } => {
            names.extend(item_name);
            inside(item, depth + 1, names);
        }
        Kind::Map { value, .. } => inside(value, depth + 1, names),
        _ => {}
    }
}

const TEXTS: [&str; 12] = [
    "",
    "a",
    "5",
    "-1",
    "1.5",
    "true",
    "AAEC",
    "2026-01-02T03:04:05Z",
    "é\u{0}",
    "%zz",
    "99999999999999999999",
    "Fri, 02 Jan 2026 03:04:05 GMT",
];

fn text(at: &Index) -> &'static str {
    TEXTS[at.index(TEXTS.len())]
}

/// Pieces of a body: a name or a text, and how it is dressed.
type Piece = (u8, Index, Index);

/// Something close to what the protocol wants.
fn body_of(protocol: Protocol, names: &[&str], pieces: &[Piece]) -> String {
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (manner, name, text) in pieces {
        let (name, text) = (names[name.index(names.len())], self::text(text));
        let written = match protocol {
            Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => match manner % 8 {
                0 => write!(out, "{{\"{name}\":"),
                1 => write!(out, "\"{text}\""),
                2 => write!(out, "}}"),
                3 => write!(out, ",\"{name}\":"),
                4 => write!(out, "["),
                5 => write!(out, "]"),
                6 => write!(out, "null"),
                _ => write!(out, "{text}"),
            },
            Protocol::Query | Protocol::Ec2 => match manner % 4 {
                0 => write!(out, "&{name}={text}"),
                1 => write!(out, "&{name}."),
                2 => write!(out, "{name}."),
                _ => write!(out, "{name}={text}"),
            },
            Protocol::RestXml => match manner % 6 {
                0 | 1 => {
                    open.push(name);
                    write!(out, "<{name} a:type=\"{text}\">")
                }
                2 | 3 => open.pop().map_or(Ok(()), |name| write!(out, "</{name}>")),
                4 => write!(out, "{text}"),
                _ => write!(out, "&{name};<![CDATA[{text}]]><{name}/>"),
            },
        };
        written.unwrap();
    }
    if protocol == Protocol::RestXml {
        for name in open.iter().rev() {
            write!(out, "</{name}>").unwrap();
        }
    }
    out
}

/// Decodes, and reads whatever fault comes of it.
fn decode(row: &Row, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) {
    let head = RequestHead {
        method,
        path,
        query,
        headers,
    };
    let mut input = (row.input)();
    match wire::decode(row.shape, &head, body, &mut *input) {
        Ok(()) => {
            says(&*input);
        }
        Err(fault) => readable(row.shape.service.protocol, row, &fault.to_fault(row.shape)),
    }
}

/// A client can read the answer that tells this fault, and find its code there.
fn readable(protocol: Protocol, row: &Row, fault: &WireFault) {
    let answer = encode_fault(Some(row.shape.service), protocol, fault, "id", false);
    let text = std::str::from_utf8(&answer.body).unwrap();
    match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => {
            let read: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read["message"].as_str(), fault.message.as_deref());
        }
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => {
            let mut reader = quick_xml::Reader::from_str(text);
            let mut elements = 0;
            loop {
                match reader.read_event().unwrap() {
                    quick_xml::events::Event::Start(_) => elements += 1,
                    quick_xml::events::Event::Eof => break,
                    _ => {}
                }
            }
            assert!(elements >= 3, "{text}");
        }
    }
}

/// An operation's path, with its labels filled.
fn path(row: &Row, text: &str) -> String {
    let path = row.shape.uri.split('?').next().unwrap();
    path.split('/')
        .map(|step| if step.starts_with('{') { text } else { step })
        .collect::<Vec<&str>>()
        .join("/")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes that mean nothing.
    #[test]
    fn any_bytes(at: Index, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), query: String) {
        let rows = rows();
        let row = at.get(&rows);
        decode(row, row.shape.method, "/é%", &query, &HeaderMap::new(), &bytes);
    }

    /// Bytes that mean almost something.
    #[test]
    fn almost_right(
        at: Index,
        pieces in proptest::collection::vec(any::<Piece>(), 0..24),
        label: Index,
        header: Index,
    ) {
        let rows = rows();
        let row = at.get(&rows);
        let names = names(row);
        let body = body_of(row.shape.service.protocol, &names, &pieces);
        let mut headers = HeaderMap::new();
        for member in row.shape.input.members {
            let name = member.wire_name.to_ascii_lowercase();
            if let (Ok(name), Ok(value)) = (
                name.parse::<http::HeaderName>(),
                HeaderValue::from_str(text(&header)),
            ) {
                headers.insert(name, value);
            }
        }
        headers.remove("content-type");
        let query = pieces
            .iter()
            .map(|(_, name, text)| format!("{}={}", names[name.index(names.len())], self::text(text)))
            .collect::<Vec<String>>()
            .join("&");
        let path = path(row, text(&label));
        decode(row, row.shape.method, &path, if pieces.len() % 2 == 0 { &query } else { "" }, &headers, body.as_bytes());
    }

    /// Any head is routed to an operation or to a fault that can be told.
    #[test]
    fn any_head(
        method in "GET|POST|PUT|HEAD|[A-Z]{1,4}",
        path in "(/[a-z{}%é]{0,8}){0,6}/?|.*",
        query in "(Action|Version|tagging|list-type)=.{0,8}|.*",
        scope in proptest::option::of("kms|iam|sts|s3|guardduty|ec2|[a-z]{0,4}"),
        target in proptest::option::of("(TrentService|X)\\.(Encrypt|[a-z]{0,4})|[ -~]{0,20}"),
        body in ".{0,40}",
    ) {
        let router = Router::new(SERVICES);
        let mut headers = HeaderMap::new();
        if let Some(target) = &target {
            headers.insert("x-amz-target", HeaderValue::from_str(target).unwrap());
        }
        let head = RequestHead { method: &method, path: &path, query: &query, headers: &headers };
        if let Err(fault) = router.route(&head, scope.as_deref(), body.as_bytes()) {
            let answer = encode_fault(fault.service, fault.protocol, &fault.fault, "id", false);
            prop_assert!(answer.status.is_client_error());
            prop_assert!(!answer.body.is_empty());
        }
    }

    /// Whatever a fault says, its answer can be read in every protocol.
    #[test]
    fn any_fault(at: Index, message in proptest::option::of(".*"), extra: String) {
        let rows = rows();
        let row = at.get(&rows);
        let fault = WireFault::client(400, "SomeException", message).with("Extra", extra);
        for protocol in [
            Protocol::Json10, Protocol::Json11, Protocol::RestJson, Protocol::RestXml, Protocol::Query, Protocol::Ec2,
        ] {
            readable(protocol, row, &fault);
        }
    }
}

/// Values inside values end at the limit and not at the stack.
#[test]
fn depth_is_bounded() {
    let rows = rows();
    let of = |name: &str| rows.iter().find(|row| row.shape.name == name).unwrap();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let post = |row: &Row, body: &str| decode(row, "POST", "/", "", &HeaderMap::new(), body.as_bytes());
    post(of("Encrypt"), &deep("{\"a\":", "}"));
    post(of("Encrypt"), &deep("[", "]"));
    post(
        of("Encrypt"),
        &format!("{{\"EncryptionContext\":{}", deep("{\"a\":", "}")),
    );
    post(
        of("CreateUser"),
        &format!("{}=1", "Tags.member.1.".repeat(10_000)),
    );
    let row = of("PutObjectTagging");
    decode(
        row,
        "PUT",
        "/b/k",
        "tagging",
        &HeaderMap::new(),
        deep("<Tagging>", "</Tagging>").as_bytes(),
    );
    decode(
        row,
        "PUT",
        "/b/k",
        "tagging",
        &HeaderMap::new(),
        deep("<Tagging><TagSet>", "</TagSet></Tagging>").as_bytes(),
    );
}

/// Bodies beyond the limit are refused before they are read.
#[test]
fn size_is_bounded() {
    let rows = rows();
    for name in [
        "Encrypt",
        "CreateUser",
        "DescribeVolumes",
        "ListFindings",
        "PutObjectTagging",
    ] {
        let row = rows.iter().find(|row| row.shape.name == name).unwrap();
        let protocol = row.shape.service.protocol;
        let body = vec![b' '; wire::limits::body_bytes_max(protocol) + 1];
        let headers = HeaderMap::new();
        let head = RequestHead {
            method: "POST",
            path: "/b/k",
            query: "",
            headers: &headers,
        };
        let fault = wire::decode(row.shape, &head, &body, &mut *(row.input)()).unwrap_err();
        let code = fault.to_fault(row.shape).code;
        assert!(
            code.contains("TooLarge") || code == "MaxMessageLengthExceeded",
            "{name}: {code}"
        );
    }
}
