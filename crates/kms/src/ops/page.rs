//! Lists page by page.

use ground::PageToken;

use crate::error::Error;
use crate::limits::PageLimit;

/// How many items the caller gets.
///
/// # Errors
///
/// [`Error::Limit`] beyond what the list gives. Less than one is refused by
/// the model's own constraint.
pub(super) fn size(limit: Option<i32>, page: PageLimit) -> Result<usize, Error> {
    match limit.map(usize::try_from) {
        None => Ok(page.default),
        Some(Ok(size)) if (1..=page.max).contains(&size) => Ok(size),
        Some(_) => Err(Error::Limit {
            limit: limit.unwrap_or_default(),
            max: page.max,
        }),
    }
}

/// The last item of the page before, if there was one.
///
/// # Errors
///
/// [`Error::InvalidMarker`] for a marker that `list` did not give.
pub(super) fn after<K>(
    list: &str,
    marker: Option<&str>,
    read: impl FnOnce(&str) -> Option<K>,
) -> Result<Option<K>, Error> {
    let Some(marker) = marker else { return Ok(None) };
    let token = PageToken::decode(list, marker).map_err(|_| Error::InvalidMarker)?;
    read(&token.after).map(Some).ok_or(Error::InvalidMarker)
}

/// The marker of the page that follows `last`.
pub(super) fn marker(list: &str, last: Option<&str>) -> Option<String> {
    last.map(|last| PageToken::encode(list, last))
}

/// A page of what is in memory and in order; tells whether more follows.
pub(super) fn cut<T>(
    items: impl Iterator<Item = T>,
    size: usize,
    is_behind: impl Fn(&T) -> bool,
) -> (Vec<T>, bool) {
    let mut rest = items.filter(is_behind);
    let page = rest.by_ref().take(size).collect();
    (page, rest.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ALIASES_PAGE;

    #[test]
    fn sizes_are_granted_or_refused() {
        assert_eq!(size(None, ALIASES_PAGE).unwrap(), 50);
        assert_eq!(size(Some(100), ALIASES_PAGE).unwrap(), 100);
        for limit in [i32::MIN, 0, 101] {
            assert!(
                matches!(size(Some(limit), ALIASES_PAGE), Err(Error::Limit { .. })),
                "{limit}"
            );
        }
    }

    #[test]
    fn a_list_is_walked_to_its_end_and_no_further() {
        let list = ["a", "b", "c", "d", "e"];
        let mut last: Option<&str> = None;
        let mut seen = Vec::new();
        loop {
            let (page, more) = cut(list.into_iter(), 2, |item| last.is_none_or(|last| *item > last));
            last = page.last().copied();
            seen.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(seen, list);
    }

    #[test]
    fn markers_serve_their_own_list_only() {
        let given = marker("ListAliases", Some("alias/a")).unwrap();
        let read = |text: &str| Some(text.to_owned());
        assert_eq!(
            after("ListAliases", Some(&given), read).unwrap(),
            Some("alias/a".to_owned())
        );
        assert!(matches!(
            after("ListKeys", Some(&given), read),
            Err(Error::InvalidMarker)
        ));
        assert!(matches!(
            after("ListAliases", Some(&given), |_| None::<()>),
            Err(Error::InvalidMarker)
        ));
        let longest = format!("alias/{}", "a".repeat(250));
        let given = marker("ListAliases", Some(&longest)).unwrap();
        assert_eq!(after("ListAliases", Some(&given), read).unwrap(), Some(longest));
    }
}
