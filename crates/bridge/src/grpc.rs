//! gRPC's part of HTTP/2: one message in, one message or a status out.
//!
//! Absent by design: streams of messages, compression (a compressed message is
//! refused as unimplemented, as the protocol says) and reflection.
//!
//! Source: grpc/grpc, doc/PROTOCOL-HTTP2.md and doc/statuscodes.md.

use std::fmt::Write as _;
use std::time::Duration;

use crate::limits::GRPC_MESSAGE_BYTES_MAX;

/// Why a call failed, as clients tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// What was sent cannot be right.
    InvalidArgument = 3,
    /// There was not enough time.
    DeadlineExceeded = 4,
    /// There is no such key.
    NotFound = 5,
    /// Whoever the plugin is, it may not.
    PermissionDenied = 7,
    /// Too much was asked at once.
    ResourceExhausted = 8,
    /// The key is not in the state for this.
    FailedPrecondition = 9,
    /// There is no such method, or not so encoded.
    Unimplemented = 12,
    /// Something is wrong that should not be.
    Internal = 13,
    /// The key service is not there now.
    Unavailable = 14,
    /// The plugin's credentials are not believed.
    Unauthenticated = 16,
}

impl Code {
    /// What stands in `grpc-status`.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// A call's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which kind.
    pub code: Code,
    /// For people; without secrets.
    pub message: String,
}

impl Status {
    /// A failure and its reason.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status {
            code,
            message: message.into(),
        }
    }
}

/// A message's head: compressed or not, and four bytes of length.
const HEAD_BYTES: usize = 5;

/// Longest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = HEAD_BYTES + GRPC_MESSAGE_BYTES_MAX;

/// The one message of a request's body.
///
/// # Errors
///
/// If the body is not one whole message, or a compressed one.
pub fn message(body: &[u8]) -> Result<&[u8], Status> {
    let Some((&[compressed, a, b, c, d], message)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(Status::new(Code::InvalidArgument, "the body has no message"));
    };
    if compressed != 0 {
        return Err(Status::new(
            Code::Unimplemented,
            "compressed messages are not taken",
        ));
    }
    if u32::from_be_bytes([a, b, c, d]) as usize != message.len() {
        return Err(Status::new(
            Code::InvalidArgument,
            "the body is not one whole message",
        ));
    }
    Ok(message)
}

/// A message as the body of an answer.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("our messages are far below 4 GiB");
    let mut out = Vec::with_capacity(HEAD_BYTES + message.len());
    out.push(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// The time that a caller gives, from `grpc-timeout`; `None` if it cannot be read.
pub fn timeout(header: &str) -> Option<Duration> {
    let (number, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    if !(1..=8).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// A reason as `grpc-message` wants it: everything but printable ASCII, and the
/// percent sign, is percent-encoded.
pub fn header_message(reason: &str) -> String {
    let mut out = String::with_capacity(reason.len());
    for byte in reason.bytes() {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_whole_plain_message() {
        assert_eq!(message(&framed(b"abc")), Ok(&b"abc"[..]));
        assert_eq!(message(&framed(b"")), Ok(&b""[..]));
        let code = |body: &[u8]| message(body).map_err(|status| status.code).unwrap_err();
        assert_eq!(code(b""), Code::InvalidArgument);
        assert_eq!(code(&[0, 0, 0, 0]), Code::InvalidArgument);
        assert_eq!(code(&[0, 0, 0, 0, 2, 1]), Code::InvalidArgument);
        assert_eq!(code(&[0, 0, 0, 0, 1, 1, 1]), Code::InvalidArgument);
        assert_eq!(code(&[1, 0, 0, 0, 1, 1]), Code::Unimplemented);
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(timeout("3S"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("2999973u"), Some(Duration::from_micros(2_999_973)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "3", "3s", "123456789S", "-1S", "+1S", "3é", "é"] {
            assert_eq!(timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn reasons_fit_into_a_header() {
        assert_eq!(header_message("100% of\nü"), "100%25 of%0A%C3%BC");
    }
}
