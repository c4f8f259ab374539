//! External key store proxies are asked whether they are well, every five minutes.
//!
//! What became of it is written down, with a record, when it is another than
//! before; while a proxy is well nothing is written. Metrics tell of all that are
//! connected ([`conditions`]). A proxy that is not well changes nothing else: its
//! store stays connected, and each use of a key succeeds or fails by itself.
//!
//! A round is remembered by the node that makes it. One that takes the job over
//! begins with a round.
//!
//! Absent by design: the states of single key managers, latencies, and days until a
//! certificate expires, which AWS gives to CloudWatch.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use gate::{Condition, Event, Job, JobCx, JobError};
use ground::{Timestamp, id};
use store::{Scope, Store, StoreError};

use crate::custodians::Custodians;
use crate::error::Error;
use crate::limits::{HEALTH_CHECK_INTERVAL, HEALTH_CHECKS_PER_RUN_MAX, HEALTH_TOLD_MAX};
use crate::model::{CustomKeyStore, Place};
use crate::store::custom_key_stores::{self, Outage, SECRET_PURPOSE, UnderWay};
use crate::xks::RequestMetadata;

/// What the proxy is told to be asked for. Source: XKS Proxy API, `GetHealthStatus`.
const OPERATION: &str = "KmsHealthCheck";

/// How far a round is.
#[derive(Clone)]
struct Round {
    /// When the next begins.
    next: Timestamp,
    /// The last store that was asked in the one under way.
    after: Option<UnderWay>,
}

/// Asks proxies whether they are well.
pub(crate) fn proxy_health(custodians: Arc<Custodians>) -> Job {
    let round = Arc::new(Mutex::new(Round {
        next: Timestamp(0),
        after: None,
    }));
    Job::new("kms/check-external-key-stores", move |cx| {
        let (custodians, round) = (Arc::clone(&custodians), Arc::clone(&round));
        Box::pin(async move {
            let before = round.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let after = go_on(cx, &custodians, before).await?;
            *round.lock().unwrap_or_else(PoisonError::into_inner) = after;
            Ok(())
        })
    })
}

/// Asks the next proxies, and tells how far the round is then.
async fn go_on(cx: &JobCx, custodians: &Custodians, round: Round) -> Result<Round, JobError> {
    if round.after.is_none() && cx.now() < round.next {
        return Ok(round);
    }
    let asked =
        custom_key_stores::at_proxies(cx.store(), round.after.as_ref(), HEALTH_CHECKS_PER_RUN_MAX).await?;
    let checks = asked.iter().map(|row| check(cx, custodians, row));
    for checked in join_all(checks).await {
        // One that cannot be written down does not keep the others from being asked.
        if let Err(error) = checked {
            tracing::warn!(
                error,
                "the health of a proxy was not written down; the next round will"
            );
        }
    }
    Ok(if asked.len() == HEALTH_CHECKS_PER_RUN_MAX {
        Round {
            after: asked.into_iter().next_back(),
            ..round
        }
    } else {
        Round {
            next: cx.now().after(HEALTH_CHECK_INTERVAL),
            after: None,
        }
    })
}

async fn check(cx: &JobCx, custodians: &Custodians, row: &UnderWay) -> Result<(), JobError> {
    let Some(store) = custom_key_stores::of_job(cx, row).await? else {
        return Ok(());
    };
    let Place::Proxy(place) = &store.place else {
        return Ok(());
    };
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    let request = id::uuid_at(cx.now(), cx.random().bytes());
    let metadata = RequestMetadata::of_store(OPERATION, &request);
    let code = match custodians.check_proxy(&store, place, &domain, &metadata).await {
        Ok(()) => None,
        Err(Error::Proxy { failure, .. }) => Some(failure.connection_error_code().as_str().to_owned()),
        Err(error) => return Err(error.into()),
    };
    let before = custom_key_stores::outage(cx.store(), row).await?;
    if before.as_ref().map(|outage| &outage.code) == code.as_ref() {
        return Ok(());
    }
    let now = code.map(|code| Outage {
        since: before.as_ref().map_or_else(|| cx.now(), |outage| outage.since),
        code,
    });
    let scope = Scope::regional(store.account, &store.region);
    let event = event(&store, before.as_deref(), now.as_ref());
    cx.write(scope, event, async |tx| {
        custom_key_stores::note_outage(tx, &store.id, now.as_ref()).await
    })
    .await
}

/// The record of a change. AWS makes none.
fn event(store: &CustomKeyStore, before: Option<&Outage>, now: Option<&Outage>) -> Event {
    let since = now.or(before).map(|outage| outage.since.iso8601_seconds());
    Event {
        source: "kms.amazonaws.com",
        name: "CustomKeyStoreHealthChange",
        account: store.account,
        region: store.region.clone(),
        resources: Vec::new(),
        details: Some(serde_json::json!({
            "customKeyStoreId": store.id.as_str(),
            "healthy": now.is_none(),
            "connectionErrorCode": now.map(|outage| &outage.code),
            "previousConnectionErrorCode": before.map(|outage| &outage.code),
            "unhealthySince": since,
        })),
    }
}

/// Whether each proxy that a store is connected to was well when it was last asked,
/// of the first [`HEALTH_TOLD_MAX`].
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn conditions(store: &Store) -> Result<Vec<Condition>, StoreError> {
    let mut told = Vec::new();
    for row in custom_key_stores::at_proxies(store, None, HEALTH_TOLD_MAX).await? {
        let is_well = custom_key_stores::outage(store, &row).await?.is_none();
        let (account, region, id) = row;
        told.push(Condition {
            kind: "external-key-store",
            account,
            region,
            id: id.as_str().to_owned(),
            is_well,
        });
    }
    Ok(told)
}
