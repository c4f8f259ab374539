//! Policies and tags that a session is made with.

use gate::Cx;
use policy::{Document, DocumentKind};
use sts_api::PolicyDescriptorType;

use crate::access::policy_arn;
use crate::error::Error;
use crate::limits::{PACKED_SESSION_MAX, SESSION_POLICY_ARNS_MAX, SESSION_POLICY_PLAIN_MAX};
use crate::model::Tag;
use crate::store::Rows;
use crate::sts::token::SessionPolicies;

/// Reads the policies passed. `None` if none were: then the session may do
/// whatever its role may.
///
/// # Errors
///
/// [`Error::Malformed`] for a document that is no session policy,
/// [`Error::Validation`] beyond 2,048 characters or ten ARNs, and for a
/// managed policy that does not exist in the session's account.
pub(crate) async fn read(
    rows: &Rows<'_>,
    inline: Option<String>,
    arns: Option<Vec<PolicyDescriptorType>>,
) -> Result<Option<SessionPolicies>, Error> {
    let arns: Vec<String> = arns
        .unwrap_or_default()
        .into_iter()
        .filter_map(|descriptor| descriptor.arn)
        .collect();
    let inline = inline.filter(|text| !text.is_empty());
    if inline.is_none() && arns.is_empty() {
        return Ok(None);
    }
    if arns.len() > SESSION_POLICY_ARNS_MAX {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length \
             less than or equal to {SESSION_POLICY_ARNS_MAX}"
        )));
    }
    let plain = inline
        .iter()
        .chain(&arns)
        .map(|text| text.chars().count())
        .sum::<usize>();
    if plain > SESSION_POLICY_PLAIN_MAX {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less \
             than or equal to {SESSION_POLICY_PLAIN_MAX}"
        )));
    }
    if let Some(text) = &inline {
        Document::parse(text, DocumentKind::Session)?;
    }
    for arn in &arns {
        let parsed = policy_arn(arn)?;
        if rows.policy(&parsed).await?.is_none() {
            return Err(Error::Validation(format!(
                "Policy {arn} does not exist or is not attachable."
            )));
        }
    }
    Ok(Some(SessionPolicies { inline, arns }))
}

/// How full the space for policies and tags is, in percent, rounded up;
/// `None` if there is neither.
///
/// # Errors
///
/// [`Error::PackedPolicyTooLarge`] above one hundred.
pub(crate) fn packed_percent(policies: Option<&SessionPolicies>, tags: &[Tag]) -> Result<Option<i32>, Error> {
    if policies.is_none() && tags.is_empty() {
        return Ok(None);
    }
    let of_policies = policies.map_or(0, |policies| {
        let inline = policies
            .inline
            .as_deref()
            .map_or(0, Document::size_without_white_space);
        inline + policies.arns.iter().map(String::len).sum::<usize>()
    });
    let of_tags = tags
        .iter()
        .map(|tag| tag.key.len() + tag.value.len())
        .sum::<usize>();
    let percent = (100 * (of_policies + of_tags)).div_ceil(PACKED_SESSION_MAX);
    if percent > 100 {
        let what = if of_tags > of_policies { "tags" } else { "policies" };
        return Err(Error::PackedPolicyTooLarge { what, percent });
    }
    Ok(i32::try_from(percent).ok())
}

/// The fewest characters a token shall have.
pub(crate) fn token_length_min(asked: Option<i32>) -> usize {
    asked.and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}

/// Whether the caller's credentials are temporary.
pub(crate) fn is_session(cx: &Cx) -> bool {
    cx.caller().session.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_space_is_counted_and_bounded() {
        assert_eq!(packed_percent(None, &[]).unwrap(), None);
        let policies = SessionPolicies {
            inline: Some("{ \"a\" }".into()),
            arns: vec![],
        };
        assert_eq!(packed_percent(Some(&policies), &[]).unwrap(), Some(1));
        let tag = |length: usize| Tag {
            key: "k".into(),
            value: "v".repeat(length - 1),
        };
        assert_eq!(
            packed_percent(None, &[tag(PACKED_SESSION_MAX)]).unwrap(),
            Some(100)
        );
        let error = packed_percent(None, &[tag(PACKED_SESSION_MAX + 1)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Packed size of session tags consumes 101% of allotted space."
        );
    }
}
