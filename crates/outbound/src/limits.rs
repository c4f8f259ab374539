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

/// Posts at once; others wait, within their time. It is what 1,800 calls in a
/// second need that take a tenth of a second each (KMS Developer Guide, "Custom
/// key store request quotas").
pub(crate) const POSTS_AT_ONCE_MAX: usize = 256;
/// How long a connection is kept that nobody asks over. Shorter than servers do.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(15);
/// Connections that are kept to one host.
pub(crate) const KEPT_PER_HOST_MAX: usize = 32;
/// Connections that are kept in all.
pub(crate) const KEPT_MAX: usize = 512;
