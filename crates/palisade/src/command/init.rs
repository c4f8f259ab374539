//! `palisade init`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use crypto::Random;
use crypto::slot::{Initialisation, UntestedInitialisation};
use gate::Mode;
use ground::{AccountId, Clock, id};
use iam::RootCredential;

use super::Output;
use super::recovery::RecoveryArguments;
use super::seal::NewSlotArguments;
use crate::files;
use crate::keeper::Means;
use crate::settings::{Settings, parse_account};
use crate::world::{Layout, World};

/// Prepares a data directory.
#[derive(Args)]
pub(crate) struct Init {
    /// The configuration file that `palisade serve` will use: it says which store is prepared.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, instead of the configuration's; made if it is not there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    slot: NewSlotArguments,
    #[command(flatten)]
    recovery: RecoveryArguments,
    #[command(flatten)]
    means: Means,
    /// The first account.
    #[arg(long, default_value = "123456789012", value_parser = parse_account)]
    account: AccountId,
}

impl Init {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = Settings::read_or_default(self.config.as_deref())?;
        // How `serve` finds what is made here: as it was said to this command.
        let config = self
            .config
            .iter()
            .map(|file| format!("--config {}", file.display()));
        let directory = self.data.iter().map(|data| format!("--data {}", data.display()));
        let next = config.chain(directory).collect::<Vec<_>>().join(" ");
        let Some(data) = self.data.or(settings.data) else {
            bail!("say where the data is to be: --data DIR, or `data` in the configuration");
        };
        let layout = Layout(&data);
        if layout.slots().exists() {
            bail!("{} is initialised already; nothing was changed", data.display());
        }
        if layout.store().exists() || layout.journal().exists() {
            bail!(
                "{} holds the data of an earlier start whose key slots are gone; initialise an empty directory",
                data.display()
            );
        }
        // Whatever is wrong with the store's settings must show before a key is made.
        let store = settings.store.config(&layout)?;
        let random = Random::system();
        files::private_directory(&data)?;
        let store_id = id::uuid(random.bytes());
        let secret = self.slot.secret(&random, &self.means, &store_id)?;
        let mut fresh = Initialisation::begin(&store_id, &random)?;
        fresh.add(&self.slot.label, &secret.as_slot(), &random)?;
        let (untested, shares) = fresh.issue_recovery("recovery", self.recovery.shares, &random)?;
        let typed_back = |untested: UntestedInitialisation, typed: &[&str]| {
            untested
                .confirm_recovery(typed)
                .map_err(|unconfirmed| Box::new((*unconfirmed.initialisation, unconfirmed.reason)))
        };
        let tested = self.recovery.hand_out(untested, &shares, output, typed_back)?;
        let (root_key, slots) = tested.finish();

        let root = RootCredential::generate(self.account, &random);
        let credential = serde_json::json!({
            "account": self.account,
            "access_key_id": root.access_key_id,
            "secret_access_key": root.secret.expose(),
        });
        let world = World {
            mode: Mode::Serve,
            store,
            journal: layout.journal(),
            root_key: Arc::new(root_key),
            clock: Clock::system(),
            random,
            home: settings.region,
            durable: true,
            strict_audit: false,
            node: id::uuid(Random::system().public_bytes()),
            sharing: None,
            roots: vec![(self.account, root)],
            seed: None,
            issuers: iam::Issuers::none(),
            starts: None,
            kms: kms::Options::default(),
            xks: None,
        };
        super::serve::runtime()?.block_on(async { world.open().await?.close().await })?;
        // Written last: a directory with slots is initialised, one without is not.
        files::write_private(&layout.slots(), slots.to_json().as_bytes())?;

        output.show(&credential, || {
            format!(
                "{} is ready. The root credential of account {}, shown once:\n\n\
                 export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n\n\
                 Next: palisade serve {next}\n",
                data.display(),
                self.account,
                credential["access_key_id"].as_str().unwrap_or_default(),
                credential["secret_access_key"].as_str().unwrap_or_default(),
            )
        });
        Ok(ExitCode::SUCCESS)
    }
}
