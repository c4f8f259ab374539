//! What a password must be, in an account.
//!
//! Source: IAM User Guide, "Set an account password policy for IAM users",
//! and IAM API Reference, UpdateAccountPasswordPolicy.

use serde::{Deserialize, Serialize};

/// The policy an account has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordPolicy {
    /// Characters, 6 to 128.
    pub(crate) length_min: u32,
    pub(crate) symbols: bool,
    pub(crate) numbers: bool,
    pub(crate) upper_case: bool,
    pub(crate) lower_case: bool,
    /// Whether users may change their own password without a policy that says so.
    pub(crate) users_may_change: bool,
    /// Days after which a password expires; `None` if it never does.
    pub(crate) age_max_days: Option<u32>,
    /// How many earlier passwords may not be used again.
    pub(crate) reuse_prevention: Option<u32>,
    /// Whether an expired password can only be set anew by an administrator.
    pub(crate) hard_expiry: Option<bool>,
}
