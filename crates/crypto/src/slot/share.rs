//! A recovery share as text that people print, read aloud and type.
//!
//! `PSHARE-` and 69 characters of Crockford's base 32 in groups of six. They
//! hold, in bytes: the version of this format (1), the set (4), the threshold
//! (1), the number of the share (1), its value (32) and a checksum (4).
//!
//! Reading ignores case, spaces and hyphens, and takes the letters O, I and L
//! for the digits they look like. The checksum finds any slip of the hand, and
//! the set tells which shares belong together.

use std::fmt;

use ground::Secret;
use zeroize::Zeroize as _;

use super::error::SlotError;
use super::shamir::{Point, SECRET_BYTES};
use crate::hash::sha256;

/// The longest text that is worth reading as a share, separators included.
pub const SHARE_TEXT_BYTES_MAX: usize = 256;

const PREFIX: &str = "PSHARE";
const FORMAT: u8 = 1;
const BODY_BYTES: usize = 1 + 4 + 1 + 1 + SECRET_BYTES;
const CHECKSUM_BYTES: usize = 4;
const SHARE_BYTES: usize = BODY_BYTES + CHECKSUM_BYTES;
const DIGITS: usize = (SHARE_BYTES * 8).div_ceil(5);
const GROUP_DIGITS: usize = 6;
/// Crockford's alphabet: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Names the shares that were issued together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetId(pub(super) [u8; 4]);

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One share of a recovery key. Enough of them open the store: each is a
/// secret, shown once, when it is issued.
pub struct RecoveryShare {
    pub(super) set: SetId,
    pub(super) threshold: u8,
    pub(super) point: Point,
}

/// Why a text is not a share. The caller knows which text it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BadShare {
    NotAShare,
    Mistyped,
}

impl RecoveryShare {
    /// The set it belongs to.
    pub fn set(&self) -> SetId {
        self.set
    }

    /// Its number in the set, from 1.
    pub fn number(&self) -> u8 {
        self.point.x
    }

    /// How many shares of the set open the store.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// The share as text, to be shown to its keeper and to nobody else.
    pub fn to_text(&self) -> Secret<String> {
        let mut bytes = Secret::new([0; SHARE_BYTES]);
        {
            let bytes = bytes.expose_mut();
            bytes[0] = FORMAT;
            bytes[1..5].copy_from_slice(&self.set.0);
            bytes[5] = self.threshold;
            bytes[6] = self.point.x;
            bytes[7..BODY_BYTES].copy_from_slice(self.point.y.expose());
            let checksum = checksum(&bytes[..BODY_BYTES]);
            bytes[BODY_BYTES..].copy_from_slice(&checksum);
        }
        let groups = DIGITS.div_ceil(GROUP_DIGITS);
        let mut text = Secret::new(String::with_capacity(PREFIX.len() + DIGITS + groups));
        text.expose_mut().push_str(PREFIX);
        for digit in 0..DIGITS {
            if digit % GROUP_DIGITS == 0 {
                text.expose_mut().push('-');
            }
            let value = (0..5).fold(0, |value, bit| {
                (value << 1) | bit_at(bytes.expose(), digit * 5 + bit)
            });
            text.expose_mut().push(char::from(ALPHABET[usize::from(value)]));
        }
        text
    }

    /// Reads a share as typed, so that a slip can be pointed out at once.
    /// `position` is its place among the shares given, from 1, for the error.
    ///
    /// # Errors
    ///
    /// [`SlotError::NotAShare`] or [`SlotError::MistypedShare`]. Whether the
    /// share opens anything is another question.
    pub fn read(text: &str, position: usize) -> Result<RecoveryShare, SlotError> {
        RecoveryShare::parse(text).map_err(|bad| match bad {
            BadShare::NotAShare => SlotError::NotAShare { position },
            BadShare::Mistyped => SlotError::MistypedShare { position },
        })
    }

    fn parse(text: &str) -> Result<RecoveryShare, BadShare> {
        if text.len() > SHARE_TEXT_BYTES_MAX {
            return Err(BadShare::NotAShare);
        }
        let mut plain = Secret::new(String::with_capacity(text.len()));
        for letter in text
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
        {
            plain.expose_mut().push(letter.to_ascii_uppercase());
        }
        let digits = plain.expose().strip_prefix(PREFIX).ok_or(BadShare::NotAShare)?;
        if digits.len() != DIGITS {
            return Err(BadShare::Mistyped);
        }
        let mut bytes = Secret::new([0u8; SHARE_BYTES]);
        for (at, digit) in digits.bytes().enumerate() {
            let value = digit_value(digit).ok_or(BadShare::Mistyped)?;
            for bit in 0..5 {
                let set = (value >> (4 - bit)) & 1;
                match bytes.expose_mut().get_mut((at * 5 + bit) / 8) {
                    Some(byte) => *byte |= set << (7 - (at * 5 + bit) % 8),
                    // The last digit has one bit too many, which is zero.
                    None if set == 0 => {}
                    None => return Err(BadShare::Mistyped),
                }
            }
        }
        let (body, found) = bytes.expose().split_at(BODY_BYTES);
        if checksum(body) != found {
            return Err(BadShare::Mistyped);
        }
        let (head, value) = body.split_at(BODY_BYTES - SECRET_BYTES);
        let [FORMAT, a, b, c, d, threshold, x] = *head else {
            return Err(BadShare::NotAShare);
        };
        if x == 0 || threshold == 0 {
            return Err(BadShare::NotAShare);
        }
        let mut y = Secret::new([0; SECRET_BYTES]);
        y.expose_mut().copy_from_slice(value);
        Ok(RecoveryShare {
            set: SetId([a, b, c, d]),
            threshold,
            point: Point { x, y },
        })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut digest = sha256(&[b"palisade recovery share v1", body]);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    digest.zeroize();
    checksum
}

/// The bit, counted from the first byte's highest; beyond the end it is zero.
fn bit_at(bytes: &[u8], bit: usize) -> u8 {
    bytes.get(bit / 8).map_or(0, |byte| (byte >> (7 - bit % 8)) & 1)
}

fn digit_value(digit: u8) -> Option<u8> {
    let digit = match digit {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    let at = ALPHABET.iter().position(|known| *known == digit)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(set: [u8; 4], threshold: u8, x: u8, y: [u8; SECRET_BYTES]) -> RecoveryShare {
        RecoveryShare {
            set: SetId(set),
            threshold,
            point: Point { x, y: Secret::new(y) },
        }
    }

    fn parts(share: &RecoveryShare) -> ([u8; 4], u8, u8, [u8; SECRET_BYTES]) {
        (
            share.set.0,
            share.threshold,
            share.point.x,
            *share.point.y.expose(),
        )
    }

    proptest! {
        #[test]
        fn text_is_read_back(
            set in any::<[u8; 4]>(),
            threshold in 1u8..,
            x in 1u8..,
            y in any::<[u8; SECRET_BYTES]>(),
        ) {
            let share = share(set, threshold, x, y);
            let text = share.to_text();
            prop_assert_eq!(text.expose().len(), 6 + DIGITS + DIGITS.div_ceil(GROUP_DIGITS));
            let read = RecoveryShare::parse(text.expose()).ok().map(|share| parts(&share));
            prop_assert_eq!(read, Some(parts(&share)));
            let sloppy = format!("  {} ", text.expose().to_lowercase().replace('-', " ").replace('0', "o"));
            let read = RecoveryShare::parse(&sloppy).ok().map(|share| parts(&share));
            prop_assert_eq!(read, Some(parts(&share)));
        }

        #[test]
        fn parse_is_total(text in ".{0,100}") {
            prop_assert!(RecoveryShare::parse(&text).is_err());
            let prefixed = format!("PSHARE-{text}");
            prop_assert!(RecoveryShare::parse(&prefixed).is_err());
        }
    }

    #[test]
    fn every_slip_is_found() {
        let text = share([1, 2, 3, 4], 2, 1, [0x5a; SECRET_BYTES]).to_text();
        let text = text.expose();
        for at in "PSHARE-".len()..text.len() {
            if text.as_bytes()[at] == b'-' {
                continue;
            }
            for letter in ALPHABET.iter().map(|letter| char::from(*letter)) {
                let mut slip = text.clone();
                slip.replace_range(at..=at, &letter.to_string());
                if slip != *text {
                    assert_eq!(RecoveryShare::parse(&slip).err(), Some(BadShare::Mistyped));
                }
            }
            let mut missing = text.clone();
            missing.remove(at);
            assert_eq!(RecoveryShare::parse(&missing).err(), Some(BadShare::Mistyped));
        }
        for stranger in [
            "",
            "correct horse battery staple",
            "AGE-SECRET-KEY-1QQ",
            &"9".repeat(10_000),
        ] {
            assert_eq!(RecoveryShare::parse(stranger).err(), Some(BadShare::NotAShare));
        }
    }
}
