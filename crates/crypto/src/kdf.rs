//! Key derivation: NIST SP 800-108r1, counter mode, HMAC-SHA-256.
//!
//! The fixed input is `label ‖ 00 ‖ context ‖ L`, with a 32-bit counter before
//! it and the length `L` in bits as 32 bits, all big-endian (SP 800-108r1, 4.1).
//! Labels keep the uses of one key apart, and no label is a prefix of another
//! because none holds a zero byte. These are all the labels of the house:
//!
//! | label | from | gives |
//! |---|---|---|
//! | `palisade domain key v1` | a root of the ring | the key of one account, region and purpose |
//! | `palisade root ring v1` | root key | the key that seals the ring of roots |
//! | `palisade root ring seal v1` | that key | the AES key of one sealed ring |
//! | `palisade root key check v1` | root key | the check value in the slot document |
//! | `palisade peer slots v1` | root key | the key that seals the keys of peer slots |
//! | `palisade peer slot v1` | the key above | the AES key of one slot's key |
//! | `palisade journal seal v1` | root key | the key that signs the journal's seals |
//! | `palisade sealed message v1` | domain key | the AES key of one sealed value |
//! | `palisade kms message v1` | backing key | an AES key of KMS ciphertexts |
//! | `palisade xks message v1` | backing key | the AES key of one ciphertext in parts |
//! | `palisade slot key v1` | a slot's secret | the AES key that wraps the root key |
//! | `palisade slot key check v1` | a slot's secret | the check value of that slot |
//!
//! Absent by design: HKDF. AWS publishes the counter mode for KMS, and one
//! derivation function is enough.

use aws_lc_rs::hmac;
use ground::Secret;

/// Bytes in every derived key.
pub const DERIVED_KEY_BYTES: usize = 32;

/// A key that only ever derives other keys.
pub struct DerivationKey(hmac::Key);

impl DerivationKey {
    /// Takes a key of at least 256 bits.
    pub fn new(key: &[u8; DERIVED_KEY_BYTES]) -> DerivationKey {
        DerivationKey(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The key for this label and context.
    ///
    /// A context of several parts is joined by the caller, with lengths, so
    /// that two different lists never give one context.
    pub fn derive(&self, label: &'static str, context: &[u8]) -> Secret<[u8; DERIVED_KEY_BYTES]> {
        const OUTPUT_BITS: u32 = 256;
        let mut key = Secret::new([0; DERIVED_KEY_BYTES]);
        let fixed: [&[u8]; 4] = [label.as_bytes(), &[0], context, &OUTPUT_BITS.to_be_bytes()];
        counter_mode(&self.0, &fixed, key.expose_mut());
        key
    }
}

/// SP 800-108r1, 4.1: the output is `HMAC(key, 1 ‖ fixed) ‖ HMAC(key, 2 ‖ fixed) ‖ …`,
/// cut to length.
fn counter_mode(key: &hmac::Key, fixed: &[&[u8]], output: &mut [u8]) {
    for (counter, chunk) in (1u32..).zip(output.chunks_mut(32)) {
        let mut context = hmac::Context::with_key(key);
        context.update(&counter.to_be_bytes());
        for part in fixed {
            context.update(part);
        }
        chunk.copy_from_slice(&context.sign().as_ref()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};

    /// NIST CAVP, CAVS 14.4, KDFCTR_gen.rsp: `PRF=HMAC_SHA256`,
    /// `CTRLOCATION=BEFORE_FIXED`, `RLEN=32_BITS`, counts 0 and 10.
    #[test]
    fn gives_the_published_keys() {
        let cases = [
            (
                "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0",
                "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb29\
                 11d80a0e8aba17f3b413faac",
                "10621342bfb0fd40046c0e29f2cfdbf0",
            ),
            (
                "e204d6d466aad507ffaf6d6dab0a5b26152c9e21e764370464e360c8fbc765c6",
                "7b03b98d9f94b899e591f3ef264b71b193fba7043c7e953cde23bc5384bc1a6293580115fae3495fd845dadbd02bd645\
                 5cf48d0f62b33e62364a3a80",
                "770dfab6a6a4a4bee0257ff335213f78d8287b4fd537d5c1fffa956910e7c779",
            ),
        ];
        for (key, fixed, expected) in cases {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &hex::decode(key).unwrap());
            let mut output = vec![0; expected.len() / 2];
            counter_mode(&key, &[&hex::decode(fixed).unwrap()], &mut output);
            assert_eq!(hex::encode(output), expected);
        }
    }

    /// The provider has the same function without a key made ready; both agree,
    /// over one block and over several.
    #[test]
    fn agrees_with_the_provider() {
        let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).unwrap();
        for length in [1, 31, 32, 33, 64, 100] {
            let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
            counter_mode(
                &hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]),
                &[b"fix", b"ed"],
                &mut ours,
            );
            kbkdf_ctr_hmac(algorithm, &[9; 32], b"fixed", &mut theirs).unwrap();
            assert_eq!(ours, theirs);
        }
        let mut theirs = [0; 32];
        kbkdf_ctr_hmac(algorithm, &[9; 32], b"label\0context\0\0\x01\0", &mut theirs).unwrap();
        let ours = DerivationKey::new(&[9; 32]).derive("label", b"context");
        assert_eq!(ours.expose(), &theirs);
    }

    #[test]
    fn label_and_context_both_count() {
        let key = DerivationKey::new(&[9; 32]);
        let base = key.derive("a", b"x");
        assert_ne!(base.expose(), key.derive("b", b"x").expose());
        assert_ne!(base.expose(), key.derive("a", b"y").expose());
        assert_ne!(
            base.expose(),
            DerivationKey::new(&[8; 32]).derive("a", b"x").expose()
        );
    }
}
