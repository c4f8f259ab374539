//! Wiring: from settings to an open door.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use anyhow::{Context, Result};
use crypto::Random;
use crypto::hierarchy::RootKey;
use gate::{Door, Mode};
use ground::{AccountId, Clock, Region, id};
use iam::RootCredential;
use store::Store;

use crate::files;
use crate::seed::Seed;
use crate::starts::{self, Starts};

/// What a world is built from.
pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) store: store::Config,
    /// The journal's directory.
    pub(crate) journal: PathBuf,
    pub(crate) root_key: Arc<RootKey>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) home: Region,
    /// Whether acknowledged changes survive a power cut.
    pub(crate) durable: bool,
    pub(crate) strict_audit: bool,
    /// The node's name among those that share the store.
    pub(crate) node: String,
    /// How it stands among them; `None` where the store is this process's alone.
    pub(crate) sharing: Option<gate::Sharing>,
    /// Accounts and the root credentials they must have.
    pub(crate) roots: Vec<(AccountId, RootCredential)>,
    /// What must be there beside them; dev alone has one.
    pub(crate) seed: Option<Seed>,
    /// The keys of OpenID Connect issuers.
    pub(crate) issuers: iam::Issuers,
    /// Where starts are counted, in a directory that is kept.
    pub(crate) starts: Option<Starts>,
    /// What KMS is to do beside its API.
    pub(crate) kms: kms::Options,
    /// By what AWS KMS may sign to use keys that are here.
    pub(crate) xks: Option<Arc<gate::XksCredentials>>,
}

/// An open door and what must be closed behind it.
pub(crate) struct Opened {
    pub(crate) door: Arc<Door>,
    store: Store,
}

impl World {
    /// Opens store and journal, wires the services and opens the door.
    ///
    /// # Errors
    ///
    /// If store or journal cannot be opened, with what to do about it.
    pub(crate) async fn open(self) -> Result<Opened> {
        let store = Store::open(self.store)
            .await
            .context("the store cannot be opened")?;
        gate::open_ring(&store, &self.root_key).await?;
        let journal = journal::Config {
            strict: self.strict_audit,
            durable: self.durable,
            seal_key: Some(self.root_key.journal_seal_key()),
            clock: Clock::system(),
            ..journal::Config::new(self.journal)
        };
        let (journal, _recovery) = journal::Journal::open(journal).context("the journal cannot be opened")?;
        if let Some(starts) = &self.starts {
            starts.count(&store, &self.node, journal.synced().0).await?;
        }
        let accounts = Accounts {
            store: store.clone(),
            root_key: Arc::clone(&self.root_key),
            random: self.random.clone(),
            clock: self.clock.clone(),
            home: self.home.clone(),
            roots: self.roots,
            seed: self.seed,
            door: OnceLock::new(),
        };
        accounts.keep().await?;
        let accounts = Arc::new(accounts);
        let reset = (self.mode == Mode::Dev).then(|| reset(Arc::clone(&accounts)));
        let identities = Arc::new(iam::Identities::new(store.clone(), Arc::clone(&self.root_key)));
        let parts = gate::Parts {
            services: services(identities.last_uses(), self.issuers, self.kms),
            directory: identities,
            guardrails: Arc::new(organizations::Organizations::new(store.clone())),
            store: store.clone(),
            journal,
            root_key: self.root_key,
            clock: self.clock,
            random: self.random,
            home: self.home,
            mode: self.mode,
            strict_audit: self.strict_audit,
            node: self.node,
            reset,
            xks: self.xks,
        };
        let door = Door::open_among(parts, self.sharing)
            .await
            .context("the door cannot be opened")?;
        let opened = Opened { door, store };
        // A door holds its reset, so a reset must not hold the door.
        accounts.door.get_or_init(|| Arc::downgrade(&opened.door));
        if let Err(problem) = accounts.sow().await {
            opened.close().await?;
            return Err(problem);
        }
        Ok(opened)
    }
}

impl Opened {
    /// Flushes the journal and gives the store back.
    pub(crate) async fn close(self) -> Result<()> {
        self.door
            .close()
            .await
            .context("the journal did not close well; the next start will recover it")?;
        self.store.close().await;
        Ok(())
    }
}

/// The accounts the operator asked for.
struct Accounts {
    store: Store,
    root_key: Arc<RootKey>,
    random: Random,
    clock: Clock,
    home: Region,
    roots: Vec<(AccountId, RootCredential)>,
    seed: Option<Seed>,
    /// The door behind which the seed goes, once it is open.
    door: OnceLock<Weak<Door>>,
}

impl Accounts {
    /// Makes what is not there yet.
    async fn keep(&self) -> Result<()> {
        for (account, credential) in &self.roots {
            iam::bootstrap_account(
                &self.store,
                &self.root_key,
                &self.random,
                self.clock.now(),
                *account,
                credential,
            )
            .await
            .with_context(|| format!("the root credential of account {account} cannot be kept"))?;
        }
        Ok(())
    }

    /// Brings in what the seed wants and is not there yet.
    async fn sow(&self) -> Result<()> {
        let door = self.door.get().and_then(Weak::upgrade);
        let (Some(seed), Some(door)) = (&self.seed, door) else {
            return Ok(());
        };
        let roots: Vec<(AccountId, String)> = self
            .roots
            .iter()
            .map(|(account, root)| (*account, root.access_key_id.clone()))
            .collect();
        seed.apply(&door, &roots, &self.home).await
    }
}

/// Empties the store and makes accounts and seed anew.
fn reset(accounts: Arc<Accounts>) -> gate::Reset {
    Box::new(move || {
        let accounts = Arc::clone(&accounts);
        Box::pin(async move {
            let kept = [gate::KEPT_TABLES.as_slice(), &[starts::TABLE]].concat();
            accounts.store.cross_account_erase(&kept).await?;
            accounts.keep().await?;
            accounts.sow().await?;
            Ok(())
        })
    })
}

/// Every service, in the order of `COVERAGE.md`; what the operator has to ask
/// for comes after.
pub(crate) fn services(
    uses: Arc<iam::LastUses>,
    issuers: iam::Issuers,
    kms: kms::Options,
) -> Vec<gate::Service> {
    let mut services = vec![
        iam::service(uses),
        iam::sts_service(issuers),
        organizations::service(),
    ];
    services.extend(kms::services(kms));
    services
}

/// The names inside a data directory.
pub(crate) struct Layout<'a>(pub(crate) &'a Path);

impl Layout<'_> {
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub(crate) fn slots(&self) -> PathBuf {
        self.0.join("slots.json")
    }

    /// This directory's name among the nodes that share a store; made when it
    /// is first asked for, so a directory copied before it served has its own.
    pub(crate) fn node(&self, random: &Random) -> Result<String> {
        let path = self.0.join("node");
        if path.exists() {
            return Ok(files::read_text(&path)?.trim().to_owned());
        }
        let name = id::uuid(random.public_bytes());
        files::write_private(&path, format!("{name}\n").as_bytes())?;
        Ok(name)
    }

    /// Where starts are counted.
    pub(crate) fn starts(&self, accept_older: bool) -> Starts {
        Starts {
            file: self.0.join("starts"),
            accept_older,
        }
    }

    /// What tells the file with the node's name from a copy of it: its number in
    /// the file system, and when it was made where that is known.
    pub(crate) fn place(&self) -> Result<String> {
        files::identity(&self.0.join("node"))
    }

    pub(crate) fn dev_root_key(&self) -> PathBuf {
        self.0.join("root.key")
    }

    pub(crate) fn dev_credentials(&self) -> PathBuf {
        self.0.join("credentials.json")
    }
}
