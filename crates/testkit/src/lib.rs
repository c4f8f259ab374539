//! What tests need around the product: real servers on the loopback interface.
//!
//! Never linked into the product. Whatever is missing on the machine is a
//! failure that says what to install; nothing is skipped.

pub mod client;
pub mod issuer;
pub mod nitro;
pub mod postgres;
pub mod program;
pub mod saml;
pub mod sample;
pub mod server;
pub mod tpm;
