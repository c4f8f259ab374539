//! `ReplicateKey` and `UpdatePrimaryRegion`.

use std::collections::BTreeSet;

use gate::Cx;
use ground::Region;
use kms_api::{ReplicateKeyInput, ReplicateKeyOutput, Tag, UpdatePrimaryRegionInput};
use shape::Unit;

use crate::error::Error;
use crate::model::{Demand, Key, KeyPolicy, KeyState, Origin, Tags, policy};
use crate::ops::key_policy::{bind, refuse_lockout};
use crate::ops::metadata::metadata;
use crate::{Kms, access, store};

/// Makes a related key in another region: the same id and material, with a
/// policy, tags and a description of its own. One with imported material waits
/// for its import.
///
/// # Errors
///
/// [`Error::NotPrimary`], [`Error::ReplicaRegion`], [`Error::ReplicaExists`];
/// [`Error::State`] unless the key is enabled; those of `CreateKey`.
pub async fn replicate_key(
    _kms: &Kms,
    cx: &Cx,
    input: ReplicateKeyInput,
) -> Result<ReplicateKeyOutput, Error> {
    let region = read_region(&input.replica_region)?;
    let tags = Tags::parse(input.tags.unwrap_or_default())?;
    let given = input.policy.map(policy::UnboundPolicy::parse).transpose()?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key)
        .with("kms:replicaregion", Some(region.to_string()))
        .permit()
        .await?;
    let bypass = input.bypass_policy_lockout_safety_check;
    let new = access::new_key(key.purpose, key.origin, &tags, bypass, Some("REPLICA")).doing("kms:CreateKey");
    let may_create = cx.authorize(new).await?;
    let mut related = key.check_primary()?.clone();
    key.check(Demand::Replicate)?;
    if region == key.region || partition(&region) != partition(&key.region) {
        return Err(Error::ReplicaRegion {
            region: region.to_string(),
        });
    }
    if !related.replicas.insert(region.clone()) {
        return Err(Error::ReplicaExists {
            id: key.id.to_string(),
            region: region.to_string(),
        });
    }
    let is_given = given.is_some();
    let policy = match given {
        Some(policy) => bind(cx, policy).await?,
        None => KeyPolicy::delegating(),
    };
    let mut replica = Key {
        region,
        created: cx.now(),
        description: input.description.unwrap_or_default(),
        policy,
        tags,
        aliases: BTreeSet::new(),
        granted: false,
        multi_region: Some(related),
        sealed: None,
        ..Key::clone(&key)
    };
    if !replica.tags.is_empty() {
        cx.authorize(access::new_tags(&replica)).await?;
    }
    if is_given {
        refuse_lockout(cx, &replica, &replica.policy, bypass).await?;
    }

    let mut earlier = Vec::new();
    match key.origin {
        Origin::AwsKms => {
            for generation in key.generations() {
                let id = generation.material;
                let backing = store::backing(cx, &key, &id).await?;
                let backing = backing.ok_or_else(|| Error::MaterialNotFound {
                    arn: key.arn(),
                    material: id.to_string(),
                })?;
                let sealed = store::seal_as(cx, &replica, &id, &backing)?;
                if id == replica.material {
                    replica.sealed = Some(sealed);
                } else {
                    earlier.push((id, sealed));
                }
            }
        }
        Origin::AwsCloudhsm | Origin::ExternalKeyStore => {
            return Err(Error::NotPrimary { arn: key.arn() });
        }
        Origin::External => {
            replica.state = KeyState::PendingImport;
            replica.wait_for_material();
        }
    }
    access::created(cx, &replica);
    let after = Key {
        multi_region: replica.multi_region.clone(),
        ..Key::clone(&key)
    };
    cx.write(async |tx| {
        // The rows of those that are there first: the new one has none yet.
        store::tell_related(tx, &key, |related| {
            related.follow(&after);
            Ok(())
        })
        .await?;
        store::update_key(tx, &key, &after);
        store::insert_replica(tx, &key, &may_create, &replica, &earlier);
        Ok::<_, Error>(())
    })
    .await?;
    let told = replica.tags.iter().map(|(key, value)| Tag {
        tag_key: key.to_owned(),
        tag_value: value.to_owned(),
    });
    Ok(ReplicateKeyOutput {
        replica_key_metadata: Some(metadata(&replica)),
        replica_policy: Some(
            replica
                .policy
                .text_with(replica.account, &std::collections::BTreeMap::new()),
        ),
        replica_tags: Some(told.collect()),
    })
}

/// Makes a replica the primary key, and the primary a replica.
///
/// # Errors
///
/// [`Error::NotPrimary`], [`Error::ReplicaRegion`]; [`Error::State`] unless
/// both are enabled.
pub async fn update_primary_region(
    _kms: &Kms,
    cx: &Cx,
    input: UpdatePrimaryRegionInput,
) -> Result<Unit, Error> {
    let region = read_region(&input.primary_region)?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key)
        .with("kms:primaryregion", Some(region.to_string()))
        .permit()
        .await?;
    key.check_primary()?;
    key.check(Demand::Replicate)?;
    if region == key.region {
        return Err(Error::ReplicaRegion {
            region: region.to_string(),
        });
    }
    let replica = store::related(cx, &key, &region).await?;
    let replica = access::key(cx, replica)
        .with("kms:primaryregion", Some(region.to_string()))
        .permit()
        .await?;
    replica.check(Demand::Replicate)?;

    let mut after = Key::clone(&key);
    if let Some(related) = &mut after.multi_region {
        related.promote(&region);
    }
    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        store::tell_related(tx, &after, |related| {
            related.follow(&after);
            Ok(())
        })
        .await
    })
    .await
    .map_err(Error::Store)?;
    Ok(Unit)
}

/// The partition that a region of this name belongs to on AWS: replicas do not
/// leave it.
///
/// Source: KMS API Reference, `ReplicateKey`, `ReplicaRegion`.
fn partition(region: &Region) -> &'static str {
    const OTHERS: [(&str, &str); 5] = [
        ("cn-", "aws-cn"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso", "aws-iso"),
        ("eusc-", "aws-eusc"),
    ];
    let found = OTHERS
        .iter()
        .find(|(prefix, _)| region.as_str().starts_with(prefix));
    found.map_or("aws", |(_, partition)| partition)
}

fn read_region(text: &str) -> Result<Region, Error> {
    Region::parse(text).map_err(|_| Error::ReplicaRegion {
        region: text.to_owned(),
    })
}
