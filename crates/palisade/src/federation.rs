//! `[federation]`: where the keys of OpenID Connect issuers come from.
//!
//! Leaving everything out is safe: issuers on the public internet are asked,
//! by certificates that the machine trusts, and nothing inside is reached.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use iam::Issuers;
use serde::Deserialize;

use crate::{files, way_out};

/// `[federation]`, also a file of its own for `palisade dev --federation`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FederationSettings {
    /// Fetches nothing: only the keys below are known. Default: false.
    offline: bool,
    /// Networks inside in which issuers may be reached, such as `10.1.0.0/16`. Default: none.
    networks: Vec<String>,
    /// PEM file with certificates of authorities that are trusted beside the machine's.
    authorities: Option<PathBuf>,
    /// Issuers whose keys are given.
    issuer: Vec<IssuerSettings>,
}

/// `[[federation.issuer]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerSettings {
    /// As its tokens name it, with `https://`.
    url: String,
    /// File with its keys, a JSON Web Key Set.
    keys: PathBuf,
}

impl FederationSettings {
    /// Reads a file of these settings.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or says something that is not known here.
    pub(crate) fn read(path: &Path) -> Result<FederationSettings> {
        let text = files::read_text(path)?;
        toml::from_str(&text)
            .with_context(|| format!("{} is not a valid federation configuration", path.display()))
    }

    /// The issuers, with the keys that are given.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or something is not what it should be.
    pub(crate) fn issuers(&self) -> Result<Issuers> {
        let mut given = HashMap::new();
        for issuer in &self.issuer {
            let Some(url) = issuer.url.strip_prefix("https://").filter(|url| !url.is_empty()) else {
                bail!("federation.issuer: {} is not an https address", issuer.url);
            };
            let text = files::read_text(&issuer.keys)?;
            let keys = federation::jwt::Keys::parse(text.as_bytes())
                .with_context(|| format!("{} holds no keys", issuer.keys.display()))?;
            if given.insert(url.to_owned(), Arc::new(keys)).is_some() {
                bail!("federation.issuer: {} is given twice", issuer.url);
            }
        }
        let outbound = way_out::to(&self.networks, self.authorities.as_deref()).context("federation")?;
        Ok(Issuers::new(given, (!self.offline).then_some(outbound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuers(text: &str) -> Result<Issuers> {
        toml::from_str::<FederationSettings>(text)?.issuers()
    }

    #[test]
    fn nothing_said_is_safe_and_nonsense_is_refused() {
        assert!(issuers("").is_ok());
        assert!(issuers("offline = true\nnetworks = [\"10.0.0.0/8\", \"fd00::/8\"]").is_ok());
        for wrong in [
            "ofline = true",
            "networks = [\"10.0.0.0/33\"]",
            "networks = [\"localhost\"]",
            "authorities = \"no such file\"",
            "[[issuer]]\nurl = \"http://idp.example\"\nkeys = \"jwks.json\"",
            "[[issuer]]\nurl = \"https://idp.example\"\nkeys = \"no such file\"",
            "[[issuer]]\nurl = \"https://idp.example\"",
        ] {
            assert!(issuers(wrong).is_err(), "{wrong}");
        }
    }
}
