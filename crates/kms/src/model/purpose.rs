//! What a key is made of and what it may do: spec and usage, for ever.

use crypto::key::{EncryptionAlgorithm, KeySpec, MacAlgorithm, SigningAlgorithm};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyUsage {
    /// `Encapsulate` and `Decapsulate`.
    EncapsulateDecapsulate,
    /// `Encrypt`, `Decrypt`, `ReEncrypt`, and data keys if symmetric.
    EncryptDecrypt,
    /// `GenerateMac` and `VerifyMac`.
    GenerateVerifyMac,
    /// `DeriveSharedSecret`.
    KeyAgreement,
    /// `Sign` and `Verify`.
    SignVerify,
}

/// Kinds of keys between which an alias cannot move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// With a public half.
    Asymmetric,
    /// For message authentication codes.
    Mac,
    /// AES.
    Symmetric,
}

/// A spec and a usage that fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Purpose {
    spec: KeySpec,
    usage: KeyUsage,
}

/// As it is written into the key's record.
#[derive(Serialize, Deserialize)]
struct Stored {
    spec: String,
    usage: KeyUsage,
}

impl KeyUsage {
    /// Every one.
    pub const ALL: [KeyUsage; 5] = [
        KeyUsage::EncapsulateDecapsulate,
        KeyUsage::EncryptDecrypt,
        KeyUsage::GenerateVerifyMac,
        KeyUsage::KeyAgreement,
        KeyUsage::SignVerify,
    ];

    /// Reads AWS's spelling.
    pub fn parse(name: &str) -> Option<KeyUsage> {
        KeyUsage::ALL.into_iter().find(|usage| usage.as_str() == name)
    }

    /// AWS's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyUsage::EncryptDecrypt => "ENCRYPT_DECRYPT",
            KeyUsage::EncapsulateDecapsulate => "ENCAPSULATE_DECAPSULATE",
            KeyUsage::GenerateVerifyMac => "GENERATE_VERIFY_MAC",
            KeyUsage::KeyAgreement => "KEY_AGREEMENT",
            KeyUsage::SignVerify => "SIGN_VERIFY",
        }
    }
}

impl Purpose {
    /// A symmetric key's.
    pub const SYMMETRIC: Purpose = Purpose {
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsage::EncryptDecrypt,
    };

    /// The purpose of a key to be created.
    ///
    /// # Errors
    ///
    /// [`Error::UsageMissing`] if only the usage could tell what the key is
    /// for, [`Error::UsageForSpec`] if the spec cannot do it.
    ///
    /// Source: KMS API Reference, `CreateKey`, `KeyUsage`.
    pub fn new(spec: KeySpec, usage: Option<KeyUsage>) -> Result<Purpose, Error> {
        let usage = match (usage, spec) {
            (Some(usage), _) => usage,
            (None, KeySpec::SymmetricDefault) => KeyUsage::EncryptDecrypt,
            (None, _) => return Err(Error::UsageMissing),
        };
        let fits = match usage {
            KeyUsage::EncryptDecrypt => !spec.encryption_algorithms().is_empty(),
            KeyUsage::EncapsulateDecapsulate => spec.encapsulates(),
            KeyUsage::GenerateVerifyMac => !spec.mac_algorithms().is_empty(),
            KeyUsage::KeyAgreement => spec.agrees(),
            KeyUsage::SignVerify => !spec.signing_algorithms().is_empty(),
        };
        if !fits {
            return Err(Error::UsageForSpec {
                usage: usage.as_str(),
                spec: spec.as_str(),
            });
        }
        Ok(Purpose { spec, usage })
    }

    /// That of keys whose row says nothing else.
    pub(super) fn symmetric() -> Purpose {
        Purpose::SYMMETRIC
    }

    /// Whether it is that of a symmetric key.
    pub(super) fn is_symmetric(&self) -> bool {
        *self == Purpose::SYMMETRIC
    }

    /// What the key is made of.
    pub fn spec(self) -> KeySpec {
        self.spec
    }

    /// What it may be used for.
    pub fn usage(self) -> KeyUsage {
        self.usage
    }

    /// Its kind.
    pub fn family(self) -> Family {
        match self.spec {
            KeySpec::SymmetricDefault => Family::Symmetric,
            KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => Family::Mac,
            KeySpec::Rsa2048
            | KeySpec::Rsa3072
            | KeySpec::Rsa4096
            | KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccSecgP256K1
            | KeySpec::EccNistEdwards25519
            | KeySpec::MlDsa44
            | KeySpec::MlDsa65
            | KeySpec::MlDsa87
            | KeySpec::MlKem512
            | KeySpec::MlKem768
            | KeySpec::MlKem1024 => Family::Asymmetric,
        }
    }

    /// The encryption algorithms it does; none unless it is for encryption.
    pub fn encryption_algorithms(self) -> &'static [EncryptionAlgorithm] {
        match self.usage {
            KeyUsage::EncryptDecrypt => self.spec.encryption_algorithms(),
            KeyUsage::EncapsulateDecapsulate
            | KeyUsage::GenerateVerifyMac
            | KeyUsage::KeyAgreement
            | KeyUsage::SignVerify => &[],
        }
    }

    /// The signing algorithms it does; none unless it is for signing.
    pub fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        match self.usage {
            KeyUsage::SignVerify => self.spec.signing_algorithms(),
            KeyUsage::EncapsulateDecapsulate
            | KeyUsage::EncryptDecrypt
            | KeyUsage::GenerateVerifyMac
            | KeyUsage::KeyAgreement => &[],
        }
    }

    /// The MAC algorithms it does; none unless it is for MACs.
    pub fn mac_algorithms(self) -> &'static [MacAlgorithm] {
        match self.usage {
            KeyUsage::GenerateVerifyMac => self.spec.mac_algorithms(),
            KeyUsage::EncapsulateDecapsulate
            | KeyUsage::EncryptDecrypt
            | KeyUsage::KeyAgreement
            | KeyUsage::SignVerify => &[],
        }
    }
}

impl TryFrom<Stored> for Purpose {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Purpose, String> {
        let spec = KeySpec::parse(&stored.spec).ok_or("unknown key spec")?;
        Purpose::new(spec, Some(stored.usage)).map_err(|error| error.to_string())
    }
}

impl From<Purpose> for Stored {
    fn from(purpose: Purpose) -> Stored {
        Stored {
            spec: purpose.spec.as_str().to_owned(),
            usage: purpose.usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KMS API Reference, `CreateKey`, `KeyUsage`.
    #[test]
    fn usages_fit_specs_as_published() {
        use KeyUsage::{EncapsulateDecapsulate, EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
        for spec in KeySpec::ALL {
            let name = spec.as_str();
            let expected: &[KeyUsage] = match name.split('_').next() {
                Some("SYMMETRIC") => &[EncryptDecrypt],
                Some("RSA") => &[EncryptDecrypt, SignVerify],
                Some("ECC") if name.starts_with("ECC_NIST_P") => &[SignVerify, KeyAgreement],
                Some("ECC") => &[SignVerify],
                Some("ML") if name.starts_with("ML_DSA") => &[SignVerify],
                Some("ML") => &[EncapsulateDecapsulate],
                _ => &[GenerateVerifyMac],
            };
            for usage in KeyUsage::ALL {
                assert_eq!(
                    Purpose::new(*spec, Some(usage)).is_ok(),
                    expected.contains(&usage),
                    "{name} {usage:?}"
                );
            }
            assert_eq!(
                Purpose::new(*spec, None).is_ok(),
                name == "SYMMETRIC_DEFAULT",
                "{name}"
            );
        }
    }

    #[test]
    fn every_purpose_has_one_kind_of_algorithm_and_is_read_back() {
        for spec in KeySpec::ALL {
            for usage in KeyUsage::ALL {
                let Ok(purpose) = Purpose::new(*spec, Some(usage)) else {
                    continue;
                };
                let kinds = [
                    !purpose.encryption_algorithms().is_empty(),
                    !purpose.signing_algorithms().is_empty(),
                    !purpose.mac_algorithms().is_empty(),
                    usage == KeyUsage::KeyAgreement,
                    usage == KeyUsage::EncapsulateDecapsulate,
                ];
                assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "{purpose:?}");
                let stored = serde_json::to_string(&purpose).unwrap();
                assert_eq!(serde_json::from_str::<Purpose>(&stored).unwrap(), purpose);
            }
        }
    }
}
