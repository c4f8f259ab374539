//! Jobs: what happens by itself when its time has come.
//!
//! Every node looks after its jobs once a second; a lease in the store lets
//! exactly one of them run a job, but for those about what a node alone knows. A job that fails is tried again at the next
//! look. Under a virtual clock, jobs run before the call that moved the clock
//! is answered, so that a test sees what time has done.

use std::collections::HashMap;
use std::sync::Arc;

use crypto::Random;
use crypto::hierarchy::DomainKey;
use futures_util::future::BoxFuture;
use ground::{AccountId, Clock, Region, Timestamp, id};
use journal::Durability;
use store::{Lease, Scope, Store, StoreError, WriteTx};

use crate::directory::Directory;
use crate::door::Door;
use crate::intent::Intent;
use crate::limits::{CLOCK_BEHIND_TOLD, JOB_INTERVAL, JOB_LEASE};
use crate::record::{ServiceEvent, Touched};
use crate::ring;

/// Why a job stopped; it is logged and tried again.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

/// Something a service does by itself.
pub struct Job {
    pub(crate) name: &'static str,
    /// Whether it is about what each node has in its own memory.
    of_each_node: bool,
    pub(crate) run: Run,
}

type Run = Box<dyn for<'a> Fn(&'a JobCx) -> BoxFuture<'a, Result<(), JobError>> + Send + Sync>;

impl Job {
    /// A job under a name that is unique in the program: `kms/delete-due-keys`.
    pub fn new(
        name: &'static str,
        run: impl for<'a> Fn(&'a JobCx) -> BoxFuture<'a, Result<(), JobError>> + Send + Sync + 'static,
    ) -> Job {
        Job {
            name,
            of_each_node: false,
            run: Box::new(run),
        }
    }

    /// The same, run by every node rather than by one at a time: for what a
    /// node remembers and others cannot see.
    #[must_use]
    pub fn of_each_node(self) -> Job {
        Job {
            of_each_node: true,
            ..self
        }
    }
}

/// What a job is given.
pub struct JobCx {
    door: Arc<Door>,
    now: Timestamp,
    is_last: bool,
    /// The generation of the ring of root keys when the job began.
    ring: u64,
}

/// What a service did by itself, for the record (CloudTrail, `AwsServiceEvent`).
pub struct Event {
    /// `kms.amazonaws.com`
    pub source: &'static str,
    /// `DeleteKey`
    pub name: &'static str,
    /// Whose resource it is.
    pub account: AccountId,
    /// Where it is.
    pub region: Region,
    /// What was touched.
    pub resources: Vec<Touched>,
    /// `serviceEventDetails`.
    pub details: Option<serde_json::Value>,
}

impl JobCx {
    /// When the job was started.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether the door is closing and nobody will run the job again: what only
    /// this node's memory has is to be written down now.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The store, all accounts of it.
    pub fn store(&self) -> &Store {
        &self.door.parts.store
    }

    /// The key that seals `purpose`, which is declared, in an account and region.
    pub fn domain_key(&self, account: AccountId, region: &Region, purpose: &'static str) -> DomainKey {
        self.door.domain_key(account, region, purpose)
    }

    /// The door, for its own jobs.
    pub(crate) fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Randomness for ids and keys.
    pub fn random(&self) -> &Random {
        &self.door.parts.random
    }

    /// Identity.
    pub fn directory(&self) -> &dyn Directory {
        self.door.parts.directory.as_ref()
    }

    /// Commits a change together with the intent to record `event`, then
    /// records it. When another writer comes first the job fails, and runs
    /// again at the next look.
    ///
    /// # Errors
    ///
    /// The closure's own, a conflict, and a journal that takes no records (the
    /// intent keeps the record for later).
    pub async fn write(
        &self,
        scope: Scope,
        event: Event,
        change: impl AsyncFnOnce(&mut WriteTx) -> Result<(), StoreError>,
    ) -> Result<(), JobError> {
        let event_id = id::uuid_at(self.now, self.door.parts.random.bytes());
        let record = ServiceEvent {
            event: &event,
            time: self.now,
            event_id: &event_id,
        }
        .to_json();
        let synced = self.door.parts.journal.synced();
        let intent = Intent::of_event(&event_id, self.now, synced, record);
        let mut tx = self.store().view(scope).begin();
        self.door.fence(&tx, self.ring).await?;
        change(&mut tx).await?;
        self.door.intents.add_to(&mut tx, &intent, synced);
        self.store().commit(tx).await?;
        let position = self
            .door
            .parts
            .journal
            .append(intent.record().as_bytes(), Durability::Written)
            .await?;
        self.door.intents.settled(intent, position);
        Ok(())
    }
}

/// The leases this node holds on its jobs. A lease is kept and prolonged while
/// the node lives, so that looking after jobs costs an idle store nothing.
pub(crate) struct JobLeases {
    holder: String,
    held: tokio::sync::Mutex<HashMap<&'static str, Lease>>,
}

impl JobLeases {
    pub(crate) fn new(holder: String) -> JobLeases {
        JobLeases {
            holder,
            held: tokio::sync::Mutex::default(),
        }
    }

    /// Whether this node is the one to run `job` now.
    async fn has(
        &self,
        held: &mut HashMap<&'static str, Lease>,
        store: &Store,
        job: &Job,
    ) -> Result<bool, StoreError> {
        // Leases are between nodes, which share real time, not the virtual clock of one.
        let now = Clock::system().now();
        if let Some(lease) = held.get(job.name)
            && lease.expires > now.after(JOB_LEASE / 2)
        {
            return Ok(true);
        }
        let lease = match held.remove(job.name) {
            Some(lease) => store.renew(&lease, JOB_LEASE, now).await?,
            None => store.acquire(job.name, &self.holder, JOB_LEASE, now).await?,
        };
        let has = lease.is_some();
        held.extend(lease.map(|lease| (job.name, lease)));
        Ok(has)
    }
}

impl Door {
    /// What a job would be given now: for the operator's own set-up, whose
    /// changes are recorded as things that happen by themselves are.
    pub fn set_up(self: &Arc<Self>) -> JobCx {
        JobCx {
            door: Arc::clone(self),
            now: self.parts.clock.now(),
            is_last: false,
            ring: self.parts.root_key.ring_generation(),
        }
    }

    /// Runs the jobs about what this node alone knows, for the last time. What
    /// fails is lost, and logged.
    pub(crate) async fn run_last_jobs(self: &Arc<Self>) {
        let cx = JobCx {
            is_last: true,
            ..self.set_up()
        };
        let jobs = self.parts.services.iter().flat_map(|service| &service.jobs);
        for job in jobs.filter(|job| job.of_each_node) {
            if let Err(error) = (job.run)(&cx).await {
                tracing::warn!(job = job.name, error, "the last run of a job failed");
            }
        }
    }

    /// Runs every job that is this node's to run, once.
    pub(crate) async fn run_jobs(self: &Arc<Self>) {
        if let Err(error) = self
            .intents
            .sweep(&self.parts.store, self.parts.journal.synced())
            .await
        {
            tracing::warn!(%error, "recorded intents were not removed; they will be");
        }
        if let Err(error) = self.node.look_after(&self.parts).await {
            tracing::warn!(%error, "looking after the nodes failed and will be tried again");
        }
        if let Err(error) = ring::follow(&self.parts.store, &self.parts.root_key, &self.node).await {
            tracing::error!(%error, "the ring of root keys cannot be followed; it will be tried again");
        }
        let mut held = self.job_leases.held.lock().await;
        let own = std::iter::once(&self.resealing);
        for job in own.chain(self.parts.services.iter().flat_map(|service| &service.jobs)) {
            if let Err(error) = self.run_job(job, &mut held).await {
                tracing::warn!(job = job.name, error, "a job failed and will be tried again");
            }
        }
    }

    /// Seals rows again for a while, if it is this node's to do.
    pub(crate) async fn run_own_job(self: &Arc<Self>) -> Result<(), JobError> {
        let mut held = self.job_leases.held.lock().await;
        self.run_job(&self.resealing, &mut held).await
    }

    async fn run_job(
        self: &Arc<Self>,
        job: &Job,
        held: &mut HashMap<&'static str, Lease>,
    ) -> Result<(), JobError> {
        if !job.of_each_node && !self.job_leases.has(held, &self.parts.store, job).await? {
            return Ok(());
        }
        (job.run)(&self.set_up()).await
    }

    /// Looks after the jobs until dropped.
    pub async fn look_after_jobs(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(JOB_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_told = false;
        loop {
            ticks.tick().await;
            let behind = self.parts.clock.behind();
            let is_behind = behind >= CLOCK_BEHIND_TOLD;
            if is_behind && !is_told {
                tracing::warn!(
                    seconds = behind.as_secs(),
                    "the machine's clock was set back: time stands still here until it has caught up, or until a restart"
                );
            }
            is_told = is_behind;
            self.run_jobs().await;
        }
    }
}
