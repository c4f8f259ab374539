//! ECDSA over the NIST curves and secp256k1, and ECDH over the NIST curves.
//!
//! Signatures are DER, as KMS gives them. They are not normalised to a low S:
//! whoever writes to a blockchain does that, and a verifier accepts both.
//! Private keys are PKCS#8 DER, public keys SubjectPublicKeyInfo DER.

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair as _, ParsedPublicKey,
};
use ground::Secret;

use super::input::Input;
use super::{KeySpec, SigningAlgorithm};
use crate::Error;

/// A private key made ready.
pub(super) struct EccPrivate(EcdsaKeyPair);

impl EccPrivate {
    pub(super) fn generate(spec: KeySpec) -> Result<EccPrivate, Error> {
        let (signing, _) = curve(spec).ok_or(Error::BadKey(spec))?;
        EcdsaKeyPair::generate(signing)
            .map(EccPrivate)
            .map_err(|_| Error::Provider("elliptic curve key generation"))
    }

    pub(super) fn from_pkcs8(spec: KeySpec, pkcs8: &[u8]) -> Result<EccPrivate, Error> {
        let (signing, _) = curve(spec).ok_or(Error::BadKey(spec))?;
        EcdsaKeyPair::from_pkcs8(signing, pkcs8)
            .map(EccPrivate)
            .map_err(|_| Error::BadKey(spec))
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, Error> {
        let der = self
            .0
            .to_pkcs8v1()
            .map_err(|_| Error::Provider("elliptic curve private key to PKCS#8"))?;
        Ok(Secret::new(der.as_ref().to_vec()))
    }

    pub(super) fn public_key_der(&self) -> Result<Vec<u8>, Error> {
        let der: PublicKeyX509Der<'_> = self
            .0
            .public_key()
            .as_der()
            .map_err(|_| Error::Provider("elliptic curve public key to DER"))?;
        Ok(der.as_ref().to_vec())
    }

    pub(super) fn sign(
        &self,
        spec: KeySpec,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
    ) -> Result<Vec<u8>, Error> {
        let signed = match input {
            Input::Message(message) => self.0.sign(&SystemRandom::new(), message),
            Input::Digest(digest) => self.0.sign_digest(digest),
            Input::Prehash(_) | Input::Representative(_) => {
                return Err(Error::Unsupported {
                    spec,
                    algorithm: algorithm.as_str(),
                });
            }
        };
        let signature = signed.map_err(|_| Error::Provider("ECDSA sign"))?;
        Ok(signature.as_ref().to_vec())
    }
}

impl EccPrivate {
    /// The secret shared with the holder of the other half of `peer`, a
    /// SubjectPublicKeyInfo: the x coordinate of the point both arrive at.
    pub(super) fn agree(&self, spec: KeySpec, peer: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let algorithm = match spec {
            KeySpec::EccNistP256 => &agreement::ECDH_P256,
            KeySpec::EccNistP384 => &agreement::ECDH_P384,
            KeySpec::EccNistP521 => &agreement::ECDH_P521,
            other => return Err(Error::BadKey(other)),
        };
        if !names_its_curve(spec, peer) {
            return Err(Error::BadKey(spec));
        }
        let own = self.to_pkcs8()?;
        let own = agreement::PrivateKey::from_private_key_der(algorithm, own.expose())
            .map_err(|_| Error::Provider("elliptic curve private key for agreement"))?;
        let peer = agreement::UnparsedPublicKey::new(algorithm, peer);
        agreement::agree(&own, peer, Error::BadKey(spec), |secret| {
            Ok(Secret::new(secret.to_vec()))
        })
    }
}

/// Whether a SubjectPublicKeyInfo names its curve, and this one. The provider
/// also takes one that spells out the curve's parameters, and compares not all
/// of them.
///
/// Source: RFC 5480, 2.1.1: `specifiedCurve` must not be used.
fn names_its_curve(spec: KeySpec, der: &[u8]) -> bool {
    let identifier: &[u8] = match spec {
        KeySpec::EccNistP256 => {
            b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
        }
        KeySpec::EccNistP384 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
        KeySpec::EccNistP521 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        _ => return false,
    };
    // The outer length takes one byte, or two of which the first is 81.
    let ([0x30, 0x81, _, rest @ ..] | [0x30, _, rest @ ..]) = der else {
        return false;
    };
    rest.starts_with(identifier)
}

/// A public key made ready.
pub(super) struct EccPublic(ParsedPublicKey);

impl EccPublic {
    pub(super) fn from_der(spec: KeySpec, der: &[u8]) -> Result<EccPublic, Error> {
        let (_, verification) = curve(spec).ok_or(Error::BadKey(spec))?;
        ParsedPublicKey::new(verification, der)
            .map(EccPublic)
            .map_err(|_| Error::BadKey(spec))
    }

    pub(super) fn verify(
        &self,
        spec: KeySpec,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        let verified = match input {
            Input::Message(message) => self.0.verify_sig(message, signature),
            Input::Digest(digest) => self.0.verify_digest_sig(digest, signature),
            Input::Prehash(_) | Input::Representative(_) => {
                return Err(Error::Unsupported {
                    spec,
                    algorithm: algorithm.as_str(),
                });
            }
        };
        verified.map_err(|_| Error::BadSignature)
    }
}

fn curve(
    spec: KeySpec,
) -> Option<(
    &'static EcdsaSigningAlgorithm,
    &'static EcdsaVerificationAlgorithm,
)> {
    match spec {
        KeySpec::EccNistP256 => Some((&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_ASN1)),
        KeySpec::EccNistP384 => Some((&ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1)),
        KeySpec::EccNistP521 => Some((&ECDSA_P521_SHA512_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1)),
        KeySpec::EccSecgP256K1 => Some((&ECDSA_P256K1_SHA256_ASN1_SIGNING, &ECDSA_P256K1_SHA256_ASN1)),
        _ => None,
    }
}
