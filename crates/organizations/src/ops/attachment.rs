//! Policies on the root, on units and on accounts.

use gate::Cx;
use organizations_api::{
    AttachPolicyInput, ConstraintViolationExceptionReason as Constraint, DetachPolicyInput,
    InvalidInputExceptionReason as Input, ListPoliciesForTargetInput, ListPoliciesForTargetOutput,
    ListTargetsForPolicyInput, ListTargetsForPolicyOutput, PolicyTargetSummary,
};
use shape::Unit as Empty;
use store::Prefix;

use crate::Handlers;
use crate::access::{Entered, Who, enter};
use crate::error::{Error, constraint, input};
use crate::limits::attachments_max;
use crate::model::{Attachment, Node, PolicyKind};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::ops::policy::kind;
use crate::store::{DEFAULT_OFF, Found, MEMBERS, Rows, TARGETS, UNITS, write};

pub(crate) async fn attach_policy(
    _handlers: &Handlers,
    cx: &Cx,
    input: AttachPolicyInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let (ask, found) = entered.policy(&input.policy_id).await?;
    let permit = ask.permit(()).await?;
    let target = permitted_target(&entered, &input.target_id, found.kind()).await?;
    let rows = &entered.rows;
    let kind = found.kind();
    let state = rows.organization().state(kind);
    if !state.enabled {
        return Err(Error::PolicyTypeNotEnabled);
    }
    let target = target.to_string();
    let attached = rows.attached(&target, kind).await?;
    if attached.iter().any(|other| other.id() == found.id()) {
        return Err(Error::DuplicateAttachment);
    }
    if attached.len() >= attachments_max(kind) {
        return Err(constraint(
            Constraint::MaxPolicyTypeAttachmentLimitExceeded,
            "You have exceeded the number of policies of this type that can be attached to the target.",
        ));
    }
    let attachment = Attachment {
        kind,
        season: state.season,
    };
    write(cx, rows.scope(), &permit, |writer| match &found {
        Found::Aws(_) => writer.delete(&DEFAULT_OFF, &(target.clone(), kind.word().to_owned())),
        Found::Own(policy) => writer.attach(&target, &policy.id, attachment),
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn detach_policy(
    _handlers: &Handlers,
    cx: &Cx,
    asked: DetachPolicyInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let (ask, found) = entered.policy(&asked.policy_id).await?;
    let permit = ask.permit(()).await?;
    let target = permitted_target(&entered, &asked.target_id, found.kind()).await?;
    let rows = &entered.rows;
    let kind = found.kind();
    let target = target.to_string();
    let attached = rows.attached(&target, kind).await?;
    if !attached.iter().any(|other| other.id() == found.id()) {
        return Err(Error::PolicyNotAttached);
    }
    match (kind, &found) {
        (PolicyKind::ResourceControl, Found::Aws(_)) => {
            return Err(input(
                Input::NonDetachablePolicy,
                "You can't detach this AWS managed policy.",
            ));
        }
        (PolicyKind::ServiceControl, _) if attached.len() == 1 => {
            return Err(constraint(
                Constraint::MinPolicyTypeAttachmentLimitExceeded,
                "You can't detach the last policy of this type from the target.",
            ));
        }
        _ => {}
    }
    let off = Attachment {
        kind,
        season: rows.organization().state(kind).season,
    };
    write(cx, rows.scope(), &permit, |writer| match &found {
        Found::Aws(_) => writer.put(&DEFAULT_OFF, &(target.clone(), kind.word().to_owned()), &off),
        Found::Own(policy) => writer.detach(&target, &policy.id),
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_policies_for_target(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListPoliciesForTargetInput,
) -> Result<ListPoliciesForTargetOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.target_id).await?.permit(()).await?;
    let rows = &entered.rows;
    let kind = kind(input.filter)?;
    let target = rows.target(&input.target_id).await?.ok_or(Error::TargetMissing)?;
    let list = format!("ListPoliciesForTarget {} {target}", kind.word());
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let attached = rows.attached(&target.to_string(), kind).await?;
    let told = attached
        .iter()
        .map(|found| (found.id().to_owned(), answer::summary(rows.organization(), found)));
    let (policies, next_token) = paging.cut(told.collect());
    Ok(ListPoliciesForTargetOutput {
        policies: Some(policies),
        next_token,
    })
}

pub(crate) async fn list_targets_for_policy(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListTargetsForPolicyInput,
) -> Result<ListTargetsForPolicyOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    let (ask, found) = entered.policy(&input.policy_id).await?;
    ask.permit(()).await?;
    let list = format!("ListTargetsForPolicy {}", found.id());
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let rows = &entered.rows;
    let targets = match &found {
        Found::Aws(_) => with_default(rows, found.kind()).await?,
        Found::Own(policy) => {
            let state = rows.organization().state(policy.kind);
            let all = rows
                .all(&TARGETS, &Prefix::<(String, String)>::first(&policy.id))
                .await?;
            let counts = all
                .into_iter()
                .filter(|(_, attachment)| state.enabled && attachment.season == state.season);
            counts.map(|((_, target), _)| target).collect()
        }
    };
    let (page, next_token) = paging.cut(
        targets
            .into_iter()
            .map(|target| (target.clone(), target))
            .collect(),
    );
    let mut told = Vec::with_capacity(page.len());
    for target in page {
        let node = rows.target(&target).await?.ok_or(Error::TargetMissing)?;
        told.push(PolicyTargetSummary {
            arn: Some(rows.organization().node_arn(&node)),
            name: rows.name(&node).await?,
            r#type: Some(node.target_type()),
            target_id: Some(target),
        });
    }
    Ok(ListTargetsForPolicyOutput {
        targets: Some(told),
        next_token,
    })
}

/// Everything that AWS's own policy of a kind is on.
async fn with_default(rows: &Rows<'_>, kind: PolicyKind) -> Result<Vec<String>, Error> {
    let mut targets = vec![rows.organization().root.clone()];
    let units = rows.all(&UNITS, &Prefix::all()).await?;
    targets.extend(units.into_iter().map(|(id, _)| id));
    let members = rows.all(&MEMBERS, &Prefix::all()).await?;
    targets.extend(members.into_iter().map(|(account, _)| account.to_string()));
    let mut on = Vec::with_capacity(targets.len());
    for target in targets {
        if rows.has_default(&target, kind).await? {
            on.push(target);
        }
    }
    Ok(on)
}

/// The target of an attachment, once permission is given for it too.
async fn permitted_target(entered: &Entered<'_>, id: &str, kind: PolicyKind) -> Result<Node, Error> {
    entered.node(id).await?.policy_type(kind).permit(()).await?;
    entered.rows.target(id).await?.ok_or(Error::TargetMissing)
}
