//! `DescribeCustomKeyStores`, `DeleteCustomKeyStore`, `ConnectCustomKeyStore` and
//! `DisconnectCustomKeyStore`.
//!
//! To connect and to disconnect is only asked for here; [`crate::jobs::connections`]
//! does it. Before a store is connected its cluster is asked whether it is
//! active: bounded in time, and harmless if the handler is run again.

use std::sync::Arc;

use crypto::hierarchy::DomainKey;
use gate::Cx;
use kms_api::{
    ConnectCustomKeyStoreInput, ConnectCustomKeyStoreOutput, CustomKeyStoresListEntry,
    DeleteCustomKeyStoreInput, DeleteCustomKeyStoreOutput, DescribeCustomKeyStoresInput,
    DescribeCustomKeyStoresOutput, DisconnectCustomKeyStoreInput, DisconnectCustomKeyStoreOutput,
    XksProxyConfigurationType, XksProxyConnectivityType,
};
use store::TextKey as _;

use crate::error::Error;
use crate::limits::CUSTOM_KEY_STORES_PAGE;
use crate::model::{CustomKeyStore, Place, StoreId};
use crate::ops::page;
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::{Kms, access};

const LIST: &str = "DescribeCustomKeyStores";

/// Tells of the stores of the caller's account and region, or of one. Passwords
/// and secret keys are never told.
///
/// # Errors
///
/// [`Error::StoreParameter`] for an id and a name, [`Error::StoreNotFound`],
/// [`Error::InvalidMarker`], [`Error::Limit`].
pub async fn describe_custom_key_stores(
    _kms: &Kms,
    cx: &Cx,
    input: DescribeCustomKeyStoresInput,
) -> Result<DescribeCustomKeyStoresOutput, Error> {
    let size = page::size(input.limit, CUSTOM_KEY_STORES_PAGE)?;
    let after = page::after(LIST, input.marker.as_deref(), StoreId::from_text)?;

    cx.authorize(access::account(())).await?;
    let known = custom_key_stores::all(cx).await?;
    let sought: Vec<Arc<CustomKeyStore>> = match (input.custom_key_store_id, input.custom_key_store_name) {
        (Some(_), Some(_)) => {
            return Err(Error::StoreParameter(
                "You can specify CustomKeyStoreId or CustomKeyStoreName, but not both",
            ));
        }
        (Some(id), None) => vec![custom_key_stores::by_id(cx, &id).await?],
        (None, Some(name)) => {
            let found = known.into_iter().find(|store| store.name == name);
            vec![found.ok_or(Error::StoreNotFound(name))?]
        }
        (None, None) => known,
    };
    let (page, more) = page::cut(sought.iter(), size, |store| {
        after.as_ref().is_none_or(|after| store.id > *after)
    });
    let last = page.last().filter(|_| more).map(|store| store.id.as_str());
    let domain = cx.domain_key(cx.account(), cx.region(), SECRET_PURPOSE);
    let entries = page.into_iter().map(|store| entry(store, &domain));
    Ok(DescribeCustomKeyStoresOutput {
        next_marker: page::marker(LIST, last),
        truncated: Some(more),
        custom_key_stores: Some(entries.collect::<Result<_, _>>()?),
    })
}

fn entry(store: &CustomKeyStore, domain: &DomainKey) -> Result<CustomKeyStoresListEntry, Error> {
    let (cluster, proxy) = match &store.place {
        Place::Cluster(place) => (Some(place), None),
        Place::Proxy(place) => (None, Some(place)),
    };
    let credential = proxy.map(|place| place.credential(domain, &store.id));
    let credential = credential.transpose().map_err(Error::Crypto)?;
    Ok(CustomKeyStoresListEntry {
        custom_key_store_id: Some(store.id.to_string()),
        custom_key_store_name: Some(store.name.clone()),
        cloud_hsm_cluster_id: cluster.map(|place| place.cluster.clone()),
        trust_anchor_certificate: cluster.map(|place| place.trust_anchor.clone()),
        connection_state: Some(store.connection.state()),
        connection_error_code: store.connection.error_code(),
        creation_date: Some(store.created),
        custom_key_store_type: Some(store.kind()),
        xks_proxy_configuration: proxy.map(|place| XksProxyConfigurationType {
            connectivity: Some(XksProxyConnectivityType::PublicEndpoint),
            access_key_id: credential.map(|credential| credential.access_key_id),
            uri_endpoint: Some(place.endpoint.clone()),
            uri_path: Some(place.path.clone()),
            vpc_endpoint_service_name: None,
            vpc_endpoint_service_owner: None,
        }),
    })
}

/// Deletes a store that is disconnected and that no keys live in.
///
/// # Errors
///
/// [`Error::StoreNotFound`], [`Error::StoreState`], [`Error::StoreHasKeys`].
pub async fn delete_custom_key_store(
    _kms: &Kms,
    cx: &Cx,
    input: DeleteCustomKeyStoreInput,
) -> Result<DeleteCustomKeyStoreOutput, Error> {
    let may_delete = cx.authorize(access::account(())).await?;
    let store = custom_key_stores::by_id(cx, &input.custom_key_store_id).await?;
    store.check_disconnected()?;
    custom_key_stores::check_empty(cx, &store.id).await?;

    cx.write(async |tx| {
        custom_key_stores::delete(tx, &may_delete, &store);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(DeleteCustomKeyStoreOutput {})
}

/// Begins to connect a store. What comes of it, `DescribeCustomKeyStores` tells.
/// A store that is connected stays so.
///
/// # Errors
///
/// [`Error::StoreNotFound`], [`Error::StoreState`]; [`Error::ClusterNotActive`]
/// if its cluster is there and does not answer.
pub async fn connect_custom_key_store(
    kms: &Kms,
    cx: &Cx,
    input: ConnectCustomKeyStoreInput,
) -> Result<ConnectCustomKeyStoreOutput, Error> {
    let may_connect = cx.authorize(access::account(())).await?;
    let store = custom_key_stores::by_id(cx, &input.custom_key_store_id).await?;
    let mut after = CustomKeyStore::clone(&store);
    after.connect(cx.request_id())?;
    if let Place::Cluster(place) = &store.place
        && let Ok(cluster) = kms
            .custodians
            .cluster(store.account, &store.region, &place.cluster)
        && !cluster.is_active().await
    {
        return Err(Error::ClusterNotActive(place.cluster.clone()));
    }

    cx.write(async |tx| {
        custom_key_stores::update(tx, &may_connect, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(ConnectCustomKeyStoreOutput {})
}

/// Begins to disconnect a store: from now on its keys cannot be used.
///
/// # Errors
///
/// [`Error::StoreNotFound`], [`Error::StoreState`].
pub async fn disconnect_custom_key_store(
    _kms: &Kms,
    cx: &Cx,
    input: DisconnectCustomKeyStoreInput,
) -> Result<DisconnectCustomKeyStoreOutput, Error> {
    let may_disconnect = cx.authorize(access::account(())).await?;
    let store = custom_key_stores::by_id(cx, &input.custom_key_store_id).await?;
    let mut after = CustomKeyStore::clone(&store);
    after.disconnect()?;

    cx.write(async |tx| {
        custom_key_stores::update(tx, &may_disconnect, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(DisconnectCustomKeyStoreOutput {})
}
