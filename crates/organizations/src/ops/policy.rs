//! Policies: made, read, changed and deleted.

use gate::Cx;
use organizations_api::{
    ConstraintViolationExceptionReason as Constraint, CreatePolicyInput, CreatePolicyOutput,
    DeletePolicyInput, DescribePolicyInput, DescribePolicyOutput, InvalidInputExceptionReason as Input,
    ListPoliciesInput, ListPoliciesOutput, PolicyType, UpdatePolicyInput, UpdatePolicyOutput,
};
use policy::{Document, DocumentKind};
use shape::Unit as Empty;
use std::sync::Arc;
use store::Prefix;

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, constraint, input};
use crate::limits::{POLICIES_MAX, content_max};
use crate::model::{AwsPolicy, Policy, PolicyKind, Tags, Text, id};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::store::{Found, POLICIES, POLICY_NAMES, TARGETS, write};

/// The kind of policy that a request means.
///
/// # Errors
///
/// [`Error::Input`] for the types that are not here.
pub(crate) fn kind(asked: PolicyType) -> Result<PolicyKind, Error> {
    PolicyKind::of(asked).ok_or_else(|| {
        input(
            Input::InvalidEnumPolicyType,
            format!("The policy type {} is not supported.", asked.as_str()),
        )
    })
}

/// Refuses what is too long for its kind, or no policy of it.
fn check(kind: PolicyKind, content: &str) -> Result<(), Error> {
    if content.chars().count() > content_max(kind) {
        return Err(constraint(
            Constraint::PolicyContentLimitExceeded,
            "You have exceeded the maximum size of a policy document.",
        ));
    }
    let language = match kind {
        PolicyKind::ResourceControl => DocumentKind::ResourceControl,
        PolicyKind::ServiceControl => DocumentKind::ServiceControl,
        PolicyKind::Tag => return crate::inheritance::check(content).map_err(|_| Error::Malformed),
    };
    match Document::parse(content, language) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Malformed),
    }
}

fn name_key(kind: PolicyKind, name: &str) -> (String, String) {
    (kind.word().to_owned(), name.to_owned())
}

pub(crate) async fn create_policy(
    _handlers: &Handlers,
    cx: &Cx,
    input: CreatePolicyInput,
) -> Result<CreatePolicyOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let tags = Tags::of_request(input.tags)?;
    let Some(kind) = PolicyKind::of(input.r#type) else {
        entered.everything().await?.permit(()).await?;
        kind(input.r#type)?;
        return Err(Error::Malformed);
    };
    let permit = entered
        .new_policy(kind)
        .await?
        .requested(&tags)
        .permit(())
        .await?;
    check(kind, &input.content)?;
    let rows = &entered.rows;
    let taken = kind.default_policy().is_some_and(|aws| aws.name == input.name);
    if taken
        || rows
            .get(&POLICY_NAMES, &name_key(kind, &input.name))
            .await?
            .is_some()
    {
        return Err(Error::DuplicatePolicy);
    }
    let mut organization = rows.organization().clone();
    let state = organization.state_mut(kind);
    if state.policies >= POLICIES_MAX {
        return Err(constraint(
            Constraint::PolicyNumberLimitExceeded,
            "You have exceeded the allowed number of policies.",
        ));
    }
    state.policies += 1;
    let policy = Arc::new(Policy {
        id: id("p-", cx.random().bytes::<8>()),
        kind,
        name: input.name,
        description: input.description,
        content: Text::new(input.content),
    });
    write(cx, rows.scope(), &permit, |writer| {
        writer.put_organization(&organization);
        writer.put(&POLICIES, &policy.id, &policy);
        writer.put(&POLICY_NAMES, &name_key(kind, &policy.name), &policy.id);
        writer.put_tags(&policy.id, &tags);
    })
    .await?;
    Ok(CreatePolicyOutput {
        policy: Some(answer::policy(&organization, &Found::Own(policy))),
    })
}

pub(crate) async fn describe_policy(
    _handlers: &Handlers,
    cx: &Cx,
    input: DescribePolicyInput,
) -> Result<DescribePolicyOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    let (ask, found) = entered.policy(&input.policy_id).await?;
    let found = ask.permit(found).await?;
    Ok(DescribePolicyOutput {
        policy: Some(answer::policy(entered.rows.organization(), &found)),
    })
}

/// A changed document binds the very next call.
pub(crate) async fn update_policy(
    _handlers: &Handlers,
    cx: &Cx,
    input: UpdatePolicyInput,
) -> Result<UpdatePolicyOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let (ask, found) = entered.policy(&input.policy_id).await?;
    let permit = ask.permit(()).await?;
    let before = own(found)?;
    if let Some(content) = &input.content {
        check(before.kind, content)?;
    }
    let after = Arc::new(Policy {
        name: input.name.unwrap_or_else(|| before.name.clone()),
        description: input.description.unwrap_or_else(|| before.description.clone()),
        content: input.content.map_or_else(|| before.content.clone(), Text::new),
        ..(*before).clone()
    });
    let rows = &entered.rows;
    let key = name_key(after.kind, &after.name);
    let taken = rows.get(&POLICY_NAMES, &key).await?;
    let aws_has_it = after
        .kind
        .default_policy()
        .is_some_and(|aws| aws.name == after.name);
    if aws_has_it || taken.is_some_and(|other| *other != after.id) {
        return Err(Error::DuplicatePolicy);
    }
    write(cx, rows.scope(), &permit, |writer| {
        writer.delete(&POLICY_NAMES, &name_key(before.kind, &before.name));
        writer.put(&POLICY_NAMES, &key, &after.id);
        writer.put(&POLICIES, &after.id, &after);
    })
    .await?;
    Ok(UpdatePolicyOutput {
        policy: Some(answer::policy(rows.organization(), &Found::Own(after))),
    })
}

pub(crate) async fn delete_policy(
    _handlers: &Handlers,
    cx: &Cx,
    input: DeletePolicyInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let (ask, found) = entered.policy(&input.policy_id).await?;
    let permit = ask.permit(()).await?;
    let policy = own(found)?;
    let rows = &entered.rows;
    let season = rows.organization().state(policy.kind).season;
    let targets = rows
        .all(&TARGETS, &Prefix::<(String, String)>::first(&policy.id))
        .await?;
    if targets.iter().any(|(_, attachment)| attachment.season == season) {
        return Err(Error::PolicyInUse);
    }
    let mut organization = rows.organization().clone();
    let state = organization.state_mut(policy.kind);
    state.policies = state.policies.saturating_sub(1);
    write(cx, rows.scope(), &permit, |writer| {
        writer.put_organization(&organization);
        writer.delete(&POLICIES, &policy.id);
        writer.delete(&POLICY_NAMES, &name_key(policy.kind, &policy.name));
        writer.put_tags(&policy.id, &Tags::default());
        // Attachments that disabling the type left behind.
        for ((_, target), _) in &targets {
            writer.detach(target, &policy.id);
        }
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_policies(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListPoliciesInput,
) -> Result<ListPoliciesOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let kind = kind(input.filter)?;
    let list = format!("ListPolicies {}", kind.word());
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let rows = &entered.rows;
    let aws = AwsPolicy::ALL.into_iter().filter(|policy| policy.kind == kind);
    let mut found: Vec<(String, Found)> = aws
        .map(|policy| (policy.id.to_owned(), Found::Aws(policy)))
        .collect();
    for (id, policy) in rows.all(&POLICIES, &Prefix::all()).await? {
        if policy.kind == kind {
            found.push((id, Found::Own(policy)));
        }
    }
    let (page, next_token) = paging.cut(found);
    let told = page
        .iter()
        .map(|found| answer::summary(rows.organization(), found));
    Ok(ListPoliciesOutput {
        policies: Some(told.collect()),
        next_token,
    })
}

/// A policy that may be changed: AWS's own may not.
fn own(found: Found) -> Result<Arc<Policy>, Error> {
    match found {
        Found::Own(policy) => Ok(policy),
        Found::Aws(_) => Err(input(
            Input::ImmutablePolicy,
            "You specified a policy that is managed by AWS and can't be modified.",
        )),
    }
}
