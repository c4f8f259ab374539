//! Creating accounts: asked for here, done by a job, told by a status.

use gate::Cx;
use ground::Timestamp;
use organizations_api::{
    ConstraintViolationExceptionReason as Constraint, CreateAccountInput, CreateAccountOutput,
    CreateAccountState, DescribeCreateAccountStatusInput, DescribeCreateAccountStatusOutput,
    IAMUserAccessToBilling, ListCreateAccountStatusInput, ListCreateAccountStatusOutput,
};
use store::{Prefix, Scope};

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, constraint};
use crate::limits::{ACCOUNTS_MAX, CREATIONS_AT_ONCE_MAX, ROLE_NAME_DEFAULT};
use crate::model::{Creation, Mark, Outcome, Tags, id};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::store::{CREATIONS, WAITING, handshakes_of, write};

pub(crate) async fn create_account(
    _handlers: &Handlers,
    cx: &Cx,
    input: CreateAccountInput,
) -> Result<CreateAccountOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let tags = Tags::of_request(input.tags)?;
    let ask = entered.everything().await?.requested(&tags);
    let permit = ask.permit(()).await?;
    let rows = &entered.rows;
    let waiting = Prefix::<(ground::AccountId, String)>::first(&cx.account());
    let waiting = rows
        .view()
        .cross_account_scan(&Scope::global(), &WAITING, &waiting, None, CREATIONS_AT_ONCE_MAX)
        .await?;
    if waiting.items.len() >= CREATIONS_AT_ONCE_MAX {
        return Err(Error::TooManyCreations);
    }
    // Those who are invited and those who are being made count already.
    let sent = handshakes_of(cx.view(), &rows.organization().id).await?;
    let invited = sent
        .iter()
        .filter(|handshake| handshake.is_open(cx.now()))
        .count();
    let coming = u32::try_from(waiting.items.len() + invited).unwrap_or(u32::MAX);
    if rows.organization().accounts.saturating_add(coming) >= ACCOUNTS_MAX {
        return Err(constraint(
            Constraint::AccountNumberLimitExceeded,
            "You have exceeded the allowed number of AWS accounts.",
        ));
    }
    let creation = Creation {
        id: id("car-", cx.random().bytes::<32>()),
        name: input.account_name.expose().clone(),
        email: input.email.expose().clone(),
        role_name: input.role_name.unwrap_or_else(|| ROLE_NAME_DEFAULT.to_owned()),
        sees_bills: input.iam_user_access_to_billing != Some(IAMUserAccessToBilling::Deny),
        tags,
        requested: Timestamp::from_seconds(cx.now().seconds()),
        outcome: Outcome::Pending,
    };
    write(cx, rows.scope(), &permit, |writer| {
        writer.put(&CREATIONS, &creation.id, &creation);
        let row = (cx.account(), creation.id.clone());
        writer.put_in(&Scope::global(), &WAITING, &row, &Mark {});
    })
    .await?;
    Ok(CreateAccountOutput {
        create_account_status: Some(answer::creation(&creation)),
    })
}

pub(crate) async fn describe_create_account_status(
    _handlers: &Handlers,
    cx: &Cx,
    input: DescribeCreateAccountStatusInput,
) -> Result<DescribeCreateAccountStatusOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let creation = entered
        .rows
        .get(&CREATIONS, &input.create_account_request_id)
        .await?;
    let creation = creation.ok_or(Error::CreationMissing)?;
    Ok(DescribeCreateAccountStatusOutput {
        create_account_status: Some(answer::creation(&creation)),
    })
}

pub(crate) async fn list_create_account_status(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListCreateAccountStatusInput,
) -> Result<ListCreateAccountStatusOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let states = input.states.filter(|states| !states.is_empty());
    let spelled: Vec<_> = states.iter().flatten().map(|state| state.as_str()).collect();
    let list = format!("ListCreateAccountStatus {}", spelled.join(" "));
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let all = entered.rows.all(&CREATIONS, &Prefix::all()).await?;
    let asked = |state: Option<CreateAccountState>| match (&states, state) {
        (Some(states), Some(state)) => states.contains(&state),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let told = all
        .into_iter()
        .map(|(id, creation)| (id, answer::creation(&creation)))
        .filter(|(_, told)| asked(told.state))
        .collect();
    let (statuses, next_token) = paging.cut(told);
    Ok(ListCreateAccountStatusOutput {
        create_account_statuses: Some(statuses),
        next_token,
    })
}
