//! A certificate of our own, for a server that asks for one.

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// A certificate, those that lead to its authority, and its private key.
#[derive(Clone)]
pub struct Shown(Arc<SingleCertAndKey>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl Shown {
    /// This certificate first, with its key.
    ///
    /// # Errors
    ///
    /// If there is none, or the key is not the certificate's, or of a kind that is
    /// not known.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Shown, rustls::Error> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key.clone_key())?;
        let certified = CertifiedKey::new(certificates, key);
        certified.keys_match()?;
        Ok(Shown(Arc::new(SingleCertAndKey::from(certified))))
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::clone(&self.0) as Arc<dyn ResolvesClientCert>
    }
}
