//! What operators measure: calls by operation and outcome, their time, and
//! the rare things that should be zero.

use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What an exposition text ends with.
const END: &str = "# EOF\n";

type CallLabels = [(&'static str, &'static str); 3];
type OperationLabels = [(&'static str, &'static str); 2];

/// Everything counted, and the text that says so.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Counter>,
    seconds: Family<OperationLabels, Histogram, fn() -> Histogram>,
    /// Requests refused before they had an operation and a caller.
    refused: Family<[(&'static str, &'static str); 1], Counter>,
    /// What was told to members of the cluster that asked for the key of a slot.
    pub(crate) peer_slots: Family<[(&'static str, &'static str); 1], Counter>,
    /// Handlers that panicked; each cost one request.
    pub(crate) panics: Counter,
    /// Handlers run again because another writer was first.
    pub(crate) reruns: Counter,
    /// Records that could not be written, each of which failed its call.
    pub(crate) unrecorded: Counter,
}

/// The counters of one operation, found once at start-up.
pub(crate) struct CallMetrics {
    ok: Counter,
    client: Counter,
    denied: Counter,
    server: Counter,
    seconds: Histogram,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    Client,
    Denied,
    Server,
}

/// Why a request was refused at the door.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// There is no room for its answer: others have not been read.
    Answer,
    /// Unsigned, wrongly signed or with a dead credential.
    Authentication,
    /// Too large, too slow or cut off.
    Body,
    /// There is no room for its record.
    NoRecord,
    /// No such service or operation.
    Route,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("palisade")),
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_05, 2.5, 14))),
            refused: Family::default(),
            peer_slots: Family::default(),
            panics: Counter::default(),
            reruns: Counter::default(),
            unrecorded: Counter::default(),
        };
        if let Ok(mut registry) = metrics.registry.lock() {
            registry.register("calls", "Calls by operation and outcome", metrics.calls.clone());
            registry.register_with_unit(
                "call",
                "Time from request to answer",
                Unit::Seconds,
                metrics.seconds.clone(),
            );
            registry.register(
                "refused",
                "Requests refused before dispatch",
                metrics.refused.clone(),
            );
            registry.register(
                "peer_slots",
                "Slots of other members of the cluster, by what was told",
                metrics.peer_slots.clone(),
            );
            registry.register("panics", "Handlers that panicked", metrics.panics.clone());
            registry.register(
                "reruns",
                "Handlers run again after a write conflict",
                metrics.reruns.clone(),
            );
            registry.register(
                "unrecorded",
                "Calls failed because no record could be written",
                metrics.unrecorded.clone(),
            );
        }
        metrics
    }

    /// The counters of one operation.
    pub(crate) fn of(&self, service: &'static str, operation: &'static str) -> CallMetrics {
        let counter = |outcome| {
            let labels = [
                ("service", service),
                ("operation", operation),
                ("outcome", outcome),
            ];
            self.calls.get_or_create(&labels).clone()
        };
        CallMetrics {
            ok: counter("ok"),
            client: counter("client_error"),
            denied: counter("denied"),
            server: counter("server_error"),
            seconds: self
                .seconds
                .get_or_create(&[("service", service), ("operation", operation)])
                .clone(),
        }
    }

    pub(crate) fn refuse(&self, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Answer => "answer",
            Refusal::Authentication => "authentication",
            Refusal::Body => "body",
            Refusal::NoRecord => "no_record",
            Refusal::Route => "route",
        };
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// The exposition text (OpenMetrics 1.0), without its end.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let Ok(registry) = self.registry.lock() else {
            return text;
        };
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text.truncate(text.strip_suffix(END).map_or(text.len(), str::len));
        text
    }
}

impl CallMetrics {
    pub(crate) fn count(&self, ending: Ending, took: Duration) {
        let counter = match ending {
            Ending::Ok => &self.ok,
            Ending::Client => &self.client,
            Ending::Denied => &self.denied,
            Ending::Server => &self.server,
        };
        counter.inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
