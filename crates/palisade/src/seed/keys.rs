//! KMS keys with fixed ids.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::Secret;
use kms_api as api;

use super::document::{AccountSeed, KeySeed};
use super::item::{Item, same_document};

/// The account's keys, each with its tags, aliases and policy.
pub(super) async fn keys(account: &Item<'_>, seed: &AccountSeed) -> Result<()> {
    for wanted in &seed.key {
        let region = wanted.region.clone().unwrap_or_else(|| account.region.clone());
        let item = Item {
            region,
            ..account.of("key", &wanted.id)
        };
        key(&item, wanted).await?;
    }
    Ok(())
}

async fn key(item: &Item<'_>, seed: &KeySeed) -> Result<()> {
    let id = seed.id.get_ref();
    let material = match &seed.material {
        Some(text) => {
            let bytes = STANDARD.decode(text.0.expose());
            Some(Secret::new(
                bytes.map_err(|_| item.problem("material is not base64"))?,
            ))
        }
        None => None,
    };
    let wanted = kms::FixedKey {
        account: item.account,
        region: &item.region,
        id,
        spec: &seed.spec,
        usage: seed.usage.as_deref(),
        description: &seed.description,
        material: material.as_ref(),
    };
    kms::bootstrap_key(&item.door.set_up(), &wanted)
        .await
        .map_err(|error| item.problem(error))?;
    tags(item, id, seed).await?;
    aliases(item, id, seed).await?;
    // Last, since it may take the root user's other permissions away.
    policy(item, id, seed).await
}

async fn tags(item: &Item<'_>, id: &str, seed: &KeySeed) -> Result<()> {
    if seed.tags.is_empty() {
        return Ok(());
    }
    let found = item
        .call::<api::ListResourceTags>(|| api::ListResourceTagsInput {
            key_id: id.to_owned(),
            limit: Some(50),
            ..api::ListResourceTagsInput::default()
        })
        .await?
        .tags
        .unwrap_or_default();
    let value_of = |key: &str| {
        found
            .iter()
            .find(|tag| tag.tag_key == key)
            .map(|tag| &tag.tag_value)
    };
    let mut missing = Vec::new();
    for (key, value) in &seed.tags {
        match value_of(key) {
            None => missing.push((key, value)),
            Some(found) if found == value => {}
            Some(_) => return Err(item.differs(&format!("value of the tag {key:?}"))),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    item.call::<api::TagResource>(|| api::TagResourceInput {
        key_id: id.to_owned(),
        tags: missing
            .iter()
            .map(|(key, value)| api::Tag {
                tag_key: (*key).clone(),
                tag_value: (*value).clone(),
            })
            .collect(),
    })
    .await?;
    Ok(())
}

async fn aliases(item: &Item<'_>, id: &str, seed: &KeySeed) -> Result<()> {
    for alias in &seed.aliases {
        let name = alias.get_ref();
        let item = item.part(&format!("alias {name}"), alias);
        let found = item
            .look::<api::DescribeKey>(|| api::DescribeKeyInput {
                key_id: name.clone(),
                ..api::DescribeKeyInput::default()
            })
            .await?;
        match found.and_then(|found| found.key_metadata) {
            Some(found) if found.key_id == id => {}
            Some(found) => return Err(item.differs(&format!("key, {}", found.key_id))),
            None => {
                item.call::<api::CreateAlias>(|| api::CreateAliasInput {
                    alias_name: name.clone(),
                    target_key_id: id.to_owned(),
                })
                .await?;
            }
        }
    }
    Ok(())
}

/// Writes the policy over the one that every key is made with; another one is
/// somebody's choice and contradicts.
async fn policy(item: &Item<'_>, id: &str, seed: &KeySeed) -> Result<()> {
    let Some(wanted) = &seed.policy else {
        return Ok(());
    };
    let found = item
        .call::<api::GetKeyPolicy>(|| api::GetKeyPolicyInput {
            key_id: id.to_owned(),
            ..api::GetKeyPolicyInput::default()
        })
        .await?
        .policy
        .unwrap_or_default();
    if same_document(wanted, &found) {
        return Ok(());
    }
    if !kms::is_default_policy(item.account, &found) {
        return Err(item.differs("policy"));
    }
    item.call::<api::PutKeyPolicy>(|| api::PutKeyPolicyInput {
        key_id: id.to_owned(),
        policy: wanted.clone(),
        ..api::PutKeyPolicyInput::default()
    })
    .await?;
    Ok(())
}
