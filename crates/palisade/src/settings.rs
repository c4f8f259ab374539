//! The configuration file of `palisade serve`: TOML that refuses unknown keys,
//! where leaving a field out is always safe.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ground::{AccountId, Clock, Region};
use serde::Deserialize;

use crate::federation::FederationSettings;
use crate::files;
use crate::key_stores::KeyStoreSettings;
use crate::peer::PeerSettings;
use crate::world::Layout;

/// `palisade.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where to listen. Default: this machine alone, port 4566.
    pub(crate) listen: SocketAddr,
    /// The data directory, made by `palisade init`. No default.
    pub(crate) data: Option<PathBuf>,
    /// The region meant when a signature names several. Default: us-east-1.
    pub(crate) region: Region,
    /// Where rows are kept. Default: a file in the data directory.
    pub(crate) store: StoreSettings,
    /// Encryption of connections. Default: a self-signed certificate, unless
    /// the server listens on this machine alone.
    pub(crate) tls: TlsSettings,
    /// Opening the root key of other members of a cluster. Default: for nobody.
    pub(crate) peers: Option<PeerSettings>,
    /// The record of calls.
    pub(crate) audit: AuditSettings,
    /// Where the keys of OpenID Connect issuers come from (docs/federation.md).
    pub(crate) federation: FederationSettings,
    /// What custom key stores are served by (docs/custom-key-stores.md).
    pub(crate) key_stores: KeyStoreSettings,
    /// How the log on standard error is written. Default: JSON lines.
    pub(crate) log: LogSettings,
    /// What connections may take. Every default is safe.
    pub(crate) limits: LimitsSettings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 4566)),
            data: None,
            region: Region::us_east_1(),
            store: StoreSettings::default(),
            tls: TlsSettings::default(),
            peers: None,
            audit: AuditSettings::default(),
            federation: FederationSettings::default(),
            key_stores: KeyStoreSettings::default(),
            log: LogSettings::default(),
            limits: LimitsSettings::default(),
        }
    }
}

/// `[store]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreSettings {
    /// A PostgreSQL database instead of the file: the path of a file that
    /// holds its connection string, because the string holds a password.
    pub(crate) postgres_url_file: Option<PathBuf>,
    /// How long a server that shares the database must have been silent before
    /// another writes the records it left, in seconds from 2 to 86,400. The
    /// same on every server. Default: 300.
    pub(crate) takeover_seconds: TakeoverSeconds,
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings {
            postgres_url_file: None,
            takeover_seconds: TakeoverSeconds(300),
        }
    }
}

/// A number of seconds from 2 (a node looks after its lease once a second) to a day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct TakeoverSeconds(u32);

impl TryFrom<u32> for TakeoverSeconds {
    type Error = String;

    fn try_from(seconds: u32) -> Result<TakeoverSeconds, String> {
        match seconds {
            2..=86_400 => Ok(TakeoverSeconds(seconds)),
            _ => Err(format!("takeover_seconds is {seconds}, not from 2 to 86400")),
        }
    }
}

/// `[tls]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TlsSettings {
    /// PEM file with the certificate chain; needs `key` too. Both are read
    /// again when they change.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub(crate) key: Option<PathBuf>,
    /// Serves without encryption, also beyond this machine. Default: false.
    pub(crate) off: bool,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditSettings {
    /// Waits for the disk before every answer, not only after changes. Default: false.
    pub(crate) strict: bool,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSettings {
    /// Text for people instead of JSON lines. Default: false.
    pub(crate) text: bool,
}

/// `[limits]`: none can be switched off.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsSettings {
    /// Most connections open at once, 1 to 1,000,000. Default: 10,000.
    connections: Option<usize>,
    /// Seconds a TLS handshake may take, 1 to 3,600. Default: 10.
    handshake_seconds: Option<u64>,
    /// Seconds a request's head may take, and an idle connection stays open. Default: 60.
    header_seconds: Option<u64>,
    /// Seconds a request's body may take. Default: 30.
    body_seconds: Option<u64>,
    /// Seconds that open requests get to finish at shutdown. Default: 20.
    shutdown_seconds: Option<u64>,
}

impl LimitsSettings {
    /// The listener's limits.
    ///
    /// # Errors
    ///
    /// If one is out of its range.
    pub(crate) fn limits(&self) -> Result<gate::Limits> {
        let safe = gate::Limits::default();
        let time = |name: &str, given: Option<u64>, default: Duration| match given {
            None => Ok(default),
            Some(seconds @ 1..=3_600) => Ok(Duration::from_secs(seconds)),
            Some(seconds) => bail!("limits.{name} is {seconds}; it must be 1 to 3600 seconds"),
        };
        Ok(gate::Limits {
            connections: match self.connections {
                None => safe.connections,
                Some(count @ 1..=1_000_000) => count,
                Some(count) => bail!("limits.connections is {count}; it must be 1 to 1000000"),
            },
            handshake_time: time("handshake_seconds", self.handshake_seconds, safe.handshake_time)?,
            header_time: time("header_seconds", self.header_seconds, safe.header_time)?,
            body_time: time("body_seconds", self.body_seconds, safe.body_time)?,
            shutdown_time: time("shutdown_seconds", self.shutdown_seconds, safe.shutdown_time)?,
        })
    }
}

impl StoreSettings {
    /// The engine that these settings ask for.
    ///
    /// # Errors
    ///
    /// If the file with the connection string cannot be read, or others may read it.
    pub(crate) fn config(&self, layout: &Layout<'_>) -> Result<store::Config> {
        let Some(path) = &self.postgres_url_file else {
            return Ok(store::Config::redb(layout.store()));
        };
        let url = files::read_secret(path)?;
        let url = std::str::from_utf8(url.expose()).context("the connection string is not UTF-8")?;
        Ok(store::Config::postgres(url.trim()))
    }

    /// How this server stands among those that share its store; `None` if the
    /// store is a file, which it has to itself.
    ///
    /// # Errors
    ///
    /// If the directory has no node's name yet.
    pub(crate) fn sharing(&self, layout: &Layout<'_>) -> Result<Option<gate::Sharing>> {
        if self.postgres_url_file.is_none() {
            return Ok(None);
        }
        Ok(Some(gate::Sharing {
            place: layout.place()?,
            takeover_after: Duration::from_secs(self.takeover_seconds.0.into()),
            clock: Clock::system(),
        }))
    }
}

impl Settings {
    /// Reads a configuration file; without one, the defaults.
    ///
    /// # Errors
    ///
    /// As [`Settings::read`].
    pub(crate) fn read_or_default(path: Option<&Path>) -> Result<Settings> {
        path.map_or_else(|| Ok(Settings::default()), Settings::read)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or says something that is not known here.
    pub(crate) fn read(path: &Path) -> Result<Settings> {
        let text = files::read_text(path)?;
        toml::from_str(&text).with_context(|| format!("{} is not a valid configuration", path.display()))
    }
}

/// Reads an account id from the command line.
pub(crate) fn parse_account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).map_err(|error| error.to_string())
}

/// Reads a region from the command line.
pub(crate) fn parse_region(text: &str) -> Result<Region, String> {
    Region::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_safe_and_nonsense_is_refused() {
        let settings: Settings = toml::from_str("").unwrap();
        assert!(settings.listen.ip().is_loopback());
        assert!(!settings.tls.off);
        assert!(toml::from_str::<Settings>("lisen = \"127.0.0.1:1\"").is_err());
        assert!(toml::from_str::<Settings>("[tls]\nverify = false").is_err());
        for (seconds, taken) in [(1, false), (2, true), (86_400, true), (86_401, false)] {
            let text = format!("[store]\ntakeover_seconds = {seconds}");
            assert_eq!(toml::from_str::<Settings>(&text).is_ok(), taken, "{seconds}");
        }
    }

    #[test]
    fn limits_have_their_range_and_no_off() {
        let limits = |text: &str| toml::from_str::<Settings>(text).unwrap().limits.limits();
        assert_eq!(limits("").unwrap(), gate::Limits::default());
        assert_eq!(gate::Limits::default().connections, 10_000);
        let said = limits("[limits]\nconnections = 5\nbody_seconds = 3600").unwrap();
        assert_eq!(
            (said.connections, said.body_time),
            (5, Duration::from_secs(3_600))
        );
        for wrong in [
            "connections = 0",
            "connections = 1000001",
            "body_seconds = 0",
            "body_seconds = 3601",
            "header_seconds = 0",
            "handshake_seconds = 0",
            "shutdown_seconds = 0",
        ] {
            assert!(limits(&format!("[limits]\n{wrong}")).is_err(), "{wrong}");
        }
        assert!(toml::from_str::<Settings>("[limits]\nbody_second = 1").is_err());
    }
}
