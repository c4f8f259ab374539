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

impl Vouching<'_> {
    /// Begins the session if the role's trust policy lets its bearer in. `lasts`
    /// tells for how many seconds, from those that are asked for and the role.
    pub(super) async fn begin(
        self,
        cx: &Cx,
        rows: &Rows<'_>,
        lasts: impl FnOnce(Option<u32>, &Role) -> Result<u32, Error> + Send,
    ) -> Result<Begun, Error> {
        let asking = RoleAccess {
            arn: self.role_arn,
            account: rows.account(),
            role: role_session::open_role(rows, self.role_arn).await?,
            session_name: &self.session_name,
            external_id: None,
            source_identity: self.source_identity.as_deref(),
            duration_seconds: self.asked_seconds,
            tags: &self.tags,
            has_second_factor: false,
            vouched: &self.keys,
        };
        let role = asking.authorize_all(cx, self.action).await?;
        let asked = self.asked_seconds.and_then(|seconds| u32::try_from(seconds).ok());
        let beginning = Beginning {
            session_name: self.session_name,
            duration_seconds: lasts(asked, &role)?,
            policy: self.policy,
            policy_arns: self.policy_arns,
            tags: self.tags,
            source_identity: self.source_identity,
            mfa: None,
            token_length_min: token_length_min(self.token_size_min),
            federated: Some(self.federated),
        };
        role_session::begin(cx, rows, &role, beginning).await
    }
}

/// What a provider says is not believed.
pub(super) fn invalid(error: impl std::fmt::Display) -> Error {
    Error::InvalidIdentityToken(error.to_string())
}

/// Tags that a foreign provider gives a session, held to what the model asks
/// of those that a caller gives.
///
/// # Errors
///
/// [`Error::InvalidIdentityToken`] for tags that no session may have.
pub(super) fn session_tags(given: &[(String, String)], transitive: &[String]) -> Result<SessionTags, Error> {
    let letters_ok = |text: &str| {
        text.chars()
            .all(|letter| letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter))
    };
    let good = given.len() <= SESSION_TAGS_MAX
        && given.iter().all(|(key, value)| {
            (1..=128).contains(&key.chars().count())
                && value.chars().count() <= 256
                && letters_ok(key)
                && letters_ok(value)
        });
    if !good {
        return Err(invalid("The session tags in the token are not valid"));
    }
    let tags = given.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    });
    let tags = Tags::of_session(tags.collect()).map_err(invalid)?;
    SessionTags::new(&tags, transitive, Vec::new()).map_err(invalid)
}

/// A source identity that a foreign provider gives, held to what the model
/// asks of one that a caller gives.
///
/// # Errors
///
/// [`Error::InvalidIdentityToken`] for what no source identity may be.
pub(super) fn source_identity(given: Option<String>) -> Result<Option<String>, Error> {
    let good = |text: &str| {
        (2..=64).contains(&text.len()) && !text.to_ascii_lowercase().starts_with("aws:") && is_name(text)
    };
    match given {
        Some(text) if !good(&text) => Err(invalid("The source identity in the token is not valid")),
        given => Ok(given),
    }
}

/// Whether these are letters of a session's name: `[\w+=,.@-]*`.
pub(super) fn is_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}
