//! Custom key stores are connected and disconnected.
//!
//! Connecting one to a cluster that wants it gives `kmsuser` another password, as
//! AWS does, which nobody knows. What he is to get is written down first, beside
//! what he has; then he gets it; then the one takes the other's place. Whoever
//! connects the store after this was cut off tries both.
//!
//! Invariants: a password that `kmsuser` may have is in the row; a try that
//! nobody finished is counted before it is begun, and there are at most
//! [`CONNECTION_TRIES_MAX`].
//!
//! Absent by design: trying again what failed. Clusters lock users out, and the
//! owner sees why it failed.

use gate::{JobCx, JobError};
use ground::Secret;
use kms_api::ConnectionErrorCodeType;

use crate::custodians::Custodians;
use crate::error::Error;
use crate::limits::{CONNECTION_TRIES_MAX, CONNECTIONS_PER_RUN_MAX};
use crate::model::custom_key_store::{ClusterPlace, SealedSecret};
use crate::model::{Connection, CustomKeyStore, Place};
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::xks::RequestMetadata;

/// Bytes of chance in a password. In hexadecimal digits they are the 32
/// characters that `KeyStorePassword` may have at most.
const PASSWORD_BYTES: usize = 16;

/// Connects and disconnects the stores that are to be, up to
/// [`CONNECTIONS_PER_RUN_MAX`] of them. Each proxy and cluster has its own bound in time.
///
/// # Errors
///
/// Whatever the store reports. A store that cannot be connected is no error here:
/// its row says why.
pub(super) async fn settle(cx: &JobCx, custodians: &Custodians) -> Result<(), JobError> {
    for row in custom_key_stores::under_way(cx, CONNECTIONS_PER_RUN_MAX).await? {
        let Some(before) = custom_key_stores::of_job(cx, &row).await? else {
            continue;
        };
        match &before.connection {
            Connection::Connecting { request, tries } => {
                connect(cx, custodians, &before, (request, *tries)).await?;
            }
            Connection::Disconnecting => {
                custodians.log_out(&before).await;
                end(cx, &before, Connection::Disconnected).await?;
            }
            Connection::Connected | Connection::Disconnected | Connection::Failed { .. } => {}
        }
    }
    Ok(())
}

/// Says what has become of a connection.
async fn end(cx: &JobCx, store: &CustomKeyStore, connection: Connection) -> Result<(), JobError> {
    custom_key_stores::settle(cx, store, |after| after.connection = connection.clone()).await?;
    Ok(())
}

fn failed(code: &ConnectionErrorCodeType) -> Connection {
    Connection::Failed {
        code: code.as_str().to_owned(),
    }
}

async fn connect(
    cx: &JobCx,
    custodians: &Custodians,
    store: &CustomKeyStore,
    (request, tries): (&str, u32),
) -> Result<(), JobError> {
    if tries >= CONNECTION_TRIES_MAX {
        tracing::warn!(
            store = store.id.as_str(),
            tries,
            "connecting was cut off too often"
        );
        return end(cx, store, failed(&ConnectionErrorCodeType::InternalError)).await;
    }
    let begun = custom_key_stores::settle(cx, store, |after| {
        after.connection = Connection::Connecting {
            request: request.to_owned(),
            tries: tries + 1,
        };
    });
    let Some(store) = begun.await? else {
        return Ok(());
    };
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    match &store.place {
        Place::Cluster(place) => match custodians.log_in(&store, place, &domain).await {
            Ok(password) => rotate(cx, custodians, &store, place, password).await,
            Err(code) => end(cx, &store, failed(&code)).await,
        },
        Place::Proxy(place) => {
            let metadata = RequestMetadata::of_store("ConnectCustomKeyStore", request);
            let connection = match custodians.check_proxy(&store, place, &domain, &metadata).await {
                Ok(()) => Connection::Connected,
                Err(Error::Proxy { failure, .. }) => failed(&failure.connection_error_code()),
                Err(error) => return Err(error.into()),
            };
            end(cx, &store, connection).await
        }
    }
}

/// Gives `kmsuser`, who is logged in by `password`, another one if his cluster
/// wants that; then the store is connected.
async fn rotate(
    cx: &JobCx,
    custodians: &Custodians,
    store: &CustomKeyStore,
    place: &ClusterPlace,
    password: SealedSecret,
) -> Result<(), JobError> {
    let known = |password: &SealedSecret, next: Option<&SealedSecret>| {
        Place::Cluster(ClusterPlace {
            password: password.clone(),
            next_password: next.cloned(),
            ..place.clone()
        })
    };
    let connected = |password: &SealedSecret| {
        let place = known(password, None);
        move |after: &mut CustomKeyStore| {
            after.place = place.clone();
            after.connection = Connection::Connected;
        }
    };
    if !custodians.rotates_password(store, place) {
        custom_key_stores::settle(cx, store, connected(&password)).await?;
        return Ok(());
    }
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    let drawn = Secret::new(cx.random().bytes::<PASSWORD_BYTES>());
    let drawn = Secret::new(hex::encode(drawn.expose()));
    let next = SealedSecret::seal(&domain, &store.id, &place.cluster, &drawn, cx.random())?;
    let intended = known(&password, Some(&next));
    let written = custom_key_stores::settle(cx, store, |after| after.place = intended.clone()).await?;
    let Some(store) = written else {
        return Ok(());
    };
    let Place::Cluster(place) = &store.place else {
        return Ok(());
    };
    match custodians.change_password(&store, place, &next, &domain).await {
        Ok(()) => {
            custom_key_stores::settle(cx, &store, connected(&next)).await?;
            Ok(())
        }
        Err(code) => end(cx, &store, failed(&code)).await,
    }
}
