//! A provider's response: one assertion, proven to be the provider's, meant
//! for AWS, and of now.
//!
//! Invariants:
//! - the document holds one assertion, inside the response it is read from, so
//!   that what is proven and what is read cannot be two;
//! - a signature counts for the response or for the assertion; one elsewhere,
//!   and one that proves nothing, refuses the whole.
//!
//! Absent by design: encrypted assertions, comments and processing
//! instructions; `InResponseTo`, since nobody asked here.
//!
//! Sources: SAML 2.0 Core; IAM User Guide, "Configure SAML assertions for the
//! authentication response".

use std::time::Duration;

use ground::Timestamp;
use roxmltree::{Document, Node, NodeType};

use super::{ASSERTION, Attribute, Metadata, PROTOCOL, SIGNATURE, signature};
use crate::xml::{self, children, only, text};

/// How far the provider's clock may be from ours. AWS's own allowance is not
/// published; this is that of signatures.
const SKEW: Duration = Duration::from_secs(300);
/// For how long after its issue a response may be used (STS API Reference,
/// AssumeRoleWithSAML).
const USABLE_FOR: Duration = Duration::from_secs(300);

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";

/// What a response vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// Its `ID`.
    pub id: String,
    /// The provider, as its metadata names it.
    pub issuer: String,
    /// Who was authenticated: the `NameID`.
    pub subject: String,
    /// The format of the `NameID`, without the prefix of SAML 2.0's own: `persistent`.
    pub subject_type: String,
    /// The sign-in address it was made for.
    pub recipient: String,
    /// When the provider's own session ends.
    pub session_ends: Option<Timestamp>,
    /// What else is said of the subject.
    pub attributes: Vec<Attribute>,
}

/// Why a response is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// It is for someone else.
    #[error("The assertion is not for AWS: audience or recipient is another")]
    Audience,
    /// Its assertion is encrypted.
    #[error("Encrypted assertions are not supported")]
    Encrypted,
    /// Its time is over.
    #[error("Token must be redeemed within 5 minutes of issuance")]
    Expired,
    /// It is from another provider.
    #[error("Issuer not present in specified provider")]
    Issuer,
    /// It is no response with one assertion about one subject.
    #[error("Invalid SAML response: {0}")]
    Malformed(&'static str),
    /// It is not yet good.
    #[error("The assertion is not yet valid")]
    NotYet,
    /// The provider did not sign it as it stands.
    #[error("Response signature invalid")]
    Signature,
    /// The provider says that it authenticated nobody.
    #[error("The response does not tell success")]
    Status,
}

impl Assertion {
    /// Reads and proves a response at `now`, from the provider of `metadata`.
    ///
    /// # Errors
    ///
    /// [`BadResponse`] if it is not what the provider signed for AWS and for now.
    pub fn prove(response: &str, metadata: &Metadata, now: Timestamp) -> Result<Assertion, BadResponse> {
        let document = xml::parse(response).map_err(|_| malformed("not well-formed XML without a DTD"))?;
        let response = response_of(&document)?;
        let assertion = assertion_of(&document, response)?;
        let issuer = text(only(assertion, ASSERTION, "Issuer").ok_or(malformed("no Issuer"))?);
        if issuer.as_deref() != Some(metadata.entity_id.as_str()) {
            return Err(BadResponse::Issuer);
        }
        if children(response, ASSERTION, "Issuer")
            .any(|issuer| text(issuer).as_deref() != Some(&metadata.entity_id))
        {
            return Err(BadResponse::Issuer);
        }
        prove_signatures(&document, response, assertion, metadata)?;

        let status = only(response, PROTOCOL, "Status")
            .and_then(|status| only(status, PROTOCOL, "StatusCode"))
            .and_then(|code| code.attribute("Value"));
        if status != Some(SUCCESS) {
            return Err(BadResponse::Status);
        }
        let issued = date(assertion, "IssueInstant")?.ok_or(malformed("no IssueInstant"))?;
        if issued > now.after(SKEW) {
            return Err(BadResponse::NotYet);
        }
        if now > issued.after(USABLE_FOR) {
            return Err(BadResponse::Expired);
        }
        check_conditions(assertion, now)?;
        let (subject, subject_type) = name_of(assertion)?;
        let recipient = confirmed_recipient(assertion, now)?;
        let session_ends = children(assertion, ASSERTION, "AuthnStatement")
            .map(|statement| date(statement, "SessionNotOnOrAfter"))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Assertion {
            id: assertion.attribute("ID").unwrap_or_default().to_owned(),
            issuer: metadata.entity_id.clone(),
            subject,
            subject_type,
            recipient,
            session_ends: session_ends.into_iter().flatten().min(),
            attributes: attributes_of(assertion)?,
        })
    }

    /// The values of an attribute; none if it is not there.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |attribute| attribute.name == name)
            .flat_map(|attribute| attribute.values.iter().map(String::as_str))
    }
}

fn malformed(why: &'static str) -> BadResponse {
    BadResponse::Malformed(why)
}

fn response_of<'a, 'input>(document: &'a Document<'input>) -> Result<Node<'a, 'input>, BadResponse> {
    let plain = |node: Node<'_, '_>| !matches!(node.node_type(), NodeType::Comment | NodeType::PI);
    if !document.descendants().all(plain) {
        return Err(malformed("a comment or processing instruction"));
    }
    let response = document.root_element();
    if !response.has_tag_name((PROTOCOL, "Response")) || response.attribute("Version") != Some("2.0") {
        return Err(malformed("no Response of version 2.0"));
    }
    Ok(response)
}

/// The one assertion, wherever there might be others.
fn assertion_of<'a, 'input>(
    document: &'a Document<'input>,
    response: Node<'a, 'input>,
) -> Result<Node<'a, 'input>, BadResponse> {
    let named = |name: &'static str| {
        document
            .descendants()
            .filter(move |node| node.is_element() && node.tag_name().name() == name)
    };
    if named("EncryptedAssertion")
        .chain(named("EncryptedID"))
        .next()
        .is_some()
    {
        return Err(BadResponse::Encrypted);
    }
    if named("Assertion").count() != 1 || named("Response").count() != 1 {
        return Err(malformed("not exactly one Assertion"));
    }
    let assertion =
        only(response, ASSERTION, "Assertion").ok_or(malformed("no Assertion in the Response"))?;
    if assertion.attribute("Version") != Some("2.0") {
        return Err(malformed("no Assertion of version 2.0"));
    }
    Ok(assertion)
}

/// The response, the assertion or both are signed; nothing else is.
fn prove_signatures(
    document: &Document<'_>,
    response: Node<'_, '_>,
    assertion: Node<'_, '_>,
    metadata: &Metadata,
) -> Result<(), BadResponse> {
    let signed: Vec<_> = [response, assertion]
        .into_iter()
        .filter(|element| signature::is_signed(*element))
        .collect();
    let signatures = document
        .descendants()
        .filter(|node| node.has_tag_name((SIGNATURE, "Signature")))
        .count();
    if signed.is_empty() || signatures != signed.len() {
        return Err(BadResponse::Signature);
    }
    for element in signed {
        signature::prove(element, &metadata.keys).map_err(|_| BadResponse::Signature)?;
    }
    Ok(())
}

fn check_conditions(assertion: Node<'_, '_>, now: Timestamp) -> Result<(), BadResponse> {
    let conditions =
        only(assertion, ASSERTION, "Conditions").ok_or(malformed("not exactly one Conditions"))?;
    in_time(conditions, now)?;
    let mut restrictions = children(conditions, ASSERTION, "AudienceRestriction").peekable();
    if restrictions.peek().is_none() {
        return Err(BadResponse::Audience);
    }
    // Every restriction binds; within one, any audience will do (SAML 2.0 Core, 2.5.1.4).
    let is_ours = |audience: Node<'_, '_>| text(audience).is_some_and(|name| is_aws(&name));
    if restrictions.all(|one| children(one, ASSERTION, "Audience").any(is_ours)) {
        Ok(())
    } else {
        Err(BadResponse::Audience)
    }
}

/// Who the assertion is about.
fn name_of(assertion: Node<'_, '_>) -> Result<(String, String), BadResponse> {
    const OWN_FORMATS: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:";
    let name = only(assertion, ASSERTION, "Subject")
        .and_then(|subject| only(subject, ASSERTION, "NameID"))
        .ok_or(malformed("not exactly one NameID"))?;
    let subject = text(name)
        .filter(|subject| !subject.is_empty())
        .ok_or(malformed("an empty NameID"))?;
    let format = name
        .attribute("Format")
        .unwrap_or("urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified");
    let short = format.strip_prefix(OWN_FORMATS).unwrap_or(format);
    Ok((subject, short.to_owned()))
}

/// The recipient of the one bearer confirmation, which must be of now.
fn confirmed_recipient(assertion: Node<'_, '_>, now: Timestamp) -> Result<String, BadResponse> {
    let confirmation = only(assertion, ASSERTION, "Subject")
        .and_then(|subject| only(subject, ASSERTION, "SubjectConfirmation"))
        .filter(|confirmation| confirmation.attribute("Method") == Some(BEARER))
        .ok_or(malformed("not exactly one bearer SubjectConfirmation"))?;
    let data = only(confirmation, ASSERTION, "SubjectConfirmationData")
        .ok_or(malformed("not exactly one SubjectConfirmationData"))?;
    if data.attribute("NotOnOrAfter").is_none() {
        return Err(malformed("no NotOnOrAfter in SubjectConfirmationData"));
    }
    in_time(data, now)?;
    let recipient = data
        .attribute("Recipient")
        .ok_or(malformed("no Recipient in SubjectConfirmationData"))?;
    if !is_sign_in(recipient) {
        return Err(BadResponse::Audience);
    }
    Ok(recipient.to_owned())
}

/// Holds `NotBefore` and `NotOnOrAfter` of an element against the time.
fn in_time(element: Node<'_, '_>, now: Timestamp) -> Result<(), BadResponse> {
    if date(element, "NotBefore")?.is_some_and(|begins| now.after(SKEW) < begins) {
        return Err(BadResponse::NotYet);
    }
    if date(element, "NotOnOrAfter")?.is_some_and(|ends| now >= ends) {
        return Err(BadResponse::Expired);
    }
    Ok(())
}

fn date(element: Node<'_, '_>, name: &str) -> Result<Option<Timestamp>, BadResponse> {
    element
        .attribute(name)
        .map(|text| Timestamp::parse_iso8601(text).map_err(|_| malformed("a date cannot be read")))
        .transpose()
}

fn attributes_of(assertion: Node<'_, '_>) -> Result<Vec<Attribute>, BadResponse> {
    let mut attributes: Vec<Attribute> = Vec::new();
    for statement in children(assertion, ASSERTION, "AttributeStatement") {
        for attribute in children(statement, ASSERTION, "Attribute") {
            let name = attribute
                .attribute("Name")
                .ok_or(malformed("an Attribute without Name"))?;
            let values = children(attribute, ASSERTION, "AttributeValue")
                // What holds elements of its own is no text, and none of ours.
                .filter_map(text)
                .collect();
            attributes.push(Attribute {
                name: name.to_owned(),
                values,
            });
        }
    }
    Ok(attributes)
}

/// Whether an audience is AWS.
fn is_aws(audience: &str) -> bool {
    audience == "urn:amazon:webservices" || is_sign_in(audience)
}

/// Whether an address is one where AWS takes responses: global or regional.
fn is_sign_in(url: &str) -> bool {
    let Some(host) = url
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_suffix("/saml"))
    else {
        return false;
    };
    match host.strip_suffix("signin.aws.amazon.com") {
        Some("") => true,
        Some(region) => region
            .strip_suffix('.')
            .is_some_and(|region| ground::Region::parse(region).is_ok()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_awss_addresses_are_awss() {
        for good in [
            "https://signin.aws.amazon.com/saml",
            "https://eu-central-1.signin.aws.amazon.com/saml",
        ] {
            assert!(is_sign_in(good) && is_aws(good), "{good}");
        }
        assert!(is_aws("urn:amazon:webservices") && !is_sign_in("urn:amazon:webservices"));
        for bad in [
            "http://signin.aws.amazon.com/saml",
            "https://signin.aws.amazon.com/saml/",
            "https://evil.example/signin.aws.amazon.com/saml",
            "https://evil.example#.signin.aws.amazon.com/saml",
            "https://evilsignin.aws.amazon.com/saml",
            "https://.signin.aws.amazon.com/saml",
            "",
        ] {
            assert!(!is_aws(bad), "{bad}");
        }
    }
}
