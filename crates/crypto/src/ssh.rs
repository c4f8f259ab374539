//! RSA public keys as SSH has them (RFC 4253, 6.6), and as PEM has them
//! (RFC 7468, 13). Each form can be told as the other.
//!
//! Absent by design: private keys, keys of other algorithms, and any use of a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use crate::der::{BIT_STRING, SEQUENCE, element, number, written, written_number};

/// As SSH names the algorithm.
const NAME: &str = "ssh-rsa";

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Characters of a line of PEM (RFC 7468, 2).
const PEM_LINE_CHARACTERS: usize = 64;

/// `rsaEncryption` and its absent parameters (RFC 8017, A.1), as DER.
const RSA_ENCRYPTION: [u8; 15] = [
    SEQUENCE, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0,
];

/// Bits of a modulus: from what AWS takes to what its 16,384 characters hold.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2_048..=16_384;

/// An RSA public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshRsaKey {
    /// Big-endian, without leading zeros.
    exponent: Vec<u8>,
    /// The same.
    modulus: Vec<u8>,
}

/// Why a text is no key that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSshKey {
    /// It is in neither form.
    #[error("neither an ssh-rsa key nor a public key in PEM")]
    Encoding,
    /// It is in one of them, and no sound RSA key, or of a length that is not taken.
    #[error("not an RSA public key of 2,048 to 16,384 bits")]
    Key,
}

/// Takes a string as SSH writes it: its length in four bytes before it.
fn string(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (length <= rest.len()).then(|| rest.split_at(length))
}

/// Takes a positive number as SSH writes it.
fn mpint(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bytes, rest) = string(blob)?;
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    (!negative && zeros <= 1).then(|| (&bytes[zeros..], rest))
}

fn push_string(blob: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a key is shorter than 4 GiB");
    blob.extend(length.to_be_bytes());
    blob.extend_from_slice(bytes);
}

fn push_mpint(blob: &mut Vec<u8>, number: &[u8]) {
    let mut bytes = Vec::with_capacity(number.len() + 1);
    if number.first().is_some_and(|byte| *byte >= 0x80) {
        bytes.push(0);
    }
    bytes.extend_from_slice(number);
    push_string(blob, &bytes);
}

impl SshRsaKey {
    /// Reads `ssh-rsa BASE64 comment`, or a public key in PEM.
    ///
    /// # Errors
    ///
    /// [`BadSshKey`] for anything else.
    pub fn parse(text: &str) -> Result<SshRsaKey, BadSshKey> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix(BEGIN) {
            let body = rest.strip_suffix(END).ok_or(BadSshKey::Encoding)?;
            let body: String = body
                .chars()
                .filter(|letter| !letter.is_ascii_whitespace())
                .collect();
            let der = STANDARD.decode(body).map_err(|_| BadSshKey::Encoding)?;
            return SshRsaKey::of_der(&der).ok_or(BadSshKey::Key);
        }
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some(NAME) {
            return Err(BadSshKey::Encoding);
        }
        let blob = words.next().and_then(|word| STANDARD.decode(word).ok());
        SshRsaKey::of_blob(&blob.ok_or(BadSshKey::Encoding)?).ok_or(BadSshKey::Key)
    }

    fn of_blob(blob: &[u8]) -> Option<SshRsaKey> {
        let (name, rest) = string(blob)?;
        let (exponent, rest) = mpint(rest)?;
        let (modulus, rest) = mpint(rest)?;
        let whole = name == NAME.as_bytes() && rest.is_empty();
        whole.then(|| SshRsaKey::sound(exponent, modulus)).flatten()
    }

    fn of_der(der: &[u8]) -> Option<SshRsaKey> {
        let (info, behind) = element(der, SEQUENCE)?;
        let bits = info.strip_prefix(&RSA_ENCRYPTION)?;
        let (bits, after) = element(bits, BIT_STRING)?;
        let (numbers, rest) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
        let (modulus, exponent) = number(numbers)?;
        let (exponent, last) = number(exponent)?;
        let whole = [behind, after, rest, last].iter().all(|rest| rest.is_empty());
        whole.then(|| SshRsaKey::sound(exponent, modulus)).flatten()
    }

    /// A key that can be one: both numbers odd, the exponent above one.
    fn sound(exponent: &[u8], modulus: &[u8]) -> Option<SshRsaKey> {
        let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        let zeros = modulus.first()?.leading_zeros();
        let bits = modulus.len() * 8 - usize::try_from(zeros).ok()?;
        let sound = is_odd(exponent)
            && exponent != [1]
            && exponent.len() <= modulus.len()
            && is_odd(modulus)
            && MODULUS_BITS.contains(&bits);
        sound.then(|| SshRsaKey {
            exponent: exponent.to_vec(),
            modulus: modulus.to_vec(),
        })
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        push_string(&mut blob, NAME.as_bytes());
        push_mpint(&mut blob, &self.exponent);
        push_mpint(&mut blob, &self.modulus);
        blob
    }

    /// `ssh-rsa BASE64`
    pub fn to_ssh(&self) -> String {
        format!("{NAME} {}", STANDARD.encode(self.blob()))
    }

    /// With a line feed at the end.
    pub fn to_pem(&self) -> String {
        let body = STANDARD.encode(self.to_der().expect("a key of at most 16,384 bits fits into DER"));
        let mut pem = format!("{BEGIN}\n");
        for line in body.as_bytes().chunks(PEM_LINE_CHARACTERS) {
            pem.extend(line.iter().map(|byte| char::from(*byte)));
            pem.push('\n');
        }
        pem.push_str(END);
        pem.push('\n');
        pem
    }

    fn to_der(&self) -> Option<Vec<u8>> {
        let mut numbers = written_number(&self.modulus)?;
        numbers.extend(written_number(&self.exponent)?);
        let mut bits = vec![0];
        bits.extend(written(SEQUENCE, &numbers)?);
        let mut info = RSA_ENCRYPTION.to_vec();
        info.extend(written(BIT_STRING, &bits)?);
        written(SEQUENCE, &info)
    }

    /// The MD5 digest by which people compare keys (RFC 4716, 4): sixteen bytes
    /// in hexadecimal, with colons between. It guards nothing.
    pub fn fingerprint(&self) -> String {
        let digest = Md5::digest(self.blob());
        let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        bytes.join(":")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Random;
    use crate::key::{BackingKey, KeySpec};

    /// Made by OpenSSH's `ssh-keygen -t rsa -b 2048`, and told by `-e -m PKCS8` and `-l -E md5`.
    const SSH: &str = include_str!("../tests/ssh/id_rsa.pub");
    const PEM: &str = include_str!("../tests/ssh/id_rsa.pem");
    const FINGERPRINT: &str = include_str!("../tests/ssh/id_rsa.md5");

    #[test]
    fn a_key_of_openssh_is_told_as_openssh_tells_it() {
        let key = SshRsaKey::parse(SSH).unwrap();
        assert_eq!(SshRsaKey::parse(PEM).unwrap(), key);
        assert_eq!(key.to_pem(), PEM);
        assert!(SSH.starts_with(&key.to_ssh()));
        assert_eq!(key.fingerprint(), FINGERPRINT.trim());
        assert_eq!(SshRsaKey::parse(&key.to_ssh()).unwrap(), key);
    }

    #[test]
    fn keys_of_the_provider_are_read() {
        let key = BackingKey::generate(KeySpec::Rsa3072, &Random::seeded(1)).unwrap();
        let der = key.public_key_der().unwrap();
        assert_eq!(SshRsaKey::of_der(der).unwrap().to_der().unwrap(), der);
        let other = BackingKey::generate(KeySpec::EccNistP256, &Random::seeded(1)).unwrap();
        assert_eq!(SshRsaKey::of_der(other.public_key_der().unwrap()), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = SshRsaKey::parse(SSH).unwrap();
        for text in [
            "",
            "ssh-rsa",
            "ssh-rsa !",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----",
        ] {
            assert_eq!(SshRsaKey::parse(text), Err(BadSshKey::Encoding), "{text}");
        }
        let spelled = |blob: &[u8]| format!("ssh-rsa {}", STANDARD.encode(blob));
        let mut longer = key.blob();
        longer.push(0);
        let short = SshRsaKey {
            modulus: vec![0xff; 128],
            ..key.clone()
        };
        let even = SshRsaKey {
            exponent: vec![2],
            ..key.clone()
        };
        let one = SshRsaKey {
            exponent: vec![1],
            ..key.clone()
        };
        for blob in [longer, short.blob(), even.blob(), one.blob(), vec![0xff; 8]] {
            assert_eq!(SshRsaKey::parse(&spelled(&blob)), Err(BadSshKey::Key));
        }
        let pem = PEM.replace("MII", "MIJ");
        assert!(SshRsaKey::parse(&pem).is_err());
    }

    proptest! {
        #[test]
        fn reading_is_total(blob in prop::collection::vec(any::<u8>(), 0..80), text in "\\PC{0,80}") {
            SshRsaKey::of_blob(&blob);
            SshRsaKey::of_der(&blob);
            let _ = SshRsaKey::parse(&text);
        }
    }
}
