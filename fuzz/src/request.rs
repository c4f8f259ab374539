//! A request as text, so that seeds can be read and a mutation is still a request.
//!
//! ```text
//! POST /path?query
//! name: value
//!
//! body
//! ```
//!
//! A header line without a colon is left out, and so is a header that HTTP does
//! not allow: the server never sees those.

use http::{HeaderMap, HeaderName, HeaderValue};
use wire::RequestHead;
use wire::sigv4::RequestParts;

/// Most headers read. Source: hyper's own limit is 100.
const HEADERS_MAX: usize = 100;

/// A request that was read from its text form.
pub struct TextRequest<'a> {
    /// `POST`
    pub method: &'a str,
    /// As it came, percent-encoded.
    pub path: &'a str,
    /// Without its question mark.
    pub query: &'a str,
    /// Those HTTP allows.
    pub headers: HeaderMap,
    /// All after the first empty line.
    pub body: &'a [u8],
}

impl<'a> TextRequest<'a> {
    /// Reads a request; `None` if its first line is not a method and a target.
    pub fn read(text: &'a [u8]) -> Option<TextRequest<'a>> {
        let (first, mut rest) = line(text);
        let (method, target) = std::str::from_utf8(first).ok()?.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        while !rest.is_empty() {
            let (header, after) = line(rest);
            rest = after;
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header_of(header)
                && headers.len() < HEADERS_MAX
            {
                headers.append(name, value);
            }
        }
        Some(TextRequest {
            method,
            path,
            query,
            headers,
            body: rest,
        })
    }

    /// The request as codecs see it.
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &self.headers,
        }
    }

    /// The request as signatures see it.
    pub fn parts(&self) -> RequestParts<'_> {
        RequestParts {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &self.headers,
        }
    }

    /// A header as ASCII text, if it is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }
}

/// The first line, without its end, and what follows it.
pub fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

fn header_of(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = line[colon + 1..].trim_ascii();
    Some((name, HeaderValue::from_bytes(value).ok()?))
}
