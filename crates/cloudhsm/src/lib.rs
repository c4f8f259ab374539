//! Hardware security modules.
//!
//! So far: a key of a PKCS#11 token that wraps a secret of ours, for a slot of
//! the root key ([`pkcs11`]).
//!
//! A vendor's module is foreign code that shares our memory. Whoever calls this
//! crate does so in a process of its own, which may crash.
//!
//! Absent by design: the CloudHSM API and custom key stores.

pub mod pkcs11;
