//! Policies written on a user, role or group, and living as long as it.

use gate::Cx;
use iam_api::{
    DeleteGroupPolicyInput, DeleteRolePolicyInput, DeleteUserPolicyInput, GetGroupPolicyInput,
    GetGroupPolicyOutput, GetRolePolicyInput, GetRolePolicyOutput, GetUserPolicyInput, GetUserPolicyOutput,
    ListGroupPoliciesInput, ListGroupPoliciesOutput, ListRolePoliciesInput, ListRolePoliciesOutput,
    ListUserPoliciesInput, ListUserPoliciesOutput, PutGroupPolicyInput, PutRolePolicyInput,
    PutUserPolicyInput,
};
use policy::Document;
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking, Boundary};
use crate::error::Error;
use crate::limits::{GROUP_INLINE_SIZE_MAX, ROLE_INLINE_SIZE_MAX, USER_INLINE_SIZE_MAX};
use crate::model::{EntityKind, InlinePolicy};
use crate::ops::page::{Listed, Paging};
use crate::ops::{answer, policy_document};
use crate::store::{self, rows};

/// To write or remove a policy the boundary of the entity is told; groups have none.
const BOUNDED: Asking<'static> = Asking {
    policy_arn: None,
    boundary: Boundary::OfEntity,
    tags: None,
    tag_keys: &[],
};

async fn put(
    cx: &Cx,
    kind: EntityKind,
    entity_name: &str,
    policy_name: &str,
    document: String,
) -> Result<Unit, Error> {
    let entity = access::entity(cx, kind, entity_name, BOUNDED).await?;
    entity.changeable()?;
    let size_max = match kind {
        EntityKind::Group => GROUP_INLINE_SIZE_MAX,
        EntityKind::Role => ROLE_INLINE_SIZE_MAX,
        EntityKind::User => USER_INLINE_SIZE_MAX,
    };
    let others = rows(cx).inline(entity.id()).await?;
    let others = others.iter().filter(|(name, _)| name != policy_name);
    let own = Document::size_without_white_space(&document);
    let size = own + others.map(|(_, other)| other.document.size()).sum::<usize>();
    if size > size_max {
        return Err(Error::LimitExceeded(format!(
            "Maximum policy size of {size_max} bytes exceeded for {} {}",
            kind.noun(),
            entity.name()
        )));
    }
    let policy = InlinePolicy {
        document: policy_document::inline(document)?,
    };
    store::write(cx, |tx| store::put_inline(tx, &entity, policy_name, &policy)).await?;
    Ok(Unit)
}

fn missing(kind: EntityKind, policy_name: &str) -> Error {
    let noun = match kind {
        EntityKind::Group => "group policy",
        EntityKind::Role => "role policy",
        EntityKind::User => "user policy",
    };
    Error::Missing {
        noun,
        name: policy_name.to_owned(),
    }
}

/// The entity's name in its own spelling, and the document as answered.
async fn get(
    cx: &Cx,
    kind: EntityKind,
    entity_name: &str,
    policy_name: &str,
) -> Result<(String, String), Error> {
    let entity = access::entity(cx, kind, entity_name, Asking::NOTHING).await?;
    let key = (entity.id().to_owned(), policy_name.to_owned());
    let policy = rows(cx)
        .get(&store::INLINE, &key)
        .await?
        .ok_or_else(|| missing(kind, policy_name))?;
    Ok((
        entity.name().to_owned(),
        answer::encoded(policy.document.as_str()),
    ))
}

async fn delete(cx: &Cx, kind: EntityKind, entity_name: &str, policy_name: &str) -> Result<Unit, Error> {
    let entity = access::entity(cx, kind, entity_name, BOUNDED).await?;
    entity.changeable()?;
    let key = (entity.id().to_owned(), policy_name.to_owned());
    if rows(cx).get(&store::INLINE, &key).await?.is_none() {
        return Err(missing(kind, policy_name));
    }
    store::write(cx, |tx| store::delete_inline(tx, &entity, policy_name)).await?;
    Ok(Unit)
}

async fn list(
    cx: &Cx,
    kind: EntityKind,
    entity_name: &str,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<Listed<String>, Error> {
    let entity = access::entity(cx, kind, entity_name, Asking::NOTHING).await?;
    let paging = Paging::new("ListInlinePolicies", entity.id(), marker, max_items)?;
    let policies = rows(cx).inline(entity.id()).await?;
    Ok(paging.of(policies.into_iter().map(|(name, _)| (name.clone(), name))))
}

pub(crate) async fn put_user_policy(_iam: &Iam, cx: &Cx, input: PutUserPolicyInput) -> Result<Unit, Error> {
    put(
        cx,
        EntityKind::User,
        &input.user_name,
        &input.policy_name,
        input.policy_document,
    )
    .await
}

pub(crate) async fn put_role_policy(_iam: &Iam, cx: &Cx, input: PutRolePolicyInput) -> Result<Unit, Error> {
    put(
        cx,
        EntityKind::Role,
        &input.role_name,
        &input.policy_name,
        input.policy_document,
    )
    .await
}

pub(crate) async fn put_group_policy(_iam: &Iam, cx: &Cx, input: PutGroupPolicyInput) -> Result<Unit, Error> {
    put(
        cx,
        EntityKind::Group,
        &input.group_name,
        &input.policy_name,
        input.policy_document,
    )
    .await
}

pub(crate) async fn get_user_policy(
    _iam: &Iam,
    cx: &Cx,
    input: GetUserPolicyInput,
) -> Result<GetUserPolicyOutput, Error> {
    let (user_name, policy_document) =
        get(cx, EntityKind::User, &input.user_name, &input.policy_name).await?;
    Ok(GetUserPolicyOutput {
        user_name,
        policy_name: input.policy_name,
        policy_document,
    })
}

pub(crate) async fn get_role_policy(
    _iam: &Iam,
    cx: &Cx,
    input: GetRolePolicyInput,
) -> Result<GetRolePolicyOutput, Error> {
    let (role_name, policy_document) =
        get(cx, EntityKind::Role, &input.role_name, &input.policy_name).await?;
    Ok(GetRolePolicyOutput {
        role_name,
        policy_name: input.policy_name,
        policy_document,
    })
}

pub(crate) async fn get_group_policy(
    _iam: &Iam,
    cx: &Cx,
    input: GetGroupPolicyInput,
) -> Result<GetGroupPolicyOutput, Error> {
    let (group_name, policy_document) =
        get(cx, EntityKind::Group, &input.group_name, &input.policy_name).await?;
    Ok(GetGroupPolicyOutput {
        group_name,
        policy_name: input.policy_name,
        policy_document,
    })
}

pub(crate) async fn delete_user_policy(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteUserPolicyInput,
) -> Result<Unit, Error> {
    delete(cx, EntityKind::User, &input.user_name, &input.policy_name).await
}

pub(crate) async fn delete_role_policy(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteRolePolicyInput,
) -> Result<Unit, Error> {
    delete(cx, EntityKind::Role, &input.role_name, &input.policy_name).await
}

pub(crate) async fn delete_group_policy(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteGroupPolicyInput,
) -> Result<Unit, Error> {
    delete(cx, EntityKind::Group, &input.group_name, &input.policy_name).await
}

pub(crate) async fn list_user_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListUserPoliciesInput,
) -> Result<ListUserPoliciesOutput, Error> {
    let listed = list(
        cx,
        EntityKind::User,
        &input.user_name,
        input.marker.as_deref(),
        input.max_items,
    )
    .await?;
    Ok(ListUserPoliciesOutput {
        is_truncated: listed.is_truncated(),
        policy_names: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn list_role_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListRolePoliciesInput,
) -> Result<ListRolePoliciesOutput, Error> {
    let listed = list(
        cx,
        EntityKind::Role,
        &input.role_name,
        input.marker.as_deref(),
        input.max_items,
    )
    .await?;
    Ok(ListRolePoliciesOutput {
        is_truncated: listed.is_truncated(),
        policy_names: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn list_group_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListGroupPoliciesInput,
) -> Result<ListGroupPoliciesOutput, Error> {
    let listed = list(
        cx,
        EntityKind::Group,
        &input.group_name,
        input.marker.as_deref(),
        input.max_items,
    )
    .await?;
    Ok(ListGroupPoliciesOutput {
        is_truncated: listed.is_truncated(),
        policy_names: listed.items,
        marker: listed.marker,
    })
}
