//! What every way to become a role has in common: whom its trust policy lets
//! in, with which tags, for how long, and the session that comes of it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gate::{Access, Cx};
use ground::{AccountId, Arn, Region, Timestamp};
use policy::{Attached, Document, DocumentKind, Holder, ResourcePolicyKind, Value};
use sts_api::{AssumedRoleUser, Credentials, PolicyDescriptorType};

use crate::access::{Asking, with_resource_tags};
use crate::error::Error;
use crate::limits::{CHAINED_SESSION_MAX_SECONDS, ROLE_SESSION_DEFAULT_SECONDS};
use crate::model::{CaseOfKeys, Role, Tag, Tags};
use crate::store::{Entity, ROLES, Rows};
use crate::sts::session_policy;
use crate::sts::session_token::credentials;
use crate::sts::token::{self, Federated, SEALED_FOR, Wanted, Who};

/// The account in the ARN of a role.
pub(super) fn role_account(text: &str) -> Result<AccountId, Error> {
    let invalid = || Error::Validation(format!("{text} is invalid"));
    let arn = Arn::parse(text).map_err(|_| invalid())?;
    let is_role = arn.service == "iam" && arn.region.is_empty() && arn.resource.starts_with("role/");
    arn.account_id().filter(|_| is_role).ok_or_else(invalid)
}

/// The role with this ARN, in an account that is open: in a closed one there is
/// nobody left to become.
pub(super) async fn open_role(rows: &Rows<'_>, arn: &str) -> Result<Option<Arc<Role>>, Error> {
    Ok(match rows.principal(arn).await? {
        Some(Entity::Role(role)) if rows.is_open().await? => Some(role),
        Some(Entity::Role(_) | Entity::Group(_) | Entity::User(_)) | None => None,
    })
}

/// The tags of the session to be made.
#[derive(Default)]
pub(super) struct SessionTags {
    /// Those asked for and those inherited.
    pub(super) all: Vec<Tag>,
    /// As the request key `sts:TransitiveTagKeys` and the token have them.
    pub(super) transitive: Vec<String>,
}

impl SessionTags {
    /// Tags given, joined with those inherited from a calling session.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameterValue`] for a transitive key that is not given,
    /// or a key that is inherited.
    pub(super) fn new(
        given: &Tags,
        transitive: &[String],
        inherited: Vec<Tag>,
    ) -> Result<SessionTags, Error> {
        let same = |one: &str, other: &str| CaseOfKeys::Ignored.same(one, other);
        if transitive
            .iter()
            .any(|key| !given.iter().any(|tag| same(&tag.key, key)))
        {
            return Err(Error::InvalidParameterValue(
                "The specified transitive tag key must be included in the requested tags.",
            ));
        }
        if inherited
            .iter()
            .any(|tag| given.iter().any(|own| same(&own.key, &tag.key)))
        {
            return Err(Error::InvalidParameterValue(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from \
             the calling session.",
            ));
        }
        let keys = transitive
            .iter()
            .cloned()
            .chain(inherited.iter().map(|tag| tag.key.clone()))
            .collect();
        let all = given.iter().cloned().chain(inherited).collect();
        Ok(SessionTags {
            all,
            transitive: keys,
        })
    }
}

/// What the policies are asked about.
pub(super) struct RoleAccess<'a> {
    pub(super) arn: &'a str,
    pub(super) account: AccountId,
    pub(super) role: Option<Arc<Role>>,
    pub(super) session_name: &'a str,
    pub(super) external_id: Option<&'a str>,
    pub(super) source_identity: Option<&'a str>,
    pub(super) duration_seconds: Option<i32>,
    pub(super) tags: &'a SessionTags,
    /// Whether a one-time code came with the request.
    pub(super) has_second_factor: bool,
    /// Condition keys that a foreign provider vouches for.
    pub(super) vouched: &'a [(String, Value<'static>)],
}

/// Trusts nobody: what a role that does not exist is weighed with.
static NO_TRUST: LazyLock<Arc<Attached>> = LazyLock::new(|| {
    let text = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"nobody.invalid"},"Action":"sts:AssumeRole"}}"#;
    let document = Document::parse(text, DocumentKind::RoleTrust).expect("the text above is a trust policy");
    Arc::new(Attached::inline(
        "trust policy",
        Holder::Resource,
        Arc::new(document),
    ))
});

impl RoleAccess<'_> {
    /// Asks for `action` on the role, and for what else the session is to
    /// have; gives the role if it exists.
    pub(super) async fn authorize_all(&self, cx: &Cx, action: &'static str) -> Result<Arc<Role>, Error> {
        let role = self.authorize(cx, action).await?;
        if !self.tags.all.is_empty() {
            self.authorize(cx, "sts:TagSession").await?;
        }
        if self.source_identity.is_some() {
            self.authorize(cx, "sts:SetSourceIdentity").await?;
        }
        Ok(role)
    }

    /// Asks for one action on the role, and gives the role if it exists.
    async fn authorize(&self, cx: &Cx, action: &'static str) -> Result<Arc<Role>, Error> {
        let none = Tags::default();
        let (policy, resource_tags) = match &self.role {
            Some(role) => (role.trust.policy(ROLES.name())?, &role.tags),
            None => (Arc::clone(&NO_TRUST), &none),
        };
        let requested: Tags = self.tags.all.iter().cloned().collect();
        let transitive = Some(&self.tags.transitive).filter(|keys| !keys.is_empty());
        let access = Access::to(self.role.clone(), self.arn)
            .doing(action)
            .owned_by(self.account)
            .recorded_as("AWS::IAM::Role")
            .with_policy(policy, ResourcePolicyKind::RoleTrust)
            .key("sts:RoleSessionName", Some(self.session_name.to_owned()))
            .key("sts:ExternalId", self.external_id.map(str::to_owned))
            .key("sts:SourceIdentity", self.source_identity.map(str::to_owned))
            .key(
                "aws:MultiFactorAuthPresent",
                self.has_second_factor.then_some(true),
            )
            .key("aws:MultiFactorAuthAge", self.has_second_factor.then_some(0_i64))
            .key("sts:DurationSeconds", self.duration_seconds.map(i64::from))
            .key(
                "sts:TransitiveTagKeys",
                transitive.map(|keys| keys.iter().cloned().collect::<Value<'static>>()),
            );
        let vouched = self.vouched.iter().cloned();
        let access = vouched.fold(access, |access, (key, value)| access.key(key, Some(value)));
        let access = with_resource_tags(access, resource_tags);
        let asking = Asking {
            tags: Some(&requested),
            ..Asking::NOTHING
        };
        let permit = cx.authorize(asking.add_to(access, None)).await?;
        permit.into_inner().ok_or(Error::AccessDenied("Access denied"))
    }
}

/// How long a session of a role lasts, in seconds.
pub(super) fn duration_seconds(asked: Option<u32>, role_max: u32, chained: bool) -> Result<u32, Error> {
    match asked {
        None => Ok(ROLE_SESSION_DEFAULT_SECONDS),
        Some(seconds) if chained && seconds > CHAINED_SESSION_MAX_SECONDS => Err(Error::Validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
                .to_owned(),
        )),
        Some(seconds) if seconds > role_max => Err(Error::Validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".to_owned(),
        )),
        Some(seconds) => Ok(seconds),
    }
}

/// A session of a role that is about to begin.
pub(super) struct Beginning {
    pub(super) session_name: String,
    pub(super) duration_seconds: u32,
    pub(super) policy: Option<String>,
    pub(super) policy_arns: Option<Vec<PolicyDescriptorType>>,
    pub(super) tags: SessionTags,
    pub(super) source_identity: Option<String>,
    /// When a second factor was seen.
    pub(super) mfa: Option<Timestamp>,
    pub(super) token_length_min: usize,
    /// Who vouched for its bearer, if a foreign provider did.
    pub(super) federated: Option<Federated>,
}

/// A session of a role, as answered.
pub(super) struct Begun {
    pub(super) credentials: Credentials,
    pub(super) user: AssumedRoleUser,
    /// `PackedPolicySize`
    pub(super) packed: Option<i32>,
    /// `SessionTokenSize`
    pub(super) token_size: Option<i32>,
}

/// Begins a session of a role that the caller may assume.
///
/// # Errors
///
/// Those of [`session_policy::read`] and [`session_policy::packed_percent`].
pub(super) async fn begin(
    cx: &Cx,
    rows: &Rows<'_>,
    role: &Role,
    beginning: Beginning,
) -> Result<Begun, Error> {
    let passed = session_policy::read(rows, beginning.policy, beginning.policy_arns).await?;
    let packed = session_policy::packed_percent(passed.as_ref(), &beginning.tags.all)?;
    let account = rows.account();
    let session_name = beginning.session_name;
    let lasts = Duration::from_secs(u64::from(beginning.duration_seconds));
    let wanted = Wanted {
        who: Who::Role {
            id: role.id.clone(),
            path: role.path.clone(),
            name: role.name.clone(),
            session_name: session_name.clone(),
        },
        issued: cx.now(),
        expires: cx.now().after(lasts),
        policies: passed,
        tags: beginning.tags.all,
        transitive_tag_keys: beginning.tags.transitive,
        source_identity: beginning.source_identity,
        mfa: beginning.mfa,
        token_length_min: beginning.token_length_min,
        federated: beginning.federated,
    };
    let domain = cx.domain_key(account, &Region::us_east_1(), SEALED_FOR);
    let issued = token::issue(&domain, cx.random(), account, wanted)?;
    let arn = Arn::global(
        "sts",
        account,
        format!("assumed-role/{}/{session_name}", role.name),
    );
    Ok(Begun {
        user: AssumedRoleUser {
            assumed_role_id: format!("{}:{session_name}", role.id),
            arn: arn.to_string(),
        },
        packed,
        token_size: i32::try_from(issued.token.len()).ok(),
        credentials: credentials(issued),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str) -> Tag {
        Tag {
            key: key.into(),
            value: "v".into(),
        }
    }

    fn tags(keys: &[&str]) -> Tags {
        keys.iter().map(|key| tag(key)).collect()
    }

    #[test]
    fn durations_obey_role_and_chain() {
        assert_eq!(duration_seconds(None, 43_200, true).unwrap(), 3_600);
        assert_eq!(duration_seconds(Some(43_200), 43_200, false).unwrap(), 43_200);
        let text = |result: Result<u32, Error>| result.unwrap_err().to_string();
        assert!(text(duration_seconds(Some(3_601), 43_200, true)).contains("role chaining"));
        assert!(text(duration_seconds(Some(3_601), 3_600, false)).contains("MaxSessionDuration"));
        assert_eq!(duration_seconds(Some(3_600), 3_600, true).unwrap(), 3_600);
    }

    #[test]
    fn transitive_tags_travel_and_cannot_be_set_anew() {
        let joined = SessionTags::new(&tags(&["A"]), &["a".into()], vec![tag("B")]).unwrap();
        assert_eq!(joined.all.len(), 2);
        assert_eq!(joined.transitive, ["a", "B"]);
        assert!(SessionTags::new(&tags(&["A"]), &["C".into()], vec![]).is_err());
        assert!(SessionTags::new(&tags(&["b"]), &[], vec![tag("B")]).is_err());
    }

    #[test]
    fn only_arns_of_roles_name_roles() {
        assert!(role_account("arn:aws:iam::123456789012:role/a/b").is_ok());
        for text in [
            "arn:aws:iam::123456789012:user/b",
            "arn:aws:sts::123456789012:assumed-role/b/c",
            "role/b",
        ] {
            assert_eq!(
                role_account(text).unwrap_err().to_string(),
                format!("{text} is invalid")
            );
        }
    }

    #[test]
    fn nobody_is_trusted_by_what_does_not_exist() {
        assert_eq!(NO_TRUST.document.statements().len(), 1);
    }
}
