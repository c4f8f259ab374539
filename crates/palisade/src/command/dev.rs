//! `palisade dev`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use crypto::Random;
use crypto::hierarchy::RootKey;
use crypto::slot::{Initialisation, KEY_FILE_BYTES, KeySlots, NewSlot, SlotSecret};
use gate::Mode;
use ground::{AccountId, Clock, Region, Secret, id};
use iam::RootCredential;

use super::Output;
use super::env::{self, Running};
use crate::federation::FederationSettings;
use crate::files;
use crate::key_stores::KeyStoreSettings;
use crate::seed::Seed;
use crate::settings::{parse_account, parse_region};
use crate::world::{Layout, World};
use crate::xks_credentials::XksFile;

/// What `--help` ends with.
pub(crate) const EXAMPLES: &str = r#"Example: palisade dev --data ./palisade-data --credential AKIAEXAMPLE:secret:111122223333

A seed (palisade dev --seed seed.toml; all of it in docs/dev-seed.md):

  [[account]]
  id = "123456789012"
  root = { id = "AKIAROOTEXAMPLE", secret = "a root secret" }

  [[account.user]]
  name = "alice"
  access_key = [{ id = "AKIAALICEEXAMPLE", secret = "another secret" }]
  inline.may-encrypt = '{"Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}'

  [[account.key]]
  id = "1234abcd-12ab-34cd-56ef-1234567890ab"
  aliases = ["alias/app"]"#;

/// Runs everything at once.
#[derive(Args)]
pub(crate) struct Dev {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Keeps store, journal and root key here; without it everything is thrown away at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The account of the credential that is made for you.
    #[arg(long, default_value = "123456789012", value_parser = parse_account)]
    account: AccountId,
    /// A root credential of your own, as KEY:SECRET:ACCOUNT; may be given several times.
    #[arg(long = "credential", value_name = "KEY:SECRET:ACCOUNT")]
    credentials: Vec<Typed>,
    /// Users, access keys, roles, policies and KMS keys with fixed ids and secrets (docs/dev-seed.md).
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Where the keys of OpenID Connect issuers come from (docs/federation.md).
    #[arg(long, value_name = "FILE")]
    federation: Option<PathBuf>,
    /// What custom key stores are served by (docs/custom-key-stores.md).
    #[arg(long, value_name = "FILE")]
    key_stores: Option<PathBuf>,
    /// The machine's clock, or one that moves only by POST /_palisade/clock.
    #[arg(long, value_enum, default_value_t = ClockKind::System)]
    clock: ClockKind,
    /// The region that `export AWS_REGION` names.
    #[arg(long, default_value = "us-east-1", value_parser = parse_region)]
    region: Region,
    /// Waits for the disk before every answer, not only after changes.
    #[arg(long)]
    audit_strict: bool,
    /// Starts although store or record is older than the other, as when one of them was put back alone
    /// (docs/backup.md). What is missing stays missing.
    #[arg(long)]
    accept_older: bool,
    #[command(flatten)]
    kms: super::serve::KmsFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum ClockKind {
    System,
    Virtual,
}

/// What was typed as a credential, which messages must not repeat: so it is read
/// after clap is done. `Clone` because clap keeps a copy.
#[derive(Clone)]
struct Typed(String);

impl From<String> for Typed {
    fn from(text: String) -> Typed {
        Typed(text)
    }
}

/// A root credential.
struct GivenCredential {
    access_key_id: String,
    secret_access_key: String,
    account: AccountId,
}

impl Typed {
    /// # Errors
    ///
    /// If it is no credential. The message tells the form, and nothing of the text.
    fn read(&self) -> Result<GivenCredential> {
        let form = "--credential must be KEY:SECRET:ACCOUNT, such as AKIAEXAMPLE:secret:123456789012";
        let (key, rest) = self.0.split_once(':').context(form)?;
        let (secret, account) = rest.rsplit_once(':').context(form)?;
        let key_ok = (4..=128).contains(&key.len())
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !key_ok || secret.is_empty() || secret.len() > 128 {
            bail!("{form}");
        }
        Ok(GivenCredential {
            access_key_id: key.to_owned(),
            secret_access_key: secret.to_owned(),
            account: parse_account(account).ok().context(form)?,
        })
    }
}

impl Dev {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode> {
        let started = Instant::now();
        let typed = self.credentials.iter().map(Typed::read);
        let given = match typed.collect::<Result<Vec<_>>>() {
            Ok(given) => given,
            // As clap tells of any other argument that is wrong.
            Err(problem) => {
                output.problem(&problem);
                return Ok(ExitCode::from(2));
            }
        };
        super::serve::log_to_stderr(super::serve::LogFormat::Text);
        super::serve::runtime()?.block_on(self.serve(given, output, started))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn serve(self, given: Vec<GivenCredential>, output: Output, started: Instant) -> Result<()> {
        let random = Random::system();
        // Whatever is wrong with the seed's text must show before anything is made.
        let seed = self.seed.as_deref().map(Seed::read).transpose()?;
        let federation = match &self.federation {
            Some(path) => FederationSettings::read(path)?,
            None => FederationSettings::default(),
        };
        let issuers = federation.issuers()?;
        let key_stores = match &self.key_stores {
            Some(path) => KeyStoreSettings::read(path)?,
            None => KeyStoreSettings::default(),
        };
        let xks = self.kms.xks()?;
        let throw_away = match &self.data {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("palisade-dev-")
                    .tempdir()
                    .context("no temporary directory")?,
            ),
        };
        let directory = match (&self.data, &throw_away) {
            (Some(data), _) => data.clone(),
            (None, Some(directory)) => directory.path().to_owned(),
            (None, None) => unreachable!("one of the two is there"),
        };
        files::private_directory(&directory)?;
        let layout = Layout(&directory);
        let kept = self.data.is_some();
        let root_key = if kept {
            kept_root_key(&layout, &random)?
        } else {
            RootKey::generate(&random)
        };
        let seeded: Vec<(AccountId, RootCredential)> = seed
            .as_ref()
            .map(|seed| seed.roots().collect())
            .unwrap_or_default();
        let mut given = given.into_iter();
        let credential = match (given.next(), self.seeded_root(&seeded)) {
            (Some(first), _) => first,
            (None, Some(seeded)) => seeded,
            (None, None) => self.own_credential(kept, &layout, &random)?,
        };
        let others: Vec<GivenCredential> = given.collect();
        let roots = std::iter::once(&credential)
            .chain(&others)
            .map(GivenCredential::root)
            .chain(seeded)
            .collect();

        super::serve::allow_open_files(&gate::Limits::default());
        let listener = super::serve::bind(self.listen).await?;
        let address = listener.local_addr()?;
        let store = if kept {
            store::Config::redb(layout.store())
        } else {
            store::Config::redb_throwaway(layout.store())
        };
        let node = layout.node(&random)?;
        let world = World {
            mode: Mode::Dev,
            store,
            journal: layout.journal(),
            root_key: Arc::new(root_key),
            clock: match self.clock {
                ClockKind::System => Clock::system(),
                ClockKind::Virtual => Clock::virtual_from(Clock::system().now()),
            },
            random,
            home: self.region.clone(),
            durable: kept,
            strict_audit: self.audit_strict,
            node,
            sharing: None,
            roots,
            seed,
            issuers,
            starts: kept.then(|| layout.starts(self.accept_older)),
            kms: self.kms.options(&key_stores, &self.region)?,
            xks: xks.as_ref().map(XksFile::credentials),
        };
        let opened = world.open().await?;
        let stop = super::serve::told_to_stop()?;

        let running = Running {
            endpoint: format!("http://{address}"),
            region: self.region.to_string(),
            account: credential.account,
            access_key_id: credential.access_key_id.clone(),
            secret_access_key: credential.secret_access_key.clone(),
        };
        running.remember(address.port())?;
        let took = started.elapsed();
        output.show(&running.to_json(), || {
            let place = match &self.data {
                Some(data) => format!("kept in {}", data.display()),
                None => "thrown away at the end".to_owned(),
            };
            format!(
                "Palisade {} is ready at {} ({:.0} ms). Enforcement is on.\n\
                 Account {}, data {place}, root key {}.\n\n{}\n\
                 In another terminal: eval \"$({})\"\nStop with Ctrl-C.\n",
                env!("CARGO_PKG_VERSION"),
                running.endpoint,
                took.as_secs_f64() * 1000.0,
                running.account,
                if kept {
                    "in root.key beside it"
                } else {
                    "thrown away too"
                },
                running.exports(),
                env::command_for(address.port()),
            )
        });
        let jobs = super::serve::spawn(Arc::clone(&opened.door).look_after_jobs());
        let followed = xks.map(|file| super::serve::spawn(file.follow()));
        let served = gate::serve(Arc::clone(&opened.door), listener, None, stop).await;
        jobs.abort();
        if let Some(followed) = followed {
            followed.abort();
        }
        Running::forget(address.port());
        opened.close().await?;
        served.context("no connection can be served")
    }

    /// The credential that the seed gives the default account.
    fn seeded_root(&self, seeded: &[(AccountId, RootCredential)]) -> Option<GivenCredential> {
        let (account, root) = seeded.iter().find(|(account, _)| *account == self.account)?;
        Some(GivenCredential {
            access_key_id: root.access_key_id.clone(),
            secret_access_key: root.secret.expose().clone(),
            account: *account,
        })
    }

    /// The credential of the default account: the kept one, or a new one.
    fn own_credential(&self, kept: bool, layout: &Layout<'_>, random: &Random) -> Result<GivenCredential> {
        let path = layout.dev_credentials();
        if kept && path.exists() {
            let bytes = files::read_secret(&path)?;
            let running: Running = serde_json::from_slice(bytes.expose()).with_context(|| {
                format!("{} is damaged; remove it to get a new credential", path.display())
            })?;
            return Ok(GivenCredential {
                access_key_id: running.access_key_id,
                secret_access_key: running.secret_access_key,
                account: running.account,
            });
        }
        let made = RootCredential::generate(self.account, random);
        let credential = GivenCredential {
            access_key_id: made.access_key_id,
            secret_access_key: made.secret.expose().clone(),
            account: self.account,
        };
        if kept {
            let running = Running {
                endpoint: String::new(),
                region: self.region.to_string(),
                account: credential.account,
                access_key_id: credential.access_key_id.clone(),
                secret_access_key: credential.secret_access_key.clone(),
            };
            files::write_private(&path, running.to_json().to_string().as_bytes())?;
        }
        Ok(credential)
    }
}

impl GivenCredential {
    fn root(&self) -> (AccountId, RootCredential) {
        let secret = Secret::new(self.secret_access_key.clone());
        (
            self.account,
            RootCredential {
                access_key_id: self.access_key_id.clone(),
                secret,
            },
        )
    }
}

/// The root key of a kept dev directory, opened by the key file beside it.
fn kept_root_key(layout: &Layout<'_>, random: &Random) -> Result<RootKey> {
    let (slots, key) = (layout.slots(), layout.dev_root_key());
    if slots.exists() {
        if !key.exists() {
            bail!(
                "{} belongs to `palisade serve`: its root key is sealed. Use `palisade serve --data`, or another \
                 directory for dev",
                layout.0.display()
            );
        }
        return unlock_with_file(&slots, &key);
    }
    let key_bytes: Secret<[u8; KEY_FILE_BYTES]> = Secret::new(random.bytes());
    let mut fresh = Initialisation::begin(&id::uuid(random.bytes()), random)?;
    fresh.add("dev", &NewSlot::KeyFile(key_bytes.expose()), random)?;
    let (root_key, document) = fresh.finish_for_development()?;
    files::write_private(&key, key_bytes.expose())?;
    files::write_private(&slots, document.to_json().as_bytes())?;
    Ok(root_key)
}

/// Opens the root key with the key file that lies beside it.
pub(crate) fn unlock_with_file(slots: &Path, key: &Path) -> Result<RootKey> {
    let document = KeySlots::parse(files::read_text(slots)?.as_bytes())?;
    let bytes = files::read_secret(key)?;
    let (root_key, _) = document
        .unlock(&SlotSecret::KeyFile(bytes.expose()))
        .with_context(|| format!("{} does not open {}", key.display(), slots.display()))?;
    Ok(root_key)
}
