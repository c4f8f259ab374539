//! A custom key store: where keys live that are not kept here, and how their
//! place is reached.
//!
//! Invariants: the secret by which the place is reached is never stored in
//! clear, and opens only as that of the store and of the name it goes with; a
//! store is of one kind for ever.
//!
//! Absent by design: VPC endpoint services. There are no VPCs here, so none is
//! ever found.

mod secret;

use std::fmt;

use crypto::Random;
use crypto::hierarchy::DomainKey;
use ground::{AccountId, Region, Timestamp};
use kms_api::{ConnectionErrorCodeType, ConnectionStateType, CustomKeyStoreType};
use serde::{Deserialize, Serialize};
use store::TextKey;

use crate::error::Error;

use secret::CREDENTIAL;
pub use secret::{Credential, SealedSecret};

/// The id of a custom key store: `cks-` and 17 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreId(String);

/// What ids begin with, and how many digits follow. Source: KMS API Reference,
/// `CreateCustomKeyStore`, examples.
const PREFIX: &str = "cks-";
const DIGITS: usize = 17;

impl StoreId {
    /// A fresh id.
    pub fn generate(random: &Random) -> StoreId {
        let digits = hex::encode(random.bytes::<16>());
        StoreId(format!("{PREFIX}{}", digits.get(..DIGITS).unwrap_or(&digits)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StoreId {
    type Error = String;

    fn try_from(text: String) -> Result<StoreId, String> {
        StoreId::from_text(&text).ok_or_else(|| "not the id of a custom key store".to_owned())
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> String {
        id.0
    }
}

impl TextKey for StoreId {
    fn as_text(&self) -> &str {
        &self.0
    }

    fn from_text(text: &str) -> Option<StoreId> {
        let digits = text.strip_prefix(PREFIX)?;
        let fits = digits.len() == DIGITS
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| StoreId(text.to_owned()))
    }
}

/// A custom key store. No `Debug`: its row holds a sealed secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct CustomKeyStore {
    /// Its id.
    pub id: StoreId,
    /// The owner.
    pub account: AccountId,
    /// Where it is.
    pub region: Region,
    /// How its owner calls it; unique in account and region.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Where its keys live.
    pub place: Place,
    /// Whether it is connected to that place.
    pub connection: Connection,
}

/// Where the keys of a store live.
#[derive(Clone, Serialize, Deserialize)]
pub enum Place {
    /// In a cluster of hardware security modules.
    Cluster(ClusterPlace),
    /// Behind an external key store proxy.
    Proxy(ProxyPlace),
}

/// A cluster, and who logs in there.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClusterPlace {
    /// The id of the cluster.
    pub cluster: String,
    /// The certificate by which it is known, PEM.
    pub trust_anchor: String,
    /// The password of `kmsuser`.
    pub password: SealedSecret,
    /// The one that he was about to get when this was written, and may have.
    /// Bound as the other, so that it takes its place as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_password: Option<SealedSecret>,
}

/// An external key store proxy, and who signs there.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProxyPlace {
    /// `https://xks.example.com`
    pub endpoint: String,
    /// `/example/kms/xks/v1`
    pub path: String,
    /// The credential that the proxy knows, as [`Credential`] spells it.
    pub credential: SealedSecret,
}

impl ProxyPlace {
    /// Opens the credential.
    ///
    /// # Errors
    ///
    /// [`crypto::Error::BadCiphertext`] if the row was changed or belongs to
    /// another store.
    pub fn credential(&self, domain: &DomainKey, store: &StoreId) -> Result<Credential, crypto::Error> {
        Credential::open(&self.credential, domain, store)
    }

    /// Endpoint and path as one address.
    pub fn url(&self) -> String {
        format!("{}{}", self.endpoint, self.path)
    }
}

/// Whether a store is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Connection {
    /// It is.
    Connected,
    /// It will be, or fail to be.
    Connecting {
        /// The id of the request that asked for it.
        request: String,
        /// How often that was begun. More than once only if nobody was there any
        /// more to say what came of it.
        #[serde(default)]
        tries: u32,
    },
    /// It is not, as its owner wants.
    Disconnected,
    /// It will not be much longer.
    Disconnecting,
    /// It could not be.
    Failed {
        /// AWS's name of the reason.
        code: String,
    },
}

impl Connection {
    /// As `DescribeCustomKeyStores` calls it.
    pub fn state(&self) -> ConnectionStateType {
        match self {
            Connection::Connected => ConnectionStateType::Connected,
            Connection::Connecting { .. } => ConnectionStateType::Connecting,
            Connection::Disconnected => ConnectionStateType::Disconnected,
            Connection::Disconnecting => ConnectionStateType::Disconnecting,
            Connection::Failed { .. } => ConnectionStateType::Failed,
        }
    }

    /// Why it could not be connected, if it could not.
    pub fn error_code(&self) -> Option<ConnectionErrorCodeType> {
        match self {
            Connection::Failed { code } => ConnectionErrorCodeType::parse(code),
            Connection::Connected
            | Connection::Connecting { .. }
            | Connection::Disconnected
            | Connection::Disconnecting => None,
        }
    }

    /// Whether something is to be done about it.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Connection::Connecting { .. } | Connection::Disconnecting)
    }
}

impl CustomKeyStore {
    /// Its kind.
    pub fn kind(&self) -> CustomKeyStoreType {
        match self.place {
            Place::Cluster(_) => CustomKeyStoreType::AwsCloudhsm,
            Place::Proxy(_) => CustomKeyStoreType::ExternalKeyStore,
        }
    }

    /// Whether its keys can be used.
    pub fn is_connected(&self) -> bool {
        self.connection == Connection::Connected
    }

    /// Begins to connect it. One that is connected stays so, one that is being
    /// connected begins anew.
    ///
    /// # Errors
    ///
    /// [`Error::StoreState`] of one that failed, which must be disconnected
    /// first, or is being disconnected.
    ///
    /// Source: KMS API Reference, `CustomKeyStoreInvalidStateException`.
    pub fn connect(&mut self, request: &str) -> Result<(), Error> {
        match self.connection {
            Connection::Connected => Ok(()),
            Connection::Connecting { .. } | Connection::Disconnected => {
                self.connection = Connection::Connecting {
                    request: request.to_owned(),
                    tries: 0,
                };
                Ok(())
            }
            Connection::Disconnecting | Connection::Failed { .. } => Err(self.state_error()),
        }
    }

    /// Begins to disconnect it.
    ///
    /// # Errors
    ///
    /// [`Error::StoreState`] of one that is disconnected, or becomes so.
    ///
    /// Source: as [`CustomKeyStore::connect`].
    pub fn disconnect(&mut self) -> Result<(), Error> {
        match self.connection {
            Connection::Connected | Connection::Connecting { .. } | Connection::Failed { .. } => {
                self.connection = Connection::Disconnecting;
                Ok(())
            }
            Connection::Disconnected | Connection::Disconnecting => Err(self.state_error()),
        }
    }

    /// Whether it is disconnected, as most changes and its deletion want it.
    ///
    /// # Errors
    ///
    /// [`Error::StoreState`] if not.
    pub fn check_disconnected(&self) -> Result<(), Error> {
        match self.connection {
            Connection::Disconnected => Ok(()),
            Connection::Connected
            | Connection::Connecting { .. }
            | Connection::Disconnecting
            | Connection::Failed { .. } => Err(self.state_error()),
        }
    }

    /// Whether it stays as it is unless its owner acts, as name, path and
    /// credential may be changed.
    ///
    /// # Errors
    ///
    /// [`Error::StoreState`] if not.
    ///
    /// Source: KMS API Reference, `UpdateCustomKeyStore`.
    pub fn check_connected_or_disconnected(&self) -> Result<(), Error> {
        match self.connection {
            Connection::Connected | Connection::Disconnected => Ok(()),
            Connection::Connecting { .. } | Connection::Disconnecting | Connection::Failed { .. } => {
                Err(self.state_error())
            }
        }
    }

    /// Whether keys can be made and random bytes drawn in it.
    ///
    /// # Errors
    ///
    /// [`Error::StoreState`] if not.
    pub fn check_connected(&self) -> Result<(), Error> {
        if self.is_connected() {
            return Ok(());
        }
        Err(self.state_error())
    }

    /// The same with its secrets under the current root key; `None` if it is already.
    ///
    /// # Errors
    ///
    /// As [`SealedSecret::open`].
    pub fn resealed(
        &self,
        domain: &DomainKey,
        random: &Random,
    ) -> Result<Option<CustomKeyStore>, crypto::Error> {
        let mut fresh = self.clone();
        let (secrets, name) = match &mut fresh.place {
            Place::Cluster(place) => (
                [Some(&mut place.password), place.next_password.as_mut()],
                place.cluster.as_str(),
            ),
            Place::Proxy(place) => ([Some(&mut place.credential), None], CREDENTIAL),
        };
        let mut changed = false;
        for secret in secrets.into_iter().flatten() {
            if let Some(resealed) = secret.resealed(domain, &self.id, name, random)? {
                *secret = resealed;
                changed = true;
            }
        }
        Ok(changed.then_some(fresh))
    }

    fn state_error(&self) -> Error {
        Error::StoreState {
            id: self.id.clone(),
            state: self.connection.state().as_str(),
        }
    }
}

/// Where a key is that lives in a custom key store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// The store.
    pub store: StoreId,
    /// The id of the external key, if the store is an external one. In a
    /// cluster a key is found by the id of the KMS key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use ground::Secret;

    use super::secret::tests::domain;
    use super::*;

    /// A store of either kind.
    pub(crate) fn store_at(place: Place) -> CustomKeyStore {
        CustomKeyStore {
            id: StoreId::generate(&Random::seeded(1)),
            account: AccountId::parse("111122223333").unwrap(),
            region: Region::us_east_1(),
            name: "store".to_owned(),
            created: Timestamp(0),
            place,
            connection: Connection::Disconnected,
        }
    }

    #[test]
    fn ids_are_told_from_anything_else() {
        let id = StoreId::generate(&Random::seeded(1));
        assert_eq!(StoreId::from_text(id.as_str()), Some(id));
        for wrong in [
            "",
            "cks-",
            "cks-1234567890abcdef",
            "cks-1234567890ABCDEF0",
            "ckx-1234567890abcdef0",
        ] {
            assert_eq!(StoreId::from_text(wrong), None, "{wrong}");
        }
    }

    /// The published conditions of `CustomKeyStoreInvalidStateException`, state by state.
    #[test]
    fn what_each_state_admits() {
        let failed = Connection::Failed {
            code: "INTERNAL_ERROR".to_owned(),
        };
        let connecting = Connection::Connecting {
            request: String::new(),
            tries: 0,
        };
        #[rustfmt::skip]
        let table = [
            // State, connect, disconnect, change and delete, rename, make keys.
            (Connection::Connected,     [true,  true,  false, true,  true]),
            (connecting,                [true,  true,  false, false, false]),
            (Connection::Disconnected,  [true,  false, true,  true,  false]),
            (Connection::Disconnecting, [false, false, false, false, false]),
            (failed,                    [false, true,  false, false, false]),
        ];
        let random = Random::seeded(1);
        let secret = Secret::new("secret".to_owned());
        let id = StoreId::generate(&random);
        let sealed = SealedSecret::seal(&domain("111122223333"), &id, "A", &secret, &random).unwrap();
        for (connection, expected) in table {
            let mut store = store_at(Place::Proxy(ProxyPlace {
                endpoint: "https://xks.example.com".to_owned(),
                path: "/kms/xks/v1".to_owned(),
                credential: sealed.clone(),
            }));
            store.connection = connection.clone();
            let told = [
                store.clone().connect("id").is_ok(),
                store.clone().disconnect().is_ok(),
                store.check_disconnected().is_ok(),
                store.check_connected_or_disconnected().is_ok(),
                store.check_connected().is_ok(),
            ];
            assert_eq!(told, expected, "{connection:?}");
        }
    }
}
