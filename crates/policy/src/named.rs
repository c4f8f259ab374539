//! The `Principal` and `NotPrincipal` elements: whom a statement names, and
//! how closely it names a given caller.
//!
//! How closely matters: a resource policy that names the caller itself lets
//! it in past its own boundary and session policies, one that names its role
//! only past its identity policies, and one that names its account merely
//! delegates.

use ground::AccountId;

use crate::principal::{Principal, Who};

/// How a statement of a resource policy names the caller; later is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// The account, which thereby may delegate to its principals.
    Account,
    /// The user behind a federated user.
    Parent,
    /// The role behind a session.
    Role,
    /// Everyone, by `*`.
    Everyone,
    /// The user, session, service or provider itself.
    Itself,
}

impl Naming {
    /// Whether an Allow that names the caller so closely stands in for its identity policies.
    pub(crate) fn replaces_identity(self) -> bool {
        self > Naming::Account
    }

    /// Whether it also reaches past the permissions boundary and session policies.
    pub(crate) fn passes_limits(self) -> bool {
        self >= Naming::Everyone
    }
}

/// One principal as a policy names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Named {
    /// `*`, or `{"AWS": "*"}` outside trust policies.
    Everyone,
    /// `{"AWS": "*"}` in a trust policy: whoever has AWS credentials.
    EveryCredential,
    /// A bare account id, or the ARN of its root.
    Account {
        id: AccountId,
        text: Box<str>,
    },
    /// The ARN of a user or role, bound to a unique id or not.
    Entity {
        arn: Box<str>,
        id: Option<Box<str>>,
    },
    /// A bare unique id.
    UniqueId(Box<str>),
    /// The ARN of one session of a role, or of one federated user.
    Session(Box<str>),
    Federated(Box<str>),
    Service(Box<str>),
    CanonicalUser(Box<str>),
}

impl Named {
    /// Reads a value of the `AWS` key; `None` if no principal is spelled so.
    pub(crate) fn aws(text: &str, in_trust_policy: bool) -> Option<Named> {
        if text == "*" {
            return Some(if in_trust_policy {
                Named::EveryCredential
            } else {
                Named::Everyone
            });
        }
        if let Ok(id) = AccountId::parse(text) {
            return Some(Named::Account {
                id,
                text: text.into(),
            });
        }
        if is_unique_id(text) {
            return Some(Named::UniqueId(text.into()));
        }
        let arn = ground::Arn::parse(text).ok()?;
        let id = arn.account_id()?;
        let plain = arn.region.is_empty() && !text.contains(['*', '?']);
        // Accounts of other partitions have the same numbers and are other accounts.
        if !plain || arn.partition != "aws" {
            return None;
        }
        let (kind, name) = match arn.resource.split_once('/') {
            Some((kind, name)) if !name.is_empty() && !name.ends_with('/') => (kind, name),
            Some(_) => return None,
            None => (&*arn.resource, ""),
        };
        match (&*arn.service, kind, name) {
            ("iam", "root", "") => Some(Named::Account {
                id,
                text: text.into(),
            }),
            ("iam", "user" | "role", name) if !name.is_empty() => Some(Named::Entity {
                arn: text.into(),
                id: None,
            }),
            ("sts", "assumed-role", name) if name.split('/').count() == 2 => {
                Some(Named::Session(text.into()))
            }
            ("sts", "federated-user", name) if !name.is_empty() => Some(Named::Session(text.into())),
            _ => None,
        }
    }

    /// As the policy spells it; a bound entity keeps the ARN it was written with.
    pub(crate) fn text(&self) -> &str {
        match self {
            Named::Everyone | Named::EveryCredential => "*",
            Named::Account { text, .. } => text,
            Named::Entity { arn, .. } => arn,
            Named::UniqueId(text)
            | Named::Session(text)
            | Named::Federated(text)
            | Named::Service(text)
            | Named::CanonicalUser(text) => text,
        }
    }

    fn names(&self, caller: &Principal) -> Option<Naming> {
        match self {
            Named::Everyone => Some(Naming::Everyone),
            Named::EveryCredential => caller.account().map(|_| Naming::Everyone),
            Named::Account { id, .. } => (caller.account() == Some(*id)).then_some(Naming::Account),
            Named::Entity { arn, id } => match caller.who() {
                Who::User { id: own, .. } => {
                    same_entity(arn, id.as_deref(), caller.arn(), own, Naming::Itself)
                }
                Who::AssumedRole {
                    role_arn, role_id, ..
                } => same_entity(arn, id.as_deref(), role_arn, role_id, Naming::Role),
                Who::FederatedUser {
                    parent: Some(parent), ..
                } => same_entity(arn, id.as_deref(), &parent.arn, &parent.id, Naming::Parent),
                _ => None,
            },
            Named::UniqueId(id) => match caller.who() {
                Who::User { id: own, .. } => (**id == **own).then_some(Naming::Itself),
                Who::AssumedRole { role_id, .. } => (**id == **role_id).then_some(Naming::Role),
                Who::FederatedUser {
                    parent: Some(parent), ..
                } => (**id == *parent.id).then_some(Naming::Parent),
                _ => None,
            },
            Named::Session(arn) => match caller.who() {
                Who::AssumedRole { .. } | Who::FederatedUser { .. } => {
                    (**arn == *caller.arn()).then_some(Naming::Itself)
                }
                _ => None,
            },
            Named::Federated(name) => match caller.who() {
                Who::WebIdentity { provider } | Who::Saml { provider } => {
                    (**name == **provider).then_some(Naming::Itself)
                }
                _ => None,
            },
            Named::Service(name) => match caller.who() {
                Who::Service { name: own } => (**name == **own).then_some(Naming::Itself),
                _ => None,
            },
            Named::CanonicalUser(id) => (caller.canonical_user() == Some(&**id)).then_some(Naming::Account),
        }
    }
}

/// A bound entity is compared by unique id, so that a deleted and recreated
/// namesake is a stranger; an unbound one by ARN.
fn same_entity(arn: &str, id: Option<&str>, own_arn: &str, own_id: &str, naming: Naming) -> Option<Naming> {
    let same = match id {
        Some(id) => id == own_id,
        None => arn == own_arn,
    };
    same.then_some(naming)
}

/// Whether `text` is spelled like the unique id of a user or role.
///
/// Source: IAM User Guide, "Unique identifiers", and the model's `idType` (16 to 128 characters).
fn is_unique_id(text: &str) -> bool {
    (text.starts_with("AIDA") || text.starts_with("AROA"))
        && (16..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The element as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NamedClause {
    /// Not there, as in identity policies.
    Absent,
    Principal(Box<[Named]>),
    NotPrincipal(Box<[Named]>),
}

impl NamedClause {
    pub(crate) fn all(&self) -> &[Named] {
        match self {
            NamedClause::Absent => &[],
            NamedClause::Principal(named) | NamedClause::NotPrincipal(named) => named,
        }
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Named] {
        match self {
            NamedClause::Absent => &mut [],
            NamedClause::Principal(named) | NamedClause::NotPrincipal(named) => named,
        }
    }

    /// How closely the statement names `caller`, or `None` if it does not.
    ///
    /// `NotPrincipal` is never to the caller's benefit in doubt. With Deny it
    /// spares a caller only if the caller itself and all that stands behind
    /// it (role, account) are listed, and never one that is `bounded`: that has
    /// a permissions boundary. With Allow it lets a caller in only if none of
    /// them is listed.
    ///
    /// Source: IAM User Guide, "IAM JSON policy elements: NotPrincipal";
    /// "Permissions boundaries for IAM entities", of boundaries.
    pub(crate) fn names(&self, caller: &Principal, denies: bool, bounded: bool) -> Option<Naming> {
        match self {
            NamedClause::Absent => None,
            NamedClause::Principal(named) => named.iter().filter_map(|one| one.names(caller)).max(),
            NamedClause::NotPrincipal(named) => {
                let listed = |naming: Naming| named.iter().any(|one| one.names(caller) == Some(naming));
                let spared = if denies && bounded {
                    false
                } else if listed(Naming::Everyone) {
                    true
                } else if denies {
                    layers(caller).iter().all(|layer| listed(*layer)) && !layers(caller).is_empty()
                } else {
                    named.iter().any(|one| one.names(caller).is_some())
                };
                (!spared).then_some(Naming::Everyone)
            }
        }
    }
}

/// What stands behind a caller, and so must be spared for the caller to be spared.
fn layers(caller: &Principal) -> &'static [Naming] {
    match caller.who() {
        Who::Root => &[Naming::Account],
        Who::User { .. } => &[Naming::Itself, Naming::Account],
        Who::AssumedRole { .. } => &[Naming::Itself, Naming::Role, Naming::Account],
        Who::FederatedUser { parent: Some(_), .. } => &[Naming::Itself, Naming::Parent, Naming::Account],
        Who::FederatedUser { parent: None, .. } => &[Naming::Itself, Naming::Account],
        Who::Service { .. } | Who::WebIdentity { .. } | Who::Saml { .. } => &[Naming::Itself],
        Who::Anonymous => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        AccountId::parse("123456789012").unwrap()
    }

    fn user() -> Principal {
        Principal::user(account(), "AIDAEXAMPLEEXAMPLE1AB", "/staff/", "bob")
    }

    fn session() -> Principal {
        Principal::assumed_role(account(), "AROAEXAMPLEEXAMPLE1AB", "/app/", "Deploy", "ci")
    }

    fn naming(text: &str, caller: &Principal) -> Option<Naming> {
        Named::aws(text, false).unwrap().names(caller)
    }

    #[test]
    fn every_form_names_whom_it_should() {
        for text in ["123456789012", "arn:aws:iam::123456789012:root"] {
            assert_eq!(naming(text, &user()), Some(Naming::Account));
            assert_eq!(naming(text, &Principal::root(account())), Some(Naming::Account));
            assert_eq!(naming(text, &Principal::anonymous()), None);
        }
        assert_eq!(
            naming("arn:aws:iam::123456789012:user/staff/bob", &user()),
            Some(Naming::Itself)
        );
        assert_eq!(naming("arn:aws:iam::123456789012:user/staff/Bob", &user()), None);
        assert_eq!(
            naming("arn:aws:iam::123456789012:role/app/Deploy", &session()),
            Some(Naming::Role)
        );
        assert_eq!(
            naming("arn:aws:sts::123456789012:assumed-role/Deploy/ci", &session()),
            Some(Naming::Itself)
        );
        assert_eq!(
            naming("arn:aws:sts::123456789012:assumed-role/Deploy/other", &session()),
            None
        );
        assert_eq!(naming("AROAEXAMPLEEXAMPLE1AB", &session()), Some(Naming::Role));
        assert_eq!(naming("AIDAEXAMPLEEXAMPLE1AB", &user()), Some(Naming::Itself));
        assert_eq!(naming("*", &Principal::anonymous()), Some(Naming::Everyone));
    }

    #[test]
    fn the_lone_star_of_a_trust_policy_needs_credentials() {
        let star = Named::aws("*", true).unwrap();
        assert_eq!(star.names(&user()), Some(Naming::Everyone));
        assert_eq!(star.names(&Principal::anonymous()), None);
        assert_eq!(star.names(&Principal::service("ec2.amazonaws.com")), None);
    }

    #[test]
    fn refuses_groups_wildcards_and_other_arns() {
        for text in [
            "",
            "bob",
            "arn:aws:iam::123456789012:group/admins",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::123456789012:*",
            "arn:aws:iam::*:root",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/bob/",
            "arn:aws:iam::123456789012:rooted",
            "arn:aws:iam::123456789012:root/",
            "arn:aws:iam::123456789012:root:",
            "arn:aws:iam::123456789012::root",
            "arn:aws-cn:iam::123456789012:root",
            "arn:aws-us-gov:iam::123456789012:user/bob",
            "ARN:aws:iam::123456789012:root",
            "arn:aws:IAM::123456789012:root",
            " 123456789012",
            "1234567890123",
            "arn:aws:sts::123456789012:role/Deploy",
            "arn:aws:iam::123456789012:assumed-role/Deploy/ci",
            "arn:aws:sts::123456789012:assumed-role/app/Deploy/ci",
            "arn:aws:sts::123456789012:assumed-role/Deploy/*",
            "arn:aws:sts::123456789012:assumed-role/Deploy/",
            "arn:aws:sts::123456789012:assumed-role/Deploy",
            "arn:aws:sts::123456789012:assumed-role/app/Deploy/ci",
            "arn:aws:s3:::bucket",
            "arn:amazon:iam::123456789012:root",
            "AGPAEXAMPLEEXAMPLE1AB",
        ] {
            assert_eq!(Named::aws(text, false), None, "{text}");
        }
    }

    #[test]
    fn a_bound_entity_is_compared_by_id() {
        let bound = |id: &str| Named::Entity {
            arn: "arn:aws:iam::123456789012:user/staff/bob".into(),
            id: Some(id.into()),
        };
        assert_eq!(
            bound("AIDAEXAMPLEEXAMPLE1AB").names(&user()),
            Some(Naming::Itself)
        );
        assert_eq!(bound("AIDAOLDBOBOLDBOB1AB23").names(&user()), None);
    }

    /// IAM User Guide, NotPrincipal: a role session is spared only with its role and account.
    #[test]
    fn not_principal_with_deny_wants_every_layer_listed() {
        let clause = |texts: &[&str]| {
            NamedClause::NotPrincipal(
                texts
                    .iter()
                    .map(|text| Named::aws(text, false).unwrap())
                    .collect(),
            )
        };
        let session_arn = "arn:aws:sts::123456789012:assumed-role/Deploy/ci";
        let role_arn = "arn:aws:iam::123456789012:role/app/Deploy";
        let root = "arn:aws:iam::123456789012:root";
        assert!(
            clause(&[session_arn, role_arn, root])
                .names(&session(), true, false)
                .is_none()
        );
        assert!(
            clause(&[session_arn, role_arn])
                .names(&session(), true, false)
                .is_some()
        );
        assert!(clause(&[role_arn, root]).names(&session(), true, false).is_some());
        assert!(
            clause(&[root])
                .names(&Principal::root(account()), true, false)
                .is_none()
        );
        assert!(
            clause(&[root])
                .names(&Principal::anonymous(), true, false)
                .is_some()
        );
        assert!(
            clause(&["*"])
                .names(&Principal::anonymous(), true, false)
                .is_none()
        );
        assert!(clause(&[root]).names(&session(), false, false).is_none());
        assert!(
            clause(&[root])
                .names(&Principal::anonymous(), false, false)
                .is_some()
        );
        // Whatever is listed, nobody with a boundary is spared; an Allow is none the worse for it.
        assert!(
            clause(&[session_arn, role_arn, root, "*"])
                .names(&session(), true, true)
                .is_some()
        );
        assert!(clause(&[root]).names(&session(), false, true).is_none());
    }
}
