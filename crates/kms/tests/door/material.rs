//! Keys whose material is published elsewhere: how they come into KMS, and the
//! forms in which it takes keys and signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::key::{EncryptionAlgorithm, KeySpec, PublicKey, WrappingAlgorithm};
use ground::{AccountId, Region, Secret};
use kms::{FixedKey, bootstrap_key};
use serde_json::{Value, json};

use crate::world::{HOME, REGION, Who, World, b64, text};

/// An empty key for imported material, and what it is wrapped with.
pub(crate) struct Waiting {
    pub(crate) id: Value,
    token: Value,
    public: PublicKey,
}

impl Waiting {
    pub(crate) async fn new(world: &World, algorithm: &str, spec: &str, usage: &str) -> Waiting {
        let key = json!({"Origin": "EXTERNAL", "KeySpec": spec, "KeyUsage": usage});
        let id = world.key(key).await["KeyId"].clone();
        let asked = json!({"KeyId": id, "WrappingAlgorithm": algorithm, "WrappingKeySpec": "RSA_2048"});
        let told = world.ok(Who::Root, "GetParametersForImport", asked).await;
        let public = STANDARD.decode(text(&told, "PublicKey")).unwrap();
        Waiting {
            id,
            token: told["ImportToken"].clone(),
            public: PublicKey::from_der(KeySpec::Rsa2048, &public).unwrap(),
        }
    }

    pub(crate) fn wrap(&self, bytes: &[u8]) -> Vec<u8> {
        self.public
            .encrypt(EncryptionAlgorithm::RsaesOaepSha256, bytes)
            .unwrap()
    }

    /// As `RSA_AES_KEY_WRAP_SHA_256` wraps.
    pub(crate) fn wrap_long(&self, bytes: &[u8]) -> Vec<u8> {
        self.public
            .wrap_material(WrappingAlgorithm::RsaAesKeyWrapSha256, bytes, &Random::seeded(1))
            .unwrap()
    }

    pub(crate) fn import(&self, wrapped: &[u8]) -> Value {
        json!({"KeyId": self.id, "ImportToken": self.token, "EncryptedKeyMaterial": b64(wrapped),
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
    }
}

/// A key with that material, which is longer than RSA-OAEP wraps.
pub(crate) async fn imported_long(world: &World, spec: &str, usage: &str, material: &[u8]) -> Value {
    let waiting = Waiting::new(world, "RSA_AES_KEY_WRAP_SHA_256", spec, usage).await;
    let body = waiting.import(&waiting.wrap_long(material));
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
    waiting.id
}

/// A key with that material.
pub(crate) async fn imported(world: &World, spec: &str, usage: &str, material: &[u8]) -> Value {
    let waiting = Waiting::new(world, "RSAES_OAEP_SHA_256", spec, usage).await;
    let body = waiting.import(&waiting.wrap(material));
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
    waiting.id
}

/// A key of the operator's choosing.
pub(crate) async fn chosen(
    world: &World,
    number: usize,
    spec: KeySpec,
    usage: &str,
    material: &[u8],
) -> String {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let (region, material) = (Region::parse(REGION).unwrap(), Secret::new(material.to_vec()));
    let key = FixedKey {
        account: AccountId::parse(HOME).unwrap(),
        region: &region,
        id: &id,
        spec: spec.as_str(),
        usage: Some(usage),
        description: "",
        material: Some(&material),
    };
    bootstrap_key(&world.door().set_up(), &key).await.unwrap();
    id
}

/// The PKCS #8 form of a private key on a curve (RFC 5915), with its public half
/// (an uncompressed point) or without.
pub(crate) fn pkcs8(spec: KeySpec, scalar: &[u8], public: Option<&[u8]>) -> Vec<u8> {
    let bytes = match spec {
        KeySpec::EccNistP256 => 32,
        KeySpec::EccNistP384 => 48,
        _ => 66,
    };
    let significant = scalar.iter().position(|byte| *byte != 0).unwrap_or(scalar.len());
    let scalar = &scalar[significant..];
    let padded = [&vec![0; bytes - scalar.len()], scalar].concat();
    let mut key = [der(0x02, &[1]), der(0x04, &padded)].concat();
    if let Some(point) = public {
        key.extend(der(0xa1, &der(0x03, &[&[0], point].concat())));
    }
    let inside = [der(0x02, &[0]), algorithm(spec), der(0x04, &der(0x30, &key))];
    der(0x30, &inside.concat())
}

/// The SubjectPublicKeyInfo of an uncompressed point.
pub(crate) fn public_der(spec: KeySpec, point: &[u8]) -> Vec<u8> {
    der(
        0x30,
        &[algorithm(spec), der(0x03, &[&[0], point].concat())].concat(),
    )
}

/// An uncompressed point.
pub(crate) fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

/// The AlgorithmIdentifier of keys on a curve.
fn algorithm(spec: KeySpec) -> Vec<u8> {
    let curve = match spec {
        KeySpec::EccNistP256 => "06082a8648ce3d030107",
        KeySpec::EccNistP384 => "06052b81040022",
        _ => "06052b81040023",
    };
    let elliptic = "06072a8648ce3d0201";
    der(0x30, &hex::decode([elliptic, curve].concat()).unwrap())
}

/// SEQUENCE { INTEGER r, INTEGER s }.
pub(crate) fn ecdsa_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0);
        let mut value = bytes[start.unwrap_or(bytes.len() - 1)..].to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        der(0x02, &value)
    };
    der(0x30, &[integer(r), integer(s)].concat())
}

/// A tag, the length of its contents, and they.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).expect("nothing here is longer than 255 bytes");
    match length {
        0..=127 => [&[tag, length], contents].concat(),
        _ => [&[tag, 0x81, length], contents].concat(),
    }
}
