//! Why a signature is not accepted, and what AWS says then.
//!
//! One fault has one cause and five spellings: the code, status and text depend
//! on the protocol that answers. [`SignatureFault::code_and_message`] is the
//! whole table. The faults that only a look-up can find (an unknown key, an
//! expired session) are here too, so that the table has no second half elsewhere.
//!
//! Sources: IAM User Guide, "Troubleshoot AWS API request signatures" and the
//! common errors of each API reference; S3 API Reference, "Error responses";
//! EC2 API Reference, "Error codes". Texts that no document gives are AWS's as
//! clients report them.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use ground::Timestamp;

use super::Algorithm;

/// In which part of the request a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The `Authorization` header.
    Header,
    /// The query of a presigned request.
    Query,
}

/// The protocol that answers, as far as authentication faults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// EC2's query protocol.
    Ec2,
    /// `awsJson1_0` and `awsJson1_1`: every client fault has status 400.
    Json,
    /// `awsQuery` (IAM, STS, SNS).
    Query,
    /// `restJson1`: the codes of JSON, with HTTP's own statuses.
    RestJson,
    /// S3's REST-XML.
    S3,
}

/// Why a signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The algorithm is none that we know.
    #[error("{given:?} is not a signature algorithm")]
    AlgorithmUnsupported {
        /// Where it was named.
        place: Place,
        /// Its name, cut to 64 characters.
        given: String,
    },
    /// The credential has not the form `keyid/date/region/service/aws4_request`.
    #[error("{given:?} is not a credential")]
    CredentialMalformed {
        /// Where it stands.
        place: Place,
        /// The algorithm, which decides whether a region belongs in it.
        algorithm: Algorithm,
        /// What was sent instead.
        given: String,
    },
    /// The date is not in its format.
    #[error("{given:?} is not a date")]
    DateInvalid {
        /// Where it stands.
        place: Place,
        /// What was sent, cut to 64 characters.
        given: String,
    },
    /// The request is older than clocks may differ.
    #[error("signed at {signed_at}, too long ago")]
    Expired {
        /// The request's date.
        signed_at: Timestamp,
        /// How much clocks may differ.
        skew: Duration,
    },
    /// `X-Amz-Expires` is not a number of seconds up to a week.
    #[error("X-Amz-Expires {reason}")]
    ExpiresInvalid {
        /// The rule that is broken, in the words that follow the parameter's name.
        reason: &'static str,
    },
    /// The `Authorization` header lacks parts, or no date came with it.
    #[error("the authorization header lacks {missing:?} or a date")]
    HeaderIncomplete {
        /// Which of `Credential`, `Signature` and `SignedHeaders`.
        missing: Vec<&'static str>,
        /// Whether there is neither `X-Amz-Date` nor `Date`.
        date_missing: bool,
        /// The header, hashed and in base64: how AWS quotes it.
        digest: String,
    },
    /// Headers that must be signed are not.
    #[error("not signed: {names:?}")]
    HeadersNotSigned {
        /// Their names.
        names: Vec<String>,
    },
    /// `host` is not signed.
    #[error("the host header is not signed")]
    HostNotSigned,
    /// No such access key, or not an active one.
    #[error("access key {access_key_id:?} is unknown or inactive")]
    KeyUnknown {
        /// The key that was named.
        access_key_id: String,
    },
    /// A part of the signature is not readable.
    #[error("{what} is malformed")]
    Malformed {
        /// Its name.
        what: &'static str,
    },
    /// The signature is not that of this request.
    #[error("the signature does not match")]
    Mismatch(Box<Mismatch>),
    /// The request is from further in the future than clocks may differ.
    #[error("signed at {signed_at}, in the future")]
    NotYetCurrent {
        /// The request's date.
        signed_at: Timestamp,
        /// How much clocks may differ.
        skew: Duration,
    },
    /// A part of the `Authorization` header is not `key=value`.
    #[error("the authorization header holds something other than key=value")]
    PairMalformed {
        /// The part, hashed and in base64.
        digest: String,
    },
    /// `x-amz-content-sha256` is neither a digest nor one of the keywords.
    #[error("x-amz-content-sha256 is neither a digest nor a keyword")]
    PayloadHashInvalid,
    /// The body is not the one that was declared.
    #[error("the body has digest {actual}, not {declared}")]
    PayloadHashMismatch {
        /// The digest in the request.
        declared: String,
        /// The digest of the body.
        actual: String,
    },
    /// `x-amz-content-sha256` is missing where it is required.
    #[error("x-amz-content-sha256 is missing")]
    PayloadHashMissing,
    /// A presigned request came after its end.
    #[error("presigned at {signed_at} for {} s, which is over", expires.as_secs())]
    PresignExpired {
        /// The request's date.
        signed_at: Timestamp,
        /// For how long it was good.
        expires: Duration,
    },
    /// A presigned request came before its date.
    #[error("presigned for {signed_at}, in the future")]
    PresignNotYetCurrent {
        /// The request's date.
        signed_at: Timestamp,
        /// How much clocks may differ.
        skew: Duration,
    },
    /// A presigned query lacks parameters.
    #[error("the query lacks {missing:?}")]
    QueryIncomplete {
        /// Which.
        missing: Vec<&'static str>,
    },
    /// A Version 4A signature names no region set.
    #[error("X-Amz-Region-Set is missing")]
    RegionSetMissing,
    /// Something that may come once came more often.
    #[error("{what} is given more than once")]
    Repeated {
        /// Its name.
        what: &'static str,
    },
    /// The day in the scope is not the day of the request.
    #[error("the scope says {scope}, the request {request}")]
    ScopeDateMismatch {
        /// Where the scope stands.
        place: Place,
        /// The day in the scope.
        scope: String,
        /// The moment of the request, `YYYYMMDDTHHMMSSZ`.
        request: String,
    },
    /// The signature was made for another region or service: what was given,
    /// and what would have been right.
    #[error("signed for another region or service")]
    ScopeWrong {
        /// Where the scope stands.
        place: Place,
        /// The region, if it is wrong.
        region: Option<(String, String)>,
        /// The service, if it is wrong.
        service: Option<(String, String)>,
    },
    /// The scope does not end in `aws4_request`.
    #[error("the scope ends in {given:?}")]
    TerminatorWrong {
        /// Where the scope stands.
        place: Place,
        /// How it ends instead.
        given: String,
    },
    /// The session of a temporary key is over.
    #[error("the session has expired")]
    TokenExpired,
    /// The session token is not one we gave for this key.
    #[error("the session token is invalid")]
    TokenInvalid,
    /// A temporary key came without its session token.
    #[error("temporary key {access_key_id:?} came without its token")]
    TokenMissing {
        /// The key that was named.
        access_key_id: String,
    },
    /// A part of the request is beyond its limit.
    #[error("{what} is larger than {max}")]
    TooLarge {
        /// Its name.
        what: &'static str,
        /// The limit, in bytes or pieces.
        max: usize,
    },
    /// Header and query are both signed.
    #[error("both header and query are signed")]
    TwoMechanisms,
    /// Nothing is signed.
    #[error("the request is not signed")]
    Unsigned,
}

/// What we hashed when a signature did not match, for the caller to compare.
///
/// It repeats the caller's own headers, a session token among them, so it has
/// no telling `Debug` and belongs in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    access_key_id: String,
    signature: String,
    canonical_request: String,
    string_to_sign: String,
}

impl Mismatch {
    pub(crate) fn new(
        access_key_id: &str,
        signature: &str,
        canonical_request: &[u8],
        string_to_sign: &[u8],
    ) -> Mismatch {
        Mismatch {
            access_key_id: access_key_id.to_owned(),
            signature: signature.to_owned(),
            canonical_request: String::from_utf8_lossy(canonical_request).into_owned(),
            string_to_sign: String::from_utf8_lossy(string_to_sign).into_owned(),
        }
    }

    /// The canonical request as we see it.
    pub fn canonical_request(&self) -> &str {
        &self.canonical_request
    }

    /// The string to sign as we see it.
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mismatch")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

type Answer = (u16, &'static str, Cow<'static, str>);

const INVALID_TOKEN: &str = "The security token included in the request is invalid.";
const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
    Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// The five groups into which services other than S3 and EC2 sort these faults.
#[derive(Clone, Copy)]
enum Group {
    ExpiredToken,
    Incomplete,
    InvalidClient,
    Mismatch,
    Unsigned,
}

impl SignatureFault {
    /// Status, code and message with which a service of this manner answers at `now`.
    pub fn code_and_message(&self, manner: Manner, now: Timestamp) -> (u16, &'static str, Cow<'static, str>) {
        match manner {
            Manner::Ec2 => self.answer_ec2(now),
            Manner::S3 => self.answer_s3(),
            Manner::Json | Manner::Query | Manner::RestJson => {
                let (group, message) = self.group_and_message(now);
                let (status, code) = match (group, manner) {
                    (Group::ExpiredToken, Manner::Query) => (403, "ExpiredToken"),
                    (Group::ExpiredToken, _) => (403, "ExpiredTokenException"),
                    (Group::Incomplete, Manner::Query) => (400, "IncompleteSignature"),
                    (Group::Incomplete, _) => (400, "IncompleteSignatureException"),
                    (Group::InvalidClient, Manner::Query) => (403, "InvalidClientTokenId"),
                    (Group::InvalidClient, _) => (403, "UnrecognizedClientException"),
                    (Group::Mismatch, Manner::Query) => (403, "SignatureDoesNotMatch"),
                    (Group::Mismatch, _) => (403, "InvalidSignatureException"),
                    (Group::Unsigned, Manner::Query) => (403, "MissingAuthenticationToken"),
                    (Group::Unsigned, _) => (403, "MissingAuthenticationTokenException"),
                };
                let message = match (group, manner) {
                    (Group::Unsigned, Manner::Query) => "Request is missing Authentication Token".into(),
                    _ => message,
                };
                (if manner == Manner::Json { 400 } else { status }, code, message)
            }
        }
    }

    /// The further elements of S3's error document, in AWS's order. Other
    /// protocols have none.
    pub fn s3_details(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        match self {
            SignatureFault::Mismatch(mismatch) => vec![
                ("AWSAccessKeyId", mismatch.access_key_id.clone()),
                ("StringToSign", mismatch.string_to_sign.clone()),
                ("SignatureProvided", mismatch.signature.clone()),
                ("StringToSignBytes", spaced_hex(&mismatch.string_to_sign)),
                ("CanonicalRequest", mismatch.canonical_request.clone()),
                ("CanonicalRequestBytes", spaced_hex(&mismatch.canonical_request)),
            ],
            SignatureFault::Expired { signed_at, skew }
            | SignatureFault::NotYetCurrent { signed_at, skew } => vec![
                ("RequestTime", signed_at.amz_date()),
                ("ServerTime", now.iso8601_seconds()),
                ("MaxAllowedSkewMilliseconds", skew.as_millis().to_string()),
            ],
            SignatureFault::PresignExpired { signed_at, expires } => vec![
                ("X-Amz-Expires", expires.as_secs().to_string()),
                ("Expires", signed_at.after(*expires).iso8601_seconds()),
                ("ServerTime", now.iso8601_seconds()),
            ],
            SignatureFault::ScopeWrong {
                region: Some((_, expected)),
                ..
            } => vec![("Region", expected.clone())],
            SignatureFault::HeadersNotSigned { names } => vec![("HeadersNotSigned", names.join(", "))],
            SignatureFault::HostNotSigned => vec![("HeadersNotSigned", "host".to_owned())],
            SignatureFault::KeyUnknown { access_key_id } | SignatureFault::TokenMissing { access_key_id } => {
                vec![("AWSAccessKeyId", access_key_id.clone())]
            }
            SignatureFault::PayloadHashMismatch { declared, actual } => vec![
                ("ClientComputedContentSHA256", declared.clone()),
                ("S3ComputedContentSHA256", actual.clone()),
            ],
            _ => Vec::new(),
        }
    }

    fn group_and_message(&self, now: Timestamp) -> (Group, Cow<'static, str>) {
        match self {
            SignatureFault::AlgorithmUnsupported { given, .. } => (
                Group::Incomplete,
                format!("Unsupported AWS 'algorithm': '{given}'.").into(),
            ),
            SignatureFault::CredentialMalformed { algorithm, given, .. } => {
                let form = match algorithm {
                    Algorithm::V4 => "exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
                    Algorithm::V4a => "exactly 4 slash-delimited elements, e.g. keyid/date/service/term",
                };
                (Group::Incomplete, format!("Credential must have {form}, got '{given}'").into())
            }
            SignatureFault::DateInvalid { given, .. } => (
                Group::Incomplete,
                format!(
                    "Date must be in ISO-8601 'basic format'. Got '{given}'. See http://en.wikipedia.org/wiki/ISO_8601"
                )
                .into(),
            ),
            SignatureFault::Expired { signed_at, skew } => (Group::Mismatch, expired_text(*signed_at, *skew, now)),
            SignatureFault::PresignExpired { signed_at, expires } => {
                (Group::Mismatch, expired_text(*signed_at, *expires, now))
            }
            SignatureFault::NotYetCurrent { signed_at, skew }
            | SignatureFault::PresignNotYetCurrent { signed_at, skew } => (
                Group::Mismatch,
                format!(
                    "Signature not yet current: {} is still later than {} ({} + {})",
                    signed_at.amz_date(),
                    now.after(*skew).amz_date(),
                    now.amz_date(),
                    span_text(*skew)
                )
                .into(),
            ),
            SignatureFault::ExpiresInvalid { reason } => (Group::Incomplete, format!("X-Amz-Expires {reason}").into()),
            SignatureFault::HeaderIncomplete {
                missing,
                date_missing,
                digest,
            } => {
                let mut text = String::new();
                for name in missing {
                    let _ = write!(text, "Authorization header requires '{name}' parameter. ");
                }
                if *date_missing {
                    text.push_str(
                        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
                    );
                }
                let _ = write!(text, "(Hashed with SHA-256 and encoded with Base64) Authorization={digest}");
                (Group::Incomplete, text.into())
            }
            SignatureFault::HeadersNotSigned { names } => {
                let texts: Vec<String> = names
                    .iter()
                    .map(|name| format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))
                    .collect();
                (Group::Mismatch, texts.join(" ").into())
            }
            SignatureFault::HostNotSigned => (
                Group::Mismatch,
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into(),
            ),
            SignatureFault::KeyUnknown { .. }
            | SignatureFault::TokenInvalid
            | SignatureFault::TokenMissing { .. } => (Group::InvalidClient, INVALID_TOKEN.into()),
            SignatureFault::Malformed { what } => (Group::Incomplete, format!("'{what}' is malformed.").into()),
            SignatureFault::Mismatch(_)
            | SignatureFault::PayloadHashInvalid
            | SignatureFault::PayloadHashMismatch { .. }
            | SignatureFault::PayloadHashMissing => (Group::Mismatch, MISMATCH.into()),
            SignatureFault::PairMalformed { digest } => (
                Group::Incomplete,
                format!(
                    "Invalid key=value pair (missing equal-sign) in Authorization header \
                     (hashed with SHA-256 and encoded with Base64): '{digest}'."
                )
                .into(),
            ),
            SignatureFault::QueryIncomplete { missing } => {
                let mut text = String::new();
                for name in missing {
                    let _ = write!(text, "AWS query-string parameters must include '{name}'. ");
                }
                text.push_str("Re-examine the query-string parameters.");
                (Group::Incomplete, text.into())
            }
            SignatureFault::RegionSetMissing => (
                Group::Incomplete,
                "Authorization header requires existence of a 'X-Amz-Region-Set' header.".into(),
            ),
            SignatureFault::Repeated { what } => {
                (Group::Incomplete, format!("'{what}' must not be given more than once.").into())
            }
            SignatureFault::ScopeDateMismatch { scope, request, .. } => (
                Group::Mismatch,
                format!(
                    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                     '{scope}' != '{}', from '{request}'.",
                    day(request)
                )
                .into(),
            ),
            SignatureFault::ScopeWrong { region, service, .. } => {
                let mut texts = Vec::new();
                if region.is_some() {
                    texts.push("Credential should be scoped to a valid region.".to_owned());
                }
                if let Some((_, expected)) = service {
                    texts.push(format!("Credential should be scoped to correct service: '{expected}'."));
                }
                (Group::Mismatch, texts.join(" ").into())
            }
            SignatureFault::TerminatorWrong { given, .. } => (
                Group::Mismatch,
                format!("Credential should be scoped with a valid terminator: 'aws4_request', not '{given}'.").into(),
            ),
            SignatureFault::TokenExpired => (
                Group::ExpiredToken,
                "The security token included in the request is expired".into(),
            ),
            SignatureFault::TooLarge { what, max } => {
                (Group::Incomplete, format!("'{what}' is larger than {max}.").into())
            }
            SignatureFault::TwoMechanisms => (
                Group::Incomplete,
                "Only one of the Authorization header and the query-string parameters may be signed.".into(),
            ),
            SignatureFault::Unsigned => (Group::Unsigned, "Missing Authentication Token".into()),
        }
    }

    fn answer_ec2(&self, now: Timestamp) -> Answer {
        match self {
            SignatureFault::Expired { .. }
            | SignatureFault::NotYetCurrent { .. }
            | SignatureFault::PresignExpired { .. }
            | SignatureFault::PresignNotYetCurrent { .. }
            | SignatureFault::TokenExpired => (400, "RequestExpired", "Request has expired.".into()),
            fault => match fault.group_and_message(now) {
                (Group::Incomplete, message) => (400, "IncompleteSignature", message),
                (Group::Unsigned, _) => (
                    400,
                    "MissingParameter",
                    "The request must contain the parameter AWSAccessKeyId".into(),
                ),
                (Group::ExpiredToken | Group::InvalidClient | Group::Mismatch, _) => (
                    401,
                    "AuthFailure",
                    "AWS was not able to validate the provided access credentials".into(),
                ),
            },
        }
    }

    fn answer_s3(&self) -> Answer {
        match self {
            SignatureFault::AlgorithmUnsupported {
                place: Place::Query, ..
            } => query_error("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""),
            SignatureFault::AlgorithmUnsupported { given, .. } if given == "AWS" => (
                400,
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
                    .into(),
            ),
            SignatureFault::AlgorithmUnsupported { .. } => {
                (400, "InvalidArgument", "Unsupported Authorization Type".into())
            }
            SignatureFault::CredentialMalformed { place, algorithm, .. } => {
                let form = match algorithm {
                    Algorithm::V4 => "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request",
                    Algorithm::V4a => "<YOUR-AKID>/YYYYMMDD/SERVICE/aws4_request",
                };
                malformed(*place, &format!("the Credential is mal-formed; expecting \"{form}\"."))
            }
            SignatureFault::DateInvalid {
                place: Place::Query, ..
            } => query_error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""),
            SignatureFault::DateInvalid { .. }
            | SignatureFault::HeaderIncomplete { date_missing: true, .. } => (
                403,
                "AccessDenied",
                "AWS authentication requires a valid Date or x-amz-date header".into(),
            ),
            SignatureFault::Expired { .. } | SignatureFault::NotYetCurrent { .. } => (
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.".into(),
            ),
            SignatureFault::ExpiresInvalid { reason } => query_error(&format!("X-Amz-Expires {reason}")),
            SignatureFault::HeaderIncomplete { .. } | SignatureFault::PairMalformed { .. } => malformed(
                Place::Header,
                "the authorization header requires three components: Credential, SignedHeaders, and Signature.",
            ),
            SignatureFault::HeadersNotSigned { .. } | SignatureFault::HostNotSigned => (
                403,
                "AccessDenied",
                "There were headers present in the request which were not signed".into(),
            ),
            SignatureFault::KeyUnknown { .. } | SignatureFault::TokenMissing { .. } => (
                403,
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.".into(),
            ),
            SignatureFault::Malformed { what } => malformed(place_of(what), &format!("'{what}' is malformed.")),
            SignatureFault::Mismatch(_) => (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. \
                 Check your key and signing method."
                    .into(),
            ),
            SignatureFault::PayloadHashInvalid => (
                400,
                "InvalidArgument",
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER \
                 or a valid sha256 value."
                    .into(),
            ),
            SignatureFault::PayloadHashMismatch { .. } => (
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.".into(),
            ),
            SignatureFault::PayloadHashMissing => missing_header("x-amz-content-sha256"),
            SignatureFault::PresignExpired { .. } => (403, "AccessDenied", "Request has expired".into()),
            SignatureFault::PresignNotYetCurrent { .. } => {
                (403, "AccessDenied", "Request is not yet valid".into())
            }
            SignatureFault::QueryIncomplete { .. } => query_error(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            ),
            SignatureFault::RegionSetMissing => missing_header("x-amz-region-set"),
            SignatureFault::Repeated { what } => {
                malformed(place_of(what), &format!("'{what}' must not be given more than once."))
            }
            SignatureFault::ScopeDateMismatch { place, scope, request } => malformed(
                *place,
                &format!(
                    "Invalid credential date \"{scope}\". This date is not the same as X-Amz-Date: \"{}\".",
                    day(request)
                ),
            ),
            SignatureFault::ScopeWrong {
                place,
                region: Some((given, expected)),
                ..
            } => malformed(*place, &format!("the region '{given}' is wrong; expecting '{expected}'")),
            SignatureFault::ScopeWrong { place, service, .. } => {
                let (given, expected) = service
                    .as_ref()
                    .map_or(("", "s3"), |(given, expected)| (given.as_str(), expected.as_str()));
                malformed(
                    *place,
                    &format!("incorrect service \"{given}\". This endpoint belongs to \"{expected}\"."),
                )
            }
            SignatureFault::TerminatorWrong { place, given } => malformed(
                *place,
                &format!("incorrect terminal \"{given}\". This endpoint uses \"aws4_request\"."),
            ),
            SignatureFault::TokenExpired => (400, "ExpiredToken", "The provided token has expired.".into()),
            SignatureFault::TokenInvalid => (
                400,
                "InvalidToken",
                "The provided token is malformed or otherwise invalid.".into(),
            ),
            SignatureFault::TooLarge { what: "path", .. } => {
                (400, "KeyTooLongError", "Your key is too long".into())
            }
            SignatureFault::TooLarge { .. } => (
                400,
                "RequestHeaderSectionTooLarge",
                "Your request header section exceeds the maximum allowed request header section size.".into(),
            ),
            SignatureFault::TwoMechanisms => (
                400,
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                 Signature query string parameter or the Authorization header should be specified"
                    .into(),
            ),
            SignatureFault::Unsigned => (403, "AccessDenied", "Access Denied".into()),
        }
    }
}

fn malformed(place: Place, detail: &str) -> Answer {
    match place {
        Place::Header => (
            400,
            "AuthorizationHeaderMalformed",
            format!("The authorization header is malformed; {detail}").into(),
        ),
        Place::Query => query_error(&format!("Error parsing the X-Amz-Credential parameter; {detail}")),
    }
}

/// Where a named part stands: the parameters of a presigned query are spelt like this.
fn place_of(what: &str) -> Place {
    if what.starts_with("X-Amz-") {
        Place::Query
    } else {
        Place::Header
    }
}

fn query_error(message: &str) -> Answer {
    (
        400,
        "AuthorizationQueryParametersError",
        message.to_owned().into(),
    )
}

fn missing_header(name: &str) -> Answer {
    (
        400,
        "InvalidRequest",
        format!("Missing required header for this request: {name}").into(),
    )
}

fn expired_text(signed_at: Timestamp, good_for: Duration, now: Timestamp) -> Cow<'static, str> {
    let span = i64::try_from(good_for.as_millis()).unwrap_or(i64::MAX);
    format!(
        "Signature expired: {} is now earlier than {} ({} - {})",
        signed_at.amz_date(),
        Timestamp(now.0.saturating_sub(span)).amz_date(),
        now.amz_date(),
        span_text(good_for)
    )
    .into()
}

fn span_text(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds.is_multiple_of(60) => format!("{} min.", seconds / 60),
        seconds => format!("{seconds} sec."),
    }
}

fn day(amz_date: &str) -> &str {
    amz_date.get(..8).unwrap_or(amz_date)
}

fn spaced_hex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if !out.is_empty() {
            out.push(' ');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}
