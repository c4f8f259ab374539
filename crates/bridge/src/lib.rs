//! What other programs say to their key services, read and answered in the
//! terms of the AWS KMS API.
//!
//! [`kubernetes`] is the plugin interface by which an API server has its
//! secrets encrypted; it speaks [`grpc`], whose messages are [`protobuf`].
//! [`kes`] is the key service of S3 stores. [`exports`] are the files in which keys
//! leave other programs.
//!
//! Invariants:
//! - everything read is bounded, and what is not understood is refused;
//! - keys and plaintexts travel as `Secret`.
//!
//! Absent by design: sockets, clocks and credentials. Who listens, and calls
//! KMS as a client that must be allowed to, is the roof.

pub mod exports;
pub mod grpc;
pub mod kes;
pub mod kubernetes;
pub mod limits;
pub mod protobuf;

mod secret_text;
