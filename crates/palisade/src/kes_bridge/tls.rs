//! Mutual TLS: every client shows a certificate and proves that it holds its
//! private key. The public key is who it is.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::settings::TlsSettings;
use crate::files;

/// What TLS shows and demands.
///
/// # Errors
///
/// If certificate, key or authorities cannot be used.
pub(super) fn acceptor(settings: &TlsSettings) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates(&settings.certificate)?;
    let key = files::read_secret(&settings.key)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose())
        .with_context(|| format!("{} holds no private key", settings.key.display()))?;
    let clients: Arc<dyn ClientCertVerifier> = match &settings.client_authorities {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?
        }
        None => Arc::new(AnyCertificate(Arc::clone(&provider))),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .context("the TLS certificate and its key cannot be used")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = files::read_text(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} holds a broken certificate", path.display()))?;
    if found.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(found)
}

/// Who a certificate belongs to: SHA-256 of its public key (the DER of
/// `SubjectPublicKeyInfo`), as KES has it; `None` if it is none.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let digest = crypto::sha256(&[parsed.tbs_certificate.subject_pki.raw]);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The identity of the first certificate of a PEM text.
pub(crate) fn identity_of_pem(pem: &str) -> Option<String> {
    let certificate = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    identity(&certificate)
}

/// Takes every certificate that is valid now, whoever signed it: what counts is
/// its key, whose possession the handshake proves.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = |reason| Err(Error::InvalidCertificate(reason));
        let Ok((_, parsed)) = X509Certificate::from_der(end_entity) else {
            return refused(CertificateError::BadEncoding);
        };
        let now = Duration::from_secs(now.as_secs()).as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if now < validity.not_before.timestamp() {
            return refused(CertificateError::NotValidYet);
        }
        if now > validity.not_after.timestamp() {
            return refused(CertificateError::Expired);
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
