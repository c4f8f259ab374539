//! Types and tables of the AWS organizations API, generated from its public model.
//!
//! Names, types, places, constraints and errors only; what they mean is in AWS's documentation.

#![allow(missing_docs, dead_code, clippy::all, clippy::pedantic, reason = "generated")]

#[rustfmt::skip]
mod operations;
#[rustfmt::skip]
mod shapes;
#[rustfmt::skip]
mod types;

pub use operations::*;
pub use types::*;
