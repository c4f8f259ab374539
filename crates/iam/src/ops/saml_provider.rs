//! SAML providers.

use std::sync::Arc;

use ::store::Prefix;
use gate::{Cx, Permit};
use ground::id;
use iam_api::{
    CreateSAMLProviderInput, CreateSAMLProviderOutput, DeleteSAMLProviderInput, GetSAMLProviderInput,
    GetSAMLProviderOutput, ListSAMLProviderTagsInput, ListSAMLProviderTagsOutput, ListSAMLProvidersInput,
    ListSAMLProvidersOutput, SAMLProviderListEntry, TagSAMLProviderInput, UntagSAMLProviderInput,
    UpdateSAMLProviderInput, UpdateSAMLProviderOutput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::SAML_PROVIDERS_MAX;
use crate::model::{CaseOfKeys, SamlProvider, Tags, provider};
use crate::ops::{answer, tag};
use crate::store::{self, SAML_PROVIDERS, rows, written_at};

/// Refuses what only encrypted assertions would need.
fn refuse_encryption(is_asked: bool) -> Result<(), Error> {
    if is_asked {
        return Err(Error::InvalidInput(
            "Encrypted assertions are not supported: AssertionEncryptionMode and private keys are refused."
                .to_owned(),
        ));
    }
    Ok(())
}

pub(crate) async fn create_saml_provider(
    _iam: &Iam,
    cx: &Cx,
    input: CreateSAMLProviderInput,
) -> Result<CreateSAMLProviderOutput, Error> {
    refuse_encryption(input.assertion_encryption_mode.is_some() || input.add_private_key.is_some())?;
    let tags = Tags::of_request(answer::tags_of(input.tags), CaseOfKeys::Matters)?;
    let name = input.name;
    let made = SamlProvider {
        name: name.clone(),
        id: id::entity_id("ASAML", cx.random().bytes()),
        valid_until: provider::saml_validity(&input.saml_metadata_document, written_at(cx))?,
        metadata: input.saml_metadata_document,
        created: written_at(cx),
        tags: tags.clone(),
    };
    let asking = Asking {
        tags: Some(&tags),
        ..Asking::NOTHING
    };
    let made = access::new(cx, made, "saml-provider", ("/", &name), asking).await?;

    if rows(cx).saml_provider(&name).await?.is_some() {
        return Err(Error::Exists {
            noun: "SAMLProvider",
            name,
        });
    }
    let mut summary = rows(cx).summary().await?;
    if summary.saml_providers >= SAML_PROVIDERS_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for SAMLProvidersPerAccount: {SAML_PROVIDERS_MAX}"
        )));
    }
    summary.saml_providers += 1;
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::put_saml_provider(tx, &made);
    })
    .await?;
    Ok(CreateSAMLProviderOutput {
        saml_provider_arn: Some(made.arn(cx.account())),
        tags: answer::tags(&made.tags),
    })
}

pub(crate) async fn get_saml_provider(
    _iam: &Iam,
    cx: &Cx,
    input: GetSAMLProviderInput,
) -> Result<GetSAMLProviderOutput, Error> {
    let provider = access::saml_provider(cx, &input.saml_provider_arn, Asking::NOTHING).await?;
    Ok(GetSAMLProviderOutput {
        saml_provider_uuid: Some(provider.id.clone()),
        saml_metadata_document: Some(provider.metadata.clone()),
        create_date: Some(provider.created),
        valid_until: Some(provider.valid_until),
        tags: answer::tags(&provider.tags),
        ..GetSAMLProviderOutput::default()
    })
}

/// All there are: a hundred at most.
pub(crate) async fn list_saml_providers(
    _iam: &Iam,
    cx: &Cx,
    _: ListSAMLProvidersInput,
) -> Result<ListSAMLProvidersOutput, Error> {
    access::account_wide(cx).await?;
    let limit = usize::try_from(SAML_PROVIDERS_MAX).unwrap_or(usize::MAX);
    let all = rows(cx)
        .scan(&SAML_PROVIDERS, &Prefix::all(), None, limit)
        .await?;
    let listed = all.items.iter().map(|(_, provider)| SAMLProviderListEntry {
        arn: Some(provider.arn(cx.account())),
        valid_until: Some(provider.valid_until),
        create_date: Some(provider.created),
    });
    Ok(ListSAMLProvidersOutput {
        saml_provider_list: Some(listed.collect()),
    })
}

/// Puts other metadata in the place of what was there.
pub(crate) async fn update_saml_provider(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateSAMLProviderInput,
) -> Result<UpdateSAMLProviderOutput, Error> {
    refuse_encryption(
        input.assertion_encryption_mode.is_some()
            || input.add_private_key.is_some()
            || input.remove_private_key.is_some(),
    )?;
    let provider = access::saml_provider(cx, &input.saml_provider_arn, Asking::NOTHING).await?;
    if let Some(metadata) = input.saml_metadata_document {
        let valid_until = provider::saml_validity(&metadata, written_at(cx))?;
        changed(cx, provider, |provider| {
            provider.valid_until = valid_until;
            provider.metadata = metadata;
            Ok(())
        })
        .await?;
    }
    Ok(UpdateSAMLProviderOutput {
        saml_provider_arn: Some(input.saml_provider_arn),
    })
}

pub(crate) async fn delete_saml_provider(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteSAMLProviderInput,
) -> Result<Unit, Error> {
    let provider = access::saml_provider(cx, &input.saml_provider_arn, Asking::NOTHING).await?;
    let mut summary = rows(cx).summary().await?;
    summary.saml_providers = summary.saml_providers.saturating_sub(1);
    store::write(cx, |tx| {
        store::put_summary(tx, &summary);
        store::delete_saml_provider(tx, &provider);
    })
    .await?;
    Ok(Unit)
}

/// Writes a provider that was changed.
async fn changed(
    cx: &Cx,
    provider: Permit<Arc<SamlProvider>>,
    change: impl FnOnce(&mut SamlProvider) -> Result<(), Error>,
) -> Result<Unit, Error> {
    let mut after = (**provider).clone();
    change(&mut after)?;
    let provider = provider.map(|_| after);
    store::write(cx, |tx| store::put_saml_provider(tx, &provider)).await?;
    Ok(Unit)
}

pub(crate) async fn tag_saml_provider(
    _iam: &Iam,
    cx: &Cx,
    input: TagSAMLProviderInput,
) -> Result<Unit, Error> {
    let given = Tags::of_request(answer::tags_of(Some(input.tags)), CaseOfKeys::Matters)?;
    let provider = access::saml_provider(cx, &input.saml_provider_arn, tag::adding(&given)).await?;
    changed(cx, provider, |provider| {
        provider.tags.add(given.clone(), CaseOfKeys::Matters)
    })
    .await
}

pub(crate) async fn untag_saml_provider(
    _iam: &Iam,
    cx: &Cx,
    input: UntagSAMLProviderInput,
) -> Result<Unit, Error> {
    let asking = tag::removing(&input.tag_keys);
    let provider = access::saml_provider(cx, &input.saml_provider_arn, asking).await?;
    changed(cx, provider, |provider| {
        provider.tags.remove(&input.tag_keys, CaseOfKeys::Matters);
        Ok(())
    })
    .await
}

pub(crate) async fn list_saml_provider_tags(
    _iam: &Iam,
    cx: &Cx,
    input: ListSAMLProviderTagsInput,
) -> Result<ListSAMLProviderTagsOutput, Error> {
    let arn = &input.saml_provider_arn;
    let provider = access::saml_provider(cx, arn, Asking::NOTHING).await?;
    let listed = tag::list(arn, &provider.tags, input.marker.as_deref(), input.max_items)?;
    Ok(ListSAMLProviderTagsOutput {
        is_truncated: listed.is_truncated(),
        tags: listed.items,
        marker: listed.marker,
    })
}
