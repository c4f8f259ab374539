//! The trust policy of a role: who may assume it.
//!
//! Users and roles that it names are bound to their unique ids when it is
//! written: a namesake made later is a stranger to it. Reading it back shows
//! today's ARN of each, and the bare id of those that are gone.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use policy::{Attached, Document, DocumentKind, Holder};
use serde::{Deserialize, Serialize};
use store::StoreError;

/// A trust policy, as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TrustPolicy {
    /// As given.
    text: String,
    /// The unique id behind each ARN of a user or role, as it was when written;
    /// an id that the text gives itself stands for itself.
    bound: BTreeMap<String, String>,
    #[serde(skip)]
    parsed: OnceLock<Arc<Attached>>,
}

impl TrustPolicy {
    /// A trust policy that was just read, and the ids behind the ARNs it names.
    ///
    /// # Errors
    ///
    /// [`policy::Malformed`] if an ARN it names has no id.
    pub(crate) fn new(
        text: String,
        mut document: Document,
        bound: BTreeMap<String, String>,
    ) -> Result<TrustPolicy, policy::Malformed> {
        document.bind(|arn| bound.get(arn).cloned())?;
        Ok(TrustPolicy {
            text,
            bound,
            parsed: OnceLock::from(attached(document)),
        })
    }

    /// Every user or role as the text names it, with the id it is bound to.
    pub(crate) fn bound(&self) -> &BTreeMap<String, String> {
        &self.bound
    }

    /// The text, with principals replaced as `replaced` says.
    pub(crate) fn text_with(&self, replaced: &BTreeMap<String, String>) -> String {
        if replaced.is_empty() {
            self.text.clone()
        } else {
            policy::replace_principals(&self.text, replaced)
        }
    }

    /// The policy with its principals bound.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the text is no trust policy any more.
    pub(crate) fn policy(&self, table: &'static str) -> Result<Arc<Attached>, StoreError> {
        if let Some(policy) = self.parsed.get() {
            return Ok(Arc::clone(policy));
        }
        let refuse = |malformed: policy::Malformed| StoreError::BadRecord {
            table,
            reason: format!("its trust policy is refused: {:?}", malformed.reason()),
        };
        let mut document = Document::parse(&self.text, DocumentKind::RoleTrust).map_err(refuse)?;
        document
            .bind(|arn| self.bound.get(arn).cloned())
            .map_err(refuse)?;
        Ok(Arc::clone(self.parsed.get_or_init(|| attached(document))))
    }
}

fn attached(document: Document) -> Arc<Attached> {
    Arc::new(Attached::inline(
        "trust policy",
        Holder::Resource,
        Arc::new(document),
    ))
}
