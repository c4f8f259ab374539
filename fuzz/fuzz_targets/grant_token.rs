//! Grant tokens of KMS, as they come and as what they hold.
//!
//! The first byte says which: even, the rest is a token as a stranger sends it,
//! and no stranger can make one; odd, it is what a token holds, and is sealed
//! here, or the parser within would never see it.

#![no_main]

use crypto::Random;
use kms::ops::grant_token::{open, seal};
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::fixed::{account, domain_key};

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let domain = |_| domain_key("kms/grant-token");
    if how % 2 == 0 {
        let token = String::from_utf8_lossy(rest);
        assert!(
            open(&token, domain).is_none(),
            "a token opened that nobody sealed"
        );
        return;
    }
    let token = |named: &[u8]| {
        seal(&domain(account()), account(), named, &Random::seeded(1)).expect("the provider seals")
    };
    if let Some(named) = open(&token(rest), domain) {
        assert_eq!(named.owner, account());
        assert!(
            format!("{} {}", named.key, named.grant).as_bytes() == rest,
            "it names what it says"
        );
        assert!(open(&token(rest), |_| domain_key("kms/import-token")).is_none());
    }
});
