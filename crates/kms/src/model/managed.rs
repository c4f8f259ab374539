//! AWS managed keys: one for each service that keeps something for an account,
//! under the alias `alias/aws/SERVICE`.
//!
//! Everyone of the account may use one through its service and look at it
//! directly, and nobody may do more: so says its fixed policy, which the
//! decision weighs as any other. Hence such a key cannot be disabled, deleted,
//! tagged or given another policy. It rotates every year.
//!
//! Absent by design: the aliases of services that this program will not have,
//! and AWS owned keys as rows: what a service seals for itself it seals under
//! its own domain keys, which no account sees (`docs/kms-cryptography.md`).
//!
//! Source: KMS Developer Guide, "AWS managed keys", and the policies that
//! `GetKeyPolicy` gives of them.

use std::fmt::Write as _;

use ground::{AccountId, Region};
use serde::{Deserialize, Serialize};

use crate::model::{AliasName, KeyPolicy};

/// Who manages a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manager {
    /// AWS, for one of its services.
    Aws,
    /// Its owner.
    #[default]
    Customer,
}

impl Manager {
    /// What rows leave out.
    pub(crate) fn is_customer(&self) -> bool {
        *self == Manager::Customer
    }
}

/// A service that has a key in every account that uses it.
#[derive(Debug, PartialEq, Eq)]
pub struct Managed {
    /// `alias/aws/s3`
    alias: &'static str,
    /// The policy's `Id`.
    id: &'static str,
    /// As the policy calls the service.
    spoken: &'static str,
    /// As `kms:ViaService` begins: `ec2` for EBS.
    via: &'static str,
    /// What the key protects, as its description says.
    protects: &'static str,
    rules: Rules,
}

/// What the policy lets the account do.
#[derive(Debug, PartialEq, Eq)]
enum Rules {
    /// These through the service.
    Through(&'static [&'static str]),
    /// As [`Rules::Through`], and data keys through the service in any region.
    SecretsManager,
    /// Grants for certificates.
    Acm,
}

const CRYPTOGRAPHY: &[&str] = &[
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:DescribeKey",
];
const AND_GRANTS: &[&str] = &[
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:CreateGrant",
    "kms:DescribeKey",
];

/// In the order of their aliases.
pub const MANAGED: &[Managed] = &[
    Managed {
        alias: "alias/aws/acm",
        id: "auto-acm-4",
        spoken: "ACM",
        via: "acm",
        protects: "ACM private keys",
        rules: Rules::Acm,
    },
    Managed {
        alias: "alias/aws/ebs",
        id: "auto-ebs-2",
        spoken: "EBS",
        via: "ec2",
        protects: "EBS volumes",
        rules: Rules::Through(AND_GRANTS),
    },
    Managed {
        alias: "alias/aws/lambda",
        id: "auto-awslambda",
        spoken: "AWS Lambda",
        via: "lambda",
        protects: "Lambda functions",
        rules: Rules::Through(AND_GRANTS),
    },
    Managed {
        alias: "alias/aws/s3",
        id: "auto-s3-2",
        spoken: "S3",
        via: "s3",
        protects: "S3 objects",
        rules: Rules::Through(CRYPTOGRAPHY),
    },
    Managed {
        alias: "alias/aws/secretsmanager",
        id: "auto-secretsmanager-2",
        spoken: "AWS Secrets Manager",
        via: "secretsmanager",
        protects: "Secrets Manager data",
        rules: Rules::SecretsManager,
    },
    Managed {
        alias: "alias/aws/sns",
        id: "auto-sns-1",
        spoken: "SNS",
        via: "sns",
        protects: "SNS data",
        rules: Rules::Through(&[
            "kms:Decrypt",
            "kms:GenerateDataKey*",
            "kms:CreateGrant",
            "kms:ListGrants",
            "kms:DescribeKey",
        ]),
    },
    Managed {
        alias: "alias/aws/sqs",
        id: "auto-sqs-1",
        spoken: "Simple Queue Service (SQS)",
        via: "sqs",
        protects: "SQS messages",
        rules: Rules::Through(AND_GRANTS),
    },
    Managed {
        alias: "alias/aws/ssm",
        id: "auto-ssm-1",
        spoken: "SSM",
        via: "ssm",
        protects: "SSM parameters",
        rules: Rules::Through(CRYPTOGRAPHY),
    },
];

impl Managed {
    /// The service whose key has this alias.
    pub fn of(alias: &AliasName) -> Option<&'static Managed> {
        MANAGED.iter().find(|it| it.alias == alias.as_str())
    }

    /// The alias of its key.
    pub fn alias(&self) -> AliasName {
        AliasName::sought(self.alias).expect("the table's aliases are aliases; a test reads them")
    }

    /// The description of its key.
    pub fn description(&self) -> String {
        format!(
            "Default key that protects my {} when no other key is defined",
            self.protects
        )
    }

    /// The policy of its key.
    pub fn policy(&self, account: AccountId, region: &Region) -> KeyPolicy {
        let by = [
            ("kms:CallerAccount", account.to_string()),
            ("kms:ViaService", format!("{}.{region}.amazonaws.com", self.via)),
        ];
        let [by_account, _] = &by;
        let through = format!(
            "Allow access through {} for all principals in the account that are authorized to use {0}",
            self.spoken
        );
        let root = format!("arn:aws:iam::{account}:root");
        let metadata = |actions: &[&str]| {
            let sid = "Allow direct access to key metadata to the account";
            statement(sid, "Allow", &root, actions, &[])
        };
        let described = ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"];
        let anyone = |sid: &str, actions: &[&str], condition: &[(&str, Vec<Said<'_>>)]| {
            statement(sid, "Allow", "*", actions, condition)
        };
        let statements = match &self.rules {
            // Who makes no grants need not take any back.
            Rules::Through(actions) => {
                let grants = actions.contains(&"kms:CreateGrant");
                vec![
                    anyone(&through, actions, &[("StringEquals", said(&by))]),
                    metadata(&described[..if grants { 4 } else { 3 }]),
                ]
            }
            Rules::SecretsManager => {
                let uses = [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:CreateGrant",
                    "kms:DescribeKey",
                ];
                let anywhere = [("kms:ViaService", "secretsmanager.*.amazonaws.com".to_owned())];
                let account = std::slice::from_ref(by_account);
                let conditions = [("StringEquals", said(account)), ("StringLike", said(&anywhere))];
                vec![
                    anyone(&through, &uses, &[("StringEquals", said(&by))]),
                    anyone(&through, &["kms:GenerateDataKey*"], &conditions),
                    metadata(&described),
                ]
            }
            Rules::Acm => acm(&by),
        };
        let statements = statements.join(", ");
        KeyPolicy::fixed(format!(
            "{{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"{}\",\n  \"Statement\" : [ {statements} ]\n}}",
            self.id
        ))
    }
}

/// The statements of the key that guards the private keys of certificates.
fn acm(by: &[(&str, String); 2]) -> Vec<String> {
    let granting = |operations: &[&'static str]| {
        [
            ("StringEquals", said(by)),
            (
                "ForAllValues:StringEquals",
                vec![(
                    "kms:GrantOperations",
                    operations.iter().map(|it| (*it).to_owned()).collect(),
                )],
            ),
            (
                "Bool",
                vec![("kms:GrantIsForAWSResource", vec!["true".to_owned()])],
            ),
        ]
    };
    let elsewhere = [("Bool", vec![("kms:ReEncryptOnSameKey", vec!["false".to_owned()])])];
    let owner = [
        "kms:DescribeKey",
        "kms:ListGrants",
        "kms:RevokeGrant",
        "kms:GetKeyPolicy",
    ];
    vec![
        statement(
            "Allow creation of decryption grants",
            "Allow",
            "*",
            &["kms:CreateGrant"],
            &granting(&["Decrypt"]),
        ),
        statement(
            "Allow creation of encryption grant",
            "Allow",
            "*",
            &["kms:CreateGrant"],
            &granting(&["Encrypt", "ReEncryptFrom", "ReEncryptTo"]),
        ),
        statement(
            "Allowed operations for the key owner",
            "Allow",
            "*",
            &owner,
            &[("StringEquals", said(&by[..1]))],
        ),
        statement(
            "Deny re-encryption to any other key",
            "Deny",
            "*",
            &["kms:ReEncrypt*"],
            &elsewhere,
        ),
        statement(
            "Allow decrypt",
            "Allow",
            "*",
            &["kms:Decrypt"],
            &[("StringEquals", said(by))],
        ),
    ]
}

/// A condition key and its values.
type Said<'a> = (&'a str, Vec<String>);

fn said<'a>(pairs: &[(&'a str, String)]) -> Vec<Said<'a>> {
    pairs
        .iter()
        .map(|(key, value)| (*key, vec![value.clone()]))
        .collect()
}

/// One value bare, several in a list, as AWS writes them.
fn listed<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = values.into_iter().map(|value| format!("\"{value}\"")).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        several => format!("[ {} ]", several.join(", ")),
    }
}

fn statement(
    sid: &str,
    effect: &str,
    principal: &str,
    actions: &[&str],
    conditions: &[(&str, Vec<Said<'_>>)],
) -> String {
    let actions = listed(actions.iter().copied());
    let mut out = format!(
        "{{\n    \"Sid\" : \"{sid}\",\n    \"Effect\" : \"{effect}\",\n    \"Principal\" : {{\n      \"AWS\" : \
         \"{principal}\"\n    }},\n    \"Action\" : {actions},\n    \"Resource\" : \"*\""
    );
    let operators: Vec<String> = conditions
        .iter()
        .map(|(operator, keys)| {
            let keys: Vec<String> = keys
                .iter()
                .map(|(key, values)| {
                    format!(
                        "        \"{key}\" : {}",
                        listed(values.iter().map(String::as_str))
                    )
                })
                .collect();
            format!("      \"{operator}\" : {{\n{}\n      }}", keys.join(",\n"))
        })
        .collect();
    if !operators.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            ",\n    \"Condition\" : {{\n{}\n    }}",
            operators.join(",\n")
        );
    }
    out.push_str("\n  }");
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    #[test]
    fn aliases_are_reserved_unique_and_in_order() {
        let aliases: Vec<AliasName> = MANAGED.iter().map(Managed::alias).collect();
        assert!(aliases.is_sorted() && aliases.iter().all(|it| it.as_str().starts_with("alias/aws/")));
        for (alias, managed) in aliases.iter().zip(MANAGED) {
            assert_eq!(Managed::of(alias), Some(managed));
        }
        assert_eq!(
            Managed::of(&AliasName::sought("alias/aws/nothing").unwrap()),
            None
        );
    }

    #[test]
    fn every_policy_is_one_and_none_lets_anyone_manage() {
        for managed in MANAGED {
            let policy = managed.policy(account(), &Region::us_east_1());
            policy.attached(account()).unwrap();
            let text: serde_json::Value =
                serde_json::from_str(&policy.text_with(account(), &BTreeMap::new())).unwrap();
            assert_eq!(text["Id"], managed.id);
            for word in [
                "kms:*", "Put", "Disable", "Schedule", "Tag", "Update", "Import", "Rotat",
            ] {
                assert!(
                    !text["Statement"].to_string().contains(word),
                    "{} {word}",
                    managed.alias
                );
            }
        }
    }

    #[test]
    fn the_policy_reads_as_published() {
        let s3 = Managed::of(&AliasName::sought("alias/aws/s3").unwrap()).unwrap();
        let text = s3
            .policy(account(), &Region::us_east_1())
            .text_with(account(), &BTreeMap::new());
        let expected = r#"{
  "Version" : "2012-10-17",
  "Id" : "auto-s3-2",
  "Statement" : [ {
    "Sid" : "Allow access through S3 for all principals in the account that are authorized to use S3",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "*"
    },
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {
      "StringEquals" : {
        "kms:CallerAccount" : "111122223333",
        "kms:ViaService" : "s3.us-east-1.amazonaws.com"
      }
    }
  }, {
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:root"
    },
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*" ],
    "Resource" : "*"
  } ]
}"#;
        assert_eq!(text, expected);
    }
}
