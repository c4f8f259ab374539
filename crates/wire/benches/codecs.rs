//! Time of the protocol's part of one KMS call: routing and decoding an
//! Encrypt, encoding its answer; and of an IAM call beside it.
//! `cargo bench -p wire --bench codecs`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use shape::{Blob, Operation};
use wire::{RequestHead, Router};

const ROUNDS: u32 = 20_000;
const BATCHES: usize = 15;
const REQUEST_ID: &str = "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE";

/// The quickest of several batches, per call: what the work takes when nothing else runs.
fn measure(name: &str, mut call: impl FnMut()) {
    let quickest = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                call();
            }
            start.elapsed()
        })
        .min()
        .unwrap_or(Duration::ZERO);
    println!(
        "{name:28} {:7.0} ns",
        quickest.as_secs_f64() * 1e9 / f64::from(ROUNDS)
    );
}

fn main() {
    let router = Router::new(&[&kms_api::SERVICE, &iam_api::SERVICE, &sts_api::SERVICE]);

    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", HeaderValue::from_static("TrentService.Encrypt"));
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    let head = RequestHead {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
    };
    let body = br#"{"KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab", "Plaintext": "aGVsbG8gd29ybGQ=", "EncryptionContext": {"tenant": "blue"}}"#;
    measure("kms:Encrypt route", || {
        black_box(router.route(&head, Some("kms"), black_box(body)).unwrap());
    });
    measure("kms:Encrypt decode", || {
        let mut input = kms_api::EncryptInput::default();
        wire::decode(kms_api::Encrypt::SHAPE, &head, black_box(body), &mut input).unwrap();
        black_box(input);
    });
    let output = kms_api::EncryptOutput {
        ciphertext_blob: Some(Blob(vec![7; 170])),
        key_id: Some(
            "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab".to_owned(),
        ),
        encryption_algorithm: Some(kms_api::EncryptionAlgorithmSpec::SymmetricDefault),
    };
    measure("kms:Encrypt encode", || {
        black_box(wire::encode(
            kms_api::Encrypt::SHAPE,
            black_box(&output),
            REQUEST_ID,
        ));
    });

    headers.clear();
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
    );
    let head = RequestHead {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
    };
    let body = b"Action=CreateUser&Version=2010-05-08&UserName=bob&Path=%2Fteam%2F&Tags.member.1.Key=a&Tags.member.1.Value=b";
    measure("iam:CreateUser route", || {
        black_box(router.route(&head, Some("iam"), black_box(body)).unwrap());
    });
    measure("iam:CreateUser decode", || {
        let mut input = iam_api::CreateUserInput::default();
        wire::decode(iam_api::CreateUser::SHAPE, &head, black_box(body), &mut input).unwrap();
        black_box(input);
    });
}
