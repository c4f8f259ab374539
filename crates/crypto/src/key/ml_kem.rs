//! ML-KEM (FIPS 203).
//!
//! The private key is the decapsulation key of the standard, which holds the
//! encapsulation key too. A ciphertext that was not made for it gives another
//! secret, not an error: so wills the standard.

use aws_lc_rs::kem::{
    Algorithm, Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_512, ML_KEM_768, ML_KEM_1024,
};
use ground::Secret;

use super::KeySpec;
use super::spki::{self, Arcs};
use crate::Error;

/// A private key made ready.
pub(super) struct MlKemPrivate {
    key: DecapsulationKey,
    bytes: Secret<Vec<u8>>,
    set: Set,
}

/// A parameter set.
#[derive(Clone, Copy)]
struct Set {
    algorithm: &'static Algorithm,
    /// `k` of the standard: the rank of the module.
    rank: usize,
    ciphertext_bytes: usize,
    arcs: Arcs,
}

/// Bytes of one polynomial of the private or public key.
const POLYNOMIAL_BYTES: usize = 384;

/// `q` of the standard.
const MODULUS: u16 = 3329;

impl MlKemPrivate {
    pub(super) fn generate(spec: KeySpec) -> Result<MlKemPrivate, Error> {
        let failed = || Error::Provider("ML-KEM key generation");
        let set = set(spec).ok_or(Error::BadKey(spec))?;
        let key = DecapsulationKey::generate(set.algorithm).map_err(|_| failed())?;
        let bytes = key.key_bytes().map_err(|_| failed())?;
        MlKemPrivate::from_bytes(spec, bytes.as_ref())
    }

    pub(super) fn from_bytes(spec: KeySpec, bytes: &[u8]) -> Result<MlKemPrivate, Error> {
        let set = set(spec).ok_or(Error::BadKey(spec))?;
        let key = DecapsulationKey::new(set.algorithm, bytes).map_err(|_| Error::BadKey(spec))?;
        Ok(MlKemPrivate {
            key,
            bytes: Secret::new(bytes.to_vec()),
            set,
        })
    }

    pub(super) fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.bytes
    }

    /// FIPS 203, Algorithm 16: the decapsulation key is that of the inner
    /// scheme, the encapsulation key, its hash and a secret.
    pub(super) fn public_key_der(&self, spec: KeySpec) -> Result<Vec<u8>, Error> {
        let inner = POLYNOMIAL_BYTES * self.set.rank;
        let public = self.bytes.expose().get(inner..2 * inner + 32);
        Ok(spki::write(self.set.arcs, public.ok_or(Error::BadKey(spec))?))
    }

    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        if ciphertext.len() != self.set.ciphertext_bytes {
            return Err(Error::BadCiphertext);
        }
        let secret = self.key.decapsulate(Ciphertext::from(ciphertext));
        let secret = secret.map_err(|_| Error::Provider("ML-KEM decapsulate"))?;
        Ok(Secret::new(secret.as_ref().to_vec()))
    }
}

/// A public key made ready.
pub(super) struct MlKemPublic(EncapsulationKey);

impl MlKemPublic {
    pub(super) fn from_der(spec: KeySpec, der: &[u8]) -> Result<MlKemPublic, Error> {
        let bad_key = || Error::BadKey(spec);
        let set = set(spec).ok_or_else(bad_key)?;
        let raw = spki::read(set.arcs, der).ok_or_else(bad_key)?;
        if !raw.get(..POLYNOMIAL_BYTES * set.rank).is_some_and(is_reduced) {
            return Err(bad_key());
        }
        let key = EncapsulationKey::new(set.algorithm, raw).map_err(|_| bad_key())?;
        Ok(MlKemPublic(key))
    }

    /// A fresh secret of 32 bytes, and what it is sent as.
    pub(super) fn encapsulate(&self) -> Result<(Vec<u8>, Secret<Vec<u8>>), Error> {
        let made = self.0.encapsulate();
        let (ciphertext, secret) = made.map_err(|_| Error::Provider("ML-KEM encapsulate"))?;
        Ok((
            ciphertext.as_ref().to_vec(),
            Secret::new(secret.as_ref().to_vec()),
        ))
    }
}

/// Whether every number is below the modulus: the provider looks only when it
/// encapsulates (FIPS 203, 7.2). Each takes 12 bits, the lowest first.
fn is_reduced(polynomials: &[u8]) -> bool {
    polynomials.chunks_exact(3).all(|three| {
        let [first, second, third] = [three[0], three[1], three[2]].map(u16::from);
        first | (second & 15) << 8 < MODULUS && second >> 4 | third << 4 < MODULUS
    })
}

fn set(spec: KeySpec) -> Option<Set> {
    let (algorithm, rank, ciphertext_bytes, last) = match spec {
        KeySpec::MlKem512 => (&ML_KEM_512, 2, 768, 1),
        KeySpec::MlKem768 => (&ML_KEM_768, 3, 1088, 2),
        KeySpec::MlKem1024 => (&ML_KEM_1024, 4, 1568, 3),
        _ => return None,
    };
    Some(Set {
        algorithm,
        rank,
        ciphertext_bytes,
        arcs: [4, last],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encapsulated_is_decapsulated_and_nothing_else() {
        for spec in [KeySpec::MlKem512, KeySpec::MlKem768, KeySpec::MlKem1024] {
            let key = MlKemPrivate::generate(spec).unwrap();
            let key = MlKemPrivate::from_bytes(spec, key.bytes().expose()).unwrap();
            let public = MlKemPublic::from_der(spec, &key.public_key_der(spec).unwrap()).unwrap();
            let (mut ciphertext, secret) = public.encapsulate().unwrap();
            assert_eq!(secret.expose().len(), 32);
            assert_eq!(key.decapsulate(&ciphertext).unwrap().expose(), secret.expose());
            ciphertext[3] ^= 1;
            let other = key.decapsulate(&ciphertext).unwrap();
            assert_ne!(other.expose(), secret.expose());
            assert_eq!(other.expose(), key.decapsulate(&ciphertext).unwrap().expose());
            let short = key.decapsulate(&ciphertext[1..]).err();
            assert_eq!(short, Some(Error::BadCiphertext));
        }
    }
}
