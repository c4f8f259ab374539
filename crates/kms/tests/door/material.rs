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

    pub(crate) fn import(&self, wrapped: &[u8]) -> Value {
        json!({"KeyId": self.id, "ImportToken": self.token, "EncryptedKeyMaterial": b64(wrapped),
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
    }
}

/// A key with that material, which is longer than RSA-OAEP wraps.
pub(crate) async fn imported_long(world: &World, spec: &str, usage: &str, material: &[u8]) -> Value {
    let waiting = Waiting::new(world, "RSA_AES_KEY_WRAP_SHA_256", spec, usage).await;
    let wrapped = waiting.public.wrap_material(
        WrappingAlgorithm::RsaAesKeyWrapSha256,
        material,
        &Random::seeded(1),
    );
    let body = waiting.import(&wrapped.unwrap());
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

/// The PKCS #8 form of a private key on a curve, as RFC 5915 has it without its public half.
pub(crate) fn pkcs8(spec: KeySpec, scalar: &[u8]) -> Vec<u8> {
    let (head, bytes): (&str, usize) = match spec {
        KeySpec::EccNistP256 => (
            "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420",
            32,
        ),
        KeySpec::EccNistP384 => (
            "304e020100301006072a8648ce3d020106052b81040022043730350201010430",
            48,
        ),
        _ => (
            "3060020100301006072a8648ce3d020106052b81040023044930470201010442",
            66,
        ),
    };
    let significant = scalar.iter().position(|byte| *byte != 0).unwrap_or(scalar.len());
    let scalar = &scalar[significant..];
    let mut der = hex::decode(head).unwrap();
    der.resize(der.len() + bytes - scalar.len(), 0);
    der.extend_from_slice(scalar);
    der
}

/// SEQUENCE { INTEGER r, INTEGER s }.
pub(crate) fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap();
        let mut value = bytes[start..].to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [&[2, u8::try_from(value.len()).unwrap()], &value[..]].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let length = u8::try_from(body.len()).unwrap();
    match length {
        0..=127 => [&[0x30, length], &body[..]].concat(),
        _ => [&[0x30, 0x81, length], &body[..]].concat(),
    }
}
