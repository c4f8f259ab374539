//! What an organisation lays over its accounts: asked of `organizations`,
//! which implements [`Guardrails`] and is wired in by the roof.
//!
//! Whatever stands here is weighed in every decision: the service control
//! policies over the caller's account, the resource control policies over the
//! owner's, and the condition keys that follow from belonging to an
//! organisation.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ground::AccountId;
use policy::{Context, Level, Value};
use store::StoreError;

use crate::at_hand::AtHand;

/// Services whose resources resource control policies reach (Organizations
/// User Guide, "List of AWS services that support RCPs"), by IAM prefix. Of
/// these S3, STS, KMS, SQS and Secrets Manager were on it from the beginning;
/// the others came later and are to be checked when their services come here.
const RESOURCE_CONTROLLED: [&str; 11] = [
    "aoss",
    "cognito-identity",
    "cognito-idp",
    "dynamodb",
    "ecr",
    "kms",
    "logs",
    "s3",
    "secretsmanager",
    "sqs",
    "sts",
];

/// What the door asks of organisations. Answers come from memory; only a miss
/// touches the store.
pub trait Guardrails: Send + Sync + 'static {
    /// What is over `account`, as of now.
    fn over(&self, account: AccountId) -> AtHand<'_, Result<Arc<Standing>, StoreError>>;

    /// How the organisation of `account` lets a service in, as of now. `service`
    /// is the name of its principal: `iam.amazonaws.com`.
    fn service_access<'a>(
        &'a self,
        _account: AccountId,
        _service: &'a str,
    ) -> BoxFuture<'a, Result<ServiceAccess, StoreError>> {
        Box::pin(std::future::ready(Ok(ServiceAccess::default())))
    }
}

/// How an organisation lets a service in; the default is not at all, as
/// outside of organisations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceAccess {
    /// Whether the service has trusted access.
    pub trusted: bool,
    /// Whether the account asked about is a delegated administrator for it.
    pub delegated: bool,
}

/// A world without organisations: nothing is over anyone.
pub struct NoGuardrails;

impl Guardrails for NoGuardrails {
    fn over(&self, _account: AccountId) -> AtHand<'_, Result<Arc<Standing>, StoreError>> {
        AtHand::Now(Ok(Arc::default()))
    }
}

/// How one account stands in its organisation; the default is outside of any.
#[derive(Debug, Default)]
pub struct Standing {
    /// The organisation it belongs to.
    pub membership: Option<Membership>,
    /// SCPs over the account, root first; `None` where none apply: outside, in
    /// the management account, and while the type is not enabled.
    pub service_control: Option<Vec<Level>>,
    /// RCPs over the account's resources, root first; `None` as for SCPs.
    pub resource_control: Option<Vec<Level>>,
}

/// An account's place in an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// `o-…`
    pub organization: String,
    /// `o-…/r-…/ou-…/`, as `aws:PrincipalOrgPaths` spells it.
    pub path: String,
    /// The management account.
    pub management: AccountId,
}

impl Standing {
    /// The RCPs that are weighed for `action`.
    pub(crate) fn resource_control_of(&self, action: &str) -> Option<&[Level]> {
        let (service, _) = action.split_once(':')?;
        RESOURCE_CONTROLLED
            .contains(&service)
            .then_some(self.resource_control.as_deref())
            .flatten()
    }

    /// Whether both accounts belong to one organisation.
    pub(crate) fn is_with(&self, other: &Standing) -> bool {
        match (&self.membership, &other.membership) {
            (Some(own), Some(other)) => own.organization == other.organization,
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// States the organisation under two condition keys, `None` saying nothing.
    pub(crate) fn state(&self, keys: &mut Context<'static>, id: &'static str, paths: &'static str) {
        if let Some(membership) = &self.membership {
            keys.insert(id, membership.organization.clone());
            keys.insert(paths, Value::Many(vec![membership.path.clone().into()]));
        }
    }
}
