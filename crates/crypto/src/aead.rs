//! AES-256-GCM with associated data.
//!
//! The caller brings the initialisation vector. Under one key it must never
//! repeat: everything in this crate derives keys that seal one message or few
//! ([`crate::message`]), so that random vectors do not.
//!
//! Absent by design: AES-128, other modes, truncated tags, and vectors of
//! another length than the 96 bits NIST SP 800-38D recommends.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ground::Secret;

use crate::Error;

/// Bytes in an AES-256 key.
pub const KEY_BYTES: usize = 32;
/// Bytes in an initialisation vector. Source: NIST SP 800-38D, 5.2.1.1.
pub const IV_BYTES: usize = 12;
/// Bytes in a tag. Source: NIST SP 800-38D, 5.2.1.2, the full length.
pub const TAG_BYTES: usize = 16;

/// An AES-256-GCM key made ready.
pub struct AeadKey(LessSafeKey);

impl AeadKey {
    /// Expands the key.
    pub fn new(key: &[u8; KEY_BYTES]) -> AeadKey {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256-GCM takes any key of 32 bytes");
        AeadKey(LessSafeKey::new(key))
    }

    /// Appends the ciphertext and its tag to `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] for a plaintext beyond GCM's limit of 64 GiB.
    pub fn seal(
        &self,
        iv: [u8; IV_BYTES],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(plaintext);
        let sealed = self.0.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(iv),
            Aad::from(aad),
            &mut out[start..],
        );
        match sealed {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(_) => {
                zeroize::Zeroize::zeroize(&mut out[start..]);
                out.truncate(start);
                Err(Error::Provider("AES-256-GCM seal"))
            }
        }
    }

    /// Opens a ciphertext followed by its tag.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] if anything differs from what was sealed.
    pub fn open(&self, iv: [u8; IV_BYTES], aad: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(Error::BadCiphertext)?;
        let (ciphertext, tag) = sealed.split_at(length);
        let mut plaintext = Secret::new(vec![0; length]);
        self.0
            .open_separate_gather(
                Nonce::assume_unique_for_key(iv),
                Aad::from(aad),
                ciphertext,
                tag,
                plaintext.expose_mut(),
            )
            .map_err(|_| Error::BadCiphertext)?;
        Ok(plaintext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    /// The AES-256 cases 13 to 16 of the GCM specification by McGrew and Viega,
    /// which NIST SP 800-38D took over.
    #[test]
    fn gives_the_published_ciphertexts() {
        let long_key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let long_plaintext = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                              1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
        let long_ciphertext = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                               8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
        let zero_key = "00".repeat(32);
        let zero_iv = "00".repeat(12);
        let cases = [
            (
                zero_key.as_str(),
                zero_iv.as_str(),
                "",
                "",
                "",
                "530f8afbc74536b9a963b4f1c4cb738b",
            ),
            (
                &zero_key,
                &zero_iv,
                "",
                "00000000000000000000000000000000",
                "cea7403d4d606b6e074ec5d3baf39d18",
                "d0d1c8a799996bf0265b98b5d48ab919",
            ),
            (
                long_key,
                "cafebabefacedbaddecaf888",
                "",
                long_plaintext,
                long_ciphertext,
                "b094dac5d93471bdec1a502270e3cc6c",
            ),
            (
                long_key,
                "cafebabefacedbaddecaf888",
                "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                &long_plaintext[..120],
                &long_ciphertext[..120],
                "76fc6ece0f4e1768cddf8853bb2d551b",
            ),
        ];
        for (key, iv, aad, plaintext, ciphertext, tag) in cases {
            let key = AeadKey::new(&unhex(key).try_into().unwrap());
            let iv = unhex(iv).try_into().unwrap();
            let mut sealed = b"before".to_vec();
            key.seal(iv, &unhex(aad), &unhex(plaintext), &mut sealed).unwrap();
            assert_eq!(hex::encode(&sealed[6..]), format!("{ciphertext}{tag}"));
            let opened = key.open(iv, &unhex(aad), &sealed[6..]).unwrap();
            assert_eq!(hex::encode(opened.expose()), plaintext);
        }
    }

    #[test]
    fn a_ciphertext_shorter_than_its_tag_does_not_open() {
        let key = AeadKey::new(&[7; 32]);
        for length in 0..TAG_BYTES {
            assert_eq!(
                key.open([0; 12], b"", &vec![0; length]).err(),
                Some(Error::BadCiphertext)
            );
        }
    }
}
