//! Managed policies on users, roles and groups.

use ::store::Prefix;
use gate::Cx;
use iam_api::{
    AttachGroupPolicyInput, AttachRolePolicyInput, AttachUserPolicyInput, AttachedPolicy,
    DetachGroupPolicyInput, DetachRolePolicyInput, DetachUserPolicyInput, EntityType,
    ListAttachedGroupPoliciesInput, ListAttachedGroupPoliciesOutput, ListAttachedRolePoliciesInput,
    ListAttachedRolePoliciesOutput, ListAttachedUserPoliciesInput, ListAttachedUserPoliciesOutput,
    ListEntitiesForPolicyInput, ListEntitiesForPolicyOutput, PolicyGroup, PolicyRole, PolicyUsageType,
    PolicyUser,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking, Boundary};
use crate::error::Error;
use crate::limits::ATTACHED_POLICIES_MAX;
use crate::model::{EntityKind, PolicyArn, Usage, fold};
use crate::ops::page::{Listed, Paging, digest};
use crate::store::{self, Entity, USED_BY, rows};

fn asking(policy_arn: &str) -> Asking<'_> {
    Asking {
        policy_arn: Some(policy_arn),
        boundary: Boundary::OfEntity,
        ..Asking::NOTHING
    }
}

/// Attaching what is attached is no error.
async fn attach(cx: &Cx, kind: EntityKind, name: &str, arn: &str) -> Result<Unit, Error> {
    let parsed = access::policy_arn(arn)?;
    let entity = access::entity(cx, kind, name, asking(arn)).await?;
    entity.changeable()?;

    let rows = rows(cx);
    if rows.policy(&parsed).await?.is_none() {
        return Err(Error::PolicyNotAttachable(arn.to_owned()));
    }
    parsed.attachable()?;
    let attached = rows.attached(entity.id()).await?;
    if attached.iter().any(|known| known == arn) {
        return Ok(Unit);
    }
    if attached.len() >= ATTACHED_POLICIES_MAX {
        let quota = match kind {
            EntityKind::Group => "PoliciesPerGroup",
            EntityKind::Role => "PoliciesPerRole",
            EntityKind::User => "PoliciesPerUser",
        };
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for {quota}: {ATTACHED_POLICIES_MAX}"
        )));
    }
    let uses = rows.uses(arn).await?;
    store::write(cx, |tx| {
        store::begin_use(tx, entity.kind(), entity.id(), arn, Usage::Permissions, uses);
    })
    .await?;
    Ok(Unit)
}

async fn detach(cx: &Cx, kind: EntityKind, name: &str, arn: &str) -> Result<Unit, Error> {
    access::policy_arn(arn)?;
    let entity = access::entity(cx, kind, name, asking(arn)).await?;
    entity.changeable()?;
    if !rows(cx)
        .attached(entity.id())
        .await?
        .iter()
        .any(|known| known == arn)
    {
        return Err(Error::PolicyNotAttached(arn.to_owned()));
    }
    let uses = rows(cx).uses(arn).await?;
    store::write(cx, |tx| {
        store::end_use(tx, entity.id(), arn, Usage::Permissions, uses);
    })
    .await?;
    Ok(Unit)
}

async fn list(
    cx: &Cx,
    kind: EntityKind,
    name: &str,
    path_prefix: Option<&str>,
    (marker, max_items): (Option<&str>, Option<i32>),
) -> Result<Listed<AttachedPolicy>, Error> {
    let entity = access::entity(cx, kind, name, Asking::NOTHING).await?;
    let prefix = path_prefix.unwrap_or("/");
    let of = format!("{} {prefix}", entity.id());
    let paging = Paging::new("ListAttachedPolicies", &of, marker, max_items)?;

    let attached = rows(cx).attached(entity.id()).await?;
    let mut policies: Vec<_> = attached
        .into_iter()
        .filter_map(|arn| Some((PolicyArn::parse(&arn)?, arn)))
        .filter(|(parsed, _)| parsed.path.starts_with(prefix))
        .map(|(parsed, arn)| {
            // A policy of AWS may bear the name of one of the account's.
            let key = format!("{} {}", fold(&parsed.name), digest(&arn));
            (
                key,
                AttachedPolicy {
                    policy_name: Some(parsed.name),
                    policy_arn: Some(arn),
                },
            )
        })
        .collect();
    policies.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(paging.of(policies))
}

pub(crate) async fn attach_user_policy(
    _iam: &Iam,
    cx: &Cx,
    input: AttachUserPolicyInput,
) -> Result<Unit, Error> {
    attach(cx, EntityKind::User, &input.user_name, &input.policy_arn).await
}

pub(crate) async fn attach_role_policy(
    _iam: &Iam,
    cx: &Cx,
    input: AttachRolePolicyInput,
) -> Result<Unit, Error> {
    attach(cx, EntityKind::Role, &input.role_name, &input.policy_arn).await
}

pub(crate) async fn attach_group_policy(
    _iam: &Iam,
    cx: &Cx,
    input: AttachGroupPolicyInput,
) -> Result<Unit, Error> {
    attach(cx, EntityKind::Group, &input.group_name, &input.policy_arn).await
}

pub(crate) async fn detach_user_policy(
    _iam: &Iam,
    cx: &Cx,
    input: DetachUserPolicyInput,
) -> Result<Unit, Error> {
    detach(cx, EntityKind::User, &input.user_name, &input.policy_arn).await
}

pub(crate) async fn detach_role_policy(
    _iam: &Iam,
    cx: &Cx,
    input: DetachRolePolicyInput,
) -> Result<Unit, Error> {
    detach(cx, EntityKind::Role, &input.role_name, &input.policy_arn).await
}

pub(crate) async fn detach_group_policy(
    _iam: &Iam,
    cx: &Cx,
    input: DetachGroupPolicyInput,
) -> Result<Unit, Error> {
    detach(cx, EntityKind::Group, &input.group_name, &input.policy_arn).await
}

pub(crate) async fn list_attached_user_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListAttachedUserPoliciesInput,
) -> Result<ListAttachedUserPoliciesOutput, Error> {
    let paging = (input.marker.as_deref(), input.max_items);
    let listed = list(
        cx,
        EntityKind::User,
        &input.user_name,
        input.path_prefix.as_deref(),
        paging,
    )
    .await?;
    Ok(ListAttachedUserPoliciesOutput {
        is_truncated: listed.is_truncated(),
        attached_policies: Some(listed.items),
        marker: listed.marker,
    })
}

pub(crate) async fn list_attached_role_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListAttachedRolePoliciesInput,
) -> Result<ListAttachedRolePoliciesOutput, Error> {
    let paging = (input.marker.as_deref(), input.max_items);
    let listed = list(
        cx,
        EntityKind::Role,
        &input.role_name,
        input.path_prefix.as_deref(),
        paging,
    )
    .await?;
    Ok(ListAttachedRolePoliciesOutput {
        is_truncated: listed.is_truncated(),
        attached_policies: Some(listed.items),
        marker: listed.marker,
    })
}

pub(crate) async fn list_attached_group_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListAttachedGroupPoliciesInput,
) -> Result<ListAttachedGroupPoliciesOutput, Error> {
    let paging = (input.marker.as_deref(), input.max_items);
    let listed = list(
        cx,
        EntityKind::Group,
        &input.group_name,
        input.path_prefix.as_deref(),
        paging,
    )
    .await?;
    Ok(ListAttachedGroupPoliciesOutput {
        is_truncated: listed.is_truncated(),
        attached_policies: Some(listed.items),
        marker: listed.marker,
    })
}

/// Whoever uses a policy. Entities come in the order of their unique ids, so
/// that a rename in the middle of a listing loses nobody.
pub(crate) async fn list_entities_for_policy(
    _iam: &Iam,
    cx: &Cx,
    input: ListEntitiesForPolicyInput,
) -> Result<ListEntitiesForPolicyOutput, Error> {
    let arn = input.policy_arn;
    access::policy(cx, &arn, Asking::NOTHING).await?;
    let wanted_kind = match input.entity_filter {
        None => None,
        Some(EntityType::User) => Some(EntityKind::User),
        Some(EntityType::Role) => Some(EntityKind::Role),
        Some(EntityType::Group) => Some(EntityKind::Group),
        // No policy uses a policy.
        Some(EntityType::LocalManagedPolicy | EntityType::AWSManagedPolicy) => {
            return Ok(ListEntitiesForPolicyOutput {
                is_truncated: Some(false),
                ..Default::default()
            });
        }
    };
    let wanted_usage = input.policy_usage_filter.map(|usage| match usage {
        PolicyUsageType::PermissionsPolicy => Usage::Permissions,
        PolicyUsageType::PermissionsBoundary => Usage::Boundary,
    });
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let of = format!("{arn} {prefix} {wanted_kind:?} {wanted_usage:?}");
    let paging = Paging::new(
        "ListEntitiesForPolicy",
        &of,
        input.marker.as_deref(),
        input.max_items,
    )?;

    let rows = rows(cx);
    let of_policy = Prefix::<(String, String, String)>::first(&arn);
    let key = |text: &str| {
        let (usage, id) = text.split_once(' ').unwrap_or((text, ""));
        (arn.clone(), usage.to_owned(), id.to_owned())
    };
    let listed = paging
        .keys(
            &rows,
            &USED_BY,
            &of_policy,
            (
                |(_, usage, id): &(String, String, String)| format!("{usage} {id}"),
                key,
            ),
        )
        .await?;
    let mut out = ListEntitiesForPolicyOutput {
        policy_groups: Some(Vec::new()),
        policy_users: Some(Vec::new()),
        policy_roles: Some(Vec::new()),
        is_truncated: listed.is_truncated(),
        marker: listed.marker,
    };
    for ((_, usage, id), used_by) in listed.items {
        if wanted_usage.is_some_and(|wanted| wanted.as_key() != usage)
            || wanted_kind.is_some_and(|wanted| wanted != used_by.kind)
        {
            continue;
        }
        let Some(entity) = rows
            .entity(&id)
            .await?
            .filter(|entity| entity.path().starts_with(prefix))
        else {
            continue;
        };
        let (name, id) = (Some(entity.name().to_owned()), Some(id));
        match entity {
            Entity::Group(_) => {
                out.policy_groups.get_or_insert_default().push(PolicyGroup {
                    group_name: name,
                    group_id: id,
                });
            }
            Entity::Role(_) => {
                out.policy_roles.get_or_insert_default().push(PolicyRole {
                    role_name: name,
                    role_id: id,
                });
            }
            Entity::User(_) => {
                out.policy_users.get_or_insert_default().push(PolicyUser {
                    user_name: name,
                    user_id: id,
                });
            }
        }
    }
    Ok(out)
}
