//! What external key store proxies answer, and the ciphertexts made of it.
//!
//! Input: an answer, or a `CiphertextBlob` of a key in a custom key store.

#![no_main]

use kms::model::stored_ciphertext::{
    METADATA_BYTES_MAX, SealedBy, StoredCiphertext, TAG_BYTES, VECTOR_BYTES,
};
use kms::xks::answer;
use libfuzzer_sys::fuzz_target;

/// What the seeds were encrypted with.
const ASSOCIATED: &[u8] = b"project=nile,department=marketing";
const LENGTH: usize = 12;

fuzz_target!(|data: &[u8]| {
    let _ = answer::health(data);
    if let Ok(metadata) = answer::key_metadata(data) {
        let _ = metadata.check();
    }
    let (_, message) = answer::failure(data);
    assert!(
        message.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{message:?}"
    );
    if let Ok(plaintext) = answer::decrypted(data, LENGTH) {
        assert_eq!(plaintext.len(), LENGTH);
    }
    if let Ok(sealed) = answer::encrypted(data, ASSOCIATED, LENGTH) {
        assert_eq!(sealed.ciphertext.len(), LENGTH);
        assert!(sealed.metadata.len() <= METADATA_BYTES_MAX && VECTOR_BYTES.contains(&sealed.vector.len()));
        assert_eq!(sealed.tag.len(), TAG_BYTES);
        let made = StoredCiphertext {
            reference: vec![1; 54],
            sealed: SealedBy::External(sealed),
        };
        assert_eq!(StoredCiphertext::parse(&made.to_bytes()), Some(made));
    }
    if let Some(read) = StoredCiphertext::parse(data) {
        assert_eq!(read.to_bytes(), data);
    }
});
