//! The chain of chunk signatures: each signs its chunk and the signature before.
//!
//! Source: Amazon S3 API Reference, "Signature Calculations for the
//! Authorization Header: Transferring Payload in Multiple Chunks" and
//! "… Including Trailing Headers".

use std::sync::Arc;

use super::payload::EMPTY_SHA256;
use super::{Algorithm, Scope, SigningKey, canonical};

/// Verifies (or makes) the signatures of the chunks of one body, in order.
pub struct ChunkChain {
    key: Arc<SigningKey>,
    /// Date and scope, each with its line break.
    moment_and_scope: Vec<u8>,
    /// The signature before, in hexadecimal and without padding.
    previous: String,
}

/// Length of a Version 4A chunk signature on the wire, where `*` pads it.
pub(crate) const V4A_SIGNATURE_CHARS: usize = 144;

impl ChunkChain {
    pub(crate) fn new(key: Arc<SigningKey>, amz_date: &str, scope: &Scope<'_>, seed: &str) -> ChunkChain {
        let mut moment_and_scope = Vec::with_capacity(96);
        moment_and_scope.extend_from_slice(amz_date.as_bytes());
        moment_and_scope.push(b'\n');
        scope.write(&mut moment_and_scope);
        moment_and_scope.push(b'\n');
        ChunkChain {
            key,
            moment_and_scope,
            previous: seed.to_owned(),
        }
    }

    /// Whether `signature` is that of the next chunk, whose data has SHA-256
    /// `data`; if so the chain moves on.
    pub fn verify_chunk(&mut self, data: &[u8; 32], signature: &str) -> bool {
        let text = self.string_to_sign("-PAYLOAD", Some(EMPTY_SHA256), data);
        self.advance(&text, signature)
    }

    /// Whether `signature` is that of the trailer, whose canonical form has
    /// SHA-256 `trailer`; if so the chain moves on.
    pub fn verify_trailer(&mut self, trailer: &[u8; 32], signature: &str) -> bool {
        let text = self.string_to_sign("-TRAILER", None, trailer);
        self.advance(&text, signature)
    }

    /// Signs the next chunk; the signature is padded as it stands on the wire.
    pub fn sign_chunk(&mut self, data: &[u8; 32]) -> String {
        let text = self.string_to_sign("-PAYLOAD", Some(EMPTY_SHA256), data);
        self.sign(&text)
    }

    /// Signs the trailer.
    pub fn sign_trailer(&mut self, trailer: &[u8; 32]) -> String {
        let text = self.string_to_sign("-TRAILER", None, trailer);
        self.sign(&text)
    }

    fn advance(&mut self, text: &[u8], signature: &str) -> bool {
        let bare = match self.key.algorithm() {
            Algorithm::V4 => signature,
            Algorithm::V4a => signature.trim_end_matches('*'),
        };
        let good = self.key.verify(text, bare);
        if good {
            self.previous.clear();
            self.previous.push_str(bare);
        }
        good
    }

    fn sign(&mut self, text: &[u8]) -> String {
        self.previous = self.key.sign(text);
        match self.key.algorithm() {
            Algorithm::V4 => self.previous.clone(),
            Algorithm::V4a => format!("{:*<V4A_SIGNATURE_CHARS$}", self.previous),
        }
    }

    fn string_to_sign(&self, suffix: &str, middle: Option<&str>, hash: &[u8; 32]) -> Vec<u8> {
        let mut text = Vec::with_capacity(384);
        text.extend_from_slice(self.key.algorithm().name().as_bytes());
        text.extend_from_slice(suffix.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(&self.moment_and_scope);
        text.extend_from_slice(self.previous.as_bytes());
        text.push(b'\n');
        if let Some(middle) = middle {
            text.extend_from_slice(middle.as_bytes());
            text.push(b'\n');
        }
        canonical::write_hex(hash, &mut text);
        text
    }
}
