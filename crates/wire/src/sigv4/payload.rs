//! What a request says of its body, and how the body is held to it.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Algorithm, SignatureFault, limits};

/// The header in which S3 clients declare their payload.
pub const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// The declaration of a body that the signature does not cover.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The SHA-256 of an empty body.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The values of `x-amz-content-sha256` besides a digest (S3 API Reference,
/// "Authenticating Requests: Using the Authorization Header").
const KEYWORDS: [(&str, Payload); 6] = [
    (UNSIGNED_PAYLOAD, Payload::Unsigned),
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Payload::UnsignedChunks),
    (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        signed_chunks(Algorithm::V4, false),
    ),
    (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        signed_chunks(Algorithm::V4, true),
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        signed_chunks(Algorithm::V4a, false),
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
        signed_chunks(Algorithm::V4a, true),
    ),
];

const fn signed_chunks(algorithm: Algorithm, trailer: bool) -> Payload {
    Payload::SignedChunks { algorithm, trailer }
}

/// What the request declares its body to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A body with this SHA-256; [`Payload::check`] holds it to that.
    Hash([u8; 32]),
    /// `aws-chunked`, each chunk signed, with a signed trailer if `trailer`.
    SignedChunks {
        /// The algorithm of the chunk signatures, which is the request's own.
        algorithm: Algorithm,
        /// Whether signed trailing headers follow the last chunk.
        trailer: bool,
    },
    /// A body that nobody signed.
    Unsigned,
    /// `aws-chunked` without signatures, perhaps with trailing headers.
    UnsignedChunks,
}

impl Payload {
    /// Reads a declaration.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::PayloadHashInvalid`] for anything but a hexadecimal
    /// SHA-256 or one of AWS's keywords.
    pub fn parse(text: &str) -> Result<Payload, SignatureFault> {
        if let Some((_, payload)) = KEYWORDS.iter().find(|(keyword, _)| *keyword == text) {
            return Ok(*payload);
        }
        let mut hash = [0; 32];
        match hex::decode_to_slice(text, &mut hash) {
            Ok(()) => Ok(Payload::Hash(hash)),
            Err(_) => Err(SignatureFault::PayloadHashInvalid),
        }
    }

    /// How the declaration is written.
    pub fn text(self) -> String {
        match self {
            Payload::Hash(hash) => hex::encode(hash),
            Payload::SignedChunks { .. } | Payload::Unsigned | Payload::UnsignedChunks => KEYWORDS
                .iter()
                .find(|(_, payload)| *payload == self)
                .map(|(keyword, _)| (*keyword).to_owned())
                .expect("every payload but a digest has its keyword"),
        }
    }

    /// Whether the body is in `aws-chunked` encoding.
    pub fn is_chunked(self) -> bool {
        match self {
            Payload::SignedChunks { .. } | Payload::UnsignedChunks => true,
            Payload::Hash(_) | Payload::Unsigned => false,
        }
    }

    /// Holds a body that was read, with SHA-256 `actual`, to the declaration.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::PayloadHashMismatch`] if a digest was declared and this is another.
    pub fn check(self, actual: &[u8; 32]) -> Result<(), SignatureFault> {
        match self {
            Payload::Hash(declared) if declared != *actual => Err(SignatureFault::PayloadHashMismatch {
                declared: hex::encode(declared),
                actual: hex::encode(actual),
            }),
            Payload::Hash(_) | Payload::SignedChunks { .. } | Payload::Unsigned | Payload::UnsignedChunks => {
                Ok(())
            }
        }
    }
}

/// What [`super::Claim::verify`] takes for the last line of the canonical request.
#[derive(Clone, Copy, Debug)]
pub enum PayloadHash<'a> {
    /// The body has been read and this is its SHA-256. For services other than
    /// S3 the signature must cover exactly this; for S3 it must be what the
    /// request declares, unless it declares nothing about the bytes.
    Body(&'a [u8; 32]),
    /// The declaration is taken at its word, and the caller holds the body to it
    /// with [`Payload::check`] or by decoding the chunks. For S3, and for an
    /// operation whose model says `v4-unsigned-body` if its request declares
    /// [`Payload::Unsigned`]; such a request over plain HTTP declares nothing,
    /// and its body is signed as any other.
    Declared,
}

/// The declaration in the headers, if there is one.
pub(crate) fn declared(headers: &HeaderMap) -> Result<Option<&str>, SignatureFault> {
    match single_header(headers, &names::CONTENT_SHA256) {
        Ok(text) => Ok(text),
        Err(SignatureFault::TooLarge { .. }) => Err(SignatureFault::PayloadHashInvalid),
        Err(fault) => Err(fault),
    }
}

/// The headers that a signature knows, ready to be looked up.
pub(crate) mod names {
    use http::HeaderName;

    pub(crate) static CONTENT_SHA256: HeaderName = HeaderName::from_static(super::CONTENT_SHA256);
}

/// The only value of a header, as text; repeated headers are refused, because
/// two readers might pick different ones.
pub(crate) fn single_header<'a>(
    headers: &'a HeaderMap,
    name: &'static HeaderName,
) -> Result<Option<&'a str>, SignatureFault> {
    let mut values = headers.get_all(name).iter();
    let only = Only {
        first: values.next(),
        is_repeated: values.next().is_some(),
    };
    only.text(name.as_str())
}

/// The values of a header that may be there once.
#[derive(Clone, Copy, Default)]
pub(crate) struct Only<'a> {
    first: Option<&'a HeaderValue>,
    is_repeated: bool,
}

impl<'a> Only<'a> {
    fn note(&mut self, value: &'a HeaderValue) {
        self.is_repeated |= self.first.is_some();
        self.first = self.first.or(Some(value));
    }

    /// As [`single_header`], of the header called `what`.
    pub(crate) fn text(self, what: &'static str) -> Result<Option<&'a str>, SignatureFault> {
        let Some(value) = self.first else {
            return Ok(None);
        };
        if self.is_repeated {
            return Err(SignatureFault::Repeated { what });
        }
        checked(value, what).map(Some)
    }
}

/// The headers that a claim is made in, found in one pass: to look for each by
/// itself costs more than all else that is done to read a claim.
#[derive(Default)]
pub(crate) struct Known<'a> {
    pub(crate) authorization: Only<'a>,
    pub(crate) amz_date: Only<'a>,
    pub(crate) date: Only<'a>,
    pub(crate) region_set: Only<'a>,
    pub(crate) security_token: Only<'a>,
    /// Different headers whose names begin with `x-amz-`.
    pub(crate) amz_names: usize,
}

impl<'a> Known<'a> {
    pub(crate) fn among(headers: &'a HeaderMap) -> Known<'a> {
        let mut known = Known::default();
        let mut last = "";
        for (name, value) in headers {
            let name = name.as_str();
            // The values of one name follow one another.
            known.amz_names += usize::from(name.starts_with("x-amz-") && name != last);
            last = name;
            let only = match name {
                "authorization" => &mut known.authorization,
                "date" => &mut known.date,
                "x-amz-date" => &mut known.amz_date,
                "x-amz-region-set" => &mut known.region_set,
                "x-amz-security-token" => &mut known.security_token,
                _ => continue,
            };
            only.note(value);
        }
        known
    }
}

/// A header's value as text within its bound.
fn checked<'a>(value: &'a HeaderValue, what: &'static str) -> Result<&'a str, SignatureFault> {
    if value.len() > limits::SESSION_TOKEN_BYTES_MAX {
        return Err(SignatureFault::TooLarge {
            what,
            max: limits::SESSION_TOKEN_BYTES_MAX,
        });
    }
    match value.to_str() {
        Ok(text) => Ok(trimmed(text)),
        Err(_) => Err(SignatureFault::Malformed { what }),
    }
}

/// Without blanks at either end; nearly every value has none.
fn trimmed(text: &str) -> &str {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(text.as_bytes().first()) || blank(text.as_bytes().last()) {
        return text.trim_matches([' ', '\t']);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_digests_and_keywords_and_nothing_else() {
        assert_eq!(
            Payload::parse(EMPTY_SHA256).unwrap(),
            Payload::Hash(crypto::sha256(&[]))
        );
        assert_eq!(Payload::parse("UNSIGNED-PAYLOAD").unwrap(), Payload::Unsigned);
        for (keyword, payload) in KEYWORDS {
            assert_eq!(Payload::parse(keyword).unwrap(), payload);
            assert_eq!(payload.text(), keyword);
        }
        for text in [
            "",
            "unsigned-payload",
            &EMPTY_SHA256[1..],
            "STREAMING-",
            &"g".repeat(64),
        ] {
            assert!(
                matches!(Payload::parse(text), Err(SignatureFault::PayloadHashInvalid)),
                "{text}"
            );
        }
    }
}
