//! Events: what services announced, in the shape of EventBridge, for whoever of
//! the account asks.
//!
//! `POST /_palisade/events` gives a page of the events of the caller's account in
//! the region of the call, the oldest first, and the place behind the last one
//! that was looked at: asked from there again, it gives what has happened since.
//! Who asks must be allowed `palisade:ListEvents` on
//! `arn:aws:palisade:REGION:ACCOUNT:events`, and the question is recorded.
//!
//! Events lie in the store's outbox, made in the commit that they tell of, and
//! for [`EVENTS_KEPT`]: a job forgets older ones.
//!
//! Absent for now: an event bus with rules and targets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use ground::{Arn, PageToken, Timestamp};
use http::Response;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use shape::OperationShape;
use store::{Announcement, Stamp, Version};

use crate::access::Access;
use crate::cx::Cx;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::inquiry::{bad, enter, finish, operation, permitted, read};
use crate::jobs::{Job, JobCx, JobError};
use crate::limits::{
    EVENTS_FORGOTTEN_AFTER, EVENTS_KEPT, EVENTS_LOOKED_AT_MAX, EVENTS_PAGE, EVENTS_PAGE_MAX,
};
use crate::operator;

/// The action that the question needs.
const LIST_EVENTS: &str = "palisade:ListEvents";

/// What records call the question.
static OPERATION: OperationShape = operation("ListEvents", LIST_EVENTS, "/_palisade/events", true);

/// Who of the outbox's readers keeps events for those who ask.
const READER: &str = "palisade/events";

/// The list that a place belongs to.
const LIST: &str = "palisade/events";

/// The question as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    /// The `next` of an answer; from the beginning, if it is absent.
    #[serde(default)]
    after: Option<String>,
    /// How many events at most.
    #[serde(default)]
    limit: Option<usize>,
}

pub(crate) async fn answer(
    door: &Arc<Door>,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Response<Full<Bytes>> {
    let cx = match enter(door, &OPERATION, head, body, peer, request_id).await {
        Ok(cx) => cx,
        Err(answer) => return answer,
    };
    let outcome = events(&cx, door, body).await;
    finish(door, &cx, outcome).await
}

async fn events(cx: &Cx, door: &Arc<Door>, body: &[u8]) -> Result<Json, Fault> {
    let sent: Sent = read(body, r#"{"after": PLACE, "limit": NUMBER}"#)?;
    let limit = sent.limit.unwrap_or(EVENTS_PAGE);
    if !(1..=EVENTS_PAGE_MAX).contains(&limit) {
        return Err(bad(format!("limit must be between 1 and {EVENTS_PAGE_MAX}")));
    }
    let mut place = match &sent.after {
        Some(text) => read_place(text).ok_or_else(|| bad("after must be the `next` of an earlier answer"))?,
        None => Stamp::START,
    };
    cx.state_parameters(json!({"after": sent.after, "limit": limit}).to_string());
    let arn = Arn::new(operator::SIGNING_NAME, cx.region(), cx.account(), "events");
    let access = Access::to((), arn.to_string()).doing(LIST_EVENTS);
    permitted(cx, access).await?;

    let store = &door.parts.store;
    let found = store.outbox_after(place, EVENTS_LOOKED_AT_MAX).await;
    let found = found.map_err(|error| Fault::store("InternalFailure", &error))?;
    let mut more = found.len() == EVENTS_LOOKED_AT_MAX;
    let mut told = Vec::new();
    for announcement in found {
        if told.len() == limit {
            more = true;
            break;
        }
        place = announcement.cursor;
        let is_own =
            announcement.account == Some(cx.account()) && announcement.region.as_ref() == Some(cx.region());
        if is_own {
            told.push(announcement.event);
        }
    }
    Ok(json!({"events": told, "next": write_place(place), "more": more}))
}

/// Forgets, once in a while, the events that were kept long enough.
pub fn forgetting_events() -> Job {
    let last_run = AtomicI64::new(i64::MIN);
    Job::new("gate/forget-events", move |cx| {
        let last = Timestamp(last_run.load(Ordering::Relaxed));
        let is_due = cx.now() >= last.after(EVENTS_FORGOTTEN_AFTER) || cx.now() < last;
        Box::pin(async move {
            if is_due {
                forget(cx).await?;
            }
            Ok(())
        })
    })
}

async fn forget(cx: &JobCx) -> Result<(), JobError> {
    let store = cx.store();
    let mut place = store.outbox_reader(READER).await?;
    loop {
        let found = store.outbox_after(place, EVENTS_LOOKED_AT_MAX).await?;
        let old = found.iter().take_while(|it| is_old(it, cx.now()));
        match old.last() {
            Some(last) => place = last.cursor,
            None => return Ok(()),
        }
        store.outbox_ack(READER, place).await?;
    }
}

/// Whether an event was kept long enough. One that does not say when it happened
/// is not kept for want of knowing.
fn is_old(announcement: &Announcement, now: Timestamp) -> bool {
    let time = announcement.event["time"].as_str();
    let time = time.and_then(|text| Timestamp::parse_iso8601(text).ok());
    time.is_none_or(|time| time.after(EVENTS_KEPT) < now)
}

fn write_place(place: Stamp) -> String {
    PageToken::encode(LIST, &format!("{}.{}", place.version.0, place.place))
}

fn read_place(text: &str) -> Option<Stamp> {
    let token = PageToken::decode(LIST, text).ok()?;
    let (version, place) = token.after.split_once('.')?;
    Some(Stamp {
        version: Version(version.parse().ok()?),
        place: place.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back_and_others_refused() {
        let place = Stamp {
            version: Version(u64::MAX),
            place: 7,
        };
        assert_eq!(read_place(&write_place(place)), Some(place));
        let foreign = PageToken::encode("ListKeys", "1.2");
        for text in ["", "1.2", foreign.as_str()] {
            assert_eq!(read_place(text), None, "{text}");
        }
    }

    #[test]
    fn an_event_is_kept_for_its_time() {
        let announced = |event: Json| Announcement {
            cursor: Stamp::START,
            account: None,
            region: None,
            name: "KMS CMK Rotation".to_owned(),
            event,
        };
        let event = announced(json!({"time": "2026-01-02T03:04:05Z"}));
        let made = Timestamp::parse_iso8601("2026-01-02T03:04:05Z").unwrap();
        assert!(!is_old(&event, made.after(EVENTS_KEPT)));
        assert!(is_old(&event, Timestamp(made.after(EVENTS_KEPT).0 + 1)));
        assert!(is_old(&announced(json!({})), made));
    }
}
