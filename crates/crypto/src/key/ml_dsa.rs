//! ML-DSA (FIPS 204).
//!
//! The private key is kept as its seed of 32 bytes. The provider signs
//! messages; a message representative that was computed outside ("external mu")
//! it does not take, so that is signed and verified by the `ml-dsa` crate, from
//! the same seed. Both make the same signatures: those of a message verify as
//! those of its representative. Absent by design: a context string.

use ::ml_dsa::{ExpandedSigningKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Seed, Signature, VerifyingKey};
use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING,
    ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use ground::Secret;

use super::input::Input;
use super::spki::{self, Arcs};
use super::{KeySpec, SigningAlgorithm};
use crate::{Error, Random};

/// Bytes in a seed.
const SEED_BYTES: usize = 32;

/// A private key made ready.
pub(super) struct MlDsaPrivate {
    pair: PqdsaKeyPair,
    seed: Secret<Vec<u8>>,
}

impl MlDsaPrivate {
    pub(super) fn generate(spec: KeySpec, random: &Random) -> Result<MlDsaPrivate, Error> {
        let mut seed = Secret::new(vec![0; SEED_BYTES]);
        random.fill(seed.expose_mut());
        MlDsaPrivate::from_seed(spec, seed.expose())
    }

    pub(super) fn from_seed(spec: KeySpec, seed: &[u8]) -> Result<MlDsaPrivate, Error> {
        let bad_key = Error::BadKey(spec);
        let (signing, ..) = parameters(spec).ok_or(bad_key.clone())?;
        Ok(MlDsaPrivate {
            pair: PqdsaKeyPair::from_seed(signing, seed).map_err(|_| bad_key)?,
            seed: Secret::new(seed.to_vec()),
        })
    }

    pub(super) fn seed(&self) -> &Secret<Vec<u8>> {
        &self.seed
    }

    pub(super) fn public_key_der(&self, spec: KeySpec) -> Result<Vec<u8>, Error> {
        let (_, _, arcs) = parameters(spec).ok_or(Error::BadKey(spec))?;
        Ok(spki::write(arcs, self.pair.public_key().as_ref()))
    }

    pub(super) fn sign(
        &self,
        spec: KeySpec,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
    ) -> Result<Vec<u8>, Error> {
        match input {
            Input::Message(message) => {
                let mut signature = vec![0; self.pair.algorithm().signature_len()];
                let signed = self.pair.sign(message, &mut signature);
                signed.map_err(|_| Error::Provider("ML-DSA sign"))?;
                Ok(signature)
            }
            Input::Representative(mu) => match spec {
                KeySpec::MlDsa44 => sign_mu::<MlDsa44>(self.seed.expose(), mu),
                KeySpec::MlDsa65 => sign_mu::<MlDsa65>(self.seed.expose(), mu),
                KeySpec::MlDsa87 => sign_mu::<MlDsa87>(self.seed.expose(), mu),
                _ => Err(unsupported(spec, algorithm)),
            },
            Input::Digest(_) | Input::Prehash(_) => Err(unsupported(spec, algorithm)),
        }
    }
}

/// A public key made ready.
pub(super) struct MlDsaPublic {
    parsed: ParsedPublicKey,
    raw: Vec<u8>,
}

impl MlDsaPublic {
    pub(super) fn from_der(spec: KeySpec, der: &[u8]) -> Result<MlDsaPublic, Error> {
        let bad_key = || Error::BadKey(spec);
        let (signing, verification, arcs) = parameters(spec).ok_or_else(bad_key)?;
        let raw = spki::read(arcs, der).ok_or_else(bad_key)?;
        if raw.len() != signing.public_key_len() {
            return Err(bad_key());
        }
        let parsed = ParsedPublicKey::new(verification, der).map_err(|_| bad_key())?;
        Ok(MlDsaPublic {
            parsed,
            raw: raw.to_vec(),
        })
    }

    pub(super) fn verify(
        &self,
        spec: KeySpec,
        algorithm: SigningAlgorithm,
        input: &Input<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        let good = match input {
            Input::Message(message) => self.parsed.verify_sig(message, signature).is_ok(),
            Input::Representative(mu) => match spec {
                KeySpec::MlDsa44 => verify_mu::<MlDsa44>(&self.raw, mu, signature),
                KeySpec::MlDsa65 => verify_mu::<MlDsa65>(&self.raw, mu, signature),
                KeySpec::MlDsa87 => verify_mu::<MlDsa87>(&self.raw, mu, signature),
                _ => return Err(unsupported(spec, algorithm)),
            },
            Input::Digest(_) | Input::Prehash(_) => return Err(unsupported(spec, algorithm)),
        };
        if good { Ok(()) } else { Err(Error::BadSignature) }
    }
}

fn sign_mu<P: MlDsaParams>(seed: &[u8], mu: &[u8; 64]) -> Result<Vec<u8>, Error> {
    let seed = Seed::try_from(seed).map_err(|_| Error::Provider("ML-DSA seed"))?;
    let key = ExpandedSigningKey::<P>::from_seed(&seed);
    Ok(key.sign_mu_deterministic(&(*mu).into()).encode().to_vec())
}

fn verify_mu<P: MlDsaParams>(raw: &[u8], mu: &[u8; 64], signature: &[u8]) -> bool {
    let (Ok(raw), Ok(signature)) = (raw.try_into(), signature.try_into()) else {
        return false;
    };
    let key = VerifyingKey::<P>::decode(&raw);
    Signature::<P>::decode(&signature).is_some_and(|signature| key.verify_mu(&(*mu).into(), &signature))
}

type Parameters = (
    &'static PqdsaSigningAlgorithm,
    &'static PqdsaVerificationAlgorithm,
    Arcs,
);

fn parameters(spec: KeySpec) -> Option<Parameters> {
    match spec {
        KeySpec::MlDsa44 => Some((&ML_DSA_44_SIGNING, &ML_DSA_44, [3, 17])),
        KeySpec::MlDsa65 => Some((&ML_DSA_65_SIGNING, &ML_DSA_65, [3, 18])),
        KeySpec::MlDsa87 => Some((&ML_DSA_87_SIGNING, &ML_DSA_87, [3, 19])),
        _ => None,
    }
}

fn unsupported(spec: KeySpec, algorithm: SigningAlgorithm) -> Error {
    Error::Unsupported {
        spec,
        algorithm: algorithm.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use ed25519_dalek::ed25519::signature::digest::Update as _;

    use super::*;

    const SPECS: [KeySpec; 3] = [KeySpec::MlDsa44, KeySpec::MlDsa65, KeySpec::MlDsa87];
    const ALGORITHM: SigningAlgorithm = SigningAlgorithm::MlDsaShake256;

    /// FIPS 204, Algorithm 7: the representative of a message without context.
    fn mu<P: MlDsaParams>(raw: &[u8], message: &[u8]) -> [u8; 64] {
        let key = VerifyingKey::<P>::decode(&raw.try_into().unwrap());
        let mut mu = [0; 64];
        let made = key.compute_mu(
            |hash| {
                hash.update(message);
                Ok(())
            },
            &[],
        );
        mu.copy_from_slice(&made.unwrap());
        mu
    }

    /// The two libraries are one algorithm: what one signs of the message, the
    /// other verifies of its representative, and the reverse.
    #[test]
    fn messages_and_their_representatives_have_the_same_signatures() {
        for spec in SPECS {
            let key = MlDsaPrivate::generate(spec, &Random::seeded(1)).unwrap();
            let der = key.public_key_der(spec).unwrap();
            let told: PublicKeyX509Der<'_> = key.pair.public_key().as_der().unwrap();
            assert_eq!(der, told.as_ref());
            let public = MlDsaPublic::from_der(spec, &der).unwrap();
            let mu = match spec {
                KeySpec::MlDsa44 => mu::<MlDsa44>(&public.raw, b"message"),
                KeySpec::MlDsa65 => mu::<MlDsa65>(&public.raw, b"message"),
                _ => mu::<MlDsa87>(&public.raw, b"message"),
            };
            for input in [Input::Message(b"message"), Input::Representative(mu)] {
                let mut signature = key.sign(spec, ALGORITHM, &input).unwrap();
                for other in [Input::Message(b"message"), Input::Representative(mu)] {
                    public.verify(spec, ALGORITHM, &other, &signature).unwrap();
                }
                signature[7] ^= 1;
                for other in [Input::Message(b"message"), Input::Representative(mu)] {
                    let refused = public.verify(spec, ALGORITHM, &other, &signature);
                    assert_eq!(refused, Err(Error::BadSignature));
                    assert!(public.verify(spec, ALGORITHM, &other, &signature[1..]).is_err());
                }
            }
        }
    }

    #[test]
    fn a_key_of_another_spec_is_no_key() {
        let key = MlDsaPrivate::generate(KeySpec::MlDsa44, &Random::seeded(1)).unwrap();
        let der = key.public_key_der(KeySpec::MlDsa44).unwrap();
        assert!(MlDsaPublic::from_der(KeySpec::MlDsa65, &der).is_err());
        assert!(MlDsaPublic::from_der(KeySpec::MlDsa44, &der[..der.len() - 1]).is_err());
        assert!(MlDsaPrivate::from_seed(KeySpec::MlDsa44, &[0; 31]).is_err());
    }
}
