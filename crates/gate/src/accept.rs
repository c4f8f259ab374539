//! Accepting connections and serving them: within bounds, until the order to
//! stop, and then until what is under way has ended.
//!
//! Absent by design: what is answered, TLS, and where a connection runs, which
//! differ.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::body::Room;
use crate::limits::UNREAD_BYTES_MAX;
use crate::unread::{Answered, Reader, Turn};

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
    /// For a connection's first head, and for each after the answer before it;
    /// also between the pings of HTTP/2.
    pub header_time: Duration,
    /// How long open requests may go on after the order to stop.
    pub shutdown_time: Duration,
}

/// A connection within the bounds.
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Whose it is.
    pub address: SocketAddr,
    /// How its requests are to be served.
    pub talk: Talk,
}

/// The way to serve an accepted connection, which keeps its place among those that
/// may be open.
pub struct Talk {
    /// HTTP/1.1 and HTTP/2 as the bounds have them.
    http: Arc<Builder<TokioExecutor>>,
    header_time: Duration,
    /// For answers on their way, of all connections.
    unread: Arc<Room>,
    /// Changes when requests under way shall end and no other begin.
    stop: watch::Receiver<()>,
    place: OwnedSemaphorePermit,
}

/// Has `start` begin to serve every connection until `stop` completes, then lets
/// open requests finish for as long as the bounds say.
pub async fn accept(
    listener: TcpListener,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
    start: impl Fn(Accepted),
) {
    let http = Arc::new(builder(bounds));
    let unread = Arc::new(Room::new(UNREAD_BYTES_MAX));
    let (order, _) = watch::channel(());
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
        let talk = Talk {
            http: Arc::clone(&http),
            header_time: bounds.header_time,
            unread: Arc::clone(&unread),
            stop: order.subscribe(),
            place,
        };
        start(Accepted {
            stream,
            address,
            talk,
        });
    }
    drop(listener);
    // That nobody is there to hear it is as good.
    let _ = order.send(());
    if tokio::time::timeout(bounds.shutdown_time, order.closed())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

fn builder(bounds: Bounds) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // The time for a head is kept by `Quiet`: hyper would set a timer for each request.
    http.http1()
        .header_read_timeout(None)
        .max_buf_size(bounds.head_bytes)
        .half_close(true)
        // Answers are small: to copy one behind its head costs less than a list of buffers.
        .writev(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(bounds.header_time));
    http
}

impl Talk {
    /// Answers the requests of a connection to its end: of one side's accord, by
    /// the order to stop, or because it has asked or taken nothing for too long.
    ///
    /// `answer` runs what is asked, and answers through its [`Turn`].
    pub async fn serve<IO, Run>(self, stream: IO, answer: impl Fn(Request<Incoming>, Turn) -> Run)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        Run: Future<Output = Response<Answered>> + Send + 'static,
    {
        let reader = Reader::new(self.header_time, self.unread);
        let service = service_fn(|request| {
            let turn = reader.turn(request.version());
            let answer = answer(request, turn);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let quiet = &reader.quiet;
        let mut clock = pin!(quiet.clock());
        let mut stop = self.stop.clone();
        let mut stopped = pin!(stop.changed());
        let mut is_told = false;
        // Clock and order wake this task. It asks them once, and then only if they have
        // something to tell: to ask means to take locks that other threads take too.
        let mut woken: Option<Waker> = None;
        poll_fn(|cx| {
            let is_known = woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if !is_known {
                woken = Some(cx.waker().clone());
            }
            if !is_told
                && (!is_known || self.stop.has_changed().unwrap_or(true))
                && stopped.as_mut().poll(cx).is_ready()
            {
                is_told = true;
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended badly");
                }
                return Poll::Ready(());
            }
            if (!is_known || clock.is_elapsed()) && quiet.poll_too_long(clock.as_mut(), cx).is_ready() {
                tracing::debug!("closed a connection that asked or took nothing");
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        drop(self.place);
    }
}
