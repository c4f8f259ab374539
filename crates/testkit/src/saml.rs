//! A real SAML identity provider: metadata, and responses that it signs.
//!
//! What is signed is spelled in its canonical form here, by hand: the code
//! under test canonicalizes by itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot have its provider fails here"
)]

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};
use ground::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::PrivatePkcs8KeyDer;

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// A provider with a key and a certificate.
pub struct SamlProvider {
    /// What it calls itself.
    pub entity_id: String,
    key: BackingKey,
    certificate: String,
}

/// What a response says; the default is good.
#[derive(Clone)]
pub struct Response {
    /// `ID` of the assertion.
    pub id: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// Seconds until `NotOnOrAfter`.
    pub lasts_seconds: i64,
    /// The `Issuer` of the assertion.
    pub issuer: Option<String>,
    /// The audience.
    pub audience: String,
    /// The recipient.
    pub recipient: String,
    /// The `NameID`, already XML.
    pub subject: String,
    /// The status.
    pub status: String,
    /// `SessionNotOnOrAfter`, if any.
    pub session_ends: Option<Timestamp>,
    /// Names and values, already XML.
    pub attributes: Vec<(String, Vec<String>)>,
    /// Whether the response is signed in the place of the assertion.
    pub sign_response: bool,
}

impl Response {
    /// A good one, issued at `now`, about alice.
    pub fn new(now: Timestamp) -> Response {
        Response {
            id: "_assertion".to_owned(),
            issued: now,
            lasts_seconds: 300,
            issuer: None,
            audience: "https://signin.aws.amazon.com/saml".to_owned(),
            recipient: "https://signin.aws.amazon.com/saml".to_owned(),
            subject: "alice".to_owned(),
            status: "urn:oasis:names:tc:SAML:2.0:status:Success".to_owned(),
            session_ends: None,
            attributes: Vec::new(),
            sign_response: false,
        }
    }

    /// With an attribute of AWS's.
    #[must_use]
    pub fn with(mut self, name: &str, values: &[&str]) -> Response {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.attributes
            .push((format!("https://aws.amazon.com/SAML/Attributes/{name}"), values));
        self
    }
}

impl SamlProvider {
    /// A new one with an RSA key.
    pub fn new(entity_id: &str) -> SamlProvider {
        let key = BackingKey::generate(KeySpec::Rsa2048, &crypto::Random::system()).unwrap();
        let pkcs8 = PrivatePkcs8KeyDer::from(key.to_bytes().unwrap().expose().clone());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_RSA_SHA256).unwrap();
        let certificate = CertificateParams::new(Vec::new())
            .unwrap()
            .self_signed(&pair)
            .unwrap();
        SamlProvider {
            entity_id: entity_id.to_owned(),
            certificate: STANDARD.encode(certificate.der()),
            key,
        }
    }

    /// Its metadata.
    pub fn metadata(&self) -> String {
        format!(
            "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{}\"><md:IDPSSODescriptor \
             protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><md:KeyDescriptor use=\"signing\">\
             <ds:KeyInfo xmlns:ds=\"{DSIG}\"><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data>\
             </ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService \
             Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
             Location=\"https://idp.example.com/sso\"/></md:IDPSSODescriptor></md:EntityDescriptor>",
            self.entity_id, self.certificate
        )
    }

    /// A signed response, as XML.
    pub fn respond(&self, response: &Response) -> String {
        let assertion = self.assertion(response);
        let assertion = if response.sign_response {
            assertion.replace("{signature}", "")
        } else {
            self.signed(&assertion, &response.id)
        };
        let whole = format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"_response\" \
             IssueInstant=\"{}\" Version=\"2.0\"><saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{}\
             </saml:Issuer>{{signature}}<samlp:Status><samlp:StatusCode Value=\"{}\"></samlp:StatusCode></samlp:Status>\
             {assertion}</samlp:Response>",
            response.issued.iso8601_seconds(),
            response.issuer.as_ref().unwrap_or(&self.entity_id),
            response.status,
        );
        if response.sign_response {
            self.signed(&whole, "_response")
        } else {
            whole.replace("{signature}", "")
        }
    }

    /// The assertion in canonical form, with `{signature}` where its signature goes.
    fn assertion(&self, response: &Response) -> String {
        let issued = response.issued.iso8601_seconds();
        let ends =
            Timestamp::from_seconds(response.issued.seconds() + response.lasts_seconds).iso8601_seconds();
        let session = response.session_ends.map_or_else(String::new, |ends| {
            format!(" SessionNotOnOrAfter=\"{}\"", ends.iso8601_seconds())
        });
        let mut attributes = String::new();
        for (name, values) in &response.attributes {
            let _ = write!(attributes, "<saml:Attribute Name=\"{name}\">");
            for value in values {
                let _ = write!(attributes, "<saml:AttributeValue>{value}</saml:AttributeValue>");
            }
            attributes.push_str("</saml:Attribute>");
        }
        format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" IssueInstant=\"{issued}\" \
             Version=\"2.0\"><saml:Issuer>{issuer}</saml:Issuer>{{signature}}<saml:Subject><saml:NameID \
             Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">{subject}</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml:SubjectConfirmationData \
             NotOnOrAfter=\"{ends}\" Recipient=\"{recipient}\"></saml:SubjectConfirmationData>\
             </saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore=\"{issued}\" NotOnOrAfter=\"{ends}\">\
             <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>\
             </saml:Conditions><saml:AuthnStatement AuthnInstant=\"{issued}\"{session}></saml:AuthnStatement>\
             <saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>",
            id = response.id,
            issuer = response.issuer.as_ref().unwrap_or(&self.entity_id),
            subject = response.subject,
            recipient = response.recipient,
            audience = response.audience,
        )
    }

    /// The element with its signature in place.
    fn signed(&self, canonical: &str, id: &str) -> String {
        let digest = STANDARD.encode(crypto::sha256(&[canonical.replace("{signature}", "").as_bytes()]));
        let inner = format!(
            "<ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod><ds:SignatureMethod \
             Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod><ds:Reference \
             URI=\"#{id}\"><ds:Transforms><ds:Transform Algorithm=\"{DSIG}enveloped-signature\"></ds:Transform>\
             <ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform></ds:Transforms><ds:DigestMethod \
             Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod><ds:DigestValue>{digest}\
             </ds:DigestValue></ds:Reference></ds:SignedInfo>"
        );
        let signed_info = format!("<ds:SignedInfo xmlns:ds=\"{DSIG}\">{inner}");
        let value = self
            .key
            .sign(
                SigningAlgorithm::RsassaPkcs1V15Sha256,
                MessageType::Raw,
                signed_info.as_bytes(),
            )
            .unwrap();
        let signature = format!(
            "<ds:Signature xmlns:ds=\"{DSIG}\"><ds:SignedInfo>{inner}<ds:SignatureValue>{}</ds:SignatureValue>\
             <ds:KeyInfo></ds:KeyInfo></ds:Signature>",
            STANDARD.encode(value)
        );
        canonical.replace("{signature}", &signature)
    }
}

/// As it is posted.
pub fn posted(response: &str) -> String {
    STANDARD.encode(response)
}
