//! Generates `api/<service>` from botocore's models: names, types, places,
//! constraints, errors and sensitivity. No prose is carried over.

mod emit;
mod model;
pub(crate) mod names;
mod venv;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// `codegen.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The botocore version whose models are read.
    botocore: String,
    service: Vec<ServiceConfig>,
}

/// One `[[service]]` of `codegen.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceConfig {
    pub(crate) name: String,
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) global: bool,
    pub(crate) operations: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) read_only: Vec<String>,
    #[serde(default)]
    pub(crate) writes: Vec<String>,
    #[serde(default)]
    pub(crate) sensitive: Vec<String>,
}

/// Generates every configured service, or with `check` compares with what is committed.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build tool reads, writes and reports"
)]
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let text = std::fs::read_to_string(root.join("xtask/codegen.toml")).context("reading codegen.toml")?;
    let config: Config = toml::from_str(&text).context("parsing codegen.toml")?;
    let data = venv::botocore_data(root, &config.botocore)?;

    let mut stale = Vec::new();
    for service in &config.service {
        let model = model::load(&data, &service.model, service.operations.as_deref())
            .with_context(|| format!("loading the model of {}", service.name))?;
        let files = emit::service(service, &model).with_context(|| format!("generating {}", service.name))?;
        for (path, text) in files {
            let path = root.join("api").join(&service.name).join(path);
            if std::fs::read_to_string(&path).ok().as_deref() == Some(&text) {
                continue;
            }
            if check {
                stale.push(path.display().to_string());
                continue;
            }
            std::fs::create_dir_all(path.parent().context("a generated file has a directory")?)?;
            std::fs::write(&path, text)?;
            println!("wrote {}", path.strip_prefix(root).unwrap_or(&path).display());
        }
    }
    if !stale.is_empty() {
        bail!(
            "generated files differ from the models; run `cargo xtask codegen`:\n  {}",
            stale.join("\n  ")
        );
    }
    Ok(())
}

/// The files of one generated crate, by path inside it.
pub(crate) type Files = BTreeMap<String, String>;
