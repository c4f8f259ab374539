//! `CreateCustomKeyStore`.
//!
//! A proxy or cluster is asked before the write: bounded in time, and harmless if
//! the handler is run again.

use gate::Cx;
use ground::Secret;
use kms_api::{
    CreateCustomKeyStoreInput, CreateCustomKeyStoreOutput, CustomKeyStoreType,
    XksProxyAuthenticationCredentialType, XksProxyConnectivityType,
};

use crate::error::Error;
use crate::limits::CUSTOM_KEY_STORES_MAX;
use crate::model::custom_key_store::{ClusterPlace, Credential, ProxyPlace, SealedSecret};
use crate::model::{Connection, CustomKeyStore, Place, StoreId};
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::xks::RequestMetadata;
use crate::{Kms, access};

/// Makes a custom key store, disconnected.
///
/// # Errors
///
/// [`Error::StoreParameter`] and [`Error::Missing`] if the request does not fit
/// together; [`Error::TooManyStores`], [`Error::StoreNameInUse`]; what is wrong
/// with the proxy or the cluster.
pub async fn create_custom_key_store(
    kms: &Kms,
    cx: &Cx,
    input: CreateCustomKeyStoreInput,
) -> Result<CreateCustomKeyStoreOutput, Error> {
    let name = input.custom_key_store_name.clone();
    let wanted = Wanted::parse(input)?;

    let may_create = cx.authorize(access::account(())).await?;
    let known = custom_key_stores::all(cx).await?;
    if known.len() >= CUSTOM_KEY_STORES_MAX {
        return Err(Error::TooManyStores);
    }
    if known.iter().any(|store| store.name == name) {
        return Err(Error::StoreNameInUse(name));
    }

    let domain = cx.domain_key(cx.account(), cx.region(), SECRET_PURPOSE);
    let id = StoreId::generate(cx.random());
    let place = match wanted {
        Wanted::Cluster {
            cluster,
            trust_anchor,
            password,
        } => Place::Cluster(ClusterPlace {
            password: SealedSecret::seal(&domain, &id, &cluster, &password, cx.random())
                .map_err(Error::Crypto)?,
            cluster,
            trust_anchor,
            next_password: None,
        }),
        Wanted::Proxy {
            endpoint,
            path,
            credential,
        } => Place::Proxy(ProxyPlace {
            endpoint,
            path,
            credential: credential
                .seal(&domain, &id, cx.random())
                .map_err(Error::Crypto)?,
        }),
    };
    let store = CustomKeyStore {
        id,
        account: cx.account(),
        region: cx.region().clone(),
        name,
        created: cx.now(),
        place,
        connection: Connection::Disconnected,
    };
    match &store.place {
        Place::Cluster(place) => {
            let cluster = kms
                .custodians
                .cluster(store.account, &store.region, &place.cluster)?;
            let is_taken = known.iter().any(|other| match &other.place {
                Place::Cluster(other) => {
                    other.cluster == place.cluster || cluster.is_trust_anchor(&other.trust_anchor)
                }
                Place::Proxy(_) => false,
            });
            if is_taken {
                return Err(Error::ClusterInUse(place.cluster.clone()));
            }
            if !cluster.is_active().await {
                return Err(Error::ClusterNotActive(place.cluster.clone()));
            }
            if !cluster.is_trust_anchor(&place.trust_anchor) {
                return Err(Error::TrustAnchor(place.cluster.clone()));
            }
        }
        Place::Proxy(place) => {
            check_proxy_is_free(&known, &store, place)?;
            let metadata = RequestMetadata::of_store(cx.operation().name, cx.request_id());
            kms.custodians
                .check_proxy(&store, place, &domain, &metadata)
                .await?;
        }
    }

    cx.write(async |tx| {
        custom_key_stores::insert(tx, &may_create, &store);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(CreateCustomKeyStoreOutput {
        custom_key_store_id: Some(store.id.to_string()),
    })
}

/// No two stores of an account and region have one proxy.
pub(super) fn check_proxy_is_free(
    known: &[std::sync::Arc<CustomKeyStore>],
    store: &CustomKeyStore,
    place: &ProxyPlace,
) -> Result<(), Error> {
    let is_same = |other: &CustomKeyStore| match &other.place {
        Place::Proxy(other) => other.url() == place.url(),
        Place::Cluster(_) => false,
    };
    match known.iter().any(|other| other.id != store.id && is_same(other)) {
        true => Err(Error::ProxyUriInUse(place.url())),
        false => Ok(()),
    }
}

/// A credential as a request gives it.
pub(super) fn credential(given: XksProxyAuthenticationCredentialType) -> Credential {
    Credential {
        access_key_id: given.access_key_id,
        secret: given.raw_secret_access_key,
    }
}

/// Where the keys are to live, as the request says it.
enum Wanted {
    Cluster {
        cluster: String,
        trust_anchor: String,
        password: Secret<String>,
    },
    Proxy {
        endpoint: String,
        path: String,
        credential: Credential,
    },
}

impl Wanted {
    fn parse(input: CreateCustomKeyStoreInput) -> Result<Wanted, Error> {
        let missing = |member| Error::Missing { member };
        match input
            .custom_key_store_type
            .unwrap_or(CustomKeyStoreType::AwsCloudhsm)
        {
            CustomKeyStoreType::AwsCloudhsm => {
                let of_proxies = input.xks_proxy_uri_endpoint.is_some()
                    || input.xks_proxy_uri_path.is_some()
                    || input.xks_proxy_vpc_endpoint_service_name.is_some()
                    || input.xks_proxy_vpc_endpoint_service_owner.is_some()
                    || input.xks_proxy_authentication_credential.is_some()
                    || input.xks_proxy_connectivity.is_some();
                if of_proxies {
                    return Err(Error::StoreParameter(
                        "XksProxy parameters are valid only with the CustomKeyStoreType EXTERNAL_KEY_STORE",
                    ));
                }
                Ok(Wanted::Cluster {
                    cluster: input.cloud_hsm_cluster_id.ok_or(missing("cloudHsmClusterId"))?,
                    trust_anchor: input
                        .trust_anchor_certificate
                        .ok_or(missing("trustAnchorCertificate"))?,
                    password: input.key_store_password.ok_or(missing("keyStorePassword"))?,
                })
            }
            CustomKeyStoreType::ExternalKeyStore => {
                let of_clusters = input.cloud_hsm_cluster_id.is_some()
                    || input.trust_anchor_certificate.is_some()
                    || input.key_store_password.is_some();
                if of_clusters {
                    return Err(Error::StoreParameter(
                        "CloudHsmClusterId, TrustAnchorCertificate and KeyStorePassword are valid only with the \
                         CustomKeyStoreType AWS_CLOUDHSM",
                    ));
                }
                let connectivity = input
                    .xks_proxy_connectivity
                    .ok_or(missing("xksProxyConnectivity"))?;
                let wanted = Wanted::Proxy {
                    endpoint: input
                        .xks_proxy_uri_endpoint
                        .ok_or(missing("xksProxyUriEndpoint"))?,
                    path: input.xks_proxy_uri_path.ok_or(missing("xksProxyUriPath"))?,
                    credential: input
                        .xks_proxy_authentication_credential
                        .map(credential)
                        .ok_or(missing("xksProxyAuthenticationCredential"))?,
                };
                check_connectivity(
                    connectivity,
                    input.xks_proxy_vpc_endpoint_service_name,
                    input.xks_proxy_vpc_endpoint_service_owner.as_deref(),
                )?;
                Ok(wanted)
            }
        }
    }
}

/// A proxy is reached by its public endpoint: of VPC endpoint services none is found.
pub(super) fn check_connectivity(
    connectivity: XksProxyConnectivityType,
    service: Option<String>,
    service_owner: Option<&str>,
) -> Result<(), Error> {
    match (connectivity, service) {
        (XksProxyConnectivityType::VpcEndpointService, Some(name)) => {
            Err(Error::VpcEndpointServiceNotFound(name))
        }
        (XksProxyConnectivityType::VpcEndpointService, None) => Err(Error::Missing {
            member: "xksProxyVpcEndpointServiceName",
        }),
        (XksProxyConnectivityType::PublicEndpoint, None) if service_owner.is_none() => Ok(()),
        (XksProxyConnectivityType::PublicEndpoint, _) => Err(Error::StoreParameter(
            "XksProxyVpcEndpointServiceName and XksProxyVpcEndpointServiceOwner are valid only with the \
             XksProxyConnectivity VPC_ENDPOINT_SERVICE",
        )),
    }
}
