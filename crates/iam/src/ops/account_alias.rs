//! The account's alias: a name for it that no other account has.
//!
//! An account has one alias at most; a new one takes the place of the old.
//! Absent by design: a sign-in page under that name.

use gate::Cx;
use iam_api::{
    CreateAccountAliasInput, DeleteAccountAliasInput, ListAccountAliasesInput, ListAccountAliasesOutput,
};
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::ops::page::Paging;
use crate::store::{self, cross_account_alias_owner, rows};

/// Twelve digits are an account id, and no alias may look like one (IAM User
/// Guide, "Your AWS account ID and its alias"). The model keeps the rest.
fn check(alias: &str) -> Result<(), Error> {
    if alias.len() == 12 && alias.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Validation(
            "The account alias must not be a 12 digit number.".to_owned(),
        ));
    }
    Ok(())
}

/// # Errors
///
/// [`Error::Taken`] if an account has the alias, be it this one.
pub(crate) async fn create_account_alias(
    _iam: &Iam,
    cx: &Cx,
    input: CreateAccountAliasInput,
) -> Result<Unit, Error> {
    let alias = access::of_account(cx, Some(input.account_alias)).await?;
    let wanted = alias.as_deref().unwrap_or_default();
    check(wanted)?;
    if cross_account_alias_owner(cx.view(), wanted).await?.is_some() {
        return Err(Error::Taken(format!(
            "The account alias {wanted} already exists."
        )));
    }
    let before = rows(cx).account_row().await?.ok_or(Error::InvalidToken)?;
    store::write(cx, |tx| store::put_alias(tx, cx.account(), &before, &alias)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_account_alias(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteAccountAliasInput,
) -> Result<Unit, Error> {
    let none = access::of_account(cx, None).await?;
    let before = rows(cx).account_row().await?.ok_or(Error::InvalidToken)?;
    if before.alias.as_ref() != Some(&input.account_alias) {
        return Err(Error::NoSuch(format!(
            "The Account Alias {} cannot be found.",
            input.account_alias
        )));
    }
    store::write(cx, |tx| store::put_alias(tx, cx.account(), &before, &none)).await?;
    Ok(Unit)
}

pub(crate) async fn list_account_aliases(
    _iam: &Iam,
    cx: &Cx,
    input: ListAccountAliasesInput,
) -> Result<ListAccountAliasesOutput, Error> {
    access::account_wide(cx).await?;
    let paging = Paging::new("ListAccountAliases", "", input.marker.as_deref(), input.max_items)?;
    let account = rows(cx).account_row().await?;
    let alias = account.and_then(|account| account.alias.clone());
    let page = paging.of(alias.map(|alias| (alias.clone(), alias)));
    Ok(ListAccountAliasesOutput {
        is_truncated: page.is_truncated(),
        account_aliases: page.items,
        marker: page.marker,
    })
}
