//! Accounts and their root credentials, made by the operator.
//!
//! There is no API for it: `palisade dev --credential` and `palisade init` call
//! this before the door opens.

use crypto::{Random, RootKey};
use ground::{AccountId, Region, Secret, Timestamp, id};
use store::{Scope, Store, StoreError};

use crate::model::{Account, Generation, KeyOwner};
use crate::ops::access_key::{self, SEALED_FOR};
use crate::store::{ACCESS_KEYS, ACCOUNT, GENERATION, KEY_OWNERS};

/// Why an account could not be made.
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
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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

    /// Longest access key id (IAM API Reference, `accessKeyIdType`), and longest secret taken.
    const LENGTH_MAX: usize = 128;

    fn check(&self) -> Result<(), BootstrapError> {
        let key_id = &self.access_key_id;
        let is_word = key_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_word || key_id.is_empty() || key_id.len() > Self::LENGTH_MAX {
            return Err(BootstrapError::BadKeyId(
                key_id.chars().take(Self::LENGTH_MAX).collect(),
            ));
        }
        let secret = self.secret.expose();
        let is_printable = secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_printable || secret.is_empty() || secret.len() > Self::LENGTH_MAX {
            return Err(BootstrapError::BadSecret);
        }
        Ok(())
    }
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
    credential.check()?;
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
                tx.put(&ACCOUNT, &(), &Account { created: now });
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
