//! SSH public keys, in either form.
//!
//! Input: the text of a key. What is read is told in both forms, and read from
//! each as the same key.

#![no_main]

use crypto::ssh::SshRsaKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(key) = SshRsaKey::parse(text) else {
        return;
    };
    for told in [key.to_ssh(), key.to_pem()] {
        assert_eq!(SshRsaKey::parse(&told).as_ref(), Ok(&key), "{told}");
    }
    assert_eq!(key.fingerprint().len(), 47);
});
