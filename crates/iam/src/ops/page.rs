//! Pages of a list: `MaxItems`, `Marker`, `IsTruncated`.

use std::sync::Arc;

use ground::PageToken;
use store::{Key, Prefix, Record, Table};

use crate::error::Error;
use crate::limits::{PAGE_ITEMS_DEFAULT, SCANNED_ROWS_MAX};
use crate::store::Rows;

/// Where a page begins and how long it may be.
pub(crate) struct Paging {
    /// Names the list, so that a marker of another one is refused.
    list: String,
    after: Option<String>,
    limit: usize,
}

/// A page of answers.
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub(crate) marker: Option<String>,
}

impl<T> Listed<T> {
    /// `IsTruncated`
    pub(crate) fn is_truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }
}

impl Paging {
    /// Reads what the caller asked for. `operation` lists, and `of` tells what
    /// of: the thing whose parts are listed, or the filter.
    ///
    /// # Errors
    ///
    /// [`Error::Validation`] for a marker that this list did not make.
    pub(crate) fn new(
        operation: &str,
        of: &str,
        marker: Option<&str>,
        max_items: Option<i32>,
    ) -> Result<Paging, Error> {
        let list = format!("{operation} {}", digest(of));
        let after = match marker {
            None => None,
            Some(marker) => {
                let token = PageToken::decode(&list, marker)
                    .map_err(|_| Error::Validation("Invalid Marker.".to_owned()))?;
                Some(token.after)
            }
        };
        let limit = max_items
            .and_then(|items| usize::try_from(items).ok())
            .unwrap_or(PAGE_ITEMS_DEFAULT);
        Ok(Paging {
            list,
            after,
            limit: limit.max(1),
        })
    }

    /// The key behind which the page begins.
    pub(crate) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Most items of the page.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The marker of a page that ends with this key.
    pub(crate) fn marker(&self, after: &str) -> String {
        PageToken::encode(&self.list, after)
    }

    /// The page of a list that is in memory as a whole, sorted by the key given with each item.
    pub(crate) fn of<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Listed<T> {
        let mut rest = items
            .into_iter()
            .skip_while(|(key, _)| self.after.as_ref().is_some_and(|after| key <= after));
        let mut page = Vec::new();
        let mut last = None;
        for (key, item) in rest.by_ref().take(self.limit) {
            page.push(item);
            last = Some(key);
        }
        let marker = match (rest.next(), last) {
            (Some(_), Some(last)) => Some(self.marker(&last)),
            _ => None,
        };
        Listed { items: page, marker }
    }

    /// The page of the rows below `prefix`. `text` and `key` turn a row's key
    /// into the text of a marker and back.
    pub(crate) async fn keys<K: Key, V: Record>(
        &self,
        rows: &Rows<'_>,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
        (text, key): (impl Fn(&K) -> String, impl Fn(&str) -> K),
    ) -> Result<Listed<(K, Arc<V>)>, Error> {
        let after = self.after.as_deref().map(key);
        let page = rows.scan(table, prefix, after.as_ref(), self.limit).await?;
        let marker = page.next.map(|next| self.marker(&text(&next)));
        Ok(Listed {
            items: page.items,
            marker,
        })
    }

    /// The page of the rows of a table keyed by name that `keep` wants.
    pub(crate) async fn names<V: Record>(
        &self,
        rows: &Rows<'_>,
        table: &Table<String, V>,
        keep: impl Fn(&V) -> bool + Send + Sync,
    ) -> Result<Listed<Arc<V>>, Error> {
        let mut found = Vec::new();
        let mut after = self.after.clone();
        let mut scanned = 0;
        loop {
            let page = rows
                .scan(table, &Prefix::all(), after.as_ref(), self.limit)
                .await?;
            scanned += page.items.len();
            let length = page.items.len();
            for (at, (row, record)) in page.items.into_iter().enumerate() {
                if keep(&record) {
                    found.push(record);
                }
                let more_follow = at + 1 < length || page.next.is_some();
                if found.len() == self.limit && more_follow {
                    return Ok(Listed {
                        items: found,
                        marker: Some(self.marker(&row)),
                    });
                }
            }
            match page.next {
                None => {
                    return Ok(Listed {
                        items: found,
                        marker: None,
                    });
                }
                Some(next) if scanned >= SCANNED_ROWS_MAX => {
                    return Ok(Listed {
                        items: found,
                        marker: Some(self.marker(&next)),
                    });
                }
                Some(next) => after = Some(next),
            }
        }
    }
}

/// A short name for a long one, so that markers stay within their 320 characters.
pub(crate) fn digest(of: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&crypto::sha256(&[of.as_bytes()])[..9])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Page after page gives every item once and in order, whatever the page's length.
        #[test]
        fn pages_join_into_the_list(count in 0usize..40, limit in 1i32..12) {
            let all: Vec<_> = (0..count).map(|number| (format!("{number:03}"), number)).collect();
            let mut marker = None;
            let mut seen = Vec::new();
            loop {
                let paging = Paging::new("List", "", marker.as_deref(), Some(limit)).unwrap();
                let page = paging.of(all.clone());
                prop_assert!(page.items.len() <= usize::try_from(limit).unwrap());
                prop_assert_eq!(page.is_truncated(), Some(page.marker.is_some()));
                seen.extend(page.items);
                marker = page.marker;
                if marker.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_marker_serves_its_own_list_only() {
        let page = Paging::new("ListUsers", "/", None, Some(1))
            .unwrap()
            .of([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let marker = page.marker.as_deref();
        assert!(Paging::new("ListUsers", "/", marker, None).is_ok());
        assert!(matches!(
            Paging::new("ListUsers", "/a/", marker, None),
            Err(Error::Validation(_))
        ));
        assert!(matches!(
            Paging::new("ListRoles", "/", marker, None),
            Err(Error::Validation(_))
        ));
        assert!(matches!(
            Paging::new("ListUsers", "/", Some("x"), None),
            Err(Error::Validation(_))
        ));
    }
}
