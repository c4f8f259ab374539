//! `TagResource`, `UntagResource` and `ListResourceTags`.

use gate::Cx;
use kms_api::{ListResourceTagsInput, ListResourceTagsOutput, Tag, TagResourceInput, UntagResourceInput};
use shape::Unit;

use crate::error::Error;
use crate::limits::TAGS_PAGE;
use crate::model::{Demand, Key, Tags};
use crate::ops::page;
use crate::{Kms, access, store};

const LIST: &str = "ListResourceTags";

/// Adds tags to a key; a tag whose key it has already gets the new value.
///
/// # Errors
///
/// [`Error::BadTag`], [`Error::DuplicateTag`], [`Error::TooManyTags`];
/// [`Error::State`] while its deletion is pending.
pub async fn tag_resource(_kms: &Kms, cx: &Cx, input: TagResourceInput) -> Result<Unit, Error> {
    let tags = Tags::parse(input.tags)?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).tagging(&tags).permit().await?;
    key.check(Demand::Annotate)?;

    let mut after = Key::clone(&key);
    after.tags = after.tags.with(&tags)?;
    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}

/// Removes tags from a key; those it does not have are passed over.
///
/// # Errors
///
/// [`Error::State`] while its deletion is pending.
pub async fn untag_resource(_kms: &Kms, cx: &Cx, input: UntagResourceInput) -> Result<Unit, Error> {
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).untagging(&input.tag_keys).permit().await?;
    key.check(Demand::Annotate)?;

    let mut after = Key::clone(&key);
    after.tags = after.tags.without(&input.tag_keys);
    cx.write(async |tx| {
        store::update_key(tx, &key, &after);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Unit)
}

/// Lists the tags of a key in the order of their keys.
///
/// # Errors
///
/// [`Error::InvalidMarker`], [`Error::Limit`].
pub async fn list_resource_tags(
    _kms: &Kms,
    cx: &Cx,
    input: ListResourceTagsInput,
) -> Result<ListResourceTagsOutput, Error> {
    let size = page::size(input.limit, TAGS_PAGE)?;
    let after = page::after(LIST, input.marker.as_deref(), |text| Some(text.to_owned()))?;
    let key = store::key(cx, &input.key_id).await?;

    let key = access::key(cx, key).permit().await?;
    let is_behind = |tag: &(&str, &str)| after.as_deref().is_none_or(|after| tag.0 > after);
    let (tags, more) = page::cut(key.tags.iter(), size, is_behind);
    let last = tags.last().filter(|_| more).map(|(key, _)| *key);
    Ok(ListResourceTagsOutput {
        next_marker: page::marker(LIST, last),
        truncated: Some(more),
        tags: Some(
            tags.into_iter()
                .map(|(key, value)| Tag {
                    tag_key: key.into(),
                    tag_value: value.into(),
                })
                .collect(),
        ),
    })
}
