//! `GetKeyPolicy`, `PutKeyPolicy` and `ListKeyPolicies`.

use std::collections::BTreeMap;

use gate::Cx;
use ground::Arn;
use kms_api::{
    GetKeyPolicyInput, GetKeyPolicyOutput, ListKeyPoliciesInput, ListKeyPoliciesOutput, PutKeyPolicyInput,
};
use shape::Unit;

use crate::error::Error;
use crate::limits::KEYS_PAGE;
use crate::model::policy::{POLICY_NAME, UnboundPolicy};
use crate::model::{Key, KeyPolicy};
use crate::ops::page;
use crate::{Kms, access, store};

const LIST: &str = "ListKeyPolicies";

/// Gives the policy of a key, byte for byte as it was written, but for
/// principals that have another ARN now or none any more.
///
/// # Errors
///
/// [`Error::NoSuchPolicy`] for another name than `default`.
pub async fn get_key_policy(
    _kms: &Kms,
    cx: &Cx,
    input: GetKeyPolicyInput,
) -> Result<GetKeyPolicyOutput, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    if input.policy_name.is_some_and(|name| name != POLICY_NAME) {
        return Err(Error::NoSuchPolicy);
    }
    Ok(GetKeyPolicyOutput {
        policy: Some(text_today(cx, &key).await?),
        policy_name: Some(POLICY_NAME.to_owned()),
    })
}

/// Replaces the policy of a key.
///
/// # Errors
///
/// [`Error::MalformedPolicy`] if it is no policy or names principals that do
/// not exist, [`Error::LockedOut`] if the caller could not replace it again.
pub async fn put_key_policy(_kms: &Kms, cx: &Cx, input: PutKeyPolicyInput) -> Result<Unit, Error> {
    if let Some(name) = input.policy_name.filter(|name| name != POLICY_NAME) {
        return Err(Error::PolicyName(name));
    }
    let policy = UnboundPolicy::parse(input.policy)?;
    let key = store::key(cx, &input.key_id).await?;

    let bypass = input.bypass_policy_lockout_safety_check;
    let key = access::key(cx, key)
        .with("kms:bypasspolicylockoutsafetycheck", bypass)
        .permit()
        .await?;
    let policy = bind(cx, policy).await?;
    refuse_lockout(cx, &key, &policy, bypass).await?;

    let after = Key {
        policy,
        ..Key::clone(&key)
    };
    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}

/// Lists the one name a key policy can have.
///
/// # Errors
///
/// [`Error::InvalidMarker`] for any marker: the first page is the last.
pub async fn list_key_policies(
    _kms: &Kms,
    cx: &Cx,
    input: ListKeyPoliciesInput,
) -> Result<ListKeyPoliciesOutput, Error> {
    page::size(input.limit, KEYS_PAGE)?;
    page::after(LIST, input.marker.as_deref(), |_| None::<String>)?;
    let key = store::key(cx, &input.key_id).await?;

    access::key(cx, key).permit().await?;
    Ok(ListKeyPoliciesOutput {
        policy_names: Some(vec![POLICY_NAME.to_owned()]),
        next_marker: None,
        truncated: Some(false),
    })
}

/// The policy as it reads today: principals under the ARN they have now, those
/// that are gone as their bare unique id.
///
/// Source: IAM User Guide, "AWS JSON policy elements: Principal": a principal
/// that was deleted is shown by its id.
async fn text_today(cx: &Cx, key: &Key) -> Result<String, Error> {
    let mut renamed = BTreeMap::new();
    for (named, id) in key.policy.bound() {
        // A bare id names someone of the key's own account.
        let account = Arn::parse(named).ok().and_then(|arn| arn.account_id());
        let today = cx.principal_arn(account.unwrap_or(key.account), id).await?;
        let today = today.unwrap_or_else(|| id.clone());
        if today != *named {
            renamed.insert(named.clone(), today);
        }
    }
    Ok(key.policy.text_with(key.account, &renamed))
}

/// Looks up everyone a policy names.
///
/// # Errors
///
/// [`Error::MalformedPolicy`] or [`Error::UnknownPrincipal`] if one of them
/// does not exist.
pub(super) async fn bind(cx: &Cx, policy: UnboundPolicy) -> Result<KeyPolicy, Error> {
    let mut ids = BTreeMap::new();
    for arn in policy.entities() {
        if let Some(id) = cx.principal_id(arn).await? {
            ids.insert(arn.to_owned(), id);
        }
    }
    for id in policy.unique_ids() {
        if cx.principal_arn(cx.account(), id).await?.is_some() {
            ids.insert(id.to_owned(), id.to_owned());
        }
    }
    for account in policy.accounts() {
        if !cx.account_exists(account).await? {
            return Err(Error::UnknownPrincipal);
        }
    }
    policy.bind(ids, cx.account())
}

/// Refuses a policy that its own author could not replace.
///
/// Source: KMS API Reference, `PutKeyPolicy`, `BypassPolicyLockoutSafetyCheck`.
///
/// # Errors
///
/// [`Error::LockedOut`].
pub(super) async fn refuse_lockout(
    cx: &Cx,
    key: &Key,
    policy: &KeyPolicy,
    bypass: Option<bool>,
) -> Result<(), Error> {
    if bypass == Some(true)
        || cx
            .would_allow(access::later_policy(cx, key, policy.attached(key.account)?))
            .await?
    {
        return Ok(());
    }
    Err(Error::LockedOut)
}
