//! Names, and the ARNs of managed policies.

use ground::{AccountId, Arn};

use crate::error::Error;
use crate::model::{root_access, service_linked};

/// The spelling in which names are compared: users, roles, groups and managed
/// policies differ only if they differ without regard to case.
///
/// Names are ASCII (the model's pattern), so ASCII folding is all of it.
pub(crate) fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The ARN of a managed policy, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyArn {
    /// `None` for policies of AWS, whose account field is `aws`.
    pub(crate) account: Option<AccountId>,
    /// Begins and ends with a slash.
    pub(crate) path: String,
    pub(crate) name: String,
}

impl PolicyArn {
    /// Reads `arn:aws:iam::ACCOUNT:policy/PATH/NAME`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<PolicyArn> {
        let arn = Arn::parse(text).ok()?;
        if arn.partition != "aws" || arn.service != "iam" || !arn.region.is_empty() {
            return None;
        }
        let account = match arn.account.as_str() {
            "aws" => None,
            text => Some(AccountId::parse(text).ok()?),
        };
        let rest = arn.resource.strip_prefix("policy")?;
        let (path, name) = rest.split_at(rest.rfind('/')? + 1);
        let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !path.starts_with('/') || name.is_empty() || !graphic(rest) {
            return None;
        }
        Some(PolicyArn {
            account,
            path: path.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Refuses the policies of services' own roles, which nobody else may bear,
    /// and those of root's tasks, which only sessions of root do.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyForService`], [`Error::PolicyNotAttachable`].
    pub(crate) fn attachable(&self) -> Result<(), Error> {
        if self.account.is_none() && self.path == service_linked::PATH {
            return Err(Error::PolicyForService);
        }
        if self.account.is_none() && self.path == root_access::PATH {
            let arn = format!("arn:aws:iam::aws:policy{}{}", self.path, self.name);
            return Err(Error::PolicyNotAttachable(arn));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_arns_are_taken_apart() {
        let own = PolicyArn::parse("arn:aws:iam::123456789012:policy/team/a/Read").unwrap();
        assert_eq!((own.path.as_str(), own.name.as_str()), ("/team/a/", "Read"));
        assert_eq!(own.account, AccountId::parse("123456789012").ok());
        let aws = PolicyArn::parse("arn:aws:iam::aws:policy/AdministratorAccess").unwrap();
        assert_eq!((aws.account, aws.path.as_str()), (None, "/"));
        for text in [
            "",
            "arn:aws:iam::123456789012:policy",
            "arn:aws:iam::123456789012:policy/",
            "arn:aws:iam::123456789012:policyRead",
            "arn:aws:iam::123456789012:role/Read",
            "arn:aws:iam:eu-west-1:123456789012:policy/Read",
            "arn:aws:iam::12345678901:policy/Read",
            "arn:aws:iam::123456789012:policy/Re ad",
        ] {
            assert_eq!(PolicyArn::parse(text), None, "{text}");
        }
    }
}
