//! Who may call what, and the permissions asked for.
//!
//! Three kinds of operation: those of the management account alone, those
//! that delegated administrators may call besides (they read), and those of
//! every member. The organisation's resource policy lets further accounts do
//! what [`DELEGABLE`] lists; it is weighed like any resource policy of another
//! account, so the caller's own policies must allow too.
//!
//! Permission is asked before anything is told to be missing.

use std::sync::Arc;

use gate::{Access, Cx, Permit};
use policy::{Attached, ResourcePolicyKind, Value};
use store::StoreError;

use crate::error::Error;
use crate::model::{Node, PolicyKind, Tags};
use crate::store::{Found, Rows, policy_arn};

/// Which accounts an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The management account.
    Management,
    /// Every member.
    Members,
    /// The management account and delegated administrators.
    Readers,
}

/// What a resource policy can let other accounts do (User Guide, "Delegated
/// administrator for AWS Organizations").
pub(crate) const DELEGABLE: [&str; 33] = [
    "AttachPolicy",
    "CreatePolicy",
    "DeletePolicy",
    "DescribeAccount",
    "DescribeCreateAccountStatus",
    "DescribeEffectivePolicy",
    "DescribeHandshake",
    "DescribeOrganization",
    "DescribeOrganizationalUnit",
    "DescribePolicy",
    "DescribeResourcePolicy",
    "DetachPolicy",
    "DisablePolicyType",
    "EnablePolicyType",
    "ListAWSServiceAccessForOrganization",
    "ListAccounts",
    "ListAccountsForParent",
    "ListChildren",
    "ListCreateAccountStatus",
    "ListDelegatedAdministrators",
    "ListDelegatedServicesForAccount",
    "ListHandshakesForAccount",
    "ListHandshakesForOrganization",
    "ListOrganizationalUnitsForParent",
    "ListParents",
    "ListPolicies",
    "ListPoliciesForTarget",
    "ListRoots",
    "ListTagsForResource",
    "ListTargetsForPolicy",
    "TagResource",
    "UntagResource",
    "UpdatePolicy",
];

/// A caller whose account may call the operation.
pub(crate) struct Entered<'a> {
    cx: &'a Cx,
    pub(crate) rows: Rows<'a>,
    /// The resource policy that decides, where the caller's account is no party itself.
    through: Option<Arc<Attached>>,
}

/// Finds the caller's organisation, and whether the operation is for its account.
///
/// # Errors
///
/// [`Error::NotInUse`] outside of organisations and [`Error::NotPermitted`]
/// for the wrong kind of member, once the caller's own policies allow the call.
pub(crate) async fn enter(cx: &Cx, who: Who) -> Result<Entered<'_>, Error> {
    let Some(rows) = Rows::of(cx.view(), cx.account()).await? else {
        cx.authorize(Access::to((), "*")).await?;
        return Err(Error::NotInUse);
    };
    let entitled = match who {
        Who::Members => true,
        Who::Management => cx.account() == rows.organization().management,
        Who::Readers => {
            cx.account() == rows.organization().management || rows.is_delegated(cx.account()).await?
        }
    };
    let through = if entitled {
        None
    } else {
        let policy = if DELEGABLE.contains(&cx.operation().name) {
            rows.resource_policy().await?
        } else {
            None
        };
        let Some(policy) = policy else {
            cx.authorize(Access::to((), "*")).await?;
            return Err(Error::NotPermitted);
        };
        Some(policy)
    };
    Ok(Entered { cx, rows, through })
}

impl<'a> Entered<'a> {
    /// Asks about what has the ARN, and the tags of `tagged`.
    async fn about(
        &self,
        arn: String,
        kind: Option<&'static str>,
        tagged: &str,
    ) -> Result<Ask<'a>, StoreError> {
        let mut access = Access::to((), arn);
        if let Some(kind) = kind {
            access = access.recorded_as(kind);
        }
        if let Some(policy) = &self.through {
            access = access
                .owned_by(self.rows.organization().management)
                .with_policy(Arc::clone(policy), ResourcePolicyKind::Ordinary);
        }
        if !tagged.is_empty() {
            for (key, value) in self.rows.tags(tagged).await?.iter() {
                access = access.key(format!("aws:ResourceTag/{key}"), Some(value.clone()));
            }
        }
        Ok(Ask { cx: self.cx, access })
    }

    /// Asks about nothing in particular.
    pub(crate) async fn everything(&self) -> Result<Ask<'a>, StoreError> {
        self.about("*".to_owned(), None, "").await
    }

    /// Asks about a root, unit or account, whether or not it is there.
    pub(crate) async fn node(&self, id: &str) -> Result<Ask<'a>, StoreError> {
        let Some(node) = Node::parse(id) else {
            return self.everything().await;
        };
        let kind = match node {
            Node::Account(_) => "AWS::Organizations::Account",
            Node::Root(_) => "AWS::Organizations::Root",
            Node::Unit(_) => "AWS::Organizations::OrganizationalUnit",
        };
        let arn = self.rows.organization().node_arn(&node);
        self.about(arn, Some(kind), id).await
    }

    /// Asks about a policy, and finds it.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyMissing`] once permission is given.
    pub(crate) async fn policy(&self, id: &str) -> Result<(Ask<'a>, Found), Error> {
        let Some(found) = self.rows.policy(id).await? else {
            let arn = self.rows.organization().arn("policy", &format!("*/{id}"));
            self.about(arn, None, "").await?.permit(()).await?;
            return Err(Error::PolicyMissing);
        };
        let arn = found.arn(self.rows.organization());
        let ask = self.about(arn, Some("AWS::Organizations::Policy"), id).await?;
        Ok((ask.policy_type(found.kind()), found))
    }

    /// Asks about a policy that is to be made.
    pub(crate) async fn new_policy(&self, kind: PolicyKind) -> Result<Ask<'a>, StoreError> {
        let arn = policy_arn(self.rows.organization(), kind, "*");
        Ok(self.about(arn, None, "").await?.policy_type(kind))
    }

    /// Asks about something else of the organisation: `resourcepolicy`, `handshake`.
    pub(crate) async fn other(&self, kind: &str, rest: &str, tagged: &str) -> Result<Ask<'a>, StoreError> {
        let arn = self.rows.organization().arn(kind, rest);
        self.about(arn, None, tagged).await
    }
}

/// A request for permission.
pub(crate) struct Ask<'a> {
    cx: &'a Cx,
    access: Access<()>,
}

impl Ask<'_> {
    fn key(self, name: &'static str, value: Option<impl Into<Value<'static>>>) -> Self {
        Ask {
            access: self.access.key(name, value),
            ..self
        }
    }

    /// `organizations:PolicyType`
    pub(crate) fn policy_type(self, kind: PolicyKind) -> Self {
        self.key("organizations:policytype", Some(kind.api().as_str()))
    }

    /// `organizations:ServicePrincipal`
    pub(crate) fn service_principal(self, name: &str) -> Self {
        self.key("organizations:serviceprincipal", Some(name.to_owned()))
    }

    /// Tags that the request gives.
    pub(crate) fn requested(mut self, tags: &Tags) -> Self {
        for (key, value) in tags.iter() {
            self.access = self
                .access
                .key(format!("aws:RequestTag/{key}"), Some(value.clone()));
        }
        let keys: Vec<String> = tags.iter().map(|(key, _)| key.clone()).collect();
        self.tag_keys(&keys)
    }

    /// `aws:TagKeys`
    pub(crate) fn tag_keys(self, keys: &[String]) -> Self {
        let keys: Option<Value<'static>> =
            (!keys.is_empty()).then(|| keys.iter().cloned().collect::<Value<'static>>());
        self.key("aws:tagkeys", keys)
    }

    /// Asks, and gives `resource` with the proof.
    pub(crate) async fn permit<T>(self, resource: T) -> Result<Permit<T>, Error> {
        Ok(self.cx.authorize(self.access).await?.map(|()| resource))
    }
}
