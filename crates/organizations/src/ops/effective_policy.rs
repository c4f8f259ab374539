//! What the tag policies over an account say together.

use gate::Cx;
use ground::AccountId;
use organizations_api::{
    DescribeEffectivePolicyInput, DescribeEffectivePolicyOutput, EffectivePolicy, EffectivePolicyType,
    InvalidInputExceptionReason as Input,
};
use store::StoreError;

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::{Error, input};
use crate::inheritance;
use crate::model::{Node, PolicyKind};
use crate::store::{Found, POLICIES, Rows};

/// Every member may ask about itself.
pub(crate) async fn describe_effective_policy(
    _handlers: &Handlers,
    cx: &Cx,
    asked: DescribeEffectivePolicyInput,
) -> Result<DescribeEffectivePolicyOutput, Error> {
    let own = cx.account().to_string();
    let target = asked.target_id.unwrap_or_else(|| own.clone());
    let who = if target == own { Who::Members } else { Who::Readers };
    let entered = enter(cx, who).await?;
    let ask = entered.node(&target).await?;
    ask.policy_type(PolicyKind::Tag).permit(()).await?;
    if asked.policy_type != EffectivePolicyType::TagPolicy {
        return Err(input(
            Input::InvalidEnumPolicyType,
            format!("The policy type {} is not supported.", asked.policy_type.as_str()),
        ));
    }
    let account = AccountId::parse(&target).map_err(|_| Error::TargetMissing)?;
    let rows = &entered.rows;
    if rows.member(account).await?.is_none() {
        return Err(Error::TargetMissing);
    }
    let content = effective(rows, account)
        .await?
        .ok_or(Error::EffectivePolicyMissing)?;
    Ok(DescribeEffectivePolicyOutput {
        effective_policy: Some(EffectivePolicy {
            policy_content: Some(content),
            last_updated_timestamp: Some(cx.now()),
            target_id: Some(target),
            policy_type: Some(asked.policy_type),
        }),
    })
}

async fn effective(rows: &Rows<'_>, account: AccountId) -> Result<Option<String>, Error> {
    let mut levels = Vec::new();
    for node in rows.way_down(&Node::Account(account)).await? {
        levels.push(rows.attached(&node.to_string(), PolicyKind::Tag).await?);
    }
    let texts: Vec<Vec<&str>> = levels
        .iter()
        .map(|level| {
            let texts = level.iter().map(|found| match found {
                Found::Aws(policy) => policy.content,
                Found::Own(policy) => policy.content.as_str(),
            });
            texts.collect()
        })
        .collect();
    let effective = inheritance::effective(&texts).map_err(|_| StoreError::BadRecord {
        table: POLICIES.name(),
        reason: "a tag policy is refused".to_owned(),
    })?;
    Ok(effective.map(|effective| effective.to_string()))
}
