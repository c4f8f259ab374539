//! A policy document as it is kept: its text, and what it means, parsed once.

use std::sync::{Arc, OnceLock};

use policy::{Document, DocumentKind};
use serde::{Deserialize, Serialize};
use store::StoreError;

/// The text of a policy, byte for byte as it was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text {
    text: String,
    #[serde(skip)]
    parsed: OnceLock<Arc<Document>>,
}

impl Text {
    /// A text that was just found to be a policy of its kind.
    pub(crate) fn new(text: String) -> Text {
        Text {
            text,
            parsed: OnceLock::new(),
        }
    }

    /// As given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What it says as a document of `kind`.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the text is no such policy any more, which
    /// takes a damaged row or a release that reads less than the one before.
    pub(crate) fn document(
        &self,
        kind: DocumentKind,
        table: &'static str,
    ) -> Result<Arc<Document>, StoreError> {
        if let Some(document) = self.parsed.get() {
            return Ok(Arc::clone(document));
        }
        let document = Document::parse(&self.text, kind).map_err(|malformed| StoreError::BadRecord {
            table,
            reason: format!("its document is refused: {:?}", malformed.reason()),
        })?;
        Ok(Arc::clone(self.parsed.get_or_init(|| Arc::new(document))))
    }
}
