//! Tags of accounts, units, roots, policies and the resource policy.

use organizations_api::{InvalidInputExceptionReason as Input, Tag};
use serde::{Deserialize, Serialize};

use crate::error::{Error, constraint, input};
use crate::limits::TAGS_MAX;

/// The tags of one thing, by key, in the order they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Tags(Vec<(String, String)>);

impl Tags {
    /// Tags as a request gives them.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] for a key given twice, in any case, or one that begins
    /// with `aws:`; [`Error::Constraint`] beyond fifty.
    pub(crate) fn of_request(given: Option<Vec<Tag>>) -> Result<Tags, Error> {
        let mut tags = Tags::default();
        for tag in given.unwrap_or_default() {
            if tags.iter().any(|(key, _)| key.eq_ignore_ascii_case(&tag.key)) {
                return Err(input(
                    Input::DuplicateTagKey,
                    "You specified a tag key that is already used in the request.",
                ));
            }
            if tag.key.to_ascii_lowercase().starts_with("aws:") {
                return Err(input(
                    Input::InvalidSystemTagsParameter,
                    "You specified a tag key that is reserved for system use.",
                ));
            }
            tags.0.push((tag.key, tag.value));
        }
        tags.check_count()?;
        Ok(tags)
    }

    /// Adds tags; one whose key is there replaces its value.
    ///
    /// # Errors
    ///
    /// [`Error::Constraint`] beyond fifty.
    pub(crate) fn add(&mut self, given: Tags) -> Result<(), Error> {
        for (key, value) in given.0 {
            match self.0.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = value,
                None => self.0.push((key, value)),
            }
        }
        self.check_count()
    }

    fn check_count(&self) -> Result<(), Error> {
        if self.0.len() > TAGS_MAX {
            return Err(constraint(
                organizations_api::ConstraintViolationExceptionReason::MaxTagLimitExceeded,
                "You have exceeded the number of tags that are allowed on this resource.",
            ));
        }
        Ok(())
    }

    /// Removes keys; those that are not there do not matter.
    pub(crate) fn remove(&mut self, keys: &[String]) {
        self.0.retain(|(key, _)| !keys.contains(key));
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, (String, String)> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
