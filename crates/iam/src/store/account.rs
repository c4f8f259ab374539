//! Rows of the account as a whole: its alias and its password policy.
//!
//! Invariant: [`ALIASES`], which all accounts share, and the alias in the
//! account's own row say the same.

use std::sync::Arc;

use gate::Permit;
use ground::AccountId;
use store::{Scope, StoreError, Table, View, WriteTx};

use crate::model::{Account, PasswordPolicy};
use crate::store::{ACCOUNT, Rows};

/// In the scope all accounts share: by alias.
pub(crate) const ALIASES: Table<String, AccountId> = Table::new("iam/account-alias", 1);
/// The password policy that the account has set.
pub(crate) const PASSWORD_POLICY: Table<(), PasswordPolicy> = Table::new("iam/password-policy", 1);

/// The version of the global endpoint's session tokens that the account has set.
const TOKEN_VERSION: Table<(), u8> = Table::new("iam/token-version", 1);

/// What holds until an account sets another. AWS begins at 1.
const TOKEN_VERSION_DEFAULT: u8 = 2;

/// Whose alias that is, in whatever account.
pub(crate) async fn cross_account_alias_owner(
    view: &View,
    alias: &str,
) -> Result<Option<AccountId>, StoreError> {
    let owner = view
        .cross_account_get(&Scope::global(), &ALIASES, &alias.to_owned())
        .await?;
    Ok(owner.map(|owner| *owner))
}

impl Rows<'_> {
    /// The account's own row.
    pub(crate) async fn account_row(&self) -> Result<Option<Arc<Account>>, StoreError> {
        self.get(&ACCOUNT, &()).await
    }

    /// The version of the global endpoint's session tokens.
    pub(crate) async fn token_version(&self) -> Result<u8, StoreError> {
        let version = self.get(&TOKEN_VERSION, &()).await?;
        Ok(version.map_or(TOKEN_VERSION_DEFAULT, |version| *version))
    }

    /// The password policy, if one is set.
    pub(crate) async fn password_policy(&self) -> Result<Option<Arc<PasswordPolicy>>, StoreError> {
        self.get(&PASSWORD_POLICY, &()).await
    }
}

/// Gives the account, whose row was `before`, this alias in the place of the one it had.
pub(crate) fn put_alias(
    tx: &mut WriteTx,
    account: AccountId,
    before: &Account,
    alias: &Permit<Option<String>>,
) {
    if let Some(old) = &before.alias {
        tx.cross_account_delete(&Scope::global(), &ALIASES, old);
    }
    if let Some(new) = &**alias {
        tx.cross_account_put(&Scope::global(), &ALIASES, new, &account);
    }
    let row = Account {
        alias: (**alias).clone(),
        ..before.clone()
    };
    tx.put(&ACCOUNT, &(), &row);
}

/// Sets the version of the global endpoint's session tokens.
pub(crate) fn put_token_version(tx: &mut WriteTx, version: &Permit<u8>) {
    tx.put(&TOKEN_VERSION, &(), &**version);
}

/// Sets the password policy.
pub(crate) fn put_password_policy(tx: &mut WriteTx, policy: &Permit<PasswordPolicy>) {
    tx.put(&PASSWORD_POLICY, &(), &**policy);
}

/// Takes the password policy away, so that the default binds.
pub(crate) fn delete_password_policy(tx: &mut WriteTx, _: &Permit<()>) {
    tx.delete(&PASSWORD_POLICY, &());
}
