//! The tree, a step down and a step up.

use gate::Cx;
use organizations_api::{
    Child, ListChildrenInput, ListChildrenOutput, ListParentsInput, ListParentsOutput, Parent, ParentType,
};
use store::Prefix;

use crate::Handlers;
use crate::access::{Who, enter};
use crate::error::Error;
use crate::model::{Node, child_word};
use crate::ops::page::Paging;
use crate::store::CHILDREN;

pub(crate) async fn list_children(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListChildrenInput,
) -> Result<ListChildrenOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.parent_id).await?.permit(()).await?;
    let rows = &entered.rows;
    let parent = rows.parent(&input.parent_id).await?.ok_or(Error::ParentMissing)?;
    let word = child_word(input.child_type).to_owned();
    let list = format!("ListChildren {word} {parent}");
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let after = paging.key(|id| Some((parent.to_string(), word.clone(), id.to_owned())))?;
    let prefix = Prefix::<(String, String, String)>::first_two(&parent.to_string(), &word);
    let page = rows.scan(&CHILDREN, &prefix, after.as_ref(), paging.size).await?;
    let children = page.items.into_iter().map(|((_, _, id), _)| Child {
        id: Some(id),
        r#type: Some(input.child_type),
    });
    Ok(ListChildrenOutput {
        children: Some(children.collect()),
        next_token: paging.next(page.next.map(|(_, _, id)| id)),
    })
}

/// There is one parent: the list is AWS's own caution.
pub(crate) async fn list_parents(
    _handlers: &Handlers,
    cx: &Cx,
    input: ListParentsInput,
) -> Result<ListParentsOutput, Error> {
    let entered = enter(cx, Who::Readers).await?;
    entered.node(&input.child_id).await?.permit(()).await?;
    let list = format!("ListParents {}", input.child_id);
    let paging = Paging::new(list, input.next_token.as_deref(), input.max_results)?;
    let node = Node::parse(&input.child_id).ok_or(Error::ChildMissing)?;
    let parent = entered.rows.parent_of(&node).await?.ok_or(Error::ChildMissing)?;
    let kind = match Node::parse(&parent) {
        Some(Node::Root(_)) => ParentType::Root,
        Some(Node::Unit(_) | Node::Account(_)) | None => ParentType::OrganizationalUnit,
    };
    let told = Parent {
        id: Some(parent.clone()),
        r#type: Some(kind),
    };
    let (parents, next_token) = paging.cut(vec![(parent, told)]);
    Ok(ListParentsOutput {
        parents: Some(parents),
        next_token,
    })
}
