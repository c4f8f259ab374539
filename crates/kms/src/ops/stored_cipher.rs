//! Sealing and opening under keys in custom key stores, for [`super::cipher`].
//!
//! Under an external key everything is encrypted twice: first here, under material
//! of the KMS key's own, then by the proxy. Neither side alone can read it.
//! Under a key in a cluster it is encrypted there alone.
//!
//! Who is asked is a foreign machine: the handlers that come here write nothing,
//! and may be run again.

use std::sync::Arc;

use crypto::blob::Envelope;
use gate::{Cx, Permit};
use ground::Secret;

use super::cipher::{Opened, Sealed};
use crate::Kms;
use crate::error::Error;
use crate::model::stored_ciphertext::{SealedBy, StoredCiphertext, associated_data};
use crate::model::{CiphertextReference, Custody, CustomKeyStore, EncryptionContext, Key, Place};
use crate::store::{self, custom_key_stores::SECRET_PURPOSE};
use crate::xks::{Doing, Failure, RequestMetadata};

/// The store of a key whose state was looked at.
fn store_of(key: &Key) -> Result<&Arc<CustomKeyStore>, Error> {
    key.in_store.as_ref().ok_or(Error::StoreNotConnected)
}

/// The external key that a key rests on.
fn external_key<'a>(key: &Key, custody: &'a Custody) -> Result<&'a str, Error> {
    let external_key = custody.external_key.as_deref();
    external_key.ok_or_else(|| Error::MaterialNotFound {
        arn: key.arn(),
        material: "external key".to_owned(),
    })
}

/// Encrypts under a key that lives at `custody`.
pub(super) async fn seal(
    kms: &Kms,
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    custody: &Custody,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Result<Sealed, Error> {
    let store = store_of(key)?;
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    let associated = associated_data(key.binding(), &key.material, context);
    let sealed = match &store.place {
        Place::Cluster(_) => SealedBy::Cluster(
            kms.custodians
                .encrypt_in_cluster(store, &domain, key.id.as_str(), &associated, plaintext)
                .await?,
        ),
        Place::Proxy(place) => {
            let backing = store::current_backing(cx, key).await?;
            let symmetric = backing.symmetric().ok_or(Error::InvalidCiphertext)?;
            let inner = Envelope::seal(
                symmetric,
                key.reference(),
                key.binding().as_bytes(),
                &context.authenticated(),
                plaintext,
                cx.random(),
            )?;
            let external = kms
                .custodians
                .encrypt_externally(
                    (store, place),
                    &domain,
                    external_key(key, custody)?,
                    &RequestMetadata::of_key(cx, Some(key.shared_arn())),
                    (&associated, &inner),
                )
                .await?;
            SealedBy::External(external)
        }
    };
    let ciphertext = StoredCiphertext {
        reference: key.reference().to_vec(),
        sealed,
    };
    Ok(Sealed {
        ciphertext: ciphertext.to_bytes(),
        // Told of keys alone that can have several materials.
        material: None,
    })
}

/// Decrypts what [`seal`] made.
pub(super) async fn open(
    kms: &Kms,
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    custody: &Custody,
    context: &EncryptionContext,
    ciphertext: &[u8],
) -> Result<Opened, Error> {
    let read = StoredCiphertext::parse(ciphertext).ok_or(Error::InvalidCiphertext)?;
    let reference = CiphertextReference::parse(&read.reference).ok_or(Error::InvalidCiphertext)?;
    if reference.key != key.id || reference.account != key.account {
        return Err(Error::IncorrectKey);
    }
    let store = store_of(key)?;
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    let associated = associated_data(key.binding(), &reference.material, context);
    let plaintext = match (&store.place, &read.sealed) {
        (Place::Cluster(_), SealedBy::Cluster(sealed)) => {
            kms.custodians
                .decrypt_in_cluster(store, &domain, key.id.as_str(), &associated, sealed)
                .await?
        }
        (Place::Proxy(place), SealedBy::External(sealed)) => {
            let inner = kms
                .custodians
                .decrypt_externally(
                    (store, place),
                    &domain,
                    external_key(key, custody)?,
                    &RequestMetadata::of_key(cx, Some(key.shared_arn())),
                    (&associated, sealed),
                )
                .await?;
            inner_plaintext(cx, key, &reference, context, &inner).await?
        }
        (Place::Cluster(_), SealedBy::External(_)) | (Place::Proxy(_), SealedBy::Cluster(_)) => {
            return Err(Error::InvalidCiphertext);
        }
    };
    Ok(Opened {
        plaintext,
        material: None,
    })
}

/// Opens what the proxy has opened.
async fn inner_plaintext(
    cx: &Cx,
    key: &Permit<Arc<Key>>,
    reference: &CiphertextReference,
    context: &EncryptionContext,
    inner: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let other = || Error::Proxy {
        doing: Doing::Using,
        failure: Failure::OtherPlaintext,
    };
    let envelope = Envelope::parse(inner).map_err(|_| other())?;
    if CiphertextReference::parse(envelope.reference()).as_ref() != Some(reference) {
        return Err(other());
    }
    let backing = store::backing(cx, key, &reference.material).await?;
    let backing = backing.ok_or_else(other)?;
    let symmetric = backing.symmetric().ok_or_else(other)?;
    let opened = envelope.open(symmetric, key.binding().as_bytes(), &context.authenticated());
    opened.map_err(|_| other())
}
