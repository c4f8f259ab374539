//! The file of credentials by which AWS KMS may use keys that are here: TOML
//! that refuses unknown keys and nobody but its owner may read.
//!
//! It is read again when it changes, so that a credential is added, and the one
//! before removed, while AWS KMS goes on asking. A file that cannot be used
//! changes nothing; one without credentials lets nobody in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crypto::Random;
use gate::{XksCredential, XksCredentials};
use ground::{Region, Secret};
use serde::{Deserialize, Deserializer};

use crate::files;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Most credentials of a file. Ours.
const CREDENTIALS_MAX: usize = 1_000;

/// The letters of access key ids (RFC 4648, base32).
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Letters of the ids that are made here; AWS takes 20 to 30.
const ID_LETTERS: usize = 26;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, rename = "credential")]
    credentials: Vec<Entry>,
}

/// `[[credential]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// 20 to 30 characters from A to Z and 2 to 7.
    access_key_id: String,
    /// 43 to 64 characters of base64.
    secret_access_key: SecretText,
    /// The ARN of the user or role as whom AWS KMS asks.
    principal: String,
    /// What stands before `/kms/xks/v1` in its paths. Default: nothing.
    #[serde(default)]
    prefix: String,
    /// Where its keys are. Default: the region that AWS KMS asks from.
    region: Option<Region>,
}

/// Text that is wiped and never shown.
struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        Ok(SecretText(Secret::new(String::deserialize(deserializer)?)))
    }
}

/// The file, and the credentials that were in it when it was last good.
pub(crate) struct XksFile {
    path: PathBuf,
    credentials: Arc<XksCredentials>,
}

impl XksFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If others may read it, or a credential in it is none.
    pub(crate) fn open(path: PathBuf) -> Result<XksFile> {
        let credentials = Arc::new(XksCredentials::new(read(&path)?)?);
        Ok(XksFile { path, credentials })
    }

    /// What the door is to know.
    pub(crate) fn credentials(&self) -> Arc<XksCredentials> {
        Arc::clone(&self.credentials)
    }

    /// Reads the file again whenever it has changed, for ever.
    pub(crate) async fn follow(self) {
        let stamp = || {
            let metadata = std::fs::metadata(&self.path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let mut known = stamp();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let found = stamp();
            if found == known {
                continue;
            }
            let replaced = read(&self.path).and_then(|fresh| Ok(self.credentials.replace(fresh)?));
            match replaced {
                Ok(()) => {
                    known = found;
                    tracing::info!("the credentials of external key stores were read again");
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the changed credentials of external key stores cannot be used"
                ),
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<XksCredential>> {
    let bytes = files::read_secret(path)?;
    let text = std::str::from_utf8(bytes.expose())
        .ok()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    parse(text).with_context(|| format!("{} cannot be used", path.display()))
}

fn parse(text: &str) -> Result<Vec<XksCredential>> {
    // The reason would show a line of the file, which may hold a secret.
    let document: Document = toml::from_str(text)
        .map_err(|error| anyhow::anyhow!("it is not a file of [[credential]]: {}", error.message()))?;
    if document.credentials.len() > CREDENTIALS_MAX {
        bail!("there are more than {CREDENTIALS_MAX} credentials");
    }
    let mut all = Vec::with_capacity(document.credentials.len());
    for (at, entry) in document.credentials.into_iter().enumerate() {
        let secret = entry.secret_access_key.0;
        let made = XksCredential::new(
            entry.access_key_id,
            secret,
            entry.principal,
            entry.prefix,
            entry.region,
        );
        all.push(made.with_context(|| format!("credential {}", at + 1))?);
    }
    Ok(all)
}

/// A credential that was just made.
pub(crate) struct Made {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret<String>,
}

/// Makes a credential and adds it to the file, which is made if it is not there.
///
/// # Errors
///
/// If the file cannot be used or written, or would not be good afterwards;
/// then it is as it was.
pub(crate) fn add(
    path: &Path,
    principal: &str,
    prefix: &str,
    region: Option<&Region>,
    random: &Random,
) -> Result<Made> {
    use base64::Engine as _;

    let letters: [u8; ID_LETTERS] = random.bytes();
    let letters = letters.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let access_key_id = String::from_iter(letters);
    let bytes: Secret<[u8; 32]> = Secret::new(random.bytes());
    let secret_access_key =
        Secret::new(base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes.expose()));

    let before = match path.exists() {
        true => files::read_secret(path)?,
        false => Secret::new(Vec::new()),
    };
    let before = std::str::from_utf8(before.expose())
        .ok()
        .with_context(|| format!("{} is not UTF-8", path.display()))?
        .trim_end();
    let quoted = |value: &str| toml::Value::String(value.to_owned());
    let principal = format!("principal = {}\n", quoted(principal));
    let prefix = match prefix {
        "" => String::new(),
        prefix => format!("prefix = {}\n", quoted(prefix)),
    };
    let region = region.map_or_else(String::new, |region| format!("region = \"{region}\"\n"));
    let parts = [
        before,
        if before.is_empty() { "" } else { "\n\n" },
        "[[credential]]\naccess_key_id = \"",
        &access_key_id,
        "\"\nsecret_access_key = \"",
        secret_access_key.expose(),
        "\"\n",
        &principal,
        &prefix,
        &region,
    ];
    // Joined at once: a text that grew would leave copies of secrets where it was.
    let text = Secret::new(parts.concat());
    XksCredentials::new(parse(text.expose())?)?;
    files::write_private(path, text.expose().as_bytes())?;
    Ok(Made {
        access_key_id,
        secret_access_key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/xks";

    #[test]
    fn a_credential_that_is_made_is_read_beside_those_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("xks.toml");
        let random = Random::seeded(1);
        let first = add(&path, ROLE, "", None, &random).unwrap();
        let region = Region::parse("eu-west-1").unwrap();
        let second = add(&path, ROLE, "/stores/one", Some(&region), &random).unwrap();
        assert_ne!(first.access_key_id, second.access_key_id);
        assert_eq!(
            (first.access_key_id.len(), first.secret_access_key.expose().len()),
            (26, 43)
        );
        assert_eq!(read(&path).unwrap().len(), 2);
        let kept = files::read_text(&path).unwrap();
        // What would not be good is not written.
        for (principal, prefix) in [("nobody", ""), (ROLE, "one"), ("a\"b", "")] {
            assert!(add(&path, principal, prefix, None, &random).is_err());
        }
        assert_eq!(files::read_text(&path).unwrap(), kept);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let entry = |rest: &str| {
            format!(
                "[[credential]]\naccess_key_id = \"AKIAI2SFODNN7EXAMPLE\"\nprincipal = \"{ROLE}\"\n{rest}"
            )
        };
        let secret = "secret_access_key = \"FYtE5EFA5FT0mCc3DrGUe2sti527BitkQ0Zr9MO9fvE\"";
        assert_eq!(parse(&entry(secret)).unwrap().len(), 1);
        assert!(parse("").unwrap().is_empty());
        for wrong in [
            entry(""),
            entry(&format!("{secret}\nprefx = \"/a\"")),
            entry(&format!("{secret}\nregion = \"no region\"")),
            entry("secret_access_key = \"FYtE5EFA5FT0mCc3DrGUe2\""),
            entry("secret_access_key = \"FYtE5EFA5FT0mCc3DrGUe2"),
            format!("{}{}", entry(secret), entry("")),
        ] {
            let told = format!("{:#}", parse(&wrong).err().unwrap());
            assert!(!told.contains("FYtE5E"), "{told}");
        }
        let twice = format!("{}\n{}", entry(secret), entry(secret));
        assert!(XksCredentials::new(parse(&twice).unwrap()).is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("xks.toml");
        add(&path, ROLE, "", None, &Random::seeded(1)).unwrap();
        assert!(XksFile::open(path.clone()).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(XksFile::open(path).is_err());
    }
}
