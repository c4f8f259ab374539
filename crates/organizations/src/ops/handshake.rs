//! Inviting accounts that exist, and what they answer.

use std::sync::Arc;

use gate::{Access, Cx};
use ground::{AccountId, Secret, Timestamp};
use organizations_api::{
    AcceptHandshakeInput, AcceptHandshakeOutput, ActionType, CancelHandshakeInput, CancelHandshakeOutput,
    DeclineHandshakeInput, DeclineHandshakeOutput, DescribeHandshakeInput, DescribeHandshakeOutput,
    Handshake as Told, HandshakeConstraintViolationExceptionReason as Unshakeable, HandshakeFilter,
    HandshakeParty, HandshakePartyType, HandshakeResource, HandshakeResourceType,
    InvalidInputExceptionReason as Input, InviteAccountToOrganizationInput,
    InviteAccountToOrganizationOutput, ListHandshakesForAccountInput, ListHandshakesForAccountOutput,
    ListHandshakesForOrganizationInput, ListHandshakesForOrganizationOutput,
};
use store::Scope;

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, input};
use crate::limits::{ACCOUNTS_MAX, HANDSHAKE_LIFE, HANDSHAKES_KEPT, INVITATION_DAY, INVITATIONS_A_DAY_MAX};
use crate::model::{Ending, Handshake, Member, Organization, Tags, id};
use crate::ops::own_role;
use crate::ops::page::Paging;
use crate::store::{HANDSHAKES, Rows, Writer, belonging, handshakes_of, profile, write};

fn unshakeable(reason: Unshakeable, text: &str) -> Error {
    Error::HandshakeConstraint {
        reason,
        text: text.to_owned(),
    }
}

pub(crate) async fn invite_account_to_organization(
    _handlers: &Handlers,
    cx: &Cx,
    asked: InviteAccountToOrganizationInput,
) -> Result<InviteAccountToOrganizationOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let tags = Tags::of_request(asked.tags)?;
    let ask = entered.everything().await?.requested(&tags);
    let permit = ask.permit(()).await?;
    let account = match asked.target.r#type {
        HandshakePartyType::Account => AccountId::parse(asked.target.id.expose()).map_err(|_| {
            input(
                Input::InvalidPatternTargetId,
                "The target's id is not the id of an account.",
            )
        })?,
        HandshakePartyType::Email | HandshakePartyType::Organization => {
            return Err(input(
                Input::InvalidPartyTypeTarget,
                "Accounts are invited by their id: the target's type must be ACCOUNT.",
            ));
        }
    };
    if !cx.account_exists(account).await? {
        return Err(unshakeable(
            Unshakeable::TargetAccountValidationFailure,
            "The account that you invited does not exist.",
        ));
    }
    if belonging(cx.view(), account).await?.is_some() {
        return Err(unshakeable(
            Unshakeable::AlreadyInAnOrganization,
            "The account that you invited is already a member of an organization.",
        ));
    }
    let rows = &entered.rows;
    let organization = rows.organization();
    let now = Timestamp::from_seconds(cx.now().seconds());
    let sent = handshakes_of(cx.view(), &organization.id).await?;
    let open = || sent.iter().filter(|other| other.is_open(now));
    if open().any(|other| other.account == account) {
        return Err(Error::DuplicateHandshake);
    }
    let recent = sent
        .iter()
        .filter(|other| now.since(other.requested) < INVITATION_DAY);
    if recent.count() >= INVITATIONS_A_DAY_MAX {
        return Err(unshakeable(
            Unshakeable::HandshakeRateLimitExceeded,
            "You have sent the number of invitations that you may send in one day.",
        ));
    }
    let coming = u32::try_from(open().count()).unwrap_or(u32::MAX);
    if organization.accounts.saturating_add(coming) >= ACCOUNTS_MAX {
        return Err(unshakeable(
            Unshakeable::AccountNumberLimitExceeded,
            "You have exceeded the allowed number of AWS accounts.",
        ));
    }
    let handshake = Handshake {
        id: id("h-", cx.random().bytes::<32>()),
        organization: organization.id.clone(),
        management: organization.management,
        account,
        notes: asked.notes.map(|notes| notes.expose().clone()),
        tags,
        requested: now,
        expires: now.after(HANDSHAKE_LIFE),
        ending: None,
    };
    write(cx, rows.scope(), &permit, |writer| {
        for old in sent.iter().filter(|old| now.since(old.expires) > HANDSHAKES_KEPT) {
            writer.delete_handshake(old);
        }
        writer.put_handshake(&handshake);
    })
    .await?;
    Ok(InviteAccountToOrganizationOutput {
        handshake: Some(told(cx, &handshake).await?),
    })
}

/// The account is a member from here on, in the root.
pub(crate) async fn accept_handshake(
    _handlers: &Handlers,
    cx: &Cx,
    asked: AcceptHandshakeInput,
) -> Result<AcceptHandshakeOutput, Error> {
    let (permit, handshake) = sought(cx, &asked.handshake_id).await?;
    if handshake.account != cx.account() {
        // The one party cannot do what is the other's.
        return Err(Error::NotPermitted);
    }
    let now = Timestamp::from_seconds(cx.now().seconds());
    let accepted = handshake.ended(Ending::Accepted, now)?;
    if belonging(cx.view(), cx.account()).await?.is_some() {
        return Err(unshakeable(
            Unshakeable::AlreadyInAnOrganization,
            "Your account is already a member of an organization.",
        ));
    }
    let rows = Rows::of(cx.view(), handshake.management).await?;
    let rows = rows.filter(|rows| rows.organization().id == handshake.organization);
    // The organisation is gone, and its invitations with it.
    let rows = rows.ok_or(Error::HandshakeMissing)?;
    if rows.organization().accounts >= ACCOUNTS_MAX {
        return Err(unshakeable(
            Unshakeable::AccountNumberLimitExceeded,
            "The organization has the number of accounts that it may have.",
        ));
    }
    let organization = Organization {
        accounts: rows.organization().accounts + 1,
        ..rows.organization().clone()
    };
    let own = profile(cx.view(), cx.account()).await?;
    let member = Member {
        account: cx.account(),
        name: own.name,
        email: own.email,
        parent: organization.root.clone(),
        joined: now,
        invited: true,
        closed: None,
        sees_bills: true,
    };
    own_role::ensure(cx).await?;
    write(cx, rows.scope(), &permit, |writer| {
        writer.put_handshake(&accepted);
        writer.put_organization(&organization);
        writer.put_member(&organization, &member);
        writer.put_tags(&member.account.to_string(), &accepted.tags);
    })
    .await?;
    Ok(AcceptHandshakeOutput {
        handshake: Some(told(cx, &accepted).await?),
    })
}

pub(crate) async fn decline_handshake(
    _handlers: &Handlers,
    cx: &Cx,
    asked: DeclineHandshakeInput,
) -> Result<DeclineHandshakeOutput, Error> {
    let (permit, handshake) = sought(cx, &asked.handshake_id).await?;
    if handshake.account != cx.account() {
        // The one party cannot do what is the other's.
        return Err(Error::NotPermitted);
    }
    let declined = handshake.ended(Ending::Declined, cx.now())?;
    let scope = Scope::regionless(handshake.management);
    write(cx, &scope, &permit, |writer: &Writer<'_>| {
        writer.put_handshake(&declined);
    })
    .await?;
    Ok(DeclineHandshakeOutput {
        handshake: Some(told(cx, &declined).await?),
    })
}

pub(crate) async fn cancel_handshake(
    _handlers: &Handlers,
    cx: &Cx,
    asked: CancelHandshakeInput,
) -> Result<CancelHandshakeOutput, Error> {
    let (permit, handshake) = sought(cx, &asked.handshake_id).await?;
    if handshake.management != cx.account() {
        // The one party cannot do what is the other's.
        return Err(Error::NotPermitted);
    }
    let canceled = handshake.ended(Ending::Canceled, cx.now())?;
    let scope = Scope::regionless(handshake.management);
    write(cx, &scope, &permit, |writer: &Writer<'_>| {
        writer.put_handshake(&canceled);
    })
    .await?;
    Ok(CancelHandshakeOutput {
        handshake: Some(told(cx, &canceled).await?),
    })
}

pub(crate) async fn describe_handshake(
    _handlers: &Handlers,
    cx: &Cx,
    asked: DescribeHandshakeInput,
) -> Result<DescribeHandshakeOutput, Error> {
    let (_, handshake) = sought(cx, &asked.handshake_id).await?;
    Ok(DescribeHandshakeOutput {
        handshake: Some(told(cx, &handshake).await?),
    })
}

/// What the account was invited to; it need not be a member of anything.
pub(crate) async fn list_handshakes_for_account(
    _handlers: &Handlers,
    cx: &Cx,
    asked: ListHandshakesForAccountInput,
) -> Result<ListHandshakesForAccountOutput, Error> {
    cx.authorize(Access::to((), "*")).await?;
    let paging = Paging::new(
        "ListHandshakesForAccount",
        asked.next_token.as_deref(),
        asked.max_results,
    )?;
    let all = handshakes_of(cx.view(), &cx.account().to_string()).await?;
    let (handshakes, next_token) = page(cx, &paging, all, asked.filter.as_ref()).await?;
    Ok(ListHandshakesForAccountOutput {
        handshakes: Some(handshakes),
        next_token,
    })
}

pub(crate) async fn list_handshakes_for_organization(
    _handlers: &Handlers,
    cx: &Cx,
    asked: ListHandshakesForOrganizationInput,
) -> Result<ListHandshakesForOrganizationOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let list = "ListHandshakesForOrganization";
    let paging = Paging::new(list, asked.next_token.as_deref(), asked.max_results)?;
    let all = handshakes_of(cx.view(), &entered.rows.organization().id).await?;
    let (handshakes, next_token) = page(cx, &paging, all, asked.filter.as_ref()).await?;
    Ok(ListHandshakesForOrganizationOutput {
        handshakes: Some(handshakes),
        next_token,
    })
}

/// Those that a filter lets through. All are invitations, and none has a parent.
async fn page(
    cx: &Cx,
    paging: &Paging,
    all: Vec<Arc<Handshake>>,
    filter: Option<&HandshakeFilter>,
) -> Result<(Vec<Told>, Option<String>), Error> {
    let passes = filter.is_none_or(|filter| {
        filter
            .action_type
            .is_none_or(|action| action == ActionType::Invite)
            && filter.parent_handshake_id.is_none()
    });
    let kept = all.into_iter().filter(|_| passes);
    let (page, next_token) = paging.cut(kept.map(|handshake| (handshake.id.clone(), handshake)).collect());
    let mut handshakes = Vec::with_capacity(page.len());
    for handshake in page {
        handshakes.push(told(cx, &handshake).await?);
    }
    Ok((handshakes, next_token))
}

/// A handshake that the caller's account is party to, and permission for it.
///
/// # Errors
///
/// [`Error::HandshakeMissing`] if there is none, or of other parties.
async fn sought(cx: &Cx, id: &str) -> Result<(gate::Permit<()>, Arc<Handshake>), Error> {
    let found = cx
        .view()
        .cross_account_get(&Scope::global(), &HANDSHAKES, &id.to_owned())
        .await?;
    let own = found.filter(|found| [found.account, found.management].contains(&cx.account()));
    let arn = own.as_ref().map_or_else(|| "*".to_owned(), |own| own.arn());
    let permit = cx.authorize(Access::to((), arn)).await?;
    Ok((permit, own.ok_or(Error::HandshakeMissing)?))
}

async fn told(cx: &Cx, handshake: &Handshake) -> Result<Told, Error> {
    let sender = profile(cx.view(), handshake.management).await?;
    let resource = |kind, value: String| HandshakeResource {
        value: Some(Secret::new(value)),
        r#type: Some(kind),
        resources: None,
    };
    let about = vec![
        resource(HandshakeResourceType::MasterEmail, sender.email),
        resource(HandshakeResourceType::MasterName, sender.name),
        resource(HandshakeResourceType::OrganizationFeatureSet, "ALL".to_owned()),
    ];
    let mut resources = vec![
        HandshakeResource {
            resources: Some(about),
            ..resource(
                HandshakeResourceType::Organization,
                handshake.organization.clone(),
            )
        },
        resource(HandshakeResourceType::Account, handshake.account.to_string()),
    ];
    if let Some(notes) = &handshake.notes {
        resources.push(resource(HandshakeResourceType::Notes, notes.clone()));
    }
    let party = |id: String, kind| HandshakeParty {
        id: Secret::new(id),
        r#type: kind,
    };
    Ok(Told {
        id: Some(handshake.id.clone()),
        arn: Some(handshake.arn()),
        parties: Some(vec![
            party(handshake.organization.clone(), HandshakePartyType::Organization),
            party(handshake.account.to_string(), HandshakePartyType::Account),
        ]),
        state: Some(handshake.state(cx.now())),
        requested_timestamp: Some(handshake.requested),
        expiration_timestamp: Some(handshake.expires),
        action: Some(ActionType::Invite),
        resources: Some(resources),
    })
}
