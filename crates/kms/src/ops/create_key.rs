//! `CreateKey`. What is asked of a custom key store is in [`key_in_store`].

use std::sync::Arc;

use crypto::Random;
use crypto::key::{BackingKey, KeySpec};
use gate::Cx;
use kms_api::{CreateKeyInput, CreateKeyOutput, KeyUsageType};

use crate::access;
use crate::error::Error;
use crate::model::{
    Key, KeyId, KeyPolicy, KeyState, KeyUsage, MaterialId, MultiRegion, Origin, Purpose, Tags, policy,
};
use crate::ops::key_in_store;
use crate::ops::key_policy::{bind, refuse_lockout};
use crate::ops::metadata::metadata;
use crate::{Kms, store};

/// Creates a key: enabled, with material made here or in a custom key store, or
/// waiting for its import.
///
/// # Errors
///
/// What the account may not do, what does not fit together, and what is not
/// supported: see [`Error`].
pub async fn create_key(kms: &Kms, cx: &Cx, input: CreateKeyInput) -> Result<CreateKeyOutput, Error> {
    let (origin, wanted) = key_in_store::parse(
        input.origin,
        input.custom_key_store_id.as_deref(),
        input.xks_key_id.as_deref(),
    )?;
    let is_multi_region = input.multi_region == Some(true);
    let purpose = purpose(&input)?;
    if let Some(wanted) = &wanted {
        wanted.check(purpose, is_multi_region)?;
    }
    refuse_import_of(purpose.spec(), origin)?;
    let tags = Tags::parse(input.tags.unwrap_or_default())?;
    let given = input.policy.map(policy::UnboundPolicy::parse).transpose()?;

    let bypass = input.bypass_policy_lockout_safety_check;
    let may_create = cx
        .authorize(access::new_key(
            purpose,
            origin,
            &tags,
            bypass,
            is_multi_region.then_some("PRIMARY"),
        ))
        .await?;
    let place = match wanted {
        Some(wanted) => Some(wanted.find(cx, origin).await?),
        None => None,
    };
    let is_given = given.is_some();
    let policy = match given {
        Some(policy) => bind(cx, policy).await?,
        None => KeyPolicy::delegating(),
    };
    let id = if is_multi_region {
        KeyId::generate_multi_region(cx.now(), cx.random())
    } else {
        KeyId::generate(cx.now(), cx.random())
    };
    let material = MaterialId::generate(cx.random());
    let mut key = Key {
        description: input.description.unwrap_or_default(),
        state: match origin {
            Origin::AwsKms | Origin::AwsCloudhsm | Origin::ExternalKeyStore => KeyState::Enabled,
            Origin::External => KeyState::PendingImport,
        },
        policy,
        tags,
        multi_region: is_multi_region.then(|| MultiRegion::alone(cx.region().clone())),
        origin,
        custody: place.as_ref().map(|(_, custody)| custody.clone()),
        in_store: place.as_ref().map(|(store, _)| Arc::clone(store)),
        ..Key::fresh(cx.account(), cx.region(), id, purpose, material, cx.now())
    };
    if !key.tags.is_empty() {
        cx.authorize(access::new_tags(&key)).await?;
    }
    if is_given {
        refuse_lockout(cx, &key, &key.policy, bypass).await?;
    }

    if matches!(origin, Origin::AwsKms | Origin::ExternalKeyStore) {
        let backing = make(kms, purpose.spec(), cx.random()).await?;
        key.sealed = Some(store::seal(cx, &key, &backing)?);
    }
    // Before the write, whose intent must tell all that the record will.
    access::created(cx, &key);
    match &place {
        None => {
            cx.write(async |tx| {
                store::insert_key(tx, &may_create, &key);
                Ok::<_, Error>(())
            })
            .await?;
        }
        Some((keeper, custody)) => {
            key_in_store::prepare(kms, cx, keeper, &key).await?;
            key_in_store::write(kms, cx, &may_create, keeper, &key, custody).await?;
        }
    }
    Ok(CreateKeyOutput {
        key_metadata: Some(metadata(&key)),
    })
}

/// Material of the post-quantum specs is made here alone.
fn refuse_import_of(spec: KeySpec, origin: Origin) -> Result<(), Error> {
    let post_quantum = spec.as_str().starts_with("ML_");
    if post_quantum && origin == Origin::External {
        return Err(Error::Unsupported("Origin EXTERNAL for ML_DSA and ML_KEM keys"));
    }
    Ok(())
}

/// Spec and usage, as the request says or leaves out.
fn purpose(input: &CreateKeyInput) -> Result<Purpose, Error> {
    let name = match (input.key_spec, input.customer_master_key_spec) {
        (Some(_), Some(_)) => return Err(Error::BothKeySpecs),
        (Some(spec), None) => spec.as_str(),
        (None, Some(spec)) => spec.as_str(),
        (None, None) => KeySpec::SymmetricDefault.as_str(),
    };
    let spec = KeySpec::parse(name).ok_or(Error::Unsupported(name))?;
    let usage = input.key_usage.map(|usage| match usage {
        KeyUsageType::EncapsulateDecapsulate => KeyUsage::EncapsulateDecapsulate,
        KeyUsageType::EncryptDecrypt => KeyUsage::EncryptDecrypt,
        KeyUsageType::GenerateVerifyMac => KeyUsage::GenerateVerifyMac,
        KeyUsageType::KeyAgreement => KeyUsage::KeyAgreement,
        KeyUsageType::SignVerify => KeyUsage::SignVerify,
    });
    Purpose::new(spec, usage)
}

/// Makes the material. An RSA key takes from a tenth of a second to several
/// seconds of computing, so one that was made ahead is taken if there is one, and
/// else it is made on the blocking pool, in its turn.
pub(super) async fn make(kms: &Kms, spec: KeySpec, random: &Random) -> Result<BackingKey, Error> {
    let made = match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
            if let Some(ready) = kms.rsa_pool.take(spec, random) {
                return Ok(ready);
            }
            let turn = Arc::clone(&kms.rsa_turns).acquire_owned().await;
            let turn = turn.expect("the turns are never closed");
            let random = random.clone();
            tokio::task::spawn_blocking(move || {
                // Held by the work itself, which goes on if the caller has gone.
                let _turn = turn;
                BackingKey::generate(spec, &random)
            })
            .await?
        }
        KeySpec::EccNistP256
        | KeySpec::EccNistP384
        | KeySpec::EccNistP521
        | KeySpec::EccSecgP256K1
        | KeySpec::EccNistEdwards25519
        | KeySpec::MlDsa44
        | KeySpec::MlDsa65
        | KeySpec::MlDsa87
        | KeySpec::MlKem512
        | KeySpec::MlKem768
        | KeySpec::MlKem1024
        | KeySpec::SymmetricDefault
        | KeySpec::Hmac224
        | KeySpec::Hmac256
        | KeySpec::Hmac384
        | KeySpec::Hmac512 => BackingKey::generate(spec, random),
    };
    made.map_err(Error::Crypto)
}

#[cfg(test)]
mod tests {
    use kms_api::{CustomerMasterKeySpec, KeySpec as Spec};

    use super::*;

    fn input(key_spec: Option<Spec>, key_usage: Option<KeyUsageType>) -> CreateKeyInput {
        CreateKeyInput {
            key_spec,
            key_usage,
            ..CreateKeyInput::default()
        }
    }

    #[test]
    fn a_key_is_symmetric_unless_said() {
        assert_eq!(purpose(&input(None, None)).unwrap(), Purpose::SYMMETRIC);
        let twin = CreateKeyInput {
            customer_master_key_spec: Some(CustomerMasterKeySpec::SymmetricDefault),
            ..CreateKeyInput::default()
        };
        assert_eq!(purpose(&twin).unwrap(), Purpose::SYMMETRIC);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let both = CreateKeyInput {
            key_spec: Some(Spec::SymmetricDefault),
            customer_master_key_spec: Some(CustomerMasterKeySpec::SymmetricDefault),
            ..CreateKeyInput::default()
        };
        assert!(matches!(purpose(&both), Err(Error::BothKeySpecs)));
        assert!(matches!(
            purpose(&input(Some(Spec::Hmac256), None)),
            Err(Error::UsageMissing)
        ));
        let cases = [
            (Spec::EccNistP256, KeyUsageType::EncryptDecrypt),
            (Spec::EccSecgP256k1, KeyUsageType::KeyAgreement),
            (Spec::MlDsa44, KeyUsageType::EncapsulateDecapsulate),
            (Spec::MlKem512, KeyUsageType::SignVerify),
            (Spec::SymmetricDefault, KeyUsageType::SignVerify),
        ];
        for (spec, usage) in cases {
            assert!(matches!(
                purpose(&input(Some(spec), Some(usage))),
                Err(Error::UsageForSpec { .. })
            ));
        }
    }

    /// Nothing we do not do is taken for something we do.
    #[test]
    fn what_is_missing_is_refused_by_name() {
        for spec in Spec::ALL {
            let done = KeySpec::parse(spec.as_str()).is_some();
            let refused = matches!(purpose(&input(Some(*spec), None)), Err(Error::Unsupported(_)));
            assert_eq!(refused, !done, "{spec:?}");
        }
    }
}
