//! Where a resource lives.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A region name such as `eu-central-1`. Any name of that form is a region:
/// an operator may call their own site `lab-west-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(Arc<str>);

/// The text is not a region name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a region name such as eu-central-1")]
pub struct BadRegion(pub String);

impl Region {
    /// Longest name accepted; AWS's own longest is 14.
    pub const LENGTH_MAX: usize = 32;

    /// Reads `letters-letters[-letters]-digits`, lower case.
    ///
    /// # Errors
    ///
    /// [`BadRegion`] for anything else.
    pub fn parse(text: &str) -> Result<Region, BadRegion> {
        let bad = || BadRegion(text.chars().take(64).collect());
        if text.len() > Self::LENGTH_MAX {
            return Err(bad());
        }
        let (words, number) = text.rsplit_once('-').ok_or_else(bad)?;
        let word_ok = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let number_ok = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if !number_ok || words.split('-').count() < 2 || !words.split('-').all(word_ok) {
            return Err(bad());
        }
        Ok(Region(text.into()))
    }

    /// The region in whose name the global services (IAM, Organizations) sign and record.
    pub fn us_east_1() -> Region {
        Region("us-east-1".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Region {
    type Error = BadRegion;

    fn try_from(text: String) -> Result<Region, BadRegion> {
        Region::parse(&text)
    }
}

impl From<Region> for String {
    fn from(region: Region) -> String {
        region.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_forms_aws_uses() {
        for text in ["us-east-1", "eu-central-2", "us-gov-west-1", "ap-southeast-12"] {
            assert_eq!(Region::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "us",
            "us-1",
            "US-EAST-1",
            "us-east-",
            "us--1",
            "us-east-1/../x",
            "eu_central_1",
            "-a-1",
        ] {
            assert!(Region::parse(text).is_err(), "{text}");
        }
    }
}
