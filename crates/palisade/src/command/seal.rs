//! `palisade seal`, and how the root key is opened.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use crypto::Random;
use crypto::hierarchy::RootKey;
use crypto::slot::{
    Argon2Cost, KEY_FILE_BYTES, Keeper, KeySlots, NewSlot, SharePolicy, SlotId, SlotInfo, SlotSecret,
};
use ground::Secret;

use super::Output;
use super::recovery::{RecoveryArguments, parse_shares};
use super::root_key::{self, Where};
use crate::certificate::identity_of_pem;
use crate::files;
use crate::keeper::{Means, Order, Place};
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
    /// Lists the slots of a data directory; without one, asks the running server for its
    /// root keys and how far sealing again is.
    #[command(after_help = "Example: palisade seal status --data /var/lib/palisade
Example: palisade seal status")]
    Status,
    /// Proves that slots still open the root key, and changes nothing: those whose secrets
    /// are given, and those that need nobody.
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
    /// Gives a slot a new secret of the same kind. The root keys stay: see rotate-root.
    #[command(after_help = "Example: palisade seal rotate 3f2a91c4 --data /var/lib/palisade")]
    Rotate {
        /// The slot's id, from `palisade seal status`.
        slot: String,
        #[command(flatten)]
        unseal: Unseal,
        #[command(flatten)]
        new: NewSlotArguments,
    },
    /// Makes a new root key, and seals every row again under it, while the server serves.
    /// Slots stay as they are. Asks the running server; with --data or --config, works on
    /// a store whose server is stopped, and goes on with what was cut off.
    #[command(after_help = "Example: palisade seal rotate-root
Example: palisade seal rotate-root --data /var/lib/palisade --passphrase-file secret")]
    RotateRoot {
        /// Returns once the server has made the root; see `palisade seal status`.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Takes an old root key out for good, after a pass that finds nothing sealed under it.
    /// Refused until no session token of its time can be in use.
    #[command(after_help = "Example: palisade seal remove-root 1
Example: palisade seal remove-root 1 --data /var/lib/palisade --passphrase-file secret")]
    RemoveRoot {
        /// Its number, from `palisade seal status`.
        root: u32,
        /// Ends the sessions of its time instead of waiting 36 hours for them: where it has leaked.
        #[arg(long)]
        end_sessions: bool,
        /// Returns once the server has taken the order.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Issues new recovery shares, tests them and enters their slot. Remove the slot of the
    /// old ones afterwards.
    #[command(
        after_help = "Example: palisade seal recovery --data /var/lib/palisade --shares 3of5 --new-shares-file shares"
    )]
    Recovery {
        #[command(flatten)]
        unseal: Unseal,
        /// THRESHOLDofCOUNT: so many of the shares open the root key.
        #[arg(long, default_value = "2of3", value_parser = parse_shares)]
        shares: SharePolicy,
        /// Writes the shares to this file instead of the terminal, and takes them as kept.
        #[arg(long, value_name = "FILE")]
        new_shares_file: Option<PathBuf>,
        /// What to call the slot.
        #[arg(long, default_value = "recovery")]
        label: String,
    },
    /// Prints the identity of a member's certificate, by which other members know it.
    #[command(after_help = "Example: palisade seal identity /etc/palisade/peer.crt")]
    Identity {
        /// The certificate, PEM.
        certificate: PathBuf,
    },
    /// Removes a slot; never the last one, nor the last with recovery shares.
    #[command(after_help = "Example: palisade seal remove 3f2a91c4 --data /var/lib/palisade")]
    Remove {
        /// The slot's id, from `palisade seal status`.
        slot: String,
    },
}

/// How to open the root key. Of those given, each is tried in turn. Without any: the
/// systemd credential if there is one, then every slot whose key is kept elsewhere, then
/// a passphrase typed at the terminal.
#[derive(Args, Default)]
pub(crate) struct Unseal {
    /// Opens the root key with a key file.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Opens the root key with the passphrase on the first line of a file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Opens the root key with recovery shares, one a line.
    #[arg(long, value_name = "FILE")]
    shares_file: Option<PathBuf>,
    #[command(flatten)]
    means: Means,
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
    /// Where the KMS is that keeps the key, https unless on this machine (for `--slot kms`).
    #[arg(long, value_name = "URL")]
    kms_endpoint: Option<String>,
    /// The region to sign for (for `--slot kms`).
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    kms_region: String,
    /// The id or ARN of the KMS key that wraps (for `--slot kms`).
    #[arg(long, value_name = "ID")]
    kms_key_id: Option<String>,
    /// Where the running member is asked, HOST:PORT of its `peers.listen` (for `--slot peer`).
    #[arg(long, value_name = "HOST:PORT")]
    peer: Option<String>,
    /// The identity of its certificate, from `palisade seal identity` (for `--slot peer`).
    #[arg(long, value_name = "HEX")]
    peer_identity: Option<String>,
    /// The label of the PKCS#11 token (for `--slot pkcs11`).
    #[arg(long, value_name = "LABEL")]
    pkcs11_token: Option<String>,
    /// The label of the AES key on it, made if it is not there (for `--slot pkcs11`).
    #[arg(long, value_name = "LABEL", default_value = "palisade-seal")]
    pkcs11_key: String,
    /// The registers that must stay as they are now, such as `sha256:7` (for `--slot tpm2`, and
    /// for `--slot peer`, which then opens on this machine alone).
    #[arg(long, value_name = "BANK:LIST")]
    tpm_pcrs: Option<String>,
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
    /// A key that another AWS-compatible KMS wraps.
    Kms,
    /// A key that a running member of the cluster seals, and gives back to this one.
    Peer,
    /// A key that a PKCS#11 token wraps.
    Pkcs11,
    /// A key that this machine's TPM 2.0 seals.
    Tpm2,
}

/// A new slot's secret, owned.
pub(crate) enum NewSecret {
    Passphrase(Secret<String>),
    KeyFile(Secret<[u8; KEY_FILE_BYTES]>),
    Systemd(Secret<[u8; KEY_FILE_BYTES]>),
    Kept(Keeper, Secret<[u8; KEY_FILE_BYTES]>),
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
            NewSecret::Kept(keeper, key) => NewSlot::Kept {
                keeper,
                key: key.expose(),
            },
        }
    }
}

impl NewSlotArguments {
    /// Asks for or makes the new secret; a key file is written at once, and a
    /// keeper has given the key back once.
    pub(crate) fn secret(&self, random: &Random, means: &Means, store_id: &str) -> Result<NewSecret> {
        let kept = |place: Place| -> Result<NewSecret> {
            let (keeper, key) = Order::wrap(means, store_id, place)?;
            Ok(NewSecret::Kept(keeper, key))
        };
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
            SlotKind::Kms => kept(Place::Kms {
                endpoint: self
                    .kms_endpoint
                    .clone()
                    .context("say where the KMS is: --kms-endpoint URL")?,
                region: self.kms_region.clone(),
                key_id: self
                    .kms_key_id
                    .clone()
                    .context("say which key of it wraps: --kms-key-id ID")?,
            })?,
            SlotKind::Peer => kept(Place::Peer {
                address: self
                    .peer
                    .clone()
                    .context("say where the running member is: --peer HOST:PORT")?,
                identity: self
                    .peer_identity
                    .clone()
                    .context("say who it is: --peer-identity HEX")?,
                pcrs: self.tpm_pcrs.clone(),
            })?,
            SlotKind::Pkcs11 => kept(Place::Pkcs11 {
                token: self
                    .pkcs11_token
                    .clone()
                    .context("say which token: --pkcs11-token LABEL")?,
                key: self.pkcs11_key.clone(),
            })?,
            SlotKind::Tpm2 => kept(Place::Tpm2 {
                pcrs: self.tpm_pcrs.clone(),
            })?,
        })
    }
}

/// The id of a data directory's store.
pub(crate) fn store_id(layout: &Layout<'_>) -> Result<String> {
    let slots = KeySlots::parse(files::read_text(&layout.slots())?.as_bytes())?;
    Ok(slots.store_id().to_owned())
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
        let root_key = self
            .unlock(&slots)
            .with_context(|| format!("the root key of {} stays sealed", layout.0.display()))?;
        if !root_key.is_locked() {
            tracing::warn!(
                "the system lets the root key be swapped out; raise RLIMIT_MEMLOCK (LimitMEMLOCK)"
            );
        }
        Ok(root_key)
    }

    fn unlock(&self, slots: &KeySlots) -> Result<RootKey> {
        let named = self.named();
        let alone = named.is_empty();
        let ways = if alone { unattended(slots) } else { named };
        let mut problems = Vec::new();
        for way in &ways {
            match way.open(slots, &self.means) {
                Ok((root_key, _)) => return Ok(root_key),
                Err(problem) => problems.push(format!("{problem:#}")),
            }
        }
        if alone && std::io::stdin().is_terminal() {
            return Ok(Way::Terminal.open(slots, &self.means)?.0);
        }
        if problems.is_empty() {
            bail!("say how to open it: --key-file, --passphrase-file, --shares-file or a systemd credential");
        }
        bail!("{}", problems.join("; "))
    }

    /// Proves every slot whose secret is given, and every one that needs nobody.
    fn verify(&self, slots: &KeySlots) -> Result<Vec<SlotId>> {
        let mut ways = self.named();
        ways.extend(unattended(slots));
        if ways.is_empty() {
            if !std::io::stdin().is_terminal() {
                bail!("say what is to be proven: --key-file, --passphrase-file or --shares-file");
            }
            ways.push(Way::Terminal);
        }
        let (mut open, mut problems) = (Vec::new(), Vec::new());
        for way in &ways {
            match (way.open(slots, &self.means), way) {
                (Ok((_, id)), _) => open.push(id),
                (Err(problem), Way::Keeper(id, _)) => problems.push(format!("slot {id}: {problem:#}")),
                (Err(problem), _) => problems.push(format!("{problem:#}")),
            }
        }
        if problems.is_empty() {
            return Ok(open);
        }
        let proven: String = open.iter().map(|id| format!("; slot {id} opens")).collect();
        bail!("{}{proven}", problems.join("; "))
    }

    fn named(&self) -> Vec<Way<'static>> {
        [
            self.key_file.clone().map(Way::KeyFile),
            self.passphrase_file.clone().map(Way::Passphrase),
            self.shares_file.clone().map(Way::Shares),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The ways that need nobody: a start by these is unattended.
fn unattended(slots: &KeySlots) -> Vec<Way<'_>> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|directory| PathBuf::from(directory).join(CREDENTIAL_NAME))
        .filter(|path| path.exists())
        .map(Way::Systemd);
    let keepers = slots
        .slots()
        .filter_map(|slot| Some(Way::Keeper(slot.id, slot.keeper?)));
    credential.into_iter().chain(keepers).collect()
}

/// One way to open the root key.
enum Way<'a> {
    KeyFile(PathBuf),
    Keeper(SlotId, &'a Keeper),
    Passphrase(PathBuf),
    Shares(PathBuf),
    Systemd(PathBuf),
    Terminal,
}

impl Way<'_> {
    fn open(&self, slots: &KeySlots, means: &Means) -> Result<(RootKey, SlotId)> {
        Ok(match self {
            Way::KeyFile(path) => slots.unlock(&SlotSecret::KeyFile(files::read_secret(path)?.expose()))?,
            Way::Keeper(_, keeper) => {
                let key = Order::unwrap(means, slots.store_id(), keeper)?;
                slots.unlock(&SlotSecret::Kept {
                    keeper,
                    key: key.expose(),
                })?
            }
            Way::Passphrase(path) => {
                let passphrase = first_line(&files::read_secret(path)?)?;
                slots.unlock(&SlotSecret::Passphrase(passphrase.expose().as_bytes()))?
            }
            Way::Shares(path) => {
                let bytes = files::read_secret(path)?;
                let text = std::str::from_utf8(bytes.expose()).context("the shares are not text")?;
                let shares: Vec<&str> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .collect();
                slots.unlock(&SlotSecret::RecoveryShares(&shares))?
            }
            Way::Systemd(path) => {
                slots.unlock(&SlotSecret::SystemdCredential(files::read_secret(path)?.expose()))?
            }
            Way::Terminal => {
                let passphrase = Secret::new(rpassword::prompt_password("Passphrase: ")?);
                slots.unlock(&SlotSecret::Passphrase(passphrase.expose().as_bytes()))?
            }
        })
    }
}

impl Seal {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        match (self.action, self.data) {
            (Action::RotateRoot { no_wait, place }, data) => place.rotate(data, no_wait, output),
            (
                Action::RemoveRoot {
                    root,
                    end_sessions,
                    no_wait,
                    place,
                },
                data,
            ) => place.remove((root, end_sessions), data, no_wait, output),
            (Action::Status, None) => root_key::status(output),
            (Action::Identity { certificate }, _) => tell_identity(&certificate, output),
            (action, data) => {
                let data = data.context("say where the data is: --data DIR")?;
                of_slots(action, &data, output)
            }
        }
    }
}

/// By what a slot of a peer names the holder of a certificate.
fn tell_identity(certificate: &Path, output: Output) -> Result<ExitCode> {
    let identity = identity_of_pem(&files::read_text(certificate)?)
        .with_context(|| format!("{} is no certificate", certificate.display()))?;
    output.show(&serde_json::json!({"identity": identity}), || {
        format!("{identity}\n")
    });
    Ok(ExitCode::SUCCESS)
}

/// What is done to the slots of a data directory.
fn of_slots(action: Action, data: &Path, output: Output) -> Result<ExitCode> {
    let layout = Layout(data);
    let path = layout.slots();
    if !path.exists() {
        bail!("{} is not initialised: run `palisade init` first", data.display());
    }
    let mut slots = KeySlots::parse(files::read_text(&path)?.as_bytes())?;
    let random = Random::system();
    let save = |slots: &KeySlots| files::write_private(&path, slots.to_json().as_bytes());
    match action {
        // Root keys and certificates are no matter of slots; the caller has seen to them.
        Action::Status | Action::Identity { .. } | Action::RotateRoot { .. } | Action::RemoveRoot { .. } => {}
        Action::Verify(unseal) => {
            let open = unseal.verify(&slots).context("not every slot opens")?;
            let ids: Vec<String> = open.iter().map(SlotId::to_string).collect();
            output.show(&serde_json::json!({"opens": true, "slots": ids}), || {
                format!(
                    "The root key opens by {}. Slots whose secrets were not given were not tried.\n",
                    ids.join(", ")
                )
            });
            return Ok(ExitCode::SUCCESS);
        }
        Action::Add { unseal, new } => {
            let root_key = unseal.open(&layout)?;
            let secret = new.secret(&random, &unseal.means, slots.store_id())?;
            slots.add(&root_key, &new.label, &secret.as_slot(), &random)?;
            save(&slots)?;
        }
        Action::Rotate { slot, unseal, new } => {
            let root_key = unseal.open(&layout)?;
            let id = slot_id(&slot)?;
            let secret = new.secret(&random, &unseal.means, slots.store_id())?;
            slots.rotate(&root_key, id, &secret.as_slot(), &random)?;
            save(&slots)?;
        }
        Action::Recovery {
            unseal,
            shares,
            new_shares_file: file,
            label,
        } => {
            let root_key = unseal.open(&layout)?;
            let (pending, issued) = slots.issue_recovery(&root_key, &label, shares, &random)?;
            let recovery = RecoveryArguments { shares, file };
            slots = recovery.hand_out(
                (slots, pending),
                &issued,
                output,
                |(mut slots, pending), typed| match slots.confirm_recovery(pending, typed) {
                    Ok(_) => Ok(slots),
                    Err((pending, reason)) => Err(Box::new(((slots, pending), reason))),
                },
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

fn slot_id(text: &str) -> Result<SlotId> {
    SlotId::parse(text).with_context(|| format!("{text} is not a slot id; `palisade seal status` lists them"))
}

fn status_json(slots: &KeySlots) -> serde_json::Value {
    let listed: Vec<_> = slots
        .slots()
        .map(|slot| {
            serde_json::json!({
                "id": slot.id.to_string(),
                "kind": slot.kind,
                "label": slot.label,
                "details": details(&slot),
                "tested_recovery": slot.recovery.is_some(),
                "attested": attested(&slot),
            })
        })
        .collect();
    serde_json::json!({"store": slots.store_id(), "slots": listed})
}

fn status_text(slots: &KeySlots) -> String {
    let mut text = format!("Store {}\n", slots.store_id());
    for slot in slots.slots() {
        text.push_str(&format!(
            "  {}  {:<18}  {:<16}  {}\n",
            slot.id,
            slot.kind,
            slot.label,
            details(&slot)
        ));
    }
    text
}

/// What of its machine a member proves to open by this slot, if anything. The slots
/// of other kinds say nothing here: nobody asks them for a proof.
fn attested(slot: &SlotInfo<'_>) -> Option<serde_json::Value> {
    let Some(Keeper::Peer(peer)) = slot.keeper else {
        return None;
    };
    Some(match &peer.tpm {
        Some(tpm) => serde_json::json!({"attestationKey": tpm.key, "registers": tpm.pcrs}),
        None => false.into(),
    })
}

/// What may be said of how a slot opens.
fn details(slot: &SlotInfo<'_>) -> String {
    if let Some((set, policy)) = &slot.recovery {
        return format!("set {set}, {} of {}", policy.threshold(), policy.count());
    }
    if let Some(cost) = &slot.cost {
        return format!("{} MiB, {} passes", cost.memory_kib() / 1024, cost.passes());
    }
    match slot.keeper {
        Some(Keeper::Kms(kms)) => format!("{} at {} ({})", kms.key_id, kms.endpoint, kms.region),
        Some(Keeper::Peer(peer)) => {
            let proof = match &peer.tpm {
                Some(tpm) => format!("for TPM {} while {} are as they were", tpm.key, tpm.pcrs),
                None => "for whoever has our private key".to_owned(),
            };
            format!("member {} at {}, {proof}", peer.peer, peer.address)
        }
        Some(Keeper::Pkcs11(pkcs11)) => format!("key {} on token {}", pkcs11.key, pkcs11.token),
        Some(Keeper::Tpm2(tpm2)) => match &tpm2.pcrs {
            Some(pcrs) => format!("while {pcrs} are as they were"),
            None => "whatever was started".to_owned(),
        },
        None => String::new(),
    }
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
