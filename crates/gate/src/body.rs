//! Reading a request's body within its bounds.
//!
//! Nobody has signed yet: what has not come whole takes room that is counted, for
//! the connection and for all of them, and who finds none is refused. A request
//! that comes in one piece is not counted, for it waits for nobody. What answers
//! take is bounded likewise ([`crate::unread`]).

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use wire::WireFault;

use crate::limits::{BODY_BYTES_DISCARDED_MAX, BODY_BYTES_MAX};

/// Room in memory for what waits for strangers: requests that have not come whole, or
/// answers that have not been read.
pub(crate) struct Room {
    taken: AtomicUsize,
    bytes_max: usize,
}

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Room {
        Room {
            taken: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// Takes room, and tells whether there was enough. It is taken in any case, until
    /// who took it [leaves](Room::leave).
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.bytes_max
    }

    /// Gives room back.
    pub(crate) fn leave(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether nothing is left.
    pub(crate) fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.bytes_max
    }
}

/// What one request takes of both rooms, until it is dropped.
struct Taken<'a> {
    rooms: [&'a Room; 2],
    bytes: usize,
}

impl Taken<'_> {
    /// Takes what is missing to `bytes`.
    fn up_to(&mut self, bytes: usize) -> Result<(), BadBody> {
        let more = bytes.saturating_sub(self.bytes);
        self.bytes += more;
        let mut fits = true;
        for room in self.rooms {
            fits &= room.take(more);
        }
        if fits { Ok(()) } else { Err(BadBody::NoRoom) }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for room in self.rooms {
            room.leave(self.bytes);
        }
    }
}

/// Bytes that a header takes beside its name and value.
///
/// Source: RFC 9113, 6.5.2, `SETTINGS_MAX_HEADER_LIST_SIZE`.
const HEADER_BYTES_BESIDE: usize = 32;

/// Bytes that the headers take which wait for the body.
fn bytes_of(headers: &HeaderMap) -> usize {
    let bytes = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_BYTES_BESIDE
    };
    headers.iter().map(bytes).sum()
}

/// Reads the body within its bounds and `time_max`, and, while it has not come whole, within
/// `rooms`. What is too large is still read a while and thrown away, so that a client that
/// only listens after sending hears why.
pub(crate) async fn read(
    body: Incoming,
    headers: &HeaderMap,
    rooms: [&Room; 2],
    time_max: Duration,
) -> Result<Bytes, WireFault> {
    let mut read = pin!(collect(body, headers, Taken { rooms, bytes: 0 }));
    // Mostly the body came with its head: then no clock is set.
    let at_once = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
    let outcome = match at_once {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => tokio::time::timeout(time_max, read)
            .await
            .unwrap_or(Err(BadBody::TooSlow)),
    };
    outcome.map_err(|bad| match bad {
        BadBody::CutOff => WireFault::client(
            400,
            "IncompleteBody",
            "The request body terminated unexpectedly".to_owned(),
        ),
        BadBody::NoRoom => no_room("Too many requests are waiting for their bodies. Please try again"),
        BadBody::TooLarge => {
            let message = format!("Request body is larger than {BODY_BYTES_MAX} bytes");
            WireFault::client(413, "RequestEntityTooLarge", message)
        }
        BadBody::TooSlow => {
            let message = format!(
                "The request body did not arrive within {} seconds",
                time_max.as_secs_f32()
            );
            WireFault::client(408, "RequestTimeout", message)
        }
    })
}

/// What is told if there is no room.
pub(crate) fn no_room(message: &str) -> WireFault {
    WireFault {
        sender: false,
        ..WireFault::client(503, "ServiceUnavailable", message.to_owned())
    }
}

/// All of the body. One that comes in one piece, as nearly all do, is not copied.
async fn collect(mut body: Incoming, headers: &HeaderMap, mut taken: Taken<'_>) -> Result<Bytes, BadBody> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut seen = 0;
    while !body.is_end_stream() {
        let mut frame = body.frame();
        let at_once = poll_fn(|cx| Poll::Ready(Pin::new(&mut frame).poll(cx))).await;
        let frame = match at_once {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let held = joined.len().max(first.len());
                taken.up_to(bytes_of(headers) + held)?;
                frame.await
            }
        };
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else {
            return Err(BadBody::CutOff);
        };
        let Ok(data) = frame.into_data() else { continue };
        let is_first = seen == 0;
        seen += data.len();
        if seen > BODY_BYTES_DISCARDED_MAX {
            break;
        } else if seen > BODY_BYTES_MAX {
            continue;
        } else if is_first {
            first = data;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    match (seen, joined.is_empty()) {
        (BODY_BYTES_TOO_MANY.., _) => Err(BadBody::TooLarge),
        (_, true) => Ok(first),
        (_, false) => Ok(joined.freeze()),
    }
}

/// The first length that is refused.
const BODY_BYTES_TOO_MANY: usize = BODY_BYTES_MAX + 1;

/// Why a body was not taken.
enum BadBody {
    CutOff,
    NoRoom,
    TooLarge,
    TooSlow,
}
