//! `palisade restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use crypto::RootKey;
use store::Store;

use super::Output;
use super::seal::Unseal;
use crate::backup::{self, Manifest};
use crate::settings::Settings;
use crate::world::Layout;

/// Makes a data directory of a backup.
#[derive(Args)]
pub(crate) struct Restore {
    /// The backup.
    #[arg(long, value_name = "DIR")]
    backup: PathBuf,
    /// The configuration file that `palisade serve` will use: it says which store is filled, which must be empty.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory to be made, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    unseal: Unseal,
}

impl Restore {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = Settings::read_or_default(self.config.as_deref())?;
        let Some(data) = self.data.clone().or(settings.data.clone()) else {
            bail!("say where the data is to be: --data DIR, or `data` in the configuration");
        };
        let manifest = Manifest::read(&self.backup)?;
        let partial = backup::partial(
            &data,
            "is not empty; a backup is restored beside what is there, never over it",
        )?;
        let database = match &settings.store.postgres_url_file {
            Some(_) => Some(settings.store.config(&Layout(&data))?),
            None => None,
        };
        let restored = self
            .fill(&manifest, &partial, database, output)
            .and_then(|()| backup::publish(&partial, &data));
        if let Err(problem) = restored {
            backup::discard(&partial);
            return Err(problem);
        }
        let told = serde_json::json!({
            "data": data,
            "bytes": manifest.bytes(),
            "records": manifest.records,
            "made_at": manifest.made_at,
        });
        let command = if Layout(&data).dev_root_key().exists() {
            "dev"
        } else {
            "serve"
        };
        output.show(&told, || {
            format!(
                "{} is as it was on {}: every file fits its sum, the record is whole ({} records), the root key opens \
                 and fits the store.\nNext: palisade {command} --data {0}\n",
                data.display(),
                manifest.made_at,
                manifest.records,
            )
        });
        Ok(ExitCode::SUCCESS)
    }

    /// Copies the backup to `partial`, and proves there what it holds.
    fn fill(
        &self,
        manifest: &Manifest,
        partial: &Path,
        database: Option<store::Config>,
        output: Output,
    ) -> Result<()> {
        let progress = |bytes| output.progress(&format!("{bytes} bytes copied …"));
        manifest.copy_out(&self.backup, partial, &progress)?;
        let layout = Layout(partial);
        let root_key = self.root_key(&layout)?;
        output.progress("proving the record …");
        let seal_key = root_key.journal_seal_key();
        let report = journal::verify(&layout.journal(), Some(&seal_key), |_| {})
            .context("the record of the backup is not whole")?;
        if report.position.0 != manifest.records {
            bail!(
                "the record has {} entries, and the manifest says {}",
                report.position.0,
                manifest.records
            );
        }
        output.progress("opening the store …");
        super::serve::runtime()?.block_on(fill_store(&layout, &root_key, database))
    }

    /// The root key, by what was given; of a development directory by the file in it.
    fn root_key(&self, layout: &Layout<'_>) -> Result<RootKey> {
        let key_file = layout.dev_root_key();
        if key_file.exists() {
            super::dev::unlock_with_file(&layout.slots(), &key_file)
        } else {
            self.unseal.open(layout)
        }
    }
}

/// Proves that the rows belong to the root key, and brings them into the
/// database if that is where they are to be.
async fn fill_store(layout: &Layout<'_>, root_key: &RootKey, database: Option<store::Config>) -> Result<()> {
    let file = layout.store();
    let copy = Store::open(store::Config::redb(&file))
        .await
        .context("the store of the backup cannot be opened")?;
    let fits = gate::open_ring(&copy, root_key).await;
    copy.close().await;
    fits?;
    let Some(database) = database else {
        return Ok(());
    };
    let store = Store::open(database)
        .await
        .context("the database cannot be opened")?;
    let restored = store.restore(&file).await;
    store.close().await;
    restored.context(
        "the database could not be filled. It must be empty; if this was cut off half-way, empty it and try again",
    )?;
    crate::files::remove_if_present(&file);
    Ok(())
}
