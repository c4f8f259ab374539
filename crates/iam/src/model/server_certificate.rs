//! Server certificates, as they are kept.

use ground::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{Tags, arn};

/// A certificate of a server, with those that lead from it, and its private key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerCertificate {
    /// `ASCA…`
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) uploaded: Timestamp,
    /// Until when the certificate is good.
    pub(crate) expires: Timestamp,
    /// As uploaded, without white space around.
    pub(crate) body: String,
    /// The same.
    pub(crate) chain: Option<String>,
    /// The private key in PEM, sealed under the account's key and bound to the id; base64.
    pub(crate) sealed_key: String,
    pub(crate) tags: Tags,
}

impl ServerCertificate {
    /// `arn:aws:iam::A:server-certificate/PATH/NAME`
    pub(crate) fn arn(&self, account: AccountId) -> String {
        arn(account, "server-certificate", &self.path, &self.name)
    }
}
