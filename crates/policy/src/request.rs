//! What is asked, and the policies it is weighed against.

use std::fmt;
use std::sync::Arc;

use ground::AccountId;

use crate::context::Context;
use crate::document::Document;
use crate::principal::Principal;

/// One question: may this principal do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// In canonical case, as messages print it: `kms:Encrypt`.
    pub action: &'a str,
    /// Full ARN, or `*` for operations without a resource.
    pub resource: &'a str,
    /// Who owns the resource; `None` where it is the caller's account, as for operations without a resource.
    pub resource_account: Option<AccountId>,
    /// Whether caller and resource belong to one organisation, so that messages may name policies across accounts.
    pub same_organization: bool,
    /// What else is known of the request.
    pub context: &'a Context<'a>,
}

impl<'a> Request<'a> {
    /// A request outside any organisation.
    pub fn new(
        principal: &'a Principal,
        action: &'a str,
        resource: &'a str,
        resource_account: Option<AccountId>,
        context: &'a Context<'a>,
    ) -> Request<'a> {
        Request {
            principal,
            action,
            resource,
            resource_account,
            same_organization: false,
            context,
        }
    }

    /// Whether the resource belongs to another account than the caller.
    pub fn is_cross_account(&self) -> bool {
        match (self.principal.account(), self.resource_account) {
            (Some(caller), Some(owner)) => caller != owner,
            _ => false,
        }
    }
}

/// A document where it is attached, under the name a trace or message gives it.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Name of an inline policy, or the last part of a managed one's ARN.
    pub name: Arc<str>,
    /// ARN of a managed policy or of an organisation's; inline policies have none.
    pub arn: Option<Arc<str>>,
    /// Where it is attached.
    pub holder: Holder,
    /// What it says.
    pub document: Arc<Document>,
}

impl Attached {
    /// An inline policy.
    pub fn inline(name: &str, holder: Holder, document: Arc<Document>) -> Attached {
        Attached {
            name: name.into(),
            arn: None,
            holder,
            document,
        }
    }

    /// A managed policy, or one of an organisation; its name is the last part of `arn`.
    pub fn managed(arn: &str, holder: Holder, document: Arc<Document>) -> Attached {
        let name = arn.rsplit('/').next().unwrap_or(arn);
        Attached {
            name: name.into(),
            arn: Some(arn.into()),
            holder,
            document,
        }
    }
}

/// What a policy is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The user with this name.
    User(Arc<str>),
    /// The group with this name, to which the user belongs.
    Group(Arc<str>),
    /// The role with this name.
    Role(Arc<str>),
    /// The session it was passed to.
    Session,
    /// The resource it protects.
    Resource,
    /// The organisation's root, unit or account with this id.
    Target(Arc<str>),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::User(name) => write!(f, "user/{name}"),
            Holder::Group(name) => write!(f, "group/{name}"),
            Holder::Role(name) => write!(f, "role/{name}"),
            Holder::Session => f.write_str("the session"),
            Holder::Resource => f.write_str("the resource"),
            Holder::Target(id) => f.write_str(id),
        }
    }
}

/// The policies attached at one level of an organisation: its root, one unit, or the account.
#[derive(Debug, Clone)]
pub struct Level {
    /// `r-…`, `ou-…`, or the account id.
    pub target: Arc<str>,
    /// All of one type; together they allow what any of them allows.
    pub policies: Vec<Attached>,
}

/// How the policy of a resource shares authority with identity policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ResourcePolicyKind {
    /// Buckets, secrets, queues: in the owner's account, identity policies suffice without it.
    Ordinary,
    /// A key policy: it must allow, or delegate to the account, or a grant must.
    KmsKey,
    /// A trust policy: it must allow, or delegate to the account.
    RoleTrust,
}

/// The policy of the resource asked for.
#[derive(Debug, Clone, Copy)]
pub struct ResourcePolicy<'a> {
    /// The policy. A key whose policy allows nothing still has one.
    pub policy: &'a Attached,
    /// What it decides alone.
    pub kind: ResourcePolicyKind,
}

/// A KMS grant that the key service has found to cover the request: its
/// grantee is the caller, its operations and constraints fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantAllow<'a> {
    /// The grant's id.
    pub id: &'a str,
}

/// Every policy that applies to a request. Empty and absent differ: an absent
/// boundary does not limit, an empty list of session policies allows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policies<'a> {
    /// Of the user and its groups, or of the role.
    pub identity: &'a [Attached],
    /// The permissions boundary of the user or role.
    pub boundary: Option<&'a Attached>,
    /// Those passed when the session was made; `None` if none were.
    pub session: Option<&'a [Attached]>,
    /// The policy of the resource, for services that have them.
    pub resource: Option<ResourcePolicy<'a>>,
    /// Grants that cover the request.
    pub grants: &'a [GrantAllow<'a>],
    /// The policy of the VPC endpoint the request came through.
    pub endpoint: Option<&'a Attached>,
    /// SCPs over the caller's account, root first; `None` outside an
    /// organisation and in its management account.
    pub service_control: Option<&'a [Level]>,
    /// RCPs over the resource's account, root first; `None` outside an
    /// organisation, in its management account, and for services without RCPs.
    pub resource_control: Option<&'a [Level]>,
}
