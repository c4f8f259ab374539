//! Import tokens: the private half of a wrapping key, sealed for one KMS key and
//! one day, which the client keeps until it brings the material.
//!
//! Public for the fuzz targets, which seal what strangers cannot.

use crypto::key::{BackingKey, KeySpec, WrappingAlgorithm};
use gate::Cx;
use ground::{Secret, Timestamp};

use crate::error::Error;
use crate::model::{Key, KeyId};

/// Purpose of the domain key that seals import tokens.
pub(crate) const PURPOSE: &str = "kms/import-token";

/// What an import token holds.
///
/// | bytes | what |
/// |---|---|
/// | 1 | the algorithm, by its place among all |
/// | 1 | the spec of the wrapping key, by its place among [`WRAPPING_SPECS`] |
/// | 8 | until when it serves, in milliseconds since 1970, big-endian |
/// | rest | the private key, PKCS #8 |
pub struct ImportToken {
    pub(super) algorithm: WrappingAlgorithm,
    pub(super) valid_to: Timestamp,
    pub(super) wrapping_key: BackingKey,
}

const WRAPPING_SPECS: [KeySpec; 3] = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096];

impl ImportToken {
    pub(super) fn seal(&self, cx: &Cx, key: &Key) -> Result<Vec<u8>, Error> {
        let domain = cx.domain_key(key.account, &key.region, PURPOSE);
        let sealed = domain.seal(&bound_to(&key.id), self.to_bytes()?.expose(), cx.random());
        sealed.map_err(Error::Crypto)
    }

    /// # Errors
    ///
    /// [`Error::ImportToken`] for anything that was not sealed for this key,
    /// [`Error::ImportTokenExpired`] after its day.
    pub(super) fn open(cx: &Cx, key: &Key, sealed: &[u8]) -> Result<ImportToken, Error> {
        let domain = cx.domain_key(key.account, &key.region, PURPOSE);
        let token = domain
            .open(&bound_to(&key.id), sealed)
            .map_err(|_| Error::ImportToken)?;
        let token = ImportToken::read(token.expose()).ok_or(Error::ImportToken)?;
        if token.valid_to <= cx.now() {
            return Err(Error::ImportTokenExpired);
        }
        Ok(token)
    }

    /// What is sealed.
    ///
    /// # Errors
    ///
    /// [`Error::Crypto`] if the provider fails.
    pub fn to_bytes(&self) -> Result<Secret<Vec<u8>>, Error> {
        let place = |at: Option<usize>| at.and_then(|at| u8::try_from(at).ok());
        let algorithm = place(WrappingAlgorithm::ALL.iter().position(|it| *it == self.algorithm));
        let spec = place(
            WRAPPING_SPECS
                .iter()
                .position(|it| *it == self.wrapping_key.spec()),
        );
        let mut head = vec![
            algorithm.expect("the algorithm is one of all"),
            spec.expect("a wrapping key is of a wrapping spec"),
        ];
        head.extend_from_slice(&self.valid_to.0.to_be_bytes());
        let private = self.wrapping_key.to_bytes()?;
        let mut token = Secret::new(Vec::with_capacity(head.len() + private.expose().len()));
        token.expose_mut().extend_from_slice(&head);
        token.expose_mut().extend_from_slice(private.expose());
        Ok(token)
    }

    /// Reads what was sealed; `None` for anything that is no token.
    pub fn read(bytes: &[u8]) -> Option<ImportToken> {
        let (&[algorithm, spec], rest) = bytes.split_first_chunk::<2>()?;
        let (valid_to, private) = rest.split_first_chunk::<8>()?;
        let spec = *WRAPPING_SPECS.get(usize::from(spec))?;
        Some(ImportToken {
            algorithm: *WrappingAlgorithm::ALL.get(usize::from(algorithm))?,
            valid_to: Timestamp(i64::from_be_bytes(*valid_to)),
            wrapping_key: BackingKey::from_bytes(spec, private).ok()?,
        })
    }
}

fn bound_to(key: &KeyId) -> [&[u8]; 1] {
    [key.as_str().as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_token_never_panics() {
        for bytes in [&[][..], &[0], &[0; 9], &[9; 40], &[0; 4000]] {
            assert!(ImportToken::read(bytes).is_none());
        }
    }
}
