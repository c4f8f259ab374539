//! Managed policies, groups, users with their access keys, and roles.

use std::collections::BTreeMap;

use anyhow::Result;
use iam_api as api;
use toml::Spanned;

use super::document::{AccountSeed, GroupSeed, PolicySeed, RoleSeed, UserSeed};
use super::item::{Item, same_document};

/// Who has policies: the three sorts that have operations of their own for it.
#[derive(Clone, Copy)]
enum Holder<'a> {
    Group(&'a str),
    Role(&'a str),
    User(&'a str),
}

/// Whoever can be named by a policy, but for roles.
pub(super) async fn policies_groups_and_users(account: &Item<'_>, seed: &AccountSeed) -> Result<()> {
    for policy in &seed.policy {
        managed_policy(&account.of("policy", &policy.name), policy).await?;
    }
    for wanted in &seed.group {
        group(&account.of("group", &wanted.name), wanted).await?;
    }
    for wanted in &seed.user {
        user(&account.of("user", &wanted.name), wanted).await?;
    }
    Ok(())
}

/// Roles, whose trust policies may name users, and roles before them.
pub(super) async fn roles(account: &Item<'_>, seed: &AccountSeed) -> Result<()> {
    for wanted in &seed.role {
        role(&account.of("role", &wanted.name), wanted).await?;
    }
    Ok(())
}

async fn managed_policy(item: &Item<'_>, seed: &PolicySeed) -> Result<()> {
    let name = seed.name.get_ref();
    let path = seed.path.as_deref().unwrap_or("/");
    let arn = format!("arn:aws:iam::{}:policy{path}{name}", item.account);
    let found = item
        .look::<api::GetPolicy>(|| api::GetPolicyInput {
            policy_arn: arn.clone(),
        })
        .await?;
    let Some(found) = found.and_then(|found| found.policy) else {
        item.call::<api::CreatePolicy>(|| api::CreatePolicyInput {
            policy_name: name.clone(),
            path: seed.path.clone(),
            policy_document: seed.document.clone(),
            description: seed.description.clone(),
            tags: tags(&seed.tags),
        })
        .await?;
        return Ok(());
    };
    item.same(
        "description",
        seed.description.as_ref(),
        found.description.as_ref(),
    )?;
    item.same_tags(&seed.tags, pairs(found.tags.as_deref()))?;
    let version = found.default_version_id.unwrap_or_default();
    let version = item
        .call::<api::GetPolicyVersion>(|| api::GetPolicyVersionInput {
            policy_arn: arn.clone(),
            version_id: version.clone(),
        })
        .await?;
    let document = version.policy_version.and_then(|version| version.document);
    same_answered(item, "document", &seed.document, document.as_deref())
}

async fn group(item: &Item<'_>, seed: &GroupSeed) -> Result<()> {
    let name = seed.name.get_ref();
    let found = item
        .look::<api::GetGroup>(|| api::GetGroupInput {
            group_name: name.clone(),
            ..api::GetGroupInput::default()
        })
        .await?;
    match found {
        None => {
            item.call::<api::CreateGroup>(|| api::CreateGroupInput {
                path: seed.path.clone(),
                group_name: name.clone(),
            })
            .await?;
        }
        Some(found) => item.same("path", seed.path.as_ref(), Some(&found.group.path))?,
    }
    policies(item, Holder::Group(name), &seed.attached, &seed.inline).await
}

async fn user(item: &Item<'_>, seed: &UserSeed) -> Result<()> {
    let name = seed.name.get_ref();
    let found = item
        .look::<api::GetUser>(|| api::GetUserInput {
            user_name: Some(name.clone()),
        })
        .await?;
    match found {
        None => {
            item.call::<api::CreateUser>(|| api::CreateUserInput {
                path: seed.path.clone(),
                user_name: name.clone(),
                permissions_boundary: seed.boundary.clone(),
                tags: tags(&seed.tags),
            })
            .await?;
        }
        Some(found) => {
            let found = found.user;
            item.same("path", seed.path.as_ref(), Some(&found.path))?;
            same_boundary(item, seed.boundary.as_ref(), found.permissions_boundary)?;
            item.same_tags(&seed.tags, pairs(found.tags.as_deref()))?;
        }
    }
    policies(item, Holder::User(name), &seed.attached, &seed.inline).await?;
    for group in &seed.groups {
        item.part(&format!("membership in {}", group.get_ref()), group)
            .call::<api::AddUserToGroup>(|| api::AddUserToGroupInput {
                group_name: group.get_ref().clone(),
                user_name: name.clone(),
            })
            .await?;
    }
    for key in &seed.access_key {
        let id = key.id.get_ref();
        iam::bootstrap_access_key(&item.door.set_up(), item.account, name, id, &key.secret.0)
            .await
            .map_err(|error| item.part("an access key", &key.id).problem(error))?;
    }
    Ok(())
}

async fn role(item: &Item<'_>, seed: &RoleSeed) -> Result<()> {
    let name = seed.name.get_ref();
    let found = item
        .look::<api::GetRole>(|| api::GetRoleInput {
            role_name: name.clone(),
        })
        .await?;
    match found {
        None => {
            item.call::<api::CreateRole>(|| api::CreateRoleInput {
                path: seed.path.clone(),
                role_name: name.clone(),
                assume_role_policy_document: seed.trust.clone(),
                description: seed.description.clone(),
                max_session_duration: seed.max_session_seconds,
                permissions_boundary: seed.boundary.clone(),
                tags: tags(&seed.tags),
            })
            .await?;
        }
        Some(found) => {
            let found = found.role;
            item.same("path", seed.path.as_ref(), Some(&found.path))?;
            item.same(
                "description",
                seed.description.as_ref(),
                found.description.as_ref(),
            )?;
            item.same(
                "max_session_seconds",
                seed.max_session_seconds.as_ref(),
                found.max_session_duration.as_ref(),
            )?;
            same_boundary(item, seed.boundary.as_ref(), found.permissions_boundary)?;
            item.same_tags(&seed.tags, pairs(found.tags.as_deref()))?;
            let trust = found.assume_role_policy_document;
            same_answered(item, "trust policy", &seed.trust, trust.as_deref())?;
        }
    }
    policies(item, Holder::Role(name), &seed.attached, &seed.inline).await
}

/// Attaches managed policies (which is no change where they are attached) and
/// writes inline policies that are not there.
async fn policies(
    item: &Item<'_>,
    holder: Holder<'_>,
    attached: &[Spanned<String>],
    inline: &BTreeMap<String, Spanned<String>>,
) -> Result<()> {
    for arn in attached {
        let item = item.part(&format!("attachment of {}", arn.get_ref()), arn);
        attach(&item, holder, arn.get_ref()).await?;
    }
    for (name, document) in inline {
        let item = item.part(&format!("inline policy {name}"), document);
        match inline_policy(&item, holder, name).await? {
            None => put_inline_policy(&item, holder, name, document.get_ref()).await?,
            Some(found) => same_answered(&item, "document", document.get_ref(), Some(&found))?,
        }
    }
    Ok(())
}

async fn attach(item: &Item<'_>, holder: Holder<'_>, arn: &str) -> Result<()> {
    match holder {
        Holder::Group(name) => {
            item.call::<api::AttachGroupPolicy>(|| api::AttachGroupPolicyInput {
                group_name: name.to_owned(),
                policy_arn: arn.to_owned(),
            })
            .await?;
        }
        Holder::Role(name) => {
            item.call::<api::AttachRolePolicy>(|| api::AttachRolePolicyInput {
                role_name: name.to_owned(),
                policy_arn: arn.to_owned(),
            })
            .await?;
        }
        Holder::User(name) => {
            item.call::<api::AttachUserPolicy>(|| api::AttachUserPolicyInput {
                user_name: name.to_owned(),
                policy_arn: arn.to_owned(),
            })
            .await?;
        }
    }
    Ok(())
}

async fn inline_policy(item: &Item<'_>, holder: Holder<'_>, policy: &str) -> Result<Option<String>> {
    Ok(match holder {
        Holder::Group(name) => item
            .look::<api::GetGroupPolicy>(|| api::GetGroupPolicyInput {
                group_name: name.to_owned(),
                policy_name: policy.to_owned(),
            })
            .await?
            .map(|found| found.policy_document),
        Holder::Role(name) => item
            .look::<api::GetRolePolicy>(|| api::GetRolePolicyInput {
                role_name: name.to_owned(),
                policy_name: policy.to_owned(),
            })
            .await?
            .map(|found| found.policy_document),
        Holder::User(name) => item
            .look::<api::GetUserPolicy>(|| api::GetUserPolicyInput {
                user_name: name.to_owned(),
                policy_name: policy.to_owned(),
            })
            .await?
            .map(|found| found.policy_document),
    })
}

async fn put_inline_policy(item: &Item<'_>, holder: Holder<'_>, policy: &str, document: &str) -> Result<()> {
    let (policy, document) = (policy.to_owned(), document.to_owned());
    match holder {
        Holder::Group(name) => {
            item.call::<api::PutGroupPolicy>(|| api::PutGroupPolicyInput {
                group_name: name.to_owned(),
                policy_name: policy.clone(),
                policy_document: document.clone(),
            })
            .await?;
        }
        Holder::Role(name) => {
            item.call::<api::PutRolePolicy>(|| api::PutRolePolicyInput {
                role_name: name.to_owned(),
                policy_name: policy.clone(),
                policy_document: document.clone(),
            })
            .await?;
        }
        Holder::User(name) => {
            item.call::<api::PutUserPolicy>(|| api::PutUserPolicyInput {
                user_name: name.to_owned(),
                policy_name: policy.clone(),
                policy_document: document.clone(),
            })
            .await?;
        }
    }
    Ok(())
}

/// Compares a document with one that IAM answered, percent-encoded.
fn same_answered(item: &Item<'_>, what: &str, wanted: &str, answered: Option<&str>) -> Result<()> {
    let answered = answered.unwrap_or_default();
    let found = percent_encoding::percent_decode_str(answered).decode_utf8_lossy();
    if same_document(wanted, &found) {
        Ok(())
    } else {
        Err(item.differs(what))
    }
}

fn same_boundary(
    item: &Item<'_>,
    wanted: Option<&String>,
    found: Option<api::AttachedPermissionsBoundary>,
) -> Result<()> {
    let found = found.and_then(|boundary| boundary.permissions_boundary_arn);
    item.same("boundary", wanted, found.as_ref())
}

fn tags(wanted: &BTreeMap<String, String>) -> Option<Vec<api::Tag>> {
    let tags = wanted.iter().map(|(key, value)| api::Tag {
        key: key.clone(),
        value: value.clone(),
    });
    (!wanted.is_empty()).then(|| tags.collect())
}

fn pairs(tags: Option<&[api::Tag]>) -> impl Iterator<Item = (&str, &str)> {
    let tags = tags.unwrap_or_default().iter();
    tags.map(|tag| (tag.key.as_str(), tag.value.as_str()))
}
