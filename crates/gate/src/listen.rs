//! The listener: sockets, TLS, HTTP/1.1 and HTTP/2, limits and the orderly end.
//!
//! Every wait for a stranger ends: for the handshake, for a head, for a body,
//! for a reader, and at shutdown for the answer.
//!
//! Absent by design: waiting for who keeps a connection and asks nothing,
//! also if it answers HTTP/2's pings ([`crate::quiet`]).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use ground::id;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use shape::Protocol;
use tokio::net::{TcpListener, TcpStream};

use crate::accept::{Accepted, Bounds, Talk, accept};
use crate::body;
use crate::door::{Door, Peer};
use crate::lanes::Lanes;
use crate::limits::{HEAD_BYTES_MAX, Limits, STREAMS_MAX};
use crate::metrics::Refusal;
use crate::operator;
use crate::tls::Tls;
use crate::unread::Turn;
use crate::walk::respond;

/// Serves `door` on `listener` within the default [`Limits`]; see [`serve_within`].
///
/// # Errors
///
/// Those of [`serve_within`].
pub async fn serve(
    door: Arc<Door>,
    listener: TcpListener,
    tls: Option<Tls>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(door, listener, tls, Limits::default(), stop).await
}

/// Serves `door` on `listener` until `stop` completes, then lets open requests
/// finish for at most [`Limits::shutdown_time`].
///
/// # Errors
///
/// If the system gives no thread to serve on.
pub async fn serve_within(
    door: Arc<Door>,
    listener: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let lanes = Lanes::start()?;
    let bounds = Bounds {
        connections: limits.connections,
        streams: STREAMS_MAX,
        head_bytes: HEAD_BYTES_MAX,
        header_time: limits.header_time,
        shutdown_time: limits.shutdown_time,
    };
    accept(listener, bounds, stop, |accepted| {
        let Accepted {
            stream,
            address,
            talk,
        } = accepted;
        let (door, tls) = (Arc::clone(&door), tls.clone());
        // The listener's own runtime lets go of it; the lane's takes it up.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%address, %error, "connection lost"),
        };
        lanes.serve(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(door, talk, limits, tls.as_ref(), stream, address).await,
                Err(error) => tracing::debug!(%address, %error, "connection lost"),
            }
        });
    })
    .await;
    lanes.end().await;
    Ok(())
}

/// Files that a server has open beside its connections: store, journal and its
/// segments, the runtime's own, with room to spare.
const FILES_BESIDE: u64 = 512;

/// Lets this process have as many files open as `limits` needs connections, as
/// far as the system's hard limit goes; many systems begin with 1,024. Tells
/// how many connections there can be.
///
/// # Errors
///
/// If the limit cannot be changed.
pub fn allow_open_files(limits: &Limits) -> io::Result<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = limits.connections as u64 + FILES_BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit at all.
    let allowed = match (current, maximum) {
        (None, _) => wanted,
        (Some(current), _) if current >= wanted => wanted,
        (Some(current), maximum) => {
            let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
            setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: Some(allowed),
                    maximum,
                },
            )?;
            allowed
        }
    };
    let connections = allowed.saturating_sub(FILES_BESIDE);
    Ok(usize::try_from(connections).unwrap_or(usize::MAX))
}

/// Serves one connection to its end.
async fn connection(
    door: Arc<Door>,
    talk: Talk,
    limits: Limits,
    tls: Option<&Tls>,
    stream: TcpStream,
    address: SocketAddr,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let answer = |peer| {
        // What its requests share is of this connection alone: to count who holds it
        // disturbs no other lane.
        let shared = Arc::new((door, Arc::new(peer)));
        move |request: Request<Incoming>, turn: Turn| {
            let shared = Arc::clone(&shared);
            async move {
                let (door, peer) = &*shared;
                let path = request.uri().path();
                let is_operators = operator::is_operators(path);
                // Batches alone have answers that are mostly long.
                if turn.finds_no_room(is_operators && path.ends_with("/batch")) {
                    return turn.refuse(no_room(door, is_operators));
                }
                let answer = door.answer(request, peer, limits.body_time).await;
                turn.answer(answer, || no_room(door, is_operators))
            }
        }
    };
    let Some(tls) = tls else {
        return talk.serve(stream, answer(Peer::new(address, None))).await;
    };
    match tokio::time::timeout(limits.handshake_time, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let peer = Peer::new(address, Some(tls_details(stream.get_ref().1)));
            talk.serve(stream, answer(peer)).await;
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
    }
}

/// Refuses a call because what was answered before is not read.
fn no_room(door: &Door, is_operators: bool) -> Response<Full<Bytes>> {
    door.metrics.refuse(Refusal::Answer);
    let fault = body::no_room("Too many answers are waiting to be read. Please try again");
    if is_operators {
        return operator::problem_of(&fault);
    }
    let request_id = id::uuid(door.random().public_bytes());
    let answer = wire::encode_fault(None, Protocol::Json11, &fault, &request_id, false);
    respond(answer, request_id, HeaderMap::new())
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
