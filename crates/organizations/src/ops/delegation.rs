//! Delegated administrators: members that read for a service.

use std::collections::BTreeMap;

use gate::Cx;
use ground::{AccountId, Timestamp};
use organizations_api::{
    ConstraintViolationExceptionReason as Constraint, DelegatedAdministrator, DelegatedService,
    DeregisterDelegatedAdministratorInput, ListDelegatedAdministratorsInput,
    ListDelegatedAdministratorsOutput, ListDelegatedServicesForAccountInput,
    ListDelegatedServicesForAccountOutput, RegisterDelegatedAdministratorInput,
};
use shape::Unit as Empty;
use store::Prefix;

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, constraint};
use crate::model::Since;
use crate::ops::account::member;
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::ops::service_access::service;
use crate::store::{DELEGATIONS, TRUSTED, write};

/// The service must be trusted, and the account a member that is open.
pub(crate) async fn register_delegated_administrator(
    _handlers: &Handlers,
    cx: &Cx,
    input: RegisterDelegatedAdministratorInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let ask = entered.node(&input.account_id).await?;
    let permit = ask.service_principal(&input.service_principal).permit(()).await?;
    service(&input.service_principal)?;
    let rows = &entered.rows;
    let member = member(&entered, &input.account_id).await?;
    let refused = |reason, text: &str| Err(constraint(reason, text));
    if member.account == rows.organization().management {
        return refused(
            Constraint::CannotRegisterMasterAsDelegatedAdministrator,
            "You cannot register the management account as a delegated administrator for your organization.",
        );
    }
    if member.closed.is_some() {
        return refused(
            Constraint::CannotRegisterSuspendedAccountAsDelegatedAdministrator,
            "You cannot register a suspended account as a delegated administrator.",
        );
    }
    if rows.get(&TRUSTED, &input.service_principal).await?.is_none() {
        return refused(
            Constraint::ServiceAccessNotEnabled,
            "You must enable trusted access for the service before you register a delegated administrator for it.",
        );
    }
    let key = (member.account, input.service_principal);
    if rows.get(&DELEGATIONS, &key).await?.is_some() {
        return Err(Error::AccountRegistered);
    }
    write(cx, rows.scope(), &permit, |writer| {
        writer.put(&DELEGATIONS, &key, &Since(cx.now()));
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn deregister_delegated_administrator(
    _handlers: &Handlers,
    cx: &Cx,
    input: DeregisterDelegatedAdministratorInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let ask = entered.node(&input.account_id).await?;
    let permit = ask.service_principal(&input.service_principal).permit(()).await?;
    service(&input.service_principal)?;
    let rows = &entered.rows;
    let member = member(&entered, &input.account_id).await?;
    let key = (member.account, input.service_principal);
    if rows.get(&DELEGATIONS, &key).await?.is_none() {
        return Err(Error::AccountNotRegistered);
    }
    write(cx, rows.scope(), &permit, |writer| {
        writer.delete(&DELEGATIONS, &key);
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_delegated_administrators(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListDelegatedAdministratorsInput,
) -> Result<ListDelegatedAdministratorsOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    let mut ask = entered.everything().await?;
    if let Some(service) = &input.service_principal {
        ask = ask.service_principal(service);
    }
    ask.permit(()).await?;
    let wanted = input.service_principal.as_deref();
    let list = format!("ListDelegatedAdministrators {}", wanted.unwrap_or_default());
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let rows = &entered.rows;
    let mut first: BTreeMap<AccountId, Timestamp> = BTreeMap::new();
    for ((account, service), since) in rows.all(&DELEGATIONS, &Prefix::all()).await? {
        if wanted.is_none_or(|wanted| wanted == service) {
            let known = first.entry(account).or_insert(since.0);
            *known = (*known).min(since.0);
        }
    }
    let all = first
        .into_iter()
        .map(|(account, since)| (account.to_string(), since));
    let (page, next_token) = paging.cut(all.map(|(id, since)| (id.clone(), (id, since))).collect());
    let mut told = Vec::with_capacity(page.len());
    for (id, since) in page {
        let account = answer::account(rows, &*member(&entered, &id).await?).await?;
        told.push(DelegatedAdministrator {
            id: account.id,
            arn: account.arn,
            email: account.email,
            name: account.name,
            status: account.status,
            state: account.state,
            joined_method: account.joined_method,
            joined_timestamp: account.joined_timestamp,
            delegation_enabled_date: Some(since),
        });
    }
    Ok(ListDelegatedAdministratorsOutput {
        delegated_administrators: Some(told),
        next_token,
    })
}

pub(crate) async fn list_delegated_services_for_account(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListDelegatedServicesForAccountInput,
) -> Result<ListDelegatedServicesForAccountOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.account_id).await?.permit(()).await?;
    let member = member(&entered, &input.account_id).await?;
    let list = format!("ListDelegatedServicesForAccount {}", member.account);
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let prefix = Prefix::<(AccountId, String)>::first(&member.account);
    let all = entered.rows.all(&DELEGATIONS, &prefix).await?;
    if all.is_empty() {
        return Err(Error::AccountNotRegistered);
    }
    let told = all.into_iter().map(|((_, service), since)| {
        let told = DelegatedService {
            service_principal: Some(service.clone()),
            delegation_enabled_date: Some(since.0),
        };
        (service, told)
    });
    let (services, next_token) = paging.cut(told.collect());
    Ok(ListDelegatedServicesForAccountOutput {
        delegated_services: Some(services),
        next_token,
    })
}
