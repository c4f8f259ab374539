//! The operations, a file for each tight family.

pub(crate) mod account;
pub(crate) mod account_creation;
pub(crate) mod attachment;
pub(crate) mod delegation;
pub(crate) mod effective_policy;
pub(crate) mod handshake;
pub(crate) mod organization;
pub(crate) mod own_role;
pub(crate) mod policy;
pub(crate) mod policy_type;
pub(crate) mod resource_policy;
pub(crate) mod service_access;
pub(crate) mod tag;
pub(crate) mod tree;
pub(crate) mod unit;

mod answer;
mod page;
