//! Rows of SSH public keys.

use std::sync::Arc;

use gate::Permit;
use store::{Prefix, StoreError, Table, WriteTx};

use crate::model::{SshKey, User};
use crate::store::Rows;

/// By id of the user, and id of the key.
const SSH_KEYS: Table<(String, String), SshKey> = Table::new("iam/ssh-key", 1);

impl Rows<'_> {
    /// The SSH keys of the user with this id, by their own ids.
    pub(crate) async fn ssh_keys(&self, user_id: &str) -> Result<Vec<Arc<SshKey>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&user_id.to_owned());
        let page = self
            .scan(&SSH_KEYS, &prefix, None, store::limits::PAGE_ITEMS_MAX)
            .await?;
        Ok(page.items.into_iter().map(|(_, key)| key).collect())
    }

    /// One of them.
    pub(crate) async fn ssh_key(&self, user_id: &str, id: &str) -> Result<Option<Arc<SshKey>>, StoreError> {
        self.get(&SSH_KEYS, &(user_id.to_owned(), id.to_owned())).await
    }
}

/// Keeps a key of a user, new or changed.
pub(crate) fn put_ssh_key(tx: &mut WriteTx, user: &Permit<Arc<User>>, key: &SshKey) {
    tx.put(&SSH_KEYS, &(user.id.clone(), key.id.clone()), key);
}

/// Removes a key of a user.
pub(crate) fn delete_ssh_key(tx: &mut WriteTx, user: &Permit<Arc<User>>, id: &str) {
    tx.delete(&SSH_KEYS, &(user.id.clone(), id.to_owned()));
}
