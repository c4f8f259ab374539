//! Data sealed to somebody's RSA key as CMS EnvelopedData (RFC 5652): a fresh
//! AES-256 key in CBC mode, itself encrypted with RSAES-OAEP and SHA-256.
//!
//! It is what KMS answers enclaves with. Its writers chose CBC, which does not
//! authenticate: whoever can change it on the way can change what is read.
//!
//! Absent by design: reading such data. Only the holder of the key does.

use aws_lc_rs::cipher::{AES_256, PaddedBlockEncryptingKey, UnboundCipherKey};
use ground::Secret;

use crate::key::{EncryptionAlgorithm, PublicKey};
use crate::{Error, Random, sha256};

/// Bytes of the key and of a block.
const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;

// Object identifiers, as DER has them.
const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03];
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

// Tags.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]` and `[1]` around another.
const HOLDING_0: u8 = 0xa0;
const HOLDING_1: u8 = 0xa1;
/// `[0]` in place of octets.
const AS_0: u8 = 0x80;

/// Seals `plaintext` to the holder of an RSA key: a ContentInfo in DER.
///
/// # Errors
///
/// [`Error::Unsupported`] if the key is none of RSA, [`Error::Provider`] if the
/// provider fails.
pub fn seal(recipient: &PublicKey, plaintext: &[u8], random: &Random) -> Result<Vec<u8>, Error> {
    let mut key = Secret::new(vec![0; KEY_BYTES]);
    random.fill(key.expose_mut());
    let wrapped = recipient.encrypt(EncryptionAlgorithm::RsaesOaepSha256, key.expose())?;

    let failed = |_| Error::Provider("sealing to a recipient");
    let unbound = UnboundCipherKey::new(&AES_256, key.expose()).map_err(failed)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(unbound).map_err(failed)?;
    // Room for the padding at once: no copy of the plaintext is left behind.
    let mut sealed = Vec::with_capacity(plaintext.len() + BLOCK_BYTES);
    sealed.extend_from_slice(plaintext);
    let context = cipher.encrypt(&mut sealed).map_err(failed)?;
    let iv: &[u8] = (&context).try_into().map_err(failed)?;

    let sha256_name = node(SEQUENCE, &[&node(OBJECT, &[SHA256])]);
    let mask = node(SEQUENCE, &[&node(OBJECT, &[MGF1]), &sha256_name]);
    let oaep = node(
        SEQUENCE,
        &[&node(HOLDING_0, &[&sha256_name]), &node(HOLDING_1, &[&mask])],
    );
    let recipient = node(
        SEQUENCE,
        &[
            &node(INTEGER, &[&[2]]),
            &node(AS_0, &[&sha256(&[recipient.der()])]),
            &node(SEQUENCE, &[&node(OBJECT, &[RSAES_OAEP]), &oaep]),
            &node(OCTETS, &[&wrapped]),
        ],
    );
    let content = node(
        SEQUENCE,
        &[
            &node(OBJECT, &[DATA]),
            &node(SEQUENCE, &[&node(OBJECT, &[AES256_CBC]), &node(OCTETS, &[iv])]),
            &node(AS_0, &[&sealed]),
        ],
    );
    let enveloped = node(
        SEQUENCE,
        &[&node(INTEGER, &[&[2]]), &node(SET, &[&recipient]), &content],
    );
    Ok(node(
        SEQUENCE,
        &[&node(OBJECT, &[ENVELOPED_DATA]), &node(HOLDING_0, &[&enveloped])],
    ))
}

/// A node of DER: tag, length, contents.
fn node(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|it| it.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let used = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
            let digits = &bytes[used..];
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(digits);
        }
    }
    for part in contents {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey};

    use super::*;
    use crate::key::{BackingKey, KeySpec};

    /// What lies under a path of children, each by its place.
    fn at<'a>(der: &'a [u8], path: &[usize]) -> &'a [u8] {
        let body = |der: &'a [u8]| {
            let (start, length) = match der[1] {
                short if short < 0x80 => (2, usize::from(short)),
                long => {
                    let digits = usize::from(long & 0x7f);
                    let length = der[2..2 + digits]
                        .iter()
                        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                    (2 + digits, length)
                }
            };
            (&der[start..start + length], start + length)
        };
        let Some((first, rest)) = path.split_first() else {
            return body(der).0;
        };
        let mut inside = body(der).0;
        for _ in 0..*first {
            inside = &inside[body(inside).1..];
        }
        at(inside, rest)
    }

    #[test]
    fn the_holder_of_the_key_opens_it() {
        let random = Random::system();
        let holder = BackingKey::generate(KeySpec::Rsa2048, &random).unwrap();
        let public = PublicKey::from_der(KeySpec::Rsa2048, holder.public_key_der().unwrap()).unwrap();
        for length in [1, 15, 16, 4096] {
            let plaintext = vec![7; length];
            let sealed = seal(&public, &plaintext, &random).unwrap();
            assert_eq!(at(&sealed, &[0]), ENVELOPED_DATA);
            let wrapped = at(&sealed, &[1, 0, 1, 0, 3]);
            let key = holder
                .decrypt(EncryptionAlgorithm::RsaesOaepSha256, wrapped)
                .unwrap();
            let iv: [u8; 16] = at(&sealed, &[1, 0, 2, 1, 1]).try_into().unwrap();
            let unbound = UnboundCipherKey::new(&AES_256, key.expose()).unwrap();
            let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(unbound).unwrap();
            let mut opened = at(&sealed, &[1, 0, 2, 2]).to_vec();
            let opened = cipher
                .decrypt(&mut opened, DecryptionContext::Iv128(iv.into()))
                .unwrap();
            assert_eq!(opened, plaintext);
        }
    }

    #[test]
    fn only_rsa_keys_are_sealed_to() {
        let random = Random::system();
        let curve = BackingKey::generate(KeySpec::EccNistP256, &random).unwrap();
        let public = PublicKey::from_der(KeySpec::EccNistP256, curve.public_key_der().unwrap()).unwrap();
        assert!(seal(&public, b"x", &random).is_err());
    }
}
