//! The credentials and endpoint that the environment gives a client, found as
//! the AWS SDKs find them: variables first, then the profile files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ground::Secret;

use crate::files;

/// What a client needs to sign and send.
pub(crate) struct ClientSettings {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret<String>,
    pub(crate) session_token: Option<String>,
}

/// Where `palisade dev` listens when nothing else is said.
pub(crate) const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:4566";

impl ClientSettings {
    /// Reads `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and kin, or
    /// the profile `AWS_PROFILE` of the shared files.
    ///
    /// # Errors
    ///
    /// If there are no credentials, with what to do about it.
    pub(crate) fn from_environment() -> Result<ClientSettings> {
        let name = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
        let hint = "no AWS credentials: run `eval \"$(palisade env)\"`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        ClientSettings::of(&Profile::load(&name), variable).context(hint)
    }

    /// Reads a profile of the shared files. Where endpoint and region are not
    /// said there, the variables say them.
    ///
    /// # Errors
    ///
    /// If it has no credentials, with where they belong.
    pub(crate) fn from_profile(name: &str) -> Result<ClientSettings> {
        let is_place = |name: &str| {
            matches!(
                name.strip_prefix("AWS_"),
                Some("REGION" | "DEFAULT_REGION" | "ENDPOINT_URL")
            )
        };
        ClientSettings::of(&Profile::load(name), |name| {
            variable(name).filter(|_| is_place(name))
        })
        .with_context(|| {
            format!(
                "the profile {name} has no aws_access_key_id and aws_secret_access_key in ~/.aws/credentials"
            )
        })
    }

    fn of(profile: &Profile, variable: impl Fn(&str) -> Option<String>) -> Option<ClientSettings> {
        let endpoint = variable("AWS_ENDPOINT_URL").or_else(|| profile.get("endpoint_url"));
        let region = variable("AWS_REGION")
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region"));
        let (key, secret, token) = match variable("AWS_ACCESS_KEY_ID") {
            Some(key) => (
                Some(key),
                variable("AWS_SECRET_ACCESS_KEY"),
                variable("AWS_SESSION_TOKEN"),
            ),
            None => (
                profile.get("aws_access_key_id"),
                profile.get("aws_secret_access_key"),
                profile.get("aws_session_token"),
            ),
        };
        Some(ClientSettings {
            endpoint: endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            access_key_id: key?,
            secret_access_key: Secret::new(secret?),
            session_token: token,
        })
    }
}

impl ClientSettings {
    /// Reads the credentials of a file like `~/.aws/credentials`, from its
    /// section `default`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, others may read it, or it names no credentials.
    pub(crate) fn from_file(path: &Path) -> Result<ClientSettings> {
        let bytes = files::read_secret(path)?;
        let text = std::str::from_utf8(bytes.expose()).context("the credentials are not text")?;
        let file = ini::Ini::load_from_str(text)
            .ok()
            .with_context(|| format!("{} is not a credentials file", path.display()))?;
        let section = file
            .section(Some("default"))
            .with_context(|| format!("{} has no section [default]", path.display()))?;
        let needed = |name: &str| {
            section
                .get(name)
                .map(str::to_owned)
                .with_context(|| format!("{} does not say {name}", path.display()))
        };
        Ok(ClientSettings {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            region: "us-east-1".to_owned(),
            access_key_id: needed("aws_access_key_id")?,
            secret_access_key: Secret::new(needed("aws_secret_access_key")?),
            session_token: section.get("aws_session_token").map(str::to_owned),
        })
    }
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The chosen profile of `~/.aws/credentials` and `~/.aws/config`.
struct Profile(Vec<ini::Properties>);

impl Profile {
    fn load(name: &str) -> Profile {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let path = |variable: &str, default: &str| {
            std::env::var_os(variable).map_or_else(|| home.join(".aws").join(default), PathBuf::from)
        };
        let section = |path: PathBuf, section: &str| {
            ini::Ini::load_from_file(path)
                .ok()
                .and_then(|file| file.section(Some(section)).cloned())
        };
        let config_section = if name == "default" {
            name.to_owned()
        } else {
            format!("profile {name}")
        };
        let found = [
            section(path("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name),
            section(path("AWS_CONFIG_FILE", "config"), &config_section),
        ];
        Profile(found.into_iter().flatten().collect())
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0
            .iter()
            .find_map(|section| section.get(key))
            .map(str::to_owned)
    }
}
