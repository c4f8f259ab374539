//! `ListAliases`, with the predefined aliases of AWS managed keys that nobody
//! has used yet: those point at no key.

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::Cx;
use kms_api::{AliasListEntry, ListAliasesInput, ListAliasesOutput};

use crate::error::Error;
use crate::limits::ALIASES_PAGE;
use crate::model::managed::MANAGED;
use crate::model::{Alias, AliasName, Managed};
use crate::ops::page;
use crate::{Kms, access, store};

const LIST: &str = "ListAliases";

/// Lists the aliases of the caller's account and region, or of one key, in the
/// order of their names.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::Limit`], [`Error::Denied`], and
/// [`Error::KeyNotFound`] for a key the account does not have.
pub async fn list_aliases(_kms: &Kms, cx: &Cx, input: ListAliasesInput) -> Result<ListAliasesOutput, Error> {
    let size = page::size(input.limit, ALIASES_PAGE)?;
    let after = page::after(LIST, input.marker.as_deref(), AliasName::sought)?;

    cx.authorize(access::account(())).await?;
    let (aliases, more) = match &input.key_id {
        Some(key) => of_key(cx, key, after.as_ref(), size).await?,
        None => of_account(cx, after.as_ref(), size).await?,
    };
    let last = aliases.last().filter(|_| more).map(Listed::name);
    Ok(ListAliasesOutput {
        next_marker: page::marker(LIST, last.map(AliasName::as_str)),
        truncated: Some(more),
        aliases: Some(aliases.iter().map(|alias| entry(cx, alias)).collect()),
    })
}

/// An alias of the account.
enum Listed {
    Made(Arc<Alias>),
    Predefined(AliasName),
}

impl Listed {
    fn name(&self) -> &AliasName {
        match self {
            Listed::Made(alias) => &alias.name,
            Listed::Predefined(name) => name,
        }
    }
}

/// A page of all aliases. The predefined ones without a row lie among the
/// others by their names.
async fn of_account(cx: &Cx, after: Option<&AliasName>, size: usize) -> Result<(Vec<Listed>, bool), Error> {
    let found = store::aliases(cx, after, size).await?;
    // What lies behind the rows that were read belongs to a later page.
    let end = found
        .next
        .as_ref()
        .and(found.items.last())
        .map(|(name, _)| name.clone());
    let mut listed: BTreeMap<AliasName, Listed> = MANAGED
        .iter()
        .map(Managed::alias)
        .filter(|name| after.is_none_or(|after| name > after))
        .filter(|name| end.as_ref().is_none_or(|end| name <= end))
        .map(|name| (name.clone(), Listed::Predefined(name)))
        .collect();
    let made = found.items.into_iter();
    listed.extend(made.map(|(name, alias)| (name, Listed::Made(alias))));
    let more = listed.len() > size || found.next.is_some();
    Ok((listed.into_values().take(size).collect(), more))
}

/// A page of the aliases of one key, which stand in its row.
async fn of_key(
    cx: &Cx,
    key: &str,
    after: Option<&AliasName>,
    size: usize,
) -> Result<(Vec<Listed>, bool), Error> {
    let sought = store::key(cx, key).await?;
    // Aliases of a foreign key are its owner's and are not listed here.
    let (key, _) = sought
        .found
        .ok_or_else(|| Error::KeyNotFound(sought.arn.to_string()))?;
    let is_behind = |name: &&AliasName| after.is_none_or(|after| *name > after);
    let (names, more) = page::cut(key.aliases.iter(), size, is_behind);
    let mut aliases = Vec::with_capacity(names.len());
    for name in names {
        aliases.push(Listed::Made(store::alias(cx, name).await?));
    }
    Ok((aliases, more))
}

fn entry(cx: &Cx, listed: &Listed) -> AliasListEntry {
    let made = match listed {
        Listed::Made(alias) => Some(alias),
        Listed::Predefined(_) => None,
    };
    AliasListEntry {
        alias_name: Some(listed.name().to_string()),
        alias_arn: Some(listed.name().arn(cx.account(), cx.region())),
        target_key_id: made.map(|alias| alias.key.to_string()),
        creation_date: made.map(|alias| alias.created),
        last_updated_date: made.map(|alias| alias.updated),
    }
}
