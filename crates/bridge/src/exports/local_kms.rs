//! The seed of local-kms: YAML with keys by id, and their aliases.
//!
//! Source: the README of local-kms, "Seeding file format".

use ground::Secret;
use serde::Deserialize;

use super::{BadFile, Fixed, Found, Material, Usage, exported, pem};
use crate::secret_text::SecretText;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Seed {
    #[serde(default)]
    keys: Option<Keys>,
    #[serde(default)]
    aliases: Vec<Alias>,
}

/// By kind; the first versions knew one kind, and had a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Keys {
    Symmetric(Vec<Aes>),
    ByKind(ByKind),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ByKind {
    #[serde(default)]
    symmetric: Symmetric,
    #[serde(default)]
    asymmetric: Asymmetric,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Symmetric {
    #[serde(default)]
    aes: Vec<Aes>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Asymmetric {
    #[serde(default)]
    rsa: Vec<Pair>,
    #[serde(default)]
    ecc: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Aes {
    metadata: Metadata,
    backing_keys: Vec<SecretText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Pair {
    metadata: Metadata,
    private_key_pem: SecretText,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Metadata {
    key_id: String,
    #[serde(default)]
    description: String,
    key_usage: Option<String>,
    /// Known, and of no account here: the key is enabled, of its spec, and ours.
    #[serde(default, rename = "CustomerMasterKeySpec", alias = "KeySpec")]
    _spec: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Alias {
    alias_name: String,
    target_key_id: String,
}

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Found>, BadFile> {
    const NOT: BadFile = BadFile::Not("a seed of local-kms, or has a field that is not understood");
    let text = std::str::from_utf8(bytes).map_err(|_| NOT)?;
    // The reason might repeat a secret.
    let seed: Seed = serde_saphyr::from_str(text).map_err(|_| NOT)?;
    let (symmetric, pairs) = match seed.keys {
        None => (Vec::new(), Vec::new()),
        Some(Keys::Symmetric(keys)) => (keys, Vec::new()),
        Some(Keys::ByKind(keys)) => {
            let mut pairs = keys.asymmetric.rsa;
            pairs.extend(keys.asymmetric.ecc);
            (keys.symmetric.aes, pairs)
        }
    };
    let mut found: Vec<Found> = Vec::new();
    for key in symmetric {
        let materials = backing_keys(&key.backing_keys);
        found.push(of(key.metadata, &seed.aliases, materials));
    }
    for key in pairs {
        let material = pem::of_text(key.private_key_pem.text())
            .map(|candidates| vec![(1, Material::Pkcs8(candidates))])
            .ok_or_else(|| "its PrivateKeyPem is no private key".to_owned());
        found.push(of(key.metadata, &seed.aliases, material));
    }
    let known = |alias: &&Alias| !found.iter().any(|key| key.name == alias.target_key_id);
    if let Some(alias) = seed.aliases.iter().find(known) {
        return Err(BadFile::Strange(format!(
            "an alias {:.256} of no key",
            alias.alias_name
        )));
    }
    Ok(found)
}

fn backing_keys(keys: &[SecretText]) -> Result<Vec<(u32, Material)>, String> {
    let mut materials = Vec::with_capacity(keys.len());
    for (number, key) in (1..).zip(keys) {
        let bytes = hex(key.text()).ok_or("a backing key is not hexadecimal")?;
        materials.push((number, Material::Raw(bytes)));
    }
    Ok(materials)
}

fn of(metadata: Metadata, aliases: &[Alias], materials: Result<Vec<(u32, Material)>, String>) -> Found {
    let usage = match metadata.key_usage.as_deref() {
        None | Some("") => Ok(None),
        Some("ENCRYPT_DECRYPT") => Ok(Some(Usage::EncryptDecrypt)),
        Some("SIGN_VERIFY") => Ok(Some(Usage::SignVerify)),
        Some(other) => Err(format!("its usage {other:.32} is not understood")),
    };
    let fixed = Fixed {
        id: metadata.key_id.clone(),
        description: metadata.description,
        aliases: aliases
            .iter()
            .filter(|alias| alias.target_key_id == metadata.key_id)
            .map(|alias| alias.alias_name.clone())
            .collect(),
    };
    let key = usage.and_then(|usage| {
        let mut key = exported(materials?, usage)?;
        key.fixed = Some(fixed);
        Ok(key)
    });
    Found {
        name: metadata.key_id,
        key,
    }
}

fn hex(text: &str) -> Option<Secret<Vec<u8>>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Secret::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks_exact(2) {
        let byte = digit(pair[0])? * 16 + digit(pair[1])?;
        out.expose_mut().push(u8::try_from(byte).ok()?);
    }
    Some(out)
}
