//! Aliases: friendly names for keys.
//!
//! An alias belongs to one account and region and points at one key. Names
//! beginning with `alias/aws/` belong to AWS services.
//!
//! Invariant: an alias never outlives its key; `store::delete_key` removes both.
//! Absent by design: an alias carries no policy of its own, the key's decides.

use std::fmt;

use ground::{AccountId, Region, Timestamp};
use serde::{Deserialize, Serialize};
use store::TextKey;

use crate::error::Error;
use crate::model::KeyId;

/// `alias/` and a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AliasName(String);

/// What every alias begins with.
const PREFIX: &str = "alias/";

/// What the aliases of AWS managed keys begin with.
const RESERVED_PREFIX: &str = "alias/aws/";

/// Longest alias in bytes. Source: KMS API Reference, `AliasNameType`.
const BYTES_MAX: usize = 256;

impl AliasName {
    /// Reads the name of an alias to be created, moved or deleted.
    ///
    /// # Errors
    ///
    /// [`Error::AliasPrefix`] without `alias/` in front,
    /// [`Error::AliasCharacters`] unless a name of letters, digits, `/`, `_`
    /// and `-` follows, [`Error::AliasReserved`] for names of AWS services.
    pub fn parse(text: &str) -> Result<AliasName, Error> {
        if !text.starts_with(PREFIX) {
            return Err(Error::AliasPrefix);
        }
        let name = AliasName::sought(text).ok_or_else(|| Error::AliasCharacters(text.to_owned()))?;
        if text.starts_with(RESERVED_PREFIX) {
            return Err(Error::AliasReserved(name));
        }
        Ok(name)
    }

    /// Reads a name by which a key is sought, which may be reserved; `None` if
    /// no alias can have it.
    pub fn sought(text: &str) -> Option<AliasName> {
        let name = text.strip_prefix(PREFIX)?;
        let fits = !name.is_empty()
            && text.len() <= BYTES_MAX
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-'));
        fits.then(|| AliasName(text.to_owned()))
    }

    /// The name with its `alias/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ARN of the alias in its account and region.
    pub fn arn(&self, account: AccountId, region: &Region) -> String {
        format!("arn:aws:kms:{region}:{account}:{self}")
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AliasName {
    type Error = String;

    fn try_from(text: String) -> Result<AliasName, String> {
        AliasName::sought(&text).ok_or_else(|| "not an alias".to_owned())
    }
}

impl From<AliasName> for String {
    fn from(name: AliasName) -> String {
        name.0
    }
}

impl TextKey for AliasName {
    fn as_text(&self) -> &str {
        &self.0
    }

    fn from_text(text: &str) -> Option<AliasName> {
        AliasName::sought(text)
    }
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// Its name.
    pub name: AliasName,
    /// The key it points at.
    pub key: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// When it last was pointed at a key.
    pub updated: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_api_says() {
        for text in ["alias/a", "alias/Team_1/key-2", "alias/awsome", "alias/alias/x"] {
            assert_eq!(AliasName::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a", "Alias/a", "key/1"] {
            assert!(
                matches!(AliasName::parse(text), Err(Error::AliasPrefix)),
                "{text}"
            );
        }
        for text in ["alias/", "alias/a:b", "alias/a b", "alias/ä", "alias/*"] {
            assert!(
                matches!(AliasName::parse(text), Err(Error::AliasCharacters(_))),
                "{text}"
            );
        }
        assert!(matches!(
            AliasName::parse("alias/aws/s3"),
            Err(Error::AliasReserved(_))
        ));
        assert!(AliasName::sought("alias/aws/s3").is_some());
    }

    #[test]
    fn the_longest_name_has_256_bytes() {
        let name = format!("alias/{}", "a".repeat(250));
        assert!(AliasName::parse(&name).is_ok());
        assert!(AliasName::parse(&format!("{name}a")).is_err());
    }
}
