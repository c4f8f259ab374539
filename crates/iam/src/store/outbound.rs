//! The row of outbound federation, and whose an issuer's id is.
//!
//! Invariant: [`TOKEN_ISSUERS`], which all accounts share, has the id in the
//! account's own row.

use std::sync::Arc;

use gate::Permit;
use ground::AccountId;
use store::{Scope, StoreError, Table, View, WriteTx};

use crate::model::Outbound;
use crate::store::Rows;

/// What the account vouches with.
pub(crate) const OUTBOUND: Table<(), Outbound> = Table::new("iam/outbound-federation", 1);
/// In the scope all accounts share: by the id in an issuer's address.
const TOKEN_ISSUERS: Table<String, AccountId> = Table::new("iam/token-issuer", 1);

/// Whose issuer has that id.
pub(crate) async fn cross_account_token_issuer(
    view: &View,
    id: &str,
) -> Result<Option<AccountId>, StoreError> {
    let owner = view
        .cross_account_get(&Scope::global(), &TOKEN_ISSUERS, &id.to_owned())
        .await?;
    Ok(owner.map(|owner| *owner))
}

impl Rows<'_> {
    /// What the account vouches with, if it ever did.
    pub(crate) async fn outbound(&self) -> Result<Option<Arc<Outbound>>, StoreError> {
        self.get(&OUTBOUND, &()).await
    }
}

/// Keeps what the account vouches with.
pub(crate) fn put_outbound(tx: &mut WriteTx, account: AccountId, outbound: &Permit<Outbound>) {
    tx.cross_account_put(&Scope::global(), &TOKEN_ISSUERS, &outbound.id, &account);
    tx.put(&OUTBOUND, &(), &**outbound);
}
