//! Tags of users, roles, managed policies, instance profiles and MFA devices;
//! those of providers are with the providers.

use gate::Cx;
use iam_api::{
    ListInstanceProfileTagsInput, ListInstanceProfileTagsOutput, ListMFADeviceTagsInput,
    ListMFADeviceTagsOutput, ListPolicyTagsInput, ListPolicyTagsOutput, ListRoleTagsInput,
    ListRoleTagsOutput, ListUserTagsInput, ListUserTagsOutput, Tag, TagInstanceProfileInput,
    TagMFADeviceInput, TagPolicyInput, TagRoleInput, TagUserInput, UntagInstanceProfileInput,
    UntagMFADeviceInput, UntagPolicyInput, UntagRoleInput, UntagUserInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::model::{CaseOfKeys, InstanceProfile, ManagedPolicy, MfaDevice, Role, Tags, User};
use crate::ops::answer;
use crate::ops::page::{Listed, Paging};
use crate::store::{self, Policy};

/// What a request to add tags says.
pub(crate) fn adding(tags: &Tags) -> Asking<'_> {
    Asking {
        tags: Some(tags),
        ..Asking::NOTHING
    }
}

/// What a request to remove tags says.
pub(crate) fn removing(keys: &[String]) -> Asking<'_> {
    Asking {
        tag_keys: keys,
        ..Asking::NOTHING
    }
}

pub(crate) async fn tag_user(_iam: &Iam, cx: &Cx, input: TagUserInput) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Ignored)?;
    let user = access::user(cx, &input.user_name, adding(&given)).await?;
    let mut tags = user.tags.clone();
    tags.add(given, CaseOfKeys::Ignored)?;
    let user = user.map(|user| User {
        tags,
        ..(*user).clone()
    });
    store::write(cx, |tx| store::put_user(tx, &user)).await?;
    Ok(Unit)
}

pub(crate) async fn untag_user(_iam: &Iam, cx: &Cx, input: UntagUserInput) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, removing(&input.tag_keys)).await?;
    let mut tags = user.tags.clone();
    tags.remove(&input.tag_keys, CaseOfKeys::Ignored);
    let user = user.map(|user| User {
        tags,
        ..(*user).clone()
    });
    store::write(cx, |tx| store::put_user(tx, &user)).await?;
    Ok(Unit)
}

pub(crate) async fn list_user_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListUserTagsInput,
) -> Result<ListUserTagsOutput, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let listed = list(&user.id, &user.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListUserTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn tag_role(_iam: &Iam, cx: &Cx, input: TagRoleInput) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Ignored)?;
    let role = access::role(cx, &input.role_name, adding(&given)).await?;
    let mut tags = role.tags.clone();
    tags.add(given, CaseOfKeys::Ignored)?;
    let role = role.map(|role| Role {
        tags,
        ..(*role).clone()
    });
    store::write(cx, |tx| store::put_role(tx, &role)).await?;
    Ok(Unit)
}

pub(crate) async fn untag_role(_iam: &Iam, cx: &Cx, input: UntagRoleInput) -> Result<Unit, Error> {
    let role = access::role(cx, &input.role_name, removing(&input.tag_keys)).await?;
    let mut tags = role.tags.clone();
    tags.remove(&input.tag_keys, CaseOfKeys::Ignored);
    let role = role.map(|role| Role {
        tags,
        ..(*role).clone()
    });
    store::write(cx, |tx| store::put_role(tx, &role)).await?;
    Ok(Unit)
}

pub(crate) async fn list_role_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListRoleTagsInput,
) -> Result<ListRoleTagsOutput, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    let listed = list(&role.id, &role.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListRoleTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn tag_policy(_iam: &Iam, cx: &Cx, input: TagPolicyInput) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Matters)?;
    let policy = access::own_policy(cx, &input.policy_arn, adding(&given)).await?;
    let mut tags = policy.tags.clone();
    tags.add(given, CaseOfKeys::Matters)?;
    let policy = policy.map(|policy| ManagedPolicy {
        tags,
        ..(*policy).clone()
    });
    store::write(cx, |tx| store::put_policy(tx, &policy)).await?;
    Ok(Unit)
}

pub(crate) async fn untag_policy(_iam: &Iam, cx: &Cx, input: UntagPolicyInput) -> Result<Unit, Error> {
    let policy = access::own_policy(cx, &input.policy_arn, removing(&input.tag_keys)).await?;
    let mut tags = policy.tags.clone();
    tags.remove(&input.tag_keys, CaseOfKeys::Matters);
    let policy = policy.map(|policy| ManagedPolicy {
        tags,
        ..(*policy).clone()
    });
    store::write(cx, |tx| store::put_policy(tx, &policy)).await?;
    Ok(Unit)
}

pub(crate) async fn list_policy_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListPolicyTagsInput,
) -> Result<ListPolicyTagsOutput, Error> {
    let policy = access::policy(cx, &input.policy_arn, Asking::NOTHING).await?;
    let none = Tags::default();
    let tags = match &*policy {
        Policy::Aws(_) => &none,
        Policy::Own(policy) => &policy.tags,
    };
    let listed = list(&input.policy_arn, tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListPolicyTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn tag_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: TagInstanceProfileInput,
) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Matters)?;
    let profile = access::instance_profile(cx, &input.instance_profile_name, adding(&given)).await?;
    let mut tags = profile.tags.clone();
    tags.add(given, CaseOfKeys::Matters)?;
    let profile = profile.map(|profile| InstanceProfile {
        tags,
        ..(*profile).clone()
    });
    store::write(cx, |tx| store::put_instance_profile(tx, &profile)).await?;
    Ok(Unit)
}

pub(crate) async fn untag_instance_profile(
    _iam: &Iam,
    cx: &Cx,
    input: UntagInstanceProfileInput,
) -> Result<Unit, Error> {
    let asking = removing(&input.tag_keys);
    let profile = access::instance_profile(cx, &input.instance_profile_name, asking).await?;
    let mut tags = profile.tags.clone();
    tags.remove(&input.tag_keys, CaseOfKeys::Matters);
    let profile = profile.map(|profile| InstanceProfile {
        tags,
        ..(*profile).clone()
    });
    store::write(cx, |tx| store::put_instance_profile(tx, &profile)).await?;
    Ok(Unit)
}

pub(crate) async fn list_instance_profile_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListInstanceProfileTagsInput,
) -> Result<ListInstanceProfileTagsOutput, Error> {
    let profile = access::instance_profile(cx, &input.instance_profile_name, Asking::NOTHING).await?;
    let listed = list(
        &profile.id,
        &profile.tags,
        input.marker.as_deref(),
        input.max_items,
    )?;
    Ok(ListInstanceProfileTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn tag_mfa_device(_iam: &Iam, cx: &Cx, input: TagMFADeviceInput) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Matters)?;
    let device = access::mfa_device(cx, &input.serial_number, adding(&given)).await?;
    let mut tags = device.tags.clone();
    tags.add(given, CaseOfKeys::Matters)?;
    let device = device.map(|device| MfaDevice {
        tags,
        ..(*device).clone()
    });
    store::write(cx, |tx| store::put_mfa_device(tx, &device)).await?;
    Ok(Unit)
}

pub(crate) async fn untag_mfa_device(_iam: &Iam, cx: &Cx, input: UntagMFADeviceInput) -> Result<Unit, Error> {
    let device = access::mfa_device(cx, &input.serial_number, removing(&input.tag_keys)).await?;
    let mut tags = device.tags.clone();
    tags.remove(&input.tag_keys, CaseOfKeys::Matters);
    let device = device.map(|device| MfaDevice {
        tags,
        ..(*device).clone()
    });
    store::write(cx, |tx| store::put_mfa_device(tx, &device)).await?;
    Ok(Unit)
}

pub(crate) async fn list_mfa_device_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListMFADeviceTagsInput,
) -> Result<ListMFADeviceTagsOutput, Error> {
    let device = access::mfa_device(cx, &input.serial_number, Asking::NOTHING).await?;
    let listed = list(
        &input.serial_number,
        &device.tags,
        input.marker.as_deref(),
        input.max_items,
    )?;
    Ok(ListMFADeviceTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}

/// Tags by key.
pub(crate) fn list(
    of: &str,
    tags: &Tags,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Result<Listed<Tag>, Error> {
    let paging = Paging::new("ListTags", of, marker, max_items)?;
    let mut sorted: Vec<_> = tags
        .iter()
        .map(|tag| (page_key(&tag.key), answer::tag(tag)))
        .collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(paging.of(sorted))
}

/// A key of 128 characters may have 512 bytes, too many for a marker; its
/// beginning sorts it and its digest tells it from others.
fn page_key(key: &str) -> String {
    let start: String = key.chars().take(32).collect();
    format!("{start} {}", crate::ops::page::digest(key))
}
