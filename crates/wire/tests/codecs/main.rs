//! Codecs against botocore, against strangers' bytes, and against AWS's words.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

mod answers;
mod bad_input;
mod botocore;
mod canonical;
mod depth;
mod manners;
mod operations;
mod total;

use shape::ServiceShape;

/// Every generated API.
const SERVICES: &[&ServiceShape] = &[
    &kms_api::SERVICE,
    &iam_api::SERVICE,
    &sts_api::SERVICE,
    &s3_api::SERVICE,
    &guardduty_api::SERVICE,
    &ec2_api::SERVICE,
];
