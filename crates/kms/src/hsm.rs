//! Clusters of hardware security modules, in which the keys of an AWS CloudHSM
//! key store live.
//!
//! KMS says here what it asks of a cluster; who runs the program gives it
//! clusters that can do so ([`crate::Options::hsm_clusters`]). A key is made in
//! the cluster under a label and never leaves it: every use is a call. Calls
//! go to foreign machines, so each may wait, is bounded in time, and may fail;
//! none belongs inside a write.
//!
//! A cluster keeps no password. It stays logged in until [`Cluster::log_out`],
//! or until the connection or this program breaks; then calls fail with
//! [`KeyError::LoggedOut`], and who has the password logs in and asks again.
//!
//! Absent by design: listing a cluster's keys, and keys of any other kind than
//! AES-256 (AWS has no others in a CloudHSM key store).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ground::{AccountId, Region, Secret};
use kms_api::ConnectionErrorCodeType;

/// What a cluster answers when it has.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Most bytes that are encrypted in one call: what `Encrypt` takes, too.
pub const PLAINTEXT_BYTES_MAX: usize = 4_096;

/// Bytes by which a ciphertext is longer than its plaintext: vector and tag.
pub const OVERHEAD_BYTES: usize = 12 + 16;

/// Most bytes of associated data: an encryption context of the greatest length
/// with its counts, and what KMS binds beside it.
pub const ASSOCIATED_BYTES_MAX: usize = 32 * 1_024;

/// Most bytes of a label.
pub const LABEL_BYTES_MAX: usize = 128;

/// Most random bytes in one call: what `GenerateRandom` gives.
pub const RANDOM_BYTES_MAX: usize = 1_024;

/// The clusters there are.
pub trait Clusters: fmt::Debug + Send + Sync {
    /// The cluster of this id, if this account has one of it in this region.
    /// What another account has does not exist.
    fn cluster(&self, account: AccountId, region: &Region, id: &str) -> Option<Arc<dyn Cluster>>;
}

/// One cluster. All who hold it share its login.
pub trait Cluster: fmt::Debug + Send + Sync {
    /// Whether this text, PEM, is the certificate by which the cluster is known
    /// (`customerCA.crt`).
    fn is_trust_anchor(&self, pem: &str) -> bool;

    /// Whether the cluster is active: it answers, and has a module to work with.
    fn is_active(&self) -> Answer<'_, bool>;

    /// Logs `kmsuser` in. Who is logged in with this password already stays so;
    /// with another password he is logged out first, whatever comes of it.
    ///
    /// # Errors
    ///
    /// [`LoginError`]. A wrong password counts against the user: clusters lock
    /// him out after a few, so a login is never repeated by itself.
    fn log_in<'a>(&'a self, password: &'a Secret<String>) -> Answer<'a, Result<(), LoginError>>;

    /// Whether `kmsuser` is to get another password whenever a store connects.
    fn rotates_password(&self) -> bool;

    /// Gives `kmsuser`, who is logged in by `from`, another password. He stays
    /// logged in.
    ///
    /// # Errors
    ///
    /// [`LoginError`]. After [`LoginError::Network`] he has one or the other.
    fn change_password<'a>(
        &'a self,
        from: &'a Secret<String>,
        to: &'a Secret<String>,
    ) -> Answer<'a, Result<(), LoginError>>;

    /// Logs `kmsuser` out. Calls under way may fail with [`KeyError::LoggedOut`].
    /// Who is not logged in, or cannot be reached, is logged out.
    fn log_out(&self) -> Answer<'_, ()>;

    /// Makes an AES-256 key under this label: sensitive, never extractable.
    ///
    /// # Errors
    ///
    /// [`KeyError`], [`KeyError::Exists`] if the label is taken.
    fn make_key<'a>(&'a self, label: &'a str) -> Answer<'a, Result<(), KeyError>>;

    /// Deletes the key of this label, for good. After [`KeyError::Unreachable`]
    /// it may be there or not; asking again is safe.
    ///
    /// # Errors
    ///
    /// [`KeyError`], [`KeyError::NoSuchKey`] if it is gone already.
    fn delete_key<'a>(&'a self, label: &'a str) -> Answer<'a, Result<(), KeyError>>;

    /// Encrypts by AES-256-GCM under a fresh random vector: gives vector (12
    /// bytes), ciphertext and tag (16). The vector is the cluster's or the
    /// program's and is 96 random bits, so one key serves 2^32 messages
    /// (NIST SP 800-38D, 8.3), which nobody counts.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; nothing was encrypted, or what was is lost.
    fn encrypt<'a>(
        &'a self,
        label: &'a str,
        associated: &'a [u8],
        plaintext: &'a [u8],
    ) -> Answer<'a, Result<Vec<u8>, KeyError>>;

    /// Decrypts what [`Cluster::encrypt`] made, if it was made with this key and
    /// this associated data.
    ///
    /// # Errors
    ///
    /// [`KeyError`], [`KeyError::Forged`] if it was not.
    fn decrypt<'a>(
        &'a self,
        label: &'a str,
        associated: &'a [u8],
        ciphertext: &'a [u8],
    ) -> Answer<'a, Result<Secret<Vec<u8>>, KeyError>>;

    /// Random bytes from the cluster, 1 to [`RANDOM_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    fn random(&self, bytes: usize) -> Answer<'_, Result<Secret<Vec<u8>>, KeyError>>;
}

/// Why `kmsuser` was not logged in. Messages hold no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Nobody knows the cluster any more.
    #[error("there is no such cluster")]
    ClusterNotFound,
    /// The cluster has no module to work with.
    #[error("the cluster has no active module: {0}")]
    InsufficientHsms(String),
    /// Something else failed.
    #[error("the cluster failed: {0}")]
    Internal(String),
    /// The password is wrong.
    #[error("the password is not that of kmsuser")]
    InvalidCredentials,
    /// The cluster did not answer, or not in time.
    #[error("the cluster cannot be reached: {0}")]
    Network(String),
    /// Too many wrong passwords.
    #[error("kmsuser is locked out")]
    UserLockedOut,
    /// Somebody else is logged in as `kmsuser`.
    #[error("kmsuser is logged in already")]
    UserLoggedIn,
    /// There is no `kmsuser`, or he has no password yet.
    #[error("the cluster has no user kmsuser")]
    UserNotFound,
}

impl LoginError {
    /// What `DescribeCustomKeyStores` calls it.
    ///
    /// Source: KMS API Reference, CustomKeyStoresListEntry, `ConnectionErrorCode`.
    #[must_use]
    pub fn connection_error_code(&self) -> ConnectionErrorCodeType {
        match self {
            LoginError::ClusterNotFound => ConnectionErrorCodeType::ClusterNotFound,
            LoginError::InsufficientHsms(_) => ConnectionErrorCodeType::InsufficientCloudhsmHsms,
            LoginError::Internal(_) => ConnectionErrorCodeType::InternalError,
            LoginError::InvalidCredentials => ConnectionErrorCodeType::InvalidCredentials,
            LoginError::Network(_) => ConnectionErrorCodeType::NetworkErrors,
            LoginError::UserLockedOut => ConnectionErrorCodeType::UserLockedOut,
            LoginError::UserLoggedIn => ConnectionErrorCodeType::UserLoggedIn,
            LoginError::UserNotFound => ConnectionErrorCodeType::UserNotFound,
        }
    }
}

/// Why a cluster did not do what was asked of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is a key of this label.
    #[error("the cluster has a key of this label already")]
    Exists,
    /// The ciphertext is not what this key made with this associated data.
    #[error("the ciphertext was not made by this key for this purpose")]
    Forged,
    /// Nobody is logged in: log in and ask again.
    #[error("kmsuser is not logged in")]
    LoggedOut,
    /// There is no key of this label.
    #[error("the cluster has no such key")]
    NoSuchKey,
    /// The cluster will not, now or ever: it says why.
    #[error("the cluster refuses: {0}")]
    Refused(String),
    /// The cluster did not answer, broke down meanwhile, or has too much to do.
    #[error("the cluster cannot be reached: {0}")]
    Unreachable(String),
}
