//! The walk of a request: bound, route, authenticate, dispatch, record, answer.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use ground::{Timestamp, id};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use journal::Space;
use shape::{OperationShape, Protocol};
use wire::sigv4::canonical::normalized_path;
use wire::sigv4::{Claim, RequestParts};
use wire::{Answer, RequestHead, WireFault};

use crate::authenticate::{Authenticated, Refused, authenticate};
use crate::body;
use crate::cx::{Cx, Said};
use crate::door::{Door, Peer};
use crate::fault::{Fault, FaultKind};
use crate::limits::{CONFLICT_RERUNS_MAX, CONFLICTS_BEFORE_TURN};
use crate::metrics::{CallMetrics, Ending, Refusal};
use crate::operator;
use crate::record;
use crate::table::{Done, DoneWithin, Spelled};
use crate::tell::{refusal, tell, unimplemented, wire_fault};
use crate::xks_proxy;

impl Door {
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
