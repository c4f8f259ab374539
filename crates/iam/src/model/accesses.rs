//! What a user or role tried to do, and when last: the data of "service last
//! accessed".
//!
//! An access counts when its signature was proven, whether or not it was
//! allowed (IAM User Guide, "Things to know about last accessed information").

use std::collections::BTreeMap;

use ground::Timestamp;
use policy::{Document, Effect};
use serde::{Deserialize, Serialize};

/// The last accesses of one user or role, by service (`kms`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accesses(BTreeMap<String, ServiceAccess>);

/// The last access to a service, and to each of its actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceAccess {
    pub(crate) last: Access,
    /// By name without the service: `Encrypt`.
    pub(crate) actions: BTreeMap<String, Access>,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) at: Timestamp,
    pub(crate) region: String,
}

impl Accesses {
    /// Notes an access to `action` (`kms:Encrypt`); a later one is never
    /// replaced by an earlier one.
    pub(crate) fn note(&mut self, action: &str, access: &Access) {
        let Some((service, name)) = action.split_once(':') else {
            return;
        };
        self.note_service(service, access)
            .actions
            .entry(name.to_owned())
            .or_insert_with(|| access.clone())
            .renew(access);
    }

    /// Notes an access to a service, whatever it was for.
    pub(crate) fn note_service(&mut self, service: &str, access: &Access) -> &mut ServiceAccess {
        let of_service = self.0.entry(service.to_owned()).or_insert_with(|| ServiceAccess {
            last: access.clone(),
            actions: BTreeMap::new(),
        });
        of_service.last.renew(access);
        of_service
    }

    /// Notes all that `other` knows.
    pub(crate) fn merge(&mut self, other: &Accesses) {
        for (service, of_service) in &other.0 {
            self.note_service(service, &of_service.last);
            for (name, access) in &of_service.actions {
                self.note(&format!("{service}:{name}"), access);
            }
        }
    }

    /// The last access to a service.
    pub(crate) fn of(&self, service: &str) -> Option<&ServiceAccess> {
        self.0.get(service)
    }
}

impl Access {
    fn renew(&mut self, other: &Access) {
        if other.at > self.at {
            *self = other.clone();
        }
    }
}

/// Whether some action of `service` is among those that a policy allows,
/// whatever its conditions and resources; what it denies does not count.
pub(crate) fn permits(document: &Document, service: &str) -> bool {
    let names_all_of = |action: &str| {
        action == "*"
            || action
                .split_once(':')
                .is_some_and(|(vendor, name)| vendor.eq_ignore_ascii_case(service) && name == "*")
    };
    let names_any_of = |action: &str| {
        action == "*"
            || action
                .split_once(':')
                .is_some_and(|(vendor, _)| vendor.eq_ignore_ascii_case(service))
    };
    document
        .statements()
        .iter()
        .filter(|statement| statement.effect() == Effect::Allow)
        .any(|statement| match statement.actions() {
            (false, actions) => actions.into_iter().any(names_any_of),
            (true, left_out) => !left_out.into_iter().any(names_all_of),
        })
}

/// The services of this program, with the names that the Service Authorization
/// Reference gives them.
pub(crate) const SERVICES: [(&str, &str); 23] = [
    ("acm", "AWS Certificate Manager"),
    ("acm-pca", "AWS Private Certificate Authority"),
    ("cloudhsm", "AWS CloudHSM"),
    ("cloudtrail", "AWS CloudTrail"),
    ("config", "AWS Config"),
    ("ec2", "Amazon EC2"),
    ("events", "Amazon EventBridge"),
    ("fms", "AWS Firewall Manager"),
    ("guardduty", "Amazon GuardDuty"),
    ("iam", "AWS Identity and Access Management (IAM)"),
    ("inspector2", "Amazon Inspector2"),
    ("kms", "AWS Key Management Service"),
    ("lambda", "AWS Lambda"),
    ("macie2", "Amazon Macie"),
    ("organizations", "AWS Organizations"),
    ("s3", "Amazon S3"),
    ("secretsmanager", "AWS Secrets Manager"),
    ("shield", "AWS Shield"),
    ("sns", "Amazon SNS"),
    ("sqs", "Amazon SQS"),
    ("ssm", "AWS Systems Manager"),
    ("sts", "AWS Security Token Service"),
    ("wafv2", "AWS WAF V2"),
];

#[cfg(test)]
mod tests {
    use policy::DocumentKind;

    use super::*;

    fn access(seconds: i64, region: &str) -> Access {
        Access {
            at: Timestamp::from_seconds(seconds),
            region: region.to_owned(),
        }
    }

    #[test]
    fn the_last_access_of_a_service_is_that_of_its_actions() {
        let mut accesses = Accesses::default();
        accesses.note("kms:Encrypt", &access(200, "eu-west-1"));
        accesses.note("kms:Decrypt", &access(100, "us-east-1"));
        let mut other = Accesses::default();
        other.note("kms:Decrypt", &access(150, "eu-west-2"));
        other.note_service("sts", &access(50, "us-east-1"));
        accesses.merge(&other);
        let kms = accesses.of("kms").unwrap();
        assert_eq!(kms.last, access(200, "eu-west-1"));
        assert_eq!(kms.actions["Decrypt"], access(150, "eu-west-2"));
        assert!(accesses.of("sts").is_some() && accesses.of("s3").is_none());
    }

    #[test]
    fn a_policy_permits_the_services_whose_actions_it_allows() {
        let permits_kms = |statement: &str| {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
            permits(&Document::parse(&text, DocumentKind::Identity).unwrap(), "kms")
        };
        for (statement, wanted) in [
            (r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, true),
            (r#"{"Effect":"Allow","Action":"KMS:List*","Resource":"*"}"#, true),
            (r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#, false),
            (r#"{"Effect":"Deny","Action":"kms:*","Resource":"*"}"#, false),
            (
                r#"{"Effect":"Allow","NotAction":"kms:Encrypt","Resource":"*"}"#,
                true,
            ),
            (
                r#"{"Effect":"Allow","NotAction":["s3:*","kms:*"],"Resource":"*"}"#,
                false,
            ),
        ] {
            assert_eq!(permits_kms(statement), wanted, "{statement}");
        }
    }
}
