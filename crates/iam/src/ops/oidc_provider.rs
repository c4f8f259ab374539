//! OpenID Connect providers.
//!
//! Adding a client id that is there, removing one that is not, and deleting a
//! provider that is gone do nothing and succeed (IAM API Reference).

use std::sync::Arc;

use ::store::Prefix;
use gate::{Cx, Permit};
use iam_api::{
    AddClientIDToOpenIDConnectProviderInput, CreateOpenIDConnectProviderInput,
    CreateOpenIDConnectProviderOutput, DeleteOpenIDConnectProviderInput, GetOpenIDConnectProviderInput,
    GetOpenIDConnectProviderOutput, ListOpenIDConnectProviderTagsInput, ListOpenIDConnectProviderTagsOutput,
    ListOpenIDConnectProvidersInput, ListOpenIDConnectProvidersOutput, OpenIDConnectProviderListEntry,
    RemoveClientIDFromOpenIDConnectProviderInput, TagOpenIDConnectProviderInput,
    UntagOpenIDConnectProviderInput, UpdateOpenIDConnectProviderThumbprintInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::OIDC_PROVIDERS_MAX;
use crate::model::{CaseOfKeys, OidcProvider, Tags, provider};
use crate::ops::{answer, tag};
use crate::store::{self, OIDC_PROVIDERS, rows, written_at};

pub(crate) async fn create_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: CreateOpenIDConnectProviderInput,
) -> Result<CreateOpenIDConnectProviderOutput, Error> {
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Matters)?;
    let made = OidcProvider {
        url: provider::oidc_url(&input.url)?,
        client_ids: provider::client_ids(input.client_id_list.unwrap_or_default())?,
        thumbprints: provider::thumbprints(input.thumbprint_list.unwrap_or_default())?,
        created: written_at(cx),
        tags: tags.clone(),
    };
    let url = made.url.clone();
    let asking = Asking {
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let made = access::new(cx, made, "oidc-provider", ("/", &url), asking).await?;

    if rows(cx).oidc_provider(&url).await?.is_some() {
        return Err(Error::Taken(format!(
            "Provider with url {} already exists.",
            input.url
        )));
    }
    let mut summary = rows(cx).summary().await?;
    if summary.oidc_providers >= OIDC_PROVIDERS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for OpenIdConnectProvidersPerAccount: {OIDC_PROVIDERS_MAX}"
        )));
    }
    summary.oidc_providers += 1;
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_oidc_provider(tx, &made);
    })
    .await?;
    Ok(CreateOpenIDConnectProviderOutput {
        open_id_connect_provider_arn: Some(made.arn(cx.account())),
        tags: answer::tags(&made.tags),
    })
}

pub(crate) async fn get_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: GetOpenIDConnectProviderInput,
) -> Result<GetOpenIDConnectProviderOutput, Error> {
    let provider = access::oidc_provider(cx, &input.open_id_connect_provider_arn, Asking::NOTHING).await?;
    Ok(GetOpenIDConnectProviderOutput {
        url: Some(provider.url.clone()),
        client_id_list: Some(provider.client_ids.clone()),
        thumbprint_list: Some(provider.thumbprints.clone()),
        create_date: Some(provider.created),
        tags: answer::tags(&provider.tags),
    })
}

/// All there are: a hundred at most.
pub(crate) async fn list_open_id_connect_providers(
    _iam: &Iam,
    cx: &Cx,
    _: ListOpenIDConnectProvidersInput,
) -> Result<ListOpenIDConnectProvidersOutput, Error> {
    access::account_wide(cx).await?;
    let limit = usize::try_from(OIDC_PROVIDERS_MAX).unwrap_or(usize::MAX);
    let all = rows(cx)
        .scan(&OIDC_PROVIDERS, &Prefix::all(), None, limit)
        .await?;
    let listed = all
        .items
        .iter()
        .map(|(_, provider)| OpenIDConnectProviderListEntry {
            arn: Some(provider.arn(cx.account())),
        });
    Ok(ListOpenIDConnectProvidersOutput {
        open_id_connect_provider_list: Some(listed.collect()),
    })
}

pub(crate) async fn delete_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteOpenIDConnectProviderInput,
) -> Result<Unit, Error> {
    let arn = &input.open_id_connect_provider_arn;
    let provider = match access::oidc_provider(cx, arn, Asking::NOTHING).await {
        Err(Error::NoSuch(_)) if OidcProvider::url_in(cx.account(), arn).is_some() => return Ok(Unit),
        found => found?,
    };
    let mut summary = rows(cx).summary().await?;
    summary.oidc_providers = summary.oidc_providers.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_oidc_provider(tx, &provider);
    })
    .await?;
    Ok(Unit)
}

/// Writes a provider that was changed.
async fn changed(
    cx: &Cx,
    provider: Permit<Arc<OidcProvider>>,
    change: impl FnOnce(&mut OidcProvider) -> Result<(), Error>,
) -> Result<Unit, Error> {
    let mut after = (**provider).clone();
    change(&mut after)?;
    let provider = provider.map(|_| after);
    store::write(cx, |tx| store::put_oidc_provider(tx, &provider)).await?;
    Ok(Unit)
}

pub(crate) async fn update_open_id_connect_provider_thumbprint(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateOpenIDConnectProviderThumbprintInput,
) -> Result<Unit, Error> {
    let provider = access::oidc_provider(cx, &input.open_id_connect_provider_arn, Asking::NOTHING).await?;
    let thumbprints = provider::thumbprints(input.thumbprint_list)?;
    changed(cx, provider, |provider| {
        provider.thumbprints = thumbprints;
        Ok(())
    })
    .await
}

pub(crate) async fn add_client_id_to_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: AddClientIDToOpenIDConnectProviderInput,
) -> Result<Unit, Error> {
    let provider = access::oidc_provider(cx, &input.open_id_connect_provider_arn, Asking::NOTHING).await?;
    changed(cx, provider, |provider| {
        let mut all = provider.client_ids.clone();
        all.push(input.client_id);
        provider.client_ids = provider::client_ids(all)?;
        Ok(())
    })
    .await
}

pub(crate) async fn remove_client_id_from_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: RemoveClientIDFromOpenIDConnectProviderInput,
) -> Result<Unit, Error> {
    let provider = access::oidc_provider(cx, &input.open_id_connect_provider_arn, Asking::NOTHING).await?;
    changed(cx, provider, |provider| {
        provider.client_ids.retain(|known| *known != input.client_id);
        Ok(())
    })
    .await
}

pub(crate) async fn tag_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: TagOpenIDConnectProviderInput,
) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Matters)?;
    let asking = tag::adding(&given);
    let provider = access::oidc_provider(cx, &input.open_id_connect_provider_arn, asking).await?;
    changed(cx, provider, |provider| {
        provider.tags.add(given.clone(), CaseOfKeys::Matters)
    })
    .await
}

pub(crate) async fn untag_open_id_connect_provider(
    _iam: &Iam,
    cx: &Cx,
    input: UntagOpenIDConnectProviderInput,
) -> Result<Unit, Error> {
    let asking = tag::removing(&input.tag_keys);
    let provider = access::oidc_provider(cx, &input.open_id_connect_provider_arn, asking).await?;
    changed(cx, provider, |provider| {
        provider.tags.remove(&input.tag_keys, CaseOfKeys::Matters);
        Ok(())
    })
    .await
}

pub(crate) async fn list_open_id_connect_provider_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListOpenIDConnectProviderTagsInput,
) -> Result<ListOpenIDConnectProviderTagsOutput, Error> {
    let arn = &input.open_id_connect_provider_arn;
    let provider = access::oidc_provider(cx, arn, Asking::NOTHING).await?;
    let listed = tag::list(arn, &provider.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListOpenIDConnectProviderTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}
