//! Identifiers in the spellings AWS gives them.
//!
//! Every function takes its random bytes from the caller (`crypto::Random`
//! makes them), so that a fixed seed gives fixed ids.

use crate::{AccountId, Timestamp};

const HEX: &[u8; 16] = b"0123456789abcdef";
/// The two digits of every byte.
static PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A version 4 UUID in lower case with hyphens, as request and event ids.
pub fn uuid(mut random: [u8; 16]) -> String {
    random[6] = (random[6] & 0x0f) | 0x40;
    hyphenated(random)
}

/// A version 7 UUID (RFC 9562, 5.7): the moment in milliseconds, then 74 of
/// the given random bits. Ids made later sort behind, so rows under them are
/// written side by side instead of all over the store.
pub fn uuid_at(moment: Timestamp, random: [u8; 16]) -> String {
    let mut bytes = led_by(moment, random);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    hyphenated(bytes)
}

/// Random bytes of which the first 48 bits are the moment in milliseconds, for
/// ids that are to sort by their time and must look like other UUIDs.
pub fn led_by(moment: Timestamp, mut random: [u8; 16]) -> [u8; 16] {
    let milliseconds = u64::try_from(moment.0).unwrap_or(0).to_be_bytes();
    random[..6].copy_from_slice(&milliseconds[2..]);
    random
}

/// The sixteen bytes of a UUID in lower case, as [`uuid`] spells them; `None` for any other text.
pub fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut wrong = 0;
    for (byte, at) in bytes.iter_mut().zip(PLACES) {
        let (high, low) = (VALUES[usize::from(text[at])], VALUES[usize::from(text[at + 1])]);
        // A digit has four bits at most.
        wrong |= (high | low) & 0xf0;
        *byte = high << 4 | low;
    }
    for at in [8, 13, 18, 23] {
        wrong |= text[at] ^ b'-';
    }
    (wrong == 0).then_some(bytes)
}

/// The value of every hexadecimal digit in lower case, and 255 for all other bytes.
static VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[HEX[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Where in a UUID the digits of each byte stand.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The sixteen bytes as text, with the variant of RFC 9562.
fn hyphenated(mut random: [u8; 16]) -> String {
    random[8] = (random[8] & 0x3f) | 0x80;
    // Two of these are made for every request, so they are not left to `format!`.
    let mut text = [b'-'; 36];
    for (byte, at) in random.into_iter().zip(PLACES) {
        text[at..at + 2].copy_from_slice(&PAIRS[usize::from(byte)]);
    }
    std::str::from_utf8(&text)
        .expect("hexadecimal digits and hyphens are ASCII")
        .to_owned()
}

/// A unique id of an IAM entity: `prefix` (`AIDA`, `AROA`, …) and 17 base32
/// characters, 21 in all.
pub fn entity_id(prefix: &str, random: [u8; 17]) -> String {
    let tail = random
        .iter()
        .map(|byte| char::from(BASE32[usize::from(byte & 31)]));
    prefix.chars().chain(tail).collect()
}

/// An access key id: `AKIA` or `ASIA` and 16 base32 characters that carry the
/// account, as secret scanners and `GetAccessKeyInfo` expect.
///
/// The first six of the ten encoded bytes, big-endian, hold a 1 bit, the
/// account number in the next 40 bits and 7 random bits.
pub fn access_key_id(prefix: &str, account: AccountId, random: [u8; 10]) -> String {
    let mut bytes = random;
    let head = (1u64 << 47) | (account.number() << 7) | u64::from(random[5] & 0x7f);
    bytes[..6].copy_from_slice(&head.to_be_bytes()[2..]);
    let mut text = String::with_capacity(20);
    text.push_str(prefix);
    let number = bytes
        .iter()
        .fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
    for at in 0..16 {
        let index = (number >> (75 - 5 * at)) & 31;
        text.push(char::from(BASE32[usize::try_from(index).unwrap_or(0)]));
    }
    text
}

/// The account an access key id was made for; `None` if it carries none.
pub fn account_of_access_key(id: &str) -> Option<AccountId> {
    let tail = id.get(4..)?;
    if tail.len() != 16 {
        return None;
    }
    let mut number = 0u128;
    for byte in tail.bytes() {
        let index = BASE32.iter().position(|letter| *letter == byte)?;
        number = (number << 5) | u128::try_from(index).ok()?;
    }
    let head = u64::try_from(number >> 32).ok()?;
    if head >> 47 == 0 {
        return None;
    }
    AccountId::from_number((head & 0x7fff_ffff_ff80) >> 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_version_four() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_uuid_is_read_as_it_is_spelled() {
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        let bytes = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        assert_eq!(uuid_bytes(text).unwrap(), [bytes, bytes].concat()[..]);
        for wrong in [
            "",
            "01234567-89ab-cdef-0123-456789abcde",
            "01234567-89ab-cdef-0123-456789abcdeff",
            "01234567-89AB-cdef-0123-456789abcdef",
            "01234567089ab-cdef-0123-456789abcdef",
            "0123456--89ab-cdef-0123-456789abcdef",
            "01234567-89ab-cdef-0123-456789abcdeg",
            "01234567-89ab-cdef-0123-456789abcd\u{e9}",
        ] {
            assert!(uuid_bytes(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn ids_made_later_sort_behind() {
        let ids = [0, 1, 255, 256, 1_700_000_000_000, 1_700_000_000_001]
            .map(|moment| uuid_at(Timestamp(moment), [0xff; 16]));
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[4], "018bcfe5-6800-7fff-bfff-ffffffffffff");
        assert_eq!(
            uuid_at(Timestamp(-1), [0; 16]),
            "00000000-0000-7000-8000-000000000000"
        );
    }

    #[test]
    fn access_key_carries_its_account() {
        for text in ["000000000000", "123456789012", "999999999999"] {
            let account = AccountId::parse(text).unwrap();
            for fill in [0u8, 0x55, 0xff] {
                let id = access_key_id("AKIA", account, [fill; 10]);
                assert_eq!(id.len(), 20);
                assert_eq!(account_of_access_key(&id), Some(account), "{id}");
            }
        }
    }

    /// The prefix of a key id published in AWS's own documentation and its account,
    /// as observed in public recordings: the last characters do not matter.
    #[test]
    fn reads_a_published_key() {
        assert_eq!(
            account_of_access_key("ASIAY34FZKBOKMUTVV7A"),
            AccountId::parse("609629065308").ok()
        );
    }

    #[test]
    fn nonsense_has_no_account() {
        for text in [
            "",
            "AKIA",
            "AKIA00000000000000000",
            "AKIAé",
            "AKIAIOSFODNN7EXAMPLE",
        ] {
            assert_eq!(account_of_access_key(text), None, "{text}");
        }
    }
}
