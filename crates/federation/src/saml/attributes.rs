//! Attributes of an assertion, and the condition keys that AWS makes of them.
//!
//! Source: IAM User Guide, "Configure SAML assertions for the authentication
//! response", "Mapping SAML attributes to AWS trust policy context keys".

/// An attribute and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// `https://aws.amazon.com/SAML/Attributes/Role`
    pub name: String,
    /// In the order given.
    pub values: Vec<String>,
}

/// The condition key that tells an attribute's values, if it is one of those
/// that AWS knows, and whether it may have several.
pub fn condition_key(attribute: &str) -> Option<(&'static str, bool)> {
    KEYS.iter()
        .find(|(name, ..)| *name == attribute)
        .map(|(_, key, many)| (*key, *many))
}

const KEYS: &[(&str, &str, bool)] = &[
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.1",
        "saml:eduPersonAffiliation",
        true,
    ),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.2", "saml:eduPersonNickname", true),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.3", "saml:eduPersonOrgDN", false),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.4",
        "saml:eduPersonOrgUnitDN",
        true,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.5",
        "saml:eduPersonPrimaryAffiliation",
        false,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.6",
        "saml:eduPersonPrincipalName",
        false,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.7",
        "saml:eduPersonEntitlement",
        true,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.8",
        "saml:eduPersonPrimaryOrgUnitDN",
        false,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.9",
        "saml:eduPersonScopedAffiliation",
        true,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.10",
        "saml:eduPersonTargetedID",
        true,
    ),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.11",
        "saml:eduPersonAssurance",
        true,
    ),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.2", "saml:eduOrgHomePageURI", true),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.2.1.3",
        "saml:eduOrgIdentityAuthNPolicyURI",
        true,
    ),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.4", "saml:eduOrgLegalName", true),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.5", "saml:eduOrgSuperiorURI", true),
    (
        "urn:oid:1.3.6.1.4.1.5923.1.2.1.6",
        "saml:eduOrgWhitePagesURI",
        true,
    ),
    ("urn:oid:2.5.4.3", "saml:cn", true),
    (
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
        "saml:name",
        false,
    ),
    (
        "http://schemas.xmlsoap.org/claims/CommonName",
        "saml:commonName",
        false,
    ),
    (
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
        "saml:givenName",
        false,
    ),
    (
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
        "saml:surname",
        false,
    ),
    (
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "saml:mail",
        false,
    ),
    ("urn:oid:2.5.4.4", "saml:surname", false),
    ("urn:oid:2.5.4.42", "saml:givenName", false),
    ("urn:oid:2.5.4.45", "saml:x500UniqueIdentifier", false),
    ("urn:oid:0.9.2342.19200300.100.1.1", "saml:uid", false),
    ("urn:oid:0.9.2342.19200300.100.1.3", "saml:mail", false),
    (
        "urn:oid:0.9.2342.19200300.100.1.45",
        "saml:organizationStatus",
        false,
    ),
];
