//! Accepting connections: within bounds, until the order to stop, and then until
//! what is under way has ended.
//!
//! Absent by design: what is said on a connection, TLS, and where a connection
//! runs, which differ.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to wait when no connection can be accepted: out of file
/// descriptors, most likely, of which some may come back.
const NONE_ACCEPTED_WAIT: Duration = Duration::from_millis(50);

/// What strangers may take of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; those beyond are closed unanswered.
    pub connections: usize,
    /// Requests of an HTTP/2 connection at once.
    pub streams: u32,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// For a head, and between the pings of HTTP/2.
    pub header_time: Duration,
    /// How long open requests may go on after the order to stop.
    pub shutdown_time: Duration,
}

/// A connection within the bounds, and what its requests are served with.
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Whose it is.
    pub address: SocketAddr,
    /// HTTP/1.1 and HTTP/2 as the bounds have them.
    pub http: Arc<Builder<TokioExecutor>>,
    /// Lets the requests under way end when the order to stop has come.
    pub watcher: Watcher,
    /// Its place among those that may be open, to be kept until it ends.
    pub place: OwnedSemaphorePermit,
}

/// Has `start` begin to serve every connection until `stop` completes, then lets
/// open requests finish for as long as the bounds say.
pub async fn accept(
    listener: TcpListener,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
    start: impl Fn(Accepted),
) {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_time)
        .max_buf_size(bounds.head_bytes)
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(bounds.header_time));
    let http = Arc::new(http);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(bounds.connections));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(NONE_ACCEPTED_WAIT).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%address, "connection refused: {} are open", bounds.connections);
            continue;
        };
        start(Accepted {
            stream,
            address,
            http: Arc::clone(&http),
            watcher: graceful.watcher(),
            place,
        });
    }
    drop(listener);
    if tokio::time::timeout(bounds.shutdown_time, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}
