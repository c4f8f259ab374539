//! Every bound of this crate. Ours: AWS publishes none of its own.

use std::time::Duration;

/// Longest time of one request, from the name to the last byte.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer's body.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of an answer's head.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at once; others wait.
pub(crate) const REQUESTS_AT_ONCE_MAX: usize = 16;
