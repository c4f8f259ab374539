//! Mutual TLS: every client shows a certificate and proves that it holds its
//! private key. The public key is who it is.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::settings::TlsSettings;
use crate::certificate::{AnyCertificate, certificates, private_key};

/// What TLS shows and demands.
///
/// # Errors
///
/// If certificate, key or authorities cannot be used.
pub(super) fn acceptor(settings: &TlsSettings) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates(&settings.certificate)?;
    let key = private_key(&settings.key)?;
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
