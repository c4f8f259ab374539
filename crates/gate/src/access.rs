//! What a handler asks permission for, and the proof that it was given.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ground::AccountId;
use policy::{Attached, Context, ResourcePolicyKind};

use crate::record::Touched;

/// A request for permission: to do something to `T`.
///
/// A service's `access.rs` makes these, one function per kind of resource.
pub struct Access<T> {
    pub(crate) resource: T,
    pub(crate) action: Option<&'static str>,
    pub(crate) arn: String,
    pub(crate) owner: Option<AccountId>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) policy: Option<(Arc<Attached>, ResourcePolicyKind)>,
    pub(crate) grants: Vec<String>,
    pub(crate) keys: Context<'static>,
    pub(crate) hidden: bool,
}

impl<T> Access<T> {
    /// Permission to do the operation's own action to `resource`, named `arn`
    /// (`*` for what has none), in the caller's own account.
    pub fn to(resource: T, arn: impl Into<String>) -> Access<T> {
        Access {
            resource,
            action: None,
            arn: arn.into(),
            owner: None,
            kind: None,
            policy: None,
            grants: Vec::new(),
            keys: Context::new(),
            hidden: false,
        }
    }

    /// For another action than the operation's name: `kms:ReEncryptFrom`.
    #[must_use]
    pub fn doing(self, action: &'static str) -> Access<T> {
        Access {
            action: Some(action),
            ..self
        }
    }

    /// The account that owns the resource, where it may not be the caller's.
    #[must_use]
    pub fn owned_by(self, owner: AccountId) -> Access<T> {
        Access {
            owner: Some(owner),
            ..self
        }
    }

    /// The resource type that the record lists: `AWS::KMS::Key`.
    #[must_use]
    pub fn recorded_as(self, kind: &'static str) -> Access<T> {
        Access {
            kind: Some(kind),
            ..self
        }
    }

    /// The policy attached to the resource.
    #[must_use]
    pub fn with_policy(self, policy: Arc<Attached>, kind: ResourcePolicyKind) -> Access<T> {
        Access {
            policy: Some((policy, kind)),
            ..self
        }
    }

    /// Ids of the grants on the resource that cover this caller, action and context.
    #[must_use]
    pub fn with_grants(self, grants: Vec<String>) -> Access<T> {
        Access { grants, ..self }
    }

    /// A condition key of the service or the resource, when it has a value.
    #[must_use]
    pub fn key(
        mut self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        value: Option<impl Into<policy::Value<'static>>>,
    ) -> Access<T> {
        self.keys.insert_if_known(name, value);
        self
    }

    /// The denial text must not tell whether the resource exists or what its
    /// ARN is: the resource belongs to another account.
    #[must_use]
    pub fn hiding_existence(self) -> Access<T> {
        Access { hidden: true, ..self }
    }

    pub(crate) fn touched(&self, caller_account: AccountId) -> Option<Touched> {
        let kind = self.kind?;
        Some(Touched {
            kind,
            arn: self.arn.clone(),
            account: self.owner.unwrap_or(caller_account),
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

/// Why permission was not given: a policy said no, or policies could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// A policy refuses.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller's policies cannot be read.
    #[error("the caller's policies cannot be read")]
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
