//! Inquiries: what operators ask of a server, or order it to do, by signed
//! requests on its own paths.
//!
//! An inquiry is authenticated, admitted, authorized by its handler and recorded
//! as any call is; only its input is no model's.

use std::sync::Arc;

use bytes::Bytes;
use ground::Timestamp;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use shape::{OperationShape, StructureShape};

use crate::access::{Access, AuthorizeError};
use crate::cx::Cx;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::operator;
use crate::seen::Window;

/// What records call an inquiry, and the action that it needs.
pub(crate) const fn operation(
    name: &'static str,
    action: &'static str,
    uri: &'static str,
    read_only: bool,
) -> OperationShape {
    OperationShape {
        name,
        action,
        service: &operator::SHAPE,
        method: "POST",
        uri,
        status: 200,
        input: StructureShape::EMPTY,
        output: StructureShape::EMPTY,
        result_wrapper: "",
        errors: &[],
        read_only,
        unsigned: false,
    }
}

/// Authenticates an inquiry, and gives its context, or the answer to whoever is not believed.
pub(crate) async fn enter(
    door: &Arc<Door>,
    operation: &'static OperationShape,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Result<Cx, Response<Full<Bytes>>> {
    let cx = operator::enter(door, operation, head, body, peer, request_id).await?;
    match door.admit(cx.now()).await {
        Ok(_) => Ok(cx),
        Err(fault) => Err(told(&fault)),
    }
}

/// What an inquiry says, which must be of this form; the form is for the reader.
pub(crate) fn read<Sent: DeserializeOwned>(body: &[u8], form: &str) -> Result<Sent, Fault> {
    serde_json::from_slice(body).map_err(|error| bad(format!("the body must be {form}: {error}")))
}

/// The time that an inquiry is about: up to now, if it does not say until when.
pub(crate) fn window(since: &str, until: Option<&str>, now: Timestamp) -> Result<Window, Fault> {
    let window = Window {
        since: moment("since", since, now)?,
        until: match until {
            Some(text) => moment("until", text, now)?,
            None => now,
        },
    };
    if window.until <= window.since {
        return Err(bad("since must be before until"));
    }
    Ok(window)
}

/// Asks whether the inquiry's caller may.
pub(crate) async fn permitted(cx: &Cx, access: Access<()>) -> Result<(), Fault> {
    match cx.authorize(access).await {
        Ok(_) => Ok(()),
        Err(AuthorizeError::Denied(denied)) => {
            Err(Fault::client("AccessDeniedException", denied).with_status(403))
        }
        Err(AuthorizeError::Store(error)) => Err(Fault::store("InternalFailure", &error)),
    }
}

/// Records an inquiry, and then answers it.
pub(crate) async fn finish(
    door: &Arc<Door>,
    cx: &Cx,
    outcome: Result<serde_json::Value, Fault>,
) -> Response<Full<Bytes>> {
    let request_id = cx.request_id();
    let error = outcome
        .as_ref()
        .err()
        .map(|fault| (fault.code(), fault.message()));
    if let Err(error) = door.record(cx, error, None).await {
        door.metrics.unrecorded.inc();
        tracing::error!(request_id, %error, "no record could be written; the question is not answered");
        return told(&Fault::server("ServiceUnavailable", &error).with_status(503));
    }
    cx.keep_decisions();
    match outcome {
        Ok(answer) => operator::json(StatusCode::OK, &answer),
        Err(fault) => {
            if let Some(detail) = &fault.detail {
                tracing::error!(request_id, detail, "a question could not be answered");
            }
            told(&fault)
        }
    }
}

/// A fault on the operator's paths; without a status of its own, of a bad request.
fn told(fault: &Fault) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(fault.status.unwrap_or(400)).unwrap_or(StatusCode::BAD_REQUEST);
    let message = fault.message().unwrap_or("an internal error occurred");
    operator::problem(status, fault.code(), message)
}

/// The fault of an inquiry that cannot be understood.
pub(crate) fn bad(message: impl std::fmt::Display) -> Fault {
    Fault::client("ValidationException", message)
}

/// A moment, or one so long before now.
fn moment(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let ago = || {
        let unit = text.chars().last()?;
        let seconds: i64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        let before = i64::from(number).checked_mul(seconds)?;
        Some(Timestamp::from_seconds(now.seconds() - before))
    };
    ago()
        .or_else(|| Timestamp::parse_iso8601(text).ok())
        .ok_or_else(|| {
            bad(format!(
                "{name} must be a time like 2026-01-31T12:00:00Z, or how long ago: 90d, 12h, 30m"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_ages() {
        let now = Timestamp::from_seconds(1_000_000);
        let read = |text| moment("since", text, now).ok().map(Timestamp::seconds);
        assert_eq!(read("1d"), Some(1_000_000 - 86_400));
        assert_eq!(read("90m"), Some(1_000_000 - 5_400));
        assert_eq!(read("1970-01-02"), Some(86_400));
        for text in ["", "d", "-1d", "1y", "99999999999w", "yesterday"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
