//! From records to answers.

use ground::AccountId;
use iam_api as api;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::last_used::LastUse;
use crate::model::{Group, InstanceProfile, ManagedPolicy, PolicyVersion, Role, Tags, User, Uses};
use crate::{aws_managed, model};

/// Everything but RFC 3986's unreserved characters is encoded, as IAM encodes documents.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A document as IAM answers it: percent-encoded, a space as `%20`.
pub(crate) fn encoded(document: &str) -> String {
    utf8_percent_encode(document, ENCODED).to_string()
}

/// Tags as answered; `None` where there is none.
pub(crate) fn tags(tags: &Tags) -> Option<Vec<api::Tag>> {
    (!tags.is_empty()).then(|| tags.iter().map(tag).collect())
}

/// One tag as answered.
pub(crate) fn tag(tag: &model::Tag) -> api::Tag {
    api::Tag {
        key: tag.key.clone(),
        value: tag.value.clone(),
    }
}

/// Tags as asked for.
pub(crate) fn tags_of(tags: Option<Vec<api::Tag>>) -> Vec<model::Tag> {
    tags.unwrap_or_default()
        .into_iter()
        .map(|api::Tag { key, value }| model::Tag { key, value })
        .collect()
}

fn boundary(arn: Option<&String>) -> Option<api::AttachedPermissionsBoundary> {
    Some(api::AttachedPermissionsBoundary {
        permissions_boundary_type: Some(api::PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
        permissions_boundary_arn: Some(arn?.clone()),
    })
}

/// A user in a list: without boundary and tags.
pub(crate) fn listed_user(account: AccountId, user: &User) -> api::User {
    api::User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.id.clone(),
        arn: user.arn(account),
        create_date: user.created,
        password_last_used: None,
        permissions_boundary: None,
        tags: None,
    }
}

/// A user by itself.
pub(crate) fn user(account: AccountId, user: &User) -> api::User {
    api::User {
        permissions_boundary: boundary(user.boundary.as_ref()),
        tags: tags(&user.tags),
        ..listed_user(account, user)
    }
}

/// A role in a list: without boundary and tags. `trust` is its trust policy as it reads today.
pub(crate) fn listed_role(account: AccountId, role: &Role, trust: &str) -> api::Role {
    api::Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.id.clone(),
        arn: role.arn(account),
        create_date: role.created,
        assume_role_policy_document: Some(encoded(trust)),
        description: role.description.clone(),
        max_session_duration: i32::try_from(role.max_session_seconds).ok(),
        permissions_boundary: None,
        tags: None,
        role_last_used: None,
        source_role_template: None,
    }
}

/// A role by itself.
pub(crate) fn role(account: AccountId, role: &Role, trust: &str) -> api::Role {
    api::Role {
        permissions_boundary: boundary(role.boundary.as_ref()),
        tags: tags(&role.tags),
        ..listed_role(account, role, trust)
    }
}

/// The role in an instance profile: without description and session duration.
pub(crate) fn role_of_profile(account: AccountId, role: &Role, trust: &str) -> api::Role {
    api::Role {
        description: None,
        max_session_duration: None,
        ..listed_role(account, role, trust)
    }
}

/// When a role was last used; empty if it never was.
pub(crate) fn role_last_used(last: Option<LastUse>) -> api::RoleLastUsed {
    api::RoleLastUsed {
        last_used_date: last.as_ref().map(|last| last.at),
        region: last.map(|last| last.region),
    }
}

/// An instance profile, without its tags.
pub(crate) fn instance_profile(
    account: AccountId,
    profile: &InstanceProfile,
    role: Option<api::Role>,
) -> api::InstanceProfile {
    api::InstanceProfile {
        path: profile.path.clone(),
        instance_profile_name: profile.name.clone(),
        instance_profile_id: profile.id.clone(),
        arn: profile.arn(account),
        create_date: profile.created,
        roles: role.into_iter().collect(),
        tags: None,
    }
}

/// A group.
pub(crate) fn group(account: AccountId, group: &Group) -> api::Group {
    api::Group {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.id.clone(),
        arn: group.arn(account),
        create_date: group.created,
    }
}

/// A managed policy in a list: without description and tags.
pub(crate) fn listed_policy(account: AccountId, policy: &ManagedPolicy, uses: Uses) -> api::Policy {
    api::Policy {
        policy_name: Some(policy.name.clone()),
        policy_id: Some(policy.id.clone()),
        arn: Some(policy.arn(account)),
        path: Some(policy.path.clone()),
        default_version_id: Some(format!("v{}", policy.default_version)),
        attachment_count: i32::try_from(uses.permissions).ok(),
        permissions_boundary_usage_count: i32::try_from(uses.boundary).ok(),
        is_attachable: Some(true),
        description: None,
        create_date: Some(policy.created),
        update_date: Some(policy.updated),
        tags: None,
    }
}

/// A managed policy by itself.
pub(crate) fn policy(account: AccountId, policy: &ManagedPolicy, uses: Uses) -> api::Policy {
    api::Policy {
        description: policy.description.clone(),
        tags: tags(&policy.tags),
        ..listed_policy(account, policy, uses)
    }
}

/// A managed policy of AWS in a list.
pub(crate) fn listed_aws_policy(policy: &aws_managed::Policy, uses: Uses) -> api::Policy {
    api::Policy {
        policy_name: Some(policy.name.to_owned()),
        policy_id: Some(policy.id()),
        arn: Some(policy.arn()),
        path: Some(policy.path.to_owned()),
        default_version_id: Some(aws_managed::VERSION.to_owned()),
        attachment_count: i32::try_from(uses.permissions).ok(),
        permissions_boundary_usage_count: i32::try_from(uses.boundary).ok(),
        is_attachable: Some(true),
        description: None,
        create_date: Some(aws_managed::CREATED),
        update_date: Some(aws_managed::CREATED),
        tags: None,
    }
}

/// A managed policy of AWS by itself.
pub(crate) fn aws_policy(policy: &aws_managed::Policy, uses: Uses) -> api::Policy {
    api::Policy {
        description: Some(policy.description.to_owned()),
        ..listed_aws_policy(policy, uses)
    }
}

/// A version of a managed policy, with its document.
pub(crate) fn version(number: u64, version: &PolicyVersion, is_default: bool) -> api::PolicyVersion {
    api::PolicyVersion {
        document: Some(encoded(version.document.as_str())),
        ..listed_version(number, version, is_default)
    }
}

/// A version of a managed policy in a list: without its document.
pub(crate) fn listed_version(number: u64, version: &PolicyVersion, is_default: bool) -> api::PolicyVersion {
    api::PolicyVersion {
        document: None,
        version_id: Some(format!("v{number}")),
        is_default_version: Some(is_default),
        create_date: Some(version.created),
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    proptest! {
        /// One decode gives the document back byte for byte, percent signs and all.
        #[test]
        fn documents_survive_the_round_trip(text in "\\PC{0,80}") {
            let encoded = super::encoded(&text);
            prop_assert!(!encoded.contains([' ', '+', '"']));
            prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), text);
        }
    }
}
