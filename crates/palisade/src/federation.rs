//! `[federation]`: where the keys of OpenID Connect issuers come from.
//!
//! Leaving everything out is safe: issuers on the public internet are asked,
//! by certificates that the machine trusts, and nothing inside is reached.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use iam::Issuers;
use ipnet::IpNet;
use outbound::{Authorities, Outbound};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::files;

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
        let networks = self
            .networks
            .iter()
            .map(|text| text.parse::<IpNet>())
            .collect::<Result<Vec<_>, _>>()
            .context("federation.networks: a network is written 10.1.0.0/16")?;
        let own = self.own_authorities()?;
        let authorities: Authorities = Box::new(move || {
            let mut all = rustls_native_certs::load_native_certs().certs;
            all.extend(own.iter().cloned());
            all
        });
        let outbound = (!self.offline).then(|| Outbound::new(networks, authorities));
        Ok(Issuers::new(given, outbound))
    }

    fn own_authorities(&self) -> Result<Vec<CertificateDer<'static>>> {
        let Some(path) = &self.authorities else {
            return Ok(Vec::new());
        };
        let text = files::read_text(path)?;
        let all = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let all = all.with_context(|| format!("{} holds a broken certificate", path.display()))?;
        if all.is_empty() {
            bail!("{} holds no certificate", path.display());
        }
        Ok(all)
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
