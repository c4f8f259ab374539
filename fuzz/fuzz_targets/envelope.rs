//! Ciphertexts as `kms:Decrypt` takes them: only what was sealed opens.

#![no_main]

use crypto::blob::{EncryptionContext, Envelope};
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::fixed::{BINDING, PLAINTEXT, envelope_key};

fuzz_target!(|data: &[u8]| {
    let Ok(envelope) = Envelope::parse(data) else {
        return;
    };
    assert!(!envelope.reference().is_empty());
    let key = envelope_key();
    let context = EncryptionContext::new([("purpose", "fuzz")]);
    for context in [EncryptionContext::empty(), context] {
        if let Ok(opened) = envelope.open(&key, BINDING, &context) {
            assert!(
                opened.expose() == PLAINTEXT,
                "something opened that nobody sealed"
            );
        }
        assert!(envelope.open(&key, b"another key's ARN", &context).is_err());
    }
});
