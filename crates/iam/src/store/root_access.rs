//! The row of centralized root access, kept in the management account.

use gate::Permit;
use ground::AccountId;
use store::{Scope, StoreError, Table, WriteTx};

use crate::model::RootAccess;
use crate::store::Rows;

/// What the organisation of this management account has enabled.
const ROOT_ACCESS: Table<(), RootAccess> = Table::new("iam/root-access", 1);

impl Rows<'_> {
    /// What `organization`, whose management account this is, has enabled.
    pub(crate) async fn root_access(&self, organization: &str) -> Result<RootAccess, StoreError> {
        let known = self.get(&ROOT_ACCESS, &()).await?;
        let known = known.filter(|known| known.organization == organization);
        Ok(known.map_or_else(
            || RootAccess {
                organization: organization.to_owned(),
                ..RootAccess::default()
            },
            |known| (*known).clone(),
        ))
    }
}

/// Keeps what the organisation of `management` has enabled.
pub(crate) fn put_root_access(tx: &mut WriteTx, management: AccountId, access: &Permit<RootAccess>) {
    tx.cross_account_put(&Scope::regionless(management), &ROOT_ACCESS, &(), &**access);
}
