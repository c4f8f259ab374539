//! TLS to the database.
//!
//! The server's certificate must come from the one authority the operator
//! named and bear the host's name; there is no mode that encrypts without
//! verifying.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::exchange::unavailable;
use crate::StoreError;

/// Makes TLS connections to servers of one certificate authority.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the certificates in the PEM file at `ca_file` and no others.
    pub(super) fn trusting(ca_file: &Path) -> Result<Tls, StoreError> {
        let bad = || unavailable(&format!("{} holds no certificate", ca_file.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|_| bad())? {
            roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
        }
        if roots.is_empty() {
            return Err(bad());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(StoreError::engine)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }
}

/// A connection about to be secured for one host.
pub(super) struct Securing {
    connector: TlsConnector,
    host: ServerName<'static>,
}

/// A secured connection.
pub(super) struct Secured<S>(tokio_rustls::client::TlsStream<S>);

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;
    type Stream = Secured<S>;
    type TlsConnect = Securing;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Securing> {
        let host = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        Ok(Securing {
            connector: self.0.clone(),
            host,
        })
    }
}

impl<S> TlsConnect<S> for Securing
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured<S>>> + Send>>;
    type Stream = Secured<S>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.connector.connect(self.host, stream).await.map(Secured) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        // The certificate was verified against the operator's own authority.
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
