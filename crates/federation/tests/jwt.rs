//! Tokens and sets of keys as issuers make them, and as attackers do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use federation::jwt::{BadToken, Keys, Unproven};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::issuer::TokenKey;

fn claims() -> Value {
    json!({"iss": "https://idp.example.com", "sub": "alice", "aud": ["app", "other"], "exp": 1_767_326_645.9,
        "iat": 1_767_323_045})
}

fn keys(all: &[Value]) -> Keys {
    Keys::parse(json!({ "keys": all }).to_string().as_bytes()).unwrap()
}

fn prove(token: &str, keys: &Keys) -> Result<federation::jwt::Claims, BadToken> {
    Unproven::parse(token)?.prove(keys)
}

/// A key with a member changed; null takes it away.
fn changed(key: &TokenKey, member: &str, value: Value) -> Value {
    let mut public = key.public();
    if value.is_null() {
        public.as_object_mut().unwrap().remove(member);
    } else {
        public[member] = value;
    }
    public
}

#[test]
fn what_the_issuer_signed_is_read() {
    let key = TokenKey::new("one");
    let read = prove(&key.token(&claims()), &keys(&[key.public()])).unwrap();
    assert_eq!(
        (read.subject.as_str(), read.expires, read.issued),
        ("alice", 1_767_326_645, 1_767_323_045)
    );
    assert_eq!(read.audiences, ["app", "other"]);
}

#[test]
fn a_key_is_good_for_what_it_says() {
    let key = TokenKey::new("one");
    let token = key.token(&claims());
    for (member, value, expected) in [
        ("alg", Value::Null, None),
        ("use", Value::Null, None),
        ("use", json!("sig"), None),
        ("use", json!("enc"), Some(BadToken::Algorithm)),
        ("alg", json!("ES384"), Some(BadToken::Algorithm)),
        ("alg", json!("HS256"), Some(BadToken::Algorithm)),
        ("crv", json!("P-384"), Some(BadToken::Algorithm)),
        ("kid", json!("two"), Some(BadToken::Key)),
        ("kid", Value::Null, Some(BadToken::Key)),
    ] {
        let told = prove(&token, &keys(&[changed(&key, member, value.clone())])).err();
        assert_eq!(told, expected, "{member}: {value}");
    }
    // A secret that is the public key's own bytes, as in the oldest of attacks.
    let secret = json!({"kty": "oct", "kid": "one", "k": key.public()["x"]});
    assert_eq!(prove(&token, &keys(&[secret])), Err(BadToken::Algorithm));
    // Of two keys of one name, neither is meant.
    let other = TokenKey::new("one");
    assert_eq!(
        prove(&token, &keys(&[key.public(), other.public()])),
        Err(BadToken::Key)
    );
    assert_eq!(prove(&token, &keys(&[other.public()])), Err(BadToken::Signature));
}

/// Heads that ask for what is not done, or bring keys of their own.
#[test]
fn a_head_decides_nothing_that_it_should_not() {
    let key = TokenKey::new("one");
    let token = key.token(&claims());
    let (_, rest) = token.split_once('.').unwrap();
    let stranger = TokenKey::new("stranger");
    for head in [
        json!({"alg": "none", "kid": "one"}),
        json!({"alg": "HS256", "kid": "one"}),
        json!({"alg": "PS256", "kid": "one"}),
        json!({"alg": "EdDSA", "kid": "one"}),
        json!({"alg": "RS256", "kid": "one"}),
        json!({"alg": "ES256", "kid": "one", "crit": ["exp"]}),
        json!({"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false}),
        json!({"alg": "ES256", "kid": "stranger", "jwk": stranger.public()}),
        json!({"alg": "ES256", "jku": "https://evil.example.com/keys"}),
        json!({"alg": "ES256"}),
        json!({}),
        json!([]),
    ] {
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(head.to_string()));
        assert!(prove(&forged, &keys(&[key.public()])).is_err(), "{head}");
    }
}

#[test]
fn sets_of_keys_are_bounded_and_strangers_in_them_left_out() {
    let key = TokenKey::new("one");
    let odd = json!({"kty": "XYZ", "kid": "odd"});
    let token = key.token(&claims());
    assert!(prove(&token, &keys(&[odd.clone(), json!(1), key.public()])).is_ok());
    let many = |count: usize| json!({ "keys": vec![odd.clone(); count] }).to_string();
    assert!(Keys::parse(many(200).as_bytes()).is_ok());
    assert!(Keys::parse(many(201).as_bytes()).is_err());
    let long = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(256 * 1024));
    for bad in ["", "{}", "[]", "{\"keys\": {}}", "null", long.as_str()] {
        assert!(Keys::parse(bad.as_bytes()).is_err());
    }
    assert!(matches!(
        Unproven::parse(&"a".repeat(20_001)),
        Err(BadToken::Malformed)
    ));
}

proptest! {
    #[test]
    fn reading_is_total(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let none = Keys::default();
        for token in [text, parts.join(".")] {
            if let Ok(token) = Unproven::parse(&token) {
                prop_assert!(token.prove(&none).is_err());
            }
        }
    }
}
