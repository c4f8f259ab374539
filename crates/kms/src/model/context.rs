//! The encryption context: what a ciphertext is bound to, shown in clear.

use std::collections::BTreeMap;

use crypto::blob;

use crate::error::Error;
use crate::limits::CONTEXT_BYTES_MAX;

/// Names and values that must be given again, exactly, to decrypt.
///
/// Order does not count, case does. Nothing and an empty map are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// Takes the context of a request.
    ///
    /// # Errors
    ///
    /// [`Error::ContextTooLong`] beyond [`CONTEXT_BYTES_MAX`].
    pub fn parse(pairs: Option<BTreeMap<String, String>>) -> Result<EncryptionContext, Error> {
        let pairs = pairs.unwrap_or_default();
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > CONTEXT_BYTES_MAX {
            return Err(Error::ContextTooLong { bytes });
        }
        Ok(EncryptionContext(pairs))
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has these pairs and no others.
    pub fn is(&self, pairs: &BTreeMap<String, String>) -> bool {
        self.0 == *pairs
    }

    /// Whether it has these pairs, and perhaps others.
    pub fn contains(&self, pairs: &BTreeMap<String, String>) -> bool {
        pairs.iter().all(|(name, value)| self.0.get(name) == Some(value))
    }

    /// The pairs in the order of their names.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The context in the form that is authenticated.
    pub fn authenticated(&self) -> blob::EncryptionContext {
        blob::EncryptionContext::new(self.pairs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_names_and_values() {
        let context = |value: usize| BTreeMap::from([("name".to_owned(), "v".repeat(value))]);
        assert!(EncryptionContext::parse(Some(context(CONTEXT_BYTES_MAX - 4))).is_ok());
        assert!(matches!(
            EncryptionContext::parse(Some(context(CONTEXT_BYTES_MAX - 3))),
            Err(Error::ContextTooLong { bytes }) if bytes == CONTEXT_BYTES_MAX + 1
        ));
        assert_eq!(
            EncryptionContext::parse(None).unwrap(),
            EncryptionContext::parse(Some(BTreeMap::new())).unwrap()
        );
    }
}
