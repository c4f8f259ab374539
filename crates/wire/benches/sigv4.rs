//! CPU time of the signature of one KMS call: parsing the claim, and proving it
//! with a cached key. `cargo bench -p wire --bench sigv4`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

use std::hint::black_box;
use std::time::Instant;

use ground::{Secret, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use wire::sigv4::{
    Algorithm, Claim, Credentials, Payload, PayloadHash, RequestParts, SigningKey, Target, sign_request,
};

const BODY: &[u8] =
    br#"{"KeyId": "alias/test", "Plaintext": "aGVsbG8gd29ybGQ=", "EncryptionContext": {"a": "b"}}"#;

fn main() {
    for algorithm in [Algorithm::V4, Algorithm::V4a] {
        measure_algorithm(algorithm);
    }
}

fn measure_algorithm(algorithm: Algorithm) {
    let credentials = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: None,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:4566"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "TrentService.Encrypt"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let unsigned = headers.clone();
    // Botocore adds these after signing.
    for (name, value) in [
        (
            "user-agent",
            "Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux lang/python#3.11.7",
        ),
        ("accept-encoding", "identity"),
        ("amz-sdk-invocation-id", "00000000-0000-0000-0000-000000000000"),
        ("amz-sdk-request", "attempt=1"),
        ("content-length", "90"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let hash = crypto::sha256(&[BODY]);
    let target = Target {
        algorithm,
        region: "us-east-1",
        service: "kms",
    };
    let parts = |headers| RequestParts {
        method: "POST",
        path: "/",
        query: "",
        headers,
    };
    let now = Timestamp::parse_amz_date("20260101T000000Z").unwrap();
    for (name, value) in
        sign_request(&parts(&unsigned), Payload::Hash(hash), &credentials, &target, now).unwrap()
    {
        headers.insert(name, value);
    }
    let parts = parts(&headers);
    let claim = Claim::parse(&parts).unwrap();
    let key = SigningKey::derive(claim.access_key_id(), &credentials.secret, claim.scope());

    let name = algorithm.name();
    measure(&format!("{name}: parse"), || {
        black_box(Claim::parse(black_box(&parts)).is_ok());
    });
    measure(&format!("{name}: verify"), || {
        claim
            .verify(&key, black_box(&parts), PayloadHash::Body(&hash))
            .unwrap();
    });
    measure(&format!("{name}: parse, scope, time, verify"), || {
        let claim = Claim::parse(black_box(&parts)).unwrap();
        claim.check_scope("us-east-1", "kms").unwrap();
        claim.check_time(now).unwrap();
        claim.verify(&key, &parts, PayloadHash::Body(&hash)).unwrap();
    });
    measure(&format!("{name}: derive the key"), || {
        black_box(SigningKey::derive(
            claim.access_key_id(),
            &credentials.secret,
            claim.scope(),
        ));
    });
}

/// Prints the fastest of ten rounds, which is the one least disturbed.
fn measure(name: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 10;
    const TIMES: u32 = 5_000;
    let fastest = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..TIMES {
                work();
            }
            start.elapsed() / TIMES
        })
        .min()
        .unwrap();
    println!("{name}: {} ns", fastest.as_nanos());
}
