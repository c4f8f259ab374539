//! Trusted access: which services may act in all accounts.

use gate::Cx;
use organizations_api::{
    DisableAWSServiceAccessInput, EnableAWSServiceAccessInput, EnabledServicePrincipal,
    InvalidInputExceptionReason as Input, ListAWSServiceAccessForOrganizationInput,
    ListAWSServiceAccessForOrganizationOutput,
};
use shape::Unit as Empty;
use store::Prefix;

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, input};
use crate::model::Since;
use crate::ops::page::Paging;
use crate::store::{DELEGATIONS, TRUSTED, write};

/// A service's name as principals are named: `config.amazonaws.com`.
///
/// # Errors
///
/// [`Error::Input`] for anything else.
pub(crate) fn service(name: &str) -> Result<(), Error> {
    let known = name.strip_suffix(".amazonaws.com").is_some_and(|service| {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        !service.is_empty() && service.bytes().all(plain)
    });
    if known {
        return Ok(());
    }
    Err(input(
        Input::UnrecognizedServicePrincipal,
        "You specified an unrecognized service principal.",
    ))
}

/// Enabling what is enabled changes nothing.
pub(crate) async fn enable_aws_service_access(
    _handlers: &Handlers,
    cx: &Cx,
    input: EnableAWSServiceAccessInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let ask = entered
        .everything()
        .await?
        .service_principal(&input.service_principal);
    let permit = ask.permit(()).await?;
    service(&input.service_principal)?;
    let rows = &entered.rows;
    if rows.get(&TRUSTED, &input.service_principal).await?.is_none() {
        write(cx, rows.scope(), &permit, |writer| {
            writer.put(&TRUSTED, &input.service_principal, &Since(cx.now()));
        })
        .await?;
    }
    Ok(Empty)
}

/// Its delegated administrators go with it.
pub(crate) async fn disable_aws_service_access(
    _handlers: &Handlers,
    cx: &Cx,
    input: DisableAWSServiceAccessInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let ask = entered
        .everything()
        .await?
        .service_principal(&input.service_principal);
    let permit = ask.permit(()).await?;
    service(&input.service_principal)?;
    let rows = &entered.rows;
    let mut delegated = rows.all(&DELEGATIONS, &Prefix::all()).await?;
    delegated.retain(|((_, service), _)| *service == input.service_principal);
    write(cx, rows.scope(), &permit, |writer| {
        writer.delete(&TRUSTED, &input.service_principal);
        for (key, _) in &delegated {
            writer.delete(&DELEGATIONS, key);
        }
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_aws_service_access_for_organization(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListAWSServiceAccessForOrganizationInput,
) -> Result<ListAWSServiceAccessForOrganizationOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let list = "ListAWSServiceAccessForOrganization";
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let page = entered
        .rows
        .scan(&TRUSTED, &Prefix::all(), paging.after.as_ref(), paging.size)
        .await?;
    let told = page
        .items
        .into_iter()
        .map(|(service, since)| EnabledServicePrincipal {
            service_principal: Some(service),
            date_enabled: Some(since.0),
        });
    Ok(ListAWSServiceAccessForOrganizationOutput {
        enabled_service_principals: Some(told.collect()),
        next_token: paging.next(page.next),
    })
}
