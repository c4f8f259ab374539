//! Managed policies of AWS that can be attached here.
//!
//! Their documents are written here after what AWS documents each to grant
//! ("AWS Managed Policy Reference"), within the services that this program
//! implements; ids and dates are ours. There is one version of each.
//!
//! Absent by design: every other policy of AWS. To attach one fails, rather
//! than grant nothing under a name that promises something.

use std::sync::{Arc, OnceLock};

use ground::{Timestamp, id};
use policy::{Document, DocumentKind};
use store::StoreError;

/// The one version of each.
pub(crate) const VERSION: &str = "v1";

/// When AWS made the first of them: 2015-02-06T18:39:46Z.
pub(crate) const CREATED: Timestamp = Timestamp(1_423_247_986_000);

/// A managed policy of AWS.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) description: &'static str,
    pub(crate) document: &'static str,
    parsed: OnceLock<Arc<Document>>,
}

impl Policy {
    const fn new(
        name: &'static str,
        path: &'static str,
        description: &'static str,
        document: &'static str,
    ) -> Policy {
        Policy {
            name,
            path,
            description,
            document,
            parsed: OnceLock::new(),
        }
    }

    /// `arn:aws:iam::aws:policy/PATH/NAME`
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    /// `ANPA…`, the same on every machine.
    pub(crate) fn id(&self) -> String {
        let digest = crypto::sha256(&[self.arn().as_bytes()]);
        let mut bytes = [0; 17];
        bytes.copy_from_slice(&digest[..17]);
        id::entity_id("ANPA", bytes)
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadRecord`] if the document below is no policy, which a test excludes.
    pub(crate) fn parsed(&self) -> Result<Arc<Document>, StoreError> {
        if let Some(document) = self.parsed.get() {
            return Ok(Arc::clone(document));
        }
        let document = Document::parse(self.document, DocumentKind::Identity).map_err(|malformed| {
            StoreError::BadRecord {
                table: "policies of AWS",
                reason: malformed.to_string(),
            }
        })?;
        Ok(Arc::clone(self.parsed.get_or_init(|| Arc::new(document))))
    }
}

/// The policy of this path and name.
pub(crate) fn find(path: &str, name: &str) -> Option<&'static Policy> {
    POLICIES
        .iter()
        .find(|policy| policy.name == name && policy.path == path)
}

/// All of them, by name.
pub(crate) static POLICIES: [Policy; 13] = [
    Policy::new(
        "AdministratorAccess",
        "/",
        "Full access to all services and resources.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "AmazonS3FullAccess",
        "/",
        "Full access to all buckets.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "s3:*",
                "s3-object-lambda:*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "AmazonS3ReadOnlyAccess",
        "/",
        "Read access to all buckets.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "s3:Describe*",
                "s3:Get*",
                "s3:List*",
                "s3-object-lambda:Get*",
                "s3-object-lambda:List*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "AmazonSSMReadOnlyAccess",
        "/",
        "Read access to Systems Manager.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ssm:Describe*",
                "ssm:Get*",
                "ssm:List*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "AWSDenyAll",
        "/",
        "Denies everything.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "DenyAll",
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "AWSKeyManagementServicePowerUser",
        "/",
        "Making and listing KMS keys and aliases; their use is up to key policies.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "kms:CreateAlias",
                "kms:CreateKey",
                "kms:DeleteAlias",
                "kms:Describe*",
                "kms:GenerateRandom",
                "kms:Get*",
                "kms:List*",
                "kms:TagResource",
                "kms:UntagResource",
                "iam:ListGroups",
                "iam:ListRoles",
                "iam:ListUsers"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "AWSLambdaBasicExecutionRole",
        "/service-role/",
        "Writing of logs, for functions.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:PutLogEvents"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "IAMFullAccess",
        "/",
        "Full access to IAM.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:*",
                "organizations:DescribeAccount",
                "organizations:DescribeOrganization",
                "organizations:DescribeOrganizationalUnit",
                "organizations:DescribePolicy",
                "organizations:ListChildren",
                "organizations:ListParents",
                "organizations:ListPolicies",
                "organizations:ListPoliciesForTarget",
                "organizations:ListRoots",
                "organizations:ListTargetsForPolicy"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "IAMReadOnlyAccess",
        "/",
        "Read access to IAM.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "IAMUserChangePassword",
        "/",
        "A user's own password.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:ChangePassword"
            ],
            "Resource": [
                "arn:aws:iam::*:user/${aws:username}"
            ]
        },
        {
            "Effect": "Allow",
            "Action": [
                "iam:GetAccountPasswordPolicy"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "PowerUserAccess",
        "/",
        "Full access to everything but the management of users, roles, groups and the organisation.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "NotAction": [
                "iam:*",
                "organizations:*",
                "account:*"
            ],
            "Resource": "*"
        },
        {
            "Effect": "Allow",
            "Action": [
                "account:GetAccountInformation",
                "account:GetPrimaryEmail",
                "account:ListRegions",
                "iam:CreateServiceLinkedRole",
                "iam:DeleteServiceLinkedRole",
                "iam:ListRoles",
                "organizations:DescribeEffectivePolicy",
                "organizations:DescribeOrganization"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "ReadOnlyAccess",
        "/",
        "Read access to the services that are implemented here. Values of secrets are not among it.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "acm:Describe*",
                "acm:Get*",
                "acm:List*",
                "acm-pca:Describe*",
                "acm-pca:Get*",
                "acm-pca:List*",
                "cloudhsm:Describe*",
                "cloudhsm:List*",
                "cloudtrail:Describe*",
                "cloudtrail:Get*",
                "cloudtrail:List*",
                "cloudtrail:LookupEvents",
                "config:Describe*",
                "config:Get*",
                "config:List*",
                "ec2:Describe*",
                "ec2:Get*",
                "events:Describe*",
                "events:List*",
                "events:Test*",
                "fms:Get*",
                "fms:List*",
                "guardduty:Describe*",
                "guardduty:Get*",
                "guardduty:List*",
                "iam:Generate*",
                "iam:Get*",
                "iam:List*",
                "iam:Simulate*",
                "inspector2:BatchGet*",
                "inspector2:Describe*",
                "inspector2:Get*",
                "inspector2:List*",
                "kms:Describe*",
                "kms:Get*",
                "kms:List*",
                "lambda:Get*",
                "lambda:List*",
                "macie2:BatchGetCustomDataIdentifiers",
                "macie2:Describe*",
                "macie2:Get*",
                "macie2:List*",
                "organizations:Describe*",
                "organizations:List*",
                "s3:DescribeJob",
                "s3:Get*",
                "s3:List*",
                "secretsmanager:Describe*",
                "secretsmanager:GetResourcePolicy",
                "secretsmanager:List*",
                "shield:Describe*",
                "shield:Get*",
                "shield:List*",
                "sns:Check*",
                "sns:Get*",
                "sns:List*",
                "sqs:Get*",
                "sqs:List*",
                "sqs:Receive*",
                "ssm:Describe*",
                "ssm:Get*",
                "ssm:List*",
                "sts:GetAccessKeyInfo",
                "sts:GetCallerIdentity",
                "sts:GetSessionToken",
                "wafv2:CheckCapacity",
                "wafv2:Describe*",
                "wafv2:Get*",
                "wafv2:List*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
    Policy::new(
        "SecurityAudit",
        "/",
        "Read access to the security configuration of the services that are implemented here; no data.",
        r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "acm:DescribeCertificate",
                "acm:ListCertificates",
                "acm:ListTagsForCertificate",
                "acm-pca:DescribeCertificateAuthority",
                "acm-pca:GetPolicy",
                "acm-pca:ListCertificateAuthorities",
                "cloudhsm:DescribeBackups",
                "cloudhsm:DescribeClusters",
                "cloudtrail:Describe*",
                "cloudtrail:GetEventSelectors",
                "cloudtrail:GetInsightSelectors",
                "cloudtrail:GetTrail*",
                "cloudtrail:ListTags",
                "cloudtrail:ListTrails",
                "cloudtrail:LookupEvents",
                "config:Describe*",
                "config:Get*",
                "config:List*",
                "ec2:Describe*",
                "ec2:GetEbsEncryptionByDefault",
                "events:DescribeEventBus",
                "events:DescribeRule",
                "events:List*",
                "fms:Get*",
                "fms:List*",
                "guardduty:Describe*",
                "guardduty:Get*",
                "guardduty:List*",
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy",
                "inspector2:Describe*",
                "inspector2:Get*",
                "inspector2:List*",
                "kms:Describe*",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:List*",
                "lambda:GetFunctionConfiguration",
                "lambda:GetPolicy",
                "lambda:List*",
                "macie2:Describe*",
                "macie2:GetMacieSession",
                "macie2:List*",
                "organizations:Describe*",
                "organizations:List*",
                "s3:GetAccountPublicAccessBlock",
                "s3:GetBucket*",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListAllMyBuckets",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetResourcePolicy",
                "secretsmanager:ListSecretVersionIds",
                "secretsmanager:ListSecrets",
                "shield:Describe*",
                "shield:GetSubscriptionState",
                "shield:List*",
                "sns:GetTopicAttributes",
                "sns:List*",
                "sqs:GetQueueAttributes",
                "sqs:ListDeadLetterSourceQueues",
                "sqs:ListQueues",
                "sqs:ListQueueTags",
                "ssm:DescribeParameters",
                "ssm:GetServiceSetting",
                "ssm:ListTagsForResource",
                "wafv2:DescribeManagedRuleGroup",
                "wafv2:Get*",
                "wafv2:List*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fold;

    #[test]
    fn every_document_is_a_policy_and_names_are_sorted() {
        assert!(POLICIES.is_sorted_by_key(|policy| fold(policy.name)));
        for policy in &POLICIES {
            assert!(policy.parsed().is_ok(), "{}", policy.name);
            assert_eq!(policy.id().len(), 21);
            assert!(std::ptr::eq(find(policy.path, policy.name).unwrap(), policy));
        }
        assert!(find("/", "administratoraccess").is_none());
    }
}
