//! Signing certificates of users and of the root user, as they are kept.

use ground::Timestamp;
use serde::{Deserialize, Serialize};

/// An X.509 certificate of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SigningCertificate {
    /// 32 letters and digits.
    pub(crate) id: String,
    pub(crate) active: bool,
    pub(crate) uploaded: Timestamp,
    /// As uploaded.
    pub(crate) body: String,
    /// SHA-256 of what was signed, in hexadecimal, by which the same one is known again.
    pub(crate) digest: String,
}
