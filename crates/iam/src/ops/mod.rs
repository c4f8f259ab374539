//! The operations of IAM, one file per noun and what is done to it.

pub(crate) mod access_key;
pub(crate) mod account;
pub(crate) mod account_alias;
pub(crate) mod answer;
pub(crate) mod attached_policy;
pub(crate) mod authorization_details;
pub(crate) mod boundary;
pub(crate) mod group;
pub(crate) mod inline_policy;
pub(crate) mod instance_profile;
pub(crate) mod login_profile;
pub(crate) mod managed_policy;
pub(crate) mod mfa_device;
pub(crate) mod oidc_provider;
pub(crate) mod page;
pub(crate) mod password_policy;
pub(crate) mod policy_document;
pub(crate) mod role;
pub(crate) mod saml_provider;
pub(crate) mod simulate;
pub(crate) mod tag;
pub(crate) mod uncreatable;
pub(crate) mod user;
