//! Service last accessed: which services somebody's policies allow, and when
//! they were last tried.
//!
//! A report is a note of who asked about whom; what it tells is put together
//! when it is read, from the accesses that [`crate::last_used`] records. So it
//! has ended as soon as it was asked for, and is never older than it says.
//!
//! Absent by design: accesses of root users, and services and actions that
//! nobody of the subject ever tried, beyond the names of the services that its
//! policies allow.

use ::store::{Prefix, StoreError};
use gate::{Cx, Permit};
use ground::{Timestamp, id};
use iam_api::{
    AccessAdvisorUsageGranularityType as Granularity, EntityDetails, EntityInfo, ErrorDetails,
    GenerateServiceLastAccessedDetailsInput, GenerateServiceLastAccessedDetailsOutput,
    GetServiceLastAccessedDetailsInput, GetServiceLastAccessedDetailsOutput,
    GetServiceLastAccessedDetailsWithEntitiesInput, GetServiceLastAccessedDetailsWithEntitiesOutput,
    JobStatusType, PolicyOwnerEntityType, ServiceLastAccessed, TrackedActionLastAccessed,
};
use policy::Who;
use std::sync::Arc;

use crate::Iam;
use crate::access::{self, Asking};
use crate::directory::policies::assemble_entity;
use crate::error::Error;
use crate::model::accesses::{SERVICES, permits};
use crate::model::{Accesses, EntityKind, PolicyArn, Usage};
use crate::ops::page::Paging;
use crate::store::{self, AccessReport, Entity, MEMBERS, Rows, Subject, USED_BY, rows};

pub(crate) async fn generate_service_last_accessed_details(
    _iam: &Iam,
    cx: &Cx,
    input: GenerateServiceLastAccessedDetailsInput,
) -> Result<GenerateServiceLastAccessedDetailsOutput, Error> {
    let (permit, subject) = match PolicyArn::parse(&input.arn) {
        Some(_) => {
            let permit = access::policy(cx, &input.arn, Asking::NOTHING).await?;
            (permit.map(|_| ()), Subject::Policy(input.arn))
        }
        None => {
            let entity = access::policy_source(cx, &input.arn).await?;
            let (kind, id) = (entity.kind(), entity.id().to_owned());
            (entity.map(|_| ()), Subject::Entity { kind, id })
        }
    };
    let tells_actions = input.granularity == Some(Granularity::ActionLevel);
    let job_id = asked_for(cx, permit, subject, tells_actions).await?;
    Ok(GenerateServiceLastAccessedDetailsOutput { job_id: Some(job_id) })
}

/// Notes that the caller wants a report, and tells its id.
pub(crate) async fn asked_for(
    cx: &Cx,
    permit: Permit<()>,
    subject: Subject,
    tells_actions: bool,
) -> Result<String, Error> {
    let report = AccessReport {
        id: id::uuid(cx.random().public_bytes()),
        subject,
        tells_actions,
        asker: asker(cx),
        created: store::written_at(cx),
    };
    let reports = rows(cx).access_reports().await?.with(report.clone());
    let reports = permit.map(|()| reports);
    cx.write(async |tx| {
        store::put_access_reports(tx, &reports);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(report.id)
}

/// Whose report it is: a role's whatever the session.
fn asker(cx: &Cx) -> String {
    match cx.caller().principal.who() {
        Who::User { id, .. } | Who::AssumedRole { role_id: id, .. } => id.clone(),
        _ => cx.account().to_string(),
    }
}

/// The report with this id, of an organisation or not, if the caller asked for it.
pub(crate) async fn sought(cx: &Cx, job_id: &str, of_organization: bool) -> Result<AccessReport, Error> {
    access::account_wide(cx).await?;
    let reports = rows(cx).access_reports().await?;
    let report = reports.find(job_id, &asker(cx), of_organization).cloned();
    report.ok_or_else(|| Error::NoSuch(format!("Job with id {job_id} cannot be found.")))
}

/// Somebody whom a report is about.
struct One {
    entity: Entity,
    accesses: Accesses,
}

/// The users and roles that a report is about, by unique id; `None` if its
/// subject is gone.
async fn members(rows: &Rows<'_>, subject: &Subject) -> Result<Option<Vec<String>>, StoreError> {
    match subject {
        Subject::Entity { id, .. } if rows.entity(id).await?.is_none() => Ok(None),
        Subject::Entity {
            kind: EntityKind::Group,
            id,
        } => users_of_group(rows, id).await.map(Some),
        Subject::Entity { id, .. } => Ok(Some(vec![id.clone()])),
        // Told of by accounts, by another operation.
        Subject::Organization { .. } => Ok(None),
        Subject::Policy(arn) => {
            let known = match PolicyArn::parse(arn) {
                Some(parsed) => rows.policy(&parsed).await?,
                None => None,
            };
            if known.is_none() {
                return Ok(None);
            }
            let mut ids = Vec::new();
            let usage = Usage::Permissions.as_key().to_owned();
            let prefix = Prefix::<(String, String, String)>::first_two(arn, &usage);
            let mut after = None;
            loop {
                let page = rows
                    .scan(&USED_BY, &prefix, after.as_ref(), ::store::limits::PAGE_ITEMS_MAX)
                    .await?;
                for ((_, _, id), used_by) in page.items {
                    match used_by.kind {
                        EntityKind::Group => ids.extend(users_of_group(rows, &id).await?),
                        EntityKind::Role | EntityKind::User => ids.push(id),
                    }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            ids.sort_unstable();
            ids.dedup();
            Ok(Some(ids))
        }
    }
}

async fn users_of_group(rows: &Rows<'_>, group_id: &str) -> Result<Vec<String>, StoreError> {
    let prefix = Prefix::<(String, String)>::first(&group_id.to_owned());
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = rows
            .scan(&MEMBERS, &prefix, after.as_ref(), ::store::limits::PAGE_ITEMS_MAX)
            .await?;
        ids.extend(page.items.into_iter().map(|(_, member)| member.user_id.clone()));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

async fn one(iam: &Iam, rows: &Rows<'_>, id: &str) -> Result<Option<One>, StoreError> {
    let Some(entity) = rows.entity(id).await? else {
        return Ok(None);
    };
    let accesses = iam.uses.accesses(rows, id).await?;
    Ok(Some(One { entity, accesses }))
}

/// The services that the subject's own policies allow.
async fn permitted(
    rows: &Rows<'_>,
    subject: &Subject,
) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
    let documents = match subject {
        Subject::Organization { .. } => Vec::new(),
        Subject::Policy(arn) => rows.policy_document(arn).await?.into_iter().collect(),
        Subject::Entity { id, .. } => match rows.entity(id).await? {
            None => Vec::new(),
            Some(entity) => {
                let policies = assemble_entity(rows, &entity).await?;
                policies
                    .identity
                    .iter()
                    .map(|policy| Arc::clone(&policy.document))
                    .collect()
            }
        },
    };
    let is_permitted =
        |(service, _): &(&str, &str)| documents.iter().any(|document| permits(document, service));
    Ok(SERVICES.into_iter().filter(is_permitted).collect())
}

/// What a report whose subject is gone says.
fn gone() -> ErrorDetails {
    ErrorDetails {
        message: "The entity that the report is about was deleted.".to_owned(),
        code: "NoSuchEntity".to_owned(),
    }
}

pub(crate) async fn get_service_last_accessed_details(
    iam: &Iam,
    cx: &Cx,
    input: GetServiceLastAccessedDetailsInput,
) -> Result<GetServiceLastAccessedDetailsOutput, Error> {
    let report = sought(cx, &input.job_id, false).await?;
    let paging = Paging::new(
        "GetServiceLastAccessedDetails",
        &report.id,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let rows = rows(cx);
    let mut told = GetServiceLastAccessedDetailsOutput {
        job_status: JobStatusType::Completed,
        job_type: Some(match report.tells_actions {
            true => Granularity::ActionLevel,
            false => Granularity::ServiceLevel,
        }),
        job_creation_date: report.created,
        job_completion_date: report.created,
        is_truncated: Some(false),
        ..GetServiceLastAccessedDetailsOutput::default()
    };
    let Some(ids) = members(&rows, &report.subject).await? else {
        told.job_status = JobStatusType::Failed;
        told.error = Some(gone());
        return Ok(told);
    };
    let mut all = Vec::with_capacity(ids.len());
    for id in &ids {
        all.extend(one(iam, &rows, id).await?);
    }
    let services = permitted(&rows, &report.subject).await?;
    let listed = paging.of(services.into_iter().map(|(service, name)| {
        let told = service_told(&rows, (service, name), &all, report.tells_actions);
        (service.to_owned(), told)
    }));
    told.is_truncated = listed.is_truncated();
    told.services_last_accessed = listed.items;
    told.marker = listed.marker;
    Ok(told)
}

/// What is told of one service.
fn service_told(
    rows: &Rows<'_>,
    (service, name): (&str, &str),
    all: &[One],
    tells_actions: bool,
) -> ServiceLastAccessed {
    let by = || {
        all.iter()
            .filter_map(|one| Some((one, one.accesses.of(service)?)))
    };
    let last = by().max_by_key(|(_, access)| access.last.at);
    let mut actions: Vec<TrackedActionLastAccessed> = Vec::new();
    for (one, access) in by().filter(|_| tells_actions) {
        for (action, access) in &access.actions {
            let told = TrackedActionLastAccessed {
                action_name: Some(action.clone()),
                last_accessed_entity: Some(one.entity.arn(rows.account())),
                last_accessed_time: Some(access.at),
                last_accessed_region: Some(access.region.clone()),
            };
            match actions
                .iter_mut()
                .find(|known| known.action_name == told.action_name)
            {
                Some(known) if known.last_accessed_time < told.last_accessed_time => *known = told,
                Some(_) => {}
                None => actions.push(told),
            }
        }
    }
    actions.sort_by(|one, other| one.action_name.cmp(&other.action_name));
    ServiceLastAccessed {
        service_name: name.to_owned(),
        service_namespace: service.to_owned(),
        last_authenticated: last.map(|(_, access)| access.last.at),
        last_authenticated_entity: last.map(|(one, _)| one.entity.arn(rows.account())),
        last_authenticated_region: last.map(|(_, access)| access.last.region.clone()),
        total_authenticated_entities: Some(i32::try_from(by().count()).unwrap_or(i32::MAX)),
        tracked_actions_last_accessed: tells_actions.then_some(actions),
    }
}

pub(crate) async fn get_service_last_accessed_details_with_entities(
    iam: &Iam,
    cx: &Cx,
    input: GetServiceLastAccessedDetailsWithEntitiesInput,
) -> Result<GetServiceLastAccessedDetailsWithEntitiesOutput, Error> {
    let report = sought(cx, &input.job_id, false).await?;
    let service = input.service_namespace;
    let of = format!("{} {service}", report.id);
    let paging = Paging::new(
        "GetServiceLastAccessedDetailsWithEntities",
        &of,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let rows = rows(cx);
    let mut told = GetServiceLastAccessedDetailsWithEntitiesOutput {
        job_status: JobStatusType::Completed,
        job_creation_date: report.created,
        job_completion_date: report.created,
        is_truncated: Some(false),
        ..GetServiceLastAccessedDetailsWithEntitiesOutput::default()
    };
    let Some(ids) = members(&rows, &report.subject).await? else {
        told.job_status = JobStatusType::Failed;
        told.error = Some(gone());
        return Ok(told);
    };
    let permitted = permitted(&rows, &report.subject).await?;
    if !permitted.iter().any(|(known, _)| *known == service) {
        return Err(Error::NoSuch(format!(
            "The service {service} is not among those that the policies allow."
        )));
    }
    let listed = paging.of(ids.into_iter().map(|id| (id.clone(), id)));
    for id in &listed.items {
        if let Some(one) = one(iam, &rows, id).await? {
            let last = one.accesses.of(&service).map(|access| access.last.at);
            told.entity_details_list.push(details(&rows, &one.entity, last));
        }
    }
    told.is_truncated = listed.is_truncated();
    told.marker = listed.marker;
    Ok(told)
}

fn details(rows: &Rows<'_>, entity: &Entity, last: Option<Timestamp>) -> EntityDetails {
    EntityDetails {
        entity_info: EntityInfo {
            arn: entity.arn(rows.account()),
            name: entity.name().to_owned(),
            r#type: owner_kind(entity.kind()),
            id: entity.id().to_owned(),
            path: Some(entity.path().to_owned()),
        },
        last_authenticated: last,
    }
}

/// As these operations call it.
pub(crate) fn owner_kind(kind: EntityKind) -> PolicyOwnerEntityType {
    match kind {
        EntityKind::Group => PolicyOwnerEntityType::Group,
        EntityKind::Role => PolicyOwnerEntityType::Role,
        EntityKind::User => PolicyOwnerEntityType::User,
    }
}
