//! Rows of signing certificates, and whose each is.
//!
//! Invariant: [`DIGESTS`] has a row for every certificate of the account, so
//! that nobody has one that another has.

use std::sync::Arc;

use gate::Permit;
use store::{Prefix, StoreError, Table, WriteTx};

use crate::model::SigningCertificate;
use crate::store::{KeyHolder, Rows};

/// By id of the user (the account id for root), and id of the certificate.
const SIGNING_CERTIFICATES: Table<(String, String), SigningCertificate> =
    Table::new("iam/signing-certificate", 1);
/// By digest: the id of the user.
const DIGESTS: Table<String, String> = Table::new("iam/signing-certificate-digest", 1);

impl Rows<'_> {
    /// The certificates of the user with this id, by their own ids.
    pub(crate) async fn signing_certificates(
        &self,
        owner_id: &str,
    ) -> Result<Vec<Arc<SigningCertificate>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&owner_id.to_owned());
        let page = self
            .scan(
                &SIGNING_CERTIFICATES,
                &prefix,
                None,
                store::limits::PAGE_ITEMS_MAX,
            )
            .await?;
        Ok(page
            .items
            .into_iter()
            .map(|(_, certificate)| certificate)
            .collect())
    }

    /// One of them.
    pub(crate) async fn signing_certificate(
        &self,
        owner_id: &str,
        id: &str,
    ) -> Result<Option<Arc<SigningCertificate>>, StoreError> {
        self.get(&SIGNING_CERTIFICATES, &(owner_id.to_owned(), id.to_owned()))
            .await
    }

    /// Whether anybody in the account has the certificate with this digest.
    pub(crate) async fn has_signing_certificate(&self, digest: &str) -> Result<bool, StoreError> {
        Ok(self.get(&DIGESTS, &digest.to_owned()).await?.is_some())
    }
}

/// Keeps a certificate, new or changed.
pub(crate) fn put_signing_certificate(
    tx: &mut WriteTx,
    holder: &Permit<KeyHolder>,
    certificate: &SigningCertificate,
) {
    let owner_id = holder.owner_id();
    tx.put(&DIGESTS, &certificate.digest, &owner_id);
    tx.put(
        &SIGNING_CERTIFICATES,
        &(owner_id, certificate.id.clone()),
        certificate,
    );
}

/// Removes a certificate.
pub(crate) fn delete_signing_certificate(
    tx: &mut WriteTx,
    holder: &Permit<KeyHolder>,
    certificate: &SigningCertificate,
) {
    tx.delete(&DIGESTS, &certificate.digest);
    tx.delete(
        &SIGNING_CERTIFICATES,
        &(holder.owner_id(), certificate.id.clone()),
    );
}
