//! Amazon Resource Names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AccountId, Region};

/// `arn:partition:service:region:account:resource`, each field as written.
///
/// Region and account may be empty, and may be what no [`Region`] or
/// [`AccountId`] is (`aws` in the ARN of an AWS managed policy), so both stay
/// text. The resource keeps further colons.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arn {
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The service's prefix, as in IAM actions.
    pub service: String,
    /// Empty for global resources.
    pub region: String,
    /// Empty for resources whose name is globally unique.
    pub account: String,
    /// Everything after the fifth colon.
    pub resource: String,
}

/// The text does not have the six fields of an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ARN")]
pub struct BadArn(pub String);

impl Arn {
    /// Longest ARN accepted anywhere, in bytes (IAM API Reference, `arnType`).
    pub const LENGTH_MAX: usize = 2048;

    /// Names a regional resource in partition `aws`.
    pub fn new(service: &str, region: &Region, account: AccountId, resource: impl Into<String>) -> Arn {
        Arn {
            partition: "aws".into(),
            service: service.into(),
            region: region.as_str().into(),
            account: account.to_string(),
            resource: resource.into(),
        }
    }

    /// Names a resource without region in partition `aws`, as IAM and STS do.
    pub fn global(service: &str, account: AccountId, resource: impl Into<String>) -> Arn {
        Arn {
            partition: "aws".into(),
            service: service.into(),
            region: String::new(),
            account: account.to_string(),
            resource: resource.into(),
        }
    }

    /// Reads six colon-separated fields, the first of them `arn`; partition,
    /// service and resource must not be empty.
    ///
    /// # Errors
    ///
    /// [`BadArn`] for anything else, or beyond [`Arn::LENGTH_MAX`].
    pub fn parse(text: &str) -> Result<Arn, BadArn> {
        let bad = || BadArn(text.chars().take(128).collect());
        if text.len() > Self::LENGTH_MAX {
            return Err(bad());
        }
        let mut fields = text.splitn(6, ':');
        let mut next = || fields.next().ok_or_else(bad);
        if next()? != "arn" {
            return Err(bad());
        }
        let arn = Arn {
            partition: next()?.into(),
            service: next()?.into(),
            region: next()?.into(),
            account: next()?.into(),
            resource: next()?.into(),
        };
        if arn.partition.is_empty() || arn.service.is_empty() || arn.resource.is_empty() {
            return Err(bad());
        }
        Ok(arn)
    }

    /// The owner, when the account field is an account id.
    pub fn account_id(&self) -> Option<AccountId> {
        AccountId::parse(&self.account).ok()
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arn {
            partition,
            service,
            region,
            account,
            resource,
        } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Arn {
    type Error = BadArn;

    fn try_from(text: String) -> Result<Arn, BadArn> {
        Arn::parse(&text)
    }
}

impl From<Arn> for String {
    fn from(arn: Arn) -> String {
        arn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for text in [
            "arn:aws:kms:eu-west-1:123456789012:key/1234",
            "arn:aws:iam::aws:policy/AdministratorAccess",
            "arn:aws:s3:::bucket/key:with:colons",
        ] {
            assert_eq!(Arn::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_fewer_fields_and_empty_ones() {
        for text in [
            "",
            "arn",
            "arn:aws:kms:eu-west-1:1",
            "arn:aws::r:a:x",
            "arn:aws:kms:r:a:",
            "urn:a:b:c:d:e",
        ] {
            assert!(Arn::parse(text).is_err(), "{text}");
        }
    }
}
