//! Backing keys: the material behind a KMS key, and what it can do.
//!
//! A [`BackingKey`] is parsed once and then used for as long as the caller
//! keeps it; every operation takes `&self`. [`PublicKey`] is the half that may
//! be shown.
//!
//! Symmetric and HMAC keys are made of the caller's [`Random`]. RSA, elliptic
//! curve and Edwards keys, and every signature's nonce, salt and padding, are
//! made by the provider from the system's randomness, which cannot be fixed.
//!
//! Absent by design: SM2.

mod ecc;
mod edwards;
mod input;
mod mac;
mod ml_dsa;
mod ml_kem;
mod rsa;
mod spec;
mod spki;
mod symmetric;
mod wrapping;

use ground::Secret;

use crate::{Error, Random};
use input::Input;

pub use spec::{
    EncryptionAlgorithm, KeySpec, MacAlgorithm, MessageType, SigningAlgorithm, WrappingAlgorithm,
};
pub use symmetric::SymmetricKey;

/// The longest serialised key in bytes that is worth parsing. An RSA-4096
/// PKCS#8 document has about 2,400.
pub const KEY_BYTES_MAX: usize = 4096;

/// Key material, ready to use.
pub struct BackingKey {
    spec: KeySpec,
    material: Material,
    public: Option<PublicKey>,
}

enum Material {
    Symmetric(SymmetricKey),
    Rsa(Box<rsa::RsaPrivate>),
    Ecc(ecc::EccPrivate),
    Edwards(Box<edwards::EdwardsPrivate>),
    Mac(mac::MacKey),
    MlDsa(Box<ml_dsa::MlDsaPrivate>),
    MlKem(Box<ml_kem::MlKemPrivate>),
}

impl BackingKey {
    /// Makes a fresh key.
    ///
    /// RSA keys take long, from about 0.06 s of processor time for 2048 bits to
    /// seconds for 4096: call this outside of any transaction and off the
    /// asynchronous threads.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the provider cannot make one.
    pub fn generate(spec: KeySpec, random: &Random) -> Result<BackingKey, Error> {
        let material = match kind(spec) {
            Kind::Symmetric => Material::Symmetric(SymmetricKey::generate(random)),
            Kind::Rsa => Material::Rsa(Box::new(rsa::RsaPrivate::generate(spec)?)),
            Kind::Ecc => Material::Ecc(ecc::EccPrivate::generate(spec)?),
            Kind::Edwards => Material::Edwards(Box::new(edwards::EdwardsPrivate::generate()?)),
            Kind::Mac(algorithm) => Material::Mac(mac::MacKey::generate(algorithm, random)),
            Kind::MlDsa => Material::MlDsa(Box::new(ml_dsa::MlDsaPrivate::generate(spec, random)?)),
            Kind::MlKem => Material::MlKem(Box::new(ml_kem::MlKemPrivate::generate(spec)?)),
        };
        BackingKey::new(spec, material)
    }

    /// Parses a key: raw bytes for symmetric and HMAC keys, the seed for ML-DSA,
    /// the decapsulation key of FIPS 203 for ML-KEM, PKCS#8 DER for the others.
    ///
    /// # Errors
    ///
    /// [`Error::BadKey`] if the bytes are not a sound key of exactly this spec.
    pub fn from_bytes(spec: KeySpec, bytes: &[u8]) -> Result<BackingKey, Error> {
        if bytes.len() > KEY_BYTES_MAX {
            return Err(Error::BadKey(spec));
        }
        let raw = match kind(spec) {
            Kind::Symmetric | Kind::Mac(_) | Kind::MlDsa | Kind::MlKem => true,
            Kind::Rsa | Kind::Ecc | Kind::Edwards => false,
        };
        if !raw && !is_one_sequence(bytes) {
            return Err(Error::BadKey(spec));
        }
        let material = match kind(spec) {
            Kind::Symmetric => {
                Material::Symmetric(SymmetricKey::from_bytes(bytes).ok_or(Error::BadKey(spec))?)
            }
            Kind::Rsa => Material::Rsa(Box::new(rsa::RsaPrivate::from_pkcs8(spec, bytes)?)),
            Kind::Ecc => Material::Ecc(ecc::EccPrivate::from_pkcs8(spec, bytes)?),
            Kind::Edwards => Material::Edwards(Box::new(edwards::EdwardsPrivate::from_pkcs8(bytes)?)),
            Kind::Mac(algorithm) => Material::Mac(mac::MacKey::from_bytes(spec, algorithm, bytes)?),
            Kind::MlDsa => Material::MlDsa(Box::new(ml_dsa::MlDsaPrivate::from_seed(spec, bytes)?)),
            Kind::MlKem => Material::MlKem(Box::new(ml_kem::MlKemPrivate::from_bytes(spec, bytes)?)),
        };
        BackingKey::new(spec, material)
    }

    fn new(spec: KeySpec, material: Material) -> Result<BackingKey, Error> {
        let der = match &material {
            Material::Symmetric(_) | Material::Mac(_) => None,
            Material::Rsa(key) => Some(key.public_key_der()?),
            Material::Ecc(key) => Some(key.public_key_der()?),
            Material::Edwards(key) => Some(key.public_key_der()?),
            Material::MlDsa(key) => Some(key.public_key_der(spec)?),
            Material::MlKem(key) => Some(key.public_key_der(spec)?),
        };
        let public = der.map(|der| PublicKey::from_der(spec, &der)).transpose()?;
        Ok(BackingKey {
            spec,
            material,
            public,
        })
    }

    /// What the key is made of.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// The key in the form that [`BackingKey::from_bytes`] reads, to be wrapped
    /// or to be handed to the caller of `GenerateDataKeyPair`.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the provider cannot serialise it.
    pub fn to_bytes(&self) -> Result<Secret<Vec<u8>>, Error> {
        match &self.material {
            Material::Symmetric(key) => Ok(Secret::new(key.bytes().expose().to_vec())),
            Material::Rsa(key) => key.to_pkcs8(),
            Material::Ecc(key) => key.to_pkcs8(),
            Material::Edwards(key) => key.to_pkcs8(),
            Material::Mac(key) => Ok(key.bytes().duplicate()),
            Material::MlDsa(key) => Ok(key.seed().duplicate()),
            Material::MlKem(key) => Ok(key.bytes().duplicate()),
        }
    }

    /// The key of an envelope, if this is a symmetric key.
    pub fn symmetric(&self) -> Option<&SymmetricKey> {
        match &self.material {
            Material::Symmetric(key) => Some(key),
            Material::Rsa(_)
            | Material::Ecc(_)
            | Material::Edwards(_)
            | Material::Mac(_)
            | Material::MlDsa(_)
            | Material::MlKem(_) => None,
        }
    }

    /// The public half; none for symmetric and HMAC keys.
    pub fn public_key(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// The SubjectPublicKeyInfo of the public half, as `GetPublicKey` answers.
    pub fn public_key_der(&self) -> Option<&[u8]> {
        self.public.as_ref().map(PublicKey::der)
    }

    /// Signs a message or a digest.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the spec does not do the algorithm,
    /// [`Error::MessageType`] if the algorithm does not take such a message,
    /// [`Error::DigestLength`] for a digest of another length.
    pub fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message_type: MessageType,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        check_signing(self.spec, algorithm)?;
        let input = Input::new(algorithm, message_type, message)?;
        match &self.material {
            Material::Rsa(key) => key.sign(self.spec, algorithm, &input),
            Material::Ecc(key) => key.sign(self.spec, algorithm, &input),
            Material::Edwards(key) => key.sign(algorithm, &input),
            Material::MlDsa(key) => key.sign(self.spec, algorithm, &input),
            Material::Symmetric(_) | Material::Mac(_) | Material::MlKem(_) => Err(Error::Unsupported {
                spec: self.spec,
                algorithm: algorithm.as_str(),
            }),
        }
    }

    /// Verifies a signature; see [`PublicKey::verify`].
    ///
    /// # Errors
    ///
    /// Those of [`PublicKey::verify`].
    pub fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message_type: MessageType,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        match &self.public {
            Some(public) => public.verify(algorithm, message_type, message, signature),
            None => Err(Error::Unsupported {
                spec: self.spec,
                algorithm: algorithm.as_str(),
            }),
        }
    }

    /// Encrypts with the public half; see [`PublicKey::encrypt`].
    ///
    /// # Errors
    ///
    /// Those of [`PublicKey::encrypt`]. A symmetric key encrypts with
    /// [`crate::blob::Envelope::seal`] instead.
    pub fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.public {
            Some(public) => public.encrypt(algorithm, plaintext),
            None => Err(Error::Unsupported {
                spec: self.spec,
                algorithm: algorithm.as_str(),
            }),
        }
    }

    /// Decrypts an RSA-OAEP ciphertext, wherever it was made.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless this is an RSA key and an OAEP algorithm;
    /// [`Error::BadCiphertext`] for every other failure.
    pub fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        match &self.material {
            Material::Rsa(key) => key.decrypt(self.spec, algorithm, ciphertext),
            Material::Symmetric(_)
            | Material::Ecc(_)
            | Material::Edwards(_)
            | Material::Mac(_)
            | Material::MlDsa(_)
            | Material::MlKem(_) => Err(Error::Unsupported {
                spec: self.spec,
                algorithm: algorithm.as_str(),
            }),
        }
    }

    /// The secret that this key and the holder of the other half of `peer`, a
    /// SubjectPublicKeyInfo, agree on (ECDH): the raw x coordinate.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless the spec agrees on secrets,
    /// [`Error::BadKey`] if `peer` is no key of the same curve.
    pub fn agree(&self, peer: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        match &self.material {
            Material::Ecc(key) if self.spec.agrees() => {
                PublicKey::from_der(self.spec, peer)?;
                key.agree(self.spec, peer)
            }
            _ => Err(self.does_not("ECDH")),
        }
    }

    /// A fresh secret of 32 bytes, and what is sent so that this key gets it (ML-KEM).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless the spec encapsulates.
    pub fn encapsulate(&self) -> Result<(Vec<u8>, Secret<Vec<u8>>), Error> {
        match self.public.as_ref().map(|public| &public.half) {
            Some(PublicHalf::MlKem(key)) => key.encapsulate(),
            _ => Err(self.does_not("ML_KEM")),
        }
    }

    /// The secret in what [`BackingKey::encapsulate`] sent; another, always the
    /// same, in anything else of that length.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless the spec encapsulates,
    /// [`Error::BadCiphertext`] for another length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        match &self.material {
            Material::MlKem(key) => key.decapsulate(ciphertext),
            _ => Err(self.does_not("ML_KEM")),
        }
    }

    fn does_not(&self, algorithm: &'static str) -> Error {
        Error::Unsupported {
            spec: self.spec,
            algorithm,
        }
    }

    /// The HMAC of a message.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless this is an HMAC key of that algorithm.
    pub fn mac(&self, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.mac_key(algorithm)?.sign(message))
    }

    /// Verifies the HMAC of a message in constant time.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] as [`BackingKey::mac`]; [`Error::BadMac`] if the
    /// tag is not the whole tag of the message.
    pub fn verify_mac(&self, algorithm: MacAlgorithm, message: &[u8], tag: &[u8]) -> Result<(), Error> {
        self.mac_key(algorithm)?.verify(message, tag)
    }

    fn mac_key(&self, algorithm: MacAlgorithm) -> Result<&mac::MacKey, Error> {
        match &self.material {
            Material::Mac(key) if key.algorithm() == algorithm => Ok(key),
            Material::Symmetric(_)
            | Material::Rsa(_)
            | Material::Ecc(_)
            | Material::Edwards(_)
            | Material::Mac(_)
            | Material::MlDsa(_)
            | Material::MlKem(_) => Err(Error::Unsupported {
                spec: self.spec,
                algorithm: algorithm.as_str(),
            }),
        }
    }
}

/// The public half of a key pair, ready to use.
pub struct PublicKey {
    spec: KeySpec,
    der: Vec<u8>,
    half: PublicHalf,
}

enum PublicHalf {
    Rsa(Box<rsa::RsaPublic>),
    Ecc(ecc::EccPublic),
    Edwards(Box<edwards::EdwardsPublic>),
    MlDsa(Box<ml_dsa::MlDsaPublic>),
    MlKem(Box<ml_kem::MlKemPublic>),
}

impl PublicKey {
    /// Parses a SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// [`Error::BadKey`] if the bytes are not a sound key of exactly this spec,
    /// or the spec has no public half.
    pub fn from_der(spec: KeySpec, der: &[u8]) -> Result<PublicKey, Error> {
        if der.len() > KEY_BYTES_MAX || !is_one_sequence(der) {
            return Err(Error::BadKey(spec));
        }
        let half = match kind(spec) {
            Kind::Rsa => PublicHalf::Rsa(Box::new(rsa::RsaPublic::from_der(spec, der)?)),
            Kind::Ecc => PublicHalf::Ecc(ecc::EccPublic::from_der(spec, der)?),
            Kind::Edwards => PublicHalf::Edwards(Box::new(edwards::EdwardsPublic::from_der(der)?)),
            Kind::MlDsa => PublicHalf::MlDsa(Box::new(ml_dsa::MlDsaPublic::from_der(spec, der)?)),
            Kind::MlKem => PublicHalf::MlKem(Box::new(ml_kem::MlKemPublic::from_der(spec, der)?)),
            Kind::Symmetric | Kind::Mac(_) => return Err(Error::BadKey(spec)),
        };
        Ok(PublicKey {
            spec,
            der: der.to_vec(),
            half,
        })
    }

    /// What the key is made of.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// The SubjectPublicKeyInfo.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Verifies a signature.
    ///
    /// # Errors
    ///
    /// [`Error::BadSignature`] if it is not that of the message; otherwise as
    /// [`BackingKey::sign`].
    pub fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message_type: MessageType,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        check_signing(self.spec, algorithm)?;
        let input = Input::new(algorithm, message_type, message)?;
        match &self.half {
            PublicHalf::Rsa(key) => key.verify(self.spec, algorithm, &input, signature),
            PublicHalf::Ecc(key) => key.verify(self.spec, algorithm, &input, signature),
            PublicHalf::Edwards(key) => key.verify(algorithm, &input, signature),
            PublicHalf::MlDsa(key) => key.verify(self.spec, algorithm, &input, signature),
            PublicHalf::MlKem(_) => Err(Error::Unsupported {
                spec: self.spec,
                algorithm: algorithm.as_str(),
            }),
        }
    }

    /// Encrypts with RSA-OAEP.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless this is an RSA key and an OAEP algorithm,
    /// [`Error::PlaintextLength`] beyond [`KeySpec::plaintext_bytes_max`].
    pub fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.half {
            PublicHalf::Rsa(key) => key.encrypt(self.spec, algorithm, plaintext),
            PublicHalf::Ecc(_) | PublicHalf::Edwards(_) | PublicHalf::MlDsa(_) | PublicHalf::MlKem(_) => {
                Err(Error::Unsupported {
                    spec: self.spec,
                    algorithm: algorithm.as_str(),
                })
            }
        }
    }
}

fn check_signing(spec: KeySpec, algorithm: SigningAlgorithm) -> Result<(), Error> {
    if spec.signing_algorithms().contains(&algorithm) {
        Ok(())
    } else {
        Err(Error::Unsupported {
            spec,
            algorithm: algorithm.as_str(),
        })
    }
}

/// Whether the bytes are one DER SEQUENCE and nothing after it. The provider
/// reads a key and overlooks what follows, and would take a bare curve point.
fn is_one_sequence(bytes: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    match bytes {
        [SEQUENCE, 0x82, high, low, content @ ..] => {
            content.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        [SEQUENCE, 0x81, length, content @ ..] => content.len() == usize::from(*length),
        [SEQUENCE, length @ 0..=0x7f, content @ ..] => content.len() == usize::from(*length),
        _ => false,
    }
}

enum Kind {
    Symmetric,
    Rsa,
    Ecc,
    Edwards,
    Mac(MacAlgorithm),
    MlDsa,
    MlKem,
}

fn kind(spec: KeySpec) -> Kind {
    match spec {
        KeySpec::SymmetricDefault => Kind::Symmetric,
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Kind::Rsa,
        KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 | KeySpec::EccSecgP256K1 => {
            Kind::Ecc
        }
        KeySpec::EccNistEdwards25519 => Kind::Edwards,
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => Kind::MlDsa,
        KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => Kind::MlKem,
        KeySpec::Hmac224 => Kind::Mac(MacAlgorithm::HmacSha224),
        KeySpec::Hmac256 => Kind::Mac(MacAlgorithm::HmacSha256),
        KeySpec::Hmac384 => Kind::Mac(MacAlgorithm::HmacSha384),
        KeySpec::Hmac512 => Kind::Mac(MacAlgorithm::HmacSha512),
    }
}
