//! The walk of a request: bound, route, authenticate, dispatch, record, answer.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crypto::{DomainKey, Random};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use ground::{AccountId, Clock, Region, Timestamp, id};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use journal::Space;
use shape::{OperationShape, Protocol, ServiceShape};
use store::{StoreError, WriteTx};
use wire::sigv4::canonical::normalized_path;
use wire::sigv4::{Claim, RequestParts};
use wire::{Answer, RequestHead, Router, WireFault};

use crate::authenticate::{Authenticated, Refused, authenticate};
use crate::body::{self, Room};
use crate::cx::{Cx, Said};
use crate::decision::DecisionLog;
use crate::directory::Directory;
use crate::fault::{Fault, FaultKind};
use crate::guardrails::Guardrails;
use crate::intent::Intents;
use crate::jobs::{Job, JobError, JobLeases};
use crate::limits::{
    CONFLICT_RERUNS_MAX, CONFLICTS_BEFORE_TURN, UNFINISHED_BYTES_MAX, UNFINISHED_BYTES_OF_CONNECTION_MAX,
};
use crate::metrics::{CallMetrics, Ending, Metrics, Refusal};
use crate::node::{Node, Sharing};
use crate::operator;
use crate::record;
use crate::reseal;
use crate::ring::{self, RingFault};
use crate::sealed::Declared;
use crate::table::{Done, DoneWithin, Invoke, Row, Service, Spelled};
use crate::tell::{refusal, tell, unimplemented, wire_fault};
use crate::xks_proxy::{self, XksCredentials};

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
    router: Router,
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
    told_full: AtomicBool,
    /// For requests that have not come whole, of all connections.
    unfinished: Room,
}

/// A route's service, row and counters.
struct Route<'a> {
    service: &'a Service,
    row: &'a Row,
    metrics: &'a CallMetrics,
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

    fn route(&self, operation: &'static OperationShape) -> Option<Route<'_>> {
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

    /// Answers one request, whatever it is. Its body may take `body_time_max`.
    pub async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: &Arc<Peer>,
        body_time_max: Duration,
    ) -> Response<Full<Bytes>> {
        let (mut head, body) = request.into_parts();
        let request_id = id::uuid(self.parts.random.public_bytes());
        let rooms = [&peer.unfinished, &self.unfinished];
        let body = match body::read(body, &head.headers, rooms, body_time_max).await {
            Ok(body) => body,
            Err(fault) => {
                self.metrics.refuse(Refusal::Body);
                if operator::is_operators(head.uri.path()) {
                    return operator::problem_of(&fault);
                }
                let answer = wire::encode_fault(None, Protocol::Json11, &fault, &request_id, false);
                return respond(answer, request_id, head.headers);
            }
        };
        // HTTP/2 carries the host in `:authority`; signatures are over `host`.
        if let Some(authority) = head.uri.authority()
            && !head.headers.contains_key(http::header::HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            head.headers.insert(http::header::HOST, host);
        }
        if operator::is_operators(head.uri.path()) {
            return Box::pin(operator::answer(self, &head, &body, peer, &request_id)).await;
        }
        if let Some(credentials) = &self.parts.xks
            && wire::xks::is_meant(head.uri.path())
        {
            return Box::pin(xks_proxy::answer(
                self,
                credentials,
                &head,
                &body,
                peer,
                &request_id,
            ))
            .await;
        }
        // In a box, like those above: until the body is read the server moves what
        // waits here about, which is little so.
        let answer = Box::pin(self.call(&head, &body, peer, &request_id)).await;
        let asked = request_parts(&head);
        let asked = RequestHead {
            method: asked.method,
            path: asked.path,
            query: asked.query,
            headers: asked.headers,
        };
        let answer = match asked.speaks_cbor() {
            true => wire::as_cbor(answer),
            false => answer,
        };
        respond(answer, request_id, head.headers)
    }

    async fn call(
        self: &Arc<Self>,
        head: &http::request::Parts,
        body: &[u8],
        peer: &Arc<Peer>,
        request_id: &str,
    ) -> Answer {
        let parts = request_parts(head);
        let claim = Claim::parse(&parts);
        let scope_service = claim.as_ref().ok().map(|claim| claim.scope().service());
        // A router must see the path that was signed, which only S3 takes as it came.
        let path = match scope_service {
            Some("s3") => parts.path.into(),
            _ => normalized_path(parts.path),
        };
        let wire_head = RequestHead {
            method: parts.method,
            path: &path,
            query: parts.query,
            headers: parts.headers,
        };
        let operation = match self.router.route(&wire_head, scope_service, body) {
            Ok(operation) => operation,
            Err(fault) => {
                self.metrics.refuse(Refusal::Route);
                let head_only = head.method == http::Method::HEAD;
                return wire::encode_fault(
                    fault.service,
                    fault.protocol,
                    &fault.fault,
                    request_id,
                    head_only,
                );
            }
        };
        let service = operation.service;
        let now = self.parts.clock.now();
        if let Err(fault) = self.admit(now).await {
            self.metrics.refuse(Refusal::NoRecord);
            return tell(operation, &wire_fault(&fault, operation), request_id);
        }
        let authenticated = match claim {
            // Nobody signs these: a token in the request will tell who calls.
            _ if operation.unsigned => Ok(Authenticated::nobody(service, &self.parts.home)),
            Ok(claim) => {
                let directory = self.parts.directory.as_ref();
                let asked = (service, Some(operation.action));
                let times = (now, &self.parts.clock);
                authenticate(directory, &claim, &parts, body, asked, &self.parts.home, times).await
            }
            Err(fault) => Err(Refused::Signature(fault)),
        };
        let authenticated = match authenticated {
            Ok(authenticated) => authenticated,
            Err(refused) => {
                self.metrics.refuse(Refusal::Authentication);
                let fault = refusal(&refused, operation, now, request_id);
                return tell(operation, &fault, request_id);
            }
        };

        let answer = self.run(operation, &authenticated, peer, &wire_head, body, request_id);
        answer.await
    }

    /// Runs the operation for a caller who is known, records that, and answers.
    pub(crate) async fn run(
        self: &Arc<Self>,
        operation: &'static OperationShape,
        authenticated: &Authenticated,
        peer: &Arc<Peer>,
        head: &RequestHead<'_>,
        body: &[u8],
        request_id: &str,
    ) -> Answer {
        let asked = AskedToRun {
            operation,
            authenticated,
            peer,
            head,
            said: &Said::in_headers(head.headers),
            body,
            request_id,
            spelled: Spelled::ForOne,
        };
        let ran = self.perform(&asked).await;
        self.finish(ran).await
    }

    /// Runs the operation, again as long as other writers come first. Nothing is
    /// recorded yet: whoever has what ran [finishes](Door::finish) it.
    pub(crate) async fn perform(self: &Arc<Self>, asked: &AskedToRun<'_>) -> Ran<'_> {
        let (started, now) = (Instant::now(), self.parts.clock.now());
        let operation = asked.operation;
        let mut rerun = 0;
        let mut turn = None;
        loop {
            let cx = Cx::new(
                self,
                operation,
                asked.authenticated,
                asked.peer,
                asked.said,
                asked.request_id,
                now,
            );
            let Some(route) = self.route(operation) else {
                let outcome = Err(unimplemented(operation));
                return Ran {
                    cx,
                    outcome,
                    started,
                    metrics: None,
                };
            };
            let metrics = Some(route.metrics);
            // One call is one call, however often it runs.
            if rerun == 0
                && let Err(fault) = route.service.admit(&cx)
            {
                let outcome = Err(fault);
                return Ran {
                    cx,
                    outcome,
                    started,
                    metrics,
                };
            }
            let run = route
                .row
                .handler
                .invoke(&cx, asked.head, asked.body, asked.spelled);
            let outcome = match std::panic::AssertUnwindSafe(run).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => {
                    self.metrics.panics.inc();
                    Err(Fault::server("InternalFailure", "the handler panicked"))
                }
            };
            match outcome {
                Err(fault) if fault.kind == FaultKind::Conflict && rerun < CONFLICT_RERUNS_MAX => {
                    rerun += 1;
                    self.metrics.reruns.inc();
                    if rerun >= CONFLICTS_BEFORE_TURN && turn.is_none() {
                        turn = self.parts.store.turn().await;
                    }
                }
                outcome => {
                    let outcome = cx.refuse_unauthorized(outcome);
                    return Ran {
                        cx,
                        outcome,
                        started,
                        metrics,
                    };
                }
            }
        }
    }

    /// Admits a call only while its record is sure to find room. The reserve
    /// is for calls that were admitted before, and for one record that says so.
    pub(crate) async fn admit(&self, now: Timestamp) -> Result<(), Fault> {
        if self.parts.journal.space() == Space::Ample {
            self.told_full.store(false, Ordering::Relaxed);
            return Ok(());
        }
        if !self.told_full.swap(true, Ordering::Relaxed) {
            tracing::error!("the disk is full: calls are refused until their records find room again");
            let event_id = id::uuid(self.parts.random.bytes());
            let record = record::journal_full(now, &self.parts.home, &event_id);
            if let Err(error) = self
                .parts
                .journal
                .append(record.as_bytes(), journal::Durability::Synced)
                .await
            {
                tracing::error!(%error, "not even that could be recorded");
            }
        }
        let fault = Fault::client(
            "ServiceUnavailable",
            "the call cannot be recorded because the disk is full",
        );
        Err(fault.with_status(503))
    }

    /// Writes the record, then lets the answer go.
    pub(crate) async fn finish(&self, ran: Ran<'_>) -> Answer {
        if ran.cx.is_nobodys() {
            return self.refuse_nobody(ran);
        }
        let fault = ran.fault();
        let recorded = self.record(&ran.cx, told(fault.as_ref()), ran.elements()).await;
        let header = match recorded {
            Ok(()) => ran.cx.decision_header().await,
            Err(_) => None,
        };
        let mut answer = self.let_go(ran, fault, recorded);
        if let Some(summary) = header
            && let Ok(value) = HeaderValue::from_str(&summary)
        {
            answer
                .headers
                .insert(HeaderName::from_static("x-palisade-decision"), value);
        }
        answer
    }

    /// As [`Door::finish`] of several calls of one caller, whose records are written
    /// together. Of refusals no header tells why.
    pub(crate) async fn finish_all(&self, all: Vec<Box<Ran<'_>>>) -> Vec<Answer> {
        let faults: Vec<_> = all.iter().map(|ran| ran.fault()).collect();
        let records = all.iter().zip(&faults);
        let records = records.map(|(ran, fault)| self.record(&ran.cx, told(fault.as_ref()), ran.elements()));
        let recorded = join_all(records).await;
        let finished = all.into_iter().zip(faults).zip(recorded);
        finished
            .map(|((ran, fault), recorded)| self.let_go(*ran, fault, recorded))
            .collect()
    }

    /// Lets an answer go that was recorded, and refuses a call that was not.
    fn let_go(
        &self,
        ran: Ran<'_>,
        fault: Option<WireFault>,
        recorded: Result<(), journal::JournalError>,
    ) -> Answer {
        let ending = ending(&ran.outcome);
        let Ran {
            cx,
            outcome,
            started,
            metrics,
        } = ran;
        let operation = cx.operation();
        if let Some(metrics) = metrics {
            metrics.count(ending, started.elapsed());
        }
        if let Err(error) = recorded {
            self.metrics.unrecorded.inc();
            tracing::error!(request_id = cx.request_id(), %error, "no record could be written; the call is refused");
            let fault = wire_fault(
                &Fault::server("ServiceUnavailable", &error).with_status(503),
                operation,
            );
            return tell(operation, &fault, cx.request_id());
        }
        let answer = match (outcome, fault) {
            (Ok(done), _) => done.answer,
            (Err(_), Some(fault)) => tell(operation, &fault, cx.request_id()),
            (Err(_), None) => unreachable!("a failed outcome has its fault"),
        };
        cx.keep_decisions();
        answer
    }

    /// Tells why nobody was proven to call. As of every request that is not
    /// authenticated there is no record: strangers could fill the disk.
    fn refuse_nobody(&self, ran: Ran<'_>) -> Answer {
        let cx = &ran.cx;
        if let Some(metrics) = ran.metrics {
            metrics.count(ending(&ran.outcome), ran.started.elapsed());
        }
        let Err(fault) = cx.refuse_unauthorized(ran.outcome) else {
            unreachable!("what nobody is answered is a refusal")
        };
        log_detail(cx, Some(&fault));
        self.metrics.refuse(Refusal::Authentication);
        tell(
            cx.operation(),
            &wire_fault(&fault, cx.operation()),
            cx.request_id(),
        )
    }

    /// Writes the record of a call from inside, then lets its output go.
    pub(crate) async fn record_within(
        &self,
        cx: &Cx,
        outcome: Result<DoneWithin, Fault>,
    ) -> Result<Box<dyn Any + Send>, Fault> {
        log_detail(cx, outcome.as_ref().err());
        let told = outcome
            .as_ref()
            .err()
            .map(|fault| wire_fault(fault, cx.operation()));
        let error = told
            .as_ref()
            .map(|fault| (fault.code.as_ref(), fault.message.as_deref()));
        let elements = outcome
            .as_ref()
            .ok()
            .and_then(|(_, elements)| elements.as_deref());
        self.record(cx, error, elements).await.map_err(|error| {
            self.metrics.unrecorded.inc();
            Fault::server("ServiceUnavailable", &error).with_status(503)
        })?;
        outcome.map(|(output, _)| output)
    }

    pub(crate) async fn record(
        &self,
        cx: &Cx,
        error: Option<(&str, Option<&str>)>,
        elements: Option<&str>,
    ) -> Result<(), journal::JournalError> {
        let copies = cx.records(error, elements);
        let durability = if self.parts.strict_audit {
            journal::Durability::Synced
        } else {
            journal::Durability::Written
        };
        let position = copies.append(&self.parts.journal, durability).await?;
        if let Some(intent) = cx.take_intent() {
            self.intents.settled(intent, position);
        }
        Ok(())
    }
}

/// What is to be run, for whom, and on whose word.
pub(crate) struct AskedToRun<'a> {
    pub(crate) operation: &'static OperationShape,
    pub(crate) authenticated: &'a Authenticated,
    pub(crate) peer: &'a Arc<Peer>,
    pub(crate) head: &'a RequestHead<'a>,
    pub(crate) said: &'a Said,
    pub(crate) body: &'a [u8],
    pub(crate) request_id: &'a str,
    pub(crate) spelled: Spelled,
}

/// A call that has run, and is not recorded yet.
pub(crate) struct Ran<'a> {
    cx: Cx,
    outcome: Result<Done, Fault>,
    started: Instant,
    /// `None` of an operation that there is no handler of.
    metrics: Option<&'a CallMetrics>,
}

impl Ran<'_> {
    /// How the failure is told, if it failed; the log is told the rest.
    fn fault(&self) -> Option<WireFault> {
        let fault = self.outcome.as_ref().err();
        log_detail(&self.cx, fault);
        fault.map(|fault| wire_fault(fault, self.cx.operation()))
    }

    fn elements(&self) -> Option<&str> {
        let done = self.outcome.as_ref().ok()?;
        done.response_elements.as_deref()
    }
}

/// The code and message that a record tells of a fault.
fn told(fault: Option<&WireFault>) -> Option<(&str, Option<&str>)> {
    fault.map(|fault| (fault.code.as_ref(), fault.message.as_deref()))
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

/// What the caller is not told, the log is.
fn log_detail(cx: &Cx, fault: Option<&Fault>) {
    if let Some(detail) = fault.and_then(|fault| fault.detail.as_ref()) {
        tracing::error!(
            request_id = cx.request_id(),
            operation = cx.operation().name,
            detail,
            "call failed"
        );
    }
}

/// A static row's address is its identity.
fn key_of(operation: &'static OperationShape) -> usize {
    std::ptr::from_ref(operation).addr()
}

/// The request as signatures and routes see it.
pub(crate) fn request_parts(head: &http::request::Parts) -> RequestParts<'_> {
    RequestParts {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    }
}

/// The answer as hyper sends it, to the request with this id. Its headers take the
/// room of the request's.
pub(crate) fn respond(answer: Answer, request_id: String, room: HeaderMap) -> Response<Full<Bytes>> {
    answer.into_response(request_id, room).map(Full::new)
}

fn ending(outcome: &Result<Done, Fault>) -> Ending {
    match outcome.as_ref().map_err(|fault| fault.kind) {
        Ok(_) => Ending::Ok,
        Err(FaultKind::Client) => Ending::Client,
        Err(FaultKind::Denied) => Ending::Denied,
        Err(FaultKind::Server | FaultKind::Conflict) => Ending::Server,
    }
}
