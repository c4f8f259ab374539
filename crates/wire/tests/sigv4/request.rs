//! A whole request in memory, as the tests make and spoil it.

use std::sync::Arc;

use ground::Secret;
use http::{HeaderMap, HeaderName, HeaderValue};
use wire::sigv4::{Claim, PayloadHash, RequestParts, SignatureFault, SigningKey};

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_vec(),
        }
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Request {
        let mut request = self.clone();
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    }

    pub(crate) fn without(&self, name: &str) -> Request {
        let mut request = self.clone();
        request
            .headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        request
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Puts `value` in place of a header that is there.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        let header = self
            .headers
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .unwrap();
        header.1 = value;
    }

    pub(crate) fn header_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        map
    }

    pub(crate) fn parts<'a>(&'a self, headers: &'a HeaderMap) -> RequestParts<'a> {
        RequestParts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers,
        }
    }

    pub(crate) fn body_hash(&self) -> [u8; 32] {
        crypto::sha256(&[&self.body])
    }

    /// Verifies as a server does that knows the secret of whatever key is named.
    pub(crate) fn verify(&self, secret: &Secret<String>) -> Result<(), SignatureFault> {
        let headers = self.header_map();
        let parts = self.parts(&headers);
        let claim = Claim::parse(&parts)?;
        let key = Arc::new(SigningKey::derive(claim.access_key_id(), secret, claim.scope()));
        claim.verify(&key, &parts, PayloadHash::Body(&self.body_hash()))
    }
}
