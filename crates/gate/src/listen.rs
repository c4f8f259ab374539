//! The listener: sockets, TLS, HTTP/1.1 and HTTP/2, limits and the orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::door::{Door, Peer};
use crate::limits::{
    CONNECTIONS_MAX, HANDSHAKE_TIME_MAX, HEAD_BYTES_MAX, HEADER_TIME_MAX, SHUTDOWN_TIME_MAX, STREAMS_MAX,
};
use crate::tls::Tls;

/// Serves `door` on `listener` until `stop` completes, then lets open requests
/// finish for at most twenty seconds.
pub async fn serve(door: Arc<Door>, listener: TcpListener, tls: Option<Tls>, stop: impl Future<Output = ()>) {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(HEADER_TIME_MAX));
    let http = Arc::new(http);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%address, "connection refused: {CONNECTIONS_MAX} are open");
            continue;
        };
        let (door, http, watcher, tls) = (
            Arc::clone(&door),
            Arc::clone(&http),
            graceful.watcher(),
            tls.clone(),
        );
        spawn(async move {
            connection(door, &http, watcher, tls.as_ref(), stream, address).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIME_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

/// Serves one connection to its end.
async fn connection(
    door: Arc<Door>,
    http: &Builder<TokioExecutor>,
    watcher: Watcher,
    tls: Option<&Tls>,
    stream: TcpStream,
    address: SocketAddr,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let Some(tls) = tls else {
        let peer = Peer::new(address, None);
        return talk(door, http, watcher, TokioIo::new(stream), peer).await;
    };
    match tokio::time::timeout(HANDSHAKE_TIME_MAX, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let peer = Peer::new(address, Some(tls_details(stream.get_ref().1)));
            talk(door, http, watcher, TokioIo::new(stream), peer).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
    }
}

/// Answers the requests of one connection.
async fn talk<IO>(door: Arc<Door>, http: &Builder<TokioExecutor>, watcher: Watcher, io: IO, peer: Peer)
where
    IO: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (door, peer) = (Arc::clone(&door), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(door.answer(request, &peer).await) }
    });
    let connection = http.serve_connection(io, service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended badly");
    }
}

/// The record's `tlsDetails`, as JSON.
fn tls_details(connection: &rustls::ServerConnection) -> String {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    };
    let suite = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or_default();
    // rustls names a TLS 1.3 suite TLS13_…, IANA and CloudTrail TLS_….
    let suite = suite.replace("TLS13_", "TLS_");
    let host = connection.server_name().unwrap_or_default();
    serde_json::json!({"tlsVersion": version, "cipherSuite": suite, "clientProvidedHostHeader": host})
        .to_string()
}

#[expect(clippy::disallowed_methods, reason = "gate owns the tasks of its connections")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
