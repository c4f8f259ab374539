//! `ListAliases`.

use gate::Cx;
use kms_api::{AliasListEntry, ListAliasesInput, ListAliasesOutput};

use crate::error::Error;
use crate::limits::ALIASES_PAGE;
use crate::model::{Alias, AliasName};
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
        None => {
            let found = store::aliases(cx, after.as_ref(), size).await?;
            let more = found.next.is_some();
            (found.items.into_iter().map(|(_, alias)| alias).collect(), more)
        }
    };
    let last = aliases.last().filter(|_| more).map(|alias| alias.name.as_str());
    Ok(ListAliasesOutput {
        next_marker: page::marker(LIST, last),
        truncated: Some(more),
        aliases: Some(aliases.iter().map(|alias| entry(cx, alias)).collect()),
    })
}

/// A page of the aliases of one key, which stand in its row.
async fn of_key(
    cx: &Cx,
    key: &str,
    after: Option<&AliasName>,
    size: usize,
) -> Result<(Vec<std::sync::Arc<Alias>>, bool), Error> {
    let sought = store::key(cx, key).await?;
    // Aliases of a foreign key are its owner's and are not listed here.
    let (key, _) = sought
        .found
        .ok_or_else(|| Error::KeyNotFound(sought.arn.to_string()))?;
    let is_behind = |name: &&AliasName| after.is_none_or(|after| *name > after);
    let (names, more) = page::cut(key.aliases.iter(), size, is_behind);
    let mut aliases = Vec::with_capacity(names.len());
    for name in names {
        aliases.push(store::alias(cx, name).await?);
    }
    Ok((aliases, more))
}

fn entry(cx: &Cx, alias: &Alias) -> AliasListEntry {
    AliasListEntry {
        alias_name: Some(alias.name.to_string()),
        alias_arn: Some(alias.name.arn(cx.account(), cx.region())),
        target_key_id: Some(alias.key.to_string()),
        creation_date: Some(alias.created),
        last_updated_date: Some(alias.updated),
    }
}
