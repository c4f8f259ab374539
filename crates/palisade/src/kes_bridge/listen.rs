//! The bridge's listener: every wait for a stranger ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bridge::kes::{REQUEST_SECONDS, Refusal};
use bridge::limits::KES_BODY_BYTES_MAX;
use bytes::Bytes;
use gate::{Accepted, Bounds, Turn};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Bridge;
use super::calls::Answer;
use crate::certificate;
use crate::command::serve::spawn;

/// For the TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

const BOUNDS: Bounds = Bounds {
    connections: 512,
    streams: 64,
    head_bytes: 16 * 1024,
    header_time: Duration::from_secs(60),
    shutdown_time: Duration::from_secs(REQUEST_SECONDS),
};

/// Answers at `listener` until `stop` completes, then lets open requests finish.
pub(crate) async fn serve(
    bridge: Bridge,
    tls: TlsAcceptor,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let bridge = Arc::new(bridge);
    gate::accept(listener, BOUNDS, stop, |accepted| {
        spawn(connection(Arc::clone(&bridge), tls.clone(), accepted));
    })
    .await;
}

/// Serves one connection to its end.
async fn connection(bridge: Arc<Bridge>, tls: TlsAcceptor, accepted: Accepted) {
    let Accepted {
        stream,
        address,
        talk,
    } = accepted;
    let stream = match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    let shown = stream.get_ref().1.peer_certificates();
    let identity = shown.and_then(|shown| certificate::identity(shown.first()?));
    let identity: Arc<str> = identity.unwrap_or_default().into();
    talk.serve(stream, move |request, turn: Turn| {
        let (bridge, identity) = (Arc::clone(&bridge), Arc::clone(&identity));
        async move {
            if turn.finds_no_room(false) {
                return turn.refuse(no_room(&identity));
            }
            let answer = answer(&bridge, &identity, request).await;
            turn.answer(answer, || no_room(&identity))
        }
    })
    .await;
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
    match outcome {
        Ok(Answer::Nothing) => respond(200, "application/json", String::new()),
        Ok(Answer::Json(body)) => respond(200, "application/json", body.to_string()),
        Ok(Answer::Lines(lines)) => respond(200, "application/x-ndjson", lines),
        Err(refusal) => refuse(identity, &refusal),
    }
}

fn no_room(identity: &str) -> Response<Full<Bytes>> {
    refuse(
        identity,
        &Refusal::new(503, "too many answers are waiting to be read"),
    )
}

fn refuse(identity: &str, refusal: &Refusal) -> Response<Full<Bytes>> {
    tracing::warn!(
        identity,
        status = refusal.status,
        reason = refusal.message,
        "refused"
    );
    let body = serde_json::json!({"message": refusal.message});
    respond(refusal.status, "application/json", body.to_string())
}

fn respond(status: u16, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
