//! Accounts and their root credentials, and access keys whose id and secret
//! the operator chose.
//!
//! There is no API for either: `palisade dev --credential` and `palisade init`
//! make accounts before the door opens, and `palisade dev --seed` gives users
//! keys after it has, with a record.

use crypto::{Random, RootKey};
use gate::{Event, JobCx, JobError, Touched};
use ground::{AccountId, Region, Secret, Timestamp, id};
use store::{Scope, Store, StoreError};

use crate::limits::ACCESS_KEYS_PER_USER_MAX;
use crate::model::{Account, Generation, KeyOwner};
use crate::ops::access_key::{self, SEALED_FOR};
use crate::store::{ACCESS_KEYS, ACCOUNT, GENERATION, KEY_OWNERS, cross_account_key_owner, rows_of};

/// Why an account or an access key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The access key id has no form that could be signed with.
    #[error("access key id {0:?} is not 1 to 128 letters, digits or underscores")]
    BadKeyId(String),
    /// The secret has no form that could be signed with.
    #[error("the secret access key is not 1 to 128 printable ASCII characters")]
    BadSecret,
    /// The secret could not be sealed.
    #[error("the secret access key could not be sealed")]
    Crypto(#[from] crypto::Error),
    /// Another account, or a user, has a key of this id.
    #[error("access key {0} belongs to someone else")]
    KeyTaken(String),
    /// The user has this key with another secret.
    #[error("access key {0} is there already with another secret")]
    SecretDiffers(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user has as many keys as a user may have.
    #[error("user {0} has {ACCESS_KEYS_PER_USER_MAX} access keys already, which is the quota")]
    TooManyKeys(String),
    /// There is no user of this name.
    #[error("there is no user {0}")]
    UserMissing(String),
    /// The change could not be written with its record.
    #[error("the access key could not be written: {0}")]
    Write(JobError),
}

/// The root user's access key.
pub struct RootCredential {
    /// `AKIA…`; development may use any word.
    pub access_key_id: String,
    /// Its secret.
    pub secret: Secret<String>,
}

impl RootCredential {
    /// A new key for the root user of `account`, as AWS would make it.
    pub fn generate(account: AccountId, random: &Random) -> RootCredential {
        RootCredential {
            access_key_id: id::access_key_id("AKIA", account, random.bytes()),
            secret: access_key::new_secret(random),
        }
    }
}

/// Longest access key id (IAM API Reference, `accessKeyIdType`), and longest secret taken.
const LENGTH_MAX: usize = 128;

fn check(key_id: &str, secret: &Secret<String>) -> Result<(), BootstrapError> {
    let is_word = key_id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_word || key_id.is_empty() || key_id.len() > LENGTH_MAX {
        return Err(BootstrapError::BadKeyId(
            key_id.chars().take(LENGTH_MAX).collect(),
        ));
    }
    let secret = secret.expose();
    let is_printable = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_printable || secret.is_empty() || secret.len() > LENGTH_MAX {
        return Err(BootstrapError::BadSecret);
    }
    Ok(())
}

/// Makes `account` and gives its root user the access key. Both may be there
/// already; a key that has another secret gets this one, and is active again.
///
/// # Errors
///
/// [`BootstrapError::KeyTaken`] if the key id belongs to someone else.
pub async fn bootstrap_account(
    store: &Store,
    root_key: &RootKey,
    random: &Random,
    now: Timestamp,
    account: AccountId,
    credential: &RootCredential,
) -> Result<(), BootstrapError> {
    check(&credential.access_key_id, &credential.secret)?;
    let now = Timestamp::from_seconds(now.seconds());
    let key_id = &credential.access_key_id;
    let domain = root_key.domain(account, &Region::us_east_1(), SEALED_FOR);
    let owner = KeyOwner {
        account,
        owner_id: account.to_string(),
    };
    store
        .transact(&Scope::regionless(account), async |tx| {
            let known = tx
                .cross_account_get(&Scope::global(), &KEY_OWNERS, key_id)
                .await?;
            if known.is_some_and(|known| *known != owner) {
                return Err(BootstrapError::KeyTaken(key_id.clone()));
            }
            let has_account = tx.get(&ACCOUNT, &()).await?.is_some();
            if !has_account {
                tx.put(
                    &ACCOUNT,
                    &(),
                    &Account {
                        created: now,
                        alias: None,
                        closed: None,
                    },
                );
            }
            let place = (owner.owner_id.clone(), key_id.clone());
            let key = tx.get(&ACCESS_KEYS, &place).await?;
            let same = key.as_ref().is_some_and(|key| {
                key.active
                    && access_key::opened(&domain, account, key).is_ok_and(|secret| {
                        crypto::constant_time_eq(
                            secret.expose().as_bytes(),
                            credential.secret.expose().as_bytes(),
                        )
                    })
            });
            if has_account && same {
                return Ok(());
            }
            if !same {
                let created = key.map_or(now, |key| key.created);
                let key = access_key::sealed(&domain, random, account, key_id, &credential.secret, created)?;
                tx.put(&ACCESS_KEYS, &place, &key);
                tx.cross_account_put(&Scope::global(), &KEY_OWNERS, key_id, &owner);
            }
            tx.put(&GENERATION, &(), &Generation(random.bytes()));
            Ok(())
        })
        .await
}

/// Gives a user an access key of the operator's choosing. A key that is there
/// already with this secret is left as it is, active or not.
///
/// # Errors
///
/// [`BootstrapError::SecretDiffers`] and [`BootstrapError::KeyTaken`] if the
/// key is there otherwise, [`BootstrapError::UserMissing`],
/// [`BootstrapError::TooManyKeys`] beyond the quota of every user.
pub async fn bootstrap_access_key(
    cx: &JobCx,
    account: AccountId,
    user_name: &str,
    key_id: &str,
    secret: &Secret<String>,
) -> Result<(), BootstrapError> {
    check(key_id, secret)?;
    let key_id = key_id.to_owned();
    let view = cx.store().view(Scope::regionless(account));
    let rows = rows_of(&view, account);
    let user = rows.user(user_name).await?;
    let user = user.ok_or_else(|| BootstrapError::UserMissing(user_name.to_owned()))?;
    let domain = cx.domain_key(account, &Region::us_east_1(), SEALED_FOR);
    let owner = KeyOwner {
        account,
        owner_id: user.id.clone(),
    };
    let place = (user.id.clone(), key_id.clone());
    match cross_account_key_owner(&view, &key_id).await? {
        Some(known) if *known != owner => return Err(BootstrapError::KeyTaken(key_id)),
        Some(_) => {
            let key = rows.get(&ACCESS_KEYS, &place).await?;
            let same = key.is_some_and(|key| {
                access_key::opened(&domain, account, &key).is_ok_and(|known| {
                    crypto::constant_time_eq(known.expose().as_bytes(), secret.expose().as_bytes())
                })
            });
            return same.then_some(()).ok_or(BootstrapError::SecretDiffers(key_id));
        }
        None => {}
    }
    if rows.access_keys(&user.id).await?.len() >= ACCESS_KEYS_PER_USER_MAX {
        return Err(BootstrapError::TooManyKeys(user.name.clone()));
    }
    let now = Timestamp::from_seconds(cx.now().seconds());
    let key = access_key::sealed(&domain, cx.random(), account, &key_id, secret, now)?;
    let event = Event {
        source: "iam.amazonaws.com",
        name: "BootstrapAccessKey",
        account,
        region: Region::us_east_1(),
        resources: vec![Touched {
            kind: "AWS::IAM::User",
            arn: user.arn(account).into(),
            account,
        }],
        details: Some(serde_json::json!({"userName": user.name, "accessKeyId": key_id})),
    };
    let generation = Generation(cx.random().bytes());
    cx.write(Scope::regionless(account), event, async |tx| {
        let taken = tx
            .cross_account_get(&Scope::global(), &KEY_OWNERS, &key_id)
            .await?;
        if taken.is_some() {
            return Err(StoreError::Conflict);
        }
        tx.put(&ACCESS_KEYS, &place, &key);
        tx.cross_account_put(&Scope::global(), &KEY_OWNERS, &key_id, &owner);
        tx.put(&GENERATION, &(), &generation);
        Ok(())
    })
    .await
    .map_err(BootstrapError::Write)
}
