//! Organisational units.

use std::sync::Arc;

use gate::Cx;
use organizations_api::{
    ChildType, ConstraintViolationExceptionReason as Constraint, CreateOrganizationalUnitInput,
    CreateOrganizationalUnitOutput, DeleteOrganizationalUnitInput, DescribeOrganizationalUnitInput,
    DescribeOrganizationalUnitOutput, ListOrganizationalUnitsForParentInput,
    ListOrganizationalUnitsForParentOutput, UpdateOrganizationalUnitInput, UpdateOrganizationalUnitOutput,
};
use shape::Unit as Empty;
use store::Prefix;

use crate::Handlers;
use crate::access::{Entered, Who, enter};
use crate::error::{Error, constraint};
use crate::limits::{UNIT_LEVELS_MAX, UNITS_MAX};
use crate::model::{Node, Organization, Tags, Unit, child_word, id};
use crate::ops::answer;
use crate::ops::page::Paging;
use crate::store::{CHILDREN, UNIT_NAMES, write};

pub(crate) async fn create_organizational_unit(
    _handlers: &Handlers,
    cx: &Cx,
    input: CreateOrganizationalUnitInput,
) -> Result<CreateOrganizationalUnitOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let tags = Tags::of_request(input.tags)?;
    let ask = entered.node(&input.parent_id).await?.requested(&tags);
    let permit = ask.permit(()).await?;
    let rows = &entered.rows;
    let parent = rows.parent(&input.parent_id).await?.ok_or(Error::ParentMissing)?;
    let key = (parent.to_string(), input.name.clone());
    if rows.get(&UNIT_NAMES, &key).await?.is_some() {
        return Err(Error::DuplicateUnit);
    }
    // The root is on the way down, and no level of units.
    if rows.way_down(&parent).await?.len() > UNIT_LEVELS_MAX {
        return Err(constraint(
            Constraint::OuDepthLimitExceeded,
            "You have exceeded the allowed depth of the OU tree.",
        ));
    }
    let mut organization = rows.organization().clone();
    if organization.units >= UNITS_MAX {
        return Err(constraint(
            Constraint::OuNumberLimitExceeded,
            "You have exceeded the allowed number of OUs.",
        ));
    }
    organization.units += 1;
    let root = organization.root.trim_start_matches("r-");
    let unit = Unit {
        id: id(&format!("ou-{root}-"), cx.random().bytes::<8>()),
        name: input.name,
        parent: parent.to_string(),
    };
    let answered = answer::unit(rows, &unit).await?;
    write(cx, rows.scope(), &permit, |writer| {
        writer.put_organization(&organization);
        writer.put_unit(&unit);
        writer.put_tags(&unit.id, &tags);
    })
    .await?;
    Ok(CreateOrganizationalUnitOutput {
        organizational_unit: Some(answered),
    })
}

pub(crate) async fn describe_organizational_unit(
    _handlers: &Handlers,
    cx: &Cx,
    input: DescribeOrganizationalUnitInput,
) -> Result<DescribeOrganizationalUnitOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered
        .node(&input.organizational_unit_id)
        .await?
        .permit(())
        .await?;
    let unit = unit(&entered, &input.organizational_unit_id).await?;
    Ok(DescribeOrganizationalUnitOutput {
        organizational_unit: Some(answer::unit(&entered.rows, &unit).await?),
    })
}

pub(crate) async fn update_organizational_unit(
    _handlers: &Handlers,
    cx: &Cx,
    input: UpdateOrganizationalUnitInput,
) -> Result<UpdateOrganizationalUnitOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = entered
        .node(&input.organizational_unit_id)
        .await?
        .permit(())
        .await?;
    let rows = &entered.rows;
    let before = unit(&entered, &input.organizational_unit_id).await?;
    let renamed = Unit {
        name: input.name.unwrap_or_else(|| before.name.clone()),
        ..(*before).clone()
    };
    let key = (renamed.parent.clone(), renamed.name.clone());
    let taken = rows.get(&UNIT_NAMES, &key).await?;
    if taken.is_some_and(|other| *other != renamed.id) {
        return Err(Error::DuplicateUnit);
    }
    let answered = answer::unit(rows, &renamed).await?;
    write(cx, rows.scope(), &permit, |writer| {
        writer.delete(&UNIT_NAMES, &(before.parent.clone(), before.name.clone()));
        writer.put_unit(&renamed);
    })
    .await?;
    Ok(UpdateOrganizationalUnitOutput {
        organizational_unit: Some(answered),
    })
}

pub(crate) async fn delete_organizational_unit(
    _handlers: &Handlers,
    cx: &Cx,
    input: DeleteOrganizationalUnitInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = entered
        .node(&input.organizational_unit_id)
        .await?
        .permit(())
        .await?;
    let rows = &entered.rows;
    let unit = unit(&entered, &input.organizational_unit_id).await?;
    let children = Prefix::<(String, String, String)>::first(&unit.id);
    if !rows.scan(&CHILDREN, &children, None, 1).await?.items.is_empty() {
        return Err(Error::UnitNotEmpty);
    }
    let on_it = rows.on_node(&Node::Unit(unit.id.clone())).await?;
    let organization = Organization {
        units: rows.organization().units.saturating_sub(1),
        ..rows.organization().clone()
    };
    write(cx, rows.scope(), &permit, |writer| {
        writer.put_organization(&organization);
        writer.delete_unit(&unit, &on_it);
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_organizational_units_for_parent(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListOrganizationalUnitsForParentInput,
) -> Result<ListOrganizationalUnitsForParentOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.parent_id).await?.permit(()).await?;
    let rows = &entered.rows;
    let parent = rows.parent(&input.parent_id).await?.ok_or(Error::ParentMissing)?;
    let list = format!("ListOrganizationalUnitsForParent {parent}");
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let word = child_word(ChildType::OrganizationalUnit).to_owned();
    let after = paging.key(|id| Some((parent.to_string(), word.clone(), id.to_owned())))?;
    let prefix = Prefix::<(String, String, String)>::first_two(&parent.to_string(), &word);
    let page = rows.scan(&CHILDREN, &prefix, after.as_ref(), paging.size).await?;
    let mut units = Vec::with_capacity(page.items.len());
    for ((_, _, id), _) in &page.items {
        units.push(answer::unit(rows, &*unit(&entered, id).await?).await?);
    }
    Ok(ListOrganizationalUnitsForParentOutput {
        organizational_units: Some(units),
        next_token: paging.next(page.next.map(|(_, _, id)| id)),
    })
}

/// The unit with this id.
///
/// # Errors
///
/// [`Error::UnitMissing`] if there is none.
async fn unit(entered: &Entered<'_>, id: &str) -> Result<Arc<Unit>, Error> {
    entered.rows.unit(id).await?.ok_or(Error::UnitMissing)
}
