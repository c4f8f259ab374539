//! Who asks.
//!
//! A principal is made once, when credentials are authenticated, and carries
//! what follows from them: its ARN as messages print it, its unique id, and
//! the condition keys that stay the same for the whole session (tags, MFA,
//! organisation). It answers `aws:PrincipalArn` and kin itself, so that no
//! context can contradict it.
//!
//! Absent by design: credentials, and the policies that apply to it.

use std::borrow::Cow;

use ground::AccountId;

use crate::context::{Context, Seen, Single};

/// The author of a request.
#[derive(Debug, Clone)]
pub struct Principal {
    who: Who,
    account: Option<AccountId>,
    account_text: Box<str>,
    arn: Box<str>,
    user_id: Box<str>,
    canonical_user: Option<Box<str>>,
    keys: Context<'static>,
}

/// The kinds of principal, and what tells one from another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Who {
    /// The root user of an account, by its own keys or by `AssumeRoot`.
    Root,
    /// An IAM user.
    User {
        /// `AIDA…`
        id: String,
        /// Without path.
        name: String,
    },
    /// A session of a role.
    AssumedRole {
        /// `AROA…`
        role_id: String,
        /// With path, as in `aws:PrincipalArn`.
        role_arn: String,
        /// Without path.
        role_name: String,
        /// As given to `AssumeRole`.
        session_name: String,
        /// Service-linked roles stand outside SCPs and RCPs.
        service_linked: bool,
    },
    /// A session from `GetFederationToken`.
    FederatedUser {
        /// As given to `GetFederationToken`.
        name: String,
        /// The user whose long-term keys made the session; `None` if that was the root user.
        parent: Option<Parent>,
    },
    /// An AWS service acting for itself, `x.amazonaws.com`.
    Service {
        /// The service principal's name.
        name: String,
    },
    /// The bearer of an OpenID Connect token, before it has a session.
    WebIdentity {
        /// ARN of the OIDC provider, or the name of a built-in one (`accounts.google.com`).
        provider: String,
    },
    /// The bearer of a SAML assertion, before it has a session.
    Saml {
        /// ARN of the SAML provider.
        provider: String,
    },
    /// An unsigned request.
    Anonymous,
}

/// The IAM user behind a federated user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// `AIDA…`
    pub id: String,
    /// With path.
    pub arn: String,
}

/// A condition key whose value follows from who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnKey {
    Arn,
    Account,
    Type,
    UserId,
    UserName,
    IsService,
    ServiceName,
}

impl OwnKey {
    pub(crate) fn named(folded: &str) -> Option<OwnKey> {
        match folded {
            "aws:principalarn" => Some(OwnKey::Arn),
            "aws:principalaccount" => Some(OwnKey::Account),
            "aws:principaltype" => Some(OwnKey::Type),
            "aws:userid" => Some(OwnKey::UserId),
            "aws:username" => Some(OwnKey::UserName),
            "aws:principalisawsservice" => Some(OwnKey::IsService),
            "aws:principalservicename" => Some(OwnKey::ServiceName),
            _ => None,
        }
    }
}

impl Principal {
    /// The root user of `account`.
    pub fn root(account: AccountId) -> Principal {
        Principal::of(
            Who::Root,
            Some(account),
            format!("arn:aws:iam::{account}:root"),
            account.to_string(),
        )
    }

    /// An IAM user; `path` begins and ends with a slash.
    pub fn user(account: AccountId, id: &str, path: &str, name: &str) -> Principal {
        let who = Who::User {
            id: id.into(),
            name: name.into(),
        };
        Principal::of(
            who,
            Some(account),
            format!("arn:aws:iam::{account}:user{path}{name}"),
            id.into(),
        )
    }

    /// A session of the role `path` + `name`; `path` begins and ends with a slash.
    ///
    /// Roles below `/aws-service-role/` are service-linked.
    pub fn assumed_role(
        account: AccountId,
        role_id: &str,
        path: &str,
        role_name: &str,
        session_name: &str,
    ) -> Principal {
        let who = Who::AssumedRole {
            role_id: role_id.into(),
            role_arn: format!("arn:aws:iam::{account}:role{path}{role_name}"),
            role_name: role_name.into(),
            session_name: session_name.into(),
            service_linked: path.starts_with("/aws-service-role/"),
        };
        let arn = format!("arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}");
        Principal::of(who, Some(account), arn, format!("{role_id}:{session_name}"))
    }

    /// A session from `GetFederationToken`, called by `parent` or by the root user.
    pub fn federated_user(account: AccountId, name: &str, parent: Option<Parent>) -> Principal {
        let who = Who::FederatedUser {
            name: name.into(),
            parent,
        };
        let arn = format!("arn:aws:sts::{account}:federated-user/{name}");
        Principal::of(who, Some(account), arn, format!("{account}:{name}"))
    }

    /// An AWS service acting for itself.
    pub fn service(name: &str) -> Principal {
        Principal::of(
            Who::Service { name: name.into() },
            None,
            name.into(),
            String::new(),
        )
    }

    /// The bearer of an OpenID Connect token from `provider`.
    pub fn web_identity(provider: &str) -> Principal {
        Principal::of(
            Who::WebIdentity {
                provider: provider.into(),
            },
            None,
            provider.into(),
            String::new(),
        )
    }

    /// The bearer of a SAML assertion from `provider`.
    pub fn saml(provider: &str) -> Principal {
        Principal::of(
            Who::Saml {
                provider: provider.into(),
            },
            None,
            provider.into(),
            String::new(),
        )
    }

    /// The author of an unsigned request.
    pub fn anonymous() -> Principal {
        Principal::of(Who::Anonymous, None, "anonymous".into(), "anonymous".into())
    }

    fn of(who: Who, account: Option<AccountId>, arn: String, user_id: String) -> Principal {
        let account_text = match (&who, account) {
            (_, Some(account)) => account.to_string(),
            (Who::Anonymous, None) => "anonymous".to_owned(),
            (_, None) => String::new(),
        };
        Principal {
            who,
            account,
            account_text: account_text.into(),
            arn: arn.into(),
            user_id: user_id.into(),
            canonical_user: None,
            keys: Context::new(),
        }
    }

    /// The same principal with the condition keys of its session, such as
    /// `aws:PrincipalTag/…`, `aws:MultiFactorAuthPresent`, `aws:TokenIssueTime`
    /// and `aws:PrincipalOrgID`. They win over the context of a request.
    #[must_use]
    pub fn with_keys(self, keys: Context<'static>) -> Principal {
        Principal { keys, ..self }
    }

    /// The same principal with the canonical user id of its account, as S3 names accounts.
    #[must_use]
    pub fn with_canonical_user(self, canonical_user: &str) -> Principal {
        Principal {
            canonical_user: Some(canonical_user.into()),
            ..self
        }
    }

    /// What kind of principal this is.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The account it belongs to: for a role session, the role's. Services,
    /// anonymous callers and bearers of foreign tokens have none.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// As messages and logs print it: the session's ARN, a service's name, or `anonymous`.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// `aws:PrincipalArn`: for a role session, the ARN of the role with its path.
    pub fn principal_arn(&self) -> Option<&str> {
        match &self.who {
            Who::Root | Who::User { .. } | Who::FederatedUser { .. } => Some(&self.arn),
            Who::AssumedRole { role_arn, .. } => Some(role_arn),
            Who::Service { .. } | Who::WebIdentity { .. } | Who::Saml { .. } | Who::Anonymous => None,
        }
    }

    /// `aws:userid`, as in `GetCallerIdentity`; empty for services and bearers of tokens.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// `aws:PrincipalType`; `None` for services and bearers of tokens.
    pub fn principal_type(&self) -> Option<&'static str> {
        match &self.who {
            Who::Root => Some("Account"),
            Who::User { .. } => Some("User"),
            Who::AssumedRole { .. } => Some("AssumedRole"),
            Who::FederatedUser { .. } => Some("FederatedUser"),
            Who::Anonymous => Some("Anonymous"),
            Who::Service { .. } | Who::WebIdentity { .. } | Who::Saml { .. } => None,
        }
    }

    /// The condition keys of its session.
    pub fn keys(&self) -> &Context<'static> {
        &self.keys
    }

    pub(crate) fn canonical_user(&self) -> Option<&str> {
        self.canonical_user.as_deref()
    }

    pub(crate) fn is_service_linked(&self) -> bool {
        matches!(
            self.who,
            Who::AssumedRole {
                service_linked: true,
                ..
            }
        )
    }

    pub(crate) fn own(&self, key: OwnKey) -> Option<Seen<'_>> {
        let text = match key {
            OwnKey::Arn => self.principal_arn(),
            OwnKey::Account => Some(&*self.account_text).filter(|text| !text.is_empty()),
            OwnKey::Type => self.principal_type(),
            OwnKey::UserId => Some(&*self.user_id).filter(|text| !text.is_empty()),
            OwnKey::UserName => match &self.who {
                Who::User { name, .. } => Some(&**name),
                _ => None,
            },
            OwnKey::ServiceName => match &self.who {
                Who::Service { name } => Some(&**name),
                _ => None,
            },
            OwnKey::IsService => {
                return match self.who {
                    Who::Root | Who::User { .. } | Who::AssumedRole { .. } | Who::FederatedUser { .. } => {
                        Some(Seen::One(Single::Bool(false)))
                    }
                    Who::Service { .. } => Some(Seen::One(Single::Bool(true))),
                    Who::WebIdentity { .. } | Who::Saml { .. } | Who::Anonymous => None,
                };
            }
        };
        text.map(|text| Seen::One(Single::Text(text)))
    }

    /// Every condition key it answers, for a trace: spelled as AWS does, with its value.
    pub fn known_keys(&self) -> Vec<(Cow<'static, str>, String)> {
        let own = [
            ("aws:PrincipalArn", OwnKey::Arn),
            ("aws:PrincipalAccount", OwnKey::Account),
            ("aws:PrincipalType", OwnKey::Type),
            ("aws:userid", OwnKey::UserId),
            ("aws:username", OwnKey::UserName),
            ("aws:PrincipalIsAWSService", OwnKey::IsService),
            ("aws:PrincipalServiceName", OwnKey::ServiceName),
        ];
        own.into_iter()
            .filter_map(|(name, key)| match self.own(key)? {
                Seen::One(single) => Some((Cow::Borrowed(name), single.text().into_owned())),
                Seen::Many(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        AccountId::parse("123456789012").unwrap()
    }

    /// The table of identifiers (IAM User Guide, "The principal key" of request contexts).
    #[test]
    fn identifiers_follow_the_table() {
        let role = Principal::assumed_role(account(), "AROAEXAMPLE", "/app/", "Deploy", "ci");
        assert_eq!(role.arn(), "arn:aws:sts::123456789012:assumed-role/Deploy/ci");
        assert_eq!(
            role.principal_arn(),
            Some("arn:aws:iam::123456789012:role/app/Deploy")
        );
        assert_eq!(
            (role.user_id(), role.principal_type()),
            ("AROAEXAMPLE:ci", Some("AssumedRole"))
        );
        assert!(role.own(OwnKey::UserName).is_none());

        let root = Principal::root(account());
        assert_eq!(
            (root.user_id(), root.principal_type()),
            ("123456789012", Some("Account"))
        );

        let federated = Principal::federated_user(account(), "Bob", None);
        assert_eq!(federated.user_id(), "123456789012:Bob");

        let nobody = Principal::anonymous();
        assert_eq!(nobody.principal_arn(), None);
        assert_eq!(
            nobody.own(OwnKey::Account),
            Some(Seen::One(Single::Text("anonymous")))
        );
    }

    #[test]
    fn service_linked_roles_are_known_by_their_path() {
        let linked =
            Principal::assumed_role(account(), "AROA1", "/aws-service-role/x.amazonaws.com/", "R", "s");
        assert!(linked.is_service_linked());
        assert!(!Principal::assumed_role(account(), "AROA1", "/aws-service/", "R", "s").is_service_linked());
    }
}
