//! Keys whose id, and if wished material, the operator chose.
//!
//! There is no API for it: `CreateKey` gives ids away and takes none.
//! `palisade dev --seed` calls this, and gives the key its policy, tags and
//! aliases by the operations that everyone uses.
//!
//! Absent by design: a way to change a key that is there.

use crypto::key::{BackingKey, KeySpec};
use gate::{Event, JobCx, JobError, Touched};
use ground::{AccountId, Region, Secret};
use store::{Scope, StoreError};

use crate::access::KEY_TYPE;
use crate::error::Error;
use crate::limits::DESCRIPTION_LENGTH_MAX;
use crate::model::{Key, KeyId, KeyPolicy, KeyUsage, Material, MaterialId, Purpose};
use crate::store::{KEYS, MATERIAL_PURPOSE, insert_chosen_key};

/// A key as the operator wants it.
pub struct FixedKey<'a> {
    /// The owner.
    pub account: AccountId,
    /// Where it lives.
    pub region: &'a Region,
    /// A UUID in lower case.
    pub id: &'a str,
    /// `SYMMETRIC_DEFAULT`, `RSA_2048`, …
    pub spec: &'a str,
    /// `ENCRYPT_DECRYPT`, …; may be left out for symmetric keys alone.
    pub usage: Option<&'a str>,
    /// What is said of it.
    pub description: &'a str,
    /// Raw bytes for symmetric and HMAC keys, PKCS#8 DER for key pairs; made
    /// here if `None`.
    pub material: Option<&'a Secret<Vec<u8>>>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrapped {
    /// No such key: it was made, with the default policy.
    Made,
    /// The same key: nothing was changed.
    There,
}

/// Why a key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// No UUID in lower case.
    #[error("key id {0:?} is not a UUID in lower case")]
    BadId(String),
    /// The material is not a key of this spec.
    #[error(
        "the material is not a key of spec {0}: raw bytes for symmetric and HMAC keys, PKCS#8 DER for pairs"
    )]
    BadMaterial(&'static str),
    /// The key is there, and differs.
    #[error("key {id} is there already with another {what}")]
    Differs {
        /// Its id.
        id: String,
        /// In what: `spec or usage`, `material`, `description`.
        what: &'static str,
    },
    /// Longer than `CreateKey` takes.
    #[error("the description is longer than {DESCRIPTION_LENGTH_MAX} characters")]
    LongDescription,
    /// As `CreateKey` would refuse it.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No spec or usage that is known here.
    #[error("key spec or usage {0:?} is not supported")]
    Unsupported(String),
    /// The change could not be written with its record.
    #[error("the key could not be written: {0}")]
    Write(JobError),
}

/// Makes the key unless it is there: enabled, with the default policy, without
/// tags and aliases. Material made here takes as long as in `CreateKey`.
///
/// # Errors
///
/// [`BootstrapError`]; nothing was changed.
pub async fn bootstrap_key(cx: &JobCx, wanted: &FixedKey<'_>) -> Result<Bootstrapped, BootstrapError> {
    let id = KeyId::parse(wanted.id).filter(|id| *id == KeyId::from_bytes(id.bytes()));
    let id = id.ok_or_else(|| BootstrapError::BadId(wanted.id.chars().take(64).collect()))?;
    let purpose = purpose(wanted)?;
    if wanted.description.chars().count() > DESCRIPTION_LENGTH_MAX {
        return Err(BootstrapError::LongDescription);
    }
    let given = wanted.material.map(|bytes| {
        BackingKey::from_bytes(purpose.spec(), bytes.expose())
            .map(|backing| (MaterialId::of_given(&id, bytes), backing))
            .map_err(|_| BootstrapError::BadMaterial(purpose.spec().as_str()))
    });
    let given = given.transpose()?;

    let scope = Scope::regional(wanted.account, wanted.region);
    if let Some(key) = cx.store().view(scope.clone()).get(&KEYS, &id).await? {
        let other_material = given.is_some_and(|(material, _)| material != key.material);
        let differs = [
            (key.purpose != purpose, "spec or usage"),
            (other_material, "material"),
            (key.description != wanted.description, "description"),
        ];
        return match differs.iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(BootstrapError::Differs {
                id: id.to_string(),
                what,
            }),
            None => Ok(Bootstrapped::There),
        };
    }
    let (material_id, backing) = match given {
        Some(given) => given,
        None => (
            MaterialId::generate(cx.random()),
            make(purpose.spec(), cx.random()).await?,
        ),
    };
    let domain = cx.domain_key(wanted.account, wanted.region, MATERIAL_PURPOSE);
    let sealed = Material::seal(&id, &material_id, &backing, &domain, cx.random(), cx.now());
    let key = Key {
        description: wanted.description.to_owned(),
        sealed: Some(sealed.map_err(Error::Crypto)?),
        ..Key::fresh(
            wanted.account,
            wanted.region,
            id.clone(),
            purpose,
            material_id,
            cx.now(),
        )
    };
    let event = Event {
        source: "kms.amazonaws.com",
        name: "BootstrapKey",
        account: wanted.account,
        region: wanted.region.clone(),
        resources: vec![Touched {
            kind: KEY_TYPE,
            arn: key.arn().into(),
            account: wanted.account,
        }],
        details: Some(serde_json::json!({
            "keyId": id.as_str(),
            "keySpec": purpose.spec().as_str(),
            "materialGiven": wanted.material.is_some(),
        })),
    };
    cx.write(scope, event, async |tx| {
        if tx.get(&KEYS, &id).await?.is_some() {
            return Err(StoreError::Conflict);
        }
        insert_chosen_key(tx, &key);
        Ok(())
    })
    .await
    .map_err(BootstrapError::Write)?;
    Ok(Bootstrapped::Made)
}

/// Whether a key policy is the one that keys of `account` are made with.
pub fn is_default_policy(account: AccountId, text: &str) -> bool {
    KeyPolicy::default_text(account) == text
}

fn purpose(wanted: &FixedKey<'_>) -> Result<Purpose, BootstrapError> {
    let unsupported = |name: &str| BootstrapError::Unsupported(name.chars().take(64).collect());
    let spec = KeySpec::parse(wanted.spec).ok_or_else(|| unsupported(wanted.spec))?;
    let usage = wanted
        .usage
        .map(|name| KeyUsage::parse(name).ok_or_else(|| unsupported(name)))
        .transpose()?;
    Ok(Purpose::new(spec, usage)?)
}

/// Makes material on the blocking pool, where RSA keys take their time.
async fn make(spec: KeySpec, random: &crypto::Random) -> Result<BackingKey, Error> {
    let random = random.clone();
    tokio::task::spawn_blocking(move || BackingKey::generate(spec, &random))
        .await?
        .map_err(Error::Crypto)
}
