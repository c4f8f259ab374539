//! `palisade kes-bridge`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::Output;
use super::serve::{LogFormat, bind, log_to_stderr, runtime, told_to_stop};
use crate::certificate::identity_of_pem;
use crate::files;
use crate::kes_bridge::{self, Bridge, Settings};

pub(super) const EXAMPLES: &str = "Example: palisade kes-bridge --config /etc/palisade/kes.toml
Example: palisade kes-bridge --identity-of client.crt";

/// Serves until it is told to stop.
#[derive(Args)]
pub(crate) struct KesBridge {
    /// The configuration file (docs/kes-bridge.md).
    #[arg(long, value_name = "FILE", required_unless_present = "identity_of")]
    config: Option<PathBuf>,
    /// Prints the identity of a client's certificate (PEM) instead, as the configuration names it.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    identity_of: Option<PathBuf>,
}

impl KesBridge {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        if let Some(path) = &self.identity_of {
            let identity = identity_of_pem(&files::read_text(path)?)
                .with_context(|| format!("{} is no certificate", path.display()))?;
            output.show(&serde_json::json!({"identity": identity}), || {
                format!("{identity}\n")
            });
            return Ok(ExitCode::SUCCESS);
        }
        log_to_stderr(LogFormat::Json);
        let path = self
            .config
            .context("say where the configuration is: --config FILE")?;
        let settings = Settings::read(&path)?;
        runtime()?.block_on(async {
            let listener = bind(settings.listen).await?;
            let address = listener.local_addr()?;
            let (bridge, tls) = Bridge::new(settings)?;
            let stop = told_to_stop()?;
            output.show(
                &serde_json::json!({"endpoint": format!("https://{address}")}),
                || format!("The KES bridge answers at https://{address}\n"),
            );
            kes_bridge::serve(bridge, tls, listener, stop).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}
