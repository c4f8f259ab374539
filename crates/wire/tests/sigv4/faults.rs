//! Each way to get a signature wrong, and what each protocol answers.

use std::sync::Arc;
use std::time::Duration;

use ground::{Secret, Timestamp};
use wire::sigv4::{
    Algorithm, Claim, Credentials, Manner, Payload, PayloadHash, SignatureFault, SigningKey, Target,
    presign_request, sign_request,
};

use crate::request::Request;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn now() -> Timestamp {
    Timestamp::parse_amz_date("20260101T001500Z").unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_amz_date(text).unwrap()
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret: Secret::new(SECRET.to_owned()),
        session_token: None,
    }
}

fn target(service: &str) -> Target<'_> {
    Target {
        algorithm: Algorithm::V4,
        region: "us-east-1",
        service,
    }
}

/// A good request of one service, signed at a moment.
fn signed(service: &str, moment: &str) -> Request {
    let mut request = Request::new(
        "POST",
        "/",
        &[("host", "localhost"), ("x-amz-target", "T.Op")],
        b"",
    );
    let headers = request.header_map();
    let payload = Payload::Hash(request.body_hash());
    let added = sign_request(
        &request.parts(&headers),
        payload,
        &credentials(),
        &target(service),
        at(moment),
    );
    for (name, value) in added.unwrap() {
        request = request.with(name.as_str(), value.to_str().unwrap());
    }
    request
}

fn presigned(service: &str, moment: &str, seconds: u64) -> Request {
    let mut request = Request::new("GET", "/", &[("host", "localhost")], b"");
    let payload = if service == "s3" {
        Payload::Unsigned
    } else {
        Payload::Hash(request.body_hash())
    };
    let headers = request.header_map();
    let expires = Duration::from_secs(seconds);
    let query = presign_request(
        &request.parts(&headers),
        payload,
        &credentials(),
        &target(service),
        expires,
        at(moment),
    );
    request.query = query.unwrap();
    request
}

/// The door's whole check, in AWS's order.
fn checked(request: &Request, service: &str) -> Result<(), SignatureFault> {
    let headers = request.header_map();
    let parts = request.parts(&headers);
    let claim = Claim::parse(&parts)?;
    claim.check_time(now())?;
    claim.check_scope("us-east-1", service)?;
    if claim.access_key_id() != "AKIDEXAMPLE" {
        return Err(SignatureFault::KeyUnknown {
            access_key_id: claim.access_key_id().to_owned(),
        });
    }
    let key = Arc::new(SigningKey::derive(
        claim.access_key_id(),
        &credentials().secret,
        claim.scope(),
    ));
    claim.verify(&key, &parts, PayloadHash::Body(&request.body_hash()))
}

fn edit(request: &Request, header: &str, from: &str, to: &str) -> Request {
    let mut edited = request.clone();
    let value = edited.header(header).unwrap();
    assert!(value.contains(from), "{value} has no {from}");
    let value = value.replacen(from, to, 1);
    edited.set(header, value);
    edited
}

fn edit_query(request: &Request, from: &str, to: &str) -> Request {
    let mut edited = request.clone();
    assert!(edited.query.contains(from), "{} has no {from}", edited.query);
    edited.query = edited.query.replacen(from, to, 1);
    edited
}

/// Asserts what `service`, answering in `manner`, says to the request.
fn says(request: &Request, service: &str, manner: Manner, status: u16, code: &str, message: &str) {
    let fault = checked(request, service).unwrap_err();
    let got = fault.code_and_message(manner, now());
    assert_eq!(
        (got.0, got.1, got.2.as_ref()),
        (status, code, message),
        "{fault:?} in {manner:?}"
    );
}

const KMS: &str = "kms";
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
const INVALID: &str = "The security token included in the request is invalid.";
const NOT_VALIDATED: &str = "AWS was not able to validate the provided access credentials";

#[test]
fn good_requests_are_good() {
    for service in ["kms", "s3"] {
        assert_eq!(checked(&signed(service, "20260101T001500Z"), service), Ok(()));
        assert_eq!(
            checked(&presigned(service, "20260101T001400Z", 60), service),
            Ok(())
        );
    }
}

#[test]
fn unsigned() {
    let request = Request::new("POST", "/", &[("host", "localhost")], b"");
    says(
        &request,
        KMS,
        Manner::Query,
        403,
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
    );
    says(
        &request,
        KMS,
        Manner::Json,
        400,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    );
    says(
        &request,
        KMS,
        Manner::RestJson,
        403,
        "MissingAuthenticationTokenException",
        "Missing Authentication Token",
    );
    says(&request, KMS, Manner::S3, 403, "AccessDenied", "Access Denied");
    says(
        &request,
        KMS,
        Manner::Ec2,
        400,
        "MissingParameter",
        "The request must contain the parameter AWSAccessKeyId",
    );
}

#[test]
fn header_malformed() {
    let good = signed("kms", "20260101T001500Z");
    let mut request = good.without("x-amz-date");
    request.set("authorization", "AWS4-HMAC-SHA256 ".to_owned());
    let message = format!(
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization={}",
        digest_of("AWS4-HMAC-SHA256")
    );
    let fault = checked(&request, KMS).unwrap_err();
    assert_eq!(fault.code_and_message(Manner::Query, now()).2, message);
    for (manner, status, code) in [
        (Manner::Query, 400, "IncompleteSignature"),
        (Manner::Json, 400, "IncompleteSignatureException"),
        (Manner::RestJson, 400, "IncompleteSignatureException"),
        (Manner::S3, 403, "AccessDenied"),
        (Manner::Ec2, 400, "IncompleteSignature"),
    ] {
        let got = fault.code_and_message(manner, now());
        assert_eq!((got.0, got.1), (status, code), "{manner:?}");
    }

    let three = "The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature.";
    says(
        &edit(&good, "authorization", "Signature=", "Sign="),
        KMS,
        Manner::S3,
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; 'Authorization' is malformed.",
    );
    says(
        &edit(&good, "authorization", ", SignedHeaders=", ", SignedHeaders"),
        KMS,
        Manner::S3,
        400,
        "AuthorizationHeaderMalformed",
        three,
    );
    says(
        &edit(&good, "authorization", ", Signature=", ", Signature"),
        KMS,
        Manner::Json,
        400,
        "IncompleteSignatureException",
        &format!(
            "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '{}'.",
            digest_of(
                &good
                    .header("authorization")
                    .unwrap()
                    .rsplit_once(", ")
                    .unwrap()
                    .1
                    .replace('=', "")
            )
        ),
    );
    let twice = edit(&good, "authorization", "Credential=", "Signature=0, Credential=");
    says(
        &twice,
        KMS,
        Manner::Query,
        400,
        "IncompleteSignature",
        "'Signature' must not be given more than once.",
    );
    let short = edit(&good, "authorization", "/us-east-1", "");
    says(
        &short,
        KMS,
        Manner::Query,
        400,
        "IncompleteSignature",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20260101/kms/aws4_request'",
    );
    says(
        &short,
        KMS,
        Manner::S3,
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
    );
    let other = edit(&good, "authorization", "AWS4-HMAC-SHA256", "AWS5-HMAC-SHA512");
    says(
        &other,
        KMS,
        Manner::Json,
        400,
        "IncompleteSignatureException",
        "Unsupported AWS 'algorithm': 'AWS5-HMAC-SHA512'.",
    );
    says(
        &other,
        KMS,
        Manner::S3,
        400,
        "InvalidArgument",
        "Unsupported Authorization Type",
    );
    let version2 = Request::new(
        "GET",
        "/",
        &[("host", "h"), ("authorization", "AWS AKID:c2ln")],
        b"",
    );
    says(
        &version2,
        KMS,
        Manner::S3,
        400,
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    );
    let undated = edit(&good, "x-amz-date", "20260101T001500Z", "today");
    says(
        &undated,
        KMS,
        Manner::Query,
        400,
        "IncompleteSignature",
        "Date must be in ISO-8601 'basic format'. Got 'today'. See http://en.wikipedia.org/wiki/ISO_8601",
    );
    says(
        &undated,
        KMS,
        Manner::S3,
        403,
        "AccessDenied",
        "AWS authentication requires a valid Date or x-amz-date header",
    );
    for (header, what) in [("authorization", "authorization"), ("x-amz-date", "x-amz-date")] {
        let repeated = good.with(header, good.header(header).unwrap());
        let fault = checked(&repeated, KMS).unwrap_err();
        assert_eq!(fault, SignatureFault::Repeated { what });
    }
}

fn digest_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(crypto::sha256(&[text.as_bytes()]))
}

#[test]
fn query_malformed() {
    let good = presigned("s3", "20260101T001400Z", 60);
    let all = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    let code = "AuthorizationQueryParametersError";
    for (from, to, message) in [
        ("X-Amz-Date=", "X-Amz-Dat=", all),
        (
            "X-Amz-Expires=60",
            "X-Amz-Expires=604801",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ),
        (
            "X-Amz-Expires=60",
            "X-Amz-Expires=-1",
            "X-Amz-Expires must be non-negative",
        ),
        (
            "X-Amz-Expires=60",
            "X-Amz-Expires=soon",
            "X-Amz-Expires should be a number",
        ),
        (
            "20260101T001400Z",
            "20260101",
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ),
        (
            "HMAC-SHA256",
            "HMAC-SHA1",
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"",
        ),
        (
            "%2Fus-east-1",
            "",
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        ),
    ] {
        says(&edit_query(&good, from, to), "s3", Manner::S3, 400, code, message);
    }
    let mut twice = good.clone();
    twice.query.push_str("&X-Amz-Expires=61");
    assert_eq!(
        checked(&twice, "s3").unwrap_err(),
        SignatureFault::Repeated {
            what: "X-Amz-Expires"
        }
    );
    let sts = presigned("sts", "20260101T001400Z", 60);
    says(
        &edit_query(&edit_query(&sts, "X-Amz-Signature=", "X="), "X-Amz-Date", "Y"),
        "sts",
        Manner::Query,
        400,
        "IncompleteSignature",
        "AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters.",
    );
    let both = good.with(
        "authorization",
        signed("s3", "20260101T001400Z").header("authorization").unwrap(),
    );
    says(
        &both,
        "s3",
        Manner::S3,
        400,
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
    );
}

#[test]
fn keys_and_tokens() {
    let request = edit(
        &signed("kms", "20260101T001500Z"),
        "authorization",
        "AKIDEXAMPLE",
        "AKIDUNKNOWN",
    );
    says(&request, KMS, Manner::Query, 403, "InvalidClientTokenId", INVALID);
    says(
        &request,
        KMS,
        Manner::Json,
        400,
        "UnrecognizedClientException",
        INVALID,
    );
    says(
        &request,
        KMS,
        Manner::RestJson,
        403,
        "UnrecognizedClientException",
        INVALID,
    );
    says(&request, KMS, Manner::Ec2, 401, "AuthFailure", NOT_VALIDATED);
    says(
        &request,
        KMS,
        Manner::S3,
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    );
    let answer = |fault: &SignatureFault, manner| {
        let (status, code, message) = fault.code_and_message(manner, now());
        (status, code, message.into_owned())
    };
    let missing = SignatureFault::TokenMissing {
        access_key_id: "ASIA".to_owned(),
    };
    for fault in [&missing, &SignatureFault::TokenInvalid] {
        assert_eq!(
            answer(fault, Manner::Query),
            (403, "InvalidClientTokenId", INVALID.to_owned())
        );
        assert_eq!(
            answer(fault, Manner::Json),
            (400, "UnrecognizedClientException", INVALID.to_owned())
        );
        assert_eq!(
            answer(fault, Manner::Ec2),
            (401, "AuthFailure", NOT_VALIDATED.to_owned())
        );
    }
    assert_eq!(
        answer(&SignatureFault::TokenInvalid, Manner::S3).1,
        "InvalidToken"
    );
    assert_eq!(answer(&missing, Manner::S3).1, "InvalidAccessKeyId");
    let expired = "The security token included in the request is expired".to_owned();
    let fault = SignatureFault::TokenExpired;
    assert_eq!(
        answer(&fault, Manner::Query),
        (403, "ExpiredToken", expired.clone())
    );
    assert_eq!(
        answer(&fault, Manner::Json),
        (400, "ExpiredTokenException", expired.clone())
    );
    assert_eq!(
        answer(&fault, Manner::RestJson),
        (403, "ExpiredTokenException", expired)
    );
    assert_eq!(
        answer(&fault, Manner::S3),
        (400, "ExpiredToken", "The provided token has expired.".to_owned())
    );
    assert_eq!(
        answer(&fault, Manner::Ec2),
        (400, "RequestExpired", "Request has expired.".to_owned())
    );
}

#[test]
fn wrong_signature() {
    for service in ["kms", "s3"] {
        let good = signed(service, "20260101T001500Z");
        let mut tampered = vec![edit(&good, "x-amz-target", "T.Op", "T.Other")];
        if service == "kms" {
            tampered.push(Request {
                body: b"changed".to_vec(),
                ..good.clone()
            });
        }
        for request in tampered {
            says(
                &request,
                service,
                Manner::Query,
                403,
                "SignatureDoesNotMatch",
                MISMATCH,
            );
            says(
                &request,
                service,
                Manner::Json,
                400,
                "InvalidSignatureException",
                MISMATCH,
            );
            says(
                &request,
                service,
                Manner::RestJson,
                403,
                "InvalidSignatureException",
                MISMATCH,
            );
            says(&request, service, Manner::Ec2, 401, "AuthFailure", NOT_VALIDATED);
            says(
                &request,
                service,
                Manner::S3,
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
            );
            let fault = checked(&request, service).unwrap_err();
            let details = fault.s3_details(now());
            let names: Vec<&str> = details.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                names,
                [
                    "AWSAccessKeyId",
                    "StringToSign",
                    "SignatureProvided",
                    "StringToSignBytes",
                    "CanonicalRequest",
                    "CanonicalRequestBytes"
                ]
            );
            assert!(
                details[1]
                    .1
                    .starts_with("AWS4-HMAC-SHA256\n20260101T001500Z\n20260101/us-east-1/")
            );
            assert!(details[4].1.starts_with("POST\n/\n\nhost:localhost\n"));
            assert!(
                !format!("{fault:?} {fault}").contains("T.O"),
                "the request is not in the log"
            );
        }
    }
}

#[test]
fn payload_of_s3() {
    let good = signed("s3", "20260101T001500Z");
    let changed = Request {
        body: b"changed".to_vec(),
        ..good.clone()
    };
    says(
        &changed,
        "s3",
        Manner::S3,
        400,
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
    let details = checked(&changed, "s3").unwrap_err().s3_details(now());
    assert_eq!(details[0], ("ClientComputedContentSHA256", EMPTY.to_owned()));
    let bare = edit(
        &good.without("x-amz-content-sha256"),
        "authorization",
        "x-amz-content-sha256;",
        "",
    );
    says(
        &bare,
        "s3",
        Manner::S3,
        400,
        "InvalidRequest",
        "Missing required header for this request: x-amz-content-sha256",
    );
    let fault = checked(&edit(&good, "x-amz-content-sha256", EMPTY, "sha256"), "s3").unwrap_err();
    assert_eq!(fault.code_and_message(Manner::S3, now()).1, "InvalidArgument");
    // Version 4 cannot carry chunks of Version 4A.
    let fault = checked(
        &edit(
            &good,
            "x-amz-content-sha256",
            EMPTY,
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        ),
        "s3",
    );
    assert_eq!(fault, Err(SignatureFault::PayloadHashInvalid));
}

/// A service other than S3 hashes the body itself: saying that the body is
/// unsigned, or another, does not help.
#[test]
fn payload_of_other_services() {
    let request = Request::new("POST", "/", &[("host", "localhost")], b"{}");
    let headers = request.header_map();
    for payload in [Payload::Unsigned, Payload::UnsignedChunks] {
        let mut signed = request.clone();
        let added = sign_request(
            &request.parts(&headers),
            payload,
            &credentials(),
            &target("kms"),
            now(),
        );
        for (name, value) in added.unwrap() {
            signed = signed.with(name.as_str(), value.to_str().unwrap());
        }
        says(
            &signed,
            KMS,
            Manner::Json,
            400,
            "InvalidSignatureException",
            MISMATCH,
        );
        // Only an operation whose model leaves the body unsigned asks for less.
        let headers = signed.header_map();
        let parts = signed.parts(&headers);
        let claim = Claim::parse(&parts).unwrap();
        let key = SigningKey::derive("AKIDEXAMPLE", &credentials().secret, claim.scope());
        assert_eq!(claim.payload(&parts), Ok(payload));
        assert_eq!(claim.verify(&key, &parts, PayloadHash::Declared), Ok(()));
    }
    let lying = request.with("x-amz-content-sha256", EMPTY);
    let headers = lying.header_map();
    let payload = Payload::Hash(lying.body_hash());
    let mut signed = lying.clone();
    for (name, value) in sign_request(
        &lying.parts(&headers),
        payload,
        &credentials(),
        &target("kms"),
        now(),
    )
    .unwrap()
    {
        signed = signed.with(name.as_str(), value.to_str().unwrap());
    }
    assert!(matches!(
        checked(&signed, KMS),
        Err(SignatureFault::PayloadHashMismatch { .. })
    ));
}

#[test]
fn clock() {
    let old = signed("kms", "20260101T000000Z");
    let expired = "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)";
    says(&old, KMS, Manner::Query, 403, "SignatureDoesNotMatch", expired);
    says(&old, KMS, Manner::Json, 400, "InvalidSignatureException", expired);
    says(
        &old,
        KMS,
        Manner::RestJson,
        403,
        "InvalidSignatureException",
        expired,
    );
    says(
        &old,
        KMS,
        Manner::Ec2,
        400,
        "RequestExpired",
        "Request has expired.",
    );
    let early = signed("kms", "20260101T002001Z");
    let not_yet = "Signature not yet current: 20260101T002001Z is still later than 20260101T002000Z (20260101T001500Z + 5 min.)";
    says(&early, KMS, Manner::Query, 403, "SignatureDoesNotMatch", not_yet);
    says(
        &early,
        KMS,
        Manner::Json,
        400,
        "InvalidSignatureException",
        not_yet,
    );
    for edge in ["20260101T001000Z", "20260101T002000Z"] {
        assert_eq!(checked(&signed("kms", edge), KMS), Ok(()));
    }

    assert_eq!(checked(&signed("s3", "20260101T000000Z"), "s3"), Ok(()));
    let skewed = "The difference between the request time and the current time is too large.";
    for moment in ["20251231T235959Z", "20260101T003001Z"] {
        let request = signed("s3", moment);
        says(&request, "s3", Manner::S3, 403, "RequestTimeTooSkewed", skewed);
        assert_eq!(
            checked(&request, "s3").unwrap_err().s3_details(now()),
            [
                ("RequestTime", moment.to_owned()),
                ("ServerTime", "2026-01-01T00:15:00Z".to_owned()),
                ("MaxAllowedSkewMilliseconds", "900000".to_owned()),
            ]
        );
    }

    let over = presigned("s3", "20260101T001000Z", 299);
    says(
        &over,
        "s3",
        Manner::S3,
        403,
        "AccessDenied",
        "Request has expired",
    );
    assert_eq!(
        checked(&over, "s3").unwrap_err().s3_details(now()),
        [
            ("X-Amz-Expires", "299".to_owned()),
            ("Expires", "2026-01-01T00:14:59Z".to_owned()),
            ("ServerTime", "2026-01-01T00:15:00Z".to_owned()),
        ]
    );
    says(
        &presigned("s3", "20260101T003001Z", 60),
        "s3",
        Manner::S3,
        403,
        "AccessDenied",
        "Request is not yet valid",
    );
    says(
        &presigned("sts", "20260101T000000Z", 600),
        "sts",
        Manner::Query,
        403,
        "SignatureDoesNotMatch",
        "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z (20260101T001500Z - 10 min.)",
    );
    assert_eq!(checked(&presigned("s3", "20260101T001000Z", 300), "s3"), Ok(()));
}

#[test]
fn scope() {
    let good = signed("iam", "20260101T001500Z");
    let region = edit(&good, "authorization", "us-east-1", "us-west-2");
    let text = "Credential should be scoped to a valid region.";
    says(&region, "iam", Manner::Query, 403, "SignatureDoesNotMatch", text);
    says(
        &region,
        "iam",
        Manner::Json,
        400,
        "InvalidSignatureException",
        text,
    );
    says(
        &region,
        "iam",
        Manner::S3,
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'us-west-2' is wrong; expecting 'us-east-1'",
    );
    assert_eq!(
        checked(&region, "iam").unwrap_err().s3_details(now()),
        [("Region", "us-east-1".to_owned())]
    );
    let service = edit(&good, "authorization", "/iam/", "/sts/");
    let text = "Credential should be scoped to correct service: 'iam'.";
    says(&service, "iam", Manner::Query, 403, "SignatureDoesNotMatch", text);
    says(
        &service,
        "iam",
        Manner::S3,
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; incorrect service \"sts\". This endpoint belongs to \"iam\".",
    );
    let both = edit(&region, "authorization", "/iam/", "/sts/");
    let text = "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'iam'.";
    says(
        &both,
        "iam",
        Manner::RestJson,
        403,
        "InvalidSignatureException",
        text,
    );
    let term = edit(&good, "authorization", "aws4_request", "aws5_request");
    let text = "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.";
    says(&term, "iam", Manner::Query, 403, "SignatureDoesNotMatch", text);
    let date = edit(&good, "authorization", "/20260101/", "/20251231/");
    says(
        &date,
        "iam",
        Manner::Query,
        403,
        "SignatureDoesNotMatch",
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20251231' != '20260101', from '20260101T001500Z'.",
    );
    says(
        &date,
        "iam",
        Manner::S3,
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; Invalid credential date \"20251231\". This date is not the same as X-Amz-Date: \"20260101\".",
    );
    for wrong in [&region, &service, &both, &term, &date] {
        says(wrong, "iam", Manner::Ec2, 401, "AuthFailure", NOT_VALIDATED);
    }
}

#[test]
fn headers_that_must_be_signed() {
    let good = signed("kms", "20260101T001500Z");
    let added = good.with("x-amz-acl", "public-read");
    says(
        &added,
        KMS,
        Manner::Json,
        400,
        "InvalidSignatureException",
        "'x-amz-acl' must be a 'SignedHeader' in the AWS Authorization.",
    );
    says(
        &added,
        KMS,
        Manner::S3,
        403,
        "AccessDenied",
        "There were headers present in the request which were not signed",
    );
    assert_eq!(
        checked(&added, KMS).unwrap_err().s3_details(now()),
        [("HeadersNotSigned", "x-amz-acl".to_owned())]
    );
    let hostless = edit(&good, "authorization", "host;", "");
    says(
        &hostless,
        KMS,
        Manner::Query,
        403,
        "SignatureDoesNotMatch",
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    );
    for list in [
        "x-amz-date;host",
        "Host;x-amz-date",
        "host;host",
        "host;;x-amz-date",
        "",
        "ho st",
        ":path;host",
    ] {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kms/aws4_request, SignedHeaders={list}, Signature=0"
        );
        let mut request = good.clone();
        request.set("authorization", authorization);
        let fault = checked(&request, KMS).unwrap_err();
        assert_eq!(
            fault,
            SignatureFault::Malformed {
                what: "SignedHeaders"
            },
            "{list}"
        );
    }
    // A header that is signed must be there; one that stands in for another does not help.
    assert!(matches!(
        checked(&good.without("x-amz-target"), KMS),
        Err(SignatureFault::Mismatch(_))
    ));
    assert!(matches!(
        checked(&good.without("x-amz-target").with("x-amz-other", "T.Op"), KMS),
        Err(SignatureFault::Mismatch(_))
    ));
    // HTTP/2 clients may sign the authority by its own name.
    assert!(matches!(
        checked(&edit(&good, "authorization", "host;", ":authority;"), KMS),
        Err(SignatureFault::Mismatch(_))
    ));
}

#[test]
fn version_4a_names_its_regions() {
    let request = Request::new("POST", "/", &[("host", "localhost")], b"");
    let headers = request.header_map();
    let target = Target {
        algorithm: Algorithm::V4a,
        region: "eu-*,us-west-2",
        service: "kms",
    };
    let mut signed = request.clone();
    let payload = Payload::Hash(request.body_hash());
    for (name, value) in
        sign_request(&request.parts(&headers), payload, &credentials(), &target, now()).unwrap()
    {
        signed = signed.with(name.as_str(), value.to_str().unwrap());
    }
    assert_eq!(signed.verify(&credentials().secret), Ok(()));
    says(
        &signed,
        KMS,
        Manner::Json,
        400,
        "InvalidSignatureException",
        "Credential should be scoped to a valid region.",
    );
    let widened = edit(&signed, "x-amz-region-set", "us-west-2", "us-*");
    assert!(matches!(checked(&widened, KMS), Err(SignatureFault::Mismatch(_))));
    let bare = signed.without("x-amz-region-set");
    assert_eq!(checked(&bare, KMS), Err(SignatureFault::RegionSetMissing));
}

/// Every answer of every fault says something, in every manner.
#[test]
fn texts_carry_no_secret() {
    let mut request = signed("kms", "20260101T001500Z").with("x-amz-security-token", "TOKEN-TO-HIDE");
    let authorization = request
        .header("authorization")
        .unwrap()
        .replace("x-amz-target", "x-amz-security-token;x-amz-target");
    request.set("authorization", authorization);
    let fault = checked(&request, KMS).unwrap_err();
    assert!(matches!(fault, SignatureFault::Mismatch(_)), "{fault}");
    for manner in [
        Manner::Ec2,
        Manner::Json,
        Manner::Query,
        Manner::RestJson,
        Manner::S3,
    ] {
        assert!(!fault.code_and_message(manner, now()).2.contains("HIDE"));
    }
    assert!(!format!("{fault} {fault:?}").contains("HIDE"));
}
