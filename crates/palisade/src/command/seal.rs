//! `palisade seal`, and how the root key is opened.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use crypto::Random;
use crypto::hierarchy::RootKey;
use crypto::slot::{Argon2Cost, KEY_FILE_BYTES, KeySlots, NewSlot, SharePolicy, SlotId, SlotSecret};
use ground::Secret;

use super::Output;
use crate::files;
use crate::world::Layout;

/// The name under which systemd hands over the key (`LoadCredential=`).
const CREDENTIAL_NAME: &str = "palisade-root-key";

/// Manages key slots.
#[derive(Args)]
pub(crate) struct Seal {
    #[command(subcommand)]
    action: Action,
    /// The data directory.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the slots.
    #[command(after_help = "Example: palisade seal status --data /var/lib/palisade")]
    Status,
    /// Proves that a secret still opens the root key, and changes nothing.
    #[command(after_help = "Example: palisade seal verify --data /var/lib/palisade --shares-file shares")]
    Verify(Unseal),
    /// Adds a slot; opens the root key with an existing one first.
    #[command(
        after_help = "Example: palisade seal add --data /var/lib/palisade --slot systemd --new-key-file palisade-root-key"
    )]
    Add {
        #[command(flatten)]
        unseal: Unseal,
        #[command(flatten)]
        new: NewSlotArguments,
    },
    /// Gives a slot a new secret of the same kind.
    #[command(after_help = "Example: palisade seal rotate 3f2a91c4 --data /var/lib/palisade")]
    Rotate {
        /// The slot's id, from `palisade seal status`.
        slot: String,
        #[command(flatten)]
        unseal: Unseal,
        #[command(flatten)]
        new: NewSlotArguments,
    },
    /// Removes a slot; never the last one.
    #[command(after_help = "Example: palisade seal remove 3f2a91c4 --data /var/lib/palisade")]
    Remove {
        /// The slot's id, from `palisade seal status`.
        slot: String,
    },
}

/// How to open the root key. Without any of these: the systemd credential if
/// there is one, else a passphrase typed at the terminal.
#[derive(Args, Default)]
pub(crate) struct Unseal {
    /// Opens the root key with a key file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_file", "shares_file"])]
    key_file: Option<PathBuf>,
    /// Opens the root key with the passphrase on the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "shares_file")]
    passphrase_file: Option<PathBuf>,
    /// Opens the root key with recovery shares, one a line.
    #[arg(long, value_name = "FILE")]
    shares_file: Option<PathBuf>,
}

/// What the new slot is to be.
#[derive(Args)]
pub(crate) struct NewSlotArguments {
    /// What the slot opens with.
    #[arg(long = "slot", value_enum, default_value_t = SlotKind::Passphrase)]
    pub(crate) kind: SlotKind,
    /// Where the new key file is written (for `--slot file` and `--slot systemd`).
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// Takes the new passphrase from the first line of a file instead of the terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// What to call the slot.
    #[arg(long, default_value = "operator")]
    pub(crate) label: String,
}

/// The kinds of slot that can be made.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SlotKind {
    /// A passphrase (argon2id).
    Passphrase,
    /// A file of random bytes that only its owner can read.
    File,
    /// The same, handed over by systemd as credential `palisade-root-key`.
    Systemd,
}

/// A new slot's secret, owned.
pub(crate) enum NewSecret {
    Passphrase(Secret<String>),
    KeyFile(Secret<[u8; KEY_FILE_BYTES]>),
    Systemd(Secret<[u8; KEY_FILE_BYTES]>),
}

impl NewSecret {
    pub(crate) fn as_slot(&self) -> NewSlot<'_> {
        match self {
            NewSecret::Passphrase(passphrase) => NewSlot::Passphrase {
                passphrase: passphrase.expose().as_bytes(),
                cost: Argon2Cost::RECOMMENDED,
            },
            NewSecret::KeyFile(bytes) => NewSlot::KeyFile(bytes.expose()),
            NewSecret::Systemd(bytes) => NewSlot::SystemdCredential(bytes.expose()),
        }
    }
}

impl NewSlotArguments {
    /// Asks for or makes the new secret; a key file is written at once.
    pub(crate) fn secret(&self, random: &Random) -> Result<NewSecret> {
        let write_key = || -> Result<Secret<[u8; KEY_FILE_BYTES]>> {
            let path = self
                .new_key_file
                .as_ref()
                .context("say where the key file is to be written: --new-key-file FILE")?;
            if path.exists() {
                bail!(
                    "{} exists already; a key file is never overwritten",
                    path.display()
                );
            }
            let bytes = Secret::new(random.bytes());
            files::write_private(path, bytes.expose())?;
            Ok(bytes)
        };
        Ok(match self.kind {
            SlotKind::Passphrase => NewSecret::Passphrase(match &self.new_passphrase_file {
                Some(path) => first_line(&files::read_secret(path)?)?,
                None => typed_twice()?,
            }),
            SlotKind::File => NewSecret::KeyFile(write_key()?),
            SlotKind::Systemd => NewSecret::Systemd(write_key()?),
        })
    }
}

impl Unseal {
    /// Opens the root key of a data directory.
    pub(crate) fn open(&self, layout: &Layout<'_>) -> Result<RootKey> {
        let path = layout.slots();
        if !path.exists() {
            bail!(
                "{} is not initialised: run `palisade init --data {0}` first, or `palisade dev` to try things out",
                layout.0.display()
            );
        }
        let slots = KeySlots::parse(files::read_text(&path)?.as_bytes())
            .with_context(|| format!("{} cannot be read", path.display()))?;
        self.unlock(&slots)
            .with_context(|| format!("the root key of {} stays sealed", layout.0.display()))
    }

    fn unlock(&self, slots: &KeySlots) -> Result<RootKey> {
        if let Some(path) = &self.key_file {
            let bytes = files::read_secret(path)?;
            return Ok(slots.unlock(&SlotSecret::KeyFile(bytes.expose()))?.0);
        }
        if let Some(path) = &self.passphrase_file {
            let passphrase = first_line(&files::read_secret(path)?)?;
            return Ok(slots
                .unlock(&SlotSecret::Passphrase(passphrase.expose().as_bytes()))?
                .0);
        }
        if let Some(path) = &self.shares_file {
            let bytes = files::read_secret(path)?;
            let text = std::str::from_utf8(bytes.expose()).context("the shares are not text")?;
            let shares: Vec<&str> = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect();
            return Ok(slots.unlock(&SlotSecret::RecoveryShares(&shares))?.0);
        }
        if let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = PathBuf::from(directory).join(CREDENTIAL_NAME);
            if path.exists() {
                let bytes = files::read_secret(&path)?;
                return Ok(slots.unlock(&SlotSecret::SystemdCredential(bytes.expose()))?.0);
            }
        }
        if !std::io::stdin().is_terminal() {
            bail!("say how to open it: --key-file, --passphrase-file, --shares-file or a systemd credential");
        }
        let passphrase = Secret::new(rpassword::prompt_password("Passphrase: ")?);
        Ok(slots
            .unlock(&SlotSecret::Passphrase(passphrase.expose().as_bytes()))?
            .0)
    }
}

impl Seal {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let data = self.data.context("say where the data is: --data DIR")?;
        let layout = Layout(&data);
        let path = layout.slots();
        if !path.exists() {
            bail!("{} is not initialised: run `palisade init` first", data.display());
        }
        let mut slots = KeySlots::parse(files::read_text(&path)?.as_bytes())?;
        let random = Random::system();
        let save = |slots: &KeySlots| files::write_private(&path, slots.to_json().as_bytes());
        match self.action {
            Action::Status => {}
            Action::Verify(unseal) => {
                unseal.open(&layout)?;
                output.show(&serde_json::json!({"opens": true}), || {
                    "The secret opens the root key.\n".to_owned()
                });
                return Ok(ExitCode::SUCCESS);
            }
            Action::Add { unseal, new } => {
                let root_key = unseal.open(&layout)?;
                slots.add(&root_key, &new.label, &new.secret(&random)?.as_slot(), &random)?;
                save(&slots)?;
            }
            Action::Rotate { slot, unseal, new } => {
                let root_key = unseal.open(&layout)?;
                slots.rotate(
                    &root_key,
                    slot_id(&slot)?,
                    &new.secret(&random)?.as_slot(),
                    &random,
                )?;
                save(&slots)?;
            }
            Action::Remove { slot } => {
                slots.remove(slot_id(&slot)?)?;
                save(&slots)?;
            }
        }
        output.show(&status_json(&slots), || status_text(&slots));
        Ok(ExitCode::SUCCESS)
    }
}

fn slot_id(text: &str) -> Result<SlotId> {
    SlotId::parse(text).with_context(|| format!("{text} is not a slot id; `palisade seal status` lists them"))
}

fn status_json(slots: &KeySlots) -> serde_json::Value {
    let listed: Vec<_> = slots
        .slots()
        .map(|slot| serde_json::json!({"id": slot.id.to_string(), "kind": slot.kind, "label": slot.label}))
        .collect();
    serde_json::json!({"store": slots.store_id(), "slots": listed})
}

fn status_text(slots: &KeySlots) -> String {
    let mut text = format!("Store {}\n", slots.store_id());
    for slot in slots.slots() {
        let more = match (&slot.recovery, &slot.cost) {
            (Some((set, policy)), _) => format!("set {set}, {} of {}", policy.threshold(), policy.count()),
            (None, Some(cost)) => format!("{} MiB, {} passes", cost.memory_kib() / 1024, cost.passes()),
            (None, None) => String::new(),
        };
        text.push_str(&format!(
            "  {}  {:<18}  {:<16}  {more}\n",
            slot.id, slot.kind, slot.label
        ));
    }
    text
}

/// The first line of a secret file, without its line end.
fn first_line(bytes: &Secret<Vec<u8>>) -> Result<Secret<String>> {
    let text = std::str::from_utf8(bytes.expose()).context("the passphrase is not text")?;
    Ok(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// A new passphrase, typed twice at the terminal.
fn typed_twice() -> Result<Secret<String>> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to type a passphrase at: use --new-passphrase-file FILE or --slot file");
    }
    let first = Secret::new(rpassword::prompt_password("New passphrase: ")?);
    let second = Secret::new(rpassword::prompt_password("Once more: ")?);
    if first.expose() != second.expose() {
        bail!("the two passphrases differ; nothing was changed");
    }
    Ok(first)
}

/// The recovery policy typed as `3of5`.
pub(crate) fn parse_shares(text: &str) -> Result<SharePolicy, String> {
    let form = "must be THRESHOLDofCOUNT, such as 2of3";
    let (threshold, count) = text.split_once("of").ok_or(form)?;
    let number = |text: &str| text.parse::<u8>().map_err(|_| form.to_owned());
    SharePolicy::new(number(threshold)?, number(count)?).map_err(|error| error.to_string())
}
