//! What decoding a request may cost before it is refused.
//!
//! The gate bounds headers, time and streamed bodies; these bound what is held
//! in memory and walked here.

use shape::Protocol;

/// Values inside values, the input itself not counted. AWS's deepest modelled
/// inputs that nest themselves (WAF statements) stay under 40. Below the 128
/// at which the JSON reader stops on its own, so that our answer is given.
pub const DEPTH_MAX: usize = 100;

/// Bytes of a JSON request of awsJson services. The largest modelled input is
/// ACM's certificate chain: 2 MiB, a third more in base64.
pub const JSON_BODY_BYTES_MAX: usize = 8 << 20;

/// Bytes of a JSON request of REST services: Lambda's 50 MiB archive in base64
/// (Lambda quotas, "Deployment package size, zipped, direct upload").
pub const REST_JSON_BODY_BYTES_MAX: usize = 70 << 20;

/// Bytes of a form of query services. IAM's largest is the policy simulator's
/// list of documents of 131,072 characters, percent-encoded.
pub const FORM_BODY_BYTES_MAX: usize = 8 << 20;

/// Bytes of an XML document: 1,000 keys of 1,024 bytes in S3's `DeleteObjects`,
/// with their elements and escapes.
pub const XML_BODY_BYTES_MAX: usize = 8 << 20;

/// Parameters of one form or query string. EC2's longest documented inputs are
/// lists of 1,000 structures.
pub const FORM_PAIRS_MAX: usize = 10_000;

/// Bytes of the name of one parameter: path steps of nested members.
pub const FORM_NAME_BYTES_MAX: usize = 1024;

/// Bytes of the text in an error message taken from a request.
pub const ECHO_BYTES_MAX: usize = 256;

/// Bytes of a body, not streamed, that a protocol takes.
pub fn body_bytes_max(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Json10 | Protocol::Json11 => JSON_BODY_BYTES_MAX,
        Protocol::RestJson => REST_JSON_BODY_BYTES_MAX,
        Protocol::Query | Protocol::Ec2 => FORM_BODY_BYTES_MAX,
        Protocol::RestXml => XML_BODY_BYTES_MAX,
    }
}

/// The beginning of a text from outside, for an error message.
pub fn echo(text: &str) -> &str {
    let mut end = text.len().min(ECHO_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
