//! Key material that is wrapped in one place to be imported in another.
//!
//! | algorithm | wrapped material |
//! |---|---|
//! | `RSAES_OAEP_*` | the material under RSA-OAEP |
//! | `RSA_AES_KEY_WRAP_*` | a fresh AES-256 key under RSA-OAEP, then the material under that key by AES key wrap with padding (RFC 5649) |
//!
//! The second is PKCS #11's `CKM_RSA_AES_KEY_WRAP`; only it has room for RSA
//! private keys.
//!
//! Absent by design: PKCS #1 v1.5, which KMS gave up in 2023.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use ground::Secret;
use zeroize::Zeroize as _;

use super::{BackingKey, EncryptionAlgorithm, KEY_BYTES_MAX, PublicKey, WrappingAlgorithm};
use crate::{Error, Random};

/// What wraps first, and whether it wraps a key that wraps the material.
fn scheme(algorithm: WrappingAlgorithm) -> (EncryptionAlgorithm, bool) {
    match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 => (EncryptionAlgorithm::RsaesOaepSha1, false),
        WrappingAlgorithm::RsaesOaepSha256 => (EncryptionAlgorithm::RsaesOaepSha256, false),
        WrappingAlgorithm::RsaAesKeyWrapSha1 => (EncryptionAlgorithm::RsaesOaepSha1, true),
        WrappingAlgorithm::RsaAesKeyWrapSha256 => (EncryptionAlgorithm::RsaesOaepSha256, true),
    }
}

impl PublicKey {
    /// Wraps material for who holds the private half of this RSA key.
    ///
    /// # Errors
    ///
    /// [`Error::PlaintextLength`] if the algorithm has no room for it,
    /// [`Error::Unsupported`] unless this is an RSA key.
    pub fn wrap_material(
        &self,
        algorithm: WrappingAlgorithm,
        material: &[u8],
        random: &Random,
    ) -> Result<Vec<u8>, Error> {
        let (oaep, twice) = scheme(algorithm);
        if !twice {
            return self.encrypt(oaep, material);
        }
        let failed = || Error::Provider("AES key wrap");
        let key = Secret::new(random.bytes::<32>());
        let mut wrapped = self.encrypt(oaep, key.expose())?;
        let key = AesKek::new(&AES_256, key.expose()).map_err(|_| failed())?;
        // Padding to a multiple of eight, and eight bytes of check.
        let mut buffer = vec![0; material.len() + 15];
        wrapped.extend_from_slice(
            key.wrap_with_padding(material, &mut buffer)
                .map_err(|_| failed())?,
        );
        Ok(wrapped)
    }
}

impl BackingKey {
    /// Opens material that was wrapped for this RSA key.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] for every failure of what was given,
    /// [`Error::Unsupported`] unless this is an RSA key.
    pub fn unwrap_material(
        &self,
        algorithm: WrappingAlgorithm,
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let (oaep, twice) = scheme(algorithm);
        if !twice {
            return self.decrypt(oaep, wrapped);
        }
        let modulus_bytes = self.spec().modulus_bytes().ok_or(Error::BadCiphertext)?;
        let (wrapped_key, wrapped) = wrapped
            .split_at_checked(modulus_bytes)
            .ok_or(Error::BadCiphertext)?;
        if wrapped.len() > KEY_BYTES_MAX {
            return Err(Error::BadCiphertext);
        }
        let key = self.decrypt(oaep, wrapped_key)?;
        let key = AesKek::new(&AES_256, key.expose()).map_err(|_| Error::BadCiphertext)?;
        let mut buffer = Secret::new(vec![0; wrapped.len()]);
        let length = key
            .unwrap_with_padding(wrapped, buffer.expose_mut())
            .map_err(|_| Error::BadCiphertext)?
            .len();
        let bytes = buffer.expose_mut();
        bytes[length..].zeroize();
        bytes.truncate(length);
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;
    use crate::key::KeySpec;

    fn wrap(key: &BackingKey, algorithm: WrappingAlgorithm, material: &[u8]) -> Vec<u8> {
        let oaep = match algorithm.as_str().ends_with("_1") {
            true => EncryptionAlgorithm::RsaesOaepSha1,
            false => EncryptionAlgorithm::RsaesOaepSha256,
        };
        if algorithm.as_str().starts_with("RSAES") {
            return key.encrypt(oaep, material).unwrap();
        }
        let mut wrapped = key.encrypt(oaep, &[7; 32]).unwrap();
        let inner = AesKek::new(&AES_256, &[7; 32]).unwrap();
        let mut buffer = vec![0; material.len() + 15];
        wrapped.extend_from_slice(inner.wrap_with_padding(material, &mut buffer).unwrap());
        wrapped
    }

    #[test]
    fn what_is_wrapped_here_opens() {
        let key = BackingKey::generate(KeySpec::Rsa3072, &Random::seeded(1)).unwrap();
        let public = key.public_key().unwrap();
        for algorithm in WrappingAlgorithm::ALL {
            let wrapped = public
                .wrap_material(*algorithm, &[9; 33], &Random::seeded(3))
                .unwrap();
            let opened = key.unwrap_material(*algorithm, &wrapped).unwrap();
            assert_eq!(opened.expose(), &[9; 33]);
        }
        let long = |algorithm| public.wrap_material(algorithm, &[9; 1200], &Random::seeded(3));
        assert!(matches!(
            long(WrappingAlgorithm::RsaesOaepSha256),
            Err(Error::PlaintextLength { .. })
        ));
        let wrapped = long(WrappingAlgorithm::RsaAesKeyWrapSha256).unwrap();
        let opened = key.unwrap_material(WrappingAlgorithm::RsaAesKeyWrapSha256, &wrapped);
        assert_eq!(opened.unwrap().expose(), &[9; 1200]);
    }

    #[test]
    fn what_was_wrapped_opens_as_it_was_wrapped_and_no_other_way() {
        let key = BackingKey::generate(KeySpec::Rsa2048, &Random::seeded(1)).unwrap();
        let other = BackingKey::generate(KeySpec::Rsa2048, &Random::seeded(2)).unwrap();
        for algorithm in WrappingAlgorithm::ALL {
            let wrapped = wrap(&key, *algorithm, &[9; 33]);
            let opened = key.unwrap_material(*algorithm, &wrapped).unwrap();
            assert_eq!(opened.expose(), &[9; 33]);
            for wrong in WrappingAlgorithm::ALL.iter().filter(|it| *it != algorithm) {
                assert_eq!(
                    key.unwrap_material(*wrong, &wrapped).err(),
                    Some(Error::BadCiphertext)
                );
            }
            assert_eq!(
                other.unwrap_material(*algorithm, &wrapped).err(),
                Some(Error::BadCiphertext)
            );
            for cut in [0, 1, 255, wrapped.len() - 1] {
                assert_eq!(
                    key.unwrap_material(*algorithm, &wrapped[..cut]).err(),
                    Some(Error::BadCiphertext)
                );
            }
            let mut broken = wrapped.clone();
            *broken.last_mut().unwrap() ^= 1;
            assert_eq!(
                key.unwrap_material(*algorithm, &broken).err(),
                Some(Error::BadCiphertext)
            );
        }
    }

    #[test]
    fn only_rsa_keys_unwrap() {
        let key = BackingKey::generate(KeySpec::SymmetricDefault, &Random::seeded(1)).unwrap();
        assert!(
            key.unwrap_material(WrappingAlgorithm::RsaesOaepSha256, &[0; 256])
                .is_err()
        );
        assert!(
            key.unwrap_material(WrappingAlgorithm::RsaAesKeyWrapSha1, &[0; 300])
                .is_err()
        );
    }
}
