//! The seed of `palisade dev`: users, access keys, roles, policies and KMS
//! keys with fixed ids and secrets, from one TOML file (`docs/dev-seed.md`).
//!
//! Everything goes in by the services' own operations, as the account's root
//! user and with a record; only access keys and KMS keys, whose ids no
//! operation takes, are made by `iam::bootstrap_access_key` and
//! `kms::bootstrap_key`, recorded too. What is there already as the seed wants
//! it is left; what contradicts the seed stops the start. What the seed does
//! not mention is not looked at.
//!
//! Secrets of the seed are in no message: problems are told by file, line and
//! name.

mod document;
mod identities;
mod item;
mod keys;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use gate::Door;
use ground::{AccountId, Region, Secret};
use iam::RootCredential;

use crate::files;
use document::AccountSeed;
pub(crate) use document::Seed;
use item::Item;

impl Seed {
    /// Reads a seed.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or says something that is not known here.
    pub(crate) fn read(file: &Path) -> Result<Seed> {
        let text = Secret::new(files::read_text(file)?);
        Seed::parse(file, text.expose())
    }

    /// The root credentials that the seed gives to accounts.
    pub(crate) fn roots(&self) -> impl Iterator<Item = (AccountId, RootCredential)> + '_ {
        self.accounts.iter().filter_map(|account| {
            let root = account.root.as_ref()?;
            let credential = RootCredential {
                access_key_id: root.id.get_ref().clone(),
                secret: root.secret.0.duplicate(),
            };
            Some((*account.id.get_ref(), credential))
        })
    }

    /// Brings everything the seed wants behind the door. `roots` are the
    /// accounts' root access keys, as which the operations are called;
    /// keys that name no region are made in `region`.
    ///
    /// # Errors
    ///
    /// The first thing that is refused or contradicts what is there, by file,
    /// line and name. What was made until then stays, and is found the next time.
    pub(crate) async fn apply(
        &self,
        door: &Arc<Door>,
        roots: &[(AccountId, String)],
        region: &Region,
    ) -> Result<()> {
        // Policies may name anyone of any account, so whoever can be named comes first.
        for account in &self.accounts {
            let item = self.account(door, roots, region, account)?;
            identities::policies_groups_and_users(&item, account).await?;
        }
        for account in &self.accounts {
            let item = self.account(door, roots, region, account)?;
            identities::roles(&item, account).await?;
        }
        for account in &self.accounts {
            let item = self.account(door, roots, region, account)?;
            keys::keys(&item, account).await?;
        }
        Ok(())
    }

    fn account<'a>(
        &'a self,
        door: &'a Arc<Door>,
        roots: &'a [(AccountId, String)],
        region: &'a Region,
        account: &AccountSeed,
    ) -> Result<Item<'a>> {
        let id = *account.id.get_ref();
        let place = self.place(account.id.span().start);
        let (_, root) = roots.iter().find(|(known, _)| *known == id).with_context(|| {
            format!(
                "{place}: account {id} has no root credential: add `root = {{ id = \"…\", secret = \"…\" }}` to it, \
                 or give one by --credential"
            )
        })?;
        Ok(Item {
            seed: self,
            door,
            account: id,
            root,
            region: region.clone(),
            place,
            name: format!("account {id}"),
        })
    }
}
