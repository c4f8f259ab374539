//! Managed policies and their versions.

use std::sync::Arc;

use ::store::Prefix;
use gate::{Cx, Permit};
use ground::id;
use iam_api::{
    CreatePolicyInput, CreatePolicyOutput, CreatePolicyVersionInput, CreatePolicyVersionOutput,
    DeletePolicyInput, DeletePolicyVersionInput, GetPolicyInput, GetPolicyOutput, GetPolicyVersionInput,
    GetPolicyVersionOutput, ListPoliciesInput, ListPoliciesOutput, ListPolicyVersionsInput,
    ListPolicyVersionsOutput, Policy as ApiPolicy, PolicyScopeType, PolicyUsageType,
    PolicyVersion as ApiVersion, SetDefaultPolicyVersionInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::aws_managed;
use crate::error::Error;
use crate::limits::{POLICIES_MAX, SCANNED_ROWS_MAX, VERSIONS_PER_POLICY_MAX};
use crate::model::{CaseOfKeys, ManagedPolicy, PolicyVersion, Tags, Uses, fold, version_number};
use crate::ops::page::Paging;
use crate::ops::{answer, policy_document};
use crate::store::{self, POLICIES, Policy, VERSIONS, rows, written_at};

pub(crate) async fn create_policy(
    _iam: &Iam,
    cx: &Cx,
    input: CreatePolicyInput,
) -> Result<CreatePolicyOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Matters)?;
    let name = input.policy_name;
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    let policy = ManagedPolicy {
        id: id::entity_id("ANPA", cx.random().bytes()),
        name: name.clone(),
        path: path.clone(),
        description: input.description,
        created: written_at(cx),
        updated: written_at(cx),
        default_version: 1,
        next_version: 2,
        tags: tags.clone(),
    };
    let asking = Asking {
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let policy = access::new(cx, policy, "policy", (&path, &name), asking).await?;

    let version = PolicyVersion {
        document: policy_document::managed(input.policy_document)?,
        created: written_at(cx),
    };
    if rows(cx).get(&POLICIES, &fold(&name)).await?.is_some() {
        return Err(Error::PolicyExists(name));
    }
    let mut summary = rows(cx).summary().await?;
    if summary.policies >= POLICIES_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}"
        )));
    }
    summary.policies += 1;
    summary.policy_versions += 1;
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_policy(tx, &policy);
        store::put_version(tx, &policy, 1, &version);
    })
    .await?;
    // The answer of CreatePolicy has no description.
    let answered = ApiPolicy {
        description: None,
        ..answer::policy(cx.account(), &policy, Uses::default())
    };
    Ok(CreatePolicyOutput {
        policy: Some(answered),
    })
}

pub(crate) async fn get_policy(_iam: &Iam, cx: &Cx, input: GetPolicyInput) -> Result<GetPolicyOutput, Error> {
    let policy = access::policy(cx, &input.policy_arn, Asking::NOTHING).await?;
    let uses = rows(cx).uses(&input.policy_arn).await?;
    let policy = match &*policy {
        Policy::Aws(policy) => answer::aws_policy(policy, uses),
        Policy::Own(policy) => answer::policy(cx.account(), policy, uses),
    };
    Ok(GetPolicyOutput { policy: Some(policy) })
}

/// Policies of AWS come first, then those of the account, each by name.
pub(crate) async fn list_policies(
    _iam: &Iam,
    cx: &Cx,
    input: ListPoliciesInput,
) -> Result<ListPoliciesOutput, Error> {
    let filter = Filter::new(&input);
    let prefix = filter.prefix;
    let of = format!(
        "{prefix} {:?} {:?} {:?}",
        input.scope, input.only_attached, input.policy_usage_filter
    );
    let paging = Paging::new("ListPolicies", &of, input.marker.as_deref(), input.max_items)?;
    access::list(cx, "policy", prefix).await?;

    let rows = rows(cx);
    let mut policies = Vec::new();
    // A marker tells which of the two lists it stands in.
    let after_aws = paging.after().is_none_or(|after| after.starts_with(AWS_LIST));
    if filter.aws && after_aws {
        for policy in &aws_managed::POLICIES {
            let key = format!("{AWS_LIST}{}", fold(policy.name));
            if paging.after().is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            let uses = rows.uses(&policy.arn()).await?;
            if !filter.wants(policy.path, uses) {
                continue;
            }
            policies.push(answer::listed_aws_policy(policy, uses));
            if policies.len() == paging.limit() {
                return Ok(ListPoliciesOutput {
                    policies: Some(policies),
                    is_truncated: Some(true),
                    marker: Some(paging.marker(&key)),
                });
            }
        }
    }
    let marker = if filter.own {
        add_own(cx, &filter, &paging, &mut policies).await?
    } else {
        None
    };
    Ok(ListPoliciesOutput {
        policies: Some(policies),
        is_truncated: Some(marker.is_some()),
        marker,
    })
}

/// Fills the page with policies of the account, and gives the marker if it ends before they do.
async fn add_own(
    cx: &Cx,
    filter: &Filter<'_>,
    paging: &Paging,
    policies: &mut Vec<ApiPolicy>,
) -> Result<Option<String>, Error> {
    let rows = rows(cx);
    let mut after = paging
        .after()
        .and_then(|after| after.strip_prefix(OWN_LIST))
        .map(str::to_owned);
    let mut scanned = 0;
    loop {
        let page = rows
            .scan(&POLICIES, &Prefix::all(), after.as_ref(), paging.limit())
            .await?;
        scanned += page.items.len();
        let length = page.items.len();
        for (at, (key, policy)) in page.items.into_iter().enumerate() {
            let uses = rows.uses(&policy.arn(cx.account())).await?;
            if filter.wants(&policy.path, uses) {
                policies.push(answer::listed_policy(cx.account(), &policy, uses));
            }
            if policies.len() == paging.limit() && (at + 1 < length || page.next.is_some()) {
                return Ok(Some(paging.marker(&format!("{OWN_LIST}{key}"))));
            }
        }
        match page.next {
            None => return Ok(None),
            Some(next) if scanned >= SCANNED_ROWS_MAX => {
                return Ok(Some(paging.marker(&format!("{OWN_LIST}{next}"))));
            }
            Some(next) => after = Some(next),
        }
    }
}

const AWS_LIST: &str = "aws ";
const OWN_LIST: &str = "own ";

/// Which policies `ListPolicies` wants.
struct Filter<'a> {
    aws: bool,
    own: bool,
    prefix: &'a str,
    attached: bool,
    usage: Option<PolicyUsageType>,
}

impl Filter<'_> {
    fn new(input: &ListPoliciesInput) -> Filter<'_> {
        let scope = input.scope.unwrap_or(PolicyScopeType::All);
        Filter {
            aws: scope != PolicyScopeType::Local,
            own: scope != PolicyScopeType::Aws,
            prefix: input.path_prefix.as_deref().unwrap_or("/"),
            attached: input.only_attached.unwrap_or(false),
            usage: input.policy_usage_filter,
        }
    }

    fn wants(&self, path: &str, uses: Uses) -> bool {
        let used_so = match self.usage {
            None => true,
            Some(PolicyUsageType::PermissionsPolicy) => uses.permissions > 0,
            Some(PolicyUsageType::PermissionsBoundary) => uses.boundary > 0,
        };
        path.starts_with(self.prefix) && used_so && (!self.attached || uses.permissions > 0)
    }
}

pub(crate) async fn delete_policy(_iam: &Iam, cx: &Cx, input: DeletePolicyInput) -> Result<Unit, Error> {
    let policy = access::own_policy(cx, &input.policy_arn, Asking::NOTHING).await?;
    let uses = rows(cx).uses(&input.policy_arn).await?;
    if uses.permissions > 0 || uses.boundary > 0 {
        return Err(Error::DeleteConflict(
            "Cannot delete a policy attached to entities.",
        ));
    }
    if rows(cx).versions(&policy).await?.len() > 1 {
        return Err(Error::DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
             The default version is deleted with the policy.",
        ));
    }
    let mut summary = rows(cx).summary().await?;
    summary.policies = summary.policies.saturating_sub(1);
    summary.policy_versions = summary.policy_versions.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_policy(tx, &policy, &input.policy_arn);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn create_policy_version(
    _iam: &Iam,
    cx: &Cx,
    input: CreatePolicyVersionInput,
) -> Result<CreatePolicyVersionOutput, Error> {
    let policy = access::own_policy(cx, &input.policy_arn, Asking::NOTHING).await?;
    let version = PolicyVersion {
        document: policy_document::managed(input.policy_document)?,
        created: written_at(cx),
    };
    if rows(cx).versions(&policy).await?.len() >= VERSIONS_PER_POLICY_MAX {
        return Err(Error::LimitExceeded(format!(
            "A managed policy can have up to {VERSIONS_PER_POLICY_MAX} versions. Before you create a new version, you \
             must delete an existing version."
        )));
    }
    let number = policy.next_version;
    let is_default = input.set_as_default.unwrap_or(false);
    let policy = policy.map(|policy| ManagedPolicy {
        next_version: number.saturating_add(1),
        default_version: if is_default {
            number
        } else {
            policy.default_version
        },
        updated: written_at(cx),
        ..(*policy).clone()
    });
    let mut summary = rows(cx).summary().await?;
    summary.policy_versions = summary.policy_versions.saturating_add(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_policy(tx, &policy);
        store::put_version(tx, &policy, number, &version);
    })
    .await?;
    Ok(CreatePolicyVersionOutput {
        policy_version: Some(answer::listed_version(number, &version, is_default)),
    })
}

pub(crate) async fn get_policy_version(
    _iam: &Iam,
    cx: &Cx,
    input: GetPolicyVersionInput,
) -> Result<GetPolicyVersionOutput, Error> {
    let policy = access::policy(cx, &input.policy_arn, Asking::NOTHING).await?;
    let missing = || version_missing(&input.policy_arn, &input.version_id);
    let answered = match &*policy {
        Policy::Aws(policy) if input.version_id == aws_managed::VERSION => ApiVersion {
            document: Some(answer::encoded(policy.document)),
            ..aws_version()
        },
        Policy::Aws(_) => return Err(missing()),
        Policy::Own(policy) => {
            let number = version_number(&input.version_id).ok_or_else(missing)?;
            let version = rows(cx)
                .get(&VERSIONS, &(policy.id.clone(), number))
                .await?
                .ok_or_else(missing)?;
            answer::version(number, &version, number == policy.default_version)
        }
    };
    Ok(GetPolicyVersionOutput {
        policy_version: Some(answered),
    })
}

fn version_missing(arn: &str, version: &str) -> Error {
    Error::VersionMissing {
        arn: arn.to_owned(),
        version: version.to_owned(),
    }
}

fn aws_version() -> ApiVersion {
    ApiVersion {
        document: None,
        version_id: Some(aws_managed::VERSION.to_owned()),
        is_default_version: Some(true),
        create_date: Some(aws_managed::CREATED),
    }
}

/// Newest first.
pub(crate) async fn list_policy_versions(
    _iam: &Iam,
    cx: &Cx,
    input: ListPolicyVersionsInput,
) -> Result<ListPolicyVersionsOutput, Error> {
    let policy = access::policy(cx, &input.policy_arn, Asking::NOTHING).await?;
    let paging = Paging::new(
        "ListPolicyVersions",
        &input.policy_arn,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let versions = match &*policy {
        Policy::Aws(_) => vec![(String::new(), aws_version())],
        Policy::Own(policy) => {
            let versions = rows(cx).versions(policy).await?.into_iter().rev();
            let answered = versions.map(|(number, version)| {
                // Markers sort as text, and the newest comes first.
                let key = format!("{:020}", u64::MAX - number);
                (
                    key,
                    answer::listed_version(number, &version, number == policy.default_version),
                )
            });
            answered.collect()
        }
    };
    let listed = paging.of(versions);
    Ok(ListPolicyVersionsOutput {
        is_truncated: listed.is_truncated(),
        versions: Some(listed.items),
        marker: listed.marker,
    })
}

pub(crate) async fn delete_policy_version(
    _iam: &Iam,
    cx: &Cx,
    input: DeletePolicyVersionInput,
) -> Result<Unit, Error> {
    let (policy, number) = own_version(cx, &input.policy_arn, &input.version_id).await?;
    if number == policy.default_version {
        return Err(Error::DeleteConflict(
            "Cannot delete the default version of a policy.",
        ));
    }
    let mut summary = rows(cx).summary().await?;
    summary.policy_versions = summary.policy_versions.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_version(tx, &policy, number);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn set_default_policy_version(
    _iam: &Iam,
    cx: &Cx,
    input: SetDefaultPolicyVersionInput,
) -> Result<Unit, Error> {
    let (policy, number) = own_version(cx, &input.policy_arn, &input.version_id).await?;
    let policy = policy.map(|policy| ManagedPolicy {
        default_version: number,
        updated: written_at(cx),
        ..(*policy).clone()
    });
    store::write(cx, |tx| store::put_policy(tx, &policy)).await?;
    Ok(Unit)
}

/// A policy of the account that may be changed, and the number of a version it has.
async fn own_version(cx: &Cx, arn: &str, version: &str) -> Result<(Permit<Arc<ManagedPolicy>>, u64), Error> {
    let policy = access::own_policy(cx, arn, Asking::NOTHING).await?;
    let number = version_number(version).ok_or_else(|| version_missing(arn, version))?;
    if rows(cx)
        .get(&VERSIONS, &(policy.id.clone(), number))
        .await?
        .is_none()
    {
        return Err(version_missing(arn, version));
    }
    Ok((policy, number))
}
