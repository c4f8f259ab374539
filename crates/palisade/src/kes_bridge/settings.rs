//! The bridge's configuration: TOML that refuses unknown keys.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ground::Region;
use serde::Deserialize;

use crate::files;

/// `kes.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where to listen. Default: this machine alone, KES's port 7373.
    #[serde(default = "default_listen")]
    pub(crate) listen: SocketAddr,
    /// The KMS. Default: `AWS_ENDPOINT_URL`, or what a profile says.
    #[serde(default, rename = "endpoint")]
    pub(super) endpoints: Vec<String>,
    /// The keys' region. Default: `AWS_REGION`, or what a profile says.
    pub(super) region: Option<Region>,
    /// What stands before a key's name in its alias. Default: `kes`.
    #[serde(default = "default_prefix")]
    pub(super) prefix: String,
    pub(super) tls: TlsSettings,
    #[serde(rename = "identity")]
    pub(super) identities: Vec<IdentitySettings>,
}

/// `[tls]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsSettings {
    /// The server's certificate chain, PEM.
    pub(super) certificate: PathBuf,
    /// Its private key, PEM; nobody else may read the file.
    pub(super) key: PathBuf,
    /// The authorities that clients' certificates must come from. Default: any
    /// certificate will do, since its key is what counts.
    pub(super) client_authorities: Option<PathBuf>,
}

/// `[[identity]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentitySettings {
    /// SHA-256 of the certificate's public key, 64 lower-case hexadecimal digits.
    pub(super) id: String,
    /// The profile of the AWS credentials files whose principal this client is.
    pub(super) profile: String,
}

fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 7373).into()
}

fn default_prefix() -> String {
    "kes".to_owned()
}

/// Characters of a prefix. A name has 80 and an alias 256.
const PREFIX_CHARACTERS_MAX: usize = 128;

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or says what makes no sense.
    pub(crate) fn read(path: &Path) -> Result<Settings> {
        let settings: Settings = toml::from_str(&files::read_text(path)?)
            .with_context(|| format!("{} is not a configuration", path.display()))?;
        settings
            .check()
            .with_context(|| format!("{} cannot be used", path.display()))?;
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
        let prefix = &self.prefix;
        let prefix_ok = (1..=PREFIX_CHARACTERS_MAX).contains(&prefix.len())
            && prefix.bytes().all(letter)
            && !prefix.starts_with('/')
            && !prefix.ends_with('/')
            && !prefix.starts_with("aws/");
        if !prefix_ok {
            bail!("prefix {prefix:?} cannot begin an alias");
        }
        if self.identities.is_empty() {
            bail!("there is no [[identity]], so nobody could ask anything");
        }
        let mut seen = HashSet::new();
        for identity in &self.identities {
            let id = &identity.id;
            let id_ok = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !id_ok {
                bail!("identity {id:?} is not 64 lower-case hexadecimal digits");
            }
            if !seen.insert(id) {
                bail!("identity {id} is there twice");
            }
        }
        Ok(())
    }
}
