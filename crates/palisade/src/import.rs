//! Keys from elsewhere on their way into a KMS, as a client of it: every key is
//! made, named and given its material by the ordinary operations.
//!
//! It may be broken off and begun again at any moment: the alias finds the key,
//! a tag tells where it came from, and the description of each material which
//! version it is. What is there already is given again, which the KMS takes
//! only if it is the same.

mod into_kms;
mod into_seed;
mod plan;

pub(crate) use into_kms::bring;
pub(crate) use into_seed::seed;
pub(crate) use plan::{Plan, Row, State, plan};
