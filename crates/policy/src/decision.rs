//! The outcome of a decision, and what it rests on.

use std::fmt;

use crate::named::Naming;
use crate::request::{Attached, Holder};
use crate::statement::Statement;

/// A kind of policy, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyType {
    /// Identity-based policy.
    Identity,
    /// Permissions boundary.
    Boundary,
    /// Session policy.
    Session,
    /// Resource-based policy, key policies among them.
    Resource,
    /// Role trust policy.
    RoleTrust,
    /// VPC endpoint policy.
    Endpoint,
    /// Service control policy.
    ServiceControl,
    /// Resource control policy.
    ResourceControl,
}

impl PolicyType {
    /// As messages say it after "no".
    pub fn name(self) -> &'static str {
        match self {
            PolicyType::Identity => "identity-based policy",
            PolicyType::Boundary => "permissions boundary",
            PolicyType::Session => "session policy",
            PolicyType::Resource => "resource-based policy",
            PolicyType::RoleTrust => "role trust policy",
            PolicyType::Endpoint => "VPC endpoint policy",
            PolicyType::ServiceControl => "service control policy",
            PolicyType::ResourceControl => "resource control policy",
        }
    }
}

impl fmt::Display for PolicyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The statement a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The policy.
    pub policy: &'a Attached,
    /// The statement in it.
    pub statement: &'a Statement,
    /// How closely it names the caller, where statements name callers.
    pub naming: Option<Naming>,
}

impl Ground<'_> {
    /// The policy's ARN, or its name if it is inline.
    pub fn policy_name(&self) -> &str {
        self.policy.arn.as_deref().unwrap_or(&self.policy.name)
    }
}

impl fmt::Display for Ground<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.statement.index())?;
        if let Some(sid) = self.statement.sid() {
            write!(f, " ({sid})")?;
        }
        write!(f, " of {}", self.policy_name())?;
        match &self.policy.holder {
            Holder::Resource => Ok(()),
            holder => write!(f, " on {holder}"),
        }
    }
}

/// Whether a request is allowed, and why.
#[derive(Debug, Clone, Copy)]
pub enum Decision<'a> {
    /// Allowed.
    Allow(Allowance<'a>),
    /// Refused.
    Deny(Denial<'a>),
}

impl Decision<'_> {
    /// Whether the request is allowed.
    pub fn is_allow(&self) -> bool {
        matches!(self, Decision::Allow(_))
    }
}

/// What lets a request pass.
#[derive(Debug, Clone, Copy)]
pub enum Allowance<'a> {
    /// The root user of the account that owns the resource.
    Root,
    /// A KMS grant.
    Grant {
        /// The grant's id.
        id: &'a str,
    },
    /// A statement that allows.
    Statement {
        /// Type of its policy.
        policy_type: PolicyType,
        /// The statement.
        ground: Ground<'a>,
    },
}

/// What keeps a request out.
#[derive(Debug, Clone, Copy)]
pub enum Denial<'a> {
    /// A statement denies.
    Explicit {
        /// Type of its policy.
        policy_type: PolicyType,
        /// The statement.
        ground: Ground<'a>,
    },
    /// Nothing of this type allows, and it would have to.
    Implicit {
        /// The type.
        policy_type: PolicyType,
        /// For control policies, the id of the root, unit or account where none allows.
        target: Option<&'a str>,
    },
}

impl Denial<'_> {
    /// The type of policy that keeps the request out.
    pub fn policy_type(&self) -> PolicyType {
        match self {
            Denial::Explicit { policy_type, .. } | Denial::Implicit { policy_type, .. } => *policy_type,
        }
    }

    /// Whether a statement denies, rather than none allowing.
    pub fn is_explicit(&self) -> bool {
        matches!(self, Denial::Explicit { .. })
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Allow(Allowance::Root) => f.write_str("allowed: the root user of the account"),
            Decision::Allow(Allowance::Grant { id }) => write!(f, "allowed by grant {id}"),
            Decision::Allow(Allowance::Statement { policy_type, ground }) => {
                write!(f, "allowed by {policy_type}: {ground}")
            }
            Decision::Deny(denial) => write!(f, "{denial}"),
        }
    }
}

impl fmt::Display for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Explicit { policy_type, ground } => write!(f, "denied by {policy_type}: {ground}"),
            Denial::Implicit {
                policy_type,
                target: None,
            } => write!(f, "denied: no {policy_type} allows it"),
            Denial::Implicit {
                policy_type,
                target: Some(target),
            } => {
                write!(f, "denied: no {policy_type} on {target} allows it")
            }
        }
    }
}
