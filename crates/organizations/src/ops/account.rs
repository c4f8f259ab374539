//! Member accounts: read, moved, closed, and taken out.

use gate::{Cx, Permit};
use ground::AccountId;
use organizations_api::{
    CloseAccountInput, ConstraintViolationExceptionReason as Constraint, DescribeAccountInput,
    DescribeAccountOutput, ListAccountsForParentInput, ListAccountsForParentOutput, ListAccountsInput,
    ListAccountsOutput, MoveAccountInput, RemoveAccountFromOrganizationInput,
};
use shape::Unit as Empty;
use std::sync::Arc;
use store::Prefix;

use crate::Handlers;
use crate::access::{Entered, Who, enter};
use crate::error::{Error, constraint};
use crate::limits::{CLOSINGS_MAX, CLOSINGS_WITHIN, closings_share};
use crate::model::{Member, Node, Organization, child_word};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::store::{CHILDREN, MEMBERS, write, write_closed};

pub(crate) async fn describe_account(
    _handlers: &Handlers,
    cx: &Cx,
    input: DescribeAccountInput,
) -> Result<DescribeAccountOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.account_id).await?.permit(()).await?;
    let member = member(&entered, &input.account_id).await?;
    Ok(DescribeAccountOutput {
        account: Some(answer::account(&entered.rows, &member).await?),
    })
}

pub(crate) async fn list_accounts(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListAccountsInput,
) -> Result<ListAccountsOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let paging = Paging::new("ListAccounts", input.next_token.as_deref(), input.max_results)?;
    let after = paging.key(|text| AccountId::parse(text).ok())?;
    let rows = &entered.rows;
    let page = rows
        .scan(&MEMBERS, &Prefix::all(), after.as_ref(), paging.size)
        .await?;
    let mut accounts = Vec::with_capacity(page.items.len());
    for (_, member) in &page.items {
        accounts.push(answer::account(rows, member).await?);
    }
    Ok(ListAccountsOutput {
        accounts: Some(accounts),
        next_token: paging.next(page.next.map(|account| account.to_string())),
    })
}

pub(crate) async fn list_accounts_for_parent(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListAccountsForParentInput,
) -> Result<ListAccountsForParentOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.parent_id).await?.permit(()).await?;
    let rows = &entered.rows;
    let parent = rows.parent(&input.parent_id).await?.ok_or(Error::ParentMissing)?;
    let list = format!("ListAccountsForParent {parent}");
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let word = child_word(organizations_api::ChildType::Account).to_owned();
    let after = paging.key(|id| Some((parent.to_string(), word.clone(), id.to_owned())))?;
    let prefix = Prefix::<(String, String, String)>::first_two(&parent.to_string(), &word);
    let page = rows.scan(&CHILDREN, &prefix, after.as_ref(), paging.size).await?;
    let mut accounts = Vec::with_capacity(page.items.len());
    for ((_, _, id), _) in &page.items {
        accounts.push(answer::account(rows, &*member(&entered, id).await?).await?);
    }
    Ok(ListAccountsForParentOutput {
        accounts: Some(accounts),
        next_token: paging.next(page.next.map(|(_, _, id)| id)),
    })
}

pub(crate) async fn move_account(
    _handlers: &Handlers,
    cx: &Cx,
    input: MoveAccountInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = entered.node(&input.account_id).await?.permit(()).await?;
    entered.node(&input.source_parent_id).await?.permit(()).await?;
    entered
        .node(&input.destination_parent_id)
        .await?
        .permit(())
        .await?;
    let rows = &entered.rows;
    let member = member(&entered, &input.account_id).await?;
    if rows.parent(&input.source_parent_id).await?.is_none() {
        return Err(Error::SourceMissing);
    }
    let to = rows.parent(&input.destination_parent_id).await?;
    let to = to.ok_or(Error::DestinationMissing)?;
    if member.parent == to.to_string() {
        return Err(Error::DuplicateAccount);
    }
    if member.parent != input.source_parent_id {
        return Err(Error::SourceMissing);
    }
    write(cx, rows.scope(), &permit, |writer| {
        writer.move_member(&member, &to.to_string());
    })
    .await?;
    Ok(Empty)
}

/// The account's credentials are refused from here on, and nobody gets new ones.
pub(crate) async fn close_account(
    _handlers: &Handlers,
    cx: &Cx,
    input: CloseAccountInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = entered.node(&input.account_id).await?.permit(()).await?;
    let rows = &entered.rows;
    let member = member(&entered, &input.account_id).await?;
    if member.account == rows.organization().management {
        return Err(constraint(
            Constraint::CannotCloseManagementAccount,
            "You cannot close the management account.",
        ));
    }
    if member.closed.is_some() {
        return Err(Error::AccountAlreadyClosed);
    }
    if rows.is_delegated(member.account).await? {
        return Err(constraint(
            Constraint::CannotRemoveDelegatedAdministratorFromOrg,
            "The account is a delegated administrator. Deregister it before you close it.",
        ));
    }
    let mut recent = 0;
    for (_, other) in rows.all(&MEMBERS, &Prefix::all()).await? {
        if other
            .closed
            .is_some_and(|closed| cx.now().since(closed) < CLOSINGS_WITHIN)
        {
            recent += 1;
        }
    }
    if recent >= CLOSINGS_MAX.max(closings_share(rows.organization().accounts)) {
        return Err(constraint(
            Constraint::CloseAccountQuotaExceeded,
            "You have exceeded the close account quota for the past 30 days.",
        ));
    }
    let closed = Member {
        closed: Some(cx.now()),
        ..(*member).clone()
    };
    write_closed(cx, rows.scope(), &permit, &closed).await?;
    Ok(Empty)
}

pub(crate) async fn leave_organization(_handlers: &Handlers, cx: &Cx, _input: Empty) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Members).await?;
    let permit = entered.everything().await?.permit(()).await?;
    let id = cx.account().to_string();
    let member = member(&entered, &id).await?;
    take_out(cx, &entered, &permit, &member).await
}

pub(crate) async fn remove_account_from_organization(
    _handlers: &Handlers,
    cx: &Cx,
    input: RemoveAccountFromOrganizationInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = entered.node(&input.account_id).await?.permit(()).await?;
    let member = member(&entered, &input.account_id).await?;
    take_out(cx, &entered, &permit, &member).await
}

async fn take_out(
    cx: &Cx,
    entered: &Entered<'_>,
    permit: &Permit<()>,
    member: &Member,
) -> Result<Empty, Error> {
    let rows = &entered.rows;
    if member.account == rows.organization().management {
        return Err(Error::MasterCannotLeave);
    }
    if rows.is_delegated(member.account).await? {
        return Err(constraint(
            Constraint::CannotRemoveDelegatedAdministratorFromOrg,
            "The account is a delegated administrator. Deregister it before you remove it.",
        ));
    }
    let on_it = rows.on_node(&Node::Account(member.account)).await?;
    let organization = Organization {
        accounts: rows.organization().accounts.saturating_sub(1),
        ..rows.organization().clone()
    };
    write(cx, rows.scope(), permit, |writer| {
        writer.put_organization(&organization);
        writer.delete_member(member, &on_it);
    })
    .await?;
    Ok(Empty)
}

/// The member with this id.
///
/// # Errors
///
/// [`Error::AccountMissing`] if there is none.
pub(crate) async fn member(entered: &Entered<'_>, id: &str) -> Result<Arc<Member>, Error> {
    let account = AccountId::parse(id).map_err(|_| Error::AccountMissing)?;
    let member = entered.rows.member(account).await?;
    member.ok_or(Error::AccountMissing)
}
