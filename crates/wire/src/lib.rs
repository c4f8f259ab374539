//! AWS wire protocols and signatures, without I/O.
//!
//! [`Router`] finds the operation that a request asks for, [`decode()`] reads it
//! into the operation's typed input and checks the model's constraints,
//! [`encode`] and [`encode_fault`] spell the answer. One codec per protocol
//! walks any structure through `shape`'s accessor pair; nothing here knows a
//! service by more than its tables, but for S3's few oddities.
//!
//! Invariant: no function here panics, whatever the bytes; everything read from
//! outside is bounded by [`limits`].
//!
//! Absent by design: event streams, S3 bucket names in the host, and streamed bodies, which come here whole.

pub mod answer;
pub mod aws_chunked;
mod cbor;
pub mod decode;
pub mod fault;
pub mod form;
pub mod head;
mod json;
pub mod limits;
mod query;
mod rest;
pub mod route;
mod scalar;
pub mod sigv4;
pub mod xks;
mod xml;

pub use answer::{Answer, encode, encode_body, encode_cbor};
pub use cbor::as_cbor;
pub use decode::{DecodeFault, Malformed, decode};
pub use fault::{WireFault, encode_fault};
pub use head::RequestHead;
pub use json::plain_bytes;
pub use route::{RouteFault, Router};
