//! How a caller names a key: by id, key ARN, alias or alias ARN.

use ground::{AccountId, Arn, Region};

use crate::error::Error;
use crate::model::{AliasName, KeyId};

/// A key as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The account of an ARN; ids and aliases without one are the caller's own.
    pub owner: Option<AccountId>,
    /// What is named there.
    pub target: Target,
}

/// What a name points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The alias with this name.
    Alias(AliasName),
    /// The key with this id.
    Key(KeyId),
}

impl KeyName {
    /// Reads a name given to the endpoint of region `here`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKeyId`] for what is no name at all,
    /// [`Error::InvalidArn`] for an ARN that can name neither key nor alias,
    /// [`Error::OtherRegion`] for an ARN of another region.
    pub fn parse(text: &str, here: &Region) -> Result<KeyName, Error> {
        if text.starts_with("arn:") {
            return KeyName::parse_arn(text, here);
        }
        let target = match AliasName::sought(text) {
            Some(alias) => Target::Alias(alias),
            None => Target::Key(KeyId::parse(text).ok_or_else(|| Error::InvalidKeyId(text.to_owned()))?),
        };
        Ok(KeyName { owner: None, target })
    }

    fn parse_arn(text: &str, here: &Region) -> Result<KeyName, Error> {
        let invalid = || Error::InvalidArn(text.to_owned());
        let arn = Arn::parse(text).map_err(|_| invalid())?;
        if arn.partition != "aws" || arn.service != "kms" {
            return Err(invalid());
        }
        let owner = arn.account_id().ok_or_else(invalid)?;
        let target = match arn.resource.strip_prefix("key/") {
            Some(id) => KeyId::parse(id).map(Target::Key),
            None => AliasName::sought(&arn.resource).map(Target::Alias),
        };
        let target = target.ok_or_else(invalid)?;
        if arn.region != here.as_str() {
            return Err(Error::OtherRegion(arn.region));
        }
        Ok(KeyName {
            owner: Some(owner),
            target,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn read(text: &str) -> Result<KeyName, Error> {
        KeyName::parse(text, &Region::parse("eu-west-1").unwrap())
    }

    #[test]
    fn every_form_is_read() {
        let account = AccountId::parse("123456789012").ok();
        let key = Target::Key(KeyId::parse(ID).unwrap());
        let alias = Target::Alias(AliasName::sought("alias/aws/s3").unwrap());
        for (text, owner, target) in [
            (ID.to_owned(), None, &key),
            (
                format!("arn:aws:kms:eu-west-1:123456789012:key/{ID}"),
                account,
                &key,
            ),
            ("alias/aws/s3".to_owned(), None, &alias),
            (
                "arn:aws:kms:eu-west-1:123456789012:alias/aws/s3".to_owned(),
                account,
                &alias,
            ),
        ] {
            assert_eq!(
                read(&text).unwrap(),
                KeyName {
                    owner,
                    target: target.clone()
                },
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_in_its_own_way() {
        for text in ["", "foo", "alias/", "alias/a:b", "key/1", "alias"] {
            assert!(matches!(read(text), Err(Error::InvalidKeyId(_))), "{text}");
        }
        for text in [
            "arn:",
            "arn:aws:kms:eu-west-1:123456789012:key/foo",
            "arn:aws:kms:eu-west-1:123456789012:grant/foo",
            "arn:aws:s3:eu-west-1:123456789012:alias/foo",
            "arn:aws:kms:eu-west-1:12345:alias/foo",
            "arn:aws-cn:kms:eu-west-1:123456789012:alias/foo",
        ] {
            assert!(matches!(read(text), Err(Error::InvalidArn(_))), "{text}");
        }
        let elsewhere = format!("arn:aws:kms:us-east-1:123456789012:key/{ID}");
        assert!(matches!(read(&elsewhere), Err(Error::OtherRegion(region)) if region == "us-east-1"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "(arn:aws:kms:eu-west-1:)?\\PC{0,60}") {
            let _ = read(&text);
        }
    }
}
