//! Connections that are kept for the next request to the same host.
//!
//! A kept connection is driven only while it is asked over, so it needs no task
//! of its own; that the other side has closed it shows when it is next asked.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::Posted;
use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, KEPT_FOR, KEPT_MAX, KEPT_PER_HOST_MAX};

/// A connection between two requests.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended: while it is there, the sender waits for it.
    driver: Option<Driver>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Why nothing usable came over a connection.
type Broken = Box<dyn std::error::Error + Send + Sync>;

impl Connection {
    /// Over a stream that nothing was sent on.
    pub(crate) async fn new(stream: TlsStream<TcpStream>) -> Result<Connection, Broken> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Connection {
            sender,
            driver: Some(Box::pin(driver)),
        })
    }

    /// Asks over it. Gives it back beside the answer if it can be asked again.
    pub(crate) async fn ask(
        mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Posted, Option<Connection>), Broken> {
        let (sender, driver) = (&mut self.sender, &mut self.driver);
        let asked = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
                .collect()
                .await?;
            Ok::<_, Broken>(Posted {
                status,
                body: body.to_bytes(),
            })
        };
        // What is wrong with the connection, the answer tells.
        let driven = async {
            if let Some(driver) = driver.as_mut() {
                let _ = driver.await;
            }
            *driver = None;
            std::future::pending::<std::convert::Infallible>().await
        };
        let posted = tokio::select! {
            asked = asked => asked?,
            never = driven => match never {},
        };
        let again = self.driver.is_some() && !self.sender.is_closed();
        Ok((posted, again.then_some(self)))
    }
}

/// The kept connections, by host and port.
#[derive(Default)]
pub(crate) struct KeptConnections(Mutex<HashMap<String, Vec<(Instant, Connection)>>>);

impl KeptConnections {
    /// The one that was used last.
    pub(crate) fn take(&self, authority: &str) -> Option<Connection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, connection) = kept.get_mut(authority)?.pop()?;
        (since.elapsed() < KEPT_FOR).then_some(connection)
    }

    /// Keeps one, unless there are enough. Forgets those that were kept too long.
    pub(crate) fn put(&self, authority: &str, connection: Connection) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, all| {
            all.retain(|(since, _)| since.elapsed() < KEPT_FOR);
            !all.is_empty()
        });
        let in_all: usize = kept.values().map(Vec::len).sum();
        let of_host = kept.entry(authority.to_owned()).or_default();
        if in_all < KEPT_MAX && of_host.len() < KEPT_PER_HOST_MAX {
            of_host.push((Instant::now(), connection));
        }
    }
}
