//! What is signed: a message to be hashed here, or a digest made elsewhere.

use aws_lc_rs::digest::{self, Digest};

use super::{MessageType, SigningAlgorithm};
use crate::Error;

/// A message that fits its algorithm.
pub(super) enum Input<'a> {
    /// The message; the provider hashes it.
    Message(&'a [u8]),
    /// A digest of the right length for a provider algorithm.
    Digest(Digest),
    /// A SHA-512 digest for Ed25519ph.
    Prehash([u8; 64]),
    /// What ML-DSA makes of public key and message, computed outside.
    Representative([u8; 64]),
}

impl<'a> Input<'a> {
    pub(super) fn new(
        algorithm: SigningAlgorithm,
        message_type: MessageType,
        bytes: &'a [u8],
    ) -> Result<Input<'a>, Error> {
        let wrong_type = Error::MessageType {
            algorithm,
            message_type,
        };
        let wrong_length = Error::DigestLength {
            algorithm,
            expected: algorithm.digest_bytes(),
            given: bytes.len(),
        };
        match (message_type, hash(algorithm)) {
            (MessageType::Raw, Hash::Provider(_) | Hash::Within | Hash::Lattice) => Ok(Input::Message(bytes)),
            (MessageType::ExternalMu, Hash::Lattice) => {
                let mu = bytes.try_into().map_err(|_| wrong_length)?;
                Ok(Input::Representative(mu))
            }
            (MessageType::Digest, Hash::Provider(hash)) => {
                let digest = Digest::import_less_safe(bytes, hash).map_err(|_| wrong_length)?;
                Ok(Input::Digest(digest))
            }
            (MessageType::Digest, Hash::Before) => {
                let digest = bytes.try_into().map_err(|_| wrong_length)?;
                Ok(Input::Prehash(digest))
            }
            (MessageType::Raw, Hash::Before)
            | (MessageType::Digest, Hash::Within | Hash::Lattice)
            | (MessageType::ExternalMu, Hash::Provider(_) | Hash::Within | Hash::Before) => Err(wrong_type),
        }
    }
}

/// Where an algorithm hashes.
enum Hash {
    /// Before signing, by the provider or by the caller.
    Provider(&'static digest::Algorithm),
    /// Inside the signature scheme: only the message will do (Ed25519).
    Within,
    /// Inside the signature scheme, or a part of it by the caller (ML-DSA).
    Lattice,
    /// Before signing, by the caller alone (Ed25519ph, as KMS offers it).
    Before,
}

fn hash(algorithm: SigningAlgorithm) -> Hash {
    match algorithm {
        SigningAlgorithm::RsassaPssSha256
        | SigningAlgorithm::RsassaPkcs1V15Sha256
        | SigningAlgorithm::EcdsaSha256 => Hash::Provider(&digest::SHA256),
        SigningAlgorithm::RsassaPssSha384
        | SigningAlgorithm::RsassaPkcs1V15Sha384
        | SigningAlgorithm::EcdsaSha384 => Hash::Provider(&digest::SHA384),
        SigningAlgorithm::RsassaPssSha512
        | SigningAlgorithm::RsassaPkcs1V15Sha512
        | SigningAlgorithm::EcdsaSha512 => Hash::Provider(&digest::SHA512),
        SigningAlgorithm::Ed25519Sha512 => Hash::Within,
        SigningAlgorithm::Ed25519PhSha512 => Hash::Before,
        SigningAlgorithm::MlDsaShake256 => Hash::Lattice,
    }
}
