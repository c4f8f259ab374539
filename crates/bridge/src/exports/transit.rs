//! What Vault's and OpenBao's transit engine gives out of its keys: the answer
//! of an export, and a plaintext backup.
//!
//! Source: Vault and OpenBao API documentation, "Transit secrets engine",
//! Export key and Backup key. What a backup holds is not documented; it is JSON
//! in base64 that names its parts as they are read here, and anything else is
//! refused.

use std::collections::BTreeMap;

use ground::Secret;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::der::{self, CURVES, Rsa};
use super::{BadFile, Found, Material, Usage, exported, pem};
use crate::limits::{EXPORT_DIGITS_MAX, EXPORT_VERSIONS_MAX};
use crate::secret_text::SecretText;

const NOT: BadFile = BadFile::Not("the answer of transit/export or transit/backup");

/// The answer as the API gives it, or its `data` alone.
#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    #[serde(flatten)]
    bare: Data,
}

#[derive(Deserialize)]
struct Data {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    keys: Option<BTreeMap<String, SecretText>>,
    backup: Option<SecretText>,
}

pub(super) fn read(name: &str, usage: Option<Usage>, bytes: &[u8]) -> Result<Found, BadFile> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| NOT)?;
    let data = answer.data.unwrap_or(answer.bare);
    match (data.keys, data.backup) {
        (Some(keys), None) => Ok(Found {
            name: data.name.unwrap_or_else(|| name.to_owned()),
            key: export(data.kind.as_deref(), &keys, usage),
        }),
        (None, Some(backup)) => {
            let document = backup.base64().ok_or(NOT)?;
            let backup: Backup<'_> = serde_json::from_slice(document.expose()).map_err(|_| NOT)?;
            Ok(Found {
                name: backup.policy.name.clone(),
                key: backup
                    .materials(usage)
                    .and_then(|materials| exported(materials, usage)),
            })
        }
        _ => Err(NOT),
    }
}
/// How a kind of transit's comes to KMS.
enum Way {
    /// The bytes of a symmetric key.
    Symmetric,
    /// The bytes of an HMAC key.
    Mac,
    /// A seed and the public key behind it, 64 bytes.
    Ed25519,
    /// A key on a curve, or an RSA key.
    Pair,
}

fn way(kind: &str) -> Result<Way, String> {
    match kind {
        "aes256-gcm96" => Ok(Way::Symmetric),
        "hmac" => Ok(Way::Mac),
        "ed25519" => Ok(Way::Ed25519),
        "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "rsa-2048" | "rsa-3072" | "rsa-4096" => Ok(Way::Pair),
        "aes128-gcm96" => Err("symmetric keys of KMS have 256 bits, this one has 128".to_owned()),
        "chacha20-poly1305" | "xchacha20-poly1305" => {
            Err("it is of another cipher than AES-256-GCM, the one of KMS".to_owned())
        }
        "managed_key" => Err("its material is elsewhere, and not in the file".to_owned()),
        other => Err(format!("KMS has no counterpart of {other:.32}")),
    }
}

fn export(
    kind: Option<&str>,
    keys: &BTreeMap<String, SecretText>,
    usage: Option<Usage>,
) -> Result<super::Exported, String> {
    if keys.len() > EXPORT_VERSIONS_MAX {
        return Err(format!("it has more than {EXPORT_VERSIONS_MAX} versions"));
    }
    let mut materials = Vec::with_capacity(keys.len());
    let mut usage = usage;
    for (number, text) in keys {
        let number: u32 = number
            .parse()
            .map_err(|_| "a version's name is no number".to_owned())?;
        let bytes = || text.base64().ok_or_else(|| "a version is not base64".to_owned());
        // Whoever exports HMAC keys of another kind says so by the usage.
        let way = match (usage, kind) {
            (Some(Usage::GenerateVerifyMac), _) => Way::Mac,
            (_, Some(kind)) => way(kind)?,
            (_, None) if text.text().contains("-----BEGIN ") => Way::Pair,
            (_, None) if bytes()?.expose().len() == 64 => Way::Ed25519,
            (_, None) => Way::Symmetric,
        };
        materials.push((
            number,
            match way {
                Way::Symmetric => Material::Raw(bytes()?),
                Way::Mac => {
                    usage = Some(Usage::GenerateVerifyMac);
                    Material::Raw(bytes()?)
                }
                Way::Ed25519 => ed25519(&bytes()?)?,
                Way::Pair => {
                    let candidates = pem::of_text(text.text());
                    Material::Pkcs8(
                        candidates.ok_or("a version is no private key: was the public half exported?")?,
                    )
                }
            },
        ));
    }
    exported(materials, usage)
}

/// Of 64 bytes, a seed and its public key.
fn ed25519(bytes: &Secret<Vec<u8>>) -> Result<Material, String> {
    let (seed, _) = bytes
        .expose()
        .split_first_chunk::<32>()
        .filter(|(_, public)| public.len() == 32)
        .ok_or("an Ed25519 key has 64 bytes here")?;
    Ok(Material::Pkcs8(vec![der::of_ed25519(seed)]))
}

#[derive(Deserialize)]
struct Backup<'a> {
    #[serde(borrow)]
    policy: Policy<'a>,
    #[serde(borrow)]
    archived_keys: Option<Archive<'a>>,
}

#[derive(Deserialize)]
struct Policy<'a> {
    name: String,
    #[serde(borrow)]
    keys: BTreeMap<String, Entry<'a>>,
    /// By number.
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    derived: bool,
}

/// The versions that are no longer in use, by their place.
#[derive(Deserialize)]
struct Archive<'a> {
    #[serde(borrow, default)]
    keys: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    key: Option<SecretText>,
    #[serde(borrow)]
    ec_x: Option<&'a RawValue>,
    #[serde(borrow)]
    ec_y: Option<&'a RawValue>,
    #[serde(borrow)]
    ec_d: Option<&'a RawValue>,
    #[serde(borrow)]
    rsa_key: Option<RsaEntry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RsaEntry<'a> {
    #[serde(borrow)]
    n: &'a RawValue,
    #[serde(borrow)]
    e: &'a RawValue,
    #[serde(borrow)]
    d: &'a RawValue,
    #[serde(borrow)]
    primes: Vec<&'a RawValue>,
    #[serde(borrow)]
    precomputed: Precomputed<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Precomputed<'a> {
    #[serde(borrow)]
    dp: &'a RawValue,
    #[serde(borrow)]
    dq: &'a RawValue,
    #[serde(borrow)]
    qinv: &'a RawValue,
}

/// The kinds by their numbers.
const KINDS: [&str; 12] = [
    "aes256-gcm96",
    "ecdsa-p256",
    "ed25519",
    "rsa-2048",
    "rsa-4096",
    "chacha20-poly1305",
    "ecdsa-p384",
    "ecdsa-p521",
    "aes128-gcm96",
    "rsa-3072",
    "managed_key",
    "hmac",
];

impl Backup<'_> {
    fn materials(&self, usage: Option<Usage>) -> Result<Vec<(u32, Material)>, String> {
        let policy = &self.policy;
        if policy.derived {
            return Err("its keys are derived anew from each context; KMS does not do so".to_owned());
        }
        let kind = usize::try_from(policy.kind)
            .ok()
            .and_then(|kind| KINDS.get(kind))
            .ok_or_else(|| format!("its type {} is not understood", policy.kind))?;
        let way = way(kind)?;
        if matches!(way, Way::Mac) != (usage == Some(Usage::GenerateVerifyMac)) {
            let told = "an HMAC key, and no other, is imported with --usage generate-verify-mac";
            return Err(told.to_owned());
        }
        let mut entries: BTreeMap<u32, &Entry<'_>> = BTreeMap::new();
        let archived = self.archived_keys.iter().flat_map(|archive| &archive.keys);
        // The first place is empty: versions count from one.
        entries.extend((0..).zip(archived).skip(1));
        for (number, entry) in &policy.keys {
            let number = number
                .parse()
                .map_err(|_| "a version's name is no number".to_owned())?;
            entries.insert(number, entry);
        }
        if entries.len() > EXPORT_VERSIONS_MAX {
            return Err(format!("it has more than {EXPORT_VERSIONS_MAX} versions"));
        }
        let versions = entries.into_iter();
        versions
            .map(|(number, entry)| Ok((number, entry.material(&way, kind)?)))
            .collect()
    }
}

impl Entry<'_> {
    fn material(&self, way: &Way, kind: &str) -> Result<Material, String> {
        let bytes = || {
            let bytes = self.key.as_ref().and_then(SecretText::base64);
            bytes.ok_or_else(|| "a version has no material".to_owned())
        };
        match way {
            Way::Symmetric | Way::Mac => Ok(Material::Raw(bytes()?)),
            Way::Ed25519 => ed25519(&bytes()?),
            Way::Pair => match &self.rsa_key {
                Some(rsa) => Ok(Material::Pkcs8(vec![rsa.pkcs8()?])),
                None => self.point(kind),
            },
        }
    }

    fn point(&self, kind: &str) -> Result<Material, String> {
        let wanted = kind.strip_prefix("ecdsa-p").unwrap_or_default();
        let curve = CURVES
            .iter()
            .find(|curve| curve.name.strip_prefix("P-") == Some(wanted))
            .ok_or("a version has no RSA key")?;
        let number = |number: Option<&RawValue>| {
            number
                .and_then(|number| decimal(number.get()))
                .ok_or_else(|| "a version lacks a number of its key".to_owned())
        };
        let (d, x, y) = (number(self.ec_d)?, number(self.ec_x)?, number(self.ec_y)?);
        let key = der::of_point(curve, d.expose(), x.expose(), y.expose());
        Ok(Material::Pkcs8(vec![
            key.ok_or("the numbers of a version are too long")?,
        ]))
    }
}

impl RsaEntry<'_> {
    fn pkcs8(&self) -> Result<Secret<Vec<u8>>, String> {
        let number = |number: &RawValue| {
            decimal(number.get()).ok_or_else(|| "a number of a version is none".to_owned())
        };
        let [p, q] = self.primes[..] else {
            return Err("KMS has no RSA keys of more than two primes".to_owned());
        };
        let more = &self.precomputed;
        Ok(der::of_rsa(&Rsa {
            modulus: number(self.n)?,
            public_exponent: number(self.e)?,
            private_exponent: number(self.d)?,
            rest: [
                number(p)?,
                number(q)?,
                number(more.dp)?,
                number(more.dq)?,
                number(more.qinv)?,
            ],
        }))
    }
}

/// The bytes of a decimal number, big-endian without leading zeros.
fn decimal(digits: &str) -> Option<Secret<Vec<u8>>> {
    if !(1..=EXPORT_DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    // Little-endian while it grows, in a place that does not move.
    let mut out = Secret::new(Vec::with_capacity(EXPORT_DIGITS_MAX));
    let bytes = out.expose_mut();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10)?;
        for byte in bytes.iter_mut() {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.reverse();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        let bytes = |digits| decimal(digits).map(|bytes| bytes.expose().clone());
        assert_eq!(bytes("65537"), Some(vec![1, 0, 1]));
        assert_eq!(bytes("0"), Some(vec![]));
        assert_eq!(bytes("255"), Some(vec![255]));
        assert_eq!(bytes("256"), Some(vec![1, 0]));
        for bad in ["", "-1", "1.5", "1e9", "\"1\"", &"9".repeat(1301)] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
