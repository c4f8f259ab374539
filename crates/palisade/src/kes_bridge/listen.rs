//! The bridge's listener: every wait for a stranger ends.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bridge::kes::{REQUEST_SECONDS, Refusal};
use bridge::limits::KES_BODY_BYTES_MAX;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::Bridge;
use super::calls::Answer;
use crate::certificate;
use crate::command::serve::spawn;

/// Connections at once.
const CONNECTIONS_MAX: usize = 512;
/// Requests of a connection at once.
const STREAMS_MAX: u32 = 64;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// For the TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For a head, and between the pings of HTTP/2.
const HEADER_TIME: Duration = Duration::from_secs(60);
/// How long open requests may go on after the order to stop.
const SHUTDOWN_TIME: Duration = Duration::from_secs(REQUEST_SECONDS);

/// Answers at `listener` until `stop` completes, then lets open requests finish.
pub(crate) async fn serve(
    bridge: Bridge,
    tls: TlsAcceptor,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let bridge = Arc::new(bridge);
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEAD_BYTES_MAX as usize)
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(Some(HEADER_TIME));
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
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%address, "connection refused: {CONNECTIONS_MAX} are open");
            continue;
        };
        let (bridge, http, tls, watcher) = (
            Arc::clone(&bridge),
            Arc::clone(&http),
            tls.clone(),
            graceful.watcher(),
        );
        spawn(async move {
            let stream = match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
                Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
            };
            let shown = stream.get_ref().1.peer_certificates();
            let identity = shown.and_then(|shown| certificate::identity(shown.first()?));
            let identity: Arc<str> = identity.unwrap_or_default().into();
            let service = service_fn(move |request| {
                let (bridge, identity) = (Arc::clone(&bridge), Arc::clone(&identity));
                async move { Ok::<_, Infallible>(answer(&bridge, &identity, request).await) }
            });
            let connection = http.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIME, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

async fn answer(bridge: &Bridge, identity: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let outcome = async {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, KES_BODY_BYTES_MAX).collect().await;
        let body = body
            .map_err(|_| Refusal::new(413, "the body is longer than a mebibyte, or was cut off"))?
            .to_bytes();
        let ask = bridge::kes::read(head.method.as_str(), head.uri.path(), &body)?;
        bridge.answer(identity, ask).await
    };
    let outcome = tokio::time::timeout(Duration::from_secs(REQUEST_SECONDS), outcome)
        .await
        .unwrap_or_else(|_| Err(Refusal::new(504, "the KMS did not answer in time")));
    let (status, kind, body) = match outcome {
        Ok(Answer::Nothing) => (200, "application/json", String::new()),
        Ok(Answer::Json(body)) => (200, "application/json", body.to_string()),
        Ok(Answer::Lines(lines)) => (200, "application/x-ndjson", lines),
        Err(refusal) => {
            tracing::warn!(
                identity,
                status = refusal.status,
                reason = refusal.message,
                "refused"
            );
            let body = serde_json::json!({"message": refusal.message});
            (refusal.status, "application/json", body.to_string())
        }
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
