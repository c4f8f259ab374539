//! `AssumeRole`: a session of a role, for whoever its trust policy lets in.
//!
//! The trust policy is the role's resource policy: it must allow, and across
//! accounts the caller's own policies must too. A role that does not exist and
//! one that does not trust the caller are told alike.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gate::{Access, Cx, Describing, Fault};
use ground::{AccountId, Arn, Region};
use policy::{Attached, Document, DocumentKind, Holder, ResourcePolicyKind, Value, Who as Principal};
use sts_api::{AssumeRoleInput, AssumeRoleOutput, AssumedRoleUser};

use crate::Sts;
use crate::access::{Asking, with_resource_tags};
use crate::directory::TRANSITIVE_TAG_KEYS;
use crate::error::Error;
use crate::limits::{CHAINED_SESSION_MAX_SECONDS, ROLE_SESSION_DEFAULT_SECONDS};
use crate::mfa;
use crate::model::{CaseOfKeys, Role, Tag, Tags};
use crate::store::{self, Entity, ROLES, rows};
use crate::sts::session_policy::{self, is_session, token_length_min};
use crate::sts::session_token::credentials;
use crate::sts::token::{self, SEALED_FOR, Wanted, Who};

pub(crate) async fn assume_role(
    sts: &Sts,
    cx: &Cx,
    input: AssumeRoleInput,
) -> Result<AssumeRoleOutput, Error> {
    match cx.caller().principal.who() {
        Principal::Root => return Err(Error::AccessDenied("Roles may not be assumed by root accounts.")),
        Principal::FederatedUser { .. } => {
            return Err(Error::AccessDenied(
                "Cannot call AssumeRole with federated user credentials",
            ));
        }
        _ => {}
    }
    let account = role_account(&input.role_arn)?;
    let tags = SessionTags::new(cx, &input)?;
    let source_identity = source_identity(cx, input.source_identity.as_deref())?;
    if input
        .provided_contexts
        .is_some_and(|contexts| !contexts.is_empty())
    {
        return Err(Error::Validation(
            "ProvidedContexts are not supported: there is no context provider.".to_owned(),
        ));
    }

    let second_factor = mfa::prove(
        &sts.guesses,
        cx,
        input.serial_number.as_deref(),
        input.token_code.as_ref(),
    )
    .await?;

    let rows = store::rows_of(cx.view(), account);
    let role = match rows.principal(&input.role_arn).await? {
        // In a closed account there is nobody left to become.
        Some(Entity::Role(role)) if rows.is_open().await? => Some(role),
        Some(Entity::Role(_) | Entity::Group(_) | Entity::User(_)) | None => None,
    };
    let asking = RoleAccess {
        arn: &input.role_arn,
        account,
        role,
        session_name: &input.role_session_name,
        external_id: input.external_id.as_deref(),
        source_identity: source_identity.as_deref(),
        duration_seconds: input.duration_seconds,
        tags: &tags,
        has_second_factor: second_factor.is_some(),
    };
    let role = asking.authorize(cx, "sts:AssumeRole").await?;
    if !tags.all.is_empty() {
        asking.authorize(cx, "sts:TagSession").await?;
    }
    if source_identity.is_some() {
        asking.authorize(cx, "sts:SetSourceIdentity").await?;
    }

    let duration = duration(cx, &role, input.duration_seconds)?;
    let passed = session_policy::read(&rows, input.policy, input.policy_arns).await?;
    let packed = session_policy::packed_percent(passed.as_ref(), &tags.all)?;
    let session_name = input.role_session_name;
    let wanted = Wanted {
        who: Who::Role {
            id: role.id.clone(),
            path: role.path.clone(),
            name: role.name.clone(),
            session_name: session_name.clone(),
        },
        issued: cx.now(),
        expires: cx.now().after(duration),
        policies: passed,
        tags: tags.all,
        transitive_tag_keys: tags.transitive,
        source_identity: source_identity.clone(),
        mfa: second_factor.as_ref().map(|_| cx.now()),
        token_length_min: token_length_min(input.minimum_session_token_size),
    };
    let domain = cx.domain_key(account, &Region::us_east_1(), SEALED_FOR);
    let issued = token::issue(&domain, cx.random(), account, wanted)?;
    mfa::spend(cx, second_factor).await?;
    Ok(AssumeRoleOutput {
        assumed_role_user: Some(AssumedRoleUser {
            assumed_role_id: format!("{}:{session_name}", role.id),
            arn: Arn::global(
                "sts",
                account,
                format!("assumed-role/{}/{session_name}", role.name),
            )
            .to_string(),
        }),
        packed_policy_size: packed,
        source_identity,
        session_token_size: i32::try_from(issued.token.len()).ok(),
        session_token_utilization: None,
        credentials: Some(credentials(issued)),
    })
}

/// The account in the ARN of a role.
fn role_account(text: &str) -> Result<AccountId, Error> {
    let invalid = || Error::Validation(format!("{text} is invalid"));
    let arn = Arn::parse(text).map_err(|_| invalid())?;
    let is_role = arn.service == "iam" && arn.region.is_empty() && arn.resource.starts_with("role/");
    arn.account_id().filter(|_| is_role).ok_or_else(invalid)
}

/// The tags of the session to be made.
struct SessionTags {
    /// Those asked for and those inherited.
    all: Vec<Tag>,
    /// As the request key `sts:TransitiveTagKeys` and the token have them.
    transitive: Vec<String>,
}

impl SessionTags {
    /// Tags asked for, joined with the transitive ones of the calling session.
    fn new(cx: &Cx, input: &AssumeRoleInput) -> Result<SessionTags, Error> {
        let given = input.tags.iter().flatten().map(|tag| Tag {
            key: tag.key.clone(),
            value: tag.value.clone(),
        });
        let given = Tags::of_session(given.collect())?;
        let asked = input.transitive_tag_keys.clone().unwrap_or_default();
        join(&given, &asked, inherited(cx))
    }
}

fn join(given: &Tags, transitive: &[String], inherited: Vec<Tag>) -> Result<SessionTags, Error> {
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

/// Tags of the calling session that travel through the chain.
fn inherited(cx: &Cx) -> Vec<Tag> {
    let keys = cx.caller().principal.keys();
    let Some(Value::Many(transitive)) = keys.get(TRANSITIVE_TAG_KEYS) else {
        return Vec::new();
    };
    let tags = transitive
        .iter()
        .filter_map(|key| match keys.get(&format!("aws:PrincipalTag/{key}")) {
            Some(Value::Text(value)) => Some(Tag {
                key: key.to_string(),
                value: value.to_string(),
            }),
            _ => None,
        });
    tags.collect()
}

/// A source identity sticks: a session that has one passes it on and cannot choose another.
fn source_identity(cx: &Cx, asked: Option<&str>) -> Result<Option<String>, Error> {
    let own = cx
        .caller()
        .session
        .as_ref()
        .and_then(|session| session.source_identity.as_deref());
    if asked.is_some_and(|asked| asked.to_ascii_lowercase().starts_with("aws:")) {
        return Err(Error::Validation(
            "SourceIdentity must not begin with aws:.".to_owned(),
        ));
    }
    match (own, asked) {
        (Some(own), Some(asked)) if own != asked => Err(Error::InvalidParameterValue(
            "The source identity of the calling session cannot be changed.",
        )),
        (own, asked) => Ok(own.or(asked).map(str::to_owned)),
    }
}

/// What the policies are asked about.
struct RoleAccess<'a> {
    arn: &'a str,
    account: AccountId,
    role: Option<Arc<Role>>,
    session_name: &'a str,
    external_id: Option<&'a str>,
    source_identity: Option<&'a str>,
    duration_seconds: Option<i32>,
    tags: &'a SessionTags,
    /// Whether a one-time code came with the request.
    has_second_factor: bool,
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
        let access = with_resource_tags(access, resource_tags);
        let asking = Asking {
            tags: Some(&requested),
            ..Asking::NOTHING
        };
        let permit = cx.authorize(asking.add_to(access, None)).await?;
        permit.into_inner().ok_or(Error::AccessDenied("Access denied"))
    }
}

/// What is known of a role before anybody assumes it, for [`gate::Describe`]:
/// its trust policy and tags. The other actions of STS have no resource with a policy.
pub(crate) fn described<'a>(cx: &'a Cx, action: &'a str, arn: &'a Arn) -> Describing<'a> {
    const ASKED_OF_ROLES: [&str; 3] = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"];
    Box::pin(async move {
        let text = arn.to_string();
        if !ASKED_OF_ROLES.contains(&action) || arn.service != "iam" {
            return Ok(None);
        }
        let failed = |error| Fault::store("InternalFailure", &error);
        let Some(Entity::Role(role)) = rows(cx).principal(&text).await.map_err(failed)? else {
            return Err(Fault::client("NoSuchEntity", format!("there is no role {text}")).with_status(404));
        };
        let trust = role.trust.policy(ROLES.name()).map_err(failed)?;
        let access = Access::to((), text)
            .owned_by(cx.account())
            .with_policy(trust, ResourcePolicyKind::RoleTrust);
        Ok(Some(with_resource_tags(access, &role.tags)))
    })
}

/// How long the session lasts.
fn duration(cx: &Cx, role: &Role, asked: Option<i32>) -> Result<Duration, Error> {
    let asked = asked.and_then(|seconds| u32::try_from(seconds).ok());
    let seconds = duration_seconds(asked, role.max_session_seconds, is_session(cx))?;
    Ok(Duration::from_secs(u64::from(seconds)))
}

fn duration_seconds(asked: Option<u32>, role_max: u32, chained: bool) -> Result<u32, Error> {
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
        let joined = join(&tags(&["A"]), &["a".into()], vec![tag("B")]).unwrap();
        assert_eq!(joined.all.len(), 2);
        assert_eq!(joined.transitive, ["a", "B"]);
        assert!(join(&tags(&["A"]), &["C".into()], vec![]).is_err());
        assert!(join(&tags(&["b"]), &[], vec![tag("B")]).is_err());
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
