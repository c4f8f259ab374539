//! The ground every other floor stands on: who owns a thing, where it lives,
//! what it is called, what time it is, and what must never be shown.
//!
//! Everything here is pure. The wall clock is met in [`clock`] and nowhere else.
//!
//! Absent by design: randomness (see `crypto`), errors of any service, and
//! anything that only one other crate needs.

pub mod account;
pub mod arn;
pub mod clock;
pub mod id;
pub mod page;
pub mod region;
pub mod secret;
pub mod time;

pub use account::{AccountDigits, AccountId};
pub use arn::Arn;
pub use clock::Clock;
pub use page::PageToken;
pub use region::Region;
pub use secret::Secret;
pub use time::Timestamp;
