//! Signatures: published vectors, AWS's own signers, properties, faults.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, in its helpers too"
)]

#[path = "sigv4/botocore.rs"]
mod botocore;
#[path = "sigv4/chunked.rs"]
mod chunked;
#[path = "sigv4/faults.rs"]
mod faults;
#[path = "sigv4/properties.rs"]
mod properties;
#[path = "sigv4/published.rs"]
mod published;
#[path = "sigv4/request.rs"]
mod request;
