//! `AssumeRoot`: a session of a member account's root user, for one task.
//!
//! The management account of an organisation and its delegated administrators
//! for IAM may have one, if the organisation enabled the feature that the task
//! belongs to, and the caller's own policies allow it. The session is root's,
//! and what is over the account binds it; the policy of its task denies all
//! else, and there is no session without a task.
//!
//! A member's root user is weighed as a resource of the member's that lets
//! those accounts in: so the member's resource control policies bind, and it
//! has a record of the call. Whoever is not entitled is judged by its own
//! account alone, which no stranger's record is written for.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gate::{Access, Cx};
use ground::{AccountId, Arn, Region};
use policy::{Attached, Document, DocumentKind, Holder, ResourcePolicyKind, Who as Principal};
use sts_api::{AssumeRootInput, AssumeRootOutput};

use crate::Sts;
use crate::error::Error;
use crate::limits::ASSUMED_ROOT_SECONDS_MAX;
use crate::model::RootTask;
use crate::model::root_access::SERVICE_PRINCIPAL;
use crate::store::{Rows, rows};
use crate::sts::caller;
use crate::sts::session_policy::token_length_min;
use crate::sts::session_token::credentials;
use crate::sts::token::{self, SEALED_FOR, SessionPolicies, Wanted, Who};

pub(crate) async fn assume_root(
    _sts: &Sts,
    cx: &Cx,
    input: AssumeRootInput,
) -> Result<AssumeRootOutput, Error> {
    caller::admit(cx)?;
    if *cx.caller().principal.who() == Principal::Root {
        return Err(Error::AccessDenied("AssumeRoot may not be called by root users."));
    }
    let target = target(&input.target_principal)?;
    let task_policy = input.task_policy_arn.arn.unwrap_or_default();
    let task = RootTask::of_policy(&task_policy)
        .ok_or_else(|| Error::Validation(format!("{task_policy} is not the policy of a root task.")))?;

    let entitled = is_entitled(cx, target, task).await?;
    let access = Access::to((), format!("arn:aws:iam::{target}:root"))
        .key("sts:TaskPolicyArn", Some(task_policy.clone()));
    let access = match entitled {
        Ok(()) => access
            .owned_by(target)
            .with_policy(Arc::clone(&LETS_IN), ResourcePolicyKind::Ordinary),
        Err(_) => access,
    };
    cx.authorize(access).await?;
    entitled.map_err(Error::AccessDenied)?;

    let seconds = input
        .duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok());
    let lasts = Duration::from_secs(seconds.unwrap_or(ASSUMED_ROOT_SECONDS_MAX));
    let session = cx.caller().session.as_ref();
    let source_identity = session.and_then(|session| session.source_identity.clone());
    let wanted = Wanted {
        who: Who::AssumedRoot,
        issued: cx.now(),
        expires: cx.now().after(lasts),
        policies: Some(SessionPolicies {
            inline: None,
            arns: vec![task_policy],
        }),
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: source_identity.clone(),
        mfa: None,
        token_length_min: token_length_min(input.minimum_session_token_size),
        federated: None,
    };
    let domain = cx.domain_key(target, &Region::us_east_1(), SEALED_FOR);
    let issued = token::issue(&domain, cx.random(), target, wanted)?;
    Ok(AssumeRootOutput {
        source_identity,
        session_token_size: i32::try_from(issued.token.len()).ok(),
        session_token_utilization: None,
        credentials: Some(credentials(issued)),
    })
}

/// The account meant: by its id, or by the ARN of its root user.
fn target(text: &str) -> Result<AccountId, Error> {
    let account = match Arn::parse(text) {
        Ok(arn) if arn.service == "iam" && arn.region.is_empty() && arn.resource == "root" => {
            arn.account_id()
        }
        Ok(_) => None,
        Err(_) => AccountId::parse(text).ok(),
    };
    account.ok_or_else(|| Error::Validation(format!("{text} is invalid")))
}

/// Whether the caller's account may have the task done in the target, or why
/// not. What is told of is the caller's own organisation alone.
async fn is_entitled(cx: &Cx, target: AccountId, task: RootTask) -> Result<Result<(), &'static str>, Error> {
    let own = cx.account_standing(cx.account()).await?;
    let Some(membership) = &own.membership else {
        return Ok(Err("The account making the request belongs to no organization."));
    };
    let service = cx.service_access(cx.account(), SERVICE_PRINCIPAL).await?;
    if membership.management != cx.account() && !service.delegated {
        return Ok(Err(
            "The account making the request is not the management account or delegated administrator account for \
             centralized root access.",
        ));
    }
    let rows: Rows<'_> = rows(cx);
    let managements = rows.cross_account(membership.management);
    let enabled = managements.root_access(&membership.organization).await?;
    if !service.trusted || !task.is_enabled(&enabled) {
        return Ok(Err(
            "The feature that the task belongs to is not enabled for the organization.",
        ));
    }
    let others = cx.account_standing(target).await?;
    let is_member = others
        .membership
        .as_ref()
        .is_some_and(|other| other.organization == membership.organization && other.management != target);
    if !is_member || !rows.cross_account(target).is_open().await? {
        return Ok(Err(
            "The target is not an active member account of the organization.",
        ));
    }
    Ok(Ok(()))
}

/// What the root user of a member is weighed with, once the caller's account is entitled.
static LETS_IN: LazyLock<Arc<Attached>> = LazyLock::new(|| {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoot","Resource":"*"}}"#;
    let document =
        Document::parse(text, DocumentKind::Resource).expect("the text above is a resource policy");
    Arc::new(Attached::inline(
        "centralized root access",
        Holder::Resource,
        Arc::new(document),
    ))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_accounts_or_their_root_users() {
        let account = AccountId::parse("123456789012").unwrap();
        for good in ["123456789012", "arn:aws:iam::123456789012:root"] {
            assert_eq!(target(good).unwrap(), account);
        }
        for bad in [
            "12345678901",
            "root",
            "arn:aws:iam::123456789012:user/root",
            "arn:aws:sts::123456789012:root",
            "arn:aws:iam:eu-west-1:123456789012:root",
            "arn:aws:iam::aws:root",
        ] {
            assert_eq!(target(bad).unwrap_err().to_string(), format!("{bad} is invalid"));
        }
    }

    #[test]
    fn a_members_root_user_lets_nothing_else_be_done() {
        assert_eq!(LETS_IN.document.statements().len(), 1);
    }
}
