//! `DescribeKey`, which also brings AWS managed keys into being.

use std::collections::BTreeSet;
use std::sync::Arc;

use crypto::key::{BackingKey, KeySpec};
use gate::{Cx, Permit};
use kms_api::{DescribeKeyInput, DescribeKeyOutput};

use crate::access::{Named, Sought};
use crate::error::Error;
use crate::model::generation::{RotationPeriod, Schedule};
use crate::model::{AliasName, Key, KeyId, KeyName, Managed, Manager, MaterialId, Purpose, Target};
use crate::ops::grant_token;
use crate::ops::metadata::metadata;
use crate::{Kms, access, store};

/// Tells everything about a key but its policy, tags and material.
///
/// Sought by the alias of an AWS managed key that is not there yet, the key is
/// made: so services come by theirs, and so may anyone whom its policy lets.
///
/// # Errors
///
/// [`Error::KeyNotFound`] and its kin, [`Error::Denied`].
///
/// Source: KMS API Reference, `DescribeKey`, `KeyId`.
pub async fn describe_key(_kms: &Kms, cx: &Cx, input: DescribeKeyInput) -> Result<DescribeKeyOutput, Error> {
    grant_token::check(cx, input.grant_tokens.as_deref())?;
    let key = match store::key_or_alias(cx, &input.key_id).await {
        Err(Error::AliasNotFound(arn)) => match predefined(cx, &input.key_id)? {
            Some((alias, managed)) => first_use(cx, alias, managed).await?,
            None => return Err(Error::AliasNotFound(arn)),
        },
        sought => access::key(cx, sought?).permit().await?,
    };
    Ok(DescribeKeyOutput {
        key_metadata: Some(metadata(&key)),
    })
}

/// The service whose key the text names, if it is one's alias.
fn predefined(cx: &Cx, text: &str) -> Result<Option<(AliasName, &'static Managed)>, Error> {
    Ok(match KeyName::parse(text, cx.region())?.target {
        Target::Alias(alias) => Managed::of(&alias).map(|managed| (alias, managed)),
        Target::Key(_) => None,
    })
}

/// Makes the key of a service in the caller's account and region.
async fn first_use(cx: &Cx, alias: AliasName, managed: &Managed) -> Result<Permit<Arc<Key>>, Error> {
    let id = KeyId::generate(cx.now(), cx.random());
    let material = MaterialId::generate(cx.random());
    let purpose = Purpose::SYMMETRIC;
    let key = Arc::new(Key {
        description: managed.description(),
        policy: managed.policy(cx.account(), cx.region()),
        manager: Manager::Aws,
        aliases: BTreeSet::from([alias.clone()]),
        schedule: Some(Schedule::from(cx.now(), RotationPeriod::new(None)?)),
        ..Key::fresh(cx.account(), cx.region(), id, purpose, material, cx.now())
    });
    let sought = Sought {
        arn: Arc::clone(key.shared_arn()),
        owner: key.account,
        found: Some((Arc::clone(&key), key.attached_policy()?)),
        named: Named::Alias(alias.clone()),
    };

    let permit = access::key(cx, sought).permit().await?;
    let backing = BackingKey::generate(KeySpec::SymmetricDefault, cx.random())?;
    let key = Key {
        sealed: Some(store::seal(cx, &key, &backing)?),
        ..Key::clone(&key)
    };
    cx.write(async |tx| {
        store::insert_managed(tx, &permit, &alias, &key).await?;
        Ok::<_, Error>(())
    })
    .await?;
    Ok(permit.map(|_| Arc::new(key)))
}
