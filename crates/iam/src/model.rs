//! The nouns of IAM: users, roles, groups, policies and keys, as they are kept.
//!
//! Invariants:
//! - a unique id is given once and never again; whatever must not pass to a
//!   namesake (policies, keys, memberships, sessions) is keyed by id;
//! - documents are kept byte for byte and parsed once per cached record.

pub(crate) mod accesses;
mod document;
mod instance_profile;
mod login_profile;
pub(crate) mod mfa_device;
mod name;
mod outbound;
pub(crate) mod password_policy;
pub(crate) mod provider;
pub(crate) mod root_access;
mod server_certificate;
pub(crate) mod service_credential;
pub(crate) mod service_linked;
mod signing_certificate;
mod ssh_key;
mod tags;
mod trust;

use ground::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
pub(crate) use accesses::{Access, Accesses};
pub(crate) use document::Text;
pub(crate) use instance_profile::InstanceProfile;
pub(crate) use login_profile::LoginProfile;
pub(crate) use mfa_device::{Assigned, Counter, MfaDevice};
pub(crate) use name::{PolicyArn, fold};
pub(crate) use outbound::{Outbound, TokenAlgorithm, TokenKey};
pub(crate) use password_policy::PasswordPolicy;
pub(crate) use provider::{OidcProvider, SamlProvider};
pub(crate) use root_access::{RootAccess, RootTask};
pub(crate) use server_certificate::ServerCertificate;
pub(crate) use service_credential::{CredentialKind, ServiceCredential};
pub(crate) use signing_certificate::SigningCertificate;
pub(crate) use ssh_key::SshKey;
pub(crate) use tags::{CaseOfKeys, Tag, Tags};
pub(crate) use trust::TrustPolicy;

/// An account that exists here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) created: Timestamp,
    /// A name for it that no other account has.
    #[serde(default)]
    pub(crate) alias: Option<String>,
    /// Since when no credential of it is accepted.
    #[serde(default)]
    pub(crate) closed: Option<Timestamp>,
}

/// An IAM user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    /// `AIDA…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    /// ARN of the managed policy that bounds it.
    pub(crate) boundary: Option<String>,
    pub(crate) tags: Tags,
}

impl User {
    /// `arn:aws:iam::A:user/PATH/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "user", &self.path, &self.name)
    }
}

/// An IAM role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    /// `AROA…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
    pub(crate) trust: TrustPolicy,
    pub(crate) description: Option<String>,
    pub(crate) max_session_seconds: u32,
    /// ARN of the managed policy that bounds it.
    pub(crate) boundary: Option<String>,
    pub(crate) tags: Tags,
}

impl Role {
    /// `arn:aws:iam::A:role/PATH/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "role", &self.path, &self.name)
    }

    /// The service whose role this is; `None` if it is the account's own.
    pub(crate) fn service(&self) -> Option<&'static service_linked::Template> {
        let service = self.path.strip_prefix(service_linked::PATH)?.strip_suffix('/')?;
        service_linked::template(service)
    }

    /// Refuses to change what belongs to a service (IAM User Guide, "Using
    /// service-linked roles").
    ///
    /// # Errors
    ///
    /// [`Error::Unmodifiable`] for a service-linked role.
    pub(crate) fn changeable(&self) -> Result<(), Error> {
        if self.path.starts_with(service_linked::PATH) {
            return Err(Error::Unmodifiable(self.name.clone()));
        }
        Ok(())
    }
}

/// An IAM group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    /// `AGPA…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) created: Timestamp,
}

impl Group {
    /// `arn:aws:iam::A:group/PATH/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "group", &self.path, &self.name)
    }
}

/// The ARN of an entity of `account`.
pub(crate) fn arn(account: AccountId, kind: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

/// What policies can be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum EntityKind {
    /// A group.
    Group,
    /// A role.
    Role,
    /// A user.
    User,
}

impl EntityKind {
    /// As ARNs and messages spell it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            EntityKind::Group => "group",
            EntityKind::Role => "role",
            EntityKind::User => "user",
        }
    }
}

/// Who has a unique id: the way from id to name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) kind: EntityKind,
    /// In the spelling that names are compared in.
    pub(crate) folded_name: String,
}

/// A policy written on one entity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InlinePolicy {
    pub(crate) document: Text,
}

/// A customer managed policy, without its documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ManagedPolicy {
    /// `ANPA…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) default_version: u64,
    /// The number of the next version; numbers are never used again.
    pub(crate) next_version: u64,
    pub(crate) tags: Tags,
}

impl ManagedPolicy {
    /// `arn:aws:iam::A:policy/PATH/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "policy", &self.path, &self.name)
    }
}

/// One version of a managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PolicyVersion {
    pub(crate) document: Text,
    pub(crate) created: Timestamp,
}

/// `v3` as a number; `None` if it is no version of ours.
pub(crate) fn version_number(id: &str) -> Option<u64> {
    id.strip_prefix('v')?.parse().ok().filter(|number| *number > 0)
}

/// The two ways in which an entity uses a managed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Usage {
    /// It is attached and grants.
    Permissions,
    /// It bounds what may be granted.
    Boundary,
}

impl Usage {
    /// As part of a key.
    pub(crate) fn as_key(self) -> &'static str {
        match self {
            Usage::Permissions => "permissions",
            Usage::Boundary => "boundary",
        }
    }
}

/// An entity that uses a managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UsedBy {
    pub(crate) kind: EntityKind,
}

/// How many entities use a managed policy.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Uses {
    pub(crate) permissions: u32,
    pub(crate) boundary: u32,
}

impl Uses {
    pub(crate) fn count_mut(&mut self, usage: Usage) -> &mut u32 {
        match usage {
            Usage::Permissions => &mut self.permissions,
            Usage::Boundary => &mut self.boundary,
        }
    }
}

/// One thing is on another, and there is nothing more to say: a managed policy
/// on an entity, a role in an instance profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attachment {}

/// A user in a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) user_id: String,
    pub(crate) group_id: String,
}

/// A long-term access key, of a user or of the root user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) active: bool,
    pub(crate) created: Timestamp,
    /// The secret, sealed under the account's key and bound to the id; base64.
    pub(crate) sealed_secret: String,
}

/// Whose an access key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyOwner {
    pub(crate) account: AccountId,
    /// `AIDA…`, or the account id for the root user.
    pub(crate) owner_id: String,
}

/// How many of each there are, so that quotas and `GetAccountSummary` need no scan.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) users: u32,
    pub(crate) groups: u32,
    pub(crate) roles: u32,
    pub(crate) policies: u32,
    pub(crate) policy_versions: u32,
    #[serde(default)]
    pub(crate) instance_profiles: u32,
    #[serde(default)]
    pub(crate) mfa_devices: u32,
    #[serde(default)]
    pub(crate) mfa_devices_in_use: u32,
    #[serde(default)]
    pub(crate) oidc_providers: u32,
    #[serde(default)]
    pub(crate) saml_providers: u32,
    #[serde(default)]
    pub(crate) server_certificates: u32,
}

/// Changes with every change of the account's identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation(pub(crate) [u8; 16]);
