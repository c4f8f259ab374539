//! SAML 2.0: what a provider's metadata says, and what its response vouches for.

mod attributes;
mod metadata;
mod response;
mod signature;

pub use attributes::{Attribute, condition_key};
pub use metadata::{BadMetadata, Metadata};
pub use response::{Assertion, BadResponse};

/// The namespace of assertions.
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// The namespace of requests and responses.
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// The namespace of metadata.
const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
/// The namespace of signatures.
const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// The base64 of an XML document, which may be broken into lines.
fn unbroken_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
