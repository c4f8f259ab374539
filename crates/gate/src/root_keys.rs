//! The operator's hand on root keys: a new one, the removal of an old one, and
//! how far the work is.
//!
//! `POST /_palisade/seal/status`, `/rotate-root` and `/remove-root` ask a running
//! server; [`RootKeys`] does the same for a command that has opened the store by
//! itself. Who asks the server must be allowed `palisade:GetSealStatus`,
//! `palisade:RotateRootKey` or `palisade:RemoveRootKey` on
//! `arn:aws:palisade:REGION:ACCOUNT:seal`; a member account of an organisation is
//! refused, since the root key is everybody's. The question is recorded, and so is,
//! in the transaction of the change itself, what happened to the store.
//!
//! An old root may leave the ring when a pass has found nothing under it
//! ([`crate::reseal`]), and when nothing that callers carry away
//! ([`crate::Sealed::carried`]) can still be of use that was sealed under it. The
//! journal's seal key does not hang on the ring at all.
//!
//! Where a root is known to have leaked, sessions of its time can be ended with it
//! instead: then an hour is all the waiting. That hour is for calls under way and
//! nodes that lag, and nothing shortens it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crypto::hierarchy::RingError;
use ground::{Arn, Timestamp};
use http::Response;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use shape::OperationShape;
use store::{Scope, StoreError};

use crate::access::Access;
use crate::cx::Cx;
use crate::door::{Door, Peer};
use crate::fault::Fault;
use crate::inquiry::{enter, finish, operation, permitted, read};
use crate::jobs::JobError;
use crate::limits::ROOT_KEPT_BEYOND;
use crate::operator;
use crate::reseal::{self, PASS, Pass};
use crate::ring::{self, RingFault};
use crate::sealed::Place;

static STATUS: OperationShape = operation(
    "GetSealStatus",
    "palisade:GetSealStatus",
    "/_palisade/seal/status",
    true,
);
static ROTATE: OperationShape = operation(
    "RotateRootKey",
    "palisade:RotateRootKey",
    "/_palisade/seal/rotate-root",
    false,
);
static REMOVE: OperationShape = operation(
    "RemoveRootKey",
    "palisade:RemoveRootKey",
    "/_palisade/seal/remove-root",
    false,
);

/// Why a root key cannot be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyFault {
    /// The work on an earlier order goes on.
    #[error("rows are still being sealed again under root {0}; see `palisade seal status`")]
    Busy(u32),
    /// The change could not be made or recorded.
    #[error("the change could not be made or recorded")]
    Change(#[source] JobError),
    /// The ring does not allow it.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The ring cannot be read.
    #[error(transparent)]
    RingFault(#[from] RingFault),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Something sealed under the root may still be in use.
    #[error("what was sealed under root {root}, session tokens above all, may be in use until {until}")]
    TooEarly {
        /// Which.
        root: u32,
        /// ISO 8601.
        until: String,
    },
    /// Rows are sealed under it that do not open.
    #[error("{0} rows do not open and so may be sealed under it; the log names their tables")]
    Unreadable(u64),
}

/// The root keys of an open door's store.
pub struct RootKeys<'a>(&'a Arc<Door>);

impl Door {
    /// The root keys.
    pub fn root_keys(self: &Arc<Self>) -> RootKeys<'_> {
        RootKeys(self)
    }
}

impl RootKeys<'_> {
    async fn follow(&self) -> Result<(), RingFault> {
        let parts = &self.0.parts;
        ring::follow(&parts.store, &parts.root_key, &self.0.node).await
    }

    async fn pass(&self) -> Result<Option<Arc<Pass>>, StoreError> {
        let view = self.0.parts.store.view(Scope::global());
        view.get(&PASS, &()).await
    }

    /// Makes a new root and gives its number. It becomes the current one, and rows
    /// are sealed again under it, by a job. `by` says who asked, for the record.
    ///
    /// # Errors
    ///
    /// [`RootKeyFault`]; nothing was changed.
    pub async fn rotate(&self, by: &str) -> Result<u32, RootKeyFault> {
        self.follow().await?;
        let (parts, cx) = (&self.0.parts, self.0.set_up());
        let next = parts.root_key.ring().with_new_root(&parts.random, cx.now())?;
        let made = next.pending().expect("a ring with a new root has one pending");
        let before = self.pass().await?;
        if let Some(pass) = before.as_deref().filter(|pass| pass.finished.is_none()) {
            return Err(RootKeyFault::Busy(pass.root));
        }
        let event = reseal::event(self.0, "CreateRootKey", json!({"root": made, "by": by}));
        cx.write(Scope::global(), event, async |tx| {
            if tx.get(&PASS, &()).await?.as_deref() != before.as_deref() {
                return Err(StoreError::Conflict);
            }
            ring::put(tx, &parts.root_key, &parts.random, &next).await
        })
        .await
        .map_err(RootKeyFault::Change)?;
        parts.root_key.adopt(next);
        // Told at once where others wait for it; if that fails, the job's look does it.
        let _ = ring::tell(&parts.store, &parts.root_key, &self.0.node).await;
        Ok(made)
    }

    /// Orders an old root out of the ring: after one more pass, if that finds
    /// nothing sealed under it. `end_sessions` does not wait for what callers carry,
    /// which then is of no use any more.
    ///
    /// # Errors
    ///
    /// [`RootKeyFault`]; nothing was changed.
    pub async fn remove(&self, root: u32, end_sessions: bool, by: &str) -> Result<(), RootKeyFault> {
        self.follow().await?;
        let (parts, cx) = (&self.0.parts, self.0.set_up());
        let ring = parts.root_key.ring();
        if let Some(pending) = ring.pending() {
            return Err(RingError::Pending(pending).into());
        }
        ring.without(root)?;
        let pass = self.pass().await?;
        let pass = pass.filter(|pass| pass.root == ring.current());
        let pass = pass.ok_or(RootKeyFault::Busy(ring.current()))?;
        if pass.finished.is_none() {
            return Err(RootKeyFault::Busy(pass.root));
        }
        if pass.unreadable > 0 {
            return Err(RootKeyFault::Unreadable(pass.unreadable));
        }
        let until = self
            .needed_until(root, end_sessions)
            .unwrap_or(Timestamp(i64::MAX));
        if cx.now() < until {
            return Err(RootKeyFault::TooEarly {
                root,
                until: until.iso8601_seconds(),
            });
        }
        let ordered = pass.to_remove(root, ring.generation());
        let event = reseal::event(
            self.0,
            "OrderRootKeyRemoval",
            json!({"root": root, "endSessions": end_sessions, "by": by}),
        );
        cx.write(Scope::global(), event, async |tx| {
            if tx.get(&PASS, &()).await?.as_deref() != Some(&*pass) {
                return Err(StoreError::Conflict);
            }
            tx.put(&PASS, &(), &ordered);
            Ok(())
        })
        .await
        .map_err(RootKeyFault::Change)
    }

    /// When nothing that callers carry can need a root any more; `None` while it
    /// is current or pending.
    fn needed_until(&self, root: u32, end_sessions: bool) -> Option<Timestamp> {
        let parts = &self.0.parts;
        let info = parts.root_key.ring().roots().find(|info| info.number == root)?;
        let carried = self.0.declared.all(&parts.services);
        let longest = carried.map(|sealed| match &sealed.place {
            Place::Carried(needed) if !end_sessions => *needed,
            Place::Carried(_) | Place::Column(_) => Duration::ZERO,
        });
        let longest = longest.max().unwrap_or_default();
        Some(info.superseded?.after(longest + ROOT_KEPT_BEYOND))
    }

    /// Does some of the job's work now, if it is this node's to do: for a command
    /// that does not serve.
    ///
    /// # Errors
    ///
    /// Whatever store and journal report.
    pub async fn work(&self) -> Result<(), JobError> {
        self.follow().await?;
        self.0.run_own_job().await
    }

    /// Whether there is nothing left to do.
    ///
    /// # Errors
    ///
    /// [`RootKeyFault::Store`].
    pub async fn is_idle(&self) -> Result<bool, RootKeyFault> {
        let pending = self.0.parts.root_key.ring().pending().is_some();
        let pass = self.pass().await?;
        Ok(!pending && pass.is_none_or(|pass| pass.finished.is_some()))
    }

    /// The roots, and how far the work is, as `palisade seal status` tells it.
    ///
    /// # Errors
    ///
    /// [`RootKeyFault`] if it cannot be read.
    pub async fn status(&self) -> Result<Json, RootKeyFault> {
        self.follow().await?;
        let parts = &self.0.parts;
        let ring = parts.root_key.ring();
        let time = |time: Timestamp| time.iso8601_seconds();
        let roots = ring.roots().map(|root| {
            let state = match root.number {
                number if number == ring.current() => "current",
                number if Some(number) == ring.pending() => "pending",
                _ => "old",
            };
            json!({
                "root": root.number,
                "state": state,
                "made": (root.made.0 != 0).then(|| time(root.made)),
                "superseded": root.superseded.map(time),
                "removableFrom": self.needed_until(root.number, false).map(time),
            })
        });
        let roots: Vec<Json> = roots.collect();
        let look = parts.store.view(Scope::global()).begin();
        let waiting = ring::who_lags(&look, &self.0.node, ring.generation()).await?;
        let pass = self.pass().await?.map(|pass| {
            json!({
                "root": pass.root,
                "begun": pass.begun.map(time),
                "finished": pass.finished.map(time),
                "rowsSeen": pass.seen,
                "rowsResealed": pass.resealed + pass.resealed_before,
                "rowsUnreadable": pass.unreadable,
                "removing": pass.remove,
            })
        });
        Ok(json!({"roots": roots, "pass": pass, "waitingFor": waiting}))
    }
}

/// An order about one root.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    root: u32,
    #[serde(default, rename = "endSessions")]
    end_sessions: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(crate) async fn answer(
    door: &Arc<Door>,
    wanted: &str,
    head: &http::request::Parts,
    body: &[u8],
    peer: &Arc<Peer>,
    request_id: &str,
) -> Option<Response<Full<Bytes>>> {
    let operation = match wanted {
        "status" => &STATUS,
        "rotate-root" => &ROTATE,
        "remove-root" => &REMOVE,
        _ => return None,
    };
    let cx = match enter(door, operation, head, body, peer, request_id).await {
        Ok(cx) => cx,
        Err(answer) => return Some(answer),
    };
    let outcome = carry_out(&cx, door, operation, body).await;
    Some(finish(door, &cx, outcome).await)
}

async fn carry_out(
    cx: &Cx,
    door: &Arc<Door>,
    operation: &'static OperationShape,
    body: &[u8],
) -> Result<Json, Fault> {
    let order = if std::ptr::eq(operation, &REMOVE) {
        let order: Order = read(body, r#"{"root": NUMBER, "endSessions": BOOLEAN}"#)?;
        cx.state_parameters(json!({"root": order.root, "endSessions": order.end_sessions}).to_string());
        Some(order)
    } else {
        let _: Nothing = read(body, "{}")?;
        None
    };
    let arn = Arn::new(operator::SIGNING_NAME, cx.region(), cx.account(), "seal");
    let access = Access::to((), arn.to_string()).doing(operation.action);
    permitted(cx, access).await?;
    let standing = door.parts.guardrails.over(cx.account()).get().await;
    let standing = standing.map_err(|error| Fault::store("InternalFailure", &error))?;
    if let Some(membership) = &standing.membership
        && membership.management != cx.account()
    {
        let text = "the root key is of all accounts: of an organization, its management account may ask";
        return Err(Fault::client("AccessDeniedException", text).with_status(403));
    }
    let by = cx.caller().principal.arn();
    let keys = door.root_keys();
    let outcome = match order {
        Some(Order { root, end_sessions }) => keys
            .remove(root, end_sessions, by)
            .await
            .map(|()| json!({"root": root, "ordered": "removal"})),
        None if std::ptr::eq(operation, &ROTATE) => {
            let root = keys.rotate(by).await;
            root.map(|root| json!({"root": root, "ordered": "rotation"}))
        }
        None => keys.status().await,
    };
    outcome.map_err(|fault| told(&fault))
}

fn told(fault: &RootKeyFault) -> Fault {
    match fault {
        RootKeyFault::Busy(_)
        | RootKeyFault::Ring(_)
        | RootKeyFault::TooEarly { .. }
        | RootKeyFault::Unreadable(_) => Fault::client("ConflictException", fault).with_status(409),
        RootKeyFault::Change(error) => match error.downcast_ref() {
            Some(StoreError::Conflict) => {
                let text = "another order was first; see `palisade seal status`";
                Fault::client("ConflictException", text).with_status(409)
            }
            Some(_) | None => Fault::server("InternalFailure", error).with_status(500),
        },
        RootKeyFault::RingFault(error) => Fault::server("InternalFailure", error).with_status(500),
        RootKeyFault::Store(error) => Fault::store("InternalFailure", error),
    }
}
