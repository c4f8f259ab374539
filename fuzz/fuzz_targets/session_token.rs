//! Session tokens, as they come and as what they hold.
//!
//! The first byte says which: even, the rest is a token as a stranger sends it,
//! and no stranger can make one; odd, it is what a token holds, and is sealed
//! here, or the parser within would never see it.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use iam::claims_of_token;
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::fixed::{ACCESS_KEY_ID, domain_key};

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let domain = domain_key("sts/session");
    if how % 2 == 0 {
        let token = String::from_utf8_lossy(rest);
        assert!(
            claims_of_token(&domain, ACCESS_KEY_ID, &token).is_none(),
            "a token opened that nobody sealed"
        );
        return;
    }
    let token = |claims: &[u8]| {
        let sealed = domain.seal(&[ACCESS_KEY_ID.as_bytes()], claims, &Random::seeded(1));
        STANDARD.encode(sealed.expect("the provider seals"))
    };
    if let Some(claims) = claims_of_token(&domain, ACCESS_KEY_ID, &token(rest)) {
        // Long escapes may be spelled shorter but never longer than the limit of a token.
        let again = claims_of_token(&domain, ACCESS_KEY_ID, &token(claims.expose()));
        if let Some(again) = again {
            assert!(
                again.expose() == claims.expose(),
                "claims are spelled as they were read"
            );
        }
        assert!(claims_of_token(&domain, "ASIAQEAAAAAEXAMPLE22", &token(rest)).is_none());
    }
});
