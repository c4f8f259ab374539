//! Reading the documents that requests bring, within their quotas.

use std::collections::BTreeMap;

use gate::Cx;
use policy::{Document, DocumentKind};

use crate::error::Error;
use crate::limits::{MANAGED_POLICY_SIZE_MAX, TRUST_POLICY_SIZE_MAX};
use crate::model::{Role, Text, TrustPolicy};
use crate::store::{Entity, Rows, rows};

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
    let text = inline(text)?;
    if text.size() > MANAGED_POLICY_SIZE_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for PolicySize: {MANAGED_POLICY_SIZE_MAX}"
        )));
    }
    Ok(text)
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
    let document = Document::parse(&text, DocumentKind::RoleTrust)?;
    if Document::size_without_white_space(&text) > TRUST_POLICY_SIZE_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_SIZE_MAX}"
        )));
    }
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
    for named in document.principals() {
        let is_id = named.starts_with("AIDA") || named.starts_with("AROA");
        if is_id && own.entity(named).await?.is_none() {
            return Err(Error::PrincipalUnknown(named.to_owned()));
        }
    }
    Ok(TrustPolicy::new(text, document, bound)?)
}

/// The trust policy of a role as it reads today: principals under the ARN they
/// have now, those that are gone as their bare unique id.
pub(crate) async fn trust_text(rows: &Rows<'_>, role: &Role) -> Result<String, Error> {
    let mut replaced = BTreeMap::new();
    for (arn, id) in role.trust.bound() {
        let Some(account) = ground::Arn::parse(arn).ok().and_then(|arn| arn.account_id()) else {
            continue;
        };
        let today = match rows.cross_account(account).entity(id).await? {
            Some(entity @ (Entity::Role(_) | Entity::User(_))) => entity.arn(account),
            Some(Entity::Group(_)) | None => id.clone(),
        };
        if today != *arn {
            replaced.insert(arn.clone(), today);
        }
    }
    Ok(role.trust.text_with(&replaced))
}
