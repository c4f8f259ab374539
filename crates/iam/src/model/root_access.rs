//! Centralized root access: which features an organisation has enabled, and
//! the tasks that a session of a member's root user may be for.
//!
//! Source: IAM User Guide, "Centralize root access for member accounts" and
//! "Perform a privileged task on an AWS Organizations member account".

use serde::{Deserialize, Serialize};

use crate::model::PolicyArn;

/// The service that must have trusted access, and whose delegated
/// administrators act as the management account does.
pub(crate) const SERVICE_PRINCIPAL: &str = "iam.amazonaws.com";

/// Where the policies of the tasks are.
pub(crate) const PATH: &str = "/root-task/";

/// What an organisation has enabled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootAccess {
    /// `o-…`: another organisation of the same management account begins anew.
    pub(crate) organization: String,
    /// Credentials of members' root users can be taken away.
    pub(crate) credentials_management: bool,
    /// Other tasks can be done as members' root users.
    pub(crate) sessions: bool,
}

/// What a session of a root user is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RootTask {
    AuditCredentials,
    CreatePassword,
    DeleteCredentials,
    UnlockBucketPolicy,
    UnlockQueuePolicy,
}

impl RootTask {
    /// Every task there is.
    pub(crate) const ALL: [RootTask; 5] = [
        RootTask::AuditCredentials,
        RootTask::CreatePassword,
        RootTask::DeleteCredentials,
        RootTask::UnlockBucketPolicy,
        RootTask::UnlockQueuePolicy,
    ];

    /// The name of its policy.
    pub(crate) fn policy(self) -> &'static str {
        match self {
            RootTask::AuditCredentials => "IAMAuditRootUserCredentials",
            RootTask::CreatePassword => "IAMCreateRootUserPassword",
            RootTask::DeleteCredentials => "IAMDeleteRootUserCredentials",
            RootTask::UnlockBucketPolicy => "S3UnlockBucketPolicy",
            RootTask::UnlockQueuePolicy => "SQSUnlockQueuePolicy",
        }
    }

    /// The task whose policy has this ARN.
    pub(crate) fn of_policy(arn: &str) -> Option<RootTask> {
        let arn = PolicyArn::parse(arn)?;
        let task = RootTask::ALL.into_iter().find(|task| task.policy() == arn.name);
        task.filter(|_| arn.account.is_none() && arn.path == PATH)
    }

    /// Whether an organisation with these features may have it done. To look
    /// comes with either feature; to give root a password back comes with
    /// sessions and not with the management of credentials.
    pub(crate) fn is_enabled(self, access: &RootAccess) -> bool {
        match self {
            RootTask::AuditCredentials => access.credentials_management || access.sessions,
            RootTask::DeleteCredentials => access.credentials_management,
            RootTask::CreatePassword | RootTask::UnlockBucketPolicy | RootTask::UnlockQueuePolicy => {
                access.sessions
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_managed;

    #[test]
    fn the_tasks_are_those_that_there_are_policies_for() {
        let policies = aws_managed::POLICIES.iter().filter(|policy| policy.path == PATH);
        let policies: Vec<&str> = policies.map(|policy| policy.name).collect();
        assert_eq!(policies, RootTask::ALL.map(RootTask::policy));
        for task in RootTask::ALL {
            let arn = format!("arn:aws:iam::aws:policy{PATH}{}", task.policy());
            assert_eq!(RootTask::of_policy(&arn), Some(task));
        }
        for other in [
            "",
            "arn:aws:iam::aws:policy/AdministratorAccess",
            "arn:aws:iam::aws:policy/S3UnlockBucketPolicy",
            "arn:aws:iam::aws:policy/root-task/s3unlockbucketpolicy",
            "arn:aws:iam::123456789012:policy/root-task/S3UnlockBucketPolicy",
        ] {
            assert_eq!(RootTask::of_policy(other), None, "{other}");
        }
    }

    #[test]
    fn each_feature_brings_its_own_tasks() {
        let with = |credentials_management, sessions| {
            let access = RootAccess {
                organization: String::new(),
                credentials_management,
                sessions,
            };
            RootTask::ALL.map(|task| task.is_enabled(&access))
        };
        assert_eq!(with(false, false), [false; 5]);
        assert_eq!(with(true, false), [true, false, true, false, false]);
        assert_eq!(with(false, true), [true, true, false, true, true]);
        assert_eq!(with(true, true), [true; 5]);
    }
}
