//! Secrets that two sides come to have, and the post-quantum keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::key::{BackingKey, KeySpec};
use serde_json::{Value, json};

use crate::world::{Who, World, allow, key_policy, lets, text};

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

async fn code(world: &World, operation: &str, body: Value) -> String {
    world.fails(Who::Root, operation, body).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sides_agree_on_a_secret() {
    let world = World::new().await;
    for spec in [KeySpec::EccNistP256, KeySpec::EccNistP384, KeySpec::EccNistP521] {
        let key = world
            .key(json!({"KeySpec": spec.as_str(), "KeyUsage": "KEY_AGREEMENT"}))
            .await;
        assert_eq!(key["KeyAgreementAlgorithms"], json!(["ECDH"]));
        let public = world
            .ok(Who::Root, "GetPublicKey", json!({"KeyId": key["KeyId"]}))
            .await;
        let theirs = STANDARD.decode(text(&public, "PublicKey")).unwrap();
        let own = BackingKey::generate(spec, &Random::system()).unwrap();
        let derive = |peer: &[u8]| json!({"KeyId": key["KeyId"], "KeyAgreementAlgorithm": "ECDH", "PublicKey": b64(peer)});
        let ours = derive(own.public_key_der().unwrap());
        let told = world.ok(Who::Root, "DeriveSharedSecret", ours.clone()).await;
        assert_eq!(
            told["SharedSecret"],
            json!(b64(own.agree(&theirs).unwrap().expose()))
        );
        assert_eq!(told["KeyOrigin"], "AWS_KMS");
        // Other curves, other kinds, and what is no key.
        for other in [KeySpec::EccSecgP256K1, KeySpec::EccNistEdwards25519] {
            let other = BackingKey::generate(other, &Random::system()).unwrap();
            let body = derive(other.public_key_der().unwrap());
            assert_eq!(
                code(&world, "DeriveSharedSecret", body).await,
                "ValidationException"
            );
        }
        assert_eq!(
            code(&world, "DeriveSharedSecret", derive(b"key")).await,
            "ValidationException"
        );
        let sign = json!({"KeyId": key["KeyId"], "Message": "aGVsbG8=", "SigningAlgorithm": "ECDSA_SHA_256"});
        assert_eq!(code(&world, "Sign", sign).await, "InvalidKeyUsageException");
        world
            .ok(Who::Root, "DisableKey", json!({"KeyId": key["KeyId"]}))
            .await;
        assert_eq!(
            code(&world, "DeriveSharedSecret", ours).await,
            "DisabledException"
        );
    }
    let signing = world
        .key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}))
        .await;
    let peer = BackingKey::generate(KeySpec::EccNistP256, &Random::system()).unwrap();
    let body = json!({"KeyId": signing["KeyId"], "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": b64(peer.public_key_der().unwrap())});
    assert_eq!(
        code(&world, "DeriveSharedSecret", body).await,
        "InvalidKeyUsageException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_encapsulated_is_decapsulated_by_its_key() {
    let world = World::kept().await;
    for spec in ["ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"] {
        let make = json!({"KeySpec": spec, "KeyUsage": "ENCAPSULATE_DECAPSULATE"});
        let key = world.key(make.clone()).await;
        let other = world.key(make).await;
        assert_eq!(key["EncapsulationAlgorithms"], json!(["ML_KEM"]));
        let body = json!({"KeyId": key["KeyId"], "EncapsulationAlgorithm": "ML_KEM"});
        let made = world.ok(Who::Root, "Encapsulate", body.clone()).await;
        let open = |key: &Value, blob: &Value| json!({"KeyId": key["KeyId"], "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": blob});
        let blob = &made["SharedSecretCiphertextBlob"];
        let opened = world.ok(Who::Root, "Decapsulate", open(&key, blob)).await;
        assert_eq!(opened["SharedSecret"], made["SharedSecret"]);
        // Implicit rejection: another secret, no error.
        let other = world.ok(Who::Root, "Decapsulate", open(&other, blob)).await;
        assert_ne!(other["SharedSecret"], made["SharedSecret"]);
        let short = json!(b64(&STANDARD.decode(blob.as_str().unwrap()).unwrap()[1..]));
        assert_eq!(
            code(&world, "Decapsulate", open(&key, &short)).await,
            "InvalidCiphertextException"
        );
        let mut rehearsed = body;
        rehearsed["DryRun"] = json!(true);
        assert_eq!(
            code(&world, "Encapsulate", rehearsed).await,
            "DryRunOperationException"
        );
    }
    let pair = json!({"KeyId": world.key(json!({})).await["KeyId"], "KeyPairSpec": "ML_KEM_512"});
    assert_eq!(
        code(&world, "GenerateDataKeyPair", pair).await,
        "UnsupportedOperationException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ml_dsa_signs_messages_and_takes_representatives_of_the_right_length() {
    let world = World::kept().await;
    let key = world
        .key(json!({"KeySpec": "ML_DSA_65", "KeyUsage": "SIGN_VERIFY"}))
        .await;
    assert_eq!(key["SigningAlgorithms"], json!(["ML_DSA_SHAKE_256"]));
    let world = world.restart(None).await;
    let body = |kind: &str, message: &[u8]| {
        json!({"KeyId": key["KeyId"], "SigningAlgorithm": "ML_DSA_SHAKE_256", "MessageType": kind,
            "Message": b64(message)})
    };
    for (kind, message) in [("RAW", b"message".to_vec()), ("EXTERNAL_MU", vec![7; 64])] {
        let signed = world.ok(Who::Root, "Sign", body(kind, &message)).await;
        let mut verify = body(kind, &message);
        verify["Signature"] = signed["Signature"].clone();
        assert_eq!(
            world.ok(Who::Root, "Verify", verify.clone()).await["SignatureValid"],
            true
        );
        let other = if kind == "RAW" {
            b"massage".to_vec()
        } else {
            vec![8; 64]
        };
        verify["Message"] = json!(b64(&other));
        assert_eq!(
            code(&world, "Verify", verify).await,
            "KMSInvalidSignatureException"
        );
    }
    assert_eq!(
        code(&world, "Sign", body("EXTERNAL_MU", &[7; 63])).await,
        "ValidationException"
    );
    assert_eq!(
        code(&world, "Sign", body("DIGEST", &[7; 64])).await,
        "ValidationException"
    );
    let curve = world
        .key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}))
        .await;
    let wrong = json!({"KeyId": curve["KeyId"], "SigningAlgorithm": "ECDSA_SHA_256", "MessageType": "EXTERNAL_MU",
        "Message": b64(&[7; 64])});
    assert_eq!(code(&world, "Sign", wrong).await, "ValidationException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_see_the_algorithm() {
    let world = World::new().await;
    let policy = key_policy(&[lets(&Who::Root.arn(), "kms:*")]);
    let key = world
        .key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT", "Policy": policy}))
        .await;
    let peer = BackingKey::generate(KeySpec::EccNistP256, &Random::system()).unwrap();
    let body = json!({"KeyId": key["KeyId"], "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": b64(peer.public_key_der().unwrap())});
    for (algorithm, status) in [("OTHER", 400), ("ECDH", 200)] {
        let mut statement = allow("kms:DeriveSharedSecret");
        statement["Condition"] = json!({"StringEquals": {"kms:KeyAgreementAlgorithm": algorithm}});
        world.people.grant(Who::Bob, &[statement]);
        let answer = world.call(Who::Bob, "DeriveSharedSecret", body.clone()).await;
        assert_eq!(answer.status, status, "{algorithm}: {}", answer.text());
    }
}
