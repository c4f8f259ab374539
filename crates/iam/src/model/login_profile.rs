//! A password, as it is kept.

use ground::Timestamp;
use serde::{Deserialize, Serialize};

/// The password of a user. That of the root user says that root may have one,
/// and holds none: it is chosen where root signs in, which is not here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LoginProfile {
    pub(crate) created: Timestamp,
    /// When the password was last set.
    pub(crate) changed: Timestamp,
    /// Whether the user must choose a new one.
    pub(crate) reset_required: bool,
    /// Digests of this password and those before it, newest first, each sealed
    /// under the account's key and bound to the user; base64.
    pub(crate) sealed_digests: Vec<String>,
}
