//! AWS Signature Version 4 and 4A: who says they sent a request, and did they.
//!
//! Verification has two phases, because the credential must be looked up in
//! between. [`Claim::parse`] reads what the request says of itself: the access
//! key, the scope, the moment. The caller checks scope and time, finds the
//! secret, derives (or has cached) the [`SigningKey`] and asks
//! [`Claim::verify`]. Until that has answered `Ok` a claim is only a claim.
//!
//! The order of checks that gives AWS's faults: `parse`, [`Claim::check_time`],
//! [`Claim::check_scope`], look-up of key and session token, `verify`, and for
//! a body that was not read before, the comparison that [`Payload`] asks for.
//!
//! Invariants: a request verifies only if the method, the path, the whole query,
//! the signed headers and the payload are those that were signed; `host` and
//! every `x-amz-*` header present are among the signed ones. A router must look
//! at the path as [`canonical::normalized_path`] gives it (S3: as received), and
//! must read `+` in a query as a space, for that is what was signed.
//!
//! Everything here is a pure function of its arguments and bounded by [`limits`].
//!
//! Absent by design: Signature Version 2 and browser-form POST policies, and any
//! memory of signatures seen: as on AWS, a request may be repeated unchanged
//! while its date is fresh.
//!
//! Sources: AWS IAM User Guide, "AWS Signature Version 4 for API requests" and
//! "AWS Signature Version 4A"; Amazon S3 API Reference, "Authenticating Requests
//! (AWS Signature Version 4)" with its pages on the authorization header, query
//! parameters and chunked uploads.

pub mod canonical;
pub mod chunk;
pub mod claim;
pub mod fault;
pub mod key;
pub mod limits;
pub mod payload;
mod pieces;
pub mod scope;
pub mod sign;

pub use chunk::ChunkChain;
pub use claim::{Claim, Kind};
pub use fault::{Manner, Mismatch, SignatureFault};
pub use key::SigningKey;
pub use payload::{Payload, PayloadHash};
pub use scope::{Algorithm, Scope};
pub use sign::{Credentials, Target, presign_request, sign_request};

use http::HeaderMap;

/// A request as it was received, without its body.
///
/// No `Debug`: headers and query carry session tokens and signatures.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method, as received.
    pub method: &'a str,
    /// The path, still percent-encoded, without the query.
    pub path: &'a str,
    /// The query, still percent-encoded, without the `?`; empty if there is none.
    pub query: &'a str,
    /// The headers. `host` must be among them; for HTTP/2 whoever reads the
    /// request puts `:authority` there.
    pub headers: &'a HeaderMap,
}
