//! Service-linked roles: made by their service's template, and deleted only if
//! the service can do without.
//!
//! A deletion is a task on AWS, because the service is asked whether it still
//! uses the role. Here that is known at once: the task has ended when its id
//! is told.
//!
//! Absent by design: a description that nobody gave.

use std::collections::BTreeMap;

use gate::{Access, Cx};
use ground::id;
use iam_api::{
    CreateServiceLinkedRoleInput, CreateServiceLinkedRoleOutput, DeleteServiceLinkedRoleInput,
    DeleteServiceLinkedRoleOutput, DeletionTaskFailureReasonType, DeletionTaskStatusType,
    GetServiceLinkedRoleDeletionStatusInput, GetServiceLinkedRoleDeletionStatusOutput, RoleUsageType,
};
use policy::{Document, DocumentKind};

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::{MAX_SESSION_DURATION_DEFAULT_SECONDS, ROLES_MAX};
use crate::model::service_linked::{ORGANIZATIONS, PATH, Template, template};
use crate::model::{EntityKind, Role, Tags, TrustPolicy, Usage, Uses, arn};
use crate::ops::answer;
use crate::store::{self, DeletionTask, Rows, rows, written_at};

/// Characters of a role's name (IAM API Reference, `roleNameType`); a suffix
/// may make it longer than the model sees.
const ROLE_NAME_MAX: usize = 64;

pub(crate) async fn create_service_linked_role(
    _iam: &Iam,
    cx: &Cx,
    input: CreateServiceLinkedRoleInput,
) -> Result<CreateServiceLinkedRoleOutput, Error> {
    let service = input.aws_service_name.as_str();
    let suffix = input.custom_suffix.as_deref();
    let known = template(service);
    let name = known.map_or_else(|| "*".to_owned(), |template| template.name(suffix));
    let resource = arn(cx.account(), "role", &format!("{PATH}{service}/"), &name);
    let access = Access::to((), resource)
        .recorded_as("AWS::IAM::Role")
        .key("iam:AWSServiceName", Some(service.to_owned()));
    let permit = access::ask(cx, access).await?;

    let template = known.ok_or_else(|| Error::TemplateMissing(service.to_owned()))?;
    if suffix.is_some() && !template.takes_suffix {
        return Err(Error::InvalidInput(format!(
            "Custom suffix is not allowed for {service}"
        )));
    }
    if name.len() > ROLE_NAME_MAX {
        return Err(Error::InvalidInput(format!(
            "Service role name {name} is longer than {ROLE_NAME_MAX} characters, please try a different suffix."
        )));
    }
    let rows = rows(cx);
    if rows.role(&name).await?.is_some() {
        return Err(Error::InvalidInput(format!(
            "Service role name {name} has been taken in this account, please try a different suffix."
        )));
    }
    let mut summary = rows.summary().await?;
    if summary.roles >= ROLES_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for RolesPerAccount: {ROLES_MAX}"
        )));
    }
    summary.roles += 1;
    let trust = trust(template)?;
    let uses = policy_uses(&rows, template).await?;
    let role = permit.map(|()| Role {
        id: id::entity_id("AROA", cx.random().bytes()),
        name,
        path: template.path(),
        created: written_at(cx),
        trust,
        description: input.description,
        max_session_seconds: MAX_SESSION_DURATION_DEFAULT_SECONDS,
        boundary: None,
        tags: Tags::default(),
    });
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_role(tx, &role);
        if let Some((arn, uses)) = &uses {
            store::begin_use(tx, EntityKind::Role, &role.id, arn, Usage::Permissions, *uses);
        }
    })
    .await?;
    let mut answered = answer::role(cx.account(), &role, &template.trust());
    answered.max_session_duration = None;
    Ok(CreateServiceLinkedRoleOutput { role: Some(answered) })
}

/// The trust policy of a service's role.
fn trust(template: &Template) -> Result<TrustPolicy, Error> {
    let text = template.trust();
    let document = Document::parse(&text, DocumentKind::RoleTrust)?;
    Ok(TrustPolicy::new(text, document, BTreeMap::new())?)
}

/// The policy that a service's role bears, and by how many it is borne.
async fn policy_uses(rows: &Rows<'_>, template: &Template) -> Result<Option<(String, Uses)>, Error> {
    let Some(arn) = template.policy_arn() else {
        return Ok(None);
    };
    let uses = rows.uses(&arn).await?;
    Ok(Some((arn, uses)))
}

pub(crate) async fn delete_service_linked_role(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteServiceLinkedRoleInput,
) -> Result<DeleteServiceLinkedRoleOutput, Error> {
    let role = access::role(cx, &input.role_name, Asking::NOTHING).await?;
    let Some(template) = role.service() else {
        return Err(Error::Missing {
            noun: "service-linked role",
            name: input.role_name,
        });
    };
    let rows = rows(cx);
    let task = DeletionTask {
        id: format!(
            "task{}{}/{}",
            role.path,
            role.name,
            id::uuid(cx.random().public_bytes())
        ),
        failed: in_use(cx, template).await?,
    };
    let mut summary = rows.summary().await?;
    summary.roles = summary.roles.saturating_sub(1);
    let uses = policy_uses(&rows, template).await?;
    let tasks = rows.deletion_tasks().await?.with(task.clone());
    store::write(cx, |tx| {
        store::put_deletion_tasks(tx, &role, &tasks);
        if task.failed.is_some() {
            return;
        }
        store::put_summary(tx, &summary);
        if let Some((arn, uses)) = &uses {
            store::end_use(tx, &role.id, arn, Usage::Permissions, *uses);
        }
        store::delete_role(tx, &role);
    })
    .await?;
    Ok(DeleteServiceLinkedRoleOutput {
        deletion_task_id: task.id,
    })
}

/// Why the service cannot do without its role; `None` if it can.
async fn in_use(cx: &Cx, template: &Template) -> Result<Option<String>, Error> {
    if template.service != ORGANIZATIONS {
        return Ok(None);
    }
    let standing = cx.account_standing(cx.account()).await?;
    Ok(standing.membership.as_ref().map(|membership| {
        format!(
            "The account is a member of the organization {}.",
            membership.organization
        )
    }))
}

pub(crate) async fn get_service_linked_role_deletion_status(
    _iam: &Iam,
    cx: &Cx,
    input: GetServiceLinkedRoleDeletionStatusInput,
) -> Result<GetServiceLinkedRoleDeletionStatusOutput, Error> {
    let id = input.deletion_task_id;
    // `task/aws-service-role/SERVICE/NAME/UUID`: the role it was about.
    let role = id.strip_prefix("task/").and_then(|rest| rest.rsplit_once('/'));
    let resource = match role {
        Some((role, _)) => format!("arn:aws:iam::{}:role/{role}", cx.account()),
        None => "*".to_owned(),
    };
    access::ask(cx, Access::to((), resource)).await?;
    if role.is_none() {
        return Err(Error::InvalidInput(format!("Invalid deletion task id: {id}")));
    }
    let tasks = rows(cx).deletion_tasks().await?;
    let task = tasks
        .find(&id)
        .ok_or_else(|| Error::NoSuch(format!("Deletion task {id} cannot be found.")))?;
    let (status, reason) = match &task.failed {
        None => (DeletionTaskStatusType::Succeeded, None),
        Some(reason) => {
            let usage = RoleUsageType {
                region: Some(cx.region().to_string()),
                resources: None,
            };
            let reason = DeletionTaskFailureReasonType {
                reason: Some(reason.clone()),
                role_usage_list: Some(vec![usage]),
            };
            (DeletionTaskStatusType::Failed, Some(reason))
        }
    };
    Ok(GetServiceLinkedRoleDeletionStatusOutput { status, reason })
}
