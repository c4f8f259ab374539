//! The organisation's resource policy: which members may do what the
//! management account may.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use gate::Cx;
use organizations_api::{
    DescribeResourcePolicyOutput, InvalidInputExceptionReason as Input, PutResourcePolicyInput,
    PutResourcePolicyOutput, ResourcePolicy as Told, ResourcePolicySummary,
};
use policy::{Document, DocumentKind};
use serde_json::Value;
use shape::Unit as Empty;

use crate::Handlers;
use crate::access::{DELEGABLE, Who, enter};
use crate::error::{Error, input};
use crate::model::{Organization, ResourcePolicy, Tags, id};
use crate::store::{RESOURCE_POLICY, write};

pub(crate) async fn put_resource_policy(
    _handlers: &Handlers,
    cx: &Cx,
    asked: PutResourcePolicyInput,
) -> Result<PutResourcePolicyOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let tags = Tags::of_request(asked.tags)?;
    let rows = &entered.rows;
    let before = rows.get(&RESOURCE_POLICY, &()).await?;
    let id = match &before {
        Some(before) => before.id.clone(),
        None => id("rp-", cx.random().bytes::<8>()),
    };
    let ask = entered.other("resourcepolicy", &id, &id).await?.requested(&tags);
    let permit = ask.permit(()).await?;
    check(&asked.content)?;
    let malformed = |_| {
        input(
            Input::InvalidResourcePolicyJson,
            "The resource policy is not a valid policy.",
        )
    };
    let mut document = Document::parse(&asked.content, DocumentKind::Resource).map_err(malformed)?;
    let mut bound = BTreeMap::new();
    for arn in document.entities() {
        let found = cx.principal_id(arn).await?;
        let found = found.ok_or_else(|| invalid_principal(arn))?;
        bound.insert(arn.to_owned(), found);
    }
    document.bind(|arn| bound.get(arn).cloned()).map_err(malformed)?;
    let policy = ResourcePolicy {
        id,
        text: asked.content,
        bound,
        parsed: OnceLock::new(),
    };
    write(cx, rows.scope(), &permit, |writer| {
        writer.put(&RESOURCE_POLICY, &(), &policy);
        // Tags are given when it is made; afterwards TagResource changes them.
        if before.is_none() {
            writer.put_tags(&policy.id, &tags);
        }
    })
    .await?;
    Ok(PutResourcePolicyOutput {
        resource_policy: Some(told(rows.organization(), &policy)),
    })
}

pub(crate) async fn describe_resource_policy(
    _handlers: &Handlers,
    cx: &Cx,
    _input: Empty,
) -> Result<DescribeResourcePolicyOutput, Error> {
    let entered = enter(cx, Who::Management).await?;
    let policy = entered.rows.get(&RESOURCE_POLICY, &()).await?;
    let id = policy.as_ref().map_or("*", |policy| policy.id.as_str());
    entered.other("resourcepolicy", id, id).await?.permit(()).await?;
    let policy = policy.ok_or(Error::ResourcePolicyMissing)?;
    Ok(DescribeResourcePolicyOutput {
        resource_policy: Some(told(entered.rows.organization(), &policy)),
    })
}

pub(crate) async fn delete_resource_policy(
    _handlers: &Handlers,
    cx: &Cx,
    _input: Empty,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let rows = &entered.rows;
    let policy = rows.get(&RESOURCE_POLICY, &()).await?;
    let id = policy.as_ref().map_or("*", |policy| policy.id.as_str());
    let permit = entered.other("resourcepolicy", id, id).await?.permit(()).await?;
    let policy = policy.ok_or(Error::ResourcePolicyMissing)?;
    write(cx, rows.scope(), &permit, |writer| {
        writer.delete(&RESOURCE_POLICY, &());
        writer.put_tags(&policy.id, &Tags::default());
    })
    .await?;
    Ok(Empty)
}

fn told(organization: &Organization, policy: &ResourcePolicy) -> Told {
    Told {
        resource_policy_summary: Some(ResourcePolicySummary {
            id: Some(policy.id.clone()),
            arn: Some(organization.arn("resourcepolicy", &policy.id)),
        }),
        content: Some(policy.text.clone()),
    }
}

fn invalid_principal(named: &str) -> Error {
    input(
        Input::InvalidPrincipal,
        format!("You specified an invalid principal element in the policy: {named}"),
    )
}

/// What only this resource policy demands: principals by account, user or
/// role, and actions by name, of those that can be delegated.
fn check(content: &str) -> Result<(), Error> {
    let malformed = || {
        input(
            Input::InvalidResourcePolicyJson,
            "The resource policy is not valid JSON.",
        )
    };
    let whole: Value = serde_json::from_str(content).map_err(|_| malformed())?;
    for statement in listed(&whole["Statement"]) {
        let Some(statement) = statement.as_object() else {
            return Err(malformed());
        };
        let named = statement
            .get("Principal")
            .ok_or_else(|| invalid_principal("none"))?;
        let accounts = named
            .get("AWS")
            .ok_or_else(|| invalid_principal(&named.to_string()))?;
        if listed(accounts)
            .iter()
            .any(|principal| principal.as_str() == Some("*"))
        {
            return Err(invalid_principal("*"));
        }
        let actions = statement.get("Action").map(listed).unwrap_or_default();
        let can_be_delegated = |action: &&Value| {
            let name = action
                .as_str()
                .and_then(|action| action.strip_prefix("organizations:"));
            name.is_some_and(|name| DELEGABLE.contains(&name))
        };
        if actions.is_empty() || !actions.iter().all(can_be_delegated) {
            return Err(input(
                Input::UnsupportedActionInResourcePolicy,
                "You specified an action that can't be delegated.",
            ));
        }
    }
    Ok(())
}

fn listed(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_actions_that_can_be_delegated_to_accounts() {
        let policy = |principal: &str, action: &str| {
            check(&format!(
                r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":{action},"Resource":"*"}}}}"#
            ))
        };
        let account = r#"{"AWS":"123456789012"}"#;
        assert!(policy(account, r#"["organizations:ListAccounts"]"#).is_ok());
        for action in [
            r#""*""#,
            r#""organizations:*""#,
            r#""organizations:CreateAccount""#,
            r#""kms:Encrypt""#,
            "[]",
        ] {
            assert!(policy(account, action).is_err(), "{action}");
        }
        for principal in [
            r#""*""#,
            r#"{"AWS":"*"}"#,
            r#"{"Service":"config.amazonaws.com"}"#,
        ] {
            assert!(
                policy(principal, r#""organizations:ListAccounts""#).is_err(),
                "{principal}"
            );
        }
    }
}
