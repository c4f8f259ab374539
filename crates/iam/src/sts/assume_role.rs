//! `AssumeRole`: a session of a role, for whoever its trust policy lets in.
//!
//! The trust policy is the role's resource policy: it must allow, and across
//! accounts the caller's own policies must too. A role that does not exist and
//! one that does not trust the caller are told alike.

use gate::{Access, Cx, Describing, Fault};
use ground::Arn;
use policy::{ResourcePolicyKind, Value, Who as Principal};
use sts_api::{AssumeRoleInput, AssumeRoleOutput};

use crate::Sts;
use crate::access::with_resource_tags;
use crate::directory::session::TRANSITIVE_TAG_KEYS;
use crate::error::Error;
use crate::mfa;
use crate::model::{Role, Tag, Tags};
use crate::store::{self, Entity, ROLES, rows};
use crate::sts::role_session::{self, Beginning, RoleAccess, SessionTags, role_account};
use crate::sts::session_policy::{is_session, token_length_min};

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
    let tags = session_tags(cx, &input)?;
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
    let role = role_session::open_role(&rows, &input.role_arn).await?;
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
        vouched: &[],
    };
    let role = asking.authorize_all(cx, "sts:AssumeRole").await?;

    let duration_seconds = duration(cx, &role, input.duration_seconds)?;
    let beginning = Beginning {
        session_name: input.role_session_name,
        duration_seconds,
        policy: input.policy,
        policy_arns: input.policy_arns,
        tags,
        source_identity: source_identity.clone(),
        mfa: second_factor.as_ref().map(|_| cx.now()),
        token_length_min: token_length_min(input.minimum_session_token_size),
        federated: None,
    };
    let begun = role_session::begin(cx, &rows, &role, beginning).await?;
    mfa::spend(cx, second_factor).await?;
    Ok(AssumeRoleOutput {
        assumed_role_user: Some(begun.user),
        packed_policy_size: begun.packed,
        source_identity,
        session_token_size: begun.token_size,
        session_token_utilization: None,
        credentials: Some(begun.credentials),
    })
}

/// Tags asked for, joined with the transitive ones of the calling session.
fn session_tags(cx: &Cx, input: &AssumeRoleInput) -> Result<SessionTags, Error> {
    let given = input.tags.iter().flatten().map(|tag| Tag {
        key: tag.key.clone(),
        value: tag.value.clone(),
    });
    let given = Tags::of_session(given.collect())?;
    let asked = input.transitive_tag_keys.clone().unwrap_or_default();
    SessionTags::new(&given, &asked, inherited(cx))
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

/// How long the session lasts, in seconds.
fn duration(cx: &Cx, role: &Role, asked: Option<i32>) -> Result<u32, Error> {
    let asked = asked.and_then(|seconds| u32::try_from(seconds).ok());
    role_session::duration_seconds(asked, role.max_session_seconds, is_session(cx))
}
