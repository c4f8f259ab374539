//! Tags of accounts, units, the root and policies.

use gate::{Cx, Permit};
use organizations_api::{
    InvalidInputExceptionReason as Input, ListTagsForResourceInput, ListTagsForResourceOutput, Tag,
    TagResourceInput, UntagResourceInput,
};
use shape::Unit as Empty;

use crate::Handlers;
use crate::access::{Ask, Entered, Who, enter};
use crate::error::{Error, input};
use crate::model::Tags;
use crate::ops::page::Paging;
use crate::store::{Found, RESOURCE_POLICY, write};

pub(crate) async fn tag_resource(
    _handlers: &Handlers,
    cx: &Cx,
    input: TagResourceInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let given = Tags::of_request(Some(input.tags))?;
    let permit = tagged(&entered, &input.resource_id, |ask| ask.requested(&given)).await?;
    let mut tags = entered.rows.tags(&input.resource_id).await?;
    tags.add(given)?;
    write(cx, entered.rows.scope(), &permit, |writer| {
        writer.put_tags(&input.resource_id, &tags);
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn untag_resource(
    _handlers: &Handlers,
    cx: &Cx,
    input: UntagResourceInput,
) -> Result<Empty, Error> {
    let entered = enter(cx, Who::Management).await?;
    let permit = tagged(&entered, &input.resource_id, |ask| ask.tag_keys(&input.tag_keys)).await?;
    let mut tags = entered.rows.tags(&input.resource_id).await?;
    tags.remove(&input.tag_keys);
    write(cx, entered.rows.scope(), &permit, |writer| {
        writer.put_tags(&input.resource_id, &tags);
    })
    .await?;
    Ok(Empty)
}

pub(crate) async fn list_tags_for_resource(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    tagged(&entered, &input.resource_id, |ask| ask).await?;
    let list = format!("ListTagsForResource {}", input.resource_id);
    let paging = Paging::new(list, input.next_token.as_deref(), None)?;
    let tags = entered.rows.tags(&input.resource_id).await?;
    let told = tags.iter().map(|(key, value)| {
        let tag = Tag {
            key: key.clone(),
            value: value.clone(),
        };
        (key.clone(), tag)
    });
    let (tags, next_token) = paging.cut(told.collect());
    Ok(ListTagsForResourceOutput {
        tags: Some(tags),
        next_token,
    })
}

/// Permission for what bears the tags, and that it is there.
///
/// # Errors
///
/// [`Error::TargetMissing`] if it is not, [`Error::Input`] for AWS's own
/// policies, which bear none.
async fn tagged<'a>(
    entered: &Entered<'a>,
    id: &str,
    more: impl FnOnce(Ask<'a>) -> Ask<'a>,
) -> Result<Permit<()>, Error> {
    let rows = &entered.rows;
    if id.starts_with("p-") {
        let (ask, found) = match entered.policy(id).await {
            Err(Error::PolicyMissing) => return Err(Error::TargetMissing),
            found => found?,
        };
        let permit = more(ask).permit(()).await?;
        return match found {
            Found::Own(_) => Ok(permit),
            Found::Aws(_) => Err(input(
                Input::TargetNotSupported,
                "You specified a policy that is managed by AWS and can't be tagged.",
            )),
        };
    }
    if id.starts_with("rp-") {
        let permit = more(entered.other("resourcepolicy", id, id).await?)
            .permit(())
            .await?;
        let policy = rows.get(&RESOURCE_POLICY, &()).await?;
        return match policy {
            Some(policy) if policy.id == id => Ok(permit),
            Some(_) | None => Err(Error::TargetMissing),
        };
    }
    let permit = more(entered.node(id).await?).permit(()).await?;
    rows.target(id).await?.ok_or(Error::TargetMissing)?;
    Ok(permit)
}
