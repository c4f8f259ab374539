//! Server certificates, their chains and their private keys, in PEM.
//!
//! Input: certificates that follow each other, behind them a private key if
//! there is one. What is read of the certificates is read of each by itself;
//! whom they belong to and who signed them is answered of any.

#![no_main]

use crypto::server_key::PublicHalf;
use federation::certificate::Certificate;
use ground::Secret;
use libfuzzer_sys::fuzz_target;

const END: &str = "-----END CERTIFICATE-----";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (chain, key) = text
        .rfind(END)
        .map_or(("", text), |at| text.split_at(at + END.len()));
    let half = PublicHalf::of_pem(&Secret::new(key.to_owned()));
    let Ok(read) = Certificate::chain_from_pem(chain, 16) else {
        return;
    };
    let parts = chain.trim().split_inclusive(END);
    for (certificate, part) in read.iter().zip(parts) {
        assert_eq!(Certificate::from_pem(part).as_ref(), Ok(certificate));
        if let Ok(half) = &half {
            let _ = certificate.has_key(half);
        }
    }
    for pair in read.windows(2) {
        let _ = pair[0].is_issued_by(&pair[1]);
    }
});
