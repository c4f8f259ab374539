//! Every bound of this crate, each with its source.

use std::time::Duration;

/// Characters of a token (STS API Reference, `WebIdentityToken`).
pub const TOKEN_CHARACTERS_MAX: usize = 20_000;
/// Bytes of a set of keys. Ours: a hundred keys of each kind, which AWS takes,
/// are well below.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Keys looked at in a set: a hundred RSA keys and as many EC keys (IAM User
/// Guide, "Create an OpenID Connect identity provider").
pub const KEYS_MAX: usize = 200;

/// Bytes of an XML document, a SAML response or metadata. Ours: a response has
/// at most 100,000 characters of base64 (STS API Reference, `SAMLAssertion`);
/// metadata must fit into a request's body.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Elements, attributes and texts of a document. Ours.
pub const DOCUMENT_NODES_MAX: u32 = 20_000;
/// Attributes of one element, and namespaces in scope of it. Ours.
pub const ATTRIBUTES_MAX: usize = 64;
/// Elements inside one another. Ours: a signed response needs about ten.
pub const DOCUMENT_DEPTH_MAX: usize = 64;
/// Certificates taken from metadata. Ours.
pub const CERTIFICATES_MAX: usize = 10;

/// Bytes of an attestation document.
/// Source: KMS API Reference, `AttestationDocumentType`.
pub const ATTESTATION_BYTES_MAX: usize = 262_144;
/// Members of its map. Source: AWS Nitro Enclaves User Guide, "Verifying the
/// root of trust": it names nine.
pub const ATTESTATION_MEMBERS_MAX: u64 = 16;
/// Registers. Same source.
pub const ATTESTATION_PCRS_MAX: u64 = 32;
/// Certificates between signer and root, with the root. Ours; Nitro has four.
pub const ATTESTATION_CERTIFICATES_MAX: u64 = 8;
/// Bytes of the public key. Same source as the members.
pub const ATTESTATION_KEY_BYTES_MAX: usize = 1_024;
/// How old a document may be. Ours: AWS publishes no figure; clients make one
/// for each call.
pub const ATTESTATION_MAX_AGE: Duration = Duration::from_secs(300);
/// How far the clock of who made it may be ahead. Ours.
pub const ATTESTATION_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Bytes of what a TPM signed. Source: TPM Library, part 2: a TPM2B_ATTEST holds
/// less than this whatever it attests.
pub const QUOTE_BYTES_MAX: usize = 1_024;
/// Banks of registers in a selection. Source: same, `HASH_COUNT` of any TPM.
pub const QUOTE_SELECTIONS_MAX: u32 = 16;
/// Bytes of a bank's selection: 32 registers. Source: same, 10.6.1; a PC has 24.
pub const QUOTE_SELECT_BYTES_MAX: u8 = 4;
