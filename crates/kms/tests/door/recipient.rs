//! Answers to enclaves: documents that a test's own hypervisor signs.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::key::{BackingKey, EncryptionAlgorithm, KeySpec};
use serde_json::{Value, json};
use testkit::nitro::{Nitro, Says};

use crate::world::{HOME, Who, World, allow, key_policy, lets, text};

const IMAGE: [u8; 48] = [0xab; 48];

/// The enclave's key.
static ENCLAVE: LazyLock<BackingKey> =
    LazyLock::new(|| BackingKey::generate(KeySpec::Rsa2048, &Random::system()).unwrap());

async fn trusting(nitro: &Nitro) -> World {
    World::with(kms::Options {
        nitro_root: Some(nitro.root().into()),
        ..kms::Options::default()
    })
    .await
}

fn recipient(world: &World, nitro: &Nitro, image: [u8; 48]) -> Value {
    let document = nitro.document(&Says {
        at: world.now(),
        image,
        public_key: ENCLAVE.public_key_der(),
        registers: "pcrs",
    });
    json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": STANDARD.encode(document)})
}

/// That an answer is sealed to the enclave, and nothing of it is in clear.
fn sealed(answer: &Value, clear: &str) {
    assert!(answer[clear].is_null(), "{answer}");
    assert!(answer["KeyMaterialId"].is_null());
    let sealed = STANDARD.decode(text(answer, "CiphertextForRecipient")).unwrap();
    // The wrapped key is the one run of 256 bytes behind its header.
    let header = [0x04, 0x82, 0x01, 0x00];
    let at = sealed.windows(4).position(|window| window == header).unwrap() + 4;
    let key = ENCLAVE
        .decrypt(EncryptionAlgorithm::RsaesOaepSha256, &sealed[at..at + 256])
        .unwrap();
    assert_eq!(key.expose().len(), 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_an_enclave_is_sealed_to_it() {
    let nitro = Nitro::new();
    let world = trusting(&nitro).await;
    let key = text(&world.key(json!({})).await, "KeyId");
    let curve = json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"});
    let curve = text(&world.key(curve).await, "KeyId");
    let public = world.ok(Who::Root, "GetPublicKey", json!({"KeyId": curve})).await;
    let blob = world
        .ok(Who::Root, "Encrypt", json!({"KeyId": key, "Plaintext": "AAAA"}))
        .await;
    let to = recipient(&world, &nitro, IMAGE);
    for (operation, input, clear) in [
        (
            "Decrypt",
            json!({"CiphertextBlob": blob["CiphertextBlob"]}),
            "Plaintext",
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
            "Plaintext",
        ),
        (
            "GenerateDataKeyPair",
            json!({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"}),
            "PrivateKeyPlaintext",
        ),
        ("GenerateRandom", json!({"NumberOfBytes": 32}), "Plaintext"),
        (
            "DeriveSharedSecret",
            json!({"KeyId": curve, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public["PublicKey"]}),
            "SharedSecret",
        ),
    ] {
        let mut input = input;
        let told = world.ok(Who::Root, operation, input.clone()).await;
        assert!(
            told[clear].is_string() && told["CiphertextForRecipient"].is_null(),
            "{operation}"
        );
        input["Recipient"] = to.clone();
        sealed(&world.ok(Who::Root, operation, input).await, clear);
    }
    let records = world.records().await;
    let told = records
        .iter()
        .filter(|it| it["additionalEventData"]["attestationDocumentModuleId"].is_string());
    assert_eq!(told.count(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_ask_what_was_measured() {
    let nitro = Nitro::new();
    let world = trusting(&nitro).await;
    let mut only = lets(&Who::Bob.arn(), "kms:GenerateDataKey");
    only["Condition"] = json!({"StringEquals": {
        "kms:RecipientAttestation:ImageSha384": "ab".repeat(48),
        "kms:RecipientAttestation:PCR0": "ab".repeat(48),
    }});
    let policy = key_policy(&[
        lets(&format!("arn:aws:iam::{HOME}:root"), "kms:PutKeyPolicy"),
        only,
    ]);
    let mut input = json!({"Policy": policy, "BypassPolicyLockoutSafetyCheck": true});
    let key = text(&world.key(input).await, "KeyId");
    world.people.grant(Who::Bob, &[allow("kms:Nothing")]);
    input = json!({"KeyId": key, "KeySpec": "AES_256"});
    assert_eq!(
        world.fails(Who::Bob, "GenerateDataKey", input.clone()).await.0,
        "AccessDeniedException"
    );
    input["Recipient"] = recipient(&world, &nitro, [0xac; 48]);
    assert_eq!(
        world.fails(Who::Bob, "GenerateDataKey", input.clone()).await.0,
        "AccessDeniedException"
    );
    input["Recipient"] = recipient(&world, &nitro, IMAGE);
    sealed(&world.ok(Who::Bob, "GenerateDataKey", input).await, "Plaintext");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_proves_nothing_is_answered_nothing() {
    let (nitro, other) = (Nitro::new(), Nitro::new());
    let world = trusting(&nitro).await;
    let random = |recipient: Value| json!({"NumberOfBytes": 32, "Recipient": recipient});
    let good = recipient(&world, &nitro, IMAGE);
    let foreign = recipient(&world, &other, IMAGE);
    let garbage = json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": "AAAA"});
    let without = json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"});
    let mut unsaid = good.clone();
    unsaid.as_object_mut().unwrap().remove("KeyEncryptionAlgorithm");
    for bad in [foreign, garbage, without, unsaid, json!({})] {
        let (code, _) = world.fails(Who::Root, "GenerateRandom", random(bad)).await;
        assert_eq!(code, "ValidationException");
    }
    world.ok(Who::Root, "GenerateRandom", random(good.clone())).await;
    world.advance(301).await;
    let (code, _) = world
        .fails(Who::Root, "GenerateRandom", random(good.clone()))
        .await;
    assert_eq!(code, "ValidationException", "too old");
    // Whoever trusts no root believes no document.
    let world = World::new().await;
    let (code, _) = world.fails(Who::Root, "GenerateRandom", random(good)).await;
    assert_eq!(code, "UnsupportedOperationException");
}
