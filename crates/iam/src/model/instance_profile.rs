//! Instance profiles: what lends a role to a machine.
//!
//! Invariant: a profile holds one role at most (IAM User Guide, "Quotas"), by
//! its unique id, and a role that is held cannot be deleted.
//! Absent by design: machines. What delivers the role's credentials belongs
//! to the service that runs them.

use ground::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{Tags, arn};

/// An instance profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstanceProfile {
    /// `AIPA…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    /// `AROA…`
    pub(crate) role_id: Option<String>,
    pub(crate) tags: Tags,
}

impl InstanceProfile {
    /// `arn:aws:iam::A:instance-profile/PATH/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "instance-profile", &self.path, &self.name)
    }
}
