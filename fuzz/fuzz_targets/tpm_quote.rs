//! Quotes of TPMs.
//!
//! Input: what a TPM is said to have signed. It is read as signed by a key that
//! is at hand, so that the parser meets it, and as signed by the one that made the
//! seed, of which nothing else may be believed.

#![no_main]

use std::sync::LazyLock;

use crypto::Random;
use crypto::key::{BackingKey, KeySpec, MessageType, SigningAlgorithm};
use federation::quote::{QuoteError, Quoted, Registers, prove};
use libfuzzer_sys::fuzz_target;

const GOOD: &[u8] = include_bytes!("../seeds/tpm_quote/good");
const SIGNATURE: &[u8] = include_bytes!("../seeds/tpm_quote/signature");
const KEY: &[u8] = include_bytes!("../seeds/tpm_quote/key.der");
const NONCE: &[u8] = &[0xab; 32];

static TPM: LazyLock<BackingKey> =
    LazyLock::new(|| BackingKey::generate(KeySpec::EccNistP256, &Random::system()).expect("a key is made"));

/// What is read of this once it is signed.
fn signed(data: &[u8]) -> Result<Quoted, QuoteError> {
    let signature = TPM.sign(SigningAlgorithm::EcdsaSha256, MessageType::Raw, data);
    let key = TPM.public_key_der().expect("it has one");
    prove(data, &signature.expect("it signs"), key, NONCE)
}

fuzz_target!(|data: &[u8]| {
    if let Some(registers) = Registers::read(data) {
        assert_eq!(registers.bytes(), data, "spelled as it was read");
        let _ = registers.named();
    }
    if let Ok(quoted) = signed(data) {
        assert!(Registers::read(quoted.registers.bytes()) == Some(quoted.registers));
        assert!(signed(&data[..data.len() - 1]).is_err(), "cut off and read");
    }
    if prove(data, SIGNATURE, KEY, NONCE).is_ok() {
        assert_eq!(data, GOOD, "only what was signed is believed");
    }
    let _ = prove(GOOD, data, KEY, NONCE);
});
