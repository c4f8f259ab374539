//! A policy document as it is kept: its text, and what it means, parsed once.

use std::sync::{Arc, OnceLock};

use policy::{Document, DocumentKind};
use serde::{Deserialize, Serialize};
use store::StoreError;

/// The text of a policy, byte for byte as it was given.
///
/// Parsed at most once for as long as the record stays in the store's cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text {
    text: String,
    #[serde(skip)]
    parsed: OnceLock<Arc<Document>>,
}

impl Text {
    /// A text that was just found to be a policy.
    pub(crate) fn new(text: String, document: Document) -> Text {
        Text {
            text,
            parsed: OnceLock::from(Arc::new(document)),
        }
    }

    /// As given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The size that quotas count: characters without white space.
    pub(crate) fn size(&self) -> usize {
        Document::size_without_white_space(&self.text)
    }

    /// What it says. `table` names the record's table, should it not be readable.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the text is no policy any more, which
    /// takes a damaged row or a release that reads less than the one before.
    pub(crate) fn document(&self, table: &'static str) -> Result<Arc<Document>, StoreError> {
        if let Some(document) = self.parsed.get() {
            return Ok(Arc::clone(document));
        }
        let document = Document::parse(&self.text, DocumentKind::Identity).map_err(|malformed| {
            StoreError::BadRecord {
                table,
                reason: format!("its document is refused: {:?}", malformed.reason()),
            }
        })?;
        Ok(Arc::clone(self.parsed.get_or_init(|| Arc::new(document))))
    }
}
