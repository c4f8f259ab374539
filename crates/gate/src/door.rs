//! What stands behind the door, and how it opens. What a request meets there is its walk ([`crate::walk`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crypto::{DomainKey, Random};
use futures_util::future::BoxFuture;
use ground::{AccountId, Clock, Region, Timestamp, id};
use shape::{OperationShape, ServiceShape};
use store::{StoreError, WriteTx};
use wire::Router;

use crate::body::Room;
use crate::cx::Cx;
use crate::decision::DecisionLog;
use crate::directory::Directory;
use crate::fault::Fault;
use crate::guardrails::Guardrails;
use crate::intent::Intents;
use crate::jobs::{Job, JobError, JobLeases};
use crate::limits::{UNFINISHED_BYTES_MAX, UNFINISHED_BYTES_OF_CONNECTION_MAX};
use crate::metrics::{CallMetrics, Metrics};
use crate::node::{Node, Sharing};
use crate::reseal;
use crate::ring::{self, RingFault};
use crate::sealed::Declared;
use crate::table::{Invoke, Row, Service};
use crate::xks_proxy::XksCredentials;

/// Where a request came from.
pub struct Peer {
    /// The other end's address.
    pub address: SocketAddr,
    /// Its network address as records spell it.
    pub(crate) spelled: String,
    /// The record's `tlsDetails`, as JSON, if the connection is encrypted.
    pub tls: Option<String>,
    /// For its requests that have not come whole.
    pub(crate) unfinished: Room,
}

impl Peer {
    /// The other end of a connection.
    pub fn new(address: SocketAddr, tls: Option<String>) -> Peer {
        Peer {
            address,
            spelled: address.ip().to_string(),
            tls,
            unfinished: Room::new(UNFINISHED_BYTES_OF_CONNECTION_MAX),
        }
    }
}

/// How the program runs, as health and banner tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `palisade dev`: reset and clock paths answer.
    Dev,
    /// `palisade serve`.
    Serve,
}

/// What a door is made of.
pub struct Parts {
    /// The services, each with its table.
    pub services: Vec<Service>,
    /// Identity.
    pub directory: Arc<dyn Directory>,
    /// What organisations lay over accounts.
    pub guardrails: Arc<dyn Guardrails>,
    /// The store.
    pub store: store::Store,
    /// The record.
    pub journal: journal::Journal,
    /// This node's name among those that share the store, under which it finds
    /// the records to make up for after a crash.
    pub node: String,
    /// Root key and what is derived from it.
    pub root_key: Arc<crypto::hierarchy::RootKey>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// The region meant when a signature names several.
    pub home: Region,
    /// Dev or serve.
    pub mode: Mode,
    /// Whether every record is fsynced before its answer leaves.
    pub strict_audit: bool,
    /// Empties the world and begins anew; dev alone has one.
    pub reset: Option<Reset>,
    /// By what AWS KMS may sign to use keys that are here; `None` if it may not.
    pub xks: Option<Arc<XksCredentials>>,
}

/// Empties the world and begins anew.
pub type Reset = Box<dyn Fn() -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// The door: everything a request meets between socket and handler.
pub struct Door {
    pub(crate) parts: Parts,
    pub(crate) router: Router,
    /// By the addresses of their operations, in order.
    rows: Vec<(usize, (usize, usize, CallMetrics))>,
    pub(crate) decisions: DecisionLog,
    pub(crate) metrics: Metrics,
    pub(crate) intents: Intents,
    pub(crate) job_leases: JobLeases,
    pub(crate) node: Node,
    /// Everything that is sealed, as the services declare it.
    pub(crate) declared: Declared,
    /// Seals rows again under a new root key.
    pub(crate) resealing: Job,
    /// Whether it has been recorded that the disk is full.
    pub(crate) told_full: AtomicBool,
    /// For requests that have not come whole, of all connections.
    pub(crate) unfinished: Room,
}

/// A route's service, row and counters.
pub(crate) struct Route<'a> {
    pub(crate) service: &'a Service,
    pub(crate) row: &'a Row,
    pub(crate) metrics: &'a CallMetrics,
}

impl Door {
    /// Opens the door. Calls whose record was cut off by a crash are recorded first.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if store or journal cannot be read.
    pub async fn open(parts: Parts) -> Result<Arc<Door>, OpenError> {
        Door::open_among(parts, None).await
    }

    /// As [`Door::open`], as one of several nodes that share the store.
    ///
    /// # Errors
    ///
    /// As [`Door::open`]; [`OpenError::NameHeld`] if another process has the node's name.
    pub async fn open_among(parts: Parts, sharing: Option<Sharing>) -> Result<Arc<Door>, OpenError> {
        let shapes: Vec<&'static ServiceShape> = parts.services.iter().map(Service::shape).collect();
        let metrics = Metrics::new();
        let mut rows = Vec::new();
        for (at, service) in parts.services.iter().enumerate() {
            for (row_at, row) in service.rows.iter().enumerate() {
                let counters = metrics.of(service.shape.name, row.operation.name);
                rows.push((key_of(row.operation), (at, row_at, counters)));
            }
        }
        rows.sort_unstable_by_key(|(key, _)| *key);
        // A node that is alone is its own successor, and has its jobs at once.
        let holder = match &sharing {
            None => parts.node.clone(),
            Some(_) => id::uuid(parts.random.bytes()),
        };
        let node = Node::claim(&parts, sharing).await?;
        // Others count on it from here on, so before the first call.
        ring::tell(&parts.store, &parts.root_key, &node).await?;
        let intents = Intents::recover(&parts).await?;
        Ok(Arc::new(Door {
            router: Router::new(&shapes),
            rows,
            decisions: DecisionLog::default(),
            metrics,
            intents,
            told_full: AtomicBool::new(false),
            unfinished: Room::new(UNFINISHED_BYTES_MAX),
            job_leases: JobLeases::new(holder),
            node,
            declared: Declared::by(&parts.services),
            resealing: reseal::job(),
            parts,
        }))
    }

    /// The key that seals `purpose`, which is declared, in an account and region.
    pub(crate) fn domain_key(&self, account: AccountId, region: &Region, purpose: &'static str) -> DomainKey {
        self.declared
            .domain_key(&self.parts.root_key, account, region, purpose)
    }

    /// Has a write fail if the ring of root keys is not the one that its values were
    /// sealed by: a node that was out of reach for long may have missed that a root
    /// was removed. Of a node that is alone nothing is missed, and nothing asked.
    pub(crate) async fn fence(&self, tx: &WriteTx, generation: u64) -> Result<(), StoreError> {
        if self.node.shared_name().is_none() {
            return Ok(());
        }
        Box::pin(ring::fence(tx, &self.parts.root_key, generation)).await
    }

    /// The services behind the door.
    pub fn services(&self) -> &[Service] {
        &self.parts.services
    }

    /// The store behind the door.
    pub fn store(&self) -> &store::Store {
        &self.parts.store
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Randomness.
    pub(crate) fn random(&self) -> &Random {
        &self.parts.random
    }

    /// The record, for those who read it at their own pace.
    pub fn journal(&self) -> &journal::Journal {
        &self.parts.journal
    }

    /// Lets each job write down what this node alone knows, flushes the journal
    /// and removes what is settled. The store is the roof's to close.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the journal cannot be flushed; nothing acknowledged is lost by that.
    pub async fn close(self: &Arc<Self>) -> Result<(), OpenError> {
        self.run_last_jobs().await;
        let synced = self.parts.journal.sync().await?;
        self.intents.sweep(&self.parts.store, synced).await?;
        self.node.leave(&self.parts.store).await?;
        self.parts.journal.close().await?;
        Ok(())
    }

    /// The handler of an operation, if a service has one.
    pub(crate) fn handler(&self, operation: &'static OperationShape) -> Option<&dyn Invoke> {
        Some(self.route(operation)?.row.handler.as_ref())
    }

    /// Whether a service appends encoded messages to its refusals.
    pub(crate) fn encodes_refusals(&self, shape: &'static ServiceShape) -> bool {
        let mut services = self.parts.services.iter();
        services.any(|service| std::ptr::eq(service.shape, shape) && service.encodes_refusals)
    }

    /// Whether its service lets a call run at all.
    pub(crate) fn admits(&self, cx: &Cx) -> Result<(), Fault> {
        self.route(cx.operation())
            .map_or(Ok(()), |route| route.service.admit(cx))
    }

    pub(crate) fn route(&self, operation: &'static OperationShape) -> Option<Route<'_>> {
        let key = key_of(operation);
        let found = self.rows.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        let (service, row, metrics) = &self.rows[found].1;
        let service = &self.parts.services[*service];
        Some(Route {
            service,
            row: &service.rows[*row],
            metrics,
        })
    }
}

/// Why the door could not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be read or written.
    #[error("the journal cannot be used")]
    Journal(#[from] journal::JournalError),
    /// Another process has the node's name.
    #[error(
        "another process has the name of this node, {name}: it serves from a copy of this data directory, or was \
         killed elsewhere. The name is free {seconds} s after that process has ended; remove the file `node` to \
         serve under a name of its own"
    )]
    NameHeld {
        /// The name.
        name: String,
        /// When it is free, after the other has ended.
        seconds: u64,
    },
    /// The ring of root keys cannot be read.
    #[error("the ring of root keys cannot be used")]
    Ring(#[from] RingFault),
    /// The store cannot be read or written.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

/// A static row's address is its identity.
fn key_of(operation: &'static OperationShape) -> usize {
    std::ptr::from_ref(operation).addr()
}
