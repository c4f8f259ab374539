//! JSON Web Keys with their private part.
//!
//! Source: RFC 7517, RFC 7518 section 6, RFC 8037.

use serde::Deserialize;

use super::der::{self, CURVES, Rsa};
use super::{BadFile, Found, Material, Usage, exported};
use crate::secret_text::SecretText;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// Members that are not private keys' are of no use here: who may do what with
/// a key of KMS is not for the key to say.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    k: Option<SecretText>,
    d: Option<SecretText>,
    x: Option<SecretText>,
    y: Option<SecretText>,
    n: Option<SecretText>,
    e: Option<SecretText>,
    p: Option<SecretText>,
    q: Option<SecretText>,
    dp: Option<SecretText>,
    dq: Option<SecretText>,
    qi: Option<SecretText>,
    /// More than two primes.
    oth: Option<serde::de::IgnoredAny>,
}

pub(super) fn read(name: &str, usage: Option<Usage>, bytes: &[u8]) -> Result<Vec<Found>, BadFile> {
    let keys = match serde_json::from_slice::<Set>(bytes) {
        Ok(set) => set.keys,
        Err(_) => match serde_json::from_slice::<Jwk>(bytes) {
            Ok(key) => vec![key],
            Err(_) => return Err(BadFile::Not("a JSON Web Key or a set of them")),
        },
    };
    let found = keys.into_iter().enumerate().map(|(at, key)| {
        let given = match at {
            0 => name.to_owned(),
            _ => format!("{name}-{}", at + 1),
        };
        Found {
            name: key.kid.clone().unwrap_or(given),
            key: key
                .material()
                .and_then(|material| exported(vec![(1, material)], usage)),
        }
    });
    Ok(found.collect())
}

impl Jwk {
    fn material(&self) -> Result<Material, String> {
        let bytes = |name: &str, member: &Option<SecretText>| {
            let text = member.as_ref().ok_or_else(|| format!("it has no {name}"))?;
            text.base64url()
                .ok_or_else(|| format!("its {name} is not base64url"))
        };
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) => Ok(Material::Raw(bytes("k", &self.k)?)),
            ("OKP", Some("Ed25519")) => {
                let seed = bytes("d", &self.d)?;
                Ok(Material::Pkcs8(vec![der::of_ed25519(seed.expose())]))
            }
            ("EC", Some(name)) => {
                let curve = CURVES.iter().find(|curve| curve.name == name);
                let curve = curve.ok_or_else(|| format!("KMS has no curve {name:.32}"))?;
                let (d, x, y) = (bytes("d", &self.d)?, bytes("x", &self.x)?, bytes("y", &self.y)?);
                let key = der::of_point(curve, d.expose(), x.expose(), y.expose());
                Ok(Material::Pkcs8(vec![key.ok_or("its numbers are too long")?]))
            }
            ("RSA", _) if self.oth.is_some() => Err("KMS has no RSA keys of more than two primes".to_owned()),
            ("RSA", _) => {
                let rsa = Rsa {
                    modulus: bytes("n", &self.n)?,
                    public_exponent: bytes("e", &self.e)?,
                    private_exponent: bytes("d", &self.d)?,
                    rest: [
                        bytes("p", &self.p)?,
                        bytes("q", &self.q)?,
                        bytes("dp", &self.dp)?,
                        bytes("dq", &self.dq)?,
                        bytes("qi", &self.qi)?,
                    ],
                };
                Ok(Material::Pkcs8(vec![der::of_rsa(&rsa)]))
            }
            (kty, crv) => Err(format!(
                "KMS has no keys of type {kty:.32} {:.32}",
                crv.unwrap_or_default()
            )),
        }
    }
}
