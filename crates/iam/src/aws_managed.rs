//! Managed policies of AWS that can be attached here.
//!
//! Their documents, each in a file of its name, grant what AWS documents each
//! to grant ("AWS Managed Policy Reference"); of those about every service
//! only the services of this program are named. Ids, dates and descriptions
//! are ours. There is one version of each.
//!
//! Absent by design: every other policy of AWS. To attach one fails, rather
//! than grant nothing under a name that promises something.

mod all;

use std::sync::{Arc, OnceLock};

use ground::{Timestamp, id};
use policy::{Document, DocumentKind};
use store::StoreError;

pub(crate) use all::POLICIES;

/// The one version of each.
pub(crate) const VERSION: &str = "v1";

/// When AWS made the first of them: 2015-02-06T18:39:46Z.
pub(crate) const CREATED: Timestamp = Timestamp(1_423_247_986_000);

/// A managed policy of AWS.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) description: &'static str,
    pub(crate) document: &'static str,
    parsed: OnceLock<Arc<Document>>,
}

impl Policy {
    const fn new(
        name: &'static str,
        path: &'static str,
        description: &'static str,
        document: &'static str,
    ) -> Policy {
        Policy {
            name,
            path,
            description,
            document: document.trim_ascii_end(),
            parsed: OnceLock::new(),
        }
    }

    /// `arn:aws:iam::aws:policy/PATH/NAME`
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    /// `ANPA…`, the same on every machine.
    pub(crate) fn id(&self) -> String {
        let digest = crypto::sha256(&[self.arn().as_bytes()]);
        let mut bytes = [0; 17];
        bytes.copy_from_slice(&digest[..17]);
        id::entity_id("ANPA", bytes)
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the document below is no policy, which a test excludes.
    pub(crate) fn parsed(&self) -> Result<Arc<Document>, StoreError> {
        if let Some(document) = self.parsed.get() {
            return Ok(Arc::clone(document));
        }
        let document = Document::parse(self.document, DocumentKind::Identity).map_err(|malformed| {
            StoreError::BadRecord {
                table: "policies of AWS",
                reason: malformed.to_string(),
            }
        })?;
        Ok(Arc::clone(self.parsed.get_or_init(|| Arc::new(document))))
    }
}

/// The policy of this path and name.
pub(crate) fn find(path: &str, name: &str) -> Option<&'static Policy> {
    POLICIES
        .iter()
        .find(|policy| policy.name == name && policy.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fold;

    #[test]
    fn every_document_is_a_policy_and_names_are_sorted() {
        assert!(POLICIES.is_sorted_by_key(|policy| fold(policy.name)));
        for policy in &POLICIES {
            assert!(policy.parsed().is_ok(), "{}", policy.name);
            assert_eq!(policy.id().len(), 21);
            assert!(std::ptr::eq(find(policy.path, policy.name).unwrap(), policy));
        }
        assert!(find("/", "administratoraccess").is_none());
    }
}
