//! What foreign identity providers vouch for, read and proven: OpenID Connect
//! tokens ([`jwt`]), SAML responses and metadata ([`saml`]), what Nitro
//! hypervisors vouch for ([`attestation`]), and TPMs ([`quote`]); and the
//! certificates of people ([`certificate`]).
//!
//! Invariants:
//! - nothing a stranger says is given out before its signature has been
//!   proven, but for the issuer, which tells whose keys to ask;
//! - what is read is what was signed: the same tree, the same element;
//! - everything is bounded, in bytes, nodes and depth.
//!
//! Absent by design: sockets, clocks, accounts and roles. Who fetches keys,
//! says what time it is and knows which provider is trusted calls from above.

pub mod attestation;
pub mod certificate;
pub mod jwt;
pub mod limits;
pub mod quote;
pub mod saml;

mod xml;
