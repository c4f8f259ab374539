//! Private keys written as PKCS #8, the form in which KMS takes them.
//!
//! Only writing: whether a key is sound is for the cryptography to say.
//!
//! Source: RFC 5958 (PKCS #8), RFC 8017 (RSA), RFC 5915 (elliptic curves),
//! RFC 8410 (Ed25519).

use ground::Secret;

type Bytes = Secret<Vec<u8>>;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// Tag 1 of the context: the public key beside a private one.
const PUBLIC_KEY: u8 = 0xa1;

/// `rsaEncryption`, with the NULL that its parameters are.
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// A curve's name in JWK, its object identifier, and the bytes of a coordinate.
pub(super) struct Curve {
    pub(super) name: &'static str,
    identifier: &'static [u8],
    bytes: usize,
}

pub(super) const CURVES: [Curve; 4] = [
    Curve {
        name: "P-256",
        identifier: &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        bytes: 32,
    },
    Curve {
        name: "P-384",
        identifier: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        bytes: 48,
    },
    Curve {
        name: "P-521",
        identifier: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
        bytes: 66,
    },
    Curve {
        name: "secp256k1",
        identifier: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        bytes: 32,
    },
];

/// The numbers of an RSA private key, big-endian.
pub(super) struct Rsa {
    pub(super) modulus: Bytes,
    pub(super) public_exponent: Bytes,
    pub(super) private_exponent: Bytes,
    /// `p`, `q`, `d mod (p-1)`, `d mod (q-1)`, `q⁻¹ mod p`.
    pub(super) rest: [Bytes; 5],
}

fn element(tag: u8, parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Secret::new(Vec::with_capacity(length + 6));
    let bytes = out.expose_mut();
    bytes.push(tag);
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        bytes.push(short);
    } else {
        let big = length.to_be_bytes();
        let from = big.iter().take_while(|byte| **byte == 0).count();
        let count = u8::try_from(big.len() - from).unwrap_or(u8::MAX);
        bytes.push(0x80 | count);
        bytes.extend_from_slice(&big[from..]);
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    out
}

fn integer(big_endian: &[u8]) -> Bytes {
    let from = big_endian.iter().take_while(|byte| **byte == 0).count();
    let digits = &big_endian[from..];
    // A leading bit would make it negative, and nothing is not a number.
    let zero: &[u8] = match digits.first() {
        Some(0..=0x7f) => &[],
        Some(_) | None => &[0],
    };
    element(INTEGER, &[zero, digits])
}

fn pkcs8(algorithm: &[u8], private: &[u8]) -> Bytes {
    let version = integer(&[0]);
    let private = element(OCTET_STRING, &[private]);
    element(SEQUENCE, &[version.expose(), algorithm, private.expose()])
}

/// Of a key in the form of PKCS #1.
pub(super) fn of_pkcs1(pkcs1: &[u8]) -> Bytes {
    pkcs8(RSA, pkcs1)
}

/// Of the numbers of an RSA key.
pub(super) fn of_rsa(rsa: &Rsa) -> Bytes {
    let first = [&rsa.modulus, &rsa.public_exponent, &rsa.private_exponent];
    let numbers: Vec<Bytes> = first
        .into_iter()
        .chain(&rsa.rest)
        .map(|number| integer(number.expose()))
        .collect();
    let version = integer(&[0]);
    let mut parts: Vec<&[u8]> = vec![version.expose()];
    parts.extend(numbers.iter().map(|number| &number.expose()[..]));
    of_pkcs1(element(SEQUENCE, &parts).expose())
}

/// Of a key in the form of SEC 1, on `curve`.
pub(super) fn of_sec1(curve: &Curve, sec1: &[u8]) -> Bytes {
    let algorithm = element(SEQUENCE, &[EC_PUBLIC_KEY, curve.identifier]);
    pkcs8(algorithm.expose(), sec1)
}

/// Of a private number and the point that is public; `None` if a number is
/// longer than the curve's.
pub(super) fn of_point(curve: &Curve, private: &[u8], x: &[u8], y: &[u8]) -> Option<Bytes> {
    let padded = |number: &[u8]| {
        let missing = curve.bytes.checked_sub(number.len())?;
        let mut out = Secret::new(vec![0; missing]);
        out.expose_mut().extend_from_slice(number);
        Some(out)
    };
    let private = element(OCTET_STRING, &[padded(private)?.expose()]);
    // No unused bits, and an uncompressed point.
    let point = element(BIT_STRING, &[&[0, 4], padded(x)?.expose(), padded(y)?.expose()]);
    let point = element(PUBLIC_KEY, &[point.expose()]);
    let version = integer(&[1]);
    let sec1 = element(SEQUENCE, &[version.expose(), private.expose(), point.expose()]);
    Some(of_sec1(curve, sec1.expose()))
}

/// Of the seed of an Ed25519 key.
pub(super) fn of_ed25519(seed: &[u8]) -> Bytes {
    pkcs8(ED25519, element(OCTET_STRING, &[seed]).expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_signs() {
        assert_eq!(element(4, &[&[7; 127]]).expose()[..2], [4, 127]);
        assert_eq!(element(4, &[&[7; 128]]).expose()[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[&[7; 256]]).expose()[..4], [4, 0x82, 1, 0]);
        assert_eq!(integer(&[0, 0, 0x80]).expose(), &[2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0x7f]).expose(), &[2, 1, 0x7f]);
        assert_eq!(integer(&[]).expose(), &[2, 1, 0]);
    }
}
