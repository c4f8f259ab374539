//! Thousands of random requests signed by AWS's own signers: each verifies, and
//! none does when a single character of it is changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::{Secret, Timestamp};
use serde::Deserialize;
use wire::sigv4::canonical::normalized_path;
use wire::sigv4::{Claim, Kind};

use crate::request::Request;

const REQUESTS: &str = "3000";
const SEED: &str = "20260101";

#[derive(Deserialize)]
struct Signed {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    algorithm: String,
    access_key_id: String,
    secret: String,
    token: Option<String>,
    service: String,
    region: String,
    date: String,
    expires: Option<u64>,
    payload: String,
}

#[test]
fn requests_signed_by_aws_verify_and_changed_ones_do_not() {
    let output = signer_output();
    let mut seen = 0;
    let mut changed = 0;
    for line in output.lines() {
        let signed: Signed = serde_json::from_str(line).unwrap();
        seen += 1;
        changed += check(&signed, seen);
    }
    assert_eq!(seen.to_string(), REQUESTS);
    assert!(
        changed > 5 * seen,
        "only {changed} changes were tried on {seen} requests"
    );
}

fn check(signed: &Signed, index: usize) -> usize {
    let secret = Secret::new(signed.secret.clone());
    let request = Request {
        method: signed.method.clone(),
        path: signed.path.clone(),
        query: signed.query.clone(),
        headers: signed.headers.clone(),
        body: STANDARD.decode(&signed.body).unwrap(),
    };
    if let Err(fault) = request.verify(&secret) {
        let details: Vec<String> = fault
            .s3_details(Timestamp(0))
            .into_iter()
            .filter(|(name, _)| !name.ends_with("Bytes"))
            .map(|(name, text)| format!("{name}:\n{text}"))
            .collect();
        panic!("request {index}: {fault}\n{}", details.join("\n"));
    }

    let headers = request.header_map();
    let claim = Claim::parse(&request.parts(&headers)).unwrap();
    assert_eq!(claim.algorithm().name(), signed.algorithm);
    assert_eq!(claim.access_key_id(), signed.access_key_id);
    assert_eq!(claim.session_token(), signed.token.as_deref());
    assert_eq!(claim.scope().service(), signed.service);
    assert_eq!(claim.scope().region_text(), signed.region);
    assert_eq!(
        claim.signed_at(),
        Timestamp::parse_amz_date(&signed.date).unwrap()
    );
    let expires = match claim.kind() {
        Kind::Header => None,
        Kind::Presigned { expires } => Some(expires.as_secs()),
    };
    assert_eq!(expires, signed.expires);
    claim.check_time(claim.signed_at()).unwrap();
    let signed_names: Vec<String> = claim.signed_headers().map(str::to_owned).collect();

    let mut spoilt: Vec<(String, Request)> = Vec::new();
    let mut spoil = |what: &str, change: &dyn Fn(&mut Request) -> bool| {
        let mut changed = request.clone();
        if change(&mut changed) {
            spoilt.push((what.to_owned(), changed));
        }
    };
    spoil("method", &|request| {
        request.method = if request.method == "GET" { "PUT" } else { "GET" }.to_owned();
        true
    });
    spoil("path", &|request| {
        let before = normalized_path(&signed.path).into_owned();
        change_one(&mut request.path, index)
            && (signed.service == "s3" || normalized_path(&request.path) != before)
    });
    spoil("path, longer", &|request| {
        request.path.push('x');
        true
    });
    spoil("query", &|request| change_one(&mut request.query, index));
    spoil("query, longer", &|request| {
        request.query.push_str("&added=1");
        true
    });
    if signed.payload == "body" {
        spoil("body", &|request| {
            request.body.push(b'x');
            true
        });
    }
    for name in &signed_names {
        spoil(name, &|request| {
            let mut value = request.header(name).unwrap().to_owned();
            let done = change_one(&mut value, index);
            request.set(name, value);
            done
        });
        spoil(&format!("{name}, missing"), &|request| {
            *request = request.without(name);
            true
        });
        spoil(&format!("{name}, repeated"), &|request| {
            *request = request.with(name, "x");
            true
        });
    }
    spoil("an added header", &|request| {
        *request = request.with("x-amz-added", "1");
        true
    });
    if let Some(authorization) = request.header("authorization") {
        for (what, from) in [
            ("key id", authorization.find("Credential=").unwrap() + 11),
            ("scope date", authorization.find('/').unwrap() + 1),
            ("scope", authorization.find("/aws4_request").unwrap() - 3),
            (
                "signed headers",
                authorization.find("SignedHeaders=").unwrap() + 14,
            ),
            ("signature", authorization.find("Signature=").unwrap() + 10),
        ] {
            spoil(what, &|request| {
                // The key of Version 4 does not depend on the key id: that is what looking it up is for.
                if what == "key id" && signed.algorithm == "AWS4-HMAC-SHA256" {
                    return false;
                }
                let mut value = authorization.to_owned();
                let mut end = value.split_off(from);
                let done = change_one(&mut end, 0);
                value.push_str(&end);
                request.set("authorization", value);
                done
            });
        }
        spoil("signature, in capitals", &|request| {
            let (head, signature) = authorization.rsplit_once('=').unwrap();
            request.set("authorization", format!("{head}={}", signature.to_uppercase()));
            signature.to_uppercase() != signature
        });
    }
    let tried = spoilt.len();
    for (what, changed) in spoilt {
        assert!(
            changed.verify(&secret).is_err(),
            "request {index} still verifies with another {what}: {} {}?{}",
            changed.method,
            changed.path,
            changed.query
        );
    }
    tried
}

/// Changes the letter or digit nearest to `index`; false if there is none.
fn change_one(text: &mut String, index: usize) -> bool {
    let places: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter_map(|(at, byte)| byte.is_ascii_alphanumeric().then_some(at))
        .collect();
    let Some(&at) = places.get(index % places.len().max(1)) else {
        return false;
    };
    let other = match text.as_bytes()[at] {
        b'0' => "1",
        b'1'..=b'9' => "0",
        b'a' => "b",
        b'b'..=b'z' => "a",
        b'A' => "B",
        _ => "A",
    };
    text.replace_range(at..=at, other);
    true
}

/// Runs the signers, in an environment of their own that is kept beside the build.
#[expect(
    clippy::disallowed_methods,
    reason = "the signers are Python programs, and the environment is made here once"
)]
fn signer_output() -> String {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sigv4");
    let requirements = std::fs::read_to_string(sources.join("requirements.txt")).unwrap();
    let environment = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .join("venv-sigv4");
    let python = environment.join("bin/python");
    let done = environment.join("installed.txt");
    if !std::fs::read_to_string(&done).is_ok_and(|installed| installed == requirements) {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment));
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        run(Command::new(&python)
            .args(pip)
            .arg(sources.join("requirements.txt")));
        std::fs::write(&done, &requirements).unwrap();
    }
    run(Command::new(&python)
        .arg(sources.join("signer.py"))
        .args([SEED, REQUESTS]))
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
