//! Rows of passwords.

use std::sync::Arc;

use gate::Permit;
use store::{StoreError, Table, WriteTx};

use crate::model::LoginProfile;
use crate::store::{KeyHolder, Rows};

/// By id of the user; the account id for root.
pub(crate) const LOGIN_PROFILES: Table<String, LoginProfile> = Table::new("iam/login-profile", 1);

impl Rows<'_> {
    /// The password of the user with this id.
    pub(crate) async fn login_profile(
        &self,
        owner_id: &str,
    ) -> Result<Option<Arc<LoginProfile>>, StoreError> {
        self.get(&LOGIN_PROFILES, &owner_id.to_owned()).await
    }
}

/// Gives a user a password, or another.
pub(crate) fn put_login_profile(tx: &mut WriteTx, holder: &Permit<KeyHolder>, profile: &LoginProfile) {
    tx.put(&LOGIN_PROFILES, &holder.owner_id(), profile);
}

/// Takes a user's password away.
pub(crate) fn delete_login_profile(tx: &mut WriteTx, holder: &Permit<KeyHolder>) {
    tx.delete(&LOGIN_PROFILES, &holder.owner_id());
}
