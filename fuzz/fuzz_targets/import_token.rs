//! What import tokens of KMS hold. The token itself is sealed whole, as the
//! ciphertexts of `envelope` are, so that only what is within is a parser's.

#![no_main]

use kms::ops::import_token::ImportToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(token) = ImportToken::read(data) {
        let written = token.to_bytes().expect("a key that was read is written");
        let again = ImportToken::read(written.expose()).expect("what was written is read");
        assert!(
            again.to_bytes().expect("a key that was read is written").expose() == written.expose(),
            "a token is spelled as it was read"
        );
        assert!(written.expose()[..10] == data[..10]);
    }
});
