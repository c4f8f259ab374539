//! Which certificates are believed: those that a trusted authority vouches
//! for; and those that the caller pinned by their thumbprint, or that such a
//! one vouches for.
//!
//! A pinned certificate stands in for an unknown authority, and for nothing
//! else: name and time must be good all the same.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::Thumbprint;

/// The authorities that are trusted for everything.
pub(crate) struct Believed {
    provider: Arc<CryptoProvider>,
    /// `None` if there is none.
    trusted: Option<Arc<WebPkiServerVerifier>>,
}

impl Believed {
    pub(crate) fn new(authorities: Vec<CertificateDer<'static>>) -> Believed {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        // A machine's store may hold certificates that are no authority's.
        roots.add_parsable_certificates(authorities);
        Believed {
            trusted: verifier(roots, &provider),
            provider,
        }
    }

    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::clone(&self.provider)
    }

    /// Believes these certificates too.
    pub(crate) fn or_with(&self, thumbprints: &[Thumbprint]) -> OrPinned {
        OrPinned {
            provider: self.provider(),
            trusted: self.trusted.clone(),
            thumbprints: thumbprints.to_vec(),
        }
    }
}

fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .ok()
}

/// The verifier of one connection.
#[derive(Debug)]
pub(crate) struct OrPinned {
    provider: Arc<CryptoProvider>,
    trusted: Option<Arc<WebPkiServerVerifier>>,
    thumbprints: Vec<Thumbprint>,
}

impl OrPinned {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.thumbprints
            .contains(&crypto::foreign::sha1_name(&[certificate]))
    }
}

impl ServerCertVerifier for OrPinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let by_trusted = match &self.trusted {
            Some(trusted) => {
                trusted.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        let refused = match by_trusted {
            Ok(believed) => return Ok(believed),
            Err(refused) => refused,
        };
        let pinned = std::iter::once(end_entity)
            .chain(intermediates)
            .find(|certificate| self.is_pinned(certificate));
        let Some(pinned) = pinned else {
            return Err(refused);
        };
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        verifier(roots, &self.provider)
            .ok_or(refused)?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}
