//! The policy language from outside: tables of cases, published examples, a
//! naive model, properties, and another implementation.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod differential;
mod matrix;
mod messages;
mod model;
mod properties;
mod published;
mod random;
mod scenario;
mod tables;
mod trace;
mod why;
mod written;
