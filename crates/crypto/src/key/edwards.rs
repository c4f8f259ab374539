//! Ed25519 and Ed25519ph (RFC 8032).
//!
//! The provider signs messages. It has no Ed25519ph, which comes from
//! `ed25519-dalek`; both work from the same seed. A signature of one is not a
//! signature of the other: Ed25519ph hashes a prefix of its own.
//! Private keys are PKCS#8 DER, public keys SubjectPublicKeyInfo DER.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use ed25519_dalek::ed25519::signature::digest::{
    FixedOutput, HashMarker, Output, OutputSizeUser, Update, typenum::U64,
};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use ground::Secret;
use zeroize::Zeroize as _;

use super::input::Input;
use super::{KeySpec, SigningAlgorithm};
use crate::Error;

const SPEC: KeySpec = KeySpec::EccNistEdwards25519;

/// The SubjectPublicKeyInfo of an Ed25519 key up to the 32 bytes of the key.
/// Source: RFC 8410, 4; it has no parameters, so there is one encoding.
const PUBLIC_KEY_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A private key made ready for both algorithms.
pub(super) struct EdwardsPrivate {
    message: Ed25519KeyPair,
    prehash: SigningKey,
}

impl EdwardsPrivate {
    pub(super) fn generate() -> Result<EdwardsPrivate, Error> {
        let message = Ed25519KeyPair::generate().map_err(|_| Error::Provider("Ed25519 key generation"))?;
        EdwardsPrivate::new(message)
    }

    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<EdwardsPrivate, Error> {
        EdwardsPrivate::new(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Error::BadKey(SPEC))?)
    }

    fn new(message: Ed25519KeyPair) -> Result<EdwardsPrivate, Error> {
        let broken = || Error::Provider("Ed25519 seed");
        let seed = message.seed().map_err(|_| broken())?;
        let seed = seed.as_be_bytes().map_err(|_| broken())?;
        let mut bytes: [u8; 32] = seed.as_ref().try_into().map_err(|_| broken())?;
        let prehash = SigningKey::from_bytes(&bytes);
        bytes.zeroize();
        Ok(EdwardsPrivate { message, prehash })
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, Error> {
        // Version 1 of the format, without the public key: OpenSSL reads no other.
        let der = self
            .message
            .to_pkcs8v1()
            .map_err(|_| Error::Provider("Ed25519 private key to PKCS#8"))?;
        Ok(Secret::new(der.as_ref().to_vec()))
    }

    pub(super) fn public_key_der(&self) -> Result<Vec<u8>, Error> {
        let der: PublicKeyX509Der<'_> = self
            .message
            .public_key()
            .as_der()
            .map_err(|_| Error::Provider("Ed25519 public key to DER"))?;
        Ok(der.as_ref().to_vec())
    }

    pub(super) fn sign(&self, algorithm: SigningAlgorithm, input: &Input<'_>) -> Result<Vec<u8>, Error> {
        match input {
            Input::Message(message) => {
                let signature = self
                    .message
                    .try_sign(message)
                    .map_err(|_| Error::Provider("Ed25519 sign"))?;
                Ok(signature.as_ref().to_vec())
            }
            Input::Prehash(digest) => {
                let signature = self
                    .prehash
                    .sign_prehashed(Prehash(*digest), None)
                    .map_err(|_| Error::Provider("Ed25519ph sign"))?;
                Ok(signature.to_bytes().to_vec())
            }
            Input::Digest(_) | Input::Representative(_) => Err(Error::Unsupported {
                spec: SPEC,
                algorithm: algorithm.as_str(),
            }),
        }
    }
}

/// A public key made ready for both algorithms.
pub(super) struct EdwardsPublic {
    message: ParsedPublicKey,
    prehash: VerifyingKey,
}

impl EdwardsPublic {
    pub(super) fn from_der(der: &[u8]) -> Result<EdwardsPublic, Error> {
        let bad_key = || Error::BadKey(SPEC);
        let key = der.strip_prefix(&PUBLIC_KEY_PREFIX).ok_or_else(bad_key)?;
        let key: &[u8; 32] = key.try_into().map_err(|_| bad_key())?;
        let prehash = VerifyingKey::from_bytes(key).map_err(|_| bad_key())?;
        let message = ParsedPublicKey::new(&ED25519, der).map_err(|_| bad_key())?;
        Ok(EdwardsPublic { message, prehash })
    }

    pub(super) fn verify(
        &self,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        match input {
            Input::Message(message) => self
                .message
                .verify_sig(message, signature)
                .map_err(|_| Error::BadSignature),
            Input::Prehash(digest) => {
                let signature = Signature::from_slice(signature).map_err(|_| Error::BadSignature)?;
                self.prehash
                    .verify_prehashed_strict(Prehash(*digest), None, &signature)
                    .map_err(|_| Error::BadSignature)
            }
            Input::Digest(_) | Input::Representative(_) => Err(Error::Unsupported {
                spec: SPEC,
                algorithm: algorithm.as_str(),
            }),
        }
    }
}

/// A SHA-512 digest made elsewhere, in the shape of a hash function that has
/// already been fed: `ed25519-dalek` takes a hasher and asks for its result.
struct Prehash([u8; 64]);

impl Default for Prehash {
    fn default() -> Prehash {
        Prehash([0; 64])
    }
}

impl HashMarker for Prehash {}

impl OutputSizeUser for Prehash {
    type OutputSize = U64;
}

impl Update for Prehash {
    /// Nothing is fed to a digest that is already finished; `sign_prehashed`
    /// and `verify_prehashed_strict` only ask for the result.
    fn update(&mut self, _data: &[u8]) {}
}

impl FixedOutput for Prehash {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}
