//! Rows of credentials for one service.

use std::sync::Arc;

use gate::Permit;
use store::{Prefix, StoreError, Table, WriteTx};

use crate::model::ServiceCredential;
use crate::store::{KeyHolder, Rows};

/// By id of the user, and id of the credential.
pub(crate) const SERVICE_CREDENTIALS: Table<(String, String), ServiceCredential> =
    Table::new("iam/service-credential", 1);

impl Rows<'_> {
    /// The credentials of the user with this id, by their own ids.
    pub(crate) async fn service_credentials(
        &self,
        user_id: &str,
    ) -> Result<Vec<Arc<ServiceCredential>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&user_id.to_owned());
        let most = store::limits::PAGE_ITEMS_MAX;
        let page = self.scan(&SERVICE_CREDENTIALS, &prefix, None, most).await?;
        Ok(page.items.into_iter().map(|(_, credential)| credential).collect())
    }

    /// One of them.
    pub(crate) async fn service_credential(
        &self,
        user_id: &str,
        id: &str,
    ) -> Result<Option<Arc<ServiceCredential>>, StoreError> {
        self.get(&SERVICE_CREDENTIALS, &(user_id.to_owned(), id.to_owned()))
            .await
    }
}

/// Keeps a credential of a user, new or changed.
pub(crate) fn put_service_credential(
    tx: &mut WriteTx,
    holder: &Permit<KeyHolder>,
    credential: &ServiceCredential,
) {
    let key = (holder.owner_id(), credential.id.clone());
    tx.put(&SERVICE_CREDENTIALS, &key, credential);
}

/// Removes a credential of a user.
pub(crate) fn delete_service_credential(tx: &mut WriteTx, holder: &Permit<KeyHolder>, id: &str) {
    tx.delete(&SERVICE_CREDENTIALS, &(holder.owner_id(), id.to_owned()));
}
