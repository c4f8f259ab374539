//! The nouns of an organisation, as they are kept.
//!
//! Invariant: ids are given once; those of units and accounts tell what they
//! are, so a [`Node`] is read from the id alone.

mod document;
mod handshake;
mod node;
mod resource_policy;
mod tags;

use ground::{AccountId, Timestamp};
use organizations_api::{AccountJoinedMethod, AccountState, AccountStatus, PolicyType};
use serde::{Deserialize, Serialize};

pub(crate) use document::Text;
pub(crate) use handshake::{Ending, Handshake};
pub(crate) use node::{Node, child_word, id};
pub(crate) use resource_policy::ResourcePolicy;
pub(crate) use tags::Tags;

/// The kinds of policy there are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PolicyKind {
    ResourceControl,
    ServiceControl,
    Tag,
}

impl PolicyKind {
    /// All of them, in the order in which they are told.
    pub(crate) const ALL: [PolicyKind; 3] = [
        PolicyKind::ServiceControl,
        PolicyKind::ResourceControl,
        PolicyKind::Tag,
    ];

    /// As the API names it.
    pub(crate) fn api(self) -> PolicyType {
        match self {
            PolicyKind::ResourceControl => PolicyType::ResourceControlPolicy,
            PolicyKind::ServiceControl => PolicyType::ServiceControlPolicy,
            PolicyKind::Tag => PolicyType::TagPolicy,
        }
    }

    /// The kind that the API names so; `None` for those that are not here.
    pub(crate) fn of(api: PolicyType) -> Option<PolicyKind> {
        PolicyKind::ALL.into_iter().find(|kind| kind.api() == api)
    }

    /// As ARNs and keys spell it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            PolicyKind::ResourceControl => "resource_control_policy",
            PolicyKind::ServiceControl => "service_control_policy",
            PolicyKind::Tag => "tag_policy",
        }
    }

    /// AWS's own policy that everything has unless it is detached.
    pub(crate) fn default_policy(self) -> Option<&'static AwsPolicy> {
        match self {
            PolicyKind::ResourceControl => Some(&RCP_FULL_ACCESS),
            PolicyKind::ServiceControl => Some(&FULL_ACCESS),
            PolicyKind::Tag => None,
        }
    }
}

/// A policy of AWS.
#[derive(Debug)]
pub(crate) struct AwsPolicy {
    /// Also the last part of its ARN.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: PolicyKind,
    pub(crate) description: &'static str,
    pub(crate) content: &'static str,
}

static FULL_ACCESS: AwsPolicy = AwsPolicy {
    id: "p-FullAWSAccess",
    name: "FullAWSAccess",
    kind: PolicyKind::ServiceControl,
    description: "Allows access to every operation",
    content: r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}"#,
};

static RCP_FULL_ACCESS: AwsPolicy = AwsPolicy {
    id: "p-RCPFullAWSAccess",
    name: "RCPFullAWSAccess",
    kind: PolicyKind::ResourceControl,
    description: "Allows access to every resource",
    content: r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": "*",
      "Action": "*",
      "Resource": "*"
    }
  ]
}"#,
};

impl AwsPolicy {
    /// The policies of AWS.
    pub(crate) const ALL: [&'static AwsPolicy; 2] = [&FULL_ACCESS, &RCP_FULL_ACCESS];

    /// `arn:aws:organizations::aws:policy/…`
    pub(crate) fn arn(&self) -> String {
        format!(
            "arn:aws:organizations::aws:policy/{}/{}",
            self.kind.word(),
            self.id
        )
    }
}

/// The organisation itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Organization {
    /// `o-…`
    pub(crate) id: String,
    /// `r-…`
    pub(crate) root: String,
    pub(crate) management: AccountId,
    pub(crate) created: Timestamp,
    /// How each policy type stands on the root.
    pub(crate) service_control: TypeState,
    pub(crate) resource_control: TypeState,
    pub(crate) tag: TypeState,
    /// How many there are.
    pub(crate) accounts: u32,
    pub(crate) units: u32,
}

/// How a policy type stands on the root.
///
/// Disabling a type detaches all its policies from everything; an attachment
/// counts only in the season it was made in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TypeState {
    pub(crate) enabled: bool,
    /// Grows whenever the type is disabled.
    pub(crate) season: u32,
    /// How many policies of the type there are.
    pub(crate) policies: u32,
}

impl Organization {
    /// How a policy type stands.
    pub(crate) fn state(&self, kind: PolicyKind) -> TypeState {
        match kind {
            PolicyKind::ResourceControl => self.resource_control,
            PolicyKind::ServiceControl => self.service_control,
            PolicyKind::Tag => self.tag,
        }
    }

    pub(crate) fn state_mut(&mut self, kind: PolicyKind) -> &mut TypeState {
        match kind {
            PolicyKind::ResourceControl => &mut self.resource_control,
            PolicyKind::ServiceControl => &mut self.service_control,
            PolicyKind::Tag => &mut self.tag,
        }
    }

    /// `arn:aws:organizations::M:KIND/o-…/REST`
    pub(crate) fn arn(&self, kind: &str, rest: &str) -> String {
        format!(
            "arn:aws:organizations::{}:{kind}/{}/{rest}",
            self.management, self.id
        )
    }

    /// The ARN of the organisation.
    pub(crate) fn own_arn(&self) -> String {
        format!(
            "arn:aws:organizations::{}:organization/{}",
            self.management, self.id
        )
    }

    /// The ARN of a root, unit or account.
    pub(crate) fn node_arn(&self, node: &Node) -> String {
        match node {
            Node::Account(account) => self.arn("account", &account.to_string()),
            Node::Root(id) => self.arn("root", id),
            Node::Unit(id) => self.arn("ou", id),
        }
    }

    /// The root as a node.
    pub(crate) fn root_node(&self) -> Node {
        Node::Root(self.root.clone())
    }
}

/// An account in the organisation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) email: String,
    /// The id of the root or unit it is in.
    pub(crate) parent: String,
    pub(crate) joined: Timestamp,
    pub(crate) invited: bool,
    /// Since when it is closed.
    pub(crate) closed: Option<Timestamp>,
    /// Whether its users were to see bills; there are none.
    pub(crate) sees_bills: bool,
}

impl Member {
    pub(crate) fn joined_method(&self) -> AccountJoinedMethod {
        if self.invited {
            AccountJoinedMethod::Invited
        } else {
            AccountJoinedMethod::Created
        }
    }

    pub(crate) fn state(&self) -> AccountState {
        if self.closed.is_some() {
            AccountState::Suspended
        } else {
            AccountState::Active
        }
    }

    /// What `State` was before it.
    pub(crate) fn status(&self) -> AccountStatus {
        if self.closed.is_some() {
            AccountStatus::Suspended
        } else {
            AccountStatus::Active
        }
    }
}

/// An organisational unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unit {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The id of the root or unit it is in.
    pub(crate) parent: String,
}

/// A policy of the organisation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) id: String,
    pub(crate) kind: PolicyKind,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) content: Text,
}

/// A policy on a root, unit or account, in one season of its type.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) kind: PolicyKind,
    pub(crate) season: u32,
}

/// Where an account belongs: kept in the account itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Belonging {
    pub(crate) organization: String,
    pub(crate) management: AccountId,
}

/// A request to create an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Creation {
    /// `car-…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role_name: String,
    pub(crate) sees_bills: bool,
    pub(crate) tags: Tags,
    pub(crate) requested: Timestamp,
    pub(crate) outcome: Outcome,
}

/// What became of a request to create an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The e-mail address is another account's.
    EmailTaken { at: Timestamp },
    /// The organisation is gone or full.
    Refused { at: Timestamp },
    /// Not yet.
    Pending,
    /// The account exists.
    Made { at: Timestamp, account: AccountId },
}

/// Changes with every change of any organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation(pub(crate) [u8; 16]);

/// Since when something is so.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Since(pub(crate) Timestamp);

/// A row that says something by being there.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Mark {}

/// Name and address of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) email: String,
}

impl Profile {
    /// Of an account that the operator made, who gave it neither.
    pub(crate) fn of_operators(account: AccountId) -> Profile {
        Profile {
            name: account.to_string(),
            email: format!("root@{account}.invalid"),
        }
    }
}
