//! `palisade kms-plugin`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use ground::Region;

use super::Output;
use super::serve::{LogFormat, log_to_stderr, runtime, told_to_stop};
use crate::kms_plugin::{self, Plugin};
use crate::remote_kms::RemoteKms;

pub(super) const EXAMPLE: &str = "Example: palisade kms-plugin --socket /run/palisade/kms.sock --key alias/kubernetes \
--endpoint https://kms.example.internal:4566 --context cluster=prod";

/// Serves the plugin interface until it is told to stop. Credentials are those of the usual AWS_… variables
/// or profile.
#[derive(Args)]
pub(crate) struct KmsPlugin {
    /// The Unix socket to make, which only this user may open.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The symmetric key: its id, ARN or alias.
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    key: String,
    /// The KMS, instead of AWS_ENDPOINT_URL; again for others to ask when one is silent.
    #[arg(long, value_name = "URL")]
    endpoint: Vec<String>,
    /// The key's region, instead of AWS_REGION.
    #[arg(long, value_parser = Region::parse)]
    region: Option<Region>,
    /// A pair of the encryption context, bound to every ciphertext; again for more.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// How long the KMS may take for a request.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("it must be NAME=VALUE, as in cluster=prod".to_owned()),
    }
}

/// The pairs as a context: each name once, and none of the plugin's own.
fn context(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>> {
    let mut context = BTreeMap::new();
    for (name, value) in pairs {
        if name == kms_plugin::PURPOSE.0 {
            bail!("--context {name}=…: this pair is the plugin's own, bound to every ciphertext already");
        }
        if context.contains_key(&name) {
            bail!("--context {name}=… is there twice");
        }
        context.insert(name, value);
    }
    Ok(context)
}

impl KmsPlugin {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        log_to_stderr(LogFormat::Json);
        let context = context(self.context)?;
        let kms = RemoteKms::new(self.endpoint, self.region.map(|region| region.to_string()));
        // They are looked up for every call; without any, every call would fail.
        kms.check().context("the KMS cannot be asked")?;
        let plugin = Plugin::new(kms, self.key, context, Duration::from_secs(self.timeout));
        runtime()?.block_on(async {
            let socket = kms_plugin::Socket::bind(&self.socket).await?;
            let stop = told_to_stop()?;
            output.show(&serde_json::json!({"socket": self.socket}), || {
                format!("The KMS plugin answers at {}\n", self.socket.display())
            });
            kms_plugin::serve(plugin, socket, stop).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}
