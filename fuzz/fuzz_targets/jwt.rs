//! OpenID Connect tokens, and the keys of their issuers.
//!
//! Input: a set of keys, a newline, a token. Nobody but the key's holder can
//! make a token that is believed: the committed seed is the only one that may be.

#![no_main]

use federation::jwt::{Keys, Unproven};
use libfuzzer_sys::fuzz_target;

/// The public key of `seeds/jwt/good`, whose private half was thrown away.
const KEYS: &str = include_str!("../seeds/jwt/keys.json");
const GOOD: &str = include_str!("../seeds/jwt/good");

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let known = Keys::parse(KEYS.as_bytes()).expect("the committed keys are read");
    let (keys, token) = text.split_once('\n').unwrap_or((KEYS, text));
    // Keys of a stranger prove whatever the stranger signs; they must not break anything.
    if let (Ok(keys), Ok(token)) = (Keys::parse(keys.as_bytes()), Unproven::parse(token)) {
        let _ = token.is_key_among(&keys);
        let _ = token.prove(&keys);
    }
    if let Ok(unproven) = Unproven::parse(token)
        && let Ok(claims) = unproven.prove(&known)
    {
        assert_eq!(claims.issuer, unproven.issuer);
        let good = Unproven::parse(GOOD.trim()).and_then(|good| good.prove(&known));
        assert_eq!(Ok(claims), good, "only what was signed is believed");
    }
});
