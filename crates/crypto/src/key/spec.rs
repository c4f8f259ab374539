//! Key specs and the algorithms each can do, in AWS's names.
//!
//! Source: KMS API Reference, `KeySpec`, `SigningAlgorithmSpec`,
//! `EncryptionAlgorithmSpec`, `MacAlgorithmSpec`.
//!
//! Absent by design: `SM2`, which the regions of China have and no provider
//! here does.

use std::fmt;

/// Declares an enum whose variants have one AWS spelling each.
macro_rules! aws_names {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every value, in AWS's order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// AWS's spelling.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }

            /// Reads AWS's spelling, exactly.
            pub fn parse(text: &str) -> Option<$name> {
                match text {
                    $($text => Some($name::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

aws_names! {
    /// What a key is made of.
    KeySpec {
        /// RSA with a modulus of 2048 bits.
        Rsa2048 = "RSA_2048",
        /// RSA with a modulus of 3072 bits.
        Rsa3072 = "RSA_3072",
        /// RSA with a modulus of 4096 bits.
        Rsa4096 = "RSA_4096",
        /// NIST P-256.
        EccNistP256 = "ECC_NIST_P256",
        /// NIST P-384.
        EccNistP384 = "ECC_NIST_P384",
        /// NIST P-521.
        EccNistP521 = "ECC_NIST_P521",
        /// secp256k1, the curve of cryptocurrencies.
        EccSecgP256K1 = "ECC_SECG_P256K1",
        /// AES-256.
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        /// An HMAC key of 28 bytes.
        Hmac224 = "HMAC_224",
        /// An HMAC key of 32 bytes.
        Hmac256 = "HMAC_256",
        /// An HMAC key of 48 bytes.
        Hmac384 = "HMAC_384",
        /// An HMAC key of 64 bytes.
        Hmac512 = "HMAC_512",
        /// Ed25519.
        EccNistEdwards25519 = "ECC_NIST_EDWARDS25519",
        /// ML-DSA of security category 2.
        MlDsa44 = "ML_DSA_44",
        /// ML-DSA of security category 3.
        MlDsa65 = "ML_DSA_65",
        /// ML-DSA of security category 5.
        MlDsa87 = "ML_DSA_87",
        /// ML-KEM of security category 1.
        MlKem512 = "ML_KEM_512",
        /// ML-KEM of security category 3.
        MlKem768 = "ML_KEM_768",
        /// ML-KEM of security category 5.
        MlKem1024 = "ML_KEM_1024",
    }
}

aws_names! {
    /// How a message is signed.
    SigningAlgorithm {
        /// RSASSA-PSS with SHA-256, MGF1 with the same hash, a salt of 32 bytes.
        RsassaPssSha256 = "RSASSA_PSS_SHA_256",
        /// RSASSA-PSS with SHA-384, MGF1 with the same hash, a salt of 48 bytes.
        RsassaPssSha384 = "RSASSA_PSS_SHA_384",
        /// RSASSA-PSS with SHA-512, MGF1 with the same hash, a salt of 64 bytes.
        RsassaPssSha512 = "RSASSA_PSS_SHA_512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsassaPkcs1V15Sha256 = "RSASSA_PKCS1_V1_5_SHA_256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        RsassaPkcs1V15Sha384 = "RSASSA_PKCS1_V1_5_SHA_384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        RsassaPkcs1V15Sha512 = "RSASSA_PKCS1_V1_5_SHA_512",
        /// ECDSA with SHA-256, DER encoded.
        EcdsaSha256 = "ECDSA_SHA_256",
        /// ECDSA with SHA-384, DER encoded.
        EcdsaSha384 = "ECDSA_SHA_384",
        /// ECDSA with SHA-512, DER encoded.
        EcdsaSha512 = "ECDSA_SHA_512",
        /// Ed25519 (RFC 8032) of the message itself.
        Ed25519Sha512 = "ED25519_SHA_512",
        /// Ed25519ph (RFC 8032) of a SHA-512 digest, with an empty context.
        Ed25519PhSha512 = "ED25519_PH_SHA_512",
        /// ML-DSA of the message, or of its representative.
        MlDsaShake256 = "ML_DSA_SHAKE_256",
    }
}

aws_names! {
    /// Whether the caller hashed the message already.
    MessageType {
        /// The message itself.
        Raw = "RAW",
        /// The digest of the message.
        Digest = "DIGEST",
        /// The 64 bytes that ML-DSA makes of public key and message.
        ExternalMu = "EXTERNAL_MU",
    }
}

aws_names! {
    /// How a plaintext is encrypted.
    EncryptionAlgorithm {
        /// The envelope of [`crate::blob`].
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        /// RSAES-OAEP with SHA-1, MGF1 with SHA-1 and an empty label.
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSAES-OAEP with SHA-256, MGF1 with SHA-256 and an empty label.
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
    }
}

aws_names! {
    /// How a message is authenticated.
    MacAlgorithm {
        /// HMAC with SHA-224.
        HmacSha224 = "HMAC_SHA_224",
        /// HMAC with SHA-256.
        HmacSha256 = "HMAC_SHA_256",
        /// HMAC with SHA-384.
        HmacSha384 = "HMAC_SHA_384",
        /// HMAC with SHA-512.
        HmacSha512 = "HMAC_SHA_512",
    }
}

aws_names! {
    /// How material is wrapped.
    WrappingAlgorithm {
        /// RSA-OAEP with SHA-1.
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256.
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
        /// RSA-OAEP with SHA-1 of a key that wraps the material.
        RsaAesKeyWrapSha1 = "RSA_AES_KEY_WRAP_SHA_1",
        /// RSA-OAEP with SHA-256 of a key that wraps the material.
        RsaAesKeyWrapSha256 = "RSA_AES_KEY_WRAP_SHA_256",
    }
}

impl KeySpec {
    /// The signing algorithms of the spec; none for a key that cannot sign.
    pub const fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        use SigningAlgorithm::{
            EcdsaSha256, EcdsaSha384, EcdsaSha512, Ed25519PhSha512, Ed25519Sha512, MlDsaShake256,
            RsassaPkcs1V15Sha256, RsassaPkcs1V15Sha384, RsassaPkcs1V15Sha512, RsassaPssSha256,
            RsassaPssSha384, RsassaPssSha512,
        };
        match self {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[
                RsassaPkcs1V15Sha256,
                RsassaPkcs1V15Sha384,
                RsassaPkcs1V15Sha512,
                RsassaPssSha256,
                RsassaPssSha384,
                RsassaPssSha512,
            ],
            KeySpec::EccNistP256 | KeySpec::EccSecgP256K1 => &[EcdsaSha256],
            KeySpec::EccNistP384 => &[EcdsaSha384],
            KeySpec::EccNistP521 => &[EcdsaSha512],
            KeySpec::EccNistEdwards25519 => &[Ed25519Sha512, Ed25519PhSha512],
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => &[MlDsaShake256],
            KeySpec::MlKem512
            | KeySpec::MlKem768
            | KeySpec::MlKem1024
            | KeySpec::SymmetricDefault
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512 => &[],
        }
    }

    /// The encryption algorithms of the spec; none for a key that cannot encrypt.
    pub const fn encryption_algorithms(self) -> &'static [EncryptionAlgorithm] {
        match self {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[
                EncryptionAlgorithm::RsaesOaepSha1,
                EncryptionAlgorithm::RsaesOaepSha256,
            ],
            KeySpec::SymmetricDefault => &[EncryptionAlgorithm::SymmetricDefault],
            KeySpec::MlDsa44
            | KeySpec::MlDsa65
            | KeySpec::MlDsa87
            | KeySpec::MlKem512
            | KeySpec::MlKem768
            | KeySpec::MlKem1024
            | KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccSecgP256K1
            | KeySpec::EccNistEdwards25519
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512 => &[],
        }
    }

    /// The MAC algorithm of the spec; none unless it is an HMAC key.
    pub const fn mac_algorithms(self) -> &'static [MacAlgorithm] {
        match self {
            KeySpec::Hmac224 => &[MacAlgorithm::HmacSha224],
            KeySpec::Hmac256 => &[MacAlgorithm::HmacSha256],
            KeySpec::Hmac384 => &[MacAlgorithm::HmacSha384],
            KeySpec::Hmac512 => &[MacAlgorithm::HmacSha512],
            KeySpec::MlDsa44
            | KeySpec::MlDsa65
            | KeySpec::MlDsa87
            | KeySpec::MlKem512
            | KeySpec::MlKem768
            | KeySpec::MlKem1024
            | KeySpec::Rsa2048
            | KeySpec::Rsa3072
            | KeySpec::Rsa4096
            | KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccSecgP256K1
            | KeySpec::EccNistEdwards25519
            | KeySpec::SymmetricDefault => &[],
        }
    }

    /// Whether two keys of the spec agree on a secret (ECDH).
    pub const fn agrees(self) -> bool {
        matches!(
            self,
            KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521
        )
    }

    /// Whether the spec encapsulates secrets (ML-KEM).
    pub const fn encapsulates(self) -> bool {
        matches!(self, KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024)
    }

    /// Bytes in the modulus of an RSA key; `None` for every other.
    pub const fn modulus_bytes(self) -> Option<usize> {
        match self {
            KeySpec::Rsa2048 => Some(256),
            KeySpec::Rsa3072 => Some(384),
            KeySpec::Rsa4096 => Some(512),
            _ => None,
        }
    }

    /// The longest plaintext in bytes that a key of this spec encrypts.
    ///
    /// For RSA this is the modulus less twice the hash less two (RFC 8017,
    /// 7.1.1): 214 and 190, 342 and 318, 470 and 446. For a symmetric key it is
    /// KMS's own limit. `None` if the spec has no such algorithm.
    pub const fn plaintext_bytes_max(self, algorithm: EncryptionAlgorithm) -> Option<usize> {
        /// Source: KMS API Reference, Encrypt, `Plaintext`.
        const SYMMETRIC_BYTES_MAX: usize = 4096;
        let modulus_bytes = match (self.modulus_bytes(), algorithm) {
            (Some(bytes), _) => bytes,
            (None, EncryptionAlgorithm::SymmetricDefault) if matches!(self, KeySpec::SymmetricDefault) => {
                return Some(SYMMETRIC_BYTES_MAX);
            }
            (None, _) => return None,
        };
        match algorithm {
            EncryptionAlgorithm::SymmetricDefault => None,
            EncryptionAlgorithm::RsaesOaepSha1 => Some(modulus_bytes - 2 * 20 - 2),
            EncryptionAlgorithm::RsaesOaepSha256 => Some(modulus_bytes - 2 * 32 - 2),
        }
    }
}

impl SigningAlgorithm {
    /// The length in bytes of the digest that is signed.
    pub const fn digest_bytes(self) -> usize {
        match self {
            SigningAlgorithm::RsassaPssSha256
            | SigningAlgorithm::RsassaPkcs1V15Sha256
            | SigningAlgorithm::EcdsaSha256 => 32,
            SigningAlgorithm::RsassaPssSha384
            | SigningAlgorithm::RsassaPkcs1V15Sha384
            | SigningAlgorithm::EcdsaSha384 => 48,
            SigningAlgorithm::RsassaPssSha512
            | SigningAlgorithm::RsassaPkcs1V15Sha512
            | SigningAlgorithm::EcdsaSha512
            | SigningAlgorithm::Ed25519Sha512
            | SigningAlgorithm::Ed25519PhSha512
            | SigningAlgorithm::MlDsaShake256 => 64,
        }
    }
}

impl MacAlgorithm {
    /// The length in bytes of the tag, and of the key: KMS makes HMAC keys as
    /// long as the hash.
    pub const fn tag_bytes(self) -> usize {
        match self {
            MacAlgorithm::HmacSha224 => 28,
            MacAlgorithm::HmacSha256 => 32,
            MacAlgorithm::HmacSha384 => 48,
            MacAlgorithm::HmacSha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for spec in KeySpec::ALL {
            assert_eq!(KeySpec::parse(spec.as_str()), Some(*spec));
            assert_eq!(KeySpec::parse(&spec.as_str().to_lowercase()), None);
        }
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(SigningAlgorithm::parse(algorithm.as_str()), Some(*algorithm));
        }
        assert_eq!(SigningAlgorithm::parse(""), None);
    }

    /// Every spec does exactly one kind of thing, but RSA and the NIST curves, which do two.
    #[test]
    fn every_spec_has_a_use() {
        for spec in KeySpec::ALL {
            let uses = [
                !spec.signing_algorithms().is_empty(),
                !spec.encryption_algorithms().is_empty(),
                !spec.mac_algorithms().is_empty(),
                spec.agrees(),
                spec.encapsulates(),
            ];
            let both = spec.as_str().starts_with("RSA") || spec.as_str().starts_with("ECC_NIST_P");
            let expected = if both { 2 } else { 1 };
            assert_eq!(uses.iter().filter(|used| **used).count(), expected, "{spec}");
        }
    }

    /// KMS Developer Guide, "Key spec reference": the OAEP limits.
    #[test]
    fn oaep_limits_are_the_published_ones() {
        let limits = |spec: KeySpec| {
            [
                EncryptionAlgorithm::RsaesOaepSha1,
                EncryptionAlgorithm::RsaesOaepSha256,
            ]
            .map(|algorithm| spec.plaintext_bytes_max(algorithm))
        };
        assert_eq!(limits(KeySpec::Rsa2048), [Some(214), Some(190)]);
        assert_eq!(limits(KeySpec::Rsa3072), [Some(342), Some(318)]);
        assert_eq!(limits(KeySpec::Rsa4096), [Some(470), Some(446)]);
        assert_eq!(limits(KeySpec::EccNistP256), [None, None]);
        assert_eq!(
            KeySpec::Rsa2048.plaintext_bytes_max(EncryptionAlgorithm::SymmetricDefault),
            None
        );
    }
}
