//! What can go wrong with keys, ciphertexts and signatures.
//!
//! Messages name the algorithm, the length and the key spec, never a key, a
//! plaintext or a digest.

use crate::key::{KeySpec, MessageType, SigningAlgorithm};

/// A refusal of a cryptographic operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A ciphertext was not made by us, was changed, or belongs to another key
    /// or context. Nothing tells these apart, on purpose.
    #[error("the ciphertext does not open under this key and context")]
    BadCiphertext,
    /// Bytes that should hold a key do not.
    #[error("the bytes are not a key of spec {0}")]
    BadKey(KeySpec),
    /// A message authentication code is not that of the message.
    #[error("the message authentication code does not match")]
    BadMac,
    /// A signature is not that of the message.
    #[error("the signature does not match")]
    BadSignature,
    /// A digest has not the length of the algorithm's hash.
    #[error("a digest for {algorithm} has {expected} bytes, not {given}")]
    DigestLength {
        /// The algorithm asked for.
        algorithm: SigningAlgorithm,
        /// The length of its digest in bytes.
        expected: usize,
        /// The length given in bytes.
        given: usize,
    },
    /// The algorithm signs messages only, or digests only.
    #[error("{algorithm} does not take a message of type {message_type}")]
    MessageType {
        /// The algorithm asked for.
        algorithm: SigningAlgorithm,
        /// What the caller called the message.
        message_type: MessageType,
    },
    /// The plaintext does not fit the algorithm.
    #[error("a plaintext of {given} bytes is longer than {max}")]
    PlaintextLength {
        /// The length given in bytes.
        given: usize,
        /// The longest plaintext in bytes.
        max: usize,
    },
    /// The provider failed where its contract says that it does not.
    #[error("the cryptography provider failed: {0}")]
    Provider(&'static str),
    /// A key reference for an envelope is empty or too long.
    #[error("a key reference of {given} bytes is not between 1 and {max}")]
    ReferenceLength {
        /// The length given in bytes.
        given: usize,
        /// The longest reference in bytes.
        max: usize,
    },
    /// A key of this spec has no such algorithm.
    #[error("a key of spec {spec} does not do {algorithm}")]
    Unsupported {
        /// The spec of the key.
        spec: KeySpec,
        /// The algorithm asked for, in AWS's spelling.
        algorithm: &'static str,
    },
}
