//! The keepers of keys in custom key stores: proxies and clusters, found for a
//! store and asked with its secret.
//!
//! Every call here leaves the process, is bounded in time, and stands in no
//! write. Handlers that make one write nothing (Encrypt, Decrypt and their kin),
//! or make it before they write and bear to be run again (CreateKey, and those
//! that make and change stores): each says so.
//!
//! A cluster may have logged `kmsuser` out since the store was connected, or this
//! process may be another: then he is logged in again and the call repeated, once.
//! A password that the cluster has refused is not tried again until it is changed,
//! because clusters lock users out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crypto::hierarchy::DomainKey;
use ground::Secret;
use kms_api::ConnectionErrorCodeType;

use crate::error::Error;
use crate::hsm::{Cluster, Clusters, KeyError, LoginError};
use crate::limits::REFUSED_PASSWORDS_MAX;
use crate::model::custom_key_store::{ClusterPlace, ProxyPlace, SealedSecret};
use crate::model::stored_ciphertext::ExternallySealed;
use crate::model::{CustomKeyStore, Place};
use crate::xks::{Doing, Failure, Proxies, Proxy, RequestMetadata};

/// The way to proxies and clusters.
#[derive(Debug, Default)]
pub(crate) struct Custodians {
    /// `None` if no proxy can be reached.
    pub(crate) proxies: Option<Arc<Proxies>>,
    /// `None` if there are none.
    pub(crate) clusters: Option<Arc<dyn Clusters>>,
    /// Sealed passwords that a cluster has refused.
    refused: Mutex<HashSet<String>>,
}

/// What is asked of a cluster.
enum Asked<'a> {
    Encrypt(&'a [u8], &'a [u8]),
    Decrypt(&'a [u8], &'a [u8]),
    DeleteKey,
    MakeKey,
    Random(usize),
}

impl Custodians {
    pub(crate) fn new(proxies: Option<Arc<Proxies>>, clusters: Option<Arc<dyn Clusters>>) -> Custodians {
        Custodians {
            proxies,
            clusters,
            refused: Mutex::default(),
        }
    }

    /// The cluster of this id that the owner of a store has, or will have.
    ///
    /// # Errors
    ///
    /// [`Error::ClusterNotFound`].
    pub(crate) fn cluster(
        &self,
        account: ground::AccountId,
        region: &ground::Region,
        id: &str,
    ) -> Result<Arc<dyn Cluster>, Error> {
        let clusters = self.clusters.as_ref();
        let found = clusters.and_then(|clusters| clusters.cluster(account, region, id));
        found.ok_or_else(|| Error::ClusterNotFound(id.to_owned()))
    }

    /// A proxy with the credential that its store has sealed.
    fn proxy<'a>(
        &'a self,
        store: &'a CustomKeyStore,
        place: &'a ProxyPlace,
        domain: &DomainKey,
        doing: Doing,
    ) -> Result<Proxy<'a>, Error> {
        let credential = place.credential(domain, &store.id).map_err(Error::Crypto)?;
        let proxies = self.proxies.as_ref().ok_or(Error::Proxy {
            doing,
            failure: Failure::NoConnection,
        })?;
        Ok(proxies.at(place, credential, &store.region))
    }

    /// Whether the proxy of a store is there, knows the credential and reaches
    /// its key manager.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`].
    pub(crate) async fn check_proxy(
        &self,
        store: &CustomKeyStore,
        place: &ProxyPlace,
        domain: &DomainKey,
        metadata: &RequestMetadata,
    ) -> Result<(), Error> {
        let doing = Doing::ManagingStore;
        let proxy = self.proxy(store, place, domain, doing)?;
        let checked = proxy.check_health(metadata).await;
        checked.map_err(|failure| Error::Proxy { doing, failure })
    }

    /// Whether a KMS key may rest on an external key.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`].
    pub(crate) async fn check_external_key(
        &self,
        store: &CustomKeyStore,
        place: &ProxyPlace,
        domain: &DomainKey,
        external_key: &str,
        metadata: &RequestMetadata,
    ) -> Result<(), Error> {
        let doing = Doing::CreatingKey;
        let proxy = self.proxy(store, place, domain, doing)?;
        let known = proxy.key_metadata(external_key, metadata).await;
        known
            .and_then(|known| known.check())
            .map_err(|failure| Error::Proxy { doing, failure })
    }

    /// Encrypts under an external key.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`].
    pub(crate) async fn encrypt_externally(
        &self,
        (store, place): (&CustomKeyStore, &ProxyPlace),
        domain: &DomainKey,
        external_key: &str,
        metadata: &RequestMetadata,
        (associated, plaintext): (&[u8], &[u8]),
    ) -> Result<ExternallySealed, Error> {
        let doing = Doing::Using;
        let proxy = self.proxy(store, place, domain, doing)?;
        let sealed = proxy.encrypt(external_key, metadata, associated, plaintext).await;
        sealed.map_err(|failure| Error::Proxy { doing, failure })
    }

    /// Decrypts under an external key.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`].
    pub(crate) async fn decrypt_externally(
        &self,
        (store, place): (&CustomKeyStore, &ProxyPlace),
        domain: &DomainKey,
        external_key: &str,
        metadata: &RequestMetadata,
        (associated, sealed): (&[u8], &ExternallySealed),
    ) -> Result<Vec<u8>, Error> {
        let doing = Doing::Using;
        let proxy = self.proxy(store, place, domain, doing)?;
        let opened = proxy.decrypt(external_key, metadata, associated, sealed).await;
        opened.map_err(|failure| Error::Proxy { doing, failure })
    }

    /// Encrypts under a key in a cluster.
    ///
    /// # Errors
    ///
    /// [`Error::Cluster`].
    pub(crate) async fn encrypt_in_cluster(
        &self,
        store: &CustomKeyStore,
        domain: &DomainKey,
        label: &str,
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let asked = Asked::Encrypt(associated, plaintext);
        let answer = self.ask(store, domain, label, asked).await;
        Ok(answer
            .map_err(|error| told(&error, Doing::Using))?
            .expose()
            .clone())
    }

    /// Decrypts under a key in a cluster.
    ///
    /// # Errors
    ///
    /// [`Error::Cluster`], [`Error::InvalidCiphertext`].
    pub(crate) async fn decrypt_in_cluster(
        &self,
        store: &CustomKeyStore,
        domain: &DomainKey,
        label: &str,
        associated: &[u8],
        ciphertext: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let asked = Asked::Decrypt(associated, ciphertext);
        match self.ask(store, domain, label, asked).await {
            Err(AskError::Key(KeyError::Forged)) => Err(Error::InvalidCiphertext),
            answer => answer.map_err(|error| told(&error, Doing::Using)),
        }
    }

    /// Makes a key in a cluster.
    ///
    /// # Errors
    ///
    /// [`Error::Cluster`].
    pub(crate) async fn make_in_cluster(
        &self,
        store: &CustomKeyStore,
        domain: &DomainKey,
        label: &str,
    ) -> Result<(), Error> {
        let made = self.ask(store, domain, label, Asked::MakeKey).await;
        made.map(drop).map_err(|error| told(&error, Doing::CreatingKey))
    }

    /// Deletes a key in the cluster of a store as well as it can: what cannot be
    /// deleted, because the store is not connected or the cluster fails, is
    /// logged, and left to the owner of the cluster, as on AWS.
    pub(crate) async fn delete_in_cluster(&self, store: &CustomKeyStore, domain: &DomainKey, label: &str) {
        let Place::Cluster(place) = &store.place else {
            return;
        };
        let deleted = if store.is_connected() {
            self.ask(store, domain, label, Asked::DeleteKey).await.map(drop)
        } else {
            Err(KeyError::LoggedOut.into())
        };
        match deleted {
            Ok(()) | Err(AskError::Key(KeyError::NoSuchKey)) => {}
            Err(error) => {
                tracing::warn!(cluster = place.cluster, label, %error, "a key stays in its cluster");
            }
        }
    }

    /// Random bytes from a cluster.
    ///
    /// # Errors
    ///
    /// [`Error::Cluster`].
    pub(crate) async fn random_of_cluster(
        &self,
        store: &CustomKeyStore,
        domain: &DomainKey,
        bytes: usize,
    ) -> Result<Secret<Vec<u8>>, Error> {
        let drawn = self.ask(store, domain, "", Asked::Random(bytes)).await;
        drawn.map_err(|error| told(&error, Doing::CreatingKey))
    }

    /// Logs into the cluster of a store, by its password or by the one that was to
    /// follow it. Gives the sealed one that is right.
    ///
    /// # Errors
    ///
    /// AWS's name of the reason.
    pub(crate) async fn log_in(
        &self,
        store: &CustomKeyStore,
        place: &ClusterPlace,
        domain: &DomainKey,
    ) -> Result<SealedSecret, ConnectionErrorCodeType> {
        let Ok(cluster) = self.cluster(store.account, &store.region, &place.cluster) else {
            return Err(ConnectionErrorCodeType::ClusterNotFound);
        };
        let mut told = ConnectionErrorCodeType::InternalError;
        for password in [Some(&place.password), place.next_password.as_ref()]
            .into_iter()
            .flatten()
        {
            // Its owner asks for another try.
            self.refused().remove(password.as_text());
            match self.log_in_with(&*cluster, store, place, password, domain).await {
                Ok(()) => return Ok(password.clone()),
                // Whoever was to get another password may have it.
                Err(AskError::Login(LoginError::InvalidCredentials)) => {
                    told = ConnectionErrorCodeType::InvalidCredentials;
                }
                Err(AskError::Login(error)) => return Err(error.connection_error_code()),
                Err(AskError::Crypto(_) | AskError::Key(_)) => {
                    return Err(ConnectionErrorCodeType::InternalError);
                }
            }
        }
        Err(told)
    }

    /// Whether the cluster of a store wants another password for `kmsuser` each time.
    pub(crate) fn rotates_password(&self, store: &CustomKeyStore, place: &ClusterPlace) -> bool {
        self.cluster(store.account, &store.region, &place.cluster)
            .is_ok_and(|cluster| cluster.rotates_password())
    }

    /// Gives `kmsuser`, who is logged in, the next password of a place.
    ///
    /// # Errors
    ///
    /// AWS's name of the reason. Then he has one or the other.
    pub(crate) async fn change_password(
        &self,
        store: &CustomKeyStore,
        place: &ClusterPlace,
        next: &SealedSecret,
        domain: &DomainKey,
    ) -> Result<(), ConnectionErrorCodeType> {
        let Ok(cluster) = self.cluster(store.account, &store.region, &place.cluster) else {
            return Err(ConnectionErrorCodeType::ClusterNotFound);
        };
        let open = |sealed: &SealedSecret| {
            sealed
                .open(domain, &store.id, &place.cluster)
                .map_err(|_| ConnectionErrorCodeType::InternalError)
        };
        let (from, to) = (open(&place.password)?, open(next)?);
        let changed = cluster.change_password(&from, &to).await;
        changed.map_err(|error| {
            tracing::warn!(cluster = place.cluster, %error, "the password of kmsuser cannot be changed");
            error.connection_error_code()
        })
    }

    /// Logs out of the cluster of a store, if it is one that can be reached.
    pub(crate) async fn log_out(&self, store: &CustomKeyStore) {
        if let Place::Cluster(place) = &store.place
            && let Ok(cluster) = self.cluster(store.account, &store.region, &place.cluster)
        {
            cluster.log_out().await;
        }
    }

    async fn log_in_with(
        &self,
        cluster: &dyn Cluster,
        store: &CustomKeyStore,
        place: &ClusterPlace,
        password: &SealedSecret,
        domain: &DomainKey,
    ) -> Result<(), AskError> {
        if self.refused().contains(password.as_text()) {
            return Err(LoginError::InvalidCredentials.into());
        }
        let opened = password.open(domain, &store.id, &place.cluster);
        let opened = opened.map_err(AskError::Crypto)?;
        let logged_in = cluster.log_in(&opened).await;
        if matches!(
            logged_in,
            Err(LoginError::InvalidCredentials | LoginError::UserLockedOut)
        ) {
            let mut refused = self.refused();
            if refused.len() >= REFUSED_PASSWORDS_MAX {
                refused.clear();
            }
            refused.insert(password.as_text().to_owned());
        }
        Ok(logged_in?)
    }

    /// Asks a cluster, and once more if nobody was logged in.
    async fn ask(
        &self,
        store: &CustomKeyStore,
        domain: &DomainKey,
        label: &str,
        asked: Asked<'_>,
    ) -> Result<Secret<Vec<u8>>, AskError> {
        let Place::Cluster(place) = &store.place else {
            return Err(KeyError::Unreachable("the store has no cluster".to_owned()).into());
        };
        let cluster = self.cluster(store.account, &store.region, &place.cluster);
        let cluster = cluster.map_err(|_| KeyError::Unreachable("there is no such cluster".to_owned()))?;
        match ask_once(&*cluster, label, &asked).await {
            Err(KeyError::LoggedOut) => {
                self.log_in_with(&*cluster, store, place, &place.password, domain)
                    .await?;
                Ok(ask_once(&*cluster, label, &asked).await?)
            }
            answer => Ok(answer?),
        }
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask_once(
    cluster: &dyn Cluster,
    label: &str,
    asked: &Asked<'_>,
) -> Result<Secret<Vec<u8>>, KeyError> {
    match asked {
        Asked::Encrypt(associated, plaintext) => {
            let sealed = cluster.encrypt(label, associated, plaintext).await;
            sealed.map(Secret::new)
        }
        Asked::Decrypt(associated, ciphertext) => cluster.decrypt(label, associated, ciphertext).await,
        Asked::DeleteKey => cluster.delete_key(label).await.map(|()| Secret::default()),
        Asked::MakeKey => cluster.make_key(label).await.map(|()| Secret::default()),
        Asked::Random(bytes) => cluster.random(*bytes).await,
    }
}

/// Why a cluster gave nothing.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Crypto(crypto::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// What the caller is told. The reason is for the operator: the log has it.
fn told(error: &AskError, doing: Doing) -> Error {
    tracing::warn!(%error, "a cluster of hardware security modules does not do as asked");
    Error::Cluster { doing }
}
