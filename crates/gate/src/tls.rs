//! The certificate that the listener shows, replaceable while it listens.
//!
//! Absent by design: files. Whoever owns the configuration reads them and
//! calls [`Tls::replace`] when they change.

use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// The certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text holds no certificate, or a broken one.
    #[error("the certificate file holds no usable certificate: {0}")]
    Certificate(String),
    /// The PEM text holds no private key, or a broken one.
    #[error("the key file holds no usable private key: {0}")]
    Key(String),
    /// The key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// A self-signed certificate could not be made.
    #[error("no certificate could be made")]
    Own(#[from] rcgen::Error),
}

/// A certificate chain and its key, as PEM text.
pub struct Identity {
    /// The chain, the server's own certificate first.
    pub certificate_pem: String,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key_pem: ground::Secret<String>,
}

impl Identity {
    /// A new self-signed certificate for these names and addresses.
    ///
    /// # Errors
    ///
    /// [`TlsError::Own`] if a name is not one.
    pub fn own(names: Vec<String>) -> Result<Identity, TlsError> {
        let made = rcgen::generate_simple_self_signed(names)?;
        Ok(Identity {
            certificate_pem: made.cert.pem(),
            key_pem: ground::Secret::new(made.signing_key.serialize_pem()),
        })
    }

    /// The names a self-signed certificate for a listener at `address` should have.
    pub fn names_for(address: IpAddr) -> Vec<String> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !address.is_unspecified() && !names.contains(&address.to_string()) {
            names.push(address.to_string());
        }
        names
    }

    fn certified(&self) -> Result<CertifiedKey, TlsError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|error| TlsError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::Certificate("no CERTIFICATE block".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.expose().as_bytes())
            .map_err(|error| TlsError::Key(error.to_string()))?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|error| TlsError::Key(error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch),
            Err(error) => Err(TlsError::Certificate(error.to_string())),
        }
    }
}

/// What the listener shows to clients that speak TLS.
#[derive(Clone)]
pub struct Tls {
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Shows `identity`; TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if it cannot be used.
    pub fn new(identity: &Identity) -> Result<Tls, TlsError> {
        let shown = Arc::new(Shown(RwLock::new(Arc::new(identity.certified()?))));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Certificate(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls {
            shown,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Shows another certificate from the next connection on. A broken one
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if it cannot be used.
    pub fn replace(&self, identity: &Identity) -> Result<(), TlsError> {
        let certified = Arc::new(identity.certified()?);
        *self
            .shown
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = certified;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_certificate_is_refused_and_changes_nothing() {
        let own = Identity::own(vec!["localhost".into()]).unwrap();
        let other = Identity::own(vec!["localhost".into()]).unwrap();
        let tls = Tls::new(&own).unwrap();
        let mixed = Identity {
            certificate_pem: own.certificate_pem.clone(),
            key_pem: other.key_pem.duplicate(),
        };
        assert!(matches!(tls.replace(&mixed), Err(TlsError::Mismatch)));
        assert!(tls.replace(&other).is_ok());
        let empty = Identity {
            certificate_pem: String::new(),
            key_pem: other.key_pem,
        };
        assert!(matches!(tls.replace(&empty), Err(TlsError::Certificate(_))));
    }
}
