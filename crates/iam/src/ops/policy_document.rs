//! Reading the documents that requests bring, within their quotas.
//!
//! Characters are counted before a document is read: what is too long is told
//! so, whatever else may be wrong with it.

use std::collections::BTreeMap;

use gate::Cx;
use policy::{Document, DocumentKind};

use crate::error::Error;
use crate::limits::{MANAGED_POLICY_SIZE_MAX, TRUST_POLICY_SIZE_MAX};
use crate::model::{Role, Text, TrustPolicy};
use crate::store::{Rows, rows};

/// The document of an inline policy.
///
/// # Errors
///
/// [`Error::Malformed`].
pub(crate) fn inline(text: String) -> Result<Text, Error> {
    let document = Document::parse(&text, DocumentKind::Identity)?;
    Ok(Text::new(text, document))
}

/// The document of a managed policy.
///
/// # Errors
///
/// [`Error::Malformed`], or [`Error::LimitExceeded`] beyond 6,144 characters.
pub(crate) fn managed(text: String) -> Result<Text, Error> {
    within("PolicySize", MANAGED_POLICY_SIZE_MAX, &text)?;
    inline(text)
}

/// Holds a document to the quota called `quota`.
fn within(quota: &str, size_max: usize, text: &str) -> Result<(), Error> {
    if Document::size_without_white_space(text) > size_max {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for {quota}: {size_max}"
        )));
    }
    Ok(())
}

/// A trust policy, its principals resolved to unique ids.
///
/// Accounts need not exist here: like those of AWS, they may be anyone's.
///
/// # Errors
///
/// [`Error::Malformed`] also for users and roles that do not exist,
/// [`Error::PrincipalUnknown`] for unique ids that nobody has,
/// [`Error::LimitExceeded`] beyond 2,048 characters.
pub(crate) async fn trust(cx: &Cx, text: String) -> Result<TrustPolicy, Error> {
    within("ACLSizePerRole", TRUST_POLICY_SIZE_MAX, &text)?;
    let document = Document::parse(&text, DocumentKind::RoleTrust)?;
    let own = rows(cx);
    let mut bound = BTreeMap::new();
    for arn in document.entities() {
        let Some(account) = ground::Arn::parse(arn).ok().and_then(|arn| arn.account_id()) else {
            continue;
        };
        if let Some(entity) = own.cross_account(account).principal(arn).await? {
            bound.insert(arn.to_owned(), entity.id().to_owned());
        }
    }
    for id in document.unique_ids() {
        if own.principal_arn(id).await?.is_none() {
            return Err(Error::PrincipalUnknown(id.to_owned()));
        }
        bound.insert(id.to_owned(), id.to_owned());
    }
    Ok(TrustPolicy::new(text, document, bound)?)
}

/// The trust policy of a role as it reads today: principals under the ARN they
/// have now, those that are gone as their bare unique id.
pub(crate) async fn trust_text(rows: &Rows<'_>, role: &Role) -> Result<String, Error> {
    let mut replaced = BTreeMap::new();
    for (named, id) in role.trust.bound() {
        // A bare id names someone of the role's own account.
        let account = ground::Arn::parse(named).ok().and_then(|arn| arn.account_id());
        let rows = rows.cross_account(account.unwrap_or(rows.account()));
        let today = rows.principal_arn(id).await?.unwrap_or_else(|| id.clone());
        if today != *named {
            replaced.insert(named.clone(), today);
        }
    }
    Ok(role.trust.text_with(&replaced))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document is told that it is too long, however many statements it has
    /// and whether or not they mean anything.
    #[test]
    fn length_is_judged_before_meaning() {
        let statement = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
        for (statement, count) in [(statement, 1_400), ("{}", 10_000)] {
            let text = format!(r#"{{"Statement":[{}]}}"#, vec![statement; count].join(","));
            let refused = managed(text).unwrap_err();
            assert!(matches!(refused, Error::LimitExceeded(_)), "{refused}");
            assert_eq!(refused.to_string(), "Cannot exceed quota for PolicySize: 6144");
        }
    }

    #[test]
    fn a_managed_policy_may_be_as_long_as_its_quota_and_no_longer() {
        let begin = r#"{"Id":""#;
        let end = r#"","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
        let of = |size: usize| format!("{begin}{}{end} \n", "x".repeat(size - begin.len() - end.len()));
        assert!(managed(of(MANAGED_POLICY_SIZE_MAX)).is_ok());
        assert!(matches!(
            managed(of(MANAGED_POLICY_SIZE_MAX + 1)),
            Err(Error::LimitExceeded(_))
        ));
    }
}
