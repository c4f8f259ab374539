//! The organisation itself, and its root.

use gate::{Access, Cx};
use ground::Timestamp;
use organizations_api::{
    CreateOrganizationInput, CreateOrganizationOutput, DescribeOrganizationOutput, EnableAllFeaturesInput,
    EnableAllFeaturesOutput, HandshakeConstraintViolationExceptionReason as Unshakeable,
    InvalidInputExceptionReason as Input, ListRootsInput, ListRootsOutput, OrganizationFeatureSet,
};
use shape::Unit as Empty;
use store::{Prefix, Scope};

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, input};
use crate::model::{Member, Node, Organization, TypeState, id};
use crate::ops::account::member;
use crate::ops::page::Paging;
use crate::ops::{answer, own_role};
use crate::store::{
    ATTACHED, CHILDREN, CREATIONS, DEFAULT_OFF, DELEGATIONS, ORGANIZATION, POLICIES, POLICY_NAMES,
    RESOURCE_POLICY, TAGS, TARGETS, TRUSTED, UNIT_NAMES, UNITS, Writer, belonging, profile, write,
};

/// Rows that are deleted with an organisation in one commit, well below what
/// the store takes at once.
const ROWS_DELETED_MAX: usize = 3_000;

pub(crate) async fn create_organization(
    _handlers: &Handlers,
    cx: &Cx,
    asked: CreateOrganizationInput,
) -> Result<CreateOrganizationOutput, Error> {
    let permit = cx.authorize(Access::to((), "*")).await?;
    match asked.feature_set {
        Some(OrganizationFeatureSet::ConsolidatedBilling) => {
            return Err(input(
                Input::InvalidEnum,
                "The feature set CONSOLIDATED_BILLING is not supported: there is no billing. Use ALL.",
            ));
        }
        Some(OrganizationFeatureSet::All) | None => {}
    }
    if belonging(cx.view(), cx.account()).await?.is_some() {
        return Err(Error::AlreadyMember);
    }
    let now = Timestamp::from_seconds(cx.now().seconds());
    let organization = Organization {
        id: id("o-", cx.random().bytes::<10>()),
        root: id("r-", cx.random().bytes::<4>()),
        management: cx.account(),
        created: now,
        service_control: TypeState::default(),
        resource_control: TypeState::default(),
        tag: TypeState::default(),
        accounts: 1,
        units: 0,
    };
    let own = profile(cx.view(), cx.account()).await?;
    let member = Member {
        account: cx.account(),
        name: own.name.clone(),
        email: own.email.clone(),
        parent: organization.root.clone(),
        joined: now,
        invited: true,
        closed: None,
        sees_bills: true,
    };
    own_role::ensure(cx).await?;
    write(cx, &Scope::regionless(cx.account()), &permit, |rows| {
        rows.put_organization(&organization);
        rows.put_member(&organization, &member);
    })
    .await?;
    Ok(CreateOrganizationOutput {
        organization: Some(answer::organization(&organization, &own)),
    })
}

pub(crate) async fn describe_organization(
    _handlers: &Handlers,
    cx: &Cx,
    _input: Empty,
) -> Result<DescribeOrganizationOutput, Error> {
    let entered = enter(cx, Who::Members).await?;
    entered.everything().await?.permit(()).await?;
    let organization = entered.rows.organization();
    let management = profile(cx.view(), organization.management).await?;
    Ok(DescribeOrganizationOutput {
        organization: Some(answer::organization(organization, &management)),
    })
}

/// Every organisation here has had all features from the beginning.
///
/// # Errors
///
/// Always: [`Error::HandshakeConstraint`] for whoever may ask.
pub(crate) async fn enable_all_features(
    _handlers: &Handlers,
    cx: &Cx,
    _input: EnableAllFeaturesInput,
) -> Result<EnableAllFeaturesOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    entered.everything().await?.permit(()).await?;
    Err(Error::HandshakeConstraint {
        reason: Unshakeable::OrganizationAlreadyHasAllFeatures,
        text: "The organization already has all features enabled.".to_owned(),
    })
}

/// Units and policies go with it; members must have gone before.
pub(crate) async fn delete_organization(
    _handlers: &Handlers,
    cx: &Cx,
    _input: Empty,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = entered.everything().await?.permit(()).await?;
    let rows = &entered.rows;
    if rows.organization().accounts > 1 {
        return Err(Error::OrganizationNotEmpty);
    }
    let member = member(&entered, &cx.account().to_string()).await?;
    let on_it = rows.on_node(&Node::Account(member.account)).await?;
    let units = rows.all(&UNITS, &Prefix::all()).await?;
    let unit_names = rows.all(&UNIT_NAMES, &Prefix::all()).await?;
    let children = rows.all(&CHILDREN, &Prefix::all()).await?;
    let policies = rows.all(&POLICIES, &Prefix::all()).await?;
    let policy_names = rows.all(&POLICY_NAMES, &Prefix::all()).await?;
    let attached = rows.all(&ATTACHED, &Prefix::all()).await?;
    let targets = rows.all(&TARGETS, &Prefix::all()).await?;
    let defaults = rows.all(&DEFAULT_OFF, &Prefix::all()).await?;
    let creations = rows.all(&CREATIONS, &Prefix::all()).await?;
    let tags = rows.all(&TAGS, &Prefix::all()).await?;
    let trusted = rows.all(&TRUSTED, &Prefix::all()).await?;
    let delegations = rows.all(&DELEGATIONS, &Prefix::all()).await?;
    let counted = units.len() * 3 + policies.len() * 2 + attached.len() * 2 + defaults.len();
    if counted + creations.len() + tags.len() + trusted.len() + delegations.len() > ROWS_DELETED_MAX {
        return Err(Error::OrganizationNotEmpty);
    }
    write(cx, rows.scope(), &permit, |writer: &Writer<'_>| {
        writer.delete_member(&member, &on_it);
        units.iter().for_each(|(key, _)| writer.delete(&UNITS, key));
        unit_names
            .iter()
            .for_each(|(key, _)| writer.delete(&UNIT_NAMES, key));
        children.iter().for_each(|(key, _)| writer.delete(&CHILDREN, key));
        policies.iter().for_each(|(key, _)| writer.delete(&POLICIES, key));
        policy_names
            .iter()
            .for_each(|(key, _)| writer.delete(&POLICY_NAMES, key));
        attached.iter().for_each(|(key, _)| writer.delete(&ATTACHED, key));
        targets.iter().for_each(|(key, _)| writer.delete(&TARGETS, key));
        defaults
            .iter()
            .for_each(|(key, _)| writer.delete(&DEFAULT_OFF, key));
        creations
            .iter()
            .for_each(|(key, _)| writer.delete(&CREATIONS, key));
        tags.iter().for_each(|(key, _)| writer.delete(&TAGS, key));
        trusted.iter().for_each(|(key, _)| writer.delete(&TRUSTED, key));
        delegations
            .iter()
            .for_each(|(key, _)| writer.delete(&DELEGATIONS, key));
        writer.delete(&RESOURCE_POLICY, &());
        writer.delete(&ORGANIZATION, &());
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_roots(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListRootsInput,
) -> Result<ListRootsOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.everything().await?.permit(()).await?;
    let paging = Paging::new("ListRoots", input.next_token.as_deref(), input.max_results)?;
    let organization = entered.rows.organization();
    let (roots, next_token) = paging.cut(vec![(organization.root.clone(), answer::root(organization))]);
    Ok(ListRootsOutput {
        roots: Some(roots),
        next_token,
    })
}
