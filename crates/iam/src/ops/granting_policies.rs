//! `ListPoliciesGrantingServiceAccess`: which of somebody's policies allow
//! anything of a service.
//!
//! Absent by design: boundaries, and policies of resources and organisations,
//! which grant nothing to one identity.

use gate::Cx;
use iam_api::{
    ListPoliciesGrantingServiceAccessEntry as Entry, ListPoliciesGrantingServiceAccessInput,
    ListPoliciesGrantingServiceAccessOutput, PolicyGrantingServiceAccess as Granting, PolicyType,
};
use policy::Document;
use std::sync::Arc;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::model::accesses::permits;
use crate::model::{EntityKind, PolicyArn};
use crate::ops::access_report::owner_kind;
use crate::ops::page::Paging;
use crate::store::{Entity, INLINE, Rows, rows};

pub(crate) async fn list_policies_granting_service_access(
    _iam: &Iam,
    cx: &Cx,
    input: ListPoliciesGrantingServiceAccessInput,
) -> Result<ListPoliciesGrantingServiceAccessOutput, Error> {
    let entity = access::policy_source(cx, &input.arn).await?;
    let paging = Paging::new(
        "ListPoliciesGrantingServiceAccess",
        entity.id(),
        input.marker.as_deref(),
        None,
    )?;
    let rows = rows(cx);
    let mut policies = policies_on(&rows, &entity).await?;
    if let Entity::User(user) = &*entity {
        for group in rows.groups_of(&user.id).await? {
            policies.extend(policies_on(&rows, &Entity::Group(group)).await?);
        }
    }
    // Entries stand in the order in which they were asked for.
    let numbered = input.service_namespaces.into_iter().enumerate();
    let listed = paging.of(numbered.map(|(number, service)| {
        let granting = policies
            .iter()
            .filter(|policy| permits(&policy.document, &service));
        let entry = Entry {
            policies: Some(granting.map(OnEntity::told).collect()),
            service_namespace: Some(service),
        };
        (format!("{number:04}"), entry)
    }));
    Ok(ListPoliciesGrantingServiceAccessOutput {
        is_truncated: listed.is_truncated(),
        policies_granting_service_access: listed.items,
        marker: listed.marker,
    })
}

/// A policy, and where it is.
struct OnEntity {
    name: String,
    /// Of a managed policy.
    arn: Option<String>,
    /// What an inline policy is written on.
    written_on: Option<(EntityKind, String)>,
    document: Arc<Document>,
}

impl OnEntity {
    fn told(&self) -> Granting {
        Granting {
            policy_name: self.name.clone(),
            policy_type: match self.arn {
                Some(_) => PolicyType::Managed,
                None => PolicyType::Inline,
            },
            policy_arn: self.arn.clone(),
            entity_type: self.written_on.as_ref().map(|(kind, _)| owner_kind(*kind)),
            entity_name: self.written_on.as_ref().map(|(_, name)| name.clone()),
        }
    }
}

/// The policies on one entity, inline ones first.
async fn policies_on(rows: &Rows<'_>, entity: &Entity) -> Result<Vec<OnEntity>, Error> {
    let mut policies = Vec::new();
    for (name, policy) in rows.inline(entity.id()).await? {
        policies.push(OnEntity {
            name,
            arn: None,
            written_on: Some((entity.kind(), entity.name().to_owned())),
            document: policy.document.document(INLINE.name())?,
        });
    }
    for arn in rows.attached(entity.id()).await? {
        let document = rows.policy_document(&arn).await?;
        if let (Some(parsed), Some(document)) = (PolicyArn::parse(&arn), document) {
            policies.push(OnEntity {
                name: parsed.name,
                arn: Some(arn),
                written_on: None,
                document,
            });
        }
    }
    Ok(policies)
}
