//! Tags of users, roles, policies and sessions.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::TAGS_MAX;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Whether `Team` and `team` are two keys.
///
/// Source: IAM User Guide, "Tags for IAM resources": keys of users and roles
/// are not case-sensitive, those of other resources are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseOfKeys {
    /// Users, roles, sessions.
    Ignored,
    /// Managed policies.
    Matters,
}

impl CaseOfKeys {
    /// Whether two keys are one.
    pub(crate) fn same(self, one: &str, other: &str) -> bool {
        match self {
            CaseOfKeys::Ignored => one == other || one.to_lowercase() == other.to_lowercase(),
            CaseOfKeys::Matters => one == other,
        }
    }
}

/// The tags of one thing, in the order they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Tags(Vec<Tag>);

impl Tags {
    /// Tags as a request gives them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a key given twice or one that begins with
    /// `aws:`, [`Error::LimitExceeded`] beyond fifty.
    pub(crate) fn of_request(given: Vec<Tag>, case: CaseOfKeys) -> Result<Tags, Error> {
        for (at, tag) in given.iter().enumerate() {
            if given[..at].iter().any(|before| case.same(&before.key, &tag.key)) {
                return Err(Error::InvalidInput(DUPLICATE_KEYS.to_owned()));
            }
            if is_reserved(&tag.key) {
                return Err(Error::InvalidInput(format!(
                    "Tag key '{}' begins with the reserved prefix 'aws:'.",
                    tag.key
                )));
            }
        }
        if given.len() > TAGS_MAX {
            return Err(too_many());
        }
        Ok(Tags(given))
    }

    /// Tags as `AssumeRole` and `GetFederationToken` give them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParameterValue`] for a key given twice, in any case, or
    /// one that begins with `aws:`.
    pub(crate) fn of_session(given: Vec<Tag>) -> Result<Tags, Error> {
        for (at, tag) in given.iter().enumerate() {
            if given[..at]
                .iter()
                .any(|before| CaseOfKeys::Ignored.same(&before.key, &tag.key))
            {
                return Err(Error::InvalidParameterValue(DUPLICATE_KEYS));
            }
            if is_reserved(&tag.key) {
                return Err(Error::InvalidParameterValue(
                    "Tag keys must not begin with the reserved prefix aws:.",
                ));
            }
        }
        Ok(Tags(given))
    }

    /// Adds tags; one whose key is there replaces it, key and value.
    ///
    /// # Errors
    ///
    /// [`Error::LimitExceeded`] beyond fifty.
    pub(crate) fn add(&mut self, given: Tags, case: CaseOfKeys) -> Result<(), Error> {
        for tag in given.0 {
            match self.0.iter_mut().find(|known| case.same(&known.key, &tag.key)) {
                Some(known) => *known = tag,
                None => self.0.push(tag),
            }
        }
        if self.0.len() > TAGS_MAX {
            Err(too_many())
        } else {
            Ok(())
        }
    }

    /// Removes keys; those that are not there do not matter.
    pub(crate) fn remove(&mut self, keys: &[String], case: CaseOfKeys) {
        self.0
            .retain(|tag| !keys.iter().any(|key| case.same(key, &tag.key)));
    }

    /// The tags.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.0.iter()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Tags {
        Tags(tags.into_iter().collect())
    }
}

/// What IAM and STS say of a key given twice.
const DUPLICATE_KEYS: &str = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";

/// Keys that only AWS sets.
fn is_reserved(key: &str) -> bool {
    key.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

fn too_many() -> Error {
    Error::LimitExceeded(format!(
        "The number of tags has reached the maximum limit: {TAGS_MAX}"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn a_key_in_another_case_replaces_the_tag_of_a_user_but_not_of_a_policy() {
        for (case, left) in [(CaseOfKeys::Ignored, 1), (CaseOfKeys::Matters, 2)] {
            let mut tags = Tags::of_request(vec![tag("Department", "foo")], case).unwrap();
            tags.add(
                Tags::of_request(vec![tag("department", "bar")], case).unwrap(),
                case,
            )
            .unwrap();
            assert_eq!(tags.iter().count(), left);
            assert_eq!(tags.iter().last(), Some(&tag("department", "bar")));
        }
    }

    #[test]
    fn refuses_reserved_repeated_and_too_many() {
        let refused = |tags| Tags::of_request(tags, CaseOfKeys::Ignored).unwrap_err();
        assert!(matches!(refused(vec![tag("AWS:x", "")]), Error::InvalidInput(_)));
        assert!(matches!(
            refused(vec![tag("a", ""), tag("A", "")]),
            Error::InvalidInput(_)
        ));
        let many = (0..51).map(|number| tag(&number.to_string(), "")).collect();
        assert!(matches!(refused(many), Error::LimitExceeded(_)));
        let mut full: Tags = (0..50).map(|number| tag(&number.to_string(), "")).collect();
        assert!(
            full.clone()
                .add([tag("7", "x")].into_iter().collect(), CaseOfKeys::Ignored)
                .is_ok()
        );
        assert!(
            full.add([tag("x", "x")].into_iter().collect(), CaseOfKeys::Ignored)
                .is_err()
        );
    }

    proptest! {
        /// However tags come and go, no key is there twice.
        #[test]
        fn keys_stay_unique(steps in proptest::collection::vec(("[a-cA-C]", any::<bool>()), 0..30)) {
            let mut tags = Tags::default();
            for (key, adds) in steps {
                if adds {
                    tags.add([tag(&key, "")].into_iter().collect(), CaseOfKeys::Ignored).unwrap();
                } else {
                    tags.remove(std::slice::from_ref(&key), CaseOfKeys::Ignored);
                    prop_assert!(!tags.iter().any(|tag| tag.key.eq_ignore_ascii_case(&key)));
                }
                let mut keys: Vec<_> = tags.iter().map(|tag| tag.key.to_lowercase()).collect();
                keys.sort();
                keys.dedup();
                prop_assert_eq!(keys.len(), tags.iter().count());
            }
        }
    }
}
