//! Keys and signatures as JSON Web Tokens have them (RFC 7517, RFC 7518), of
//! the two algorithms that tokens of AWS's are signed with: RS256 and ES384.
//!
//! Absent by design: tokens themselves, which are whoever signs them's to
//! compose, and the reading of other people's.

use crate::Error;
use crate::der::{BIT_STRING, SEQUENCE, element, number};
use crate::key::{BackingKey, KeySpec, MessageType, PublicKey, SigningAlgorithm};

/// Bytes of a coordinate on P-384, and of half a signature.
const P384_BYTES: usize = 48;

/// What a JSON Web Key says of a public key, as big-endian numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwkNumbers {
    /// `crv` is `P-384`.
    Ec {
        /// `x`, 48 bytes.
        x: Vec<u8>,
        /// `y`, 48 bytes.
        y: Vec<u8>,
    },
    /// Without leading zeros.
    Rsa {
        /// `n`
        modulus: Vec<u8>,
        /// `e`
        exponent: Vec<u8>,
    },
}

/// A number in so many bytes.
fn padded(number: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let missing = bytes.checked_sub(number.len())?;
    let mut out = vec![0; missing];
    out.extend_from_slice(number);
    Some(out)
}

/// The numbers of an RSA or P-384 key.
///
/// # Errors
///
/// [`Error::BadKey`] for keys of other kinds.
pub fn jwk_numbers(key: &PublicKey) -> Result<JwkNumbers, Error> {
    numbers_of(key).ok_or(Error::BadKey(key.spec()))
}

fn numbers_of(key: &PublicKey) -> Option<JwkNumbers> {
    let (info, _) = element(key.der(), SEQUENCE)?;
    let (_, rest) = element(info, SEQUENCE)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    let (unused_bits, bits) = bits.split_first()?;
    if *unused_bits != 0 {
        return None;
    }
    match key.spec() {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
            let (numbers, _) = element(bits, SEQUENCE)?;
            let (modulus, rest) = number(numbers)?;
            let (exponent, _) = number(rest)?;
            Some(JwkNumbers::Rsa {
                modulus: modulus.to_vec(),
                exponent: exponent.to_vec(),
            })
        }
        KeySpec::EccNistP384 => {
            let (uncompressed, point) = bits.split_first()?;
            let is_whole = *uncompressed == 4 && point.len() == 2 * P384_BYTES;
            is_whole.then(|| JwkNumbers::Ec {
                x: point[..P384_BYTES].to_vec(),
                y: point[P384_BYTES..].to_vec(),
            })
        }
        _ => None,
    }
}

/// Signs as a token's signature is: RS256 with an RSA key, ES384 with one on
/// P-384, whose two numbers stand one behind the other (RFC 7518, 3.4).
///
/// # Errors
///
/// [`Error::Unsupported`] for keys of other kinds, [`Error::Provider`] if signing fails.
pub fn sign(key: &BackingKey, message: &[u8]) -> Result<Vec<u8>, Error> {
    if key.spec() != KeySpec::EccNistP384 {
        return key.sign(SigningAlgorithm::RsassaPkcs1V15Sha256, MessageType::Raw, message);
    }
    let der = key.sign(SigningAlgorithm::EcdsaSha384, MessageType::Raw, message)?;
    raw_signature(&der).ok_or(Error::Provider("an ECDSA signature"))
}

fn raw_signature(der: &[u8]) -> Option<Vec<u8>> {
    let (numbers, _) = element(der, SEQUENCE)?;
    let (r, rest) = number(numbers)?;
    let (s, _) = number(rest)?;
    let mut raw = padded(r, P384_BYTES)?;
    raw.extend(padded(s, P384_BYTES)?);
    Some(raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Random;
    use crate::der::INTEGER;

    #[test]
    fn numbers_and_signatures_have_the_lengths_they_must() {
        let random = Random::seeded(1);
        let rsa = BackingKey::generate(KeySpec::Rsa2048, &random).unwrap();
        let JwkNumbers::Rsa { modulus, exponent } = jwk_numbers(rsa.public_key().unwrap()).unwrap() else {
            panic!("an RSA key has RSA's numbers");
        };
        assert_eq!((modulus.len(), exponent.as_slice()), (256, &[1, 0, 1][..]));
        assert_eq!(sign(&rsa, b"message").unwrap().len(), 256);

        let ec = BackingKey::generate(KeySpec::EccNistP384, &random).unwrap();
        assert!(matches!(
            jwk_numbers(ec.public_key().unwrap()).unwrap(),
            JwkNumbers::Ec { x, y } if x.len() == 48 && y.len() == 48
        ));
        // Some signatures have a number with leading zeros.
        for message in 0..200_u16 {
            assert_eq!(sign(&ec, &message.to_be_bytes()).unwrap().len(), 96);
        }
        let other = BackingKey::generate(KeySpec::EccNistP256, &random).unwrap();
        assert!(jwk_numbers(other.public_key().unwrap()).is_err());
        assert!(sign(&other, b"message").is_err());
    }

    #[test]
    fn short_numbers_are_padded_and_long_ones_refused() {
        let der = [SEQUENCE, 7, INTEGER, 2, 0, 0x80, INTEGER, 1, 5];
        let raw = raw_signature(&der).unwrap();
        assert_eq!((raw[47], raw[95]), (0x80, 5));
        assert_eq!(raw.iter().filter(|byte| **byte != 0).count(), 2);
        let mut long = vec![SEQUENCE, 54, INTEGER, 49];
        long.extend([1; 49]);
        long.extend([INTEGER, 1, 5]);
        assert_eq!(raw_signature(&long), None);
    }

    proptest! {
        #[test]
        fn reading_is_total(der in prop::collection::vec(any::<u8>(), 0..64)) {
            raw_signature(&der);
        }
    }
}
