//! The API of KES, which S3 stores ask for their keys: what a request asks, and
//! how failures are told.
//!
//! A name stands for an alias. The context of a request, bytes of its own
//! choice, becomes a pair of the encryption context.
//!
//! Absent by design: KES's own policies, identities, secrets and enclaves: who
//! may do what is decided by IAM and key policies, and what was done is in the
//! record. These calls are refused as not implemented.
//!
//! Source: KES Documentation, "KES API".

use ground::Secret;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::limits::{KES_BODY_BYTES_MAX, KES_CIPHERTEXTS_MAX, KES_NAME_CHARACTERS_MAX};
use crate::secret_text::SecretText;

/// Seconds that a request may take (KES API, `/v1/api`, `timeout`).
pub const REQUEST_SECONDS: u64 = 15;

/// What is answered instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of HTTP.
    pub status: u16,
    /// Clients compare some of these.
    pub message: String,
}

impl Refusal {
    /// A refusal in words of ours.
    pub fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            message: message.into(),
        }
    }

    /// The caller may not.
    pub fn not_allowed() -> Refusal {
        Refusal::new(403, "not authorized: insufficient permissions")
    }

    /// There is no key of this name.
    pub fn no_such_key() -> Refusal {
        Refusal::new(404, "key does not exist")
    }

    /// There is a key of this name.
    pub fn key_exists() -> Refusal {
        Refusal::new(400, "key already exists")
    }

    /// The ciphertext is another key's, another context's, or was changed.
    pub fn not_authentic() -> Refusal {
        Refusal::new(400, "decryption failed: ciphertext is not authentic")
    }

    /// How a refusal of KMS is told (KMS API Reference, Common Errors and those
    /// of the operations used).
    pub fn of_kms(code: &str, message: &str) -> Refusal {
        match code {
            "AccessDeniedException" | "NotAuthorized" => Refusal::not_allowed(),
            "NotFoundException" => Refusal::no_such_key(),
            "AlreadyExistsException" => Refusal::key_exists(),
            "IncorrectKeyException" | "InvalidCiphertextException" => Refusal::not_authentic(),
            "DisabledException" | "KMSInvalidStateException" => Refusal::new(409, message),
            "LimitExceededException" | "ThrottlingException" => Refusal::new(429, message),
            "InvalidAliasNameException"
            | "IncorrectKeyMaterialException"
            | "InvalidKeyUsageException"
            | "ValidationException" => Refusal::new(400, message),
            _ => Refusal::new(502, format!("the KMS answers {code}")),
        }
    }
}

/// A key's name: 1 to 80 letters, digits, dashes and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    fn parse(text: &str) -> Result<Name, Refusal> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.is_empty() || text.len() > KES_NAME_CHARACTERS_MAX || !text.bytes().all(good) {
            return Err(Refusal::new(
                400,
                "a key name has 1 to 80 letters, digits, dashes and underscores",
            ));
        }
        Ok(Name(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which names are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Those that match a pattern with `*`; answered a line each, as the API
    /// documents it.
    Pattern(String),
    /// Those that begin so; answered as one document, as newer clients ask.
    Prefix(String),
}

impl Listing {
    fn parse(text: &str) -> Result<Listing, Refusal> {
        let (stars, rest) = text.split_at(text.len() - text.trim_start_matches('*').len());
        let letters: String = rest.chars().filter(|letter| *letter != '*').collect();
        if !letters.is_empty() {
            Name::parse(&letters)?;
        }
        let starred = !stars.is_empty() || rest.contains('*');
        if text.len() > KES_NAME_CHARACTERS_MAX {
            return Err(Refusal::new(400, "the pattern is longer than 80 characters"));
        }
        Ok(match starred {
            true => Listing::Pattern(text.to_owned()),
            false => Listing::Prefix(text.to_owned()),
        })
    }

    /// Whether a name is listed.
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Listing::Pattern(pattern) => matches(pattern.as_bytes(), name.as_bytes()),
            Listing::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

/// Whether `name` is `pattern`, whose stars stand for any letters: the last
/// star met takes one letter more whenever the rest does not fit.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, seen));
            at += 1;
        } else if pattern.get(at) == name.get(seen) {
            at += 1;
            seen += 1;
        } else if let Some((place, taken)) = star {
            star = Some((place, taken + 1));
            at = place + 1;
            seen = taken + 1;
        } else {
            return false;
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == b'*')
}

/// What a request binds to a ciphertext; may be empty.
pub type Context = Vec<u8>;

/// What is asked.
pub enum Ask {
    /// Which version is this?
    Version,
    /// May one ask?
    Ready,
    /// How is it?
    Status,
    /// What may be asked?
    Api,
    /// Who am I?
    DescribeSelf,
    /// Make a key.
    Create(Name),
    /// Make a key of this material.
    Import(Name, Secret<Vec<u8>>),
    /// Tell of a key.
    Describe(Name),
    /// Delete a key.
    Delete(Name),
    /// Which keys are there?
    List(Listing),
    /// Make a data key.
    Generate(Name, Context),
    /// Encrypt something small.
    Encrypt(Name, Secret<Vec<u8>>, Context),
    /// Decrypt it.
    Decrypt(Name, Sealed),
    /// Decrypt many.
    DecryptAll(Name, Vec<Sealed>),
}

/// A ciphertext and its context.
pub struct Sealed {
    /// As it was given out.
    pub ciphertext: Vec<u8>,
    /// As it was bound.
    pub context: Context,
}

/// The calls there are: method, path, whether a name follows it, and whether
/// it has a body.
pub const CALLS: &[(&str, &str, bool, bool)] = &[
    ("GET", "/version", false, false),
    ("GET", "/v1/ready", false, false),
    ("GET", "/v1/status", false, false),
    ("GET", "/v1/api", false, false),
    ("POST", "/v1/key/create", true, false),
    ("POST", "/v1/key/import", true, true),
    ("GET", "/v1/key/describe", true, false),
    ("DELETE", "/v1/key/delete", true, false),
    ("GET", "/v1/key/list", true, false),
    ("POST", "/v1/key/generate", true, true),
    ("POST", "/v1/key/encrypt", true, true),
    ("POST", "/v1/key/decrypt", true, true),
    ("POST", "/v1/key/bulk/decrypt", true, true),
    ("GET", "/v1/identity/self/describe", false, false),
];

/// Calls of KES that this is not.
const OTHERS: &[&str] = &[
    "/v1/enclave/",
    "/v1/identity/",
    "/v1/key/hmac/",
    "/v1/log/",
    "/v1/metrics",
    "/v1/policy/",
    "/v1/secret/",
];

/// Reads a request.
///
/// # Errors
///
/// What to answer instead: 404 and 405 for what KES does not have, 501 for what
/// only KES has, 400 and 413 for what cannot be right.
pub fn read(method: &str, path: &str, body: &[u8]) -> Result<Ask, Refusal> {
    if body.len() > KES_BODY_BYTES_MAX {
        return Err(Refusal::new(413, "the body is longer than a mebibyte"));
    }
    let found = CALLS.iter().find_map(|(wanted, call, named, _)| {
        let rest = path.strip_prefix(call)?;
        match (named, rest.strip_prefix('/')) {
            (false, _) if rest.is_empty() => Some((*wanted, *call, "")),
            (true, Some(name)) if !name.contains('/') => Some((*wanted, *call, name)),
            // A listing of everything names nothing.
            (true, None) if rest.is_empty() && *call == "/v1/key/list" => Some((*wanted, *call, "")),
            _ => None,
        }
    });
    let Some((wanted, call, argument)) = found else {
        let known = OTHERS.iter().any(|other| path.starts_with(other));
        return Err(match known {
            true => Refusal::new(501, "not implemented: IAM decides and the KMS records here"),
            false => Refusal::new(404, "there is no such API"),
        });
    };
    // The API was given as PUT by some versions.
    if method != wanted && !(method == "PUT" && wanted == "POST") {
        return Err(Refusal::new(405, "the method is not that of the API"));
    }
    let argument = percent_decode_str(argument)
        .decode_utf8()
        .map_err(|_| Refusal::new(400, "the name is not text"))?;
    let name = || Name::parse(&argument);
    match call {
        "/version" => Ok(Ask::Version),
        "/v1/ready" => Ok(Ask::Ready),
        "/v1/status" => Ok(Ask::Status),
        "/v1/api" => Ok(Ask::Api),
        "/v1/identity/self/describe" => Ok(Ask::DescribeSelf),
        "/v1/key/create" => Ok(Ask::Create(name()?)),
        "/v1/key/describe" => Ok(Ask::Describe(name()?)),
        "/v1/key/delete" => Ok(Ask::Delete(name()?)),
        "/v1/key/list" => Ok(Ask::List(Listing::parse(&argument)?)),
        "/v1/key/import" => import(name()?, body),
        "/v1/key/generate" => {
            let asked: Generate = json(body)?;
            Ok(Ask::Generate(name()?, context(asked.context.as_ref())?))
        }
        "/v1/key/encrypt" => {
            let asked: Encrypt = json(body)?;
            let plaintext = Secret::new(bytes(&asked.plaintext)?);
            Ok(Ask::Encrypt(name()?, plaintext, context(asked.context.as_ref())?))
        }
        "/v1/key/decrypt" => Ok(Ask::Decrypt(name()?, json::<Decrypt>(body)?.sealed()?)),
        _ => {
            let asked: Vec<Decrypt> = json(body)?;
            if asked.len() > KES_CIPHERTEXTS_MAX {
                return Err(Refusal::new(400, "there are more than 1,000 ciphertexts"));
            }
            let sealed = asked.into_iter().map(Decrypt::sealed);
            Ok(Ask::DecryptAll(name()?, sealed.collect::<Result<_, _>>()?))
        }
    }
}

fn import(name: Name, body: &[u8]) -> Result<Ask, Refusal> {
    let asked: Import = json(body)?;
    if !matches!(
        asked.cipher.as_deref(),
        None | Some("" | "AES256" | "AES256-GCM_SHA256")
    ) {
        return Err(Refusal::new(400, "only AES-256 keys can be imported"));
    }
    let material = match (asked.bytes, asked.key) {
        (Some(given), None) | (None, Some(given)) => Secret::new(bytes(&given)?),
        _ => return Err(Refusal::new(400, "the body must have either bytes or key")),
    };
    if material.expose().len() != 32 {
        return Err(Refusal::new(400, "an AES-256 key has 32 bytes"));
    }
    Ok(Ask::Import(name, material))
}

fn bytes(text: &SecretText) -> Result<Vec<u8>, Refusal> {
    let bytes = text.base64();
    let bytes = bytes.ok_or_else(|| Refusal::new(400, "a field is not base64"))?;
    Ok(bytes.expose().clone())
}

fn context(text: Option<&SecretText>) -> Result<Context, Refusal> {
    text.map_or_else(|| Ok(Context::new()), bytes)
}

#[derive(Deserialize)]
struct Generate {
    context: Option<SecretText>,
}

#[derive(Deserialize)]
struct Encrypt {
    plaintext: SecretText,
    context: Option<SecretText>,
}

#[derive(Deserialize)]
struct Decrypt {
    ciphertext: SecretText,
    context: Option<SecretText>,
}

impl Decrypt {
    fn sealed(self) -> Result<Sealed, Refusal> {
        Ok(Sealed {
            ciphertext: bytes(&self.ciphertext)?,
            context: context(self.context.as_ref())?,
        })
    }
}

/// `bytes` by the documentation, `key` and `cipher` by newer clients.
#[derive(Deserialize)]
struct Import {
    bytes: Option<SecretText>,
    key: Option<SecretText>,
    cipher: Option<String>,
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    // The reason would repeat what was sent, which may be secret.
    serde_json::from_slice(body).map_err(|_| Refusal::new(400, "the body is not the JSON of this API"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &str, path: &str, body: &str) -> u16 {
        match read(method, path, body.as_bytes()) {
            Ok(_) => panic!("{method} {path} was read"),
            Err(refusal) => refusal.status,
        }
    }

    #[test]
    fn every_call_is_read() {
        for (method, path, named, body) in CALLS {
            let path = if *named {
                format!("{path}/my-key")
            } else {
                (*path).to_owned()
            };
            let body = match (body, &path) {
                (false, _) => "",
                (true, path) if path.contains("bulk") => r#"[{"ciphertext": "YQ=="}]"#,
                (true, path) if path.contains("import") => {
                    r#"{"bytes": "uNta318uv2GvEmMs5U4HiIWE/GtrpADR0cYZg+nhrkI="}"#
                }
                (true, _) => r#"{"ciphertext": "YQ==", "plaintext": "YQ==", "context": null}"#,
            };
            assert!(read(method, &path, body.as_bytes()).is_ok(), "{path}");
            let other = if *method == "GET" { "POST" } else { "GET" };
            assert_eq!(refused(other, &path, body), 405, "{path}");
        }
    }

    #[test]
    fn what_is_not_of_the_api_is_refused() {
        assert_eq!(refused("GET", "/", ""), 404);
        assert_eq!(refused("GET", "/versions", ""), 404);
        assert_eq!(refused("POST", "/v1/key/create", ""), 404);
        assert_eq!(refused("POST", "/v1/key/create/", ""), 400);
        assert_eq!(refused("POST", "/v1/key/create/a/b", ""), 404);
        for path in [
            "/v1/policy/write/p",
            "/v1/log/audit",
            "/v1/metrics",
            "/v1/identity/list/*",
        ] {
            assert_eq!(refused("GET", path, ""), 501);
        }
        for name in ["a%2Fb", "a.b", "%00", "alias%2F", &"n".repeat(81)] {
            assert_eq!(
                refused("POST", &format!("/v1/key/create/{name}"), ""),
                400,
                "{name}"
            );
        }
        for body in ["", "[]", "{}", r#"{"ciphertext": "!"}"#, r#"{"ciphertext": 1}"#] {
            assert_eq!(refused("POST", "/v1/key/decrypt/k", body), 400, "{body}");
        }
        for body in [
            r#"{"bytes": "YQ=="}"#,
            r#"{}"#,
            r#"{"key": "uNta318uv2GvEmMs5U4HiIWE/GtrpADR0cYZg+nhrkI=", "cipher": "ChaCha20"}"#,
        ] {
            assert_eq!(refused("POST", "/v1/key/import/k", body), 400, "{body}");
        }
        let long = "x".repeat(KES_BODY_BYTES_MAX + 1);
        assert_eq!(refused("POST", "/v1/key/generate/k", &long), 413);
    }

    #[test]
    fn names_are_listed_by_pattern_or_prefix() {
        let listed = |argument: &str, name: &str| match read("GET", &format!("/v1/key/list/{argument}"), b"")
        {
            Ok(Ask::List(listing)) => listing.takes(name),
            _ => panic!("{argument} is no listing"),
        };
        assert!(listed("*", "anything") && listed("%2A", "anything") && listed("", "anything"));
        assert!(listed("my-key*", "my-key1") && !listed("my-key*", "a-my-key"));
        assert!(listed("*-key", "my-key") && !listed("*-key", "my-key1"));
        assert!(listed("a*b*c", "abxbc") && !listed("a*b*c", "abxb"));
        assert!(listed("my", "my-key") && !listed("key", "my-key"));
        assert_eq!(refused("GET", "/v1/key/list/a.b*", ""), 400);
    }
}
