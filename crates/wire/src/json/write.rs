//! JSON written straight into bytes.

use base64_simd::STANDARD as BASE64;
use ground::Timestamp;
use shape::{Kind, Location, Shape, Structure, TimestampFormat, Value};

/// A structure's members that travel in the body, as an object.
pub(crate) fn body(output: &dyn Structure) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    structure(&mut out, output);
    out
}

/// A structure as an object; members that travel elsewhere are left out.
pub(crate) fn structure(out: &mut Vec<u8>, value: &dyn Structure) {
    out.push(b'{');
    let mut first = true;
    for (at, member) in value.shape().members.iter().enumerate() {
        if member.location != Location::Body {
            continue;
        }
        let Some(item) = value.get(at) else { continue };
        if !first {
            out.push(b',');
        }
        first = false;
        name(out, member.wire_name);
        any(out, member.shape, member.timestamp, item);
    }
    out.push(b'}');
}

/// The name of a member, in quotes and with its colon. The model's names have nothing to escape.
fn name(out: &mut Vec<u8>, name: &str) {
    debug_assert_eq!(
        plain_bytes(name.as_bytes()),
        name.len(),
        "names of members are plain"
    );
    out.reserve(name.len() + 3);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Any value of a shape; `format` is the spelling of a timestamp that its place asks for.
pub(crate) fn any(out: &mut Vec<u8>, shape: &Shape, format: Option<TimestampFormat>, value: Value<'_>) {
    match value {
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(it) => integer(out, i64::from(it)),
        Value::Long(it) => integer(out, it),
        Value::Float(it) if it.is_finite() => plain(out, &it),
        Value::Float(it) => not_finite(out, f64::from(it)),
        Value::Double(it) if it.is_finite() => plain(out, &it),
        Value::Double(it) => not_finite(out, it),
        Value::String(it) => string(out, it),
        Value::Blob(it) => blob(out, it),
        Value::Timestamp(it) => timestamp(out, shape, format, it),
        Value::Structure(it) => structure(out, it),
        Value::Document(it) => document(out, it),
        Value::List(list) => {
            out.push(b'[');
            if let Kind::List { item: shape, .. } = shape.kind {
                for at in 0..list.len() {
                    if at > 0 {
                        out.push(b',');
                    }
                    match list.item(at) {
                        Some(item) => any(out, shape, None, item),
                        None => out.extend_from_slice(b"null"),
                    }
                }
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            if let Kind::Map { value: shape, .. } = shape.kind {
                let mut first = true;
                map.each(&mut |key, item| {
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    string(out, key);
                    out.push(b':');
                    any(out, shape, None, item);
                });
            }
            out.push(b'}');
        }
    }
}

fn timestamp(out: &mut Vec<u8>, shape: &Shape, format: Option<TimestampFormat>, value: Timestamp) {
    let own = match shape.kind {
        Kind::Timestamp { format } => format,
        _ => None,
    };
    match format.or(own).unwrap_or(TimestampFormat::UnixTimestamp) {
        TimestampFormat::UnixTimestamp => epoch(out, value),
        TimestampFormat::Iso8601 => string(out, &value.iso8601()),
        TimestampFormat::Rfc822 => string(out, &value.http_date()),
    }
}

/// Seconds since the epoch, with as many of three decimals as are needed.
pub(crate) fn epoch(out: &mut Vec<u8>, value: Timestamp) {
    let millis = value.0.unsigned_abs();
    if value.0 < 0 {
        out.push(b'-');
    }
    plain(out, &(millis / 1000));
    let mut rest = millis % 1000;
    if rest != 0 {
        out.push(b'.');
        let mut unit = 100;
        while rest != 0 {
            out.push(b'0' + (rest / unit).to_le_bytes()[0]);
            rest %= unit;
            unit /= 10;
        }
    }
}

/// The names that Smithy gives to what JSON numbers cannot be.
fn not_finite(out: &mut Vec<u8>, value: f64) {
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    string(out, name);
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    BASE64.encode_append(bytes, out);
    out.push(b'"');
}

/// Text in quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at(plain_bytes(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = tail.split_first() else {
            break;
        };
        escape(out, byte);
        rest = after;
    }
    out.push(b'"');
}

/// How many bytes at the beginning of a JSON string stand for themselves (RFC 8259, 7).
pub fn plain_bytes(bytes: &[u8]) -> usize {
    // Of a block it is told at once whether there is one to escape, which processors do side by side.
    let (blocks, _) = bytes.as_chunks::<32>();
    let plain = blocks.iter().take_while(|block| {
        let escaped = block.iter().map(|byte| u8::from(is_escaped(*byte)));
        escaped.fold(0, |any, one| any | one) == 0
    });
    let mut done = plain.count() * 32;
    let (words, _) = bytes[done..].as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        if let found @ 1.. = escaped_in(word) {
            return done + found.trailing_zeros() as usize / 8;
        }
        done += 8;
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        // Those of it that were looked at before are plain.
        let found = escaped_in(u64::from_le_bytes(*last));
        return bytes.len() - 8 + found.trailing_zeros() as usize / 8;
    }
    let rest = bytes[done..].iter().position(|byte| is_escaped(*byte));
    rest.map_or(bytes.len(), |at| done + at)
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of the first byte to escape, and perhaps of some after it.
fn escaped_in(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    // A borrow can only come from a byte that is found itself, so the lowest bit found is right.
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ (ONES * u64::from(b'"'));
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGH
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let escape: &[u8] = match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        0x08 => b"\\b",
        0x0c => b"\\f",
        byte => &[
            b'\\',
            b'u',
            b'0',
            b'0',
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ],
    };
    out.extend_from_slice(escape);
}

/// Any JSON.
pub(crate) fn document(out: &mut Vec<u8>, value: &serde_json::Value) {
    plain(out, value);
}

fn integer(out: &mut Vec<u8>, value: i64) {
    plain(out, &value);
}

fn plain<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("numbers and JSON values always go into a vector");
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn spelled(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_numbers_without_needless_zeros() {
        for (millis, text) in [
            (0, "0"),
            (1_767_323_045_000, "1767323045"),
            (1_767_323_045_670, "1767323045.67"),
            (1_005, "1.005"),
            (-1_500, "-1.5"),
            (-1, "-0.001"),
        ] {
            assert_eq!(spelled(|out| epoch(out, Timestamp(millis))), text);
        }
    }

    proptest! {
        /// What we write as a string, any reader reads as the same string.
        #[test]
        fn strings_survive(text in ".*") {
            let json = spelled(|out| string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        /// Where a string must be escaped is found wherever it is.
        #[test]
        fn the_first_byte_to_escape_is_found(text in "[a-zé]{0,80}[ -~é€\\x00-\\x1f]{0,20}") {
            let naive = text.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(plain_bytes(text.as_bytes()), naive.unwrap_or(text.len()));
        }

        /// Blobs are canonical base64.
        #[test]
        fn blobs_survive(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let json = spelled(|out| blob(out, &bytes));
            prop_assert_eq!(STANDARD.decode(json.trim_matches('"')).unwrap(), bytes);
        }

        /// What is no canonical base64 is refused: padding that is missing or too much, bits
        /// behind the last byte, white space. Both libraries of the house agree on what it is.
        #[test]
        fn base64_is_canonical_or_refused(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
            letter in "[A-Za-z0-9+/=_ \n-]",
            place in proptest::num::usize::ANY,
            cut in 0usize..3,
        ) {
            let mut text = STANDARD.encode(&bytes);
            if !text.is_empty() {
                let place = place % text.len();
                text.replace_range(place..=place, &letter);
            }
            text.truncate(text.len().saturating_sub(cut));
            prop_assert_eq!(BASE64.decode_to_vec(&text).ok(), STANDARD.decode(&text).ok(), "{}", text);
        }
    }
}
