//! Keys as strangers give them: the first byte picks the spec, and whether the
//! rest is the private or the public half.

#![no_main]

use crypto::key::{BackingKey, KeySpec, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let spec = KeySpec::ALL[usize::from(first >> 1) % KeySpec::ALL.len()];
    if first & 1 == 0 {
        public(spec, bytes);
    } else {
        private(spec, bytes);
    }
});

fn public(spec: KeySpec, der: &[u8]) {
    if let Ok(key) = PublicKey::from_der(spec, der) {
        assert_eq!(key.der(), der, "the key is another than was given");
        assert!(PublicKey::from_der(key.spec(), key.der()).is_ok());
    }
}

fn private(spec: KeySpec, bytes: &[u8]) {
    let Ok(key) = BackingKey::from_bytes(spec, bytes) else {
        return;
    };
    let written = key.to_bytes().expect("what was read can be written");
    let again = BackingKey::from_bytes(spec, written.expose()).expect("what was written can be read");
    assert_eq!(key.public_key_der(), again.public_key_der());
}
