//! The nouns as answers tell them.

use ground::Secret;
use organizations_api as api;

use crate::model::{Creation, Member, Node, Organization, Outcome, PolicyKind, Unit};
use crate::store::{Found, Rows};

pub(crate) fn organization(
    organization: &Organization,
    management: &crate::model::Profile,
) -> api::Organization {
    api::Organization {
        id: Some(organization.id.clone()),
        arn: Some(organization.own_arn()),
        feature_set: Some(api::OrganizationFeatureSet::All),
        master_account_arn: Some(organization.node_arn(&Node::Account(organization.management))),
        master_account_id: Some(organization.management.to_string()),
        master_account_email: Some(Secret::new(management.email.clone())),
        // AWS says of this member that it tells nothing, and always gives this.
        available_policy_types: Some(vec![enabled(PolicyKind::ServiceControl)]),
    }
}

pub(crate) fn root(organization: &Organization) -> api::Root {
    let kinds = PolicyKind::ALL.into_iter();
    let kinds = kinds.filter(|kind| organization.state(*kind).enabled);
    api::Root {
        id: Some(organization.root.clone()),
        arn: Some(organization.node_arn(&organization.root_node())),
        name: Some("Root".to_owned()),
        policy_types: Some(kinds.map(enabled).collect()),
    }
}

fn enabled(kind: PolicyKind) -> api::PolicyTypeSummary {
    api::PolicyTypeSummary {
        r#type: Some(kind.api()),
        status: Some(api::PolicyTypeStatus::Enabled),
    }
}

pub(crate) async fn account(rows: &Rows<'_>, member: &Member) -> Result<api::Account, store::StoreError> {
    let organization = rows.organization();
    let node = Node::Account(member.account);
    let way = rows.way_down(&node).await?;
    Ok(api::Account {
        id: Some(member.account.to_string()),
        arn: Some(organization.node_arn(&node)),
        email: Some(Secret::new(member.email.clone())),
        name: Some(Secret::new(member.name.clone())),
        status: Some(member.status()),
        state: Some(member.state()),
        paths: Some(vec![format!("{}{}/", rows.path(&way), member.account)]),
        joined_method: Some(member.joined_method()),
        joined_timestamp: Some(member.joined),
    })
}

pub(crate) async fn unit(rows: &Rows<'_>, unit: &Unit) -> Result<api::OrganizationalUnit, store::StoreError> {
    let node = Node::Unit(unit.id.clone());
    // A unit that is just being made is not there yet, its parent is.
    let parent = Node::parse(&unit.parent).unwrap_or_else(|| rows.organization().root_node());
    let mut way = rows.way_down(&parent).await?;
    way.push(node.clone());
    Ok(api::OrganizationalUnit {
        id: Some(unit.id.clone()),
        arn: Some(rows.organization().node_arn(&node)),
        name: Some(unit.name.clone()),
        path: Some(rows.path(&way)),
    })
}

pub(crate) fn creation(creation: &Creation) -> api::CreateAccountStatus {
    let mut told = api::CreateAccountStatus {
        id: Some(creation.id.clone()),
        account_name: Some(Secret::new(creation.name.clone())),
        requested_timestamp: Some(creation.requested),
        ..api::CreateAccountStatus::default()
    };
    match creation.outcome {
        Outcome::Pending => told.state = Some(api::CreateAccountState::InProgress),
        Outcome::Made { at, account } => {
            told.state = Some(api::CreateAccountState::Succeeded);
            told.completed_timestamp = Some(at);
            told.account_id = Some(account.to_string());
        }
        Outcome::EmailTaken { at } => {
            told.state = Some(api::CreateAccountState::Failed);
            told.completed_timestamp = Some(at);
            told.failure_reason = Some(api::CreateAccountFailureReason::EmailAlreadyExists);
        }
        Outcome::Refused { at } => {
            told.state = Some(api::CreateAccountState::Failed);
            told.completed_timestamp = Some(at);
            told.failure_reason = Some(api::CreateAccountFailureReason::AccountLimitExceeded);
        }
    }
    told
}

pub(crate) fn summary(organization: &Organization, found: &Found) -> api::PolicySummary {
    let (name, description, aws_managed) = match found {
        Found::Aws(policy) => (policy.name, policy.description, true),
        Found::Own(policy) => (policy.name.as_str(), policy.description.as_str(), false),
    };
    api::PolicySummary {
        id: Some(found.id().to_owned()),
        arn: Some(found.arn(organization)),
        name: Some(name.to_owned()),
        description: Some(description.to_owned()),
        r#type: Some(found.kind().api()),
        aws_managed: Some(aws_managed),
    }
}

pub(crate) fn policy(organization: &Organization, found: &Found) -> api::Policy {
    let content = match found {
        Found::Aws(policy) => policy.content,
        Found::Own(policy) => policy.content.as_str(),
    };
    api::Policy {
        policy_summary: Some(summary(organization, found)),
        content: Some(content.to_owned()),
    }
}
