//! What is signed verifies, what is changed does not, and what is nonsense is only refused.

use std::time::Duration;

use ground::{Secret, Timestamp};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use wire::sigv4::{
    Algorithm, Claim, Credentials, Kind, Payload, PayloadHash, RequestParts, SignatureFault, SigningKey,
    Target, limits, presign_request, sign_request,
};

use crate::request::Request;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn any_request() -> impl Strategy<Value = Request> {
    let header = ("x-(amz-)?[a-z]{1,6}", "[ -~\t]{0,20}");
    (
        prop_oneof![Just("GET"), Just("POST"), Just("PUT")],
        "/[ -~é]{0,20}",
        "([ -~é]{0,6}(=[ -~é]{0,6})?&?){0,4}",
        proptest::collection::vec(header, 0..4),
        proptest::collection::vec(any::<u8>(), 0..50),
    )
        .prop_map(|(method, path, query, headers, body)| {
            let mut request = Request::new(method, "", &[("Host", "localhost:4566")], &body);
            request.path = path.replace(['?', '#'], "");
            request.query = query.replace('#', "");
            request.headers.extend(headers);
            request
        })
}

fn any_target() -> impl Strategy<Value = (Algorithm, &'static str, &'static str)> {
    prop_oneof![
        5 => (Just(Algorithm::V4), prop_oneof![Just("us-east-1"), Just("eu-west-1")], prop_oneof![Just("s3"), Just("kms")]),
        1 => (Just(Algorithm::V4a), prop_oneof![Just("*"), Just("us-east-1,eu-*")], prop_oneof![Just("s3"), Just("kms")]),
    ]
}

fn credentials(token: Option<&String>) -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::new(SECRET.to_owned()),
        session_token: token.cloned().map(Secret::new),
    }
}

const NOW: Timestamp = Timestamp(1_767_225_600_000);

proptest! {
    #[test]
    fn what_is_signed_verifies_and_another_secret_does_not(
        request in any_request(),
        (algorithm, region, service) in any_target(),
        token in proptest::option::of("[A-Za-z0-9/+=]{1,40}"),
        presign in proptest::option::of(1..=limits::EXPIRES_SECONDS_MAX),
    ) {
        let credentials = credentials(token.as_ref());
        let target = Target { algorithm, region, service };
        let mut signed = request.without("x-amz-date").without("x-amz-trailer");
        let payload = if presign.is_some() && service == "s3" {
            Payload::Unsigned
        } else {
            Payload::Hash(signed.body_hash())
        };
        let headers = signed.header_map();
        let parts = signed.parts(&headers);
        if let Some(seconds) = presign {
            let expires = Duration::from_secs(seconds);
            let query = presign_request(&parts, payload, &credentials, &target, expires, NOW).unwrap();
            signed.query = query;
        } else {
            let added = sign_request(&parts, payload, &credentials, &target, NOW).unwrap();
            for (name, value) in added {
                signed = signed.without(name.as_str()).with(name.as_str(), value.to_str().unwrap());
            }
        }
        prop_assert_eq!(signed.verify(&credentials.secret), Ok(()));
        prop_assert!(signed.verify(&Secret::new("another".to_owned())).is_err());

        let headers = signed.header_map();
        let claim = Claim::parse(&signed.parts(&headers)).unwrap();
        prop_assert_eq!(claim.session_token(), token.as_deref());
        prop_assert_eq!(claim.signed_at(), NOW);
        let kind = presign.map_or(Kind::Header, |seconds| Kind::Presigned { expires: Duration::from_secs(seconds) });
        prop_assert_eq!(claim.kind(), kind);
        prop_assert_eq!(claim.check_scope("us-east-1", service).is_ok(), region != "eu-west-1");
        prop_assert!(claim.check_scope("us-east-1", "iam").is_err());
        let owned = claim.into_owned();
        let key = SigningKey::derive(owned.access_key_id(), &credentials.secret, owned.scope());
        prop_assert!(owned.verify(&key, &signed.parts(&headers), PayloadHash::Body(&signed.body_hash())).is_ok());
    }

    /// No header, path or query makes the parser do anything but answer.
    #[test]
    fn parsing_is_total(
        authorization in proptest::option::of(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "AWS4-(HMAC|ECDSA-P256)-SHA256 [ -~]{0,200}".prop_map(String::into_bytes),
            "AWS4-HMAC-SHA256 Credential=[A-Z/]{0,30}(/aws4_request)?, ?SignedHeaders=[a-z;-]{0,20},Signature=[0-9a-f]{0,70}"
                .prop_map(String::into_bytes),
        ]),
        date in proptest::option::of("[0-9TZ]{0,20}"),
        token in proptest::option::of("\\PC{0,20}"),
        path in "\\PC{0,30}",
        query in prop_oneof![
            "\\PC{0,100}",
            "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)=[A-Za-z0-9%/;-]{0,20}&){0,8}",
        ],
    ) {
        let mut headers = HeaderMap::new();
        let texts = [
            ("authorization", authorization),
            ("x-amz-date", date.map(String::into_bytes)),
            ("x-amz-security-token", token.map(String::into_bytes)),
            ("host", Some(b"localhost".to_vec())),
        ];
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| HeaderValue::from_bytes(&text).ok()) {
                headers.append(name, value);
            }
        }
        let parts = RequestParts { method: "GET", path: &path, query: &query, headers: &headers };
        if let Ok(claim) = Claim::parse(&parts) {
            let key = SigningKey::derive("AKID", &Secret::new(SECRET.to_owned()), claim.scope());
            let _ = claim.payload(&parts);
            prop_assert!(claim.verify(&key, &parts, PayloadHash::Declared).is_err());
        }
    }
}

#[test]
fn limits_hold() {
    let base = Request::new(
        "GET",
        "/",
        &[("host", "localhost"), ("x-amz-date", "20260101T000000Z")],
        b"",
    );
    let fault = |request: &Request| {
        let headers = request.header_map();
        Claim::parse(&request.parts(&headers)).err().unwrap()
    };
    let too_large = |request: &Request, name: &str| match fault(request) {
        SignatureFault::TooLarge { what, .. } => assert_eq!(what, name),
        fault => panic!("{name}: {fault}"),
    };
    let authorized = |credential: &str, signed_headers: &str| {
        base.with(
            "authorization",
            &format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed_headers}, Signature=0"),
        )
    };
    let credential = "AKID/20260101/us-east-1/kms/aws4_request";

    let mut request = base.clone();
    request.path = "/".repeat(limits::PATH_BYTES_MAX + 1);
    too_large(&request, "path");
    request = base.clone();
    request.query = "a".repeat(limits::QUERY_BYTES_MAX + 1);
    too_large(&request, "query");
    request.query = "a&".repeat(limits::QUERY_PARAMETERS_MAX + 1);
    too_large(&request, "query");
    too_large(
        &authorized(&"A".repeat(limits::AUTHORIZATION_BYTES_MAX), "host"),
        "Authorization",
    );
    too_large(
        &authorized(&"A".repeat(limits::CREDENTIAL_BYTES_MAX + 1), "host"),
        "Credential",
    );
    let names: Vec<String> = (0..=limits::SIGNED_HEADERS_MAX)
        .map(|index| format!("h{index:03}"))
        .collect();
    too_large(&authorized(credential, &names.join(";")), "SignedHeaders");
    let long = "t".repeat(limits::SESSION_TOKEN_BYTES_MAX + 1);
    too_large(
        &authorized(credential, "host;x-amz-date").with("x-amz-security-token", &long),
        "x-amz-security-token",
    );
    request = base.clone();
    request.query = format!("X-Amz-Signature=0&X-Amz-Security-Token={long}");
    too_large(&request, "X-Amz-Security-Token");
}
