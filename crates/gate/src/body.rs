//! Reading a request's body within its bounds.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use wire::WireFault;

use crate::limits::{BODY_BYTES_DISCARDED_MAX, BODY_BYTES_MAX};

/// Reads the body within its bounds and `time_max`. What is too large is still read a while
/// and thrown away, so that a client that only listens after sending hears why.
pub(crate) async fn read(body: Incoming, time_max: Duration) -> Result<Bytes, WireFault> {
    let mut read = pin!(collect(body));
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

/// All of the body. One that comes in one piece, as nearly all do, is not copied.
async fn collect(mut body: Incoming) -> Result<Bytes, BadBody> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut seen = 0;
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
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
    TooLarge,
    TooSlow,
}
