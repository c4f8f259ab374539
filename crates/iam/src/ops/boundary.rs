//! Permissions boundaries of users and roles.
//!
//! A boundary is a managed policy that limits what other policies grant. It is
//! counted apart from attachments and does not keep its bearer from being
//! deleted, but its bearer keeps the policy from being deleted.

use ::store::WriteTx;
use gate::{Cx, Permit};
use iam_api::{
    DeleteRolePermissionsBoundaryInput, DeleteUserPermissionsBoundaryInput, PutRolePermissionsBoundaryInput,
    PutUserPermissionsBoundaryInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking, Boundary};
use crate::error::Error;
use crate::model::{EntityKind, Role, Usage, User, Uses};
use crate::store::{self, Rows, rows};

/// The change from one boundary to another, with the counts it changes.
pub(crate) struct Bounding {
    kind: EntityKind,
    id: String,
    ended: Option<(String, Uses)>,
    begun: Option<(String, Uses)>,
}

impl Bounding {
    /// Checks that the new boundary exists.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyNotAttachable`] if it does not.
    pub(crate) async fn new(
        rows: &Rows<'_>,
        kind: EntityKind,
        id: &str,
        old: Option<String>,
        new: Option<String>,
    ) -> Result<Bounding, Error> {
        let mut bounding = Bounding {
            kind,
            id: id.to_owned(),
            ended: None,
            begun: None,
        };
        if let Some(arn) = &new {
            let parsed = access::policy_arn(arn)?;
            if rows.policy(&parsed).await?.is_none() {
                return Err(Error::PolicyNotAttachable(arn.clone()));
            }
            parsed.attachable()?;
        }
        if old == new {
            return Ok(bounding);
        }
        if let Some(arn) = old {
            let uses = rows.uses(&arn).await?;
            bounding.ended = Some((arn, uses));
        }
        if let Some(arn) = new {
            let uses = rows.uses(&arn).await?;
            bounding.begun = Some((arn, uses));
        }
        Ok(bounding)
    }

    /// Writes the counts; the entity's own record is written beside.
    pub(crate) fn write(&self, tx: &mut WriteTx) {
        if let Some((arn, uses)) = &self.ended {
            store::end_use(tx, &self.id, arn, Usage::Boundary, *uses);
        }
        if let Some((arn, uses)) = &self.begun {
            store::begin_use(tx, self.kind, &self.id, arn, Usage::Boundary, *uses);
        }
    }
}

/// The end of a boundary whose bearer is being deleted.
pub(crate) async fn ended(
    rows: &Rows<'_>,
    kind: EntityKind,
    id: &str,
    old: Option<String>,
) -> Result<Bounding, Error> {
    Bounding::new(rows, kind, id, old, None).await
}

pub(crate) async fn put_user_permissions_boundary(
    _iam: &Iam,
    cx: &Cx,
    input: PutUserPermissionsBoundaryInput,
) -> Result<Unit, Error> {
    let arn = input.permissions_boundary;
    let asking = Asking {
        boundary: Boundary::Requested(Some(&arn)),
        ..Asking::NOTHING
    };
    let user = access::user(cx, &input.user_name, asking).await?;
    set_user_boundary(cx, user.map(|user| (*user).clone()), Some(arn)).await
}

pub(crate) async fn delete_user_permissions_boundary(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteUserPermissionsBoundaryInput,
) -> Result<Unit, Error> {
    let asking = Asking {
        boundary: Boundary::OfEntity,
        ..Asking::NOTHING
    };
    let user = access::user(cx, &input.user_name, asking).await?;
    set_user_boundary(cx, user.map(|user| (*user).clone()), None).await
}

async fn set_user_boundary(cx: &Cx, user: Permit<User>, new: Option<String>) -> Result<Unit, Error> {
    let bounding = Bounding::new(
        &rows(cx),
        EntityKind::User,
        &user.id,
        user.boundary.clone(),
        new.clone(),
    )
    .await?;
    let user = user.map(|user| User {
        boundary: new,
        ..user
    });
    store::write(cx, |tx| {
        store::put_user(tx, &user);
        bounding.write(tx);
    })
    .await?;
    Ok(Unit)
}

pub(crate) async fn put_role_permissions_boundary(
    _iam: &Iam,
    cx: &Cx,
    input: PutRolePermissionsBoundaryInput,
) -> Result<Unit, Error> {
    let arn = input.permissions_boundary;
    let asking = Asking {
        boundary: Boundary::Requested(Some(&arn)),
        ..Asking::NOTHING
    };
    let role = access::role(cx, &input.role_name, asking).await?;
    role.changeable()?;
    set_role_boundary(cx, role.map(|role| (*role).clone()), Some(arn)).await
}

pub(crate) async fn delete_role_permissions_boundary(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteRolePermissionsBoundaryInput,
) -> Result<Unit, Error> {
    let asking = Asking {
        boundary: Boundary::OfEntity,
        ..Asking::NOTHING
    };
    let role = access::role(cx, &input.role_name, asking).await?;
    role.changeable()?;
    set_role_boundary(cx, role.map(|role| (*role).clone()), None).await
}

async fn set_role_boundary(cx: &Cx, role: Permit<Role>, new: Option<String>) -> Result<Unit, Error> {
    let bounding = Bounding::new(
        &rows(cx),
        EntityKind::Role,
        &role.id,
        role.boundary.clone(),
        new.clone(),
    )
    .await?;
    let role = role.map(|role| Role {
        boundary: new,
        ..role
    });
    store::write(cx, |tx| {
        store::put_role(tx, &role);
        bounding.write(tx);
    })
    .await?;
    Ok(Unit)
}
