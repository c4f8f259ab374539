//! JSON bodies: awsJson 1.0 and 1.1, and the bodies of restJson.
//!
//! Decisions where AWS's own are not published: a member or map key that comes
//! twice is refused, so that whoever inspected the request before us saw the
//! same one; an unknown member is skipped; `null` is the same as absent; a
//! number in quotes is not a number; base64 is canonical and padded.

pub(crate) mod read;
pub(crate) mod write;

pub use write::plain_bytes;
