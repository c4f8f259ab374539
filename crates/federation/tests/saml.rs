//! Responses as a provider signs them, and as attackers change them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use federation::saml::{Assertion, BadMetadata, BadResponse, Metadata};
use ground::Timestamp;
use proptest::prelude::*;
use testkit::saml::{Response, SamlProvider};

const NOW: Timestamp = Timestamp(1_767_323_045_000);

fn provider() -> (SamlProvider, Metadata) {
    let provider = SamlProvider::new("https://idp.example.com/saml");
    let metadata = Metadata::parse(&provider.metadata()).unwrap();
    (provider, metadata)
}

fn prove(response: &str, metadata: &Metadata) -> Result<Assertion, BadResponse> {
    Assertion::prove(response, metadata, NOW)
}

#[test]
fn what_the_provider_signed_is_read() {
    let (provider, metadata) = provider();
    for sign_response in [false, true] {
        let response = Response {
            sign_response,
            session_ends: Some(Timestamp(NOW.0 + 60_000)),
            ..Response::new(NOW).with("Role", &["a,b", "c &amp; d"])
        };
        let read = prove(&provider.respond(&response), &metadata).unwrap();
        assert_eq!(read.subject, "alice");
        assert_eq!(read.subject_type, "persistent");
        assert_eq!(read.issuer, "https://idp.example.com/saml");
        assert_eq!(read.recipient, "https://signin.aws.amazon.com/saml");
        assert_eq!(read.session_ends, Some(Timestamp(NOW.0 + 60_000)));
        let roles: Vec<_> = read
            .values("https://aws.amazon.com/SAML/Attributes/Role")
            .collect();
        assert_eq!(roles, ["a,b", "c & d"]);
    }
}

#[test]
fn times_audience_status_and_issuer_are_checked() {
    let (provider, metadata) = provider();
    let good = Response::new(NOW);
    let at = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000);
    let cases = [
        (
            Response {
                issued: at(-300),
                lasts_seconds: 301,
                ..good.clone()
            },
            None,
        ),
        (
            Response {
                issued: at(-301),
                lasts_seconds: 900,
                ..good.clone()
            },
            Some(BadResponse::Expired),
        ),
        (
            Response {
                issued: at(-100),
                lasts_seconds: 100,
                ..good.clone()
            },
            Some(BadResponse::Expired),
        ),
        (
            Response {
                issued: at(300),
                ..good.clone()
            },
            None,
        ),
        (
            Response {
                issued: at(301),
                ..good.clone()
            },
            Some(BadResponse::NotYet),
        ),
        (
            Response {
                audience: "urn:amazon:webservices".into(),
                ..good.clone()
            },
            None,
        ),
        (
            Response {
                audience: "https://eu-west-1.signin.aws.amazon.com/saml".into(),
                ..good.clone()
            },
            None,
        ),
        (
            Response {
                audience: "https://other.example.com".into(),
                ..good.clone()
            },
            Some(BadResponse::Audience),
        ),
        (
            Response {
                recipient: "https://other.example.com".into(),
                ..good.clone()
            },
            Some(BadResponse::Audience),
        ),
        (
            Response {
                recipient: "urn:amazon:webservices".into(),
                ..good.clone()
            },
            Some(BadResponse::Audience),
        ),
        (
            Response {
                status: "urn:oasis:names:tc:SAML:2.0:status:Responder".into(),
                ..good.clone()
            },
            Some(BadResponse::Status),
        ),
        (
            Response {
                issuer: Some("https://other.example.com".into()),
                ..good.clone()
            },
            Some(BadResponse::Issuer),
        ),
        (
            Response {
                subject: String::new(),
                ..good.clone()
            },
            Some(BadResponse::Malformed("an empty NameID")),
        ),
    ];
    for (response, expected) in cases {
        let told = prove(&provider.respond(&response), &metadata).err();
        assert_eq!(told, expected);
    }
}

#[test]
fn what_nobody_signed_or_another_did_is_refused() {
    let (provider, metadata) = provider();
    // Of the same name, with another key.
    let (other, _) = self::provider();
    let signed = provider.respond(&Response::new(NOW));
    assert_eq!(
        prove(&other.respond(&Response::new(NOW)), &metadata),
        Err(BadResponse::Signature)
    );
    let start = signed.find("<ds:Signature ").unwrap();
    let end = signed.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let (signature, unsigned) = (&signed[start..end], signed.replace(&signed[start..end], ""));
    assert_eq!(prove(&unsigned, &metadata), Err(BadResponse::Signature));
    for (from, to) in [
        ("alice", "mallory"),
        ("rsa-sha256", "rsa-sha1"),
        ("rsa-sha256", "rsa-sha512"),
        ("rsa-sha256", "hmac-sha256"),
        ("xmlenc#sha256", "xmldsig#sha1"),
        ("xml-exc-c14n#", "xml-exc-c14n#WithComments"),
        ("#enveloped-signature", "#base64"),
        ("URI=\"#_assertion\"", "URI=\"\""),
        ("URI=\"#_assertion\"", "URI=\"#_response\""),
        ("URI=\"#_assertion\"", "URI=\"#xpointer(/)\""),
        ("<ds:KeyInfo>", "<ds:Object></ds:Object><ds:KeyInfo>"),
        (
            "</ds:Transforms>",
            "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform></ds:Transforms>",
        ),
        (
            "</ds:Reference>",
            "</ds:Reference><ds:Reference URI=\"\"></ds:Reference>",
        ),
    ] {
        let changed = signed.replace(from, to);
        assert_ne!(changed, signed, "{from}");
        assert!(prove(&changed, &metadata).is_err(), "{from} -> {to}");
    }
    // A signature beside the assertion proves nothing, nor do two in it.
    for place in ["<samlp:Status>", "</samlp:Response>", "</saml:Subject>"] {
        let moved = unsigned.replacen(place, &format!("{signature}{place}"), 1);
        assert!(prove(&moved, &metadata).is_err(), "{place}");
    }
    for place in ["<samlp:Status>", "</samlp:Response>", "<saml:Subject>"] {
        let doubled = signed.replacen(place, &format!("{signature}{place}"), 1);
        assert_eq!(prove(&doubled, &metadata), Err(BadResponse::Signature), "{place}");
    }
}

/// The ways of "On Breaking SAML: Be Whoever You Want to Be" (2012), and kin:
/// a signed assertion is kept somewhere, and another is to be read.
#[test]
fn a_wrapped_signature_proves_nothing() {
    let (provider, metadata) = provider();
    let signed = provider.respond(&Response::new(NOW));
    let start = signed.find("<saml:Assertion ").unwrap();
    let end = signed.find("</saml:Assertion>").unwrap() + "</saml:Assertion>".len();
    let original = &signed[start..end];
    let signature = {
        let start = original.find("<ds:Signature ").unwrap();
        let end = original.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        &original[start..end]
    };
    let bare = original.replace(signature, "");
    let evil = bare.replace("alice", "mallory").replace("_assertion", "_evil");
    let same_id = bare.replace("alice", "mallory");
    let around = |inside: &str| signed.replace(original, inside);
    let in_object = signature.replace(
        "<ds:KeyInfo>",
        &format!("<ds:Object>{original}</ds:Object><ds:KeyInfo>"),
    );
    let in_hint = signature.replace("<ds:KeyInfo>", &format!("<ds:KeyInfo>{bare}"));
    let attacks = [
        format!("{evil}{original}"),
        format!("{original}{evil}"),
        format!("<x>{original}</x>{evil}"),
        format!("<samlp:Extensions>{original}</samlp:Extensions>{evil}"),
        evil.replace("<saml:Subject>", &format!("{signature}<saml:Subject>")),
        same_id.replace("<saml:Subject>", &format!("{signature}<saml:Subject>")),
        same_id.replace("<saml:Subject>", &format!("{in_object}<saml:Subject>")),
        same_id.replace("<saml:Subject>", &format!("{in_hint}<saml:Subject>")),
        evil.replace("<saml:Subject>", &format!("{original}<saml:Subject>")),
        evil.replace(
            "</saml:Assertion>",
            &format!("<saml:Advice>{original}</saml:Advice></saml:Assertion>"),
        ),
        original.replace("<saml:Subject>", "<saml:Subject ID=\"_assertion\">"),
        original.replace("alice", "alice<!-- -->.evil"),
        original.replace("<saml:NameID", "<?pi x?><saml:NameID"),
        original.replace(
            "</saml:NameID>",
            "</saml:NameID><saml:NameID>mallory</saml:NameID>",
        ),
        format!("{original}<saml:EncryptedAssertion></saml:EncryptedAssertion>").replace(
            "<saml:EncryptedAssertion>",
            "<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">",
        ),
    ];
    for attack in attacks {
        let told = prove(&around(&attack), &metadata);
        assert!(told.is_err(), "{attack}");
    }
    let doctype = format!("<!DOCTYPE x [<!ENTITY e \"alice\">]>{signed}");
    assert!(matches!(
        prove(&doctype, &metadata),
        Err(BadResponse::Malformed(_))
    ));
    assert!(prove(&signed, &metadata).is_ok());
}

/// White space and namespaces around an assertion, which others add, do not matter.
#[test]
fn surroundings_may_change_and_nothing_within() {
    let (provider, metadata) = provider();
    let signed = provider.respond(&Response::new(NOW));
    let wider = signed
        .replace(
            "<samlp:Response ",
            "<?xml version=\"1.0\"?>\n<samlp:Response xmlns:xs=\"urn:xs\" xmlns=\"urn:d\" ",
        )
        .replace("<saml:Assertion ", "\n  <saml:Assertion ");
    // An XML declaration is no processing instruction.
    assert!(prove(&wider, &metadata).is_ok());
    let within = signed.replace("<saml:Conditions", " <saml:Conditions");
    assert_eq!(prove(&within, &metadata), Err(BadResponse::Signature));
}

#[test]
fn metadata_must_be_of_a_provider_with_a_key() {
    let text = SamlProvider::new("https://idp.example.com/saml").metadata();
    let certificate = {
        let start = text.find("<ds:X509Certificate>").unwrap() + "<ds:X509Certificate>".len();
        &text[start..text.find("</ds:X509Certificate>").unwrap()]
    };
    let broken: String = certificate.chars().rev().collect();
    for (from, to, expected) in [
        (
            "md:EntityDescriptor",
            "md:EntitiesDescriptor",
            BadMetadata::Unreadable,
        ),
        (
            "entityID=\"https://idp.example.com/saml\"",
            "",
            BadMetadata::NoEntity,
        ),
        (
            "md:IDPSSODescriptor",
            "md:SPSSODescriptor",
            BadMetadata::NoDescriptor,
        ),
        (
            "SAML:2.0:protocol",
            "SAML:1.1:protocol",
            BadMetadata::NoDescriptor,
        ),
        ("use=\"signing\"", "use=\"encryption\"", BadMetadata::NoKey),
        (certificate, &broken, BadMetadata::Certificate),
        (certificate, "QUJD", BadMetadata::Certificate),
        (" entityID", " validUntil=\"soon\" entityID", BadMetadata::Date),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        assert_eq!(Metadata::parse(&changed).unwrap_err(), expected, "{from}");
    }
    let dated = text.replace(" entityID", " validUntil=\"2030-01-01T00:00:00Z\" entityID");
    assert_eq!(
        Metadata::parse(&dated)
            .unwrap()
            .valid_until
            .unwrap()
            .iso8601_seconds(),
        "2030-01-01T00:00:00Z"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever byte of a response is changed, it says what was signed or nothing.
    #[test]
    fn a_changed_byte_changes_nothing_that_is_read(at in any::<prop::sample::Index>(), to in any::<char>()) {
        let (provider, metadata) = provider_once();
        let response = Response::new(NOW).with("Role", &["a,b"]);
        let signed = provider.respond(&response);
        let whole = prove(&signed, metadata).unwrap();
        let mut letters: Vec<char> = signed.chars().collect();
        let at = at.index(letters.len());
        letters[at] = to;
        let changed: String = letters.into_iter().collect();
        if let Ok(read) = prove(&changed, metadata) {
            prop_assert_eq!(read, whole);
        }
    }

    #[test]
    fn reading_is_total(text in "\\PC{0,300}") {
        let (_, metadata) = provider_once();
        prop_assert!(prove(&text, metadata).is_err());
        prop_assert!(Metadata::parse(&text).is_err());
    }
}

fn provider_once() -> &'static (SamlProvider, Metadata) {
    static ONCE: std::sync::OnceLock<(SamlProvider, Metadata)> = std::sync::OnceLock::new();
    ONCE.get_or_init(provider)
}
