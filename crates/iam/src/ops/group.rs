//! Groups and who is in them.
//!
//! A group is no principal: it only lends its policies to its users.

use std::sync::Arc;

use ::store::Prefix;
use gate::Cx;
use ground::id;
use iam_api::{
    AddUserToGroupInput, CreateGroupInput, CreateGroupOutput, DeleteGroupInput, GetGroupInput,
    GetGroupOutput, ListGroupsForUserInput, ListGroupsForUserOutput, ListGroupsInput, ListGroupsOutput,
    RemoveUserFromGroupInput, UpdateGroupInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::{GROUPS_MAX, GROUPS_PER_USER_MAX};
use crate::model::{Group, User, fold};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::store::{self, GROUPS, MEMBERS, rows, written_at};

pub(crate) async fn create_group(
    _iam: &Iam,
    cx: &Cx,
    input: CreateGroupInput,
) -> Result<CreateGroupOutput, Error> {
    let group = Group {
        id: id::entity_id("AGPA", cx.random().bytes()),
        name: input.group_name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        created: written_at(cx),
    };
    let (path, name) = (group.path.clone(), group.name.clone());
    let group = access::new(cx, group, "group", (&path, &name), Asking::NOTHING).await?;

    if rows(cx).group(&name).await?.is_some() {
        return Err(Error::Exists { noun: "Group", name });
    }
    let mut summary = rows(cx).summary().await?;
    if summary.groups >= GROUPS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for GroupsPerAccount: {GROUPS_MAX}"
        )));
    }
    summary.groups += 1;
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_group(tx, &group);
    })
    .await?;
    Ok(CreateGroupOutput {
        group: answer::group(cx.account(), &group),
    })
}

pub(crate) async fn get_group(_iam: &Iam, cx: &Cx, input: GetGroupInput) -> Result<GetGroupOutput, Error> {
    let group = access::group(cx, &input.group_name, Asking::NOTHING).await?;
    let paging = Paging::new("GetGroup", &group.id, input.marker.as_deref(), input.max_items)?;

    let rows = rows(cx);
    let group_id = group.id.clone();
    let of_group = Prefix::<(String, String)>::first(&group_id);
    let key = |name: &str| (group_id.clone(), name.to_owned());
    let listed = paging
        .keys(
            &rows,
            &MEMBERS,
            &of_group,
            (|(_, name): &(String, String)| name.clone(), key),
        )
        .await?;
    let mut users = Vec::with_capacity(listed.items.len());
    for (_, membership) in &listed.items {
        if let Some(user) = rows.user_by_id(&membership.user_id).await? {
            users.push(answer::listed_user(cx.account(), &user));
        }
    }
    Ok(GetGroupOutput {
        group: answer::group(cx.account(), &group),
        users,
        is_truncated: listed.is_truncated(),
        marker: listed.marker,
    })
}

pub(crate) async fn list_groups(
    _iam: &Iam,
    cx: &Cx,
    input: ListGroupsInput,
) -> Result<ListGroupsOutput, Error> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let paging = Paging::new("ListGroups", prefix, input.marker.as_deref(), input.max_items)?;
    access::list(cx, "group", prefix).await?;

    let listed = paging
        .names(&rows(cx), &GROUPS, |group| group.path.starts_with(prefix))
        .await?;
    Ok(ListGroupsOutput {
        is_truncated: listed.is_truncated(),
        groups: listed
            .items
            .iter()
            .map(|group| answer::group(cx.account(), group))
            .collect(),
        marker: listed.marker,
    })
}

pub(crate) async fn list_groups_for_user(
    _iam: &Iam,
    cx: &Cx,
    input: ListGroupsForUserInput,
) -> Result<ListGroupsForUserOutput, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let paging = Paging::new(
        "ListGroupsForUser",
        &user.id,
        input.marker.as_deref(),
        input.max_items,
    )?;

    let groups = rows(cx).groups_of(&user.id).await?;
    let listed = paging.of(groups.into_iter().map(|group| (fold(&group.name), group)));
    Ok(ListGroupsForUserOutput {
        is_truncated: listed.is_truncated(),
        groups: listed
            .items
            .iter()
            .map(|group| answer::group(cx.account(), group))
            .collect(),
        marker: listed.marker,
    })
}

pub(crate) async fn update_group(_iam: &Iam, cx: &Cx, input: UpdateGroupInput) -> Result<Unit, Error> {
    let group = access::group(cx, &input.group_name, Asking::NOTHING).await?;
    let old_name = group.name.clone();
    let name = input.new_group_name.unwrap_or_else(|| group.name.clone());
    let path = input.new_path.unwrap_or_else(|| group.path.clone());
    // Permission is needed for the group as it is and as it will be.
    access::moved(cx, "group", &path, &name).await?;

    if fold(&name) != fold(&old_name) && rows(cx).group(&name).await?.is_some() {
        return Err(Error::Exists { noun: "Group", name });
    }
    let group = group.map(|group| Group {
        name,
        path,
        ..(*group).clone()
    });
    store::write(cx, |tx| store::rename_group(tx, &old_name, &group)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_group(_iam: &Iam, cx: &Cx, input: DeleteGroupInput) -> Result<Unit, Error> {
    let group = access::group(cx, &input.group_name, Asking::NOTHING).await?;
    let rows = rows(cx);
    let members = rows
        .scan(&MEMBERS, &Prefix::<(String, String)>::first(&group.id), None, 1)
        .await?;
    if !members.items.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    if !rows.inline(&group.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    if !rows.attached(&group.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must detach all policies first.",
        ));
    }
    let mut summary = rows.summary().await?;
    summary.groups = summary.groups.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_group(tx, &group);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn add_user_to_group(
    _iam: &Iam,
    cx: &Cx,
    input: AddUserToGroupInput,
) -> Result<Unit, Error> {
    let group = access::group(cx, &input.group_name, Asking::NOTHING).await?;
    let user = member(cx, &input.user_name).await?;
    let groups = rows(cx).groups_of(&user.id).await?;
    if groups.iter().any(|known| known.id == group.id) {
        return Ok(Unit);
    }
    if groups.len() >= GROUPS_PER_USER_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER_MAX}"
        )));
    }
    store::write(cx, |tx| store::put_member(tx, &group, &user)).await?;
    Ok(Unit)
}

/// Taking out a user who is not in the group is no error.
pub(crate) async fn remove_user_from_group(
    _iam: &Iam,
    cx: &Cx,
    input: RemoveUserFromGroupInput,
) -> Result<Unit, Error> {
    let group = access::group(cx, &input.group_name, Asking::NOTHING).await?;
    let user = member(cx, &input.user_name).await?;
    store::write(cx, |tx| store::delete_member(tx, &group, &user)).await?;
    Ok(Unit)
}

/// The user to be put into a group or taken out: permission is asked for the group alone.
async fn member(cx: &Cx, name: &str) -> Result<Arc<User>, Error> {
    let user = rows(cx).user(name).await?;
    user.ok_or_else(|| Error::Missing {
        noun: "user",
        name: name.to_owned(),
    })
}
