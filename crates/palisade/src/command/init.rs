//! `palisade init`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use crypto::Random;
use crypto::slot::{
    Initialisation, RecoveryShare, SharePolicy, TestedInitialisation, UntestedInitialisation,
};
use gate::Mode;
use ground::{AccountId, Clock, id};
use iam::RootCredential;

use super::Output;
use super::seal::{NewSlotArguments, parse_shares};
use crate::files;
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
    /// Recovery shares, THRESHOLDofCOUNT: so many of them open the root key when all else is lost.
    #[arg(long, default_value = "2of3", value_parser = parse_shares)]
    shares: SharePolicy,
    /// Writes the shares to this file instead of the terminal, and takes them
    /// as kept. Move them to their keepers and remove the file.
    #[arg(long, value_name = "FILE")]
    shares_file: Option<PathBuf>,
    /// The first account.
    #[arg(long, default_value = "123456789012", value_parser = parse_account)]
    account: AccountId,
}

impl Init {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let settings = Settings::read_or_default(self.config.as_deref())?;
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
        let secret = self.slot.secret(&random)?;
        let mut fresh = Initialisation::begin(&id::uuid(random.bytes()), &random)?;
        fresh.add(&self.slot.label, &secret.as_slot(), &random)?;
        let (untested, shares) = fresh.issue_recovery("recovery", self.shares, &random)?;
        let tested = match &self.shares_file {
            Some(path) => shares_to_file(untested, &shares, path)?,
            None => shares_at_terminal(untested, &shares, self.shares, output)?,
        };
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
        };
        super::serve::runtime()?.block_on(async { world.open().await?.close().await })?;
        // Written last: a directory with slots is initialised, one without is not.
        files::write_private(&layout.slots(), slots.to_json().as_bytes())?;

        let next = match &self.config {
            Some(config) => format!("--config {}", config.display()),
            None => format!("--data {}", data.display()),
        };
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

/// Writes the shares to a file and confirms them by reading that file back.
fn shares_to_file(
    untested: UntestedInitialisation,
    shares: &[RecoveryShare],
    path: &std::path::Path,
) -> Result<TestedInitialisation> {
    if path.exists() {
        bail!("{} exists already; shares never overwrite a file", path.display());
    }
    let mut text = String::new();
    for share in shares {
        text.push_str(share.to_text().expose());
        text.push('\n');
    }
    files::write_private(path, text.as_bytes())?;
    let written = files::read_secret(path)?;
    let lines: Vec<&str> = std::str::from_utf8(written.expose())?.lines().collect();
    untested
        .confirm_recovery(&lines)
        .map_err(|unconfirmed| unconfirmed.reason.into())
}

/// Shows the shares and asks for enough of them to be typed back.
fn shares_at_terminal(
    mut untested: UntestedInitialisation,
    shares: &[RecoveryShare],
    policy: SharePolicy,
    output: Output,
) -> Result<TestedInitialisation> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "recovery shares must be tested, and there is no terminal to type them at: use --shares-file FILE"
        );
    }
    output.progress("Recovery shares. Give each to another keeper; they are not shown again.\n");
    for share in shares {
        output.progress(&format!("  {}. {}", share.number(), share.to_text().expose()));
    }
    loop {
        output.progress(&format!(
            "\nType {} of them back, one a line:",
            policy.threshold()
        ));
        let typed: Vec<String> = std::io::stdin()
            .lock()
            .lines()
            .take(usize::from(policy.threshold()))
            .collect::<Result<_, _>>()
            .context("nothing was typed")?;
        let typed: Vec<&str> = typed.iter().map(|line| line.trim()).collect();
        match untested.confirm_recovery(&typed) {
            Ok(tested) => return Ok(tested),
            Err(unconfirmed) => {
                output.progress(&format!("They do not work: {}.", unconfirmed.reason));
                untested = *unconfirmed.initialisation;
            }
        }
    }
}
