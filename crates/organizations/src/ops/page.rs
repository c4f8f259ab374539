//! Lists page by page.

use ground::PageToken;
use organizations_api::InvalidInputExceptionReason as Input;

use crate::error::{Error, input};
use crate::limits::PAGE_ITEMS_MAX;

/// Where a page begins and how long it may be.
pub(crate) struct Paging {
    list: String,
    /// The last key of the page before.
    pub(crate) after: Option<String>,
    pub(crate) size: usize,
}

impl Paging {
    /// A page of `list`, which names the operation and what it lists of.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] for a token that another list gave, or none.
    pub(crate) fn new(
        list: impl Into<String>,
        token: Option<&str>,
        size: Option<i32>,
    ) -> Result<Paging, Error> {
        let list = list.into();
        let after = match token {
            None => None,
            Some(token) => {
                let token = PageToken::decode(&list, token).map_err(|_| bad_token())?;
                Some(token.after)
            }
        };
        let size = size.and_then(|size| usize::try_from(size).ok());
        Ok(Paging {
            list,
            after,
            size: size.unwrap_or(PAGE_ITEMS_MAX).clamp(1, PAGE_ITEMS_MAX),
        })
    }

    /// The last key of the page before, as a key of its table.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] for a token that this list cannot have given.
    pub(crate) fn key<K>(&self, read: impl FnOnce(&str) -> Option<K>) -> Result<Option<K>, Error> {
        match &self.after {
            None => Ok(None),
            Some(after) => read(after).map(Some).ok_or_else(bad_token),
        }
    }

    /// The token of the page that follows `last`.
    pub(crate) fn next(&self, last: Option<String>) -> Option<String> {
        last.map(|last| PageToken::encode(&self.list, &last))
    }

    /// A page of what is in memory, each item with the key it is ordered by.
    pub(crate) fn cut<T>(&self, mut items: Vec<(String, T)>) -> (Vec<T>, Option<String>) {
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        items.retain(|(key, _)| self.after.as_ref().is_none_or(|after| key > after));
        let more = items.len() > self.size;
        items.truncate(self.size);
        let last = items.last().map(|(key, _)| key.clone()).filter(|_| more);
        (items.into_iter().map(|(_, item)| item).collect(), self.next(last))
    }
}

fn bad_token() -> Error {
    input(
        Input::InvalidNextToken,
        "You provided an invalid value for the NextToken parameter.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_walked_to_its_end_and_no_further() {
        let items = || {
            ["c", "a", "e", "b", "d"]
                .map(|key| (key.to_owned(), key))
                .to_vec()
        };
        let (mut token, mut seen) = (None, Vec::new());
        loop {
            let paging = Paging::new("L", token.as_deref(), Some(2)).unwrap();
            let (page, next) = paging.cut(items());
            seen.extend(page);
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn tokens_serve_their_own_list_only() {
        let token = Paging::new("L", None, None)
            .unwrap()
            .next(Some("a".into()))
            .unwrap();
        assert!(Paging::new("L", Some(&token), None).is_ok());
        assert!(Paging::new("M", Some(&token), None).is_err());
        assert!(Paging::new("L", Some("nonsense"), None).is_err());
    }
}
