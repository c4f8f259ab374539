//! The program as its users meet it: a process, a socket, a data directory.
//!
//! The sweeps walk every registered operation of every service, with input
//! made from the static shapes, so that an operation is in all of them on the
//! day it is registered. What a sweep lets pass is listed with its reason, and
//! an entry that is not needed any more fails the test: the lists only shrink.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and prepares its own files"
)]

mod backup;
mod bad_input;
mod broken;
mod cli;
mod crash;
mod generate;
mod memory;
mod obeyed;
mod peer;
mod peer_quote;
mod policy;
mod records;
mod root_keys;
mod seal;
mod secrets;
mod serve;
mod shared_store;
mod software_tpm;
mod stage;
mod stage_organizations;
mod sweep_denied;
mod sweep_forbidden;
mod sweep_malformed;
mod sweep_mutations;
mod sweep_regions;
mod taken_away;
mod tls;
mod verify;
mod what_if;
mod world;

/// The program under test.
const PALISADE: &str = env!("CARGO_BIN_EXE_palisade");
