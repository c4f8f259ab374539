//! SSH public keys of users, as they are kept.

use ground::Timestamp;
use serde::{Deserialize, Serialize};

/// A public key of a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SshKey {
    /// `APKA…`
    pub(crate) id: String,
    pub(crate) active: bool,
    pub(crate) uploaded: Timestamp,
    /// `ssh-rsa BASE64`, without comment.
    pub(crate) key: String,
}
