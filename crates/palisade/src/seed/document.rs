//! What a seed may say, and how it is read. Its fuzz target is compiled of this
//! very file, so nothing of the house but `ground` is used here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ground::{AccountId, Region, Secret};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use toml::Spanned;

/// A seed that was read.
pub(crate) struct Seed {
    file: PathBuf,
    /// Where each line ends, in bytes.
    line_ends: Vec<usize>,
    pub(super) accounts: Vec<AccountSeed>,
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
pub(super) struct AccountSeed {
    pub(super) id: Spanned<AccountId>,
    pub(super) root: Option<AccessKeySeed>,
    #[serde(default)]
    pub(super) policy: Vec<PolicySeed>,
    #[serde(default)]
    pub(super) group: Vec<GroupSeed>,
    #[serde(default)]
    pub(super) user: Vec<UserSeed>,
    #[serde(default)]
    pub(super) role: Vec<RoleSeed>,
    #[serde(default)]
    pub(super) key: Vec<KeySeed>,
}

/// `root = { id, secret }`, `[[account.user.access_key]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessKeySeed {
    pub(super) id: Spanned<String>,
    pub(super) secret: SecretText,
}

/// `[[account.policy]]`: a managed policy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicySeed {
    pub(super) name: Spanned<String>,
    pub(super) path: Option<String>,
    pub(super) description: Option<String>,
    pub(super) document: String,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// `[[account.group]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupSeed {
    pub(super) name: Spanned<String>,
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) attached: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) inline: BTreeMap<String, Spanned<String>>,
}

/// `[[account.user]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserSeed {
    pub(super) name: Spanned<String>,
    pub(super) path: Option<String>,
    pub(super) boundary: Option<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) groups: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) attached: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) inline: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) access_key: Vec<AccessKeySeed>,
}

/// `[[account.role]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleSeed {
    pub(super) name: Spanned<String>,
    pub(super) trust: String,
    pub(super) path: Option<String>,
    pub(super) description: Option<String>,
    pub(super) max_session_seconds: Option<i32>,
    pub(super) boundary: Option<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) attached: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) inline: BTreeMap<String, Spanned<String>>,
}

/// `[[account.key]]`: a KMS key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySeed {
    pub(super) id: Spanned<String>,
    pub(super) region: Option<Region>,
    #[serde(default = "symmetric")]
    pub(super) spec: String,
    pub(super) usage: Option<String>,
    #[serde(default)]
    pub(super) description: String,
    /// Base64.
    pub(super) material: Option<SecretText>,
    pub(super) policy: Option<String>,
    #[serde(default)]
    pub(super) aliases: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

fn symmetric() -> String {
    "SYMMETRIC_DEFAULT".to_owned()
}

/// Text that is never shown, not even when it is of the wrong type.
pub(super) struct SecretText(pub(super) Secret<String>);

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
    /// Reads the text of a seed; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// If it says something that is not known here, by line.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Seed> {
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
    pub(super) fn place(&self, byte: usize) -> String {
        let line = self.line_ends.partition_point(|end| *end < byte) + 1;
        format!("{}:{line}", self.file.display())
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
        let text = include_str!("../../../../docs/dev-seed.md");
        let example = text
            .split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let seed = Seed::parse(Path::new("seed.toml"), example).unwrap();
        assert_eq!(seed.accounts.len(), 2);
        assert_eq!(
            seed.accounts
                .iter()
                .filter(|account| account.root.is_some())
                .count(),
            1
        );
    }
}
