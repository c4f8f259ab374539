//! Hardware security modules.
//!
//! A key of a PKCS#11 token wraps a secret of ours, for a slot of the root key
//! ([`pkcs11`]); and a token serves as the cluster behind an AWS CloudHSM key
//! store: keys are made, used and deleted there ([`helper`], [`message`]).
//!
//! A vendor's module is foreign code that shares our memory. Whoever calls this
//! crate does so in a process of its own, which may crash; of [`message`] alone
//! the server's own process has need.
//!
//! Absent by design: the CloudHSM API, and starting that process.

mod cluster;
pub mod helper;
pub mod message;
mod module;
pub mod pkcs11;
