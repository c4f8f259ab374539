//! `UpdateCustomKeyStore`.
//!
//! A proxy is asked before the write whether the new settings work: bounded in
//! time, and harmless if the handler is run again.

use gate::Cx;
use ground::Secret;
use kms_api::{UpdateCustomKeyStoreInput, UpdateCustomKeyStoreOutput, XksProxyConnectivityType};

use crate::error::Error;
use crate::model::custom_key_store::{ClusterPlace, ProxyPlace, SealedSecret};
use crate::model::{CustomKeyStore, Place};
use crate::ops::create_custom_key_store::{check_connectivity, check_proxy_is_free, credential};
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::xks::RequestMetadata;
use crate::{Kms, access};

/// Changes a custom key store. Name, path and credential of a proxy may change
/// while it is connected, everything else only while it is disconnected.
///
/// # Errors
///
/// [`Error::StoreNotFound`], [`Error::StoreState`], [`Error::StoreNameInUse`],
/// [`Error::StoreParameter`] for what is of the other kind; what is wrong with
/// the proxy or the cluster.
pub async fn update_custom_key_store(
    kms: &Kms,
    cx: &Cx,
    input: UpdateCustomKeyStoreInput,
) -> Result<UpdateCustomKeyStoreOutput, Error> {
    let may_change = cx.authorize(access::account(())).await?;
    let before = custom_key_stores::by_id(cx, &input.custom_key_store_id).await?;
    let known = custom_key_stores::all(cx).await?;

    let mut after = CustomKeyStore::clone(&before);
    if let Some(name) = &input.new_custom_key_store_name {
        before.check_connected_or_disconnected()?;
        if known
            .iter()
            .any(|other| other.id != before.id && other.name == *name)
        {
            return Err(Error::StoreNameInUse(name.clone()));
        }
        after.name.clone_from(name);
    }
    match &before.place {
        Place::Cluster(place) => {
            let changed = change_cluster(kms, cx, &known, &before, place, &input).await?;
            after.place = Place::Cluster(changed);
        }
        Place::Proxy(place) => {
            let changed = change_proxy(cx, &before, place, input)?;
            if let Some(changed) = changed {
                check_proxy_is_free(&known, &before, &changed)?;
                let domain = cx.domain_key(before.account, &before.region, SECRET_PURPOSE);
                let metadata = RequestMetadata::of_store(cx.operation().name, cx.request_id());
                kms.custodians
                    .check_proxy(&before, &changed, &domain, &metadata)
                    .await?;
                after.place = Place::Proxy(changed);
            }
        }
    }

    cx.write(async |tx| {
        custom_key_stores::update(tx, &may_change, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(UpdateCustomKeyStoreOutput {})
}

/// What becomes of the place of a store in a cluster.
async fn change_cluster(
    kms: &Kms,
    cx: &Cx,
    known: &[std::sync::Arc<CustomKeyStore>],
    store: &CustomKeyStore,
    place: &ClusterPlace,
    input: &UpdateCustomKeyStoreInput,
) -> Result<ClusterPlace, Error> {
    let of_proxies = input.xks_proxy_uri_endpoint.is_some()
        || input.xks_proxy_uri_path.is_some()
        || input.xks_proxy_vpc_endpoint_service_name.is_some()
        || input.xks_proxy_vpc_endpoint_service_owner.is_some()
        || input.xks_proxy_authentication_credential.is_some()
        || input.xks_proxy_connectivity.is_some();
    if of_proxies {
        return Err(Error::StoreParameter(
            "XksProxy parameters are valid only for an external key store",
        ));
    }
    let mut after = place.clone();
    if input.cloud_hsm_cluster_id.is_none() && input.key_store_password.is_none() {
        return Ok(after);
    }
    store.check_disconnected()?;
    if let Some(id) = &input.cloud_hsm_cluster_id {
        let cluster = kms.custodians.cluster(store.account, &store.region, id)?;
        let is_taken = known.iter().any(|other| match &other.place {
            Place::Cluster(taken) => other.id != store.id && taken.cluster == *id,
            Place::Proxy(_) => false,
        });
        if is_taken || !cluster.is_trust_anchor(&place.trust_anchor) {
            return Err(Error::ClusterNotRelated(id.clone()));
        }
        if !cluster.is_active().await {
            return Err(Error::ClusterNotActive(id.clone()));
        }
        after.cluster.clone_from(id);
    }
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    // Sealed anew, because it is bound to the cluster that it is given to.
    let seal = |password: &Secret<String>| {
        SealedSecret::seal(&domain, &store.id, &after.cluster, password, cx.random()).map_err(Error::Crypto)
    };
    let again = |sealed: &SealedSecret| {
        let kept = sealed.open(&domain, &store.id, &place.cluster);
        seal(&kept.map_err(Error::Crypto)?)
    };
    (after.password, after.next_password) = match &input.key_store_password {
        Some(password) => (seal(password)?, None),
        None => (
            again(&place.password)?,
            place.next_password.as_ref().map(again).transpose()?,
        ),
    };
    Ok(after)
}

/// What becomes of the place of a store behind a proxy, if it changes.
fn change_proxy(
    cx: &Cx,
    store: &CustomKeyStore,
    place: &ProxyPlace,
    input: UpdateCustomKeyStoreInput,
) -> Result<Option<ProxyPlace>, Error> {
    if input.cloud_hsm_cluster_id.is_some() || input.key_store_password.is_some() {
        return Err(Error::StoreParameter(
            "CloudHsmClusterId and KeyStorePassword are valid only for an AWS CloudHSM key store",
        ));
    }
    check_connectivity(
        input
            .xks_proxy_connectivity
            .unwrap_or(XksProxyConnectivityType::PublicEndpoint),
        input.xks_proxy_vpc_endpoint_service_name,
        input.xks_proxy_vpc_endpoint_service_owner.as_deref(),
    )?;
    if input.xks_proxy_uri_endpoint.is_some() || input.xks_proxy_connectivity.is_some() {
        store.check_disconnected()?;
    }
    let changes = input.xks_proxy_uri_endpoint.is_some()
        || input.xks_proxy_connectivity.is_some()
        || input.xks_proxy_uri_path.is_some()
        || input.xks_proxy_authentication_credential.is_some();
    if !changes {
        return Ok(None);
    }
    store.check_connected_or_disconnected()?;
    let mut after = place.clone();
    if let Some(endpoint) = input.xks_proxy_uri_endpoint {
        after.endpoint = endpoint;
    }
    if let Some(path) = input.xks_proxy_uri_path {
        after.path = path;
    }
    if let Some(given) = input.xks_proxy_authentication_credential {
        let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
        after.credential = credential(given)
            .seal(&domain, &store.id, cx.random())
            .map_err(Error::Crypto)?;
    }
    Ok(Some(after))
}
