//! `CreateKey` in a custom key store: what a request must say, and what is asked
//! of the store's keeper.
//!
//! The keeper is asked before the write. An external key is only looked at, which
//! may be done again. A key in a cluster is made under a fresh id; if the handler
//! is to be run again because another writer was first, nothing was committed, and
//! the key is deleted there before. A process that dies in between leaves a key in
//! the cluster that no KMS key knows.

use std::sync::Arc;

use gate::Cx;
use kms_api::OriginType;
use store::StoreError;

use crate::Kms;
use crate::error::Error;
use crate::model::{Custody, CustomKeyStore, Key, Origin, Place, Purpose};
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::xks::RequestMetadata;

/// Where a key is to be made that is not to be kept here.
pub(super) struct Wanted {
    store: String,
    external_key: Option<String>,
}

/// Where the material is to come from, and the store that it is to live in.
///
/// # Errors
///
/// [`Error::StoreParameter`], [`Error::Missing`] if the request does not fit together.
pub(super) fn parse(
    origin: Option<OriginType>,
    store: Option<&str>,
    external_key: Option<&str>,
) -> Result<(Origin, Option<Wanted>), Error> {
    let origin = match origin {
        None | Some(OriginType::AwsKms) => Origin::AwsKms,
        Some(OriginType::External) => Origin::External,
        Some(OriginType::AwsCloudhsm) => Origin::AwsCloudhsm,
        Some(OriginType::ExternalKeyStore) => Origin::ExternalKeyStore,
    };
    if external_key.is_some() && origin != Origin::ExternalKeyStore {
        return Err(Error::StoreParameter(
            "XksKeyId is valid only for KMS keys with an Origin value of EXTERNAL_KEY_STORE",
        ));
    }
    match (origin, store) {
        (Origin::AwsKms | Origin::External, None) => Ok((origin, None)),
        (Origin::AwsKms | Origin::External, Some(_)) => Err(Error::StoreParameter(
            "CustomKeyStoreId is valid only with an Origin value of AWS_CLOUDHSM or EXTERNAL_KEY_STORE",
        )),
        (Origin::AwsCloudhsm | Origin::ExternalKeyStore, None) => Err(Error::Missing {
            member: "customKeyStoreId",
        }),
        (Origin::ExternalKeyStore, Some(_)) if external_key.is_none() => {
            Err(Error::Missing { member: "xksKeyId" })
        }
        (Origin::AwsCloudhsm | Origin::ExternalKeyStore, Some(store)) => Ok((
            origin,
            Some(Wanted {
                store: store.to_owned(),
                external_key: external_key.map(str::to_owned),
            }),
        )),
    }
}

impl Wanted {
    /// A key in a store is a symmetric one for encryption, of one region.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] of any other.
    pub(super) fn check(&self, purpose: Purpose, is_multi_region: bool) -> Result<(), Error> {
        if purpose != Purpose::SYMMETRIC {
            return Err(Error::Unsupported(
                "A key of another KeySpec than SYMMETRIC_DEFAULT in a custom key store",
            ));
        }
        if is_multi_region {
            return Err(Error::Unsupported("A multi-Region key in a custom key store"));
        }
        Ok(())
    }

    /// The store, if a key of this origin can be made in it now.
    ///
    /// # Errors
    ///
    /// [`Error::StoreNotFound`], [`Error::StoreParameter`] if it is of the other
    /// kind, [`Error::StoreState`], [`Error::ExternalKeyInUse`].
    pub(super) async fn find(
        &self,
        cx: &Cx,
        origin: Origin,
    ) -> Result<(Arc<CustomKeyStore>, Custody), Error> {
        let store = custom_key_stores::by_id(cx, &self.store).await?;
        let fits = match store.place {
            Place::Cluster(_) => origin == Origin::AwsCloudhsm,
            Place::Proxy(_) => origin == Origin::ExternalKeyStore,
        };
        if !fits {
            return Err(Error::StoreParameter(
                "The Origin of the KMS key does not fit the type of the custom key store",
            ));
        }
        store.check_connected()?;
        if let Some(external_key) = &self.external_key {
            custom_key_stores::check_free(cx, &store.id, external_key).await?;
        }
        let custody = Custody {
            store: store.id.clone(),
            external_key: self.external_key.clone(),
        };
        Ok((store, custody))
    }
}

/// Makes a key in its cluster, or sees that its external key is fit.
///
/// # Errors
///
/// [`Error::Cluster`], [`Error::Proxy`].
pub(super) async fn prepare(kms: &Kms, cx: &Cx, store: &CustomKeyStore, key: &Key) -> Result<(), Error> {
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    let external_key = key
        .custody
        .as_ref()
        .and_then(|custody| custody.external_key.as_deref());
    match &store.place {
        Place::Cluster(_) => {
            kms.custodians
                .make_in_cluster(store, &domain, key.id.as_str())
                .await
        }
        Place::Proxy(place) => {
            let metadata = RequestMetadata::of_key(cx, None);
            let external_key = external_key.ok_or(Error::Missing { member: "xksKeyId" })?;
            kms.custodians
                .check_external_key(store, place, &domain, external_key, &metadata)
                .await
        }
    }
}

/// Writes a key that was prepared. If that fails for certain, what was prepared
/// is undone: of any other failure of the store it is not known whether the key
/// is there, and then its material must be.
///
/// # Errors
///
/// [`Error::ExternalKeyInUse`], whatever the store reports.
pub(super) async fn write(
    kms: &Kms,
    cx: &Cx,
    may_create: &gate::Permit<()>,
    store: &CustomKeyStore,
    key: &Key,
    custody: &Custody,
) -> Result<(), Error> {
    let written = cx
        .write(async |tx| custom_key_stores::insert_key(tx, may_create, key, custody).await)
        .await;
    if let Err(Error::Store(StoreError::Conflict | StoreError::Full) | Error::ExternalKeyInUse(_)) = &written
    {
        let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
        kms.custodians
            .delete_in_cluster(store, &domain, key.id.as_str())
            .await;
    }
    written
}
