//! The files in which keys leave other programs, read into what KMS can be
//! given.
//!
//! | form | what |
//! |---|---|
//! | [`Form::Transit`] | the answers of `transit/export/…` and `transit/backup/…` of Vault and OpenBao |
//! | [`Form::LocalKms`] | the seed of local-kms |
//! | [`Form::Pkcs8`] | a private key, PEM or DER; PEM also of PKCS #1 and SEC 1 |
//! | [`Form::Jwk`] | a JSON Web Key, or a set of them |
//! | [`Form::Raw`] | the bytes of a symmetric or HMAC key |
//!
//! A file that cannot be read is an error; a key that KMS has no place for is
//! told with the reason, and the others are read.
//!
//! Invariant: a key that is given out is sound, by the same cryptography that
//! would use it.
//! Absent by design: passwords of PEM files, and any key without its private
//! half.

mod der;
mod jwk;
mod local_kms;
mod pem;
mod transit;

use crypto::key::{BackingKey, KeySpec};
use ground::Secret;

use crate::limits::{EXPORT_BYTES_MAX, EXPORT_KEYS_MAX, EXPORT_SYMMETRIC_VERSIONS_MAX};

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Of Vault's or OpenBao's transit engine.
    Transit,
    /// Of local-kms.
    LocalKms,
    /// One private key.
    Pkcs8,
    /// JSON Web Keys.
    Jwk,
    /// The bytes of one secret key.
    Raw,
}

/// What a key is for; KMS lets it do nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// `ENCRYPT_DECRYPT`
    EncryptDecrypt,
    /// `GENERATE_VERIFY_MAC`
    GenerateVerifyMac,
    /// `KEY_AGREEMENT`
    KeyAgreement,
    /// `SIGN_VERIFY`
    SignVerify,
}

impl Usage {
    /// As KMS spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Usage::EncryptDecrypt => "ENCRYPT_DECRYPT",
            Usage::GenerateVerifyMac => "GENERATE_VERIFY_MAC",
            Usage::KeyAgreement => "KEY_AGREEMENT",
            Usage::SignVerify => "SIGN_VERIFY",
        }
    }
}

/// The file is none of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// Not what the form is; without the values, which may be secret.
    #[error("the file is not {0}")]
    Not(&'static str),
    /// It has a password, which is not asked for.
    #[error("the file is encrypted: write it without its password first, as by `openssl pkey -in FILE`")]
    Encrypted,
    /// Something in it is not understood.
    #[error("the file has {0}, which is not understood")]
    Strange(String),
    /// There is nothing in it.
    #[error("the file holds no key")]
    Empty,
    /// There is too much in it.
    #[error("the file is longer than {EXPORT_BYTES_MAX} bytes, or has more than {EXPORT_KEYS_MAX} keys")]
    TooLong,
}

/// A key of a file.
pub struct Found {
    /// What the file calls it; else what the caller does.
    pub name: String,
    /// What is to be imported, or why it cannot be.
    pub key: Result<Exported, String>,
}

/// A key that KMS has a place for.
pub struct Exported {
    /// What it is made of.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: Usage,
    /// Its versions, the oldest first; at least one.
    pub versions: Vec<Version>,
    /// What the file fixes beside, if its form does.
    pub fixed: Option<Fixed>,
}

/// A version of a key.
pub struct Version {
    /// As the file counts.
    pub number: u32,
    /// In the form that `ImportKeyMaterial` takes, unwrapped.
    pub material: Secret<Vec<u8>>,
}

/// What a seed says of its keys.
pub struct Fixed {
    /// The key's id.
    pub id: String,
    /// The key's description; may be empty.
    pub description: String,
    /// Its aliases.
    pub aliases: Vec<String>,
}

/// Reads a file. `name` is that of a key without one, `usage` what its keys are
/// to be for where that is a choice.
///
/// # Errors
///
/// [`BadFile`] if the file as a whole cannot be read.
pub fn read(form: Form, name: &str, usage: Option<Usage>, bytes: &[u8]) -> Result<Vec<Found>, BadFile> {
    if bytes.len() > EXPORT_BYTES_MAX {
        return Err(BadFile::TooLong);
    }
    let one = |materials| Found {
        name: name.to_owned(),
        key: exported(materials, usage),
    };
    let found = match form {
        Form::Transit => vec![transit::read(name, usage, bytes)?],
        Form::LocalKms => local_kms::read(bytes)?,
        Form::Jwk => jwk::read(name, usage, bytes)?,
        Form::Pkcs8 => vec![one(vec![(1, Material::Pkcs8(pem::private_key(bytes)?))])],
        Form::Raw => vec![one(vec![(1, Material::Raw(Secret::new(bytes.to_vec())))])],
    };
    match found.len() {
        0 => Err(BadFile::Empty),
        1..=EXPORT_KEYS_MAX => Ok(found),
        _ => Err(BadFile::TooLong),
    }
}

/// Bytes that may be a key.
enum Material {
    /// Of a symmetric or HMAC key.
    Raw(Secret<Vec<u8>>),
    /// PKCS #8 that may be one of these: a form that leaves the curve unsaid has
    /// a candidate for each.
    Pkcs8(Vec<Secret<Vec<u8>>>),
}

/// A key of these versions, which must be of one kind.
fn exported(materials: Vec<(u32, Material)>, usage: Option<Usage>) -> Result<Exported, String> {
    let mut spec = None;
    let mut versions = Vec::with_capacity(materials.len());
    for (number, material) in materials {
        let (found, material) = sound(material, usage)?;
        if spec.is_some_and(|spec| spec != found) {
            return Err("its versions are of different kinds".to_owned());
        }
        spec = Some(found);
        versions.push(Version { number, material });
    }
    let spec = spec.ok_or("it has no version with its secret part")?;
    if spec == KeySpec::SymmetricDefault && versions.len() > EXPORT_SYMMETRIC_VERSIONS_MAX {
        return Err(format!(
            "a symmetric key of KMS takes {EXPORT_SYMMETRIC_VERSIONS_MAX} versions, this one has {}: export those that are needed",
            versions.len()
        ));
    }
    versions.sort_by_key(|version| version.number);
    Ok(Exported {
        spec,
        usage: usage_of(spec, usage)?,
        versions,
        fixed: None,
    })
}

/// What these bytes are, if they are a sound key.
fn sound(material: Material, usage: Option<Usage>) -> Result<(KeySpec, Secret<Vec<u8>>), String> {
    match material {
        Material::Raw(bytes) => {
            let length = bytes.expose().len();
            let spec = match (usage == Some(Usage::GenerateVerifyMac), length) {
                (false, 32) => KeySpec::SymmetricDefault,
                (false, _) => {
                    return Err(format!(
                        "symmetric keys of KMS have 256 bits, this one has {}",
                        length * 8
                    ));
                }
                (true, 28) => KeySpec::Hmac224,
                (true, 32) => KeySpec::Hmac256,
                (true, 48) => KeySpec::Hmac384,
                (true, 64) => KeySpec::Hmac512,
                (true, _) => {
                    return Err(format!(
                        "HMAC keys of KMS have 28, 32, 48 or 64 bytes, this one has {length}"
                    ));
                }
            };
            Ok((spec, bytes))
        }
        Material::Pkcs8(candidates) => {
            for candidate in candidates {
                let found = PRIVATE_SPECS
                    .into_iter()
                    .find(|spec| BackingKey::from_bytes(*spec, candidate.expose()).is_ok());
                if let Some(spec) = found {
                    return Ok((spec, candidate));
                }
            }
            Err("it is no sound private key of a kind that KMS imports".to_owned())
        }
    }
}

/// The specs whose private keys KMS imports as PKCS #8.
const PRIVATE_SPECS: [KeySpec; 8] = [
    KeySpec::EccNistP256,
    KeySpec::EccNistP384,
    KeySpec::EccNistP521,
    KeySpec::EccSecgP256K1,
    KeySpec::EccNistEdwards25519,
    KeySpec::Rsa2048,
    KeySpec::Rsa3072,
    KeySpec::Rsa4096,
];

/// What a key is for: what was said, if it can be, or the only thing.
fn usage_of(spec: KeySpec, said: Option<Usage>) -> Result<Usage, String> {
    let can: &[Usage] = match spec {
        KeySpec::SymmetricDefault => &[Usage::EncryptDecrypt],
        KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => {
            &[Usage::GenerateVerifyMac]
        }
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[Usage::EncryptDecrypt, Usage::SignVerify],
        KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => {
            &[Usage::SignVerify, Usage::KeyAgreement]
        }
        _ => &[Usage::SignVerify],
    };
    match said {
        Some(said) if can.contains(&said) => Ok(said),
        Some(said) => Err(format!("{spec} keys are not for {}", said.as_str())),
        None if can.contains(&Usage::EncryptDecrypt) && can.len() > 1 => {
            Err("a key of KMS has one usage: say --usage encrypt-decrypt or sign-verify".to_owned())
        }
        None => can.first().copied().ok_or_else(|| "it has no usage".to_owned()),
    }
}

#[cfg(test)]
mod tests;
