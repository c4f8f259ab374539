//! The operations of the Security Token Service, and the tokens it makes.

pub(crate) mod assume_role;
pub(crate) mod assume_root;
pub(crate) mod authorization_message;
pub(crate) mod caller;
pub(crate) mod federation_token;
pub(crate) mod issuers;
pub(crate) mod role_session;
pub(crate) mod saml;
pub(crate) mod session_policy;
pub(crate) mod session_token;
pub(crate) mod token;
mod vouched;
pub(crate) mod web_identity;
pub(crate) mod web_identity_token;
