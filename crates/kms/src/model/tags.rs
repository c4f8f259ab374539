//! Tags: what a key is called in bills and in access control by attributes.

use std::collections::BTreeMap;

use kms_api::Tag;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, TAGS_PER_KEY_MAX};

/// The tags of a key, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Reads the tags of a request.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateTag`], [`Error::BadTag`] and [`Error::TooManyTags`].
    pub fn parse(list: Vec<Tag>) -> Result<Tags, Error> {
        let mut tags = Tags::default();
        for Tag { tag_key, tag_value } in list {
            check(&tag_key, &tag_value)?;
            if tags.0.contains_key(&tag_key) {
                return Err(Error::DuplicateTag(tag_key));
            }
            tags.0.insert(tag_key, tag_value);
        }
        tags.within_limit()
    }

    /// These tags with others added; of two with one key, the other's value stays.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyTags`] beyond [`TAGS_PER_KEY_MAX`].
    pub fn with(mut self, others: &Tags) -> Result<Tags, Error> {
        self.0.extend(others.0.clone());
        self.within_limit()
    }

    /// These tags without those of the given keys.
    #[must_use]
    pub fn without(mut self, keys: &[String]) -> Tags {
        self.0.retain(|key, _| !keys.contains(key));
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Key and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn within_limit(self) -> Result<Tags, Error> {
        if self.0.len() > TAGS_PER_KEY_MAX {
            return Err(Error::TooManyTags { tags: self.0.len() });
        }
        Ok(self)
    }
}

/// What tags may be made of.
///
/// Source: KMS Developer Guide, "Tags in AWS KMS"; the characters are those of
/// the AWS-wide rules it refers to.
fn check(key: &str, value: &str) -> Result<(), Error> {
    let bad = |reason| {
        Err(Error::BadTag {
            key: key.to_owned(),
            reason,
        })
    };
    if key.is_empty() || key.chars().count() > TAG_KEY_CHARACTERS_MAX {
        return bad("its key has not between 1 and 128 characters");
    }
    if value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
        return bad("its value has more than 256 characters");
    }
    if key
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
    {
        return bad("keys beginning with aws: belong to AWS");
    }
    if !key.chars().chain(value.chars()).all(may_be_in_a_tag) {
        return bad("a character is not a letter, digit, space or one of _ . : / = + - @");
    }
    Ok(())
}

fn may_be_in_a_tag(character: char) -> bool {
    // A space of any script counts, a line break does not.
    let space = character.is_whitespace() && !character.is_control();
    character.is_alphanumeric() || space || "_.:/=+-@".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag {
            tag_key: key.to_owned(),
            tag_value: value.to_owned(),
        }
    }

    fn numbered(count: usize) -> Vec<Tag> {
        (0..count).map(|number| tag(&number.to_string(), "")).collect()
    }

    #[test]
    fn a_request_holds_at_most_fifty_different_sound_tags() {
        assert!(Tags::parse(numbered(TAGS_PER_KEY_MAX)).is_ok());
        assert!(matches!(
            Tags::parse(numbered(TAGS_PER_KEY_MAX + 1)),
            Err(Error::TooManyTags { tags: 51 })
        ));
        assert!(matches!(
            Tags::parse(vec![tag("a", ""), tag("a", "b")]),
            Err(Error::DuplicateTag(_))
        ));
        for (key, value) in [
            ("", ""),
            ("aws:x", ""),
            ("AWS:x", ""),
            ("a*", ""),
            ("a", "b\n"),
            ("a", "<b>"),
        ] {
            assert!(
                matches!(Tags::parse(vec![tag(key, value)]), Err(Error::BadTag { .. })),
                "{key:?} {value:?}"
            );
        }
        assert!(Tags::parse(vec![tag("Größe", "5 m/s @ +1=2_.:-"), tag("éaws:", "")]).is_ok());
        assert!(Tags::parse(vec![tag(&"k".repeat(129), "")]).is_err());
        assert!(Tags::parse(vec![tag("k", &"v".repeat(257))]).is_err());
    }

    #[test]
    fn adding_replaces_and_removing_ignores_what_is_not_there() {
        let tags = Tags::parse(vec![tag("a", "1"), tag("b", "1")]).unwrap();
        let more = tags.with(&Tags::parse(vec![tag("b", "2")]).unwrap()).unwrap();
        assert_eq!(more.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        let fewer = more.without(&["a".to_owned(), "z".to_owned()]);
        assert_eq!(fewer.iter().collect::<Vec<_>>(), [("b", "2")]);
        let full = Tags::parse(numbered(TAGS_PER_KEY_MAX)).unwrap();
        assert!(matches!(full.with(&fewer), Err(Error::TooManyTags { .. })));
    }
}
