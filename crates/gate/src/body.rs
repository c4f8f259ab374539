//! Reading a request's body within its bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wire::WireFault;

use crate::limits::{BODY_BYTES_DISCARDED_MAX, BODY_BYTES_MAX};

/// Reads the body within its bounds and `time_max`. What is too large is still read a while
/// and thrown away, so that a client that only listens after sending hears why.
pub(crate) async fn read(mut body: Incoming, time_max: Duration) -> Result<Bytes, WireFault> {
    let read = async {
        let mut kept = BytesMut::new();
        let mut seen = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(BadBody::CutOff);
            };
            let Ok(data) = frame.into_data() else { continue };
            seen += data.len();
            if seen <= BODY_BYTES_MAX {
                kept.extend_from_slice(&data);
            } else if seen > BODY_BYTES_DISCARDED_MAX {
                break;
            }
        }
        if seen > BODY_BYTES_MAX {
            Err(BadBody::TooLarge)
        } else {
            Ok(kept.freeze())
        }
    };
    let outcome = tokio::time::timeout(time_max, read)
        .await
        .unwrap_or(Err(BadBody::TooSlow));
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

/// Why a body was not taken.
enum BadBody {
    CutOff,
    TooLarge,
    TooSlow,
}
