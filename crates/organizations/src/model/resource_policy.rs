//! The organisation's resource policy: which member accounts may do what the
//! management account may.
//!
//! Users and roles that it names are bound to their unique ids when it is
//! written: a namesake made later is a stranger to it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use policy::{Attached, Document, DocumentKind, Holder};
use serde::{Deserialize, Serialize};
use store::StoreError;

/// A resource policy, as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ResourcePolicy {
    /// `rp-…`
    pub(crate) id: String,
    /// As given.
    pub(crate) text: String,
    /// The unique id behind each ARN of a user or role, as it was when written.
    pub(crate) bound: BTreeMap<String, String>,
    #[serde(skip)]
    pub(crate) parsed: OnceLock<Arc<Attached>>,
}

impl ResourcePolicy {
    /// The policy with its principals bound.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the text is no resource policy any more.
    pub(crate) fn attached(&self, table: &'static str) -> Result<Arc<Attached>, StoreError> {
        if let Some(policy) = self.parsed.get() {
            return Ok(Arc::clone(policy));
        }
        let refuse = |malformed: policy::Malformed| StoreError::BadRecord {
            table,
            reason: format!("the resource policy is refused: {:?}", malformed.reason()),
        };
        let mut document = Document::parse(&self.text, DocumentKind::Resource).map_err(refuse)?;
        document
            .bind(|arn| self.bound.get(arn).cloned())
            .map_err(refuse)?;
        let attached = Attached::inline("resource policy", Holder::Resource, Arc::new(document));
        Ok(Arc::clone(self.parsed.get_or_init(|| Arc::new(attached))))
    }
}
