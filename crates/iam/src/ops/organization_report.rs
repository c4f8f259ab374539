//! Service last accessed, for a part of an organisation: which services its
//! service control policies allow, and from which account they were last tried.
//!
//! As with [`super::access_report`], a report is a note of who asked for what,
//! and is put together when it is read. What the organisation looks like is
//! asked of Organizations, for the caller, who must be allowed that too.
//!
//! Absent by design: what policies allow of a service beyond some of its
//! actions, and services that are not of this program.

use std::collections::HashMap;
use std::sync::Arc;

use gate::{Cx, Membership};
use ground::AccountId;
use iam_api::{
    AccessDetail, ErrorDetails, GenerateOrganizationsAccessReportInput,
    GenerateOrganizationsAccessReportOutput, GetOrganizationsAccessReportInput,
    GetOrganizationsAccessReportOutput, JobStatusType, SortKeyType,
};
use organizations_api as organizations;
use organizations_api::{ChildType, PolicyType, PolicyTypeStatus};
use policy::{Document, DocumentKind};

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::model::Accesses;
use crate::model::accesses::{SERVICES, permits};
use crate::ops::access_report::{asked_for, sought};
use crate::ops::page::Paging;
use crate::store::{Subject, rows};

const NOT_ENTITLED: Error = Error::AccessDenied(
    "Only the management account of an organization in which service control policies are enabled may call this \
     operation.",
);

/// The organisation that the caller's account manages, and the id of its root.
async fn managed(cx: &Cx) -> Result<(Membership, String), Error> {
    let standing = cx.account_standing(cx.account()).await?;
    let membership = standing.membership.clone().ok_or(NOT_ENTITLED)?;
    if membership.management != cx.account() {
        return Err(NOT_ENTITLED);
    }
    let input = organizations::ListRootsInput::default();
    let roots = cx.call::<organizations::ListRoots>(input).await?;
    let root = roots.roots.into_iter().flatten().next().ok_or(NOT_ENTITLED)?;
    let mut types = root.policy_types.iter().flatten();
    let is_enabled = types.any(|of| {
        of.r#type == Some(PolicyType::ServiceControlPolicy) && of.status == Some(PolicyTypeStatus::Enabled)
    });
    match root.id {
        Some(id) if is_enabled => Ok((membership, id)),
        _ => Err(NOT_ENTITLED),
    }
}

pub(crate) async fn generate_organizations_access_report(
    _iam: &Iam,
    cx: &Cx,
    input: GenerateOrganizationsAccessReportInput,
) -> Result<GenerateOrganizationsAccessReportOutput, Error> {
    let permit = access::of_account(cx, ()).await?;
    managed(cx).await?;
    let subject = Subject::Organization {
        path: input.entity_path,
        policy_id: input.organizations_policy_id,
    };
    let job_id = asked_for(cx, permit, subject, false).await?;
    Ok(GenerateOrganizationsAccessReportOutput { job_id: Some(job_id) })
}

/// A part of an organisation.
struct Part {
    /// From the root to the part itself.
    targets: Vec<String>,
    /// Its accounts, each with its path.
    accounts: Vec<(AccountId, String)>,
}

/// The part at `path`; `None` if the organisation has none there.
async fn part(cx: &Cx, path: &str, (membership, root): &(Membership, String)) -> Result<Option<Part>, Error> {
    let path = path.trim_end_matches('/');
    let mut steps = path.split('/');
    if steps.next() != Some(&membership.organization) || steps.next() != Some(root) {
        return Ok(None);
    }
    let mut targets = vec![root.clone()];
    for step in steps {
        let input = organizations::ListParentsInput {
            child_id: step.to_owned(),
            ..organizations::ListParentsInput::default()
        };
        let parents = match cx.call::<organizations::ListParents>(input).await {
            Ok(told) => told.parents,
            Err(fault) if is_about_the_path(&fault) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        let parent = parents.into_iter().flatten().next().and_then(|parent| parent.id);
        if parent.as_deref() != targets.last().map(String::as_str) {
            return Ok(None);
        }
        targets.push(step.to_owned());
    }
    let last = targets.last().map_or("", String::as_str);
    let accounts = match AccountId::parse(last) {
        Ok(account) => vec![(account, path.to_owned())],
        Err(_) => accounts_below(cx, last, path).await?,
    };
    Ok(Some(Part { targets, accounts }))
}

fn is_about_the_path(fault: &gate::Fault) -> bool {
    matches!(
        fault.code(),
        "ChildNotFoundException" | "InvalidInputException" | "ValidationException"
    )
}

/// The accounts in a root or unit and in all units below it.
async fn accounts_below(cx: &Cx, id: &str, path: &str) -> Result<Vec<(AccountId, String)>, Error> {
    let mut accounts = Vec::new();
    let mut units = vec![(id.to_owned(), path.to_owned())];
    while let Some((id, path)) = units.pop() {
        for child in children(cx, &id, ChildType::Account).await? {
            if let Ok(account) = AccountId::parse(&child) {
                accounts.push((account, format!("{path}/{child}")));
            }
        }
        for child in children(cx, &id, ChildType::OrganizationalUnit).await? {
            let below = format!("{path}/{child}");
            units.push((child, below));
        }
    }
    Ok(accounts)
}

async fn children(cx: &Cx, parent_id: &str, child_type: ChildType) -> Result<Vec<String>, Error> {
    let (mut ids, mut next_token) = (Vec::new(), None);
    loop {
        let input = organizations::ListChildrenInput {
            parent_id: parent_id.to_owned(),
            child_type,
            next_token,
            max_results: None,
        };
        let page = cx.call::<organizations::ListChildren>(input).await?;
        ids.extend(page.children.into_iter().flatten().filter_map(|child| child.id));
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(ids);
        }
    }
}

/// Service control policies, each read once.
#[derive(Default)]
struct Policies(HashMap<String, Arc<Document>>);

impl Policies {
    async fn document(&mut self, cx: &Cx, id: &str) -> Result<Option<Arc<Document>>, Error> {
        if let Some(known) = self.0.get(id) {
            return Ok(Some(Arc::clone(known)));
        }
        let input = organizations::DescribePolicyInput {
            policy_id: id.to_owned(),
        };
        let told = cx.call::<organizations::DescribePolicy>(input).await?;
        let content = told.policy.and_then(|policy| policy.content).unwrap_or_default();
        let Ok(document) = Document::parse(&content, DocumentKind::ServiceControl) else {
            return Ok(None);
        };
        let document = Arc::new(document);
        self.0.insert(id.to_owned(), Arc::clone(&document));
        Ok(Some(document))
    }

    /// Those that are attached to a root, unit or account.
    async fn of_target(&mut self, cx: &Cx, target_id: &str) -> Result<Vec<Arc<Document>>, Error> {
        let (mut documents, mut next_token) = (Vec::new(), None);
        loop {
            let input = organizations::ListPoliciesForTargetInput {
                target_id: target_id.to_owned(),
                filter: PolicyType::ServiceControlPolicy,
                next_token,
                max_results: None,
            };
            let page = cx.call::<organizations::ListPoliciesForTarget>(input).await?;
            for id in page.policies.into_iter().flatten().filter_map(|policy| policy.id) {
                documents.extend(self.document(cx, &id).await?);
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(documents);
            }
        }
    }
}

/// The services that are allowed on every level, each level by one policy at least.
async fn allowed(
    cx: &Cx,
    targets: &[String],
    policy_id: Option<&str>,
) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let mut policies = Policies::default();
    let mut levels = Vec::new();
    match policy_id {
        Some(id) => levels.push(policies.document(cx, id).await?.into_iter().collect()),
        None => {
            for target in targets {
                levels.push(policies.of_target(cx, target).await?);
            }
        }
    }
    let on_every_level = |(service, _): &(&str, &str)| {
        levels
            .iter()
            .all(|level| level.iter().any(|document| permits(document, service)))
    };
    Ok(SERVICES.into_iter().filter(on_every_level).collect())
}

/// What is told of one service.
fn detail((service, name): (&str, &str), all: &[(String, Accesses)]) -> AccessDetail {
    let by = || {
        all.iter()
            .filter_map(|(path, accesses)| Some((path, accesses.of(service)?)))
    };
    let last = by().max_by_key(|(_, access)| access.last.at);
    AccessDetail {
        service_name: name.to_owned(),
        service_namespace: service.to_owned(),
        region: last.map(|(_, access)| access.last.region.clone()),
        entity_path: last.map(|(path, _)| path.clone()),
        last_authenticated_time: last.map(|(_, access)| access.last.at),
        total_authenticated_entities: Some(i32::try_from(by().count()).unwrap_or(i32::MAX)),
    }
}

fn sort(details: &mut [AccessDetail], by: SortKeyType) {
    match by {
        SortKeyType::ServiceNamespaceAscending => {
            details.sort_by(|one, other| one.service_namespace.cmp(&other.service_namespace));
        }
        SortKeyType::ServiceNamespaceDescending => {
            details.sort_by(|one, other| other.service_namespace.cmp(&one.service_namespace));
        }
        SortKeyType::LastAuthenticatedTimeAscending => {
            details.sort_by_key(|detail| detail.last_authenticated_time);
        }
        SortKeyType::LastAuthenticatedTimeDescending => {
            details.sort_by_key(|detail| std::cmp::Reverse(detail.last_authenticated_time));
        }
    }
}

/// # Errors
///
/// [`Error::AccessDenied`] in an account that manages no organisation,
/// [`Error::NoSuch`] for a report that somebody else asked for,
/// [`Error::Inside`] where the caller may not look at the organisation.
pub(crate) async fn get_organizations_access_report(
    iam: &Iam,
    cx: &Cx,
    input: GetOrganizationsAccessReportInput,
) -> Result<GetOrganizationsAccessReportOutput, Error> {
    let report = sought(cx, &input.job_id, true).await?;
    let sort_key = input.sort_key.unwrap_or_default();
    let of = format!("{} {}", report.id, sort_key.as_str());
    let paging = Paging::new(
        "GetOrganizationsAccessReport",
        &of,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let mut told = GetOrganizationsAccessReportOutput {
        job_status: JobStatusType::Completed,
        job_creation_date: report.created,
        job_completion_date: Some(report.created),
        is_truncated: Some(false),
        ..GetOrganizationsAccessReportOutput::default()
    };
    let organization = managed(cx).await?;
    let Subject::Organization { path, policy_id } = &report.subject else {
        return Ok(told);
    };
    let Some(part) = part(cx, path, &organization).await? else {
        told.job_status = JobStatusType::Failed;
        told.error_details = Some(ErrorDetails {
            message: "The organization has no root, organizational unit or account at the entity path."
                .to_owned(),
            code: "NoSuchEntity".to_owned(),
        });
        return Ok(told);
    };
    let mut all = Vec::with_capacity(part.accounts.len());
    for (account, path) in part.accounts {
        let rows = rows(cx).cross_account(account);
        let accesses = iam.uses.accesses(&rows, &account.to_string()).await?;
        all.push((path, accesses));
    }
    let services = allowed(cx, &part.targets, policy_id.as_deref()).await?;
    let mut details: Vec<AccessDetail> = services
        .into_iter()
        .map(|service| detail(service, &all))
        .collect();
    let count = |number: usize| i32::try_from(number).ok();
    let untried = details.iter().filter(|detail| detail.entity_path.is_none());
    told.number_of_services_not_accessed = count(untried.count());
    told.number_of_services_accessible = count(details.len());
    sort(&mut details, sort_key);
    // Pages go by place: whatever is told is in the order that was asked for.
    let places = details.into_iter().enumerate();
    let listed = paging.of(places.map(|(place, detail)| (format!("{place:04}"), detail)));
    told.is_truncated = listed.is_truncated();
    told.access_details = Some(listed.items);
    told.marker = listed.marker;
    Ok(told)
}
