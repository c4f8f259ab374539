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

mod identities;
mod item;
mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gate::Door;
use ground::{AccountId, Region, Secret};
use iam::RootCredential;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use toml::Spanned;

use crate::files;
use item::Item;

/// A seed that was read.
pub(crate) struct Seed {
    file: PathBuf,
    /// Where each line ends, in bytes.
    line_ends: Vec<usize>,
    accounts: Vec<AccountSeed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    account: Vec<AccountSeed>,
}

/// `[[account]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountSeed {
    id: Spanned<AccountId>,
    root: Option<AccessKeySeed>,
    #[serde(default)]
    policy: Vec<PolicySeed>,
    #[serde(default)]
    group: Vec<GroupSeed>,
    #[serde(default)]
    user: Vec<UserSeed>,
    #[serde(default)]
    role: Vec<RoleSeed>,
    #[serde(default)]
    key: Vec<KeySeed>,
}

/// `root = { id, secret }`, `[[account.user.access_key]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessKeySeed {
    id: Spanned<String>,
    secret: SecretText,
}

/// `[[account.policy]]`: a managed policy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySeed {
    name: Spanned<String>,
    path: Option<String>,
    description: Option<String>,
    document: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// `[[account.group]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupSeed {
    name: Spanned<String>,
    path: Option<String>,
    #[serde(default)]
    attached: Vec<Spanned<String>>,
    #[serde(default)]
    inline: BTreeMap<String, Spanned<String>>,
}

/// `[[account.user]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserSeed {
    name: Spanned<String>,
    path: Option<String>,
    boundary: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    #[serde(default)]
    attached: Vec<Spanned<String>>,
    #[serde(default)]
    inline: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    access_key: Vec<AccessKeySeed>,
}

/// `[[account.role]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleSeed {
    name: Spanned<String>,
    trust: String,
    path: Option<String>,
    description: Option<String>,
    max_session_seconds: Option<i32>,
    boundary: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    attached: Vec<Spanned<String>>,
    #[serde(default)]
    inline: BTreeMap<String, Spanned<String>>,
}

/// `[[account.key]]`: a KMS key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySeed {
    id: Spanned<String>,
    region: Option<Region>,
    #[serde(default = "symmetric")]
    spec: String,
    usage: Option<String>,
    #[serde(default)]
    description: String,
    /// Base64.
    material: Option<SecretText>,
    policy: Option<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

fn symmetric() -> String {
    "SYMMETRIC_DEFAULT".to_owned()
}

/// Text that is never shown, not even when it is of the wrong type.
struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        struct Hidden;

        impl Visitor<'_> for Hidden {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretText, E> {
                if text.is_empty() {
                    return Err(E::custom("a secret must not be empty"));
                }
                Ok(SecretText(Secret::new(text.to_owned())))
            }
        }

        deserializer
            .deserialize_str(Hidden)
            .map_err(|_| D::Error::custom("a secret must be text in quotes, and not empty"))
    }
}

/// What is wrong with a file, without the values it holds: those may be secret.
fn without_values(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            format!("the value is of the wrong kind: {expected} is expected")
        }
        _ => message.to_owned(),
    }
}

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

    fn parse(file: &Path, text: &str) -> Result<Seed> {
        let mut seed = Seed {
            file: file.to_owned(),
            line_ends: text
                .bytes()
                .enumerate()
                .filter_map(|(at, byte)| (byte == b'\n').then_some(at))
                .collect(),
            accounts: Vec::new(),
        };
        match toml::from_str::<Document>(text) {
            Ok(document) => seed.accounts = document.account,
            Err(error) => {
                let place = seed.place(error.span().map_or(0, |span| span.start));
                bail!(
                    "{place}: {}. `palisade dev --help` shows a seed",
                    without_values(error.message())
                );
            }
        }
        Ok(seed)
    }

    /// `FILE:LINE` of a byte of the file.
    fn place(&self, byte: usize) -> String {
        let line = self.line_ends.partition_point(|end| *end < byte) + 1;
        format!("{}:{line}", self.file.display())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match Seed::parse(Path::new("seed.toml"), text) {
            Ok(_) => panic!("taken: {text}"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn unknown_keys_are_refused_by_line() {
        let problem = refused("[[account]]\nid = \"111122223333\"\nusers = []\n");
        assert!(
            problem.starts_with("seed.toml:3: unknown field `users`"),
            "{problem}"
        );
        let problem =
            refused("[[account]]\nid = \"111122223333\"\n[[account.user]]\nname = \"a\"\npat = 1\n");
        assert!(
            problem.starts_with("seed.toml:5: unknown field `pat`"),
            "{problem}"
        );
        let problem = refused("[[account]]\nid = \"1\"\n");
        assert!(problem.starts_with("seed.toml:2: "), "{problem}");
    }

    /// However a secret is misplaced or mistyped, the message is without it.
    #[test]
    fn no_message_shows_a_secret() {
        let before = "[[account]]\nid = \"111122223333\"\n";
        for wrong in [
            "root = { id = \"AKIAX\", secret = 73012998 }",
            "root = { id = \"AKIAX\", secret = [\"73012998\"] }",
            "root = { id = \"AKIAX\", secret = \"73012998 }",
            "root = { id = \"AKIAX\", secrets = \"73012998\" }",
            "root = { id = \"AKIAX\", secret = \"73012998\", secret = \"73012998\" }",
            "root = \"73012998\"",
            "root = 73012998",
            "user = \"73012998\"",
            "[[account.key]]\nid = 3\nmaterial = \"73012998\"",
            "[[account.key]]\nid = \"x\"\nmaterial = { raw = \"73012998\" }",
            "[[account.user]]\nname = \"a\"\naccess_key = \"AKIAX:73012998\"",
            "[[account.user]]\nname = \"a\"\naccess_key = [\"73012998\"]",
        ] {
            let problem = refused(&format!("{before}{wrong}\n"));
            assert!(!problem.contains("73012998"), "{wrong}: {problem}");
            assert!(problem.starts_with("seed.toml:"), "{problem}");
        }
    }

    #[test]
    fn the_example_of_the_documentation_is_a_seed() {
        let text = include_str!("../../../docs/dev-seed.md");
        let example = text
            .split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let seed = Seed::parse(Path::new("seed.toml"), example).unwrap();
        assert_eq!(seed.accounts.len(), 2);
        assert_eq!(seed.roots().count(), 1);
    }
}
