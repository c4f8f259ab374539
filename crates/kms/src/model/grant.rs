//! Grants: permission to use one key, given to one principal by whoever may.
//!
//! A grant allows and never denies. It counts beside the key's policy, for its
//! grantee alone, for the operations and under the constraints that it names.
//! Users and roles are bound to their unique ids when the grant is made, so a
//! recreated namesake inherits nothing.
//!
//! Absent by design: a delay before a grant counts, or stops to. Its token is
//! therefore never needed, and only checked for being one of ours.

mod terms;

use std::fmt;

use crypto::Random;
use ground::{AccountId, Timestamp};
use policy::{Principal, Who};
use serde::{Deserialize, Serialize};
use store::TextKey;

pub use terms::{Terms, Wish};

/// The id of a grant: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantId(String);

impl GrantId {
    /// A fresh id.
    pub fn generate(random: &Random) -> GrantId {
        GrantId(hex::encode(random.bytes::<32>()))
    }

    /// Reads an id; `None` for anything but 64 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<GrantId> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(is_digit)).then(|| GrantId(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for GrantId {
    type Error = String;

    fn try_from(text: String) -> Result<GrantId, String> {
        GrantId::parse(&text).ok_or_else(|| "not a grant id".to_owned())
    }
}

impl From<GrantId> for String {
    fn from(id: GrantId) -> String {
        id.0
    }
}

impl TextKey for GrantId {
    fn as_text(&self) -> &str {
        &self.0
    }

    fn from_text(text: &str) -> Option<GrantId> {
        GrantId::parse(text)
    }
}

/// A grant on a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// When it was made.
    pub created: Timestamp,
    /// The account that made it.
    pub issuer: AccountId,
    /// What its maker calls it, to be able to try again.
    pub name: Option<String>,
    /// Who may use the key by it.
    pub grantee: Party,
    /// Who else may retire it.
    pub retirer: Option<Party>,
    /// What it allows.
    pub terms: Terms,
}

/// Who a grant is for, or who may retire it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Party {
    /// A user, a role, a session or an account.
    Principal {
        /// As the maker of the grant named it.
        arn: String,
        /// Its unique form; see [`Party::holder`].
        holder: String,
        /// Its account.
        account: AccountId,
    },
    /// A service that acts for itself.
    Service {
        /// `x.amazonaws.com`
        name: String,
    },
}

impl Party {
    /// What tells the party from every other, today and later: the unique id
    /// of a user or role, `id:session` of a session of a role, `account:name`
    /// of a federated user, the account number of an account, the name of a
    /// service. It is what `aws:userid` says of such a caller.
    pub fn holder(&self) -> &str {
        match self {
            Party::Principal { holder, .. } => holder,
            Party::Service { name } => name,
        }
    }

    /// Whether the caller is this party.
    pub fn is(&self, caller: &Principal) -> bool {
        own_holders(caller).iter().any(|holder| holder == self.holder())
    }
}

/// What a caller is called as a party, without what its account may stand for.
fn own_holders(caller: &Principal) -> Vec<String> {
    match caller.who() {
        Who::Root | Who::FederatedUser { .. } => vec![caller.user_id().to_owned()],
        Who::User { id, .. } => vec![id.clone()],
        Who::AssumedRole { role_id, .. } => vec![role_id.clone(), caller.user_id().to_owned()],
        Who::Service { name } => vec![name.clone()],
        _ => Vec::new(),
    }
}

/// Whose grants serve a caller of a key that `owner` owns. An account stands
/// for everyone in it whom its own policies let, but where the key is its own:
/// there its key policy says so, and the grant is its root user's.
pub fn holders(caller: &Principal, owner: AccountId) -> Vec<String> {
    let mut holders = own_holders(caller);
    if let Some(account) = caller.account().filter(|account| *account != owner) {
        let account = account.to_string();
        if !holders.contains(&account) {
            holders.push(account);
        }
    }
    holders
}
