//! The door: every request, of every service, goes through here and is
//! bounded, authenticated, decoded, authorized, recorded and answered.
//!
//! A service gives the door a [`Table`] of handlers; a handler gets a [`Cx`]
//! and asks it for permission ([`Cx::authorize`]) and for writes
//! ([`Cx::write`]). Identity is asked through [`Directory`], which the `iam`
//! crate implements, and what binds whole accounts through [`Guardrails`],
//! which `organizations` does.
//!
//! Invariants:
//! - enforcement is always on: there is no test bypass; what AWS lets nobody
//!   sign is nobody's until its handler has proven the token in it, and an
//!   answer whose handler never asked for permission does not leave;
//! - the record of an authenticated call is written before its answer leaves,
//!   and a call that cannot be recorded is refused;
//! - a change and the intent to record it commit together or not at all.
//!
//! Absent by design: records of requests that were not authenticated, as in
//! CloudTrail; they are counted, and a stranger cannot fill the disk with them.

mod accept;
mod access;
mod at_hand;
mod authenticate;
mod batch;
mod body;
mod conditions;
mod copies;
mod cx;
mod decision;
mod directory;
mod door;
mod encoded;
mod events;
mod fault;
mod generate;
mod guardrails;
mod inquiry;
mod intent;
mod jobs;
mod lanes;
mod limits;
mod listen;
mod metrics;
mod node;
mod operator;
mod peer_slots;
mod quiet;
mod record;
mod reseal;
mod ring;
mod root_keys;
mod sealed;
mod seen;
mod settled;
mod table;
mod tell;
mod tls;
mod token_issuer;
mod unread;
mod usage;
mod walk;
mod what_if;
mod within;
mod xks_proxy;

pub use accept::{Accepted, Bounds, Talk, accept};
pub use access::{Access, AuthorizeError, Denied, Permit};
pub use at_hand::AtHand;
pub use conditions::{Condition, Conditions};
pub use cx::{Cx, OnBehalf};
pub use directory::{
    Caller, CallerPolicies, Credential, CredentialFault, Directory, NewAccount, Presented, Session,
    SessionIssuer, SigningKeys, TokenIssuer, Use, Vouched, WebIdentity,
};
pub use door::{Door, Mode, OpenError, Parts, Peer, Reset};
pub use events::forgetting_events;
pub use fault::Fault;
pub use guardrails::{Guardrails, Membership, NoGuardrails, ServiceAccess, Standing};
pub use jobs::{Event, Job, JobCx, JobError};
pub use limits::Limits;
pub use listen::{allow_open_files, serve, serve_within};
pub use node::Sharing;
pub use operator::SIGNING_NAME;
pub use peer_slots::{PeerAsked, PeerQuoted, PeerSlotTold};
pub use record::Touched;
pub use ring::{KEPT_TABLES, RingFault, open_ring};
pub use root_keys::{RootKeyFault, RootKeys};
pub use sealed::{ResealError, Resealed, Resealing, Sealed};
pub use table::{Describe, Describing, Handler, Refused, Service, Table};
pub use tls::{Identity, Tls, TlsError};
pub use token_issuer::PATH as TOKEN_ISSUER_PATH;
pub use unread::{Answered, Turn};
pub use usage::{Called, Counted, Held, Holding, Meter};
pub use xks_proxy::{XksCredential, XksCredentialError, XksCredentials};
