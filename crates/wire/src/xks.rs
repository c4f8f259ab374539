//! The paths and refusals of an external key store's proxy, which AWS KMS
//! calls. What is asked and answered in between is REST with JSON.
//!
//! A path is `[PREFIX]/kms/xks/v1/health` or
//! `[PREFIX]/kms/xks/v1/keys/EXTERNAL-KEY-ID/OPERATION`. It has letters,
//! digits, dashes, underscores and, in the id, stops: nothing is decoded, and
//! no step is empty, `.` or `..`, so that a path is only ever read in one way.
//!
//! Source: AWS KMS External Key Store Proxy API Specification, "API
//! operations" and "Error codes".

use http::StatusCode;
use serde_json::json;

use crate::answer::Answer;

/// What follows the prefix in every path.
pub const ROOT: &str = "/kms/xks/v1";
/// The service that requests are signed for.
pub const SIGNING_NAME: &str = "kms-xks-proxy";
/// Most characters of a prefix with [`ROOT`] (`XksProxyUriPath`).
pub const URI_PATH_CHARACTERS_MAX: usize = 128;
/// Most characters of an external key's id.
pub const KEY_ID_CHARACTERS_MAX: usize = 128;
/// Most characters of a message: "less than 512".
const MESSAGE_CHARACTERS_MAX: usize = 511;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What stands before [`ROOT`]; may be empty.
    pub prefix: &'a str,
    /// What is to be done.
    pub call: Call<'a>,
}

/// A call of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// `Decrypt`, with this external key.
    Decrypt(&'a str),
    /// `Encrypt`, with this external key.
    Encrypt(&'a str),
    /// `GetHealthStatus`
    GetHealthStatus,
    /// `GetKeyMetadata`, of this external key.
    GetKeyMetadata(&'a str),
}

/// Whether the path is meant for a proxy, right or wrong.
pub fn is_meant(path: &str) -> bool {
    path.match_indices(ROOT)
        .any(|(at, _)| matches!(path.as_bytes().get(at + ROOT.len()), None | Some(b'/')))
}

impl<'a> Asked<'a> {
    /// Reads a path, as it came; `None` if it is not one of the API's.
    pub fn parse(path: &'a str) -> Option<Asked<'a>> {
        if let Some(prefix) = path.strip_suffix("/health").and_then(before_root) {
            return Some(Asked {
                prefix,
                call: Call::GetHealthStatus,
            });
        }
        let (rest, operation) = path.rsplit_once('/')?;
        let (rest, key) = rest.rsplit_once('/')?;
        let prefix = rest.strip_suffix("/keys").and_then(before_root)?;
        if !is_key_id(key) {
            return None;
        }
        let call = match operation {
            "decrypt" => Call::Decrypt(key),
            "encrypt" => Call::Encrypt(key),
            "metadata" => Call::GetKeyMetadata(key),
            _ => return None,
        };
        Some(Asked { prefix, call })
    }
}

fn before_root(path: &str) -> Option<&str> {
    path.strip_suffix(ROOT).filter(|prefix| is_prefix(prefix))
}

/// Whether this may stand before [`ROOT`]: nothing, or steps of letters, digits,
/// dashes and underscores, each after a slash.
pub fn is_prefix(text: &str) -> bool {
    let good = |step: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !step.is_empty() && step.bytes().all(good)
    };
    match text.strip_prefix('/') {
        None => text.is_empty(),
        Some(steps) => text.len() + ROOT.len() <= URI_PATH_CHARACTERS_MAX && steps.split('/').all(good),
    }
}

fn is_key_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=KEY_ID_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(good) && text != "." && text != ".."
}

/// An answer of JSON.
pub fn told(value: &serde_json::Value) -> Answer {
    with_status(StatusCode::OK, value)
}

fn with_status(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = Answer::new(status);
    answer.body("application/json", value.to_string().into_bytes());
    answer
}

/// A refusal. Of the message at most 511 characters of printable ASCII are told.
pub fn refusal(status: StatusCode, name: &str, message: &str) -> Answer {
    let printable = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    let message: String = message
        .chars()
        .take(MESSAGE_CHARACTERS_MAX)
        .map(printable)
        .collect();
    let body = json!({"errorName": name, "errorMessage": message});
    with_status(status, &body)
}

/// A refusal in REST with JSON as the API spells it. Names and statuses that it
/// does not have become the nearest it has.
pub fn respell(answer: &Answer) -> Answer {
    let name = answer.headers.get("x-amzn-errortype");
    let name = name.and_then(|name| name.to_str().ok()).unwrap_or_default();
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = told["message"].as_str().unwrap_or_default();
    let known = ERRORS.iter().find(|(known, _)| *known == name);
    let (name, status) = known.copied().unwrap_or(match answer.status.is_client_error() {
        true => ("ValidationException", 400),
        false => ("InternalException", 500),
    });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refusal(status, name, message)
}

/// The errors of the API and their statuses.
pub const ERRORS: &[(&str, u16)] = &[
    ("AccessDeniedException", 403),
    ("AuthenticationFailedException", 401),
    ("DependencyTimeoutException", 503),
    ("InternalException", 500),
    ("InvalidCiphertextException", 400),
    ("InvalidKeyUsageException", 400),
    ("InvalidStateException", 400),
    ("InvalidUriPathException", 404),
    ("KeyNotFoundException", 404),
    ("ThrottlingException", 429),
    ("UnsupportedOperationException", 501),
    ("ValidationException", 400),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_call_is_read_with_its_prefix() {
        for prefix in ["", "/a", "/example/path-prefix/x_1"] {
            for (rest, call) in [
                ("/health", Call::GetHealthStatus),
                ("/keys/my-key.1_2/encrypt", Call::Encrypt("my-key.1_2")),
                ("/keys/k/decrypt", Call::Decrypt("k")),
                ("/keys/k/metadata", Call::GetKeyMetadata("k")),
                // An id may be called as anything else.
                ("/keys/health/metadata", Call::GetKeyMetadata("health")),
                ("/keys/keys/metadata", Call::GetKeyMetadata("keys")),
            ] {
                let path = format!("{prefix}{ROOT}{rest}");
                assert_eq!(Asked::parse(&path), Some(Asked { prefix, call }), "{path}");
                assert!(is_meant(&path));
            }
        }
    }

    #[test]
    fn no_other_path_is() {
        let long = format!("/kms/xks/v1/keys/{}/encrypt", "k".repeat(129));
        let deep = format!("/{}/kms/xks/v1/health", "p".repeat(117));
        for path in [
            "/kms/xks/v1",
            "/kms/xks/v1/",
            "/kms/xks/v1/health/",
            "/kms/xks/v1//health",
            "//kms/xks/v1/health",
            "/a//kms/xks/v1/health",
            "/a/../kms/xks/v1/health",
            "/a.b/kms/xks/v1/health",
            "kms/xks/v1/health",
            "/kms/xks/v2/health",
            "/kms/xks/v1/keys/k",
            "/kms/xks/v1/keys//encrypt",
            "/kms/xks/v1/keys/./encrypt",
            "/kms/xks/v1/keys/../encrypt",
            "/kms/xks/v1/keys/a/b/encrypt",
            "/kms/xks/v1/keys/a%2Fb/encrypt",
            "/kms/xks/v1/keys/%2e%2e/encrypt",
            "/kms/xks/v1/keys/alias:a/encrypt",
            "/kms/xks/v1/keys/k/encrypt?x",
            "/kms/xks/v1/keys/k/Encrypt",
            "/kms/xks/v1/keys/k/sign",
            &long,
            &deep,
        ] {
            assert_eq!(Asked::parse(path), None, "{path}");
        }
        for path in ["/kms/xks/v10/health", "/kms/xks", "/", "/bucket/kms-xks-v1"] {
            assert!(!is_meant(path), "{path}");
        }
        assert!(is_meant("/kms/xks/v1/nonsense") && is_meant("/a/kms/xks/v1"));
    }

    proptest! {
        /// What is read can be put together again, and only so.
        #[test]
        fn a_path_is_read_in_one_way(path in "(/[a.%-]{0,2}){0,3}(/kms/xks/v1)?(/keys/[a./]{0,3})?/(health|encrypt)") {
            if let Some(asked) = Asked::parse(&path) {
                let rest = match asked.call {
                    Call::GetHealthStatus => "/health".to_owned(),
                    Call::Encrypt(key) => format!("/keys/{key}/encrypt"),
                    Call::Decrypt(_) | Call::GetKeyMetadata(_) => unreachable!("not among the paths"),
                };
                prop_assert!(is_meant(&path));
                prop_assert_eq!(format!("{}{ROOT}{rest}", asked.prefix), path);
            }
        }

        #[test]
        fn a_message_is_short_and_printable(message in ".{0,600}") {
            let answer = refusal(StatusCode::BAD_REQUEST, "ValidationException", &message);
            let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let told = told["errorMessage"].as_str().unwrap();
            prop_assert!(told.len() < 512 && told.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        }
    }

    #[test]
    fn what_the_api_has_no_name_for_becomes_the_nearest() {
        let told = |status: u16, name: &'static str| {
            let mut answer = Answer::new(StatusCode::from_u16(status).unwrap());
            let name = HeaderValue::from_static(name);
            answer.headers.insert("x-amzn-errortype", name);
            answer.body("application/json", br#"{"message":"why"}"#.to_vec());
            let answer = respell(&answer);
            (
                answer.status.as_u16(),
                String::from_utf8(answer.body.to_vec()).unwrap(),
            )
        };
        let (status, body) = told(404, "KeyNotFoundException");
        assert_eq!(status, 404);
        assert_eq!(
            body,
            r#"{"errorMessage":"why","errorName":"KeyNotFoundException"}"#
        );
        for (status, name, expected) in [
            (403, "AccessDeniedException", "AccessDeniedException"),
            (400, "SerializationException", "ValidationException"),
            (503, "ServiceUnavailable", "InternalException"),
            (500, "InternalFailure", "InternalException"),
        ] {
            assert!(told(status, name).1.contains(expected), "{name}");
        }
    }
}
