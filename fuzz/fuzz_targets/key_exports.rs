//! The files in which keys leave other programs: the first byte picks form and
//! usage. Whatever is read is a sound key of the spec it is told to be.

#![no_main]

use bridge::exports::{Form, Usage, read};
use crypto::key::BackingKey;
use libfuzzer_sys::fuzz_target;

const FORMS: [Form; 5] = [Form::Transit, Form::LocalKms, Form::Pkcs8, Form::Jwk, Form::Raw];
const USAGES: [Option<Usage>; 5] = [
    None,
    Some(Usage::EncryptDecrypt),
    Some(Usage::GenerateVerifyMac),
    Some(Usage::KeyAgreement),
    Some(Usage::SignVerify),
];

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let form = FORMS[usize::from(*first) % FORMS.len()];
    let usage = USAGES[usize::from(*first) / FORMS.len() % USAGES.len()];
    for found in read(form, "named", usage, bytes).into_iter().flatten() {
        let Ok(key) = found.key else { continue };
        assert!(!key.versions.is_empty());
        for version in key.versions {
            assert!(BackingKey::from_bytes(key.spec, version.material.expose()).is_ok());
        }
    }
});
