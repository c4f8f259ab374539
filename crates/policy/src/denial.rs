//! The text of a refusal, in AWS's words.
//!
//! What follows "because" tells the caller which kind of policy to look at.
//! Across accounts it is left out when the owner's side refused, unless both
//! belong to one organisation: a stranger must not learn what a foreign
//! resource's policy says, nor whether there is such a resource.
//!
//! Source: IAM User Guide, "Troubleshoot access denied error messages".

use std::fmt::Write as _;

use crate::decision::{Denial, PolicyType};
use crate::principal::Who;
use crate::request::Request;

/// The message of a refusal, without error code and full stop.
pub fn denial_text(request: &Request<'_>, denial: &Denial<'_>) -> String {
    let mut text = denial_text_without_reason(request);
    if matches!(
        request.principal.who(),
        Who::WebIdentity { .. } | Who::Saml { .. }
    ) || is_hidden(request, denial)
    {
        return text;
    }
    match denial {
        Denial::Implicit { policy_type, .. } => {
            let _ = write!(
                text,
                " because no {policy_type} allows the {} action",
                request.action
            );
        }
        Denial::Explicit { policy_type, ground } => {
            let article = match policy_type {
                PolicyType::Identity => "an",
                PolicyType::RoleTrust => "the",
                _ => "a",
            };
            let _ = write!(text, " with an explicit deny in {article} {policy_type}");
            let has_public_arn = !matches!(policy_type, PolicyType::Resource | PolicyType::RoleTrust);
            let shares = request.same_organization || !request.is_cross_account();
            if let (Some(arn), true, true) = (&ground.policy.arn, has_public_arn, shares) {
                let _ = write!(text, ": {arn}");
            }
        }
    }
    text
}

/// The message that tells no reason: the same for a resource that refuses and one that does not exist.
pub fn denial_text_without_reason(request: &Request<'_>) -> String {
    let Request { action, resource, .. } = request;
    let arn = request.principal.arn();
    if matches!(
        request.principal.who(),
        Who::WebIdentity { .. } | Who::Saml { .. }
    ) {
        return format!("Not authorized to perform {action}");
    }
    // S3 alone quotes the resource.
    if action.starts_with("s3:") {
        format!("User: {arn} is not authorized to perform: {action} on resource: \"{resource}\"")
    } else {
        format!("User: {arn} is not authorized to perform: {action} on resource: {resource}")
    }
}

fn is_hidden(request: &Request<'_>, denial: &Denial<'_>) -> bool {
    let by_owner = match denial.policy_type() {
        PolicyType::Resource | PolicyType::RoleTrust | PolicyType::ResourceControl => true,
        PolicyType::Identity
        | PolicyType::Boundary
        | PolicyType::Session
        | PolicyType::Endpoint
        | PolicyType::ServiceControl => false,
    };
    by_owner && request.is_cross_account() && !request.same_organization
}
