//! RSA: signing with PSS and PKCS#1 v1.5, encryption with OAEP.
//!
//! Private keys are PKCS#8 DER, public keys SubjectPublicKeyInfo DER. The
//! public exponent of a key made here is 65537.
//!
//! Absent by design: PKCS#1 v1.5 encryption, which KMS never had.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaParameters,
};
use ground::Secret;
use zeroize::Zeroize as _;

use super::input::Input;
use super::{EncryptionAlgorithm, KeySpec, SigningAlgorithm};
use crate::Error;

/// A private key, parsed both ways the provider wants it.
pub(super) struct RsaPrivate {
    signing: KeyPair,
    decrypting: OaepPrivateDecryptingKey,
}

impl RsaPrivate {
    pub(super) fn generate(spec: KeySpec) -> Result<RsaPrivate, Error> {
        let size = match spec {
            KeySpec::Rsa2048 => KeySize::Rsa2048,
            KeySpec::Rsa3072 => KeySize::Rsa3072,
            KeySpec::Rsa4096 => KeySize::Rsa4096,
            other => return Err(Error::BadKey(other)),
        };
        let decrypting =
            PrivateDecryptingKey::generate(size).map_err(|_| Error::Provider("RSA key generation"))?;
        let pkcs8 = decrypting
            .as_der()
            .map_err(|_| Error::Provider("RSA private key to PKCS#8"))?;
        RsaPrivate::from_pkcs8(spec, pkcs8.as_ref())
    }

    pub(super) fn from_pkcs8(spec: KeySpec, pkcs8: &[u8]) -> Result<RsaPrivate, Error> {
        let bad_key = || Error::BadKey(spec);
        let signing = KeyPair::from_pkcs8(pkcs8).map_err(|_| bad_key())?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| bad_key())?;
        if Some(decrypting.key_size_bits()) != modulus_bits(spec) {
            return Err(bad_key());
        }
        let decrypting = OaepPrivateDecryptingKey::new(decrypting).map_err(|_| bad_key())?;
        Ok(RsaPrivate { signing, decrypting })
    }

    pub(super) fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, Error> {
        let der = self
            .signing
            .as_der()
            .map_err(|_| Error::Provider("RSA private key to PKCS#8"))?;
        Ok(Secret::new(der.as_ref().to_vec()))
    }

    pub(super) fn public_key_der(&self) -> Result<Vec<u8>, Error> {
        use aws_lc_rs::signature::KeyPair as _;
        let der = self
            .signing
            .public_key()
            .as_der()
            .map_err(|_| Error::Provider("RSA public key to DER"))?;
        Ok(der.as_ref().to_vec())
    }

    pub(super) fn sign(
        &self,
        spec: KeySpec,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
    ) -> Result<Vec<u8>, Error> {
        let (encoding, _) = schemes(algorithm).ok_or(unsupported(spec, algorithm))?;
        let mut signature = vec![0; self.signing.public_modulus_len()];
        let signed = match input {
            Input::Message(message) => {
                self.signing
                    .sign(encoding, &SystemRandom::new(), message, &mut signature)
            }
            Input::Digest(digest) => self.signing.sign_digest(encoding, digest, &mut signature),
            Input::Prehash(_) | Input::Representative(_) => return Err(unsupported(spec, algorithm)),
        };
        signed.map_err(|_| Error::Provider("RSA sign"))?;
        Ok(signature)
    }

    /// Opens an OAEP ciphertext. Every failure is the same error, and the
    /// provider takes the same time for each, as Manger's attack demands.
    pub(super) fn decrypt(
        &self,
        spec: KeySpec,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let oaep = oaep(algorithm).ok_or(Error::Unsupported {
            spec,
            algorithm: algorithm.as_str(),
        })?;
        if ciphertext.len() != self.decrypting.key_size_bytes() {
            return Err(Error::BadCiphertext);
        }
        let mut buffer = Secret::new(vec![0; self.decrypting.min_output_size()]);
        let length = self
            .decrypting
            .decrypt(oaep, ciphertext, buffer.expose_mut(), None)
            .map_err(|_| Error::BadCiphertext)?
            .len();
        // Shortening in place would leave nothing behind but what the wipe of
        // the whole buffer clears: a vector keeps its capacity.
        let bytes = buffer.expose_mut();
        bytes[length..].zeroize();
        bytes.truncate(length);
        Ok(buffer)
    }
}

/// A public key. The provider parses it anew for each signature scheme, so
/// each is parsed at its first use and kept.
pub(super) struct RsaPublic {
    encrypting: OaepPublicEncryptingKey,
    der: Vec<u8>,
    schemes: [OnceLock<Option<ParsedPublicKey>>; SCHEMES],
}

impl RsaPublic {
    pub(super) fn from_der(spec: KeySpec, der: &[u8]) -> Result<RsaPublic, Error> {
        let bad_key = || Error::BadKey(spec);
        let encrypting = PublicEncryptingKey::from_der(der).map_err(|_| bad_key())?;
        if Some(encrypting.key_size_bits()) != modulus_bits(spec) {
            return Err(bad_key());
        }
        let encrypting = OaepPublicEncryptingKey::new(encrypting).map_err(|_| bad_key())?;
        Ok(RsaPublic {
            encrypting,
            der: der.to_vec(),
            schemes: [const { OnceLock::new() }; SCHEMES],
        })
    }

    pub(super) fn verify(
        &self,
        spec: KeySpec,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        let (_, parameters) = schemes(algorithm).ok_or(unsupported(spec, algorithm))?;
        let slot = SigningAlgorithm::ALL
            .iter()
            .position(|known| *known == algorithm)
            .and_then(|at| self.schemes.get(at))
            .ok_or(unsupported(spec, algorithm))?;
        let key = slot
            .get_or_init(|| ParsedPublicKey::new(parameters, &self.der).ok())
            .as_ref()
            .ok_or(Error::Provider("RSA public key from DER"))?;
        let verified = match input {
            Input::Message(message) => key.verify_sig(message, signature),
            Input::Digest(digest) => key.verify_digest_sig(digest, signature),
            Input::Prehash(_) | Input::Representative(_) => return Err(unsupported(spec, algorithm)),
        };
        verified.map_err(|_| Error::BadSignature)
    }

    pub(super) fn encrypt(
        &self,
        spec: KeySpec,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let oaep = oaep(algorithm).ok_or(Error::Unsupported {
            spec,
            algorithm: algorithm.as_str(),
        })?;
        let max = self.encrypting.max_plaintext_size(oaep);
        if plaintext.len() > max {
            return Err(Error::PlaintextLength {
                given: plaintext.len(),
                max,
            });
        }
        let mut ciphertext = vec![0; self.encrypting.ciphertext_size()];
        self.encrypting
            .encrypt(oaep, plaintext, &mut ciphertext, None)
            .map_err(|_| Error::Provider("RSA OAEP encrypt"))?;
        Ok(ciphertext)
    }
}

/// The RSA schemes come first among all signing algorithms.
const SCHEMES: usize = 6;

fn modulus_bits(spec: KeySpec) -> Option<usize> {
    match spec {
        KeySpec::Rsa2048 => Some(2048),
        KeySpec::Rsa3072 => Some(3072),
        KeySpec::Rsa4096 => Some(4096),
        _ => None,
    }
}

fn unsupported(spec: KeySpec, algorithm: SigningAlgorithm) -> Error {
    Error::Unsupported {
        spec,
        algorithm: algorithm.as_str(),
    }
}

/// How to sign and how to verify. The provider's PSS salts are as long as the
/// hash, as KMS's are.
fn schemes(algorithm: SigningAlgorithm) -> Option<(&'static dyn RsaEncoding, &'static RsaParameters)> {
    match algorithm {
        SigningAlgorithm::RsassaPssSha256 => Some((&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256)),
        SigningAlgorithm::RsassaPssSha384 => Some((&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384)),
        SigningAlgorithm::RsassaPssSha512 => Some((&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512)),
        SigningAlgorithm::RsassaPkcs1V15Sha256 => Some((&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256)),
        SigningAlgorithm::RsassaPkcs1V15Sha384 => Some((&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384)),
        SigningAlgorithm::RsassaPkcs1V15Sha512 => Some((&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512)),
        SigningAlgorithm::EcdsaSha256
        | SigningAlgorithm::EcdsaSha384
        | SigningAlgorithm::EcdsaSha512
        | SigningAlgorithm::Ed25519Sha512
        | SigningAlgorithm::Ed25519PhSha512
        | SigningAlgorithm::MlDsaShake256 => None,
    }
}

fn oaep(algorithm: EncryptionAlgorithm) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        EncryptionAlgorithm::SymmetricDefault => None,
        EncryptionAlgorithm::RsaesOaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
        EncryptionAlgorithm::RsaesOaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
    }
}
