//! Keeping: typed tables over ordered keys, with transactions.
//!
//! Rows live under `account/region/table` and a key, in redb (one file, the
//! default) or PostgreSQL (many nodes); the same suite holds both to the same
//! behaviour. A request reads through a [`View`] bound to its account and
//! region, answered from memory whenever what is in memory is known to be
//! true, and writes through a [`WriteTx`] that is committed only if everything
//! the request had read still stands. [`StoreError::Conflict`] says to run the
//! request again.
//!
//! Invariants:
//! - what [`Store::commit`] acknowledged is durable, and no reader of this node
//!   sees what was before it;
//! - commits have one order, their [`Version`]s, on all nodes;
//! - no method reaches another account unless its name says `cross_account`.
//!
//! Absent by design: queries by anything but key order (a service keeps its own
//! index tables), secrets in clear (sealed by whoever puts them), and the wall
//! clock (leases take the caller's time).

pub mod limits;

mod backup;
mod cache;
mod commit;
mod committer;
mod engine;
mod erase;
mod error;
mod feed;
mod key;
mod lease;
mod open;
mod outbox;
mod postgres;
mod redb;
mod scope;
mod scopes;
mod snapshot;
mod stats;
mod table;
mod tally;
mod view;
mod witness;
mod write;

pub use commit::Version;
pub use error::StoreError;
pub use feed::{Change, ChangeKind, Event, Watch};
pub use key::{Key, Prefix, Stamp, TextKey};
pub use lease::Lease;
pub use open::{Config, EngineConfig, Store, Turn};
pub use outbox::Announcement;
pub use scope::Scope;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use table::{Migrate, Place, Record, Table};
pub use view::{Page, View};
pub use witness::Witness;
pub use write::WriteTx;
