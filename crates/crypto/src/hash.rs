//! Digests, message authentication and comparison without timing.
//!
//! The functions take their input in parts, so that a caller never joins
//! buffers merely to hash them. The parts are simply concatenated: a caller
//! for whom `["ab", "c"]` and `["a", "bc"]` must differ puts lengths between.
//!
//! Absent by design: MD5 and SHA-1, which nothing here may trust (but see [`crate::totp`] and [`crate::foreign`]).

use aws_lc_rs::{constant_time, digest, hmac};

/// Bytes in a SHA-256 digest and in an HMAC-SHA-256 tag.
pub const SHA256_BYTES: usize = 32;

/// The SHA-256 digest of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; SHA256_BYTES] {
    if let [only] = parts {
        return array(digest::digest(&digest::SHA256, only).as_ref());
    }
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// The HMAC-SHA-256 tag of the parts, one after the other.
///
/// A caller that uses one key often keeps an [`HmacKey`] instead.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; SHA256_BYTES] {
    HmacKey::new(key).sign(parts)
}

/// Whether two byte strings are the same, in a time that depends on their
/// lengths alone.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// SHA-256 over input that arrives in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// A hasher that has seen nothing.
    pub fn new() -> Sha256 {
        Sha256(digest::Context::new(&digest::SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> [u8; SHA256_BYTES] {
        array(self.0.finish().as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256::new()
    }
}

/// An HMAC-SHA-256 key made ready once and used many times.
pub struct HmacKey(hmac::Key);

impl HmacKey {
    /// Takes a key of any length; lengths above 64 bytes are hashed first, as
    /// RFC 2104 says.
    pub fn new(key: &[u8]) -> HmacKey {
        HmacKey(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The tag of the parts, one after the other.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; SHA256_BYTES] {
        if let [only] = parts {
            return array(hmac::sign(&self.0, only).as_ref());
        }
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        array(context.sign().as_ref())
    }

    /// Whether `tag` is the whole tag of the parts, compared in constant time.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        constant_time_eq(&self.sign(parts), tag)
    }
}

fn array(bytes: &[u8]) -> [u8; SHA256_BYTES] {
    bytes
        .try_into()
        .expect("SHA-256 and HMAC-SHA-256 always give 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    /// FIPS 180-4 examples.
    #[test]
    fn sha256_gives_the_published_digests() {
        let cases = [
            (
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (text, digest) in cases {
            assert_eq!(sha256(&[text.as_bytes()]).as_slice(), unhex(digest));
            for split in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(split);
                assert_eq!(sha256(&[head, tail]).as_slice(), unhex(digest));
            }
        }
        assert_eq!(sha256(&[]), sha256(&[b""]));
    }

    /// RFC 4231, test cases 1 to 4, 6 and 7.
    #[test]
    fn hmac_gives_the_published_tags() {
        let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 20],
                vec![0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                (1..=25).collect(),
                vec![0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                vec![0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. \
                  The key needs to be hashed before being used by the HMAC algorithm."
                    .to_vec(),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, tag) in cases {
            assert_eq!(hmac_sha256(&key, &[&message]).as_slice(), unhex(tag));
            let (head, tail) = message.split_at(message.len() / 2);
            let key = HmacKey::new(&key);
            assert_eq!(key.sign(&[head, tail]).as_slice(), unhex(tag));
            assert!(key.verify(&[&message], &unhex(tag)));
            assert!(!key.verify(&[&message], &unhex(tag)[..16]));
            assert!(!key.verify(&[&message, b"x"], &unhex(tag)));
        }
    }

    #[test]
    fn comparison_needs_equal_lengths() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"sama"));
        assert!(!constant_time_eq(b"same", b"sam"));
    }
}
