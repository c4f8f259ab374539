//! Instance profiles, and the role in each.

use gate::Cx;
use ground::id;
use iam_api::{
    AddRoleToInstanceProfileInput, CreateInstanceProfileInput, CreateInstanceProfileOutput,
    DeleteInstanceProfileInput, GetInstanceProfileInput, GetInstanceProfileOutput,
    InstanceProfile as ApiInstanceProfile, ListInstanceProfilesForRoleInput,
    ListInstanceProfilesForRoleOutput, ListInstanceProfilesInput, ListInstanceProfilesOutput,
    RemoveRoleFromInstanceProfileInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::INSTANCE_PROFILES_MAX;
use crate::model::{CaseOfKeys, InstanceProfile, Tags, fold};
use crate::ops::page::Paging;
use crate::ops::{answer, policy_document};
use crate::store::{self, INSTANCE_PROFILES, Rows, rows, written_at};

/// The service that takes roles out of instance profiles: `iam:PassedToService`.
const PASSED_TO: &str = "ec2.amazonaws.com";

/// A profile in a list: with its role, without its tags.
pub(crate) async fn listed(rows: &Rows<'_>, profile: &InstanceProfile) -> Result<ApiInstanceProfile, Error> {
    let role = match rows.role_in(profile).await? {
        None => None,
        Some(role) => {
            let trust = policy_document::trust_text(rows, &role).await?;
            Some(answer::role_of_profile(rows.account(), &role, &trust))
        }
    };
    Ok(answer::instance_profile(rows.account(), profile, role))
}

pub(crate) async fn create_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: CreateInstanceProfileInput,
) -> Result<CreateInstanceProfileOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Matters)?;
    let profile = InstanceProfile {
        id: id::entity_id("AIPA", cx.random().bytes()),
        name: input.instance_profile_name,
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        created: written_at(cx),
        role_id: None,
        tags: tags.clone(),
    };
    let (path, name) = (profile.path.clone(), profile.name.clone());
    let asking = Asking {
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let profile = access::new(cx, profile, "instance-profile", (&path, &name), asking).await?;

    if rows(cx).instance_profile(&name).await?.is_some() {
        return Err(Error::Taken(format!("Instance Profile {name} already exists.")));
    }
    let mut summary = rows(cx).summary().await?;
    if summary.instance_profiles >= INSTANCE_PROFILES_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for InstanceProfilesPerAccount: {INSTANCE_PROFILES_MAX}"
        )));
    }
    summary.instance_profiles += 1;
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_instance_profile(tx, &profile);
    })
    .await?;
    let mut answered = answer::instance_profile(cx.account(), &profile, None);
    answered.tags = answer::tags(&profile.tags);
    Ok(CreateInstanceProfileOutput {
        instance_profile: answered,
    })
}

pub(crate) async fn get_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: GetInstanceProfileInput,
) -> Result<GetInstanceProfileOutput, Error> {
    let profile = access::instance_profile(cx, &input.instance_profile_name, Asking::NOTHING).await?;
    let mut answered = listed(&rows(cx), &profile).await?;
    answered.tags = answer::tags(&profile.tags);
    Ok(GetInstanceProfileOutput {
        instance_profile: answered,
    })
}

pub(crate) async fn list_instance_profiles(
    _iam: &Iam,
    cx: &Cx,
    input: ListInstanceProfilesInput,
) -> Result<ListInstanceProfilesOutput, Error> {
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let paging = Paging::new(
        "ListInstanceProfiles",
        prefix,
        input.marker.as_deref(),
        input.max_items,
    )?;
    access::list(cx, "instance-profile", prefix).await?;

    let rows = rows(cx);
    let page = paging
        .names(&rows, &INSTANCE_PROFILES, |profile| {
            profile.path.starts_with(prefix)
        })
        .await?;
    let mut instance_profiles = Vec::with_capacity(page.items.len());
    for profile in &page.items {
        instance_profiles.push(listed(&rows, profile).await?);
    }
    Ok(ListInstanceProfilesOutput {
        instance_profiles,
        is_truncated: page.is_truncated(),
        marker: page.marker,
    })
}

pub(crate) async fn list_instance_profiles_for_role(
    _iam: &Iam,
    cx: &Cx,
    input: ListInstanceProfilesForRoleInput,
) -> Result<ListInstanceProfilesForRoleOutput, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    let paging = Paging::new(
        "ListInstanceProfilesForRole",
        &role.id,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let rows = rows(cx);
    let profiles = rows.profiles_of(&role).await?;
    let page = paging.of(profiles.into_iter().map(|profile| (fold(&profile.name), profile)));
    let mut instance_profiles = Vec::with_capacity(page.items.len());
    for profile in &page.items {
        instance_profiles.push(listed(&rows, profile).await?);
    }
    Ok(ListInstanceProfilesForRoleOutput {
        instance_profiles,
        is_truncated: page.is_truncated(),
        marker: page.marker,
    })
}

/// Puts a role into a profile. The caller must be allowed to pass the role:
/// whoever starts a machine with the profile acts as the role.
///
/// # Errors
///
/// [`Error::LimitExceeded`] if a role is in it, be it the same.
pub(crate) async fn add_role_to_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: AddRoleToInstanceProfileInput,
) -> Result<Unit, Error> {
    let profile = access::instance_profile(cx, &input.instance_profile_name, Asking::NOTHING).await?;
    let role = access::passed_role(cx, &input.role_name, PASSED_TO).await?;
    role.changeable()?;
    if profile.role_id.is_some() {
        return Err(Error::LimitExceeded(
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1".to_owned(),
        ));
    }
    let profile = profile.map(|profile| InstanceProfile {
        role_id: Some(role.id.clone()),
        ..(*profile).clone()
    });
    store::write(cx, |tx| store::put_role_into_profile(tx, &profile, &role)).await?;
    Ok(Unit)
}

pub(crate) async fn remove_role_from_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: RemoveRoleFromInstanceProfileInput,
) -> Result<Unit, Error> {
    let profile = access::instance_profile(cx, &input.instance_profile_name, Asking::NOTHING).await?;
    let held = rows(cx).role_in(&profile).await?;
    let role = held
        .filter(|role| fold(&role.name) == fold(&input.role_name))
        .ok_or_else(|| Error::Missing {
            noun: "role",
            name: input.role_name.clone(),
        })?;
    let profile = profile.map(|profile| InstanceProfile {
        role_id: None,
        ..(*profile).clone()
    });
    store::write(cx, |tx| {
        store::take_role_out_of_profile(tx, &profile, &role.id);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn delete_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteInstanceProfileInput,
) -> Result<Unit, Error> {
    let profile = access::instance_profile(cx, &input.instance_profile_name, Asking::NOTHING).await?;
    if profile.role_id.is_some() {
        return Err(Error::DeleteConflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    let mut summary = rows(cx).summary().await?;
    summary.instance_profiles = summary.instance_profiles.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_instance_profile(tx, &profile);
    })
    .await?;
    Ok(Unit)
}
