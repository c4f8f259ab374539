//! `palisade cluster-keys`.
//!
//! A key of an AWS CloudHSM key store is made in the cluster first, and then in
//! KMS. A server that dies in between leaves it there; so does one that cannot
//! reach the cluster when a key is to be deleted. The label of each key is the id
//! of its KMS key, so that those can be told which no KMS key names.
//!
//! Nothing is changed, neither there nor in KMS.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use ground::{Region, Secret};
use serde_json::{Value, json};

use super::Output;
use super::serve::runtime;
use crate::files;
use crate::key_stores::KeyStoreSettings;
use crate::remote_kms::{Problem, RemoteKms};
use crate::settings::Settings;

pub(super) const EXAMPLE: &str = "Example: palisade cluster-keys --config /etc/palisade/palisade.toml \
                                  --cluster cluster-abcdefghi23 --password-file kmsuser";

/// For one call of KMS.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a key may be in the cluster before its KMS key is written: far
/// longer than that takes.
const BEING_MADE: Duration = Duration::from_secs(5);

/// Compares the keys that the cluster has with those of the KMS that AWS_ENDPOINT_URL names, in the
/// account and region that have the key store. Changes nothing.
#[derive(Args)]
pub(crate) struct ClusterKeys {
    /// The cluster.
    #[arg(long, value_name = "ID")]
    cluster: String,
    /// The server's configuration, which says how the cluster is reached.
    #[arg(long, value_name = "FILE", required_unless_present = "key_stores")]
    config: Option<PathBuf>,
    /// The file of `palisade dev --key-stores` instead.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    key_stores: Option<PathBuf>,
    /// A file whose first line is the password of kmsuser, which nobody but its owner may be able to read.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// The KMS, instead of AWS_ENDPOINT_URL.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The key store's region, instead of AWS_REGION.
    #[arg(long, value_parser = Region::parse)]
    region: Option<Region>,
}

impl ClusterKeys {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = match (&self.config, &self.key_stores) {
            (Some(path), _) => Settings::read(path)?.key_stores,
            (None, Some(path)) => KeyStoreSettings::read(path)?,
            (None, None) => bail!("say how the cluster is reached: --config FILE"),
        };
        let bytes = files::read_secret(&self.password_file)?;
        let text = std::str::from_utf8(bytes.expose()).context("the password is not text")?;
        let password = Secret::new(text.lines().next().unwrap_or_default().to_owned());
        let found = runtime()?.block_on(self.found(&settings, &password))?;
        output.show(
            &json!({"cluster": self.cluster, "keys": found.keys, "unnamed": found.unnamed}),
            || human(&self.cluster, &found),
        );
        Ok(ExitCode::SUCCESS)
    }

    async fn found(&self, settings: &KeyStoreSettings, password: &Secret<String>) -> Result<Found> {
        let region = self.region.as_ref().map(Region::to_string);
        let kms = RemoteKms::new(self.endpoint.clone().into_iter().collect(), region);
        // In another account or region every key would seem to be nobody's.
        let stores = all(&kms, "DescribeCustomKeyStores", "CustomKeyStores").await?;
        let of_cluster = |store: &&Value| store["CloudHsmClusterId"].as_str() == Some(&*self.cluster);
        if stores.iter().find(of_cluster).is_none() {
            bail!(
                "this account has no key store of {} in this region, so that nothing can be told of its keys",
                self.cluster
            );
        }
        let home = Region::us_east_1();
        let there = settings.key_ids(&self.cluster, &home, password).await?;
        let keys = there.len();
        let mut unnamed: BTreeSet<String> = there.into_iter().collect();
        for pause in [None, Some(BEING_MADE)] {
            if unnamed.is_empty() {
                break;
            }
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            for key in all(&kms, "ListKeys", "Keys").await? {
                unnamed.remove(key["KeyId"].as_str().unwrap_or_default());
            }
        }
        Ok(Found { keys, unnamed })
    }
}

/// What a cluster has.
struct Found {
    /// Keys whose labels could be ids of KMS keys.
    keys: usize,
    /// Those of them that are none.
    unnamed: BTreeSet<String>,
}

/// Everything that a listing of KMS gives.
async fn all(kms: &RemoteKms, operation: &str, member: &str) -> Result<Vec<Value>> {
    let (mut found, mut input) = (Vec::new(), json!({}));
    loop {
        let page = kms.call(operation, &input, PATIENCE).await.map_err(told)?;
        found.extend(page[member].as_array().into_iter().flatten().cloned());
        if page["Truncated"] != json!(true) {
            return Ok(found);
        }
        input["Marker"] = page["NextMarker"].clone();
    }
}

fn told(problem: Problem) -> anyhow::Error {
    match problem {
        Problem::Refused { code, message } => anyhow!("{code}: {message}"),
        Problem::Silent(error) => error,
        Problem::Overdue => anyhow!("the KMS did not answer in time"),
    }
}

fn human(cluster: &str, found: &Found) -> String {
    let mut lines: Vec<String> = found.unnamed.iter().cloned().collect();
    lines.push(match (found.keys, found.unnamed.len()) {
        (keys, 0) => format!("a KMS key names each of the {keys} keys in {cluster}"),
        (keys, unnamed) => format!("no KMS key names these {unnamed} of the {keys} keys in {cluster}"),
    });
    lines.push(String::new());
    lines.join("\n")
}
