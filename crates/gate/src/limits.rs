//! What the door bounds, and whose bound it is.

use std::time::Duration;

/// What a listener bounds in number and time. Ours, but for the idle time,
/// which is that of AWS's own load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections open at once; one more is closed at once.
    pub connections: usize,
    /// Longest time a TLS handshake may take.
    pub handshake_time: Duration,
    /// Longest time a request's head may take, also the idle time of a
    /// kept-alive connection and the time between HTTP/2 pings. An answer that
    /// is not taken in one to two times of it ends its connection.
    pub header_time: Duration,
    /// Longest time from the first to the last byte of a body.
    pub body_time: Duration,
    /// Longest time that open requests get to finish at shutdown.
    pub shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            handshake_time: Duration::from_secs(10),
            header_time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
            shutdown_time: Duration::from_secs(20),
        }
    }
}

/// Longest request body of a service that takes no objects, in bytes. Ours:
/// the largest modelled input of the services served is a 131,072-character
/// policy, form-encoded.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// Bytes of a body that is too large which are read and thrown away before the connection is closed.
pub(crate) const BODY_BYTES_DISCARDED_MAX: usize = 16 << 20;

/// Bytes of requests that have not come whole, of one connection. Ours: sixteen of the largest
/// bodies on their way side by side.
pub(crate) const UNFINISHED_BYTES_OF_CONNECTION_MAX: usize = 16 << 20;

/// Bytes of requests that have not come whole, of all connections. Ours: small against the
/// memory of a server, and more than a gigabit a second brings in two seconds.
pub(crate) const UNFINISHED_BYTES_MAX: usize = 256 << 20;

/// Bytes of answers on their way over one connection which are its own, and not counted with
/// those of others. Ours: what so many requests as an HTTP/2 connection may have open are
/// answered with, if they encrypt a data key.
pub(crate) const UNREAD_BYTES_FREE: usize = 64 << 10;

/// Bytes of answers on their way over one connection. Ours: as much as of its requests; the
/// longest answer, to a batch, has half of it.
pub(crate) const UNREAD_BYTES_OF_CONNECTION_MAX: usize = 16 << 20;

/// Bytes of answers on their way over all connections, beyond what each has of its own. Ours:
/// as much as of requests.
pub(crate) const UNREAD_BYTES_MAX: usize = 256 << 20;

/// Longest request head in bytes (request line and headers). Headers are at
/// most a hundred, which is hyper's own bound: to say so would make it allocate
/// for each request.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

/// Most concurrent HTTP/2 streams of a connection.
pub(crate) const STREAMS_MAX: u32 = 128;

/// How often a handler runs again because another writer was first.
pub(crate) const CONFLICT_RERUNS_MAX: u32 = 64;

/// Conflicts after which a call waits for its turn, so that it cannot lose for ever.
pub(crate) const CONFLICTS_BEFORE_TURN: u32 = 3;

/// Outcomes that a thread remembers: the same things asked for by the same callers.
/// Ours: a few hundred kilobytes, and what they rest on is mostly in memory anyway.
pub(crate) const OUTCOMES_REMEMBERED: usize = 256;

/// Decisions that a thread keeps in memory in full, for `why`. Few enough to stay in the
/// processor's cache: of older calls the journal keeps the reasons.
pub(crate) const DECISIONS_KEPT: usize = 256;

/// Bytes of journal searched backwards for a request id that memory has forgotten.
pub(crate) const WHY_JOURNAL_BYTES_MAX: u64 = 256 << 20;

/// Bytes of journal searched backwards for what a principal did. Ours: some
/// millions of calls, gone through in a few seconds.
pub(crate) const GENERATE_JOURNAL_BYTES_MAX: u64 = 4 << 30;

/// Different kinds of calls that one question of usage tells apart. Ours: some
/// megabytes.
pub(crate) const USAGE_ROWS_MAX: usize = 10_000;

/// How long an event can be asked for. Ours; EventBridge delivers and forgets.
pub(crate) const EVENTS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often events are forgotten that were kept long enough. Ours.
pub(crate) const EVENTS_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Events in one answer, if the asker does not say.
pub(crate) const EVENTS_PAGE: usize = 100;

/// Most events in one answer. Ours: less than a megabyte.
pub(crate) const EVENTS_PAGE_MAX: usize = 1_000;

/// Events of all accounts that are gone through for one answer, which then says
/// that there may be more. Ours: what the store gives in one page.
pub(crate) const EVENTS_LOOKED_AT_MAX: usize = 1_000;

/// Records gone through before other work gets its turn.
pub(crate) const RECORDS_PER_TURN: usize = 256;

/// Different calls that one generated policy can cover. Ours: their statements
/// fill the largest policy many times over.
pub(crate) const DEEDS_MAX: usize = 2_000;

/// What one question of `why` may say of the call that nobody made: condition
/// keys, and values of each. Ours: AWS's own requests carry a dozen or two.
pub(crate) const SAID_KEYS_MAX: usize = 50;

/// See [`SAID_KEYS_MAX`]; as many as a resource has tags.
pub(crate) const SAID_VALUES_MAX: usize = 50;

/// IAM API Reference, `ContextKeyNameType`: at most 256 characters.
pub(crate) const SAID_KEY_BYTES_MAX: usize = 256;

/// Longest value said of a condition key, in bytes: that of an ARN.
pub(crate) const SAID_VALUE_BYTES_MAX: usize = 2048;

/// IAM API Reference, `ActionNameType`: at most 128 characters.
pub(crate) const ACTION_BYTES_MAX: usize = 128;

/// CloudTrail record contents: `requestParameters` and `responseElements` are at most 100 KB each.
pub(crate) const RECORD_PARAMETERS_BYTES_MAX: usize = 100 << 10;

/// CloudTrail record contents: `errorMessage` is at most 1 KB.
pub(crate) const RECORD_MESSAGE_BYTES_MAX: usize = 1 << 10;

/// Characters of an encoded authorization message (STS API Reference,
/// DecodeAuthorizationMessage, `EncodedMessage`).
pub(crate) const ENCODED_MESSAGE_CHARACTERS_MAX: usize = 10_240;

/// Characters of a token issuer's id that are looked at; a UUID has 36.
pub(crate) const TOKEN_ISSUER_ID_CHARACTERS_MAX: usize = 36;

/// CloudTrail record contents: `userAgent` is at most 1 KB.
pub(crate) const RECORD_USER_AGENT_BYTES_MAX: usize = 1 << 10;

/// The room that a handler may take while it runs, in bytes. Ours: it is moved into a
/// box at every call, and once took longer to move than the rest of the call.
pub(crate) const HANDLER_BYTES_MAX: usize = 16 << 10;

/// Calls that one batch carries.
pub(crate) const BATCH_CALLS_MAX: usize = 1000;

/// Bytes of the answers to a batch after which no further call of it is run. Ours: what a
/// thousand of the largest data key pairs take, whose answers are the longest but for lists
/// and policies.
pub(crate) const BATCH_ANSWER_BYTES_MAX: usize = 8 << 20;

/// Calls of a batch that run at a time: enough to share the writing of their records, and as
/// many as `futures_util`'s `join_all` waits for in one piece of memory.
pub(crate) const BATCH_CALLS_AT_ONCE: usize = 30;

/// Settled intents that one commit takes away.
pub(crate) const INTENTS_PER_COMMIT_MAX: usize = 32;

/// Intents looked at in one go when the door opens.
pub(crate) const INTENTS_PER_PAGE: usize = 256;

/// Bytes of journal searched for the records of intents when the door opens.
pub(crate) const RECOVERY_JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// How often a node looks after its jobs.
pub(crate) const JOB_INTERVAL: Duration = Duration::from_secs(1);
/// How far the machine's clock may have been set back before the log tells. Ours.
pub(crate) const CLOCK_BEHIND_TOLD: Duration = Duration::from_secs(60);

/// How long a job's lease lasts: a node that died keeps others from its jobs that long.
pub(crate) const JOB_LEASE: Duration = Duration::from_secs(60);

/// How often a starting node asks for its name before it is refused, and how
/// long it waits in between: together longer than a takeover of a few thousand records.
pub(crate) const NAME_TRIES: u32 = 50;

/// See [`NAME_TRIES`].
pub(crate) const NAME_TRY_INTERVAL: Duration = Duration::from_millis(100);

/// Nodes with intents that one look goes through; more are found by the next.
pub(crate) const NODES_LOOKED_AT_MAX: usize = 256;

/// Calls within calls: a service that calls one that calls one that calls one.
/// No chain of AWS services that we know is longer than three.
pub(crate) const CALLS_DEPTH_MAX: usize = 4;

/// Rows whose sealed values one transaction seals again: a page that the cache
/// keeps, and small against what one commit may write.
pub(crate) const ROWS_RESEALED_AT_ONCE: usize = 100;

/// Pages, empty ones among them, that one run of the job seals again: a second or
/// so of work, after which other jobs have their turn.
pub(crate) const PAGES_RESEALED_PER_RUN: usize = 64;

/// How long the encoded message of a refusal is to be decoded: our own choice,
/// AWS names no limit.
pub(crate) const REFUSAL_NEEDED: Duration = Duration::from_secs(24 * 60 * 60);

/// How much longer than anything needs it a superseded root is kept: nodes learn
/// of its successor within seconds, calls end within minutes, clocks differ.
pub(crate) const ROOT_KEPT_BEYOND: Duration = Duration::from_secs(60 * 60);
