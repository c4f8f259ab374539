//! Which policies bind a user, a role or a group: its own, those of its groups,
//! and its boundary.
//!
//! Whoever is gone is denied everything, and an attached policy or boundary that
//! is lost is an error: it may have denied.

use std::sync::Arc;

use gate::CallerPolicies;
use policy::{Attached, Holder};
use store::StoreError;

use crate::aws_managed;
use crate::store::{ATTACHED, Entity, INLINE, Rows};

/// Whose policies are put together: the id alone does not tell.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Role,
    User,
}

/// A federated user made by root may do what root may, within its session policies.
pub(super) fn of_root_federation() -> Result<Arc<CallerPolicies>, StoreError> {
    let everything = aws_policy("AdministratorAccess")?;
    let attached = Attached::managed(
        &everything.arn(),
        Holder::User("root".into()),
        everything.parsed()?,
    );
    Ok(Arc::new(CallerPolicies {
        identity: vec![attached],
        ..CallerPolicies::default()
    }))
}

/// Whoever is gone may do nothing: not even what a policy of someone else's
/// resource still grants to the unique id.
fn of_nobody() -> Result<CallerPolicies, StoreError> {
    let nothing = aws_policy("AWSDenyAll")?;
    let denied = Attached::inline("the role or user was deleted", Holder::Session, nothing.parsed()?);
    Ok(CallerPolicies {
        identity: vec![denied],
        ..CallerPolicies::default()
    })
}

pub(super) fn aws_policy(name: &str) -> Result<&'static aws_managed::Policy, StoreError> {
    aws_managed::find("/", name).ok_or_else(|| StoreError::BadRecord {
        table: "policies of AWS",
        reason: format!("{name} is missing"),
    })
}

/// Every policy of a user and its groups, or of a role.
pub(super) async fn assemble(rows: &Rows<'_>, id: &str, kind: Kind) -> Result<CallerPolicies, StoreError> {
    let mut policies = CallerPolicies::default();
    let (holder, boundary) = match (rows.entity(id).await?, kind) {
        (Some(Entity::User(user)), Kind::User) => {
            (Holder::User(user.name.as_str().into()), user.boundary.clone())
        }
        (Some(Entity::Role(role)), Kind::Role) => {
            (Holder::Role(role.name.as_str().into()), role.boundary.clone())
        }
        _ => return of_nobody(),
    };
    gather(rows, id, &holder, &mut policies.identity).await?;
    if let Kind::User = kind {
        for group in rows.groups_of(id).await? {
            let holder = Holder::Group(group.name.as_str().into());
            gather(rows, &group.id, &holder, &mut policies.identity).await?;
        }
    }
    if let Some(arn) = boundary {
        // A boundary cannot be deleted while it bounds anyone; without it nobody may pass.
        let document = rows.policy_document(&arn).await?.ok_or_else(|| lost(&arn))?;
        policies.boundary = Some(Attached::managed(&arn, holder, document));
    }
    Ok(policies)
}

/// The policies of a user and its groups, of a role, or of a group alone.
pub(crate) async fn assemble_entity(rows: &Rows<'_>, entity: &Entity) -> Result<CallerPolicies, StoreError> {
    match entity {
        Entity::User(user) => assemble(rows, &user.id, Kind::User).await,
        Entity::Role(role) => assemble(rows, &role.id, Kind::Role).await,
        Entity::Group(group) => {
            let mut policies = CallerPolicies::default();
            let holder = Holder::Group(group.name.as_str().into());
            gather(rows, &group.id, &holder, &mut policies.identity).await?;
            Ok(policies)
        }
    }
}

/// Adds the policies on one entity.
async fn gather(
    rows: &Rows<'_>,
    id: &str,
    holder: &Holder,
    into: &mut Vec<Attached>,
) -> Result<(), StoreError> {
    for (name, policy) in rows.inline(id).await? {
        into.push(Attached::inline(
            &name,
            holder.clone(),
            policy.document.document(INLINE.name())?,
        ));
    }
    for arn in rows.attached(id).await? {
        // An attached policy cannot be deleted; one that is lost may have denied.
        let document = rows.policy_document(&arn).await?.ok_or_else(|| lost(&arn))?;
        into.push(Attached::managed(&arn, holder.clone(), document));
    }
    Ok(())
}

fn lost(arn: &str) -> StoreError {
    StoreError::BadRecord {
        table: ATTACHED.name(),
        reason: format!("{arn} is attached and does not exist"),
    }
}
