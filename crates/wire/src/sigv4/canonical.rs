//! The canonical request: the one spelling of a request that both sides hash.
//!
//! Two spellings of the path exist. S3 takes each byte once: the path is
//! decoded and encoded again, and nothing is normalised. Every other service
//! removes dot segments and repeated slashes and then encodes the path as it
//! was sent, so that a `%` in it becomes `%25`.
//!
//! The query is decoded and encoded again, `+` being a space, and its
//! parameters are sorted by encoded name, then by encoded value. Header values
//! lose surrounding white space, and runs of spaces and tabs within them become
//! one space.

use std::borrow::Cow;

use http::HeaderMap;

use super::pieces::pieces;

/// Bytes that are never percent-encoded (RFC 3986, "unreserved").
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] =
            matches!(byte as u8, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// A path without dot segments and repeated slashes: what services other than
/// S3 sign, and so what a router must look at.
pub fn normalized_path(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let plain = bytes
        .windows(2)
        .all(|pair| pair[0] != b'/' || !matches!(pair[1], b'/' | b'.'));
    if plain && bytes.first() == Some(&b'/') {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if kept.is_empty() || path.ends_with('/') {
        normal.push('/');
    }
    Cow::Owned(normal)
}

/// Appends the canonical path.
pub(crate) fn write_path(path: &str, like_s3: bool, out: &mut Vec<u8>) {
    if like_s3 {
        if path.is_empty() {
            out.push(b'/');
        }
        let bytes = path.as_bytes();
        let mut at = 0;
        while let Some((byte, length)) = decode_at(bytes, at) {
            // A slash that was encoded stays encoded: it is not a separator.
            if byte == b'/' && length == 1 {
                out.push(byte);
            } else {
                write_encoded(byte, out);
            }
            at += length;
        }
    } else {
        for byte in normalized_path(path).bytes() {
            if byte == b'/' {
                out.push(byte);
            } else {
                write_encoded(byte, out);
            }
        }
    }
}

/// Appends the canonical query, leaving out the parameter named `without`.
pub(crate) fn write_query(query: &str, without: Option<&str>, out: &mut Vec<u8>) {
    if query.is_empty() {
        return;
    }
    let mut encoded: Vec<u8> = Vec::with_capacity(query.len() + query.len() / 4);
    let mut pairs: Vec<(usize, usize, usize)> = Vec::with_capacity(16);
    for (name, value) in parameters(query) {
        let start = encoded.len();
        write_component(name, &mut encoded);
        let middle = encoded.len();
        if without.is_some_and(|without| without.as_bytes() == &encoded[start..]) {
            encoded.truncate(start);
            continue;
        }
        write_component(value, &mut encoded);
        pairs.push((start, middle, encoded.len()));
    }
    let of = |&(start, middle, end): &(usize, usize, usize)| (&encoded[start..middle], &encoded[middle..end]);
    pairs.sort_by(|left, right| of(left).cmp(&of(right)));
    for (index, pair) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        let (name, value) = of(pair);
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// The parameters of a query, still encoded; empty pieces are passed over.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// A name or value of a query, decoded; `None` if it is not UTF-8.
pub(crate) fn decode_component(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some((byte, length)) = decode_query_at(bytes, at) {
        decoded.push(byte);
        at += length;
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Appends one name or value of a query in canonical encoding.
pub(crate) fn write_component(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some((byte, length)) = decode_query_at(bytes, at) {
        write_encoded(byte, out);
        at += length;
    }
}

/// Appends a byte, percent-encoded unless unreserved.
pub(crate) fn write_encoded(byte: u8, out: &mut Vec<u8>) {
    if UNRESERVED[usize::from(byte)] {
        out.push(byte);
    } else {
        out.extend_from_slice(&[
            b'%',
            HEX_UPPER[usize::from(byte >> 4)],
            HEX_UPPER[usize::from(byte & 15)],
        ]);
    }
}

/// The byte that is written at `at` and how many bytes its spelling takes. A
/// `%` that does not begin an escape stands for itself.
fn decode_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *bytes.get(at)?;
    if byte == b'%'
        && let (Some(high), Some(low)) = (hex_digit(bytes.get(at + 1)), hex_digit(bytes.get(at + 2)))
    {
        return Some((high << 4 | low, 3));
    }
    Some((byte, 1))
}

fn decode_query_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match decode_at(bytes, at)? {
        (b'+', 1) => Some((b' ', 1)),
        decoded => Some(decoded),
    }
}

fn hex_digit(byte: Option<&u8>) -> Option<u8> {
    match byte? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends the canonical header lines for `signed_headers`; `false` if one of
/// them is not in the request.
pub(crate) fn write_headers(headers: &HeaderMap, signed_headers: &str, out: &mut Vec<u8>) -> bool {
    // Gone through once: the map takes longer to tell its headers than they to be compared.
    let mut sent = Vec::with_capacity(headers.len());
    sent.extend(headers.iter().map(|(name, value)| (name.as_str(), value)));
    for name in pieces(signed_headers, b';') {
        let wanted = sent_name(name);
        let mut values = sent
            .iter()
            .filter_map(|(name, value)| (*name == wanted).then_some(*value));
        let Some(first) = values.next() else {
            return false;
        };
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        write_trimmed(first.as_bytes(), out);
        for value in values {
            out.push(b',');
            write_trimmed(value.as_bytes(), out);
        }
        out.push(b'\n');
    }
    true
}

/// Under which name a signed header is found: HTTP/2 clients may sign the
/// authority under its own name.
pub(crate) fn sent_name(signed: &str) -> &str {
    if signed == ":authority" { "host" } else { signed }
}

/// Appends a header value without surrounding white space and with each run of
/// inner white space as one space.
fn write_trimmed(value: &[u8], out: &mut Vec<u8>) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    // Nearly every value has neither.
    if memchr::memchr2(b' ', b'\t', value).is_none() {
        out.extend_from_slice(value);
        return;
    }
    for (index, word) in value.split(blank).filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// Appends a digest in lower-case hexadecimal.
pub(crate) fn write_hex(digest: &[u8; 32], out: &mut Vec<u8>) {
    out.extend_from_slice(&hex_digest(digest));
}

/// A digest in lower-case hexadecimal.
pub(crate) fn hex_digest(digest: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = HEX_LOWER[usize::from(*byte)];
    }
    text
}

/// The two digits of every byte.
static HEX_LOWER: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str, like_s3: bool) -> String {
        let mut out = Vec::new();
        write_path(path, like_s3, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn query(text: &str) -> String {
        let mut out = Vec::new();
        write_query(text, Some("X-Amz-Signature"), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The relative-path cases of the AWS Signature Version 4 test suite, and what lies beside them.
    #[test]
    fn paths_are_normalised_and_encoded_twice_but_for_s3() {
        for (sent, signed) in [
            ("", "/"),
            ("/", "/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/./example", "/example"),
            ("/example/..", "/"),
            ("/example/../", "/"),
            ("/example1/example2/../..", "/"),
            ("//example//", "/example/"),
            ("/a/./b/../c/", "/a/c/"),
            ("/.hidden/..x", "/.hidden/..x"),
            ("/%2e%2e/x", "/%252e%252e/x"),
            ("/a%20b", "/a%2520b"),
            ("/a:b@c!", "/a%3Ab%40c%21"),
            ("/é", "/%C3%A9"),
            ("relative", "/relative"),
        ] {
            assert_eq!(path(sent, false), signed, "{sent}");
        }
        for (sent, signed) in [
            ("", "/"),
            ("/a//b/../c/.", "/a//b/../c/."),
            ("/a%20b", "/a%20b"),
            ("/a%2fb", "/a%2Fb"),
            ("/a!b", "/a%21b"),
            ("/%7Euser", "/~user"),
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("/a+b", "/a%2Bb"),
        ] {
            assert_eq!(path(sent, true), signed, "{sent}");
        }
    }

    #[test]
    fn queries_are_encoded_again_and_sorted() {
        for (sent, signed) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a-b=1&a=1", "a=1&a-b=1"),
            ("acl", "acl="),
            ("a=%7e&b=%2f&c=/", "a=~&b=%2F&c=%2F"),
            ("a=x+y%2Bz", "a=x%20y%2Bz"),
            ("&&a=b=c&", "a=b%3Dc"),
            ("X-Amz-Signature=1&Z=2", "Z=2"),
            ("X%2DAmz%2DSignature=1&Z=2", "Z=2"),
            ("x-amz-signature=1", "x-amz-signature=1"),
            ("a=%ff%", "a=%FF%25"),
        ] {
            assert_eq!(query(sent), signed, "{sent}");
        }
    }

    #[test]
    fn header_values_are_trimmed_and_folded() {
        for (sent, signed) in [
            ("", ""),
            ("  a  ", "a"),
            ("a   b\t c", "a b c"),
            ("\"a   b\"", "\"a b\""),
            ("a\tb", "a b"),
        ] {
            let mut out = Vec::new();
            write_trimmed(sent.as_bytes(), &mut out);
            assert_eq!(out, signed.as_bytes(), "{sent}");
        }
    }
}
