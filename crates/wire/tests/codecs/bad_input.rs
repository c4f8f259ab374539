//! Bad input, and what it is answered, word for word.
//!
//! Each file under `cases/` holds conversations: a title behind `==`, the
//! request (with the service of its signature behind `scope`), `--`, and the
//! answer. A request that is good after all answers what was read. `\xNN` in a
//! body is one byte. With `PALISADE_BLESS=1` the answers are written anew; read
//! the difference before believing it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use wire::{Answer, RequestHead, Router, encode_fault};

use super::SERVICES;
use super::canonical::says;
use super::operations::rows;

const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn json() {
    check("json.txt");
}

#[test]
fn cbor() {
    check("cbor.txt");
}

#[test]
fn query() {
    check("query.txt");
}

#[test]
fn ec2() {
    check("ec2.txt");
}

#[test]
fn rest_json() {
    check("rest_json.txt");
}

#[test]
fn s3() {
    check("s3.txt");
}

#[test]
fn routing() {
    check("routing.txt");
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/codecs/cases")
        .join(file);
    let expected = read(&path);
    let router = Router::new(SERVICES);
    let mut found = String::new();
    for case in expected.split("\n== ") {
        let (request, _) = case.split_once("\n--\n").unwrap_or((case, ""));
        let request = request.trim_end_matches('\n').trim_start_matches("== ");
        let (title, request) = request.split_once('\n').unwrap();
        write!(
            found,
            "== {title}\n{request}\n--\n{}\n\n",
            answer(&router, request)
        )
        .unwrap();
    }
    let found = format!("{}\n", found.trim_end());
    if std::env::var_os("PALISADE_BLESS").is_some() {
        keep(&path, &found);
        return;
    }
    for (found, expected) in found.split("\n== ").zip(expected.split("\n== ")) {
        assert_eq!(found, expected, "in {file}");
    }
    assert_eq!(found, expected);
}

fn answer(router: &Router, request: &str) -> String {
    let (lines, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = lines.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut scope = None;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim();
        if name == "scope" {
            scope = Some(value);
        } else {
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(&unescaped(value)).unwrap(),
            );
        }
    }
    let head = RequestHead {
        method,
        path,
        query,
        headers: &headers,
    };
    let body = unescaped(body);
    let operation = match router.route(&head, scope, &body) {
        Ok(operation) => operation,
        Err(fault) => {
            let answer = encode_fault(
                fault.service,
                fault.protocol,
                &fault.fault,
                REQUEST_ID,
                method == "HEAD",
            );
            return spelled(&answer);
        }
    };
    let rows = rows();
    let row = rows
        .iter()
        .find(|row| std::ptr::eq(row.shape, operation))
        .unwrap();
    let mut input = (row.input)();
    match wire::decode(operation, &head, &body, &mut *input) {
        Ok(()) => format!("{} {}", operation.name, says(&*input)),
        Err(fault) => {
            let service = operation.service;
            let fault = fault.to_fault(operation);
            spelled(&encode_fault(
                Some(service),
                service.protocol,
                &fault,
                REQUEST_ID,
                method == "HEAD",
            ))
        }
    }
}

fn spelled(answer: &Answer) -> String {
    let mut spelled = answer.status.as_u16().to_string();
    let sent = answer
        .clone()
        .into_response(REQUEST_ID.to_owned(), HeaderMap::new());
    let mut headers: Vec<String> = sent
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    for header in headers {
        write!(spelled, "\n{header}").unwrap();
    }
    if !answer.body.is_empty() {
        write!(spelled, "\n\n{}", std::str::from_utf8(&answer.body).unwrap()).unwrap();
    }
    spelled
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

#[expect(clippy::disallowed_methods, reason = "a test may read the files beside it")]
fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "blessing rewrites the files beside the test"
)]
fn keep(path: &PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
}
