//! Key material: the secret half of a key, sealed in its row.
//!
//! Invariant: material is never stored in clear, and a row opens only as the
//! material it was sealed as: account, region, key, material and spec are
//! bound to it.

use std::fmt;
use std::sync::OnceLock;

use crypto::hierarchy::{DomainKey, MaterialRecord};
use crypto::key::{BackingKey, KeySpec};
use crypto::{Error, Random};
use ground::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use store::TextKey;

use crate::model::KeyId;
use crate::model::key_id::digit_value;

/// The id of one material of a key: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaterialId(String);

impl MaterialId {
    /// Bytes in an id.
    pub const BYTES: usize = 32;

    /// A fresh id.
    pub fn generate(random: &Random) -> MaterialId {
        MaterialId::from_bytes(random.bytes())
    }

    /// The id of material that was given from outside: the same for the same
    /// material of the same key, so that its ciphertexts open wherever both are.
    pub fn of_given(key: &KeyId, material: &Secret<Vec<u8>>) -> MaterialId {
        let parts = [
            b"palisade/kms/given-material/1".as_slice(),
            key.as_str().as_bytes(),
            material.expose(),
        ];
        MaterialId::from_bytes(crypto::sha256(&parts))
    }

    /// The id of these bytes.
    pub fn from_bytes(bytes: [u8; MaterialId::BYTES]) -> MaterialId {
        MaterialId(hex::encode(bytes))
    }

    /// The bytes of the id.
    pub fn bytes(&self) -> [u8; MaterialId::BYTES] {
        let mut digits = self.0.bytes();
        let mut digit = || digits.next().map_or(0, digit_value);
        std::array::from_fn(|_| digit() << 4 | digit())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MaterialId {
    type Error = String;

    fn try_from(text: String) -> Result<MaterialId, String> {
        MaterialId::from_text(&text).ok_or_else(|| "not a material id".to_owned())
    }
}

impl From<MaterialId> for String {
    fn from(id: MaterialId) -> String {
        id.0
    }
}

impl TextKey for MaterialId {
    fn as_text(&self) -> &str {
        &self.0
    }

    fn from_text(text: &str) -> Option<MaterialId> {
        let fits = text.len() == 2 * MaterialId::BYTES
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| MaterialId(text.to_owned()))
    }
}

/// The version of [`Material`]'s layout that is bound into the seal.
const SEALED_VERSION: u64 = 1;

/// One material of a key, as its row keeps it.
#[derive(Serialize, Deserialize)]
pub struct Material {
    /// When it was made.
    pub created: Timestamp,
    #[serde(with = "sealed_text")]
    sealed: Vec<u8>,
    /// The key itself, opened at its first use and kept as long as the cached row.
    #[serde(skip)]
    opened: OnceLock<BackingKey>,
}

/// Sealed bytes as base64, which takes a third of a list of numbers.
mod sealed_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::Deserialize as _;

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map_err(|_| serde::de::Error::custom("not base64"))
    }
}

impl Material {
    /// Seals a backing key as the material `id` of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the key cannot be serialised.
    pub fn seal(
        key: &KeyId,
        id: &MaterialId,
        backing: &BackingKey,
        domain: &DomainKey,
        random: &Random,
        created: Timestamp,
    ) -> Result<Material, Error> {
        let sealed = domain.wrap(&record(key, id), backing, random)?;
        Ok(Material {
            created,
            sealed,
            opened: OnceLock::new(),
        })
    }

    /// The same under the current root key; `None` if it is already.
    ///
    /// # Errors
    ///
    /// As [`Material::open`].
    pub fn resealed(
        &self,
        key: &KeyId,
        id: &MaterialId,
        spec: KeySpec,
        domain: &DomainKey,
        random: &Random,
    ) -> Result<Option<Material>, Error> {
        let sealed = domain.rewrap(&record(key, id), spec, &self.sealed, random)?;
        Ok(sealed.map(|sealed| Material {
            created: self.created,
            sealed,
            opened: OnceLock::new(),
        }))
    }

    /// The backing key, if it was opened before.
    pub fn opened(&self) -> Option<&BackingKey> {
        self.opened.get()
    }

    /// The backing key, opened with what `domain` gives unless it is open already.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] if the row was changed or belongs elsewhere.
    pub fn open(
        &self,
        key: &KeyId,
        id: &MaterialId,
        spec: KeySpec,
        domain: impl FnOnce() -> DomainKey,
    ) -> Result<&BackingKey, Error> {
        if let Some(opened) = self.opened() {
            return Ok(opened);
        }
        let backing = domain().unwrap(&record(key, id), spec, &self.sealed)?;
        Ok(self.opened.get_or_init(|| backing))
    }
}

/// The sealed bytes alone: what is open stays where it was opened.
impl Clone for Material {
    fn clone(&self) -> Material {
        Material {
            created: self.created,
            sealed: self.sealed.clone(),
            opened: OnceLock::new(),
        }
    }
}

fn record<'a>(key: &'a KeyId, id: &'a MaterialId) -> MaterialRecord<'a> {
    MaterialRecord {
        key_id: key.as_str(),
        material_id: id.as_str(),
        version: SEALED_VERSION,
    }
}
