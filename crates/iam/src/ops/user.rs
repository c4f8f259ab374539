//! Users.
//!
//! A user keeps its id, keys, policies, groups and tags when it is renamed;
//! only its ARN changes.

use gate::Cx;
use ground::id;
use iam_api::{
    CreateUserInput, CreateUserOutput, DeleteUserInput, GetUserInput, GetUserOutput, ListUsersInput,
    ListUsersOutput, UpdateUserInput, User as ApiUser,
};
use policy::Who;
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking, Boundary};
use crate::error::Error;
use crate::limits::USERS_MAX;
use crate::model::{CaseOfKeys, EntityKind, Tags, User, fold};
use crate::ops::answer;
use crate::ops::boundary::{self, Bounding};
use crate::ops::page::Paging;
use crate::store::{self, ACCOUNT, USERS, rows, written_at};

pub(crate) async fn create_user(
    _iam: &Iam,
    cx: &Cx,
    input: CreateUserInput,
) -> Result<CreateUserOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Ignored)?;
    let user = User {
        id: id::entity_id("AIDA", cx.random().bytes()),
        name: input.user_name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        created: written_at(cx),
        boundary: input.permissions_boundary,
        tags: tags.clone(),
    };
    let (path, name, wanted) = (user.path.clone(), user.name.clone(), user.boundary.clone());
    let asking = Asking {
        boundary: Boundary::Requested(wanted.as_deref()),
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let user = access::new(cx, user, "user", (&path, &name), asking).await?;

    if rows(cx).user(&name).await?.is_some() {
        return Err(Error::Exists { noun: "User", name });
    }
    let mut summary = rows(cx).summary().await?;
    if summary.users >= USERS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for UsersPerAccount: {USERS_MAX}"
        )));
    }
    summary.users += 1;
    let bounding = Bounding::new(&rows(cx), EntityKind::User, &user.id, None, wanted).await?;

    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_user(tx, &user);
        bounding.write(tx);
    })
    .await?;
    Ok(CreateUserOutput {
        user: Some(answer::user(cx.account(), &user)),
    })
}

pub(crate) async fn get_user(_iam: &Iam, cx: &Cx, input: GetUserInput) -> Result<GetUserOutput, Error> {
    let user = match (&input.user_name, cx.caller().principal.who()) {
        (Some(name), _) => access::user(cx, name, Asking::NOTHING).await?,
        (None, Who::Root) => return get_root(cx).await,
        (None, _) => access::calling_user(cx).await?,
    };
    Ok(GetUserOutput {
        user: answer::user(cx.account(), &user),
    })
}

/// The root user as `GetUser` tells of it: its id is the account's, it has no name.
async fn get_root(cx: &Cx) -> Result<GetUserOutput, Error> {
    access::root(cx).await?;
    let account = rows(cx).get(&ACCOUNT, &()).await?;
    let user = ApiUser {
        path: "/".to_owned(),
        user_name: String::new(),
        user_id: cx.account().to_string(),
        arn: format!("arn:aws:iam::{}:root", cx.account()),
        create_date: account.map_or_else(|| cx.now(), |account| account.created),
        password_last_used: None,
        permissions_boundary: None,
        tags: None,
    };
    Ok(GetUserOutput { user })
}

pub(crate) async fn list_users(_iam: &Iam, cx: &Cx, input: ListUsersInput) -> Result<ListUsersOutput, Error> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let paging = Paging::new("ListUsers", prefix, input.marker.as_deref(), input.max_items)?;
    access::list(cx, "user", prefix).await?;

    let listed = paging
        .names(&rows(cx), &USERS, |user| user.path.starts_with(prefix))
        .await?;
    Ok(ListUsersOutput {
        is_truncated: listed.is_truncated(),
        users: listed
            .items
            .iter()
            .map(|user| answer::listed_user(cx.account(), user))
            .collect(),
        marker: listed.marker,
    })
}

pub(crate) async fn update_user(_iam: &Iam, cx: &Cx, input: UpdateUserInput) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let old_name = user.name.clone();
    let name = input.new_user_name.unwrap_or_else(|| user.name.clone());
    let path = input.new_path.unwrap_or_else(|| user.path.clone());
    // Permission is needed for the user as it is and as it will be.
    access::moved(cx, "user", &path, &name).await?;

    if fold(&name) != fold(&old_name) && rows(cx).user(&name).await?.is_some() {
        return Err(Error::Exists { noun: "User", name });
    }
    let groups = rows(cx).groups_of(&user.id).await?;
    let user = user.map(|user| User {
        name,
        path,
        ..(*user).clone()
    });
    store::write(cx, |tx| store::rename_user(tx, &old_name, &user, &groups)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_user(_iam: &Iam, cx: &Cx, input: DeleteUserInput) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let rows = rows(cx);
    if !rows.access_keys(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete access keys first.",
        ));
    }
    if rows.login_profile(&user.id).await?.is_some() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete login profile first.",
        ));
    }
    if !rows.signing_certificates(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete signing certificates first.",
        ));
    }
    if !rows.ssh_keys(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete SSH public keys first.",
        ));
    }
    if !rows.service_credentials(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must remove referenced objects first.",
        ));
    }
    if !rows.mfa_devices_of(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must deactivate MFA device first.",
        ));
    }
    if !rows.inline(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must delete policies first.",
        ));
    }
    if !rows.attached(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must detach all policies first.",
        ));
    }
    if !rows.groups_of(&user.id).await?.is_empty() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    let mut summary = rows.summary().await?;
    summary.users = summary.users.saturating_sub(1);
    let bounding = boundary::ended(&rows, EntityKind::User, &user.id, user.boundary.clone()).await?;

    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_user(tx, &user);
        bounding.write(tx);
    })
    .await?;
    Ok(Unit)
}
