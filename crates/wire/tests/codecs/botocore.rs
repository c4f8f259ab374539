//! Trial 1: what botocore writes we read, what we write botocore reads.
//!
//! A Python program makes random valid inputs and outputs of every generated
//! operation from the model itself. Needs `python3` with `venv` and a package
//! index for the pinned botocore; without them this test fails, it does not skip.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value as Json, json};
use shape::{Protocol, ServiceShape, Structure};
use wire::{Answer, RequestHead, Router, WireFault};

use super::SERVICES;
use super::canonical::{say, says};
use super::operations::{Row, rows};

const SEED: &str = "palisade";
const REQUEST_ID: &str = "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE";

#[test]
fn botocore_and_we_say_the_same() {
    let python = python();
    let rows: HashMap<(&str, &str), Row> = rows()
        .into_iter()
        .map(|row| ((row.shape.service.name, row.shape.name), row))
        .collect();
    let router = Router::new(SERVICES);

    let generated = run(&python, &["generate", SEED, &wanted()], &[]);
    let mut requests = 0;
    let mut wrong = Vec::new();
    let mut answers = Vec::new();
    for line in generated.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap();
        if line["kind"] == "impossible" {
            wrong.push(format!("the trial finds no value for {line}"));
            continue;
        }
        let (service, _) = tongue(text("service"));
        let row = &rows[&(service, text("operation"))];
        if line["kind"] == "request" {
            requests += 1;
            if let Err(difference) = read(&router, row, &line) {
                wrong.push(difference);
            }
        } else {
            answers.push(write(row, &line));
            if line["says"] == json!({}) || answers.len() % 8 == 0 {
                answers.push(fail(row, text("service")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {requests} requests:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );

    let services: Vec<String> = spoken().map(|(spoken, _)| spoken).collect();
    let services = services.iter().map(String::as_str);
    let arguments: Vec<&str> = ["check"].into_iter().chain(services).collect();
    let checked = run(&python, &arguments, &answers);
    let checked: Json = serde_json::from_str(&checked).unwrap();
    assert_eq!(checked["different"], 0, "see above");
    assert_eq!(checked["compared"], answers.len());
    println!(
        "{requests} requests read and {} answers written as botocore does",
        answers.len()
    );
    assert!(
        requests >= 4000 && answers.len() >= 4000,
        "the trial is several thousand"
    );
}

/// Routes and decodes a request of botocore's, and compares what it says.
fn read(router: &Router, row: &Row, line: &Json) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    for header in line["headers"].as_array().unwrap() {
        headers.append(
            header[0].as_str().unwrap().parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(header[1].as_str().unwrap()).unwrap(),
        );
    }
    let head = RequestHead {
        method: line["method"].as_str().unwrap(),
        path: line["path"].as_str().unwrap(),
        query: line["query"].as_str().unwrap(),
        headers: &headers,
    };
    let body = BASE64.decode(line["body"].as_str().unwrap()).unwrap();
    let found = router
        .route(&head, Some(row.shape.service.signing_name), &body)
        .map_err(|fault| format!("{fault:?} for {line}"))?;
    if !std::ptr::eq(found, row.shape) {
        return Err(format!("routed to {} instead of {line}", found.name));
    }
    let mut input = (row.input)();
    wire::decode(row.shape, &head, &body, &mut *input)
        .map_err(|fault| format!("{:?} for {line}", fault.to_fault(row.shape)))?;
    let (read, sent) = (says(&*input), &line["says"]);
    if &read == sent {
        Ok(())
    } else {
        Err(format!("differs\n  read {read}\n  sent {sent}\n  from {line}"))
    }
}

/// Encodes an output that says what the line says.
fn write(row: &Row, line: &Json) -> Json {
    let mut output = (row.output)();
    say(&mut *output, &line["says"]);
    let spoken = line["service"].as_str().unwrap();
    let answer = match tongue(spoken) {
        (_, Tongue::Own) => wire::encode(row.shape, &*output, REQUEST_ID),
        (_, Tongue::Cbor) => wire::as_cbor(wire::encode_cbor(row.shape, &*output)),
    };
    // Required lists that the line leaves out are there in a typed output, and empty.
    let mut said = says(&*output);
    leave_no_trace(row, &mut said);
    answered("answer", row, spoken, &said, &answer)
}

/// A stream without bytes and a status are the answer's own, said or not.
fn leave_no_trace(row: &Row, said: &mut Json) {
    let members = said.as_object_mut().unwrap();
    if let Some(payload) = row.shape.output.payload {
        let name = row.shape.output.members[payload].name;
        if members
            .get(name)
            .is_some_and(|body| body == "" || *body == json!({}))
        {
            members.remove(name);
        }
    }
}

/// Encodes an error of the operation's service.
fn fail(row: &Row, spoken: &str) -> Json {
    let service = row.shape.service;
    let error = row.shape.errors.first();
    let code = error.map_or("InternalFailure", |error| error.code);
    let status = error.map_or(400, |error| error.status);
    let fault = WireFault::client(status, code, "A <b>\"message\"</b> & more\n語".to_owned());
    let answer = wire::encode_fault(Some(service), service.protocol, &fault, REQUEST_ID, false);
    let answer = match tongue(spoken) {
        (_, Tongue::Own) => answer,
        (_, Tongue::Cbor) => wire::as_cbor(answer),
    };
    let says = json!({ "Code": code, "Message": fault.message });
    answered("fault", row, spoken, &says, &answer)
}

/// In what a service is spoken to.
enum Tongue {
    /// The protocol that its model names first.
    Own,
    Cbor,
}

/// A service as the trial names it: its own name, and what is spoken.
fn tongue(spoken: &str) -> (&str, Tongue) {
    match spoken.split_once('+') {
        Some((service, "cbor")) => (service, Tongue::Cbor),
        Some((_, other)) => panic!("nobody speaks {other}"),
        None => (spoken, Tongue::Own),
    }
}

/// Every service in its own protocol, and those of awsJson in rpcv2Cbor too.
fn spoken() -> impl Iterator<Item = (String, &'static ServiceShape)> {
    SERVICES.iter().copied().flat_map(|service| {
        let json = matches!(service.protocol, Protocol::Json10 | Protocol::Json11);
        let cbor = json.then(|| (format!("{}+cbor", service.name), service));
        [(service.name.to_owned(), service)].into_iter().chain(cbor)
    })
}

fn answered(kind: &str, row: &Row, spoken: &str, says: &Json, answer: &Answer) -> Json {
    let sent = answer
        .clone()
        .into_response(REQUEST_ID.to_owned(), HeaderMap::new());
    let headers: Vec<(&str, &str)> = sent
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    json!({
        "kind": kind,
        "service": spoken,
        "operation": row.shape.name,
        "says": says,
        "request_id": REQUEST_ID,
        "status": answer.status.as_u16(),
        "headers": headers,
        "body": BASE64.encode(&answer.body),
    })
}

/// The operations to generate, by service; the APIs of some are generated in part.
fn wanted() -> String {
    let mut wanted = serde_json::Map::new();
    for (spoken, service) in spoken() {
        let names = service
            .operations
            .iter()
            .map(|operation| operation.name)
            .collect();
        wanted.insert(spoken, names);
    }
    Json::Object(wanted).to_string()
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codecs")
}

/// Python with the pinned botocore, in an environment of its own under the target directory.
fn python() -> PathBuf {
    let requirements = here().join("requirements.txt");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codec-trial");
    let python = environment.join("bin/python");
    let installed = environment.join("installed.txt");
    if content(&installed) == content(&requirements) {
        return python;
    }
    succeed(
        command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    );
    succeed(
        command(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(&requirements),
    );
    keep(&installed, &content(&requirements));
    python
}

#[expect(clippy::disallowed_methods, reason = "a test may read the files beside it")]
fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test may write under the target directory"
)]
fn keep(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the trial's other side is a program")]
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

fn succeed(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?} cannot start: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Runs the trial's Python side with these lines as its input.
fn run(python: &Path, arguments: &[&str], lines: &[Json]) -> String {
    let mut child = command(python)
        .arg(here().join("trial.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The program answers only when its input has ended, so neither side waits for the other.
    let mut stdin = child.stdin.take().unwrap();
    for line in lines {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "trial.py {}: {}",
        arguments[0],
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What typed outputs hold is what canonical JSON says, and back.
#[test]
fn canonical_json_goes_there_and_back() {
    let said =
        json!({ "KeyId": "k", "Plaintext": "AAEC", "EncryptionContext": { "a": "b" }, "GrantTokens": ["t"] });
    let mut input = kms_api::EncryptInput::default();
    say(&mut input, &said);
    assert_eq!(says(&input as &dyn Structure), said);
}
