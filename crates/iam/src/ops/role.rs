//! Roles and their trust policies.

use gate::Cx;
use ground::id;
use iam_api::{
    CreateRoleInput, CreateRoleOutput, DeleteRoleInput, GetRoleInput, GetRoleOutput, ListRolesInput,
    ListRolesOutput, UpdateAssumeRolePolicyInput, UpdateRoleDescriptionInput, UpdateRoleDescriptionOutput,
    UpdateRoleInput, UpdateRoleOutput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking, Boundary};
use crate::error::Error;
use crate::limits::{MAX_SESSION_DURATION_DEFAULT_SECONDS, ROLES_MAX};
use crate::model::{CaseOfKeys, EntityKind, Role, Tags, service_linked};
use crate::ops::boundary::{self, Bounding};
use crate::ops::page::Paging;
use crate::ops::{answer, policy_document};
use crate::store::{self, ROLES, rows, written_at};

/// Paths below which only services make roles. Such a role stands outside
/// service control policies, so nobody may make one by choosing a path.
const RESERVED_PATHS: [&str; 2] = [service_linked::PATH, "/aws-reserved/"];

pub(crate) async fn create_role(
    _iam: &Iam,
    cx: &Cx,
    input: CreateRoleInput,
) -> Result<CreateRoleOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Ignored)?;
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    let (name, wanted) = (input.role_name, input.permissions_boundary);
    let asking = Asking {
        boundary: Boundary::Requested(wanted.as_deref()),
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let permit = access::new(cx, (), "role", (&path, &name), asking).await?;

    if RESERVED_PATHS.iter().any(|reserved| path.starts_with(reserved)) {
        return Err(Error::InvalidInput(format!(
            "The path {path} is reserved for roles of AWS services."
        )));
    }
    let trust = policy_document::trust(cx, input.assume_role_policy_document.clone()).await?;
    if rows(cx).role(&name).await?.is_some() {
        return Err(Error::Exists { noun: "Role", name });
    }
    let mut summary = rows(cx).summary().await?;
    if summary.roles >= ROLES_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for RolesPerAccount: {ROLES_MAX}"
        )));
    }
    summary.roles += 1;
    let role = permit.map(|()| Role {
        id: id::entity_id("AROA", cx.random().bytes()),
        name,
        path,
        created: written_at(cx),
        trust,
        description: input.description,
        max_session_seconds: seconds(input.max_session_duration),
        boundary: wanted.clone(),
        tags: tags.clone(),
    });
    let bounding = Bounding::new(&rows(cx), EntityKind::Role, &role.id, None, wanted).await?;

    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_role(tx, &role);
        bounding.write(tx);
    })
    .await?;
    // The answer echoes what was sent and leaves the session duration out.
    let mut answered = answer::role(cx.account(), &role, &input.assume_role_policy_document);
    answered.max_session_duration = None;
    Ok(CreateRoleOutput { role: answered })
}

/// The model keeps the number between 3,600 and 43,200.
fn seconds(asked: Option<i32>) -> u32 {
    asked
        .and_then(|seconds| u32::try_from(seconds).ok())
        .unwrap_or(MAX_SESSION_DURATION_DEFAULT_SECONDS)
}

pub(crate) async fn get_role(iam: &Iam, cx: &Cx, input: GetRoleInput) -> Result<GetRoleOutput, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    let trust = policy_document::trust_text(&rows(cx), &role).await?;
    let mut answered = answer::role(cx.account(), &role, &trust);
    // The element is there even if the role was never used: clients read it of every role.
    let last = iam.uses.last_use(&rows(cx), &role.id).await?;
    answered.role_last_used = Some(answer::role_last_used(last));
    Ok(GetRoleOutput { role: answered })
}

pub(crate) async fn list_roles(_iam: &Iam, cx: &Cx, input: ListRolesInput) -> Result<ListRolesOutput, Error> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let paging = Paging::new("ListRoles", prefix, input.marker.as_deref(), input.max_items)?;
    access::list(cx, "role", prefix).await?;

    let rows = rows(cx);
    let listed = paging
        .names(&rows, &ROLES, |role| role.path.starts_with(prefix))
        .await?;
    let mut roles = Vec::with_capacity(listed.items.len());
    for role in &listed.items {
        let trust = policy_document::trust_text(&rows, role).await?;
        roles.push(answer::listed_role(cx.account(), role, &trust));
    }
    Ok(ListRolesOutput {
        roles,
        is_truncated: listed.is_truncated(),
        marker: listed.marker,
    })
}

pub(crate) async fn update_role(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateRoleInput,
) -> Result<UpdateRoleOutput, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    // Of a service's role the description alone is the account's.
    if input.max_session_duration.is_some() {
        role.changeable()?;
    }
    // What the request leaves out stays as it is.
    let role = role.map(|role| Role {
        description: input.description.or_else(|| role.description.clone()),
        max_session_seconds: input
            .max_session_duration
            .map_or(role.max_session_seconds, |asked| seconds(Some(asked))),
        ..(*role).clone()
    });
    store::write(cx, |tx| store::put_role(tx, &role)).await?;
    Ok(UpdateRoleOutput {})
}

pub(crate) async fn update_role_description(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateRoleDescriptionInput,
) -> Result<UpdateRoleDescriptionOutput, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    let role = role.map(|role| Role {
        description: Some(input.description),
        ..(*role).clone()
    });
    let trust = policy_document::trust_text(&rows(cx), &role).await?;
    store::write(cx, |tx| store::put_role(tx, &role)).await?;
    Ok(UpdateRoleDescriptionOutput {
        role: Some(answer::role(cx.account(), &role, &trust)),
    })
}

pub(crate) async fn update_assume_role_policy(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateAssumeRolePolicyInput,
) -> Result<Unit, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    role.changeable()?;
    let trust = policy_document::trust(cx, input.policy_document).await?;
    let role = role.map(|role| Role {
        trust,
        ..(*role).clone()
    });
    store::write(cx, |tx| store::put_role(tx, &role)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_role(_iam: &Iam, cx: &Cx, input: DeleteRoleInput) -> Result<Unit, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    role.changeable()?;
    let rows = rows(cx);
    if !rows.inline(&role.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    if !rows.attached(&role.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must detach all policies first.",
        ));
    }
    if !rows.profiles_of(&role).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    let mut summary = rows.summary().await?;
    summary.roles = summary.roles.saturating_sub(1);
    let bounding = boundary::ended(&rows, EntityKind::Role, &role.id, role.boundary.clone()).await?;

    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_role(tx, &role);
        bounding.write(tx);
    })
    .await?;
    Ok(Unit)
}
