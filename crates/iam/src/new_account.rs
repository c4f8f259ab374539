//! Accounts as an organisation makes and closes them.
//!
//! A made account has no root credential: the way in is its one role, which
//! the management account may assume and which may do everything
//! (Organizations User Guide, "Accessing member accounts"). Beside it stands
//! the service-linked role of Organizations.
//!
//! Invariant: a closed account's credentials are refused, and nobody gets a
//! session in it. Absent by design: making up for a closing; AWS reopens an
//! account by support alone.

use std::collections::BTreeMap;

use gate::NewAccount;
use ground::{AccountId, Timestamp, id};
use policy::{Document, DocumentKind};
use store::{Scope, StoreError, WriteTx};

use crate::limits::MAX_SESSION_DURATION_DEFAULT_SECONDS;
use crate::model::service_linked::{self, ORGANIZATIONS};
use crate::model::{
    Account, Attachment, EntityKind, Generation, Named, Role, Summary, Tags, TrustPolicy, Usage, UsedBy,
    Uses, fold,
};
use crate::store::{ACCOUNT, ATTACHED, GENERATION, NAMES, ROLES, SUMMARY, USED_BY, USES};

/// What the role may do.
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// Adds to `tx` an account with its role.
///
/// # Errors
///
/// [`StoreError::BadRecord`] if the account exists.
pub(crate) async fn create(tx: &WriteTx, new: NewAccount<'_>) -> Result<(), StoreError> {
    let scope = Scope::regionless(new.account);
    if tx.cross_account_get(&scope, &ACCOUNT, &()).await?.is_some() {
        return Err(StoreError::BadRecord {
            table: ACCOUNT.name(),
            reason: format!("account {} exists", new.account),
        });
    }
    let now = Timestamp::from_seconds(new.now.seconds());
    let role = |name: String, path: String, trust: TrustPolicy| Role {
        id: id::entity_id("AROA", new.random.bytes()),
        name,
        path,
        created: now,
        trust,
        description: None,
        max_session_seconds: MAX_SESSION_DURATION_DEFAULT_SECONDS,
        boundary: None,
        tags: Tags::default(),
    };
    let way_in = role(
        new.role_name.to_owned(),
        "/".to_owned(),
        trust(administrator_trust(new.management))?,
    );
    put_role(tx, &scope, &way_in, ADMINISTRATOR);
    let mut roles = 1;
    // The role of Organizations that every member has.
    if let Some(template) = service_linked::template(ORGANIZATIONS)
        && let Some(policy) = template.policy_arn()
    {
        let linked = role(template.name(None), template.path(), trust(template.trust())?);
        put_role(tx, &scope, &linked, &policy);
        roles += 1;
    }
    let summary = Summary {
        roles,
        ..Summary::default()
    };
    let account = Account {
        created: now,
        alias: None,
        closed: None,
    };
    tx.cross_account_put(&scope, &ACCOUNT, &(), &account);
    tx.cross_account_put(&scope, &SUMMARY, &(), &summary);
    tx.cross_account_put(&scope, &GENERATION, &(), &Generation(new.random.bytes()));
    Ok(())
}

/// Adds a role that bears one managed policy of AWS, which nobody in the
/// account bears yet.
fn put_role(tx: &WriteTx, scope: &Scope, role: &Role, policy: &str) {
    let name = fold(&role.name);
    let named = Named {
        kind: EntityKind::Role,
        folded_name: name.clone(),
    };
    let used_by = UsedBy {
        kind: EntityKind::Role,
    };
    let uses = Uses {
        permissions: 1,
        ..Uses::default()
    };
    let arn = policy.to_owned();
    tx.cross_account_put(scope, &ROLES, &name, role);
    tx.cross_account_put(scope, &NAMES, &role.id, &named);
    tx.cross_account_put(scope, &ATTACHED, &(role.id.clone(), arn.clone()), &Attachment {});
    let usage = Usage::Permissions.as_key().to_owned();
    tx.cross_account_put(scope, &USED_BY, &(arn.clone(), usage, role.id.clone()), &used_by);
    tx.cross_account_put(scope, &USES, &arn, &uses);
}

/// Adds to `tx` that the account is closed.
pub(crate) async fn close(
    tx: &WriteTx,
    account: AccountId,
    now: Timestamp,
    generation: [u8; 16],
) -> Result<(), StoreError> {
    let scope = Scope::regionless(account);
    if let Some(open) = tx.cross_account_get(&scope, &ACCOUNT, &()).await? {
        let closed = Account {
            closed: Some(now),
            ..(*open).clone()
        };
        tx.cross_account_put(&scope, &ACCOUNT, &(), &closed);
        tx.cross_account_put(&scope, &GENERATION, &(), &Generation(generation));
    }
    Ok(())
}

/// Trusts the management account.
fn administrator_trust(management: AccountId) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{management}:root"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

fn trust(text: String) -> Result<TrustPolicy, StoreError> {
    let refuse = |malformed: policy::Malformed| StoreError::BadRecord {
        table: ROLES.name(),
        reason: format!(
            "the trust policy of a role of a new account is refused: {:?}",
            malformed.reason()
        ),
    };
    let document = Document::parse(&text, DocumentKind::RoleTrust).map_err(refuse)?;
    TrustPolicy::new(text, document, BTreeMap::new()).map_err(refuse)
}
