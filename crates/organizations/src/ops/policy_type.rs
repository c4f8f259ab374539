//! Policy types, enabled and disabled on the root.
//!
//! Both take effect at once: there is no pending state.

use gate::Cx;
use organizations_api::{
    DisablePolicyTypeInput, DisablePolicyTypeOutput, EnablePolicyTypeInput, EnablePolicyTypeOutput,
};

use crate::Handlers;
use crate::access::{Entered, Who, enter};
use crate::error::Error;
use crate::model::{Organization, PolicyKind};
use crate::ops::answer;
use crate::ops::policy::kind;
use crate::store::write;

/// AWS's own policy of the type is on everything from here on.
pub(crate) async fn enable_policy_type(
    _handlers: &Handlers,
    cx: &Cx,
    input: EnablePolicyTypeInput,
) -> Result<EnablePolicyTypeOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let mut ask = entered.node(&input.root_id).await?;
    if let Some(kind) = PolicyKind::of(input.policy_type) {
        ask = ask.policy_type(kind);
    }
    let permit = ask.permit(()).await?;
    let kind = kind(input.policy_type)?;
    let mut organization = of_root(&entered, &input.root_id)?;
    let state = organization.state_mut(kind);
    if state.enabled {
        return Err(Error::PolicyTypeEnabled);
    }
    state.enabled = true;
    write(cx, entered.rows.scope(), &permit, |writer| {
        writer.put_organization(&organization);
    })
    .await?;
    Ok(EnablePolicyTypeOutput {
        root: Some(answer::root(&organization)),
    })
}

/// Every policy of the type is detached from everything, for good.
pub(crate) async fn disable_policy_type(
    _handlers: &Handlers,
    cx: &Cx,
    input: DisablePolicyTypeInput,
) -> Result<DisablePolicyTypeOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let mut ask = entered.node(&input.root_id).await?;
    if let Some(kind) = PolicyKind::of(input.policy_type) {
        ask = ask.policy_type(kind);
    }
    let permit = ask.permit(()).await?;
    let kind = kind(input.policy_type)?;
    let mut organization = of_root(&entered, &input.root_id)?;
    let state = organization.state_mut(kind);
    if !state.enabled {
        return Err(Error::PolicyTypeNotEnabled);
    }
    state.enabled = false;
    state.season += 1;
    write(cx, entered.rows.scope(), &permit, |writer| {
        writer.put_organization(&organization);
    })
    .await?;
    Ok(DisablePolicyTypeOutput {
        root: Some(answer::root(&organization)),
    })
}

fn of_root(entered: &Entered<'_>, root: &str) -> Result<Organization, Error> {
    let organization = entered.rows.organization();
    if organization.root == root {
        Ok(organization.clone())
    } else {
        Err(Error::RootMissing)
    }
}
