//! `[key_stores]`: how external key store proxies are reached, and which tokens
//! serve as clusters.
//!
//! Leaving everything out is safe: proxies on the public internet are asked, by
//! certificates that the machine trusts, and nothing inside is reached.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ground::{Region, Secret};
use kms::hsm::Clusters;
use kms::xks::Proxies;
use outbound::Shown;
use serde::Deserialize;

use crate::hsm::{self, ClusterSettings};
use crate::{certificate, files, way_out};

/// `[key_stores]`, also a file of its own for `palisade dev --key-stores`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyStoreSettings {
    /// Asks no proxy: no external key store can be made or used. Default: false.
    offline: bool,
    /// Networks inside in which proxies may be reached, such as `10.1.0.0/16`. Default: none.
    networks: Vec<String>,
    /// PEM file with certificates of authorities that are trusted beside the machine's.
    authorities: Option<PathBuf>,
    /// Milliseconds that a proxy may take, 50 to 10,000. Default: 250, as AWS.
    milliseconds: Option<u64>,
    /// Proxies that are elsewhere than their names say, or ask for a certificate of ours.
    proxy: Vec<ProxySettings>,
    /// PKCS#11 tokens that serve as the clusters of AWS CloudHSM key stores
    /// (docs/hsm-clusters.md). Default: none.
    cluster: Vec<ClusterSettings>,
}

/// `[[key_stores.proxy]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxySettings {
    /// As `XksProxyUriEndpoint` names it, without `https://`.
    host: String,
    /// Where it listens: address and port, also inside. Default: where its name says.
    address: Option<SocketAddr>,
    /// PEM file with the certificate that it is shown if it asks for one, and those
    /// that lead from it to its authority. Default: none. It is read at the start.
    certificate: Option<PathBuf>,
    /// PEM file with its private key, which nobody but its owner may read.
    key: Option<PathBuf>,
}

impl ProxySettings {
    fn shown(&self) -> Result<Option<Shown>> {
        let (certificate, key) = match (&self.certificate, &self.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            _ => bail!("certificate and key go together"),
        };
        let shown = Shown::new(
            certificate::certificates(certificate)?,
            &certificate::private_key(key)?,
        );
        Ok(Some(shown.with_context(|| {
            format!("{} is not the key of {}", key.display(), certificate.display())
        })?))
    }
}

impl KeyStoreSettings {
    /// Reads a file of these settings.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or says something that is not known here.
    pub(crate) fn read(path: &Path) -> Result<KeyStoreSettings> {
        let text = files::read_text(path)?;
        toml::from_str(&text)
            .with_context(|| format!("{} is not a valid configuration of key stores", path.display()))
    }

    /// The clusters; `None` if there are none. `home` is the server's region.
    ///
    /// # Errors
    ///
    /// As [`hsm::clusters`].
    pub(crate) fn clusters(&self, home: &Region) -> Result<Option<Arc<dyn Clusters>>> {
        hsm::clusters(&self.cluster, home).context("key_stores.cluster")
    }

    /// The labels in a cluster that could be ids of KMS keys.
    ///
    /// # Errors
    ///
    /// As [`hsm::key_ids`].
    pub(crate) async fn key_ids(
        &self,
        cluster: &str,
        home: &Region,
        password: &Secret<String>,
    ) -> Result<Vec<String>> {
        hsm::key_ids(&self.cluster, cluster, home, password).await
    }

    /// The way to the proxies; `None` if none is to be asked.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or something is not what it should be.
    pub(crate) fn proxies(&self) -> Result<Option<Arc<Proxies>>> {
        let time = match self.milliseconds {
            None => kms::limits::PROXY_TIME,
            Some(milliseconds @ 50..=10_000) => Duration::from_millis(milliseconds),
            Some(milliseconds) => {
                bail!("key_stores.milliseconds is {milliseconds}; it must be 50 to 10000")
            }
        };
        let (mut places, mut shown) = (HashMap::new(), HashMap::new());
        let mut named = HashSet::new();
        for proxy in &self.proxy {
            let host = &proxy.host;
            if host.is_empty() || host.contains([':', '/']) {
                bail!("key_stores.proxy: {host} is not the name of a host alone");
            }
            if !named.insert(host) {
                bail!("key_stores.proxy: {host} is given twice");
            }
            let own = proxy
                .shown()
                .with_context(|| format!("key_stores.proxy: {host}"))?;
            if proxy.address.is_none() && own.is_none() {
                bail!("key_stores.proxy: nothing is said of {host}: give address, or certificate and key");
            }
            places.extend(proxy.address.map(|address| (host.clone(), address)));
            shown.extend(own.map(|own| (host.clone(), own)));
        }
        let outbound = way_out::to(&self.networks, self.authorities.as_deref()).context("key_stores")?;
        let outbound = outbound.finding(places).showing(shown);
        Ok((!self.offline).then(|| Arc::new(Proxies::new(outbound, time))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(text: &str) -> Result<Option<Arc<Proxies>>> {
        toml::from_str::<KeyStoreSettings>(text)?.proxies()
    }

    #[test]
    fn nothing_said_is_safe_and_nonsense_is_refused() {
        assert!(proxies("").unwrap().is_some());
        assert!(proxies("offline = true").unwrap().is_none());
        assert!(
            proxies(
                "networks = [\"10.0.0.0/8\"]\n[[proxy]]\nhost = \"xks.example\"\naddress = \"127.0.0.1:8443\""
            )
            .is_ok()
        );
        for wrong in [
            "ofline = true",
            "networks = [\"localhost\"]",
            "authorities = \"no such file\"",
            "milliseconds = 0",
            "milliseconds = 10001",
            "[[proxy]]\nhost = \"xks.example:8443\"\naddress = \"127.0.0.1:8443\"",
            "[[proxy]]\nhost = \"https://xks.example\"\naddress = \"127.0.0.1:8443\"",
            "[[proxy]]\nhost = \"xks.example\"\naddress = \"127.0.0.1\"",
            "[[proxy]]\nhost = \"xks.example\"",
            "[[proxy]]\nhost = \"xks.example\"\ncertificate = \"no such file\"",
            "[[proxy]]\nhost = \"xks.example\"\ncertificate = \"no such file\"\nkey = \"no such file\"",
        ] {
            assert!(proxies(wrong).is_err(), "{wrong}");
        }
    }
}
