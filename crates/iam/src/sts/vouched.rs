//! Sessions of those whom a foreign provider vouches for: what an OpenID Connect
//! token and a SAML assertion have in common once they are proven.
//!
//! Invariant: what a provider says for its user is held to the same bounds as
//! what a caller says for itself.

use policy::Value;
use sts_api::PolicyDescriptorType;

use gate::Cx;

use crate::error::Error;
use crate::limits::SESSION_TAGS_MAX;
use crate::model::{Role, Tag, Tags};
use crate::store::Rows;
use crate::sts::role_session::{self, Beginning, Begun, RoleAccess, SessionTags};
use crate::sts::session_policy::token_length_min;
use crate::sts::token::Federated;

/// What was proven, and what is asked for.
pub(super) struct Vouching<'a> {
    /// `sts:AssumeRoleWithWebIdentity` or `sts:AssumeRoleWithSAML`.
    pub(super) action: &'static str,
    pub(super) role_arn: &'a str,
    pub(super) session_name: String,
    pub(super) tags: SessionTags,
    pub(super) source_identity: Option<String>,
    /// The condition keys of the trust policy.
    pub(super) keys: Vec<(String, Value<'static>)>,
    pub(super) asked_seconds: Option<i32>,
    pub(super) policy: Option<String>,
    pub(super) policy_arns: Option<Vec<PolicyDescriptorType>>,
    pub(super) token_size_min: Option<i32>,
    /// What the session keeps of the provider.
    pub(super) federated: Federated,
}
