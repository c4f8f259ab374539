//! `palisade env`, and the note that a running dev server leaves for it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use ground::AccountId;
use serde::{Deserialize, Serialize};

use super::Output;
use crate::files;

/// Prints `export` lines.
#[derive(Args)]
pub(crate) struct Env {
    /// The port of the dev server.
    #[arg(long, default_value_t = USUAL_PORT)]
    port: u16,
}

/// Where a dev server listens unless it is told otherwise.
const USUAL_PORT: u16 = 4566;

/// The command that tells how to reach the dev server on this port.
pub(crate) fn command_for(port: u16) -> String {
    match port {
        USUAL_PORT => "palisade env".to_owned(),
        port => format!("palisade env --port {port}"),
    }
}

/// How to reach a running dev server. It holds a secret, but one of a server
/// whose user asked for it to be printed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) account: AccountId,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
}

impl Env {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let path = Running::path(self.port)?;
        let bytes = files::read_secret(&path).with_context(|| {
            format!(
                "no `palisade dev` of yours is running on port {}: start one, or say on which it is with --port",
                self.port
            )
        })?;
        let running: Running =
            serde_json::from_slice(bytes.expose()).context("the dev server's note is damaged")?;
        output.show(&running.to_json(), || running.exports());
        Ok(ExitCode::SUCCESS)
    }
}

impl Running {
    /// The lines to paste. The older command line client knows only the
    /// second name of the region.
    pub(crate) fn exports(&self) -> String {
        format!(
            "export AWS_ENDPOINT_URL={}\nexport AWS_REGION={} AWS_DEFAULT_REGION={}\nexport AWS_ACCESS_KEY_ID={}\n\
             export AWS_SECRET_ACCESS_KEY={}\nunset AWS_SESSION_TOKEN AWS_PROFILE\n",
            self.endpoint,
            self.region,
            self.region,
            self.access_key_id,
            shell_quoted(&self.secret_access_key)
        )
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    /// Leaves the note for `palisade env`.
    pub(crate) fn remember(&self, port: u16) -> Result<()> {
        let path = Running::path(port)?;
        if let Some(directory) = path.parent() {
            files::private_directory(directory)?;
        }
        files::write_private(&path, self.to_json().to_string().as_bytes())
    }

    /// Takes the note away.
    pub(crate) fn forget(port: u16) {
        if let Ok(path) = Running::path(port) {
            files::remove_if_present(&path);
        }
    }

    fn path(port: u16) -> Result<PathBuf> {
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache").into()))
            .context("neither XDG_RUNTIME_DIR nor HOME is set")?;
        Ok(PathBuf::from(base)
            .join("palisade")
            .join(format!("dev-{port}.json")))
    }
}

/// The text as one word of a POSIX shell.
fn shell_quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+=_-.:".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
