//! The one way out to other people's servers: `GET` and `POST` over https, guarded.
//!
//! Invariants:
//! - no connection is made to an address inside (loopback, private,
//!   link-local, and whatever else is not of the public internet), by name or
//!   by number, unless the operator permits its network or says himself where
//!   the name is; the address that was looked at is the one that is connected to;
//! - a server is believed by its certificate: of an authority that is trusted,
//!   or of one whose thumbprint the caller gives;
//! - time, size of head and body, and the number of requests at once are bounded;
//! - a certificate of our own is shown to a host that it was given for, and to
//!   no other that asks for one;
//! - redirects are not followed: whoever may answer for an address does so itself.
//!
//! A `GET` has a connection of its own. A `POST` goes over one that was kept from
//! before if there is one, and once more over a new one if that has broken.
//!
//! Absent by design: other methods, plain http, proxies, cookies, retries after
//! an answer.

mod address;
mod certificate;
mod kept;
mod limits;
mod post;
mod shown;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use post::{Post, Posted};
pub use shown::Shown;

use certificate::Believed;
use kept::KeptConnections;
use limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, POSTS_AT_ONCE_MAX, REQUESTS_AT_ONCE_MAX, TIME_MAX};

/// The SHA-1 digest of a certificate in DER.
pub type Thumbprint = [u8; crypto::foreign::SHA1_BYTES];

/// The certificates of authorities, asked for when the first request is made.
pub type Authorities = Box<dyn Fn() -> Vec<CertificateDer<'static>> + Send + Sync>;

/// Why nothing was fetched. It tells an operator, never a stranger: what an
/// inner network answers is nobody's business.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The name stands for addresses inside alone.
    #[error("{0} is not on the public internet, and its network is not permitted")]
    Address(String),
    /// Nobody answers, or nobody knows the name.
    #[error("no connection to {host}: {reason}")]
    Connection {
        /// As the address names it.
        host: String,
        /// Of the system.
        reason: String,
    },
    /// The answer is no `200` where one is asked for, or breaks off, or is too long.
    #[error("the answer of {host} is not usable: {reason}")]
    Answer {
        /// As the address names it.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// It is no https address.
    #[error("{0} is not an https address")]
    Url(String),
    /// It took too long.
    #[error("{host} did not answer in {} ms", time.as_millis())]
    Time {
        /// As the address names it.
        host: String,
        /// How long it might take.
        time: Duration,
    },
    /// What answers is no https server with a good certificate.
    #[error("no TLS connection to {host}: {reason}")]
    Tls {
        /// As the address names it.
        host: String,
        /// Of TLS.
        reason: String,
    },
}

/// The way out.
pub struct Outbound {
    /// Networks inside that may be reached.
    permitted: Vec<IpNet>,
    /// Where the operator says that names are.
    places: HashMap<String, SocketAddr>,
    /// What is shown to the hosts of these names if they ask.
    shown: HashMap<String, Shown>,
    authorities: Authorities,
    believed: OnceLock<Believed>,
    turns: Semaphore,
    turns_to_post: Semaphore,
    kept: KeptConnections,
}

impl Outbound {
    /// A way out that believes certificates of `authorities`, and reaches the
    /// public internet and the networks `permitted`.
    pub fn new(permitted: Vec<IpNet>, authorities: Authorities) -> Outbound {
        Outbound {
            permitted,
            places: HashMap::new(),
            shown: HashMap::new(),
            authorities,
            believed: OnceLock::new(),
            turns: Semaphore::new(REQUESTS_AT_ONCE_MAX),
            turns_to_post: Semaphore::new(POSTS_AT_ONCE_MAX),
            kept: KeptConnections::default(),
        }
    }

    /// The same, where these names are found at these addresses and ports and
    /// nowhere else. Their certificates must be good for the names all the same.
    #[must_use]
    pub fn finding(self, places: HashMap<String, SocketAddr>) -> Outbound {
        Outbound { places, ..self }
    }

    /// The same, where these hosts are shown a certificate if they ask for one.
    #[must_use]
    pub fn showing(self, shown: HashMap<String, Shown>) -> Outbound {
        Outbound { shown, ..self }
    }

    /// The body behind an https address. The server's certificate, or one above
    /// it, may have one of the `thumbprints` instead of a trusted authority.
    ///
    /// # Errors
    ///
    /// [`OutboundError`] if nothing usable was fetched in time.
    pub async fn get(&self, url: &str, thumbprints: &[Thumbprint]) -> Result<Bytes, OutboundError> {
        let (uri, host) = https(url)?;
        // Never closed, so there is always a turn.
        let _turn = self.turns.acquire().await;
        tokio::time::timeout(TIME_MAX, self.fetch(&uri, &host, thumbprints))
            .await
            .unwrap_or_else(|_| {
                Err(OutboundError::Time {
                    host: host.clone(),
                    time: TIME_MAX,
                })
            })
    }

    async fn fetch(&self, uri: &Uri, host: &str, thumbprints: &[Thumbprint]) -> Result<Bytes, OutboundError> {
        exchange(self.connect(uri, host, thumbprints).await?, uri, host).await
    }

    async fn connect(
        &self,
        uri: &Uri,
        host: &str,
        thumbprints: &[Thumbprint],
    ) -> Result<TlsStream<TcpStream>, OutboundError> {
        let tls = |reason: String| OutboundError::Tls {
            host: host.to_owned(),
            reason,
        };
        let bare = host.trim_matches(['[', ']']);
        let address = self.address(bare, uri.port_u16().unwrap_or(443)).await?;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| OutboundError::Connection {
                host: host.to_owned(),
                reason: error.to_string(),
            })?;
        // Small requests are not to wait for each other.
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(bare.to_owned()).map_err(|error| tls(error.to_string()))?;
        let config = self
            .config(bare, thumbprints)
            .map_err(|error| tls(error.to_string()))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| tls(error.to_string()))
    }

    /// Where the operator says that a name is, or else the first address of it
    /// that may be connected to.
    async fn address(&self, host: &str, port: u16) -> Result<SocketAddr, OutboundError> {
        if let Some(place) = self.places.get(host) {
            return Ok(*place);
        }
        let found =
            tokio::net::lookup_host((host, port))
                .await
                .map_err(|error| OutboundError::Connection {
                    host: host.to_owned(),
                    reason: error.to_string(),
                })?;
        found
            .into_iter()
            .find(|address| address::may_be_reached(address.ip(), &self.permitted))
            .ok_or_else(|| OutboundError::Address(host.to_owned()))
    }

    fn config(&self, host: &str, thumbprints: &[Thumbprint]) -> Result<ClientConfig, rustls::Error> {
        let believed = self.believed.get_or_init(|| Believed::new((self.authorities)()));
        let config = ClientConfig::builder_with_provider(believed.provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(believed.or_with(thumbprints)));
        let mut config = match self.shown.get(host) {
            Some(shown) => config.with_client_cert_resolver(shown.resolver()),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// An https address and the host in it.
fn https(url: &str) -> Result<(Uri, String), OutboundError> {
    let not_https = || OutboundError::Url(url.chars().take(256).collect());
    let uri: Uri = url.parse().map_err(|_| not_https())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
    let host = host.ok_or_else(not_https)?.to_owned();
    Ok((uri, host))
}

/// Asks and reads, over a connection that lives no longer than this.
async fn exchange(stream: TlsStream<TcpStream>, uri: &Uri, host: &str) -> Result<Bytes, OutboundError> {
    let unusable = |reason: String| OutboundError::Answer {
        host: host.to_owned(),
        reason,
    };
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(target)
        .header(http::header::HOST, authority)
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::USER_AGENT, "palisade")
        .body(Empty::<Bytes>::new())
        .map_err(|error| unusable(error.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unusable(error.to_string()))?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unusable(error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(unusable(response.status().to_string()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        Ok(body.map_err(|error| unusable(error.to_string()))?.to_bytes())
    };
    // What is wrong with the connection, the answer tells.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answered = answer => answered,
        never = driven => match never {},
    }
}
