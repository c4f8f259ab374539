//! What a handler asks permission for, and the proof that it was given.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ground::AccountId;
use policy::{Attached, Context, KeyName, ResourcePolicyKind};

use crate::record::Touched;

/// A request for permission: to do something to `T`.
///
/// A service's `access.rs` makes these, one function per kind of resource.
pub struct Access<T> {
    pub(crate) resource: T,
    /// In a box, because it goes through many hands on its way.
    pub(crate) asked: Box<Asked>,
}

/// What permission is asked for.
pub(crate) struct Asked {
    /// `None` for the operation's own.
    pub(crate) action: Option<Cow<'static, str>>,
    pub(crate) arn: Arc<str>,
    /// `None` for the caller's own account.
    pub(crate) owner: Option<AccountId>,
    /// How the record lists the resource, if it does.
    pub(crate) kind: Option<&'static str>,
    pub(crate) policy: Option<(Arc<Attached>, ResourcePolicyKind)>,
    pub(crate) grants: Vec<String>,
    pub(crate) keys: Context<'static>,
    /// Whether a refusal must not tell that the resource exists.
    pub(crate) hidden: bool,
    /// Whether resource control policies pass it over.
    pub(crate) beyond_resource_control: bool,
}

impl<T> Access<T> {
    /// Permission to do the operation's own action to `resource`, named `arn`
    /// (`*` for what has none), in the caller's own account.
    pub fn to(resource: T, arn: impl Into<Arc<str>>) -> Access<T> {
        Access {
            resource,
            asked: Box::new(Asked {
                action: None,
                arn: arn.into(),
                owner: None,
                kind: None,
                policy: None,
                grants: Vec::new(),
                keys: Context::new(),
                hidden: false,
                beyond_resource_control: false,
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Asked)) -> Access<T> {
        change(&mut self.asked);
        self
    }

    /// For another action than the operation's name: `kms:ReEncryptFrom`.
    #[must_use]
    pub fn doing(self, action: &'static str) -> Access<T> {
        self.with(|asked| asked.action = Some(action.into()))
    }

    /// The account that owns the resource, where it may not be the caller's.
    #[must_use]
    pub fn owned_by(self, owner: AccountId) -> Access<T> {
        self.with(|asked| asked.owner = Some(owner))
    }

    /// The resource type that the record lists: `AWS::KMS::Key`.
    #[must_use]
    pub fn recorded_as(self, kind: &'static str) -> Access<T> {
        self.with(|asked| asked.kind = Some(kind))
    }

    /// The policy attached to the resource.
    #[must_use]
    pub fn with_policy(self, policy: Arc<Attached>, kind: ResourcePolicyKind) -> Access<T> {
        self.with(|asked| asked.policy = Some((policy, kind)))
    }

    /// Ids of the grants on the resource that cover this caller, action and context,
    /// where they are known. Who would have to look for them does so in
    /// [`crate::Cx::authorize_or_by_grants`].
    #[must_use]
    pub fn with_grants(self, grants: Vec<String>) -> Access<T> {
        self.with(|asked| asked.grants = grants)
    }

    /// The condition keys that follow from what the resource is, kept with it.
    #[must_use]
    pub fn with_facts(mut self, facts: Arc<Context<'static>>) -> Access<T> {
        self.asked.keys.rest_on(facts);
        self
    }

    /// A condition key of the service or the resource, when it has a value.
    #[must_use]
    pub fn key(
        mut self,
        name: impl Into<KeyName<'static>>,
        value: Option<impl Into<policy::Value<'static>>>,
    ) -> Access<T> {
        self.asked.keys.insert_if_known(name, value);
        self
    }

    /// The denial text must not tell whether the resource exists or what its
    /// ARN is: the resource belongs to another account.
    #[must_use]
    pub fn hiding_existence(self) -> Access<T> {
        self.with(|asked| asked.hidden = true)
    }

    /// Of a resource that AWS keeps for the account: resource control policies
    /// do not bear on it.
    ///
    /// Source: Organizations User Guide, "Resource control policies (RCPs)",
    /// of AWS managed KMS keys.
    #[must_use]
    pub fn beyond_resource_control(self) -> Access<T> {
        self.with(|asked| asked.beyond_resource_control = true)
    }

    pub(crate) fn touched(&self, caller_account: AccountId) -> Option<Touched> {
        let asked = &self.asked;
        Some(Touched {
            kind: asked.kind?,
            arn: Arc::clone(&asked.arn),
            account: asked.owner.unwrap_or(caller_account),
        })
    }
}

/// Proof that the caller may do this to `T`. Only [`crate::Cx::authorize`] makes one,
/// and the store's writing functions ask for it.
#[derive(Debug)]
pub struct Permit<T>(pub(crate) T);

impl<T> Permit<T> {
    /// The resource, for the last use of the permit.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The same proof for a part of the resource, or for the resource as it
    /// is after a change.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Permit<U> {
        Permit(change(self.0))
    }
}

impl<T> Deref for Permit<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A refusal, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    pub(crate) text: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Denied {}

/// Why permission was not given: a policy said no, or what decides could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// A policy refuses.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Policies or grants cannot be read.
    #[error("policies or grants cannot be read")]
    Store(#[from] store::StoreError),
}

impl AuthorizeError {
    /// As the caller is told; `code` is the service's internal error.
    pub fn fault(&self, code: &'static str) -> crate::Fault {
        match self {
            AuthorizeError::Denied(denied) => crate::Fault::denied(denied),
            AuthorizeError::Store(error) => crate::Fault::store(code, error),
        }
    }
}
