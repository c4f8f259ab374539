//! The head of a request, as far as protocols read it.

use http::HeaderMap;
use http::header::{AsHeaderName, CONTENT_TYPE};

use crate::cbor;

/// Method, target and headers of an HTTP request.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// `POST`
    pub method: &'a str,
    /// The path as it came, percent-encoded.
    pub path: &'a str,
    /// The query string as it came, without its question mark; empty if there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl RequestHead<'_> {
    /// A header's value, if it is there once and readable.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        std::str::from_utf8(value.as_bytes()).ok()
    }

    /// The media type of the body, without parameters; `None` when not given.
    pub fn media_type(&self) -> Option<&str> {
        let value = self.header(CONTENT_TYPE)?;
        Some(value.split(';').next().unwrap_or(value).trim())
    }

    /// Whether a body comes with this head, by its media type one of `allowed`, or unnamed.
    pub(crate) fn media_type_is(&self, allowed: &[&str]) -> bool {
        match self.media_type() {
            Some(given) => allowed.iter().any(|allowed| given.eq_ignore_ascii_case(allowed)),
            None => !self.headers.contains_key(CONTENT_TYPE),
        }
    }

    /// Whether the request speaks rpcv2Cbor. No other protocol of these
    /// services has a path beside the root.
    pub fn speaks_cbor(&self) -> bool {
        self.path.len() > 1 && cbor::spoken(self.headers)
    }
}
