//! `palisade backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use ground::Clock;
use store::{Store, StoreError};

use super::Output;
use crate::backup::{self, Manifest};
use crate::settings::Settings;
use crate::world::Layout;

/// Copies a data directory.
#[derive(Args)]
pub(crate) struct Backup {
    /// The configuration file of `palisade serve`: it says where the store is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, instead of the configuration's. Its server must be stopped.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The backup, a directory that is not there yet.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

impl Backup {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = Settings::read_or_default(self.config.as_deref())?;
        let Some(data) = self.data.clone().or(settings.data.clone()) else {
            bail!("say where the data is: --data DIR, or `data` in the configuration");
        };
        let layout = Layout(&data);
        if !layout.slots().exists() {
            bail!(
                "{} is no data directory: it has no key slots, without which no backup of it could be opened",
                data.display()
            );
        }
        let store = settings.store.config(&layout)?;
        if settings.store.postgres_url_file.is_none() && !layout.store().exists() {
            bail!(
                "{} has no store; if its rows are in a database, name the --config that says so",
                data.display()
            );
        }
        if self.output.starts_with(&data) {
            bail!("{} is inside what it would be a copy of", self.output.display());
        }
        let partial = backup::partial(
            &self.output,
            "is there already; a backup never overwrites anything",
        )?;
        let copied = super::serve::runtime()?.block_on(copy(&layout, store, &partial, output));
        let manifest = match copied.and_then(|manifest| {
            backup::publish(&partial, &self.output)?;
            Ok(manifest)
        }) {
            Ok(manifest) => manifest,
            Err(problem) => {
                backup::discard(&partial);
                return Err(problem);
            }
        };
        let told = serde_json::json!({
            "backup": self.output,
            "bytes": manifest.bytes(),
            "records": manifest.records,
            "made_at": manifest.made_at,
        });
        output.show(&told, || {
            format!(
                "{} holds {} with {} records, {} bytes.\n\
                 Its root key is sealed as it was: keep the secrets of the key slots elsewhere.\n{}\
                 Try it: palisade restore --backup {0} --data DIR\n",
                self.output.display(),
                data.display(),
                manifest.records,
                manifest.bytes(),
                if layout.dev_root_key().exists() {
                    "It is a development directory, so that root.key is in the backup, in clear.\n"
                } else {
                    ""
                }
            )
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// Copies everything into `to`. The store stays open meanwhile, which keeps a
/// server off the file.
async fn copy(layout: &Layout<'_>, config: store::Config, to: &Path, output: Output) -> Result<Manifest> {
    let store = match Store::open(config).await {
        Ok(store) => store,
        Err(error @ StoreError::InUse { .. }) => {
            return Err(error).context("stop the server first: its record would go on while it is copied");
        }
        Err(error) => return Err(error).context("the store cannot be opened"),
    };
    let inside = Layout(to);
    let copied = async {
        output.progress("copying the store …");
        store
            .backup(&inside.store())
            .await
            .context("the store cannot be copied")?;
        let progress = |bytes| output.progress(&format!("{bytes} bytes copied …"));
        backup::copy_in(layout.0, to, STORE_FILE, &progress)?;
        // The copy is proven, not what it was made of: that is what will be relied on.
        output.progress("proving the copy of the record …");
        let report = journal::verify(&inside.journal(), None, |_| {}).context(
            "the copy of the record is not whole. Either a server goes on writing: stop it. Or it is damaged: \
             `palisade verify` says where, and a plain copy of the directory keeps what there is",
        )?;
        Manifest::write(to, report.position.0, Clock::system().now())
    }
    .await;
    store.close().await;
    copied
}

/// The store's file in a data directory, which is copied row by row.
const STORE_FILE: &str = "store.redb";
