//! How a table's key becomes bytes that sort as the key does.
//!
//! The last component of a key is written as it is. Every component before it
//! is closed by `00 01`, with `00` inside it written as `00 FF`, so that
//! `("a", "b")` sorts before `("ab", "")` and neither can be taken for the
//! other.

use std::marker::PhantomData;

use ground::{AccountId, Region, Timestamp};

use crate::Version;

/// A type that can be the key of a [`crate::Table`].
///
/// Implement [`TextKey`] for names and ids; numbers, times and tuples of keys
/// are covered here.
pub trait Key: Sized + Send + Sync + 'static {
    /// Appends the bytes, which sort as the key does.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`Key::encode`] wrote; `None` for anything else.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// A key that is a piece of text: the usual newtype around a name or id.
///
/// Keys sort by their UTF-8 bytes.
pub trait TextKey: Sized + Send + Sync + 'static {
    /// The key as text.
    fn as_text(&self) -> &str;

    /// The key this text is; `None` if it is none.
    fn from_text(text: &str) -> Option<Self>;
}

impl TextKey for String {
    fn as_text(&self) -> &str {
        self
    }

    fn from_text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl TextKey for Region {
    fn as_text(&self) -> &str {
        self.as_str()
    }

    fn from_text(text: &str) -> Option<Region> {
        Region::parse(text).ok()
    }
}

impl<T: TextKey> Key for T {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_text().as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<T> {
        T::from_text(std::str::from_utf8(bytes).ok()?)
    }
}

impl Key for AccountId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<AccountId> {
        AccountId::parse(std::str::from_utf8(bytes).ok()?).ok()
    }
}

impl Key for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// Moments before 1970 sort before those after.
impl Key for Timestamp {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0 ^ i64::MIN).to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Timestamp> {
        Some(Timestamp(i64::from_be_bytes(bytes.try_into().ok()?) ^ i64::MIN))
    }
}

/// The key of a table of one row.
impl Key for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Option<()> {
        bytes.is_empty().then_some(())
    }
}

/// The key of a row that [`crate::WriteTx::append`] wrote: the version of its
/// commit and its place among the rows appended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    /// The version of the commit.
    pub version: Version,
    /// The place among the rows that commit appended.
    pub place: u16,
}

impl Stamp {
    /// Before every row of the store.
    pub const START: Stamp = Stamp {
        version: Version(0),
        place: 0,
    };
}

impl Key for Stamp {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.0.to_be_bytes());
        out.extend_from_slice(&self.place.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Stamp> {
        let (version, place) = bytes.split_first_chunk::<8>()?;
        Some(Stamp {
            version: Version(u64::from_be_bytes(*version)),
            place: u16::from_be_bytes(place.try_into().ok()?),
        })
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_closed(&self.0, out);
        self.1.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<(A, B)> {
        let (first, rest) = decode_closed(bytes)?;
        Some((first, B::decode(rest)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_closed(&self.0, out);
        encode_closed(&self.1, out);
        self.2.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<(A, B, C)> {
        let (first, rest) = decode_closed(bytes)?;
        let (second, rest) = decode_closed(rest)?;
        Some((first, second, C::decode(rest)?))
    }
}

impl<A: Key, B: Key, C: Key, D: Key> Key for (A, B, C, D) {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_closed(&self.0, out);
        encode_closed(&self.1, out);
        encode_closed(&self.2, out);
        self.3.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<(A, B, C, D)> {
        let (first, rest) = decode_closed(bytes)?;
        let (second, rest) = decode_closed(rest)?;
        let (third, rest) = decode_closed(rest)?;
        Some((first, second, third, D::decode(rest)?))
    }
}

/// The beginning of keys: what a scan is limited to.
#[derive(Clone, Debug)]
pub struct Prefix<K> {
    bytes: Vec<u8>,
    /// Length of the closed components; text behind them is open.
    closed: usize,
    key: PhantomData<fn() -> K>,
}

impl<K: Key> Prefix<K> {
    /// Every key of the table.
    pub fn all() -> Prefix<K> {
        Prefix::of(Vec::new())
    }

    fn of(bytes: Vec<u8>) -> Prefix<K> {
        Prefix {
            closed: bytes.len(),
            bytes,
            key: PhantomData,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn closed(&self) -> usize {
        self.closed
    }
}

impl<K: TextKey> Prefix<K> {
    /// Keys whose text begins with `text`.
    pub fn text(text: &str) -> Prefix<K> {
        Prefix {
            bytes: text.as_bytes().to_vec(),
            closed: 0,
            key: PhantomData,
        }
    }
}

impl<A: Key, B: Key> Prefix<(A, B)> {
    /// Keys whose first component is `first`.
    pub fn first(first: &A) -> Prefix<(A, B)> {
        let mut bytes = Vec::new();
        encode_closed(first, &mut bytes);
        Prefix::of(bytes)
    }

    /// Keys whose first component is `first` and whose second begins with `text`.
    pub fn first_and_text(first: &A, text: &str) -> Prefix<(A, B)>
    where
        B: TextKey,
    {
        let mut prefix = Prefix::<(A, B)>::first(first);
        prefix.bytes.extend_from_slice(text.as_bytes());
        prefix
    }
}

impl<A: Key, B: Key, C: Key> Prefix<(A, B, C)> {
    /// Keys whose first component is `first`.
    pub fn first(first: &A) -> Prefix<(A, B, C)> {
        let mut bytes = Vec::new();
        encode_closed(first, &mut bytes);
        Prefix::of(bytes)
    }

    /// Keys whose first two components are `first` and `second`.
    pub fn first_two(first: &A, second: &B) -> Prefix<(A, B, C)> {
        let mut bytes = Vec::new();
        encode_closed(first, &mut bytes);
        encode_closed(second, &mut bytes);
        Prefix::of(bytes)
    }
}

const CLOSE: u8 = 0x01;
const ESCAPED: u8 = 0xff;

fn encode_closed(component: &impl Key, out: &mut Vec<u8>) {
    let from = out.len();
    component.encode(out);
    let zeros = out[from..].iter().filter(|byte| **byte == 0).count();
    if zeros > 0 {
        let plain = out.split_off(from);
        for byte in plain {
            out.push(byte);
            if byte == 0 {
                out.push(ESCAPED);
            }
        }
    }
    out.extend_from_slice(&[0, CLOSE]);
}

fn decode_closed<A: Key>(bytes: &[u8]) -> Option<(A, &[u8])> {
    let mut plain = Vec::new();
    let mut at = 0;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (0, Some(&CLOSE)) => return Some((A::decode(&plain)?, &bytes[at + 2..])),
            (0, Some(&ESCAPED)) => {
                plain.push(0);
                at += 2;
            }
            (0, _) => return None,
            (byte, _) => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
}

/// The lengths at which a closed component ends within `key`.
///
/// Every prefix a scan can name with closed components alone is among them;
/// bytes of the last component may look like further ends, which costs a
/// spurious invalidation and nothing else.
pub(crate) fn closed_ends(key: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = key.get(at) {
            match (byte, key.get(at + 1)) {
                (0, Some(&CLOSE)) => {
                    at += 2;
                    return Some(at);
                }
                (0, Some(&ESCAPED)) => at += 2,
                _ => at += 1,
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(key: &impl Key) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    proptest! {
        /// Bytes sort as keys do, and read back.
        #[test]
        fn order_and_content_survive(
            a in ("[\0-\u{2}a-c]{0,4}", 0u64..300, "[\0-\u{2}a-c]{0,4}"),
            b in ("[\0-\u{2}a-c]{0,4}", 0u64..300, "[\0-\u{2}a-c]{0,4}"),
        ) {
            prop_assert_eq!(a.cmp(&b), bytes(&a).cmp(&bytes(&b)));
            prop_assert_eq!(<(String, u64, String)>::decode(&bytes(&a)), Some(a));
        }

        #[test]
        fn times_sort_across_the_epoch(a in any::<i64>(), b in any::<i64>()) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(a.cmp(&b), bytes(&a).cmp(&bytes(&b)));
            prop_assert_eq!(Timestamp::decode(&bytes(&a)), Some(a));
        }

        /// A prefix covers exactly the keys with that first component.
        #[test]
        fn a_prefix_covers_its_keys(first in "[\0-\u{2}ab]{0,3}", key in ("[\0-\u{2}ab]{0,3}", "[\0-\u{2}ab]{0,3}")) {
            let prefix = Prefix::<(String, String)>::first(&first);
            prop_assert_eq!(bytes(&key).starts_with(prefix.bytes()), key.0 == first);
            if key.0 == first {
                prop_assert!(closed_ends(&bytes(&key)).any(|end| end == prefix.closed()));
            }
        }

        #[test]
        fn decoding_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = <(String, u64)>::decode(&noise);
            let _ = <(AccountId, Region, Stamp)>::decode(&noise);
            let _ = closed_ends(&noise).count();
        }
    }
}
