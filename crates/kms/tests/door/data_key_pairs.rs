//! Key pairs made for use elsewhere: the two halves belong together, and the
//! private one is seen by nobody but its caller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{BackingKey, KeySpec, MessageType, PublicKey, SigningAlgorithm};
use serde_json::{Value, json};

use crate::world::{Who, World, text};

/// One pair of each kind that takes no time, and one that takes some.
const PAIRS: [(KeySpec, SigningAlgorithm); 6] = [
    (KeySpec::EccNistP256, SigningAlgorithm::EcdsaSha256),
    (KeySpec::EccNistP384, SigningAlgorithm::EcdsaSha384),
    (KeySpec::EccNistP521, SigningAlgorithm::EcdsaSha512),
    (KeySpec::EccSecgP256K1, SigningAlgorithm::EcdsaSha256),
    (KeySpec::EccNistEdwards25519, SigningAlgorithm::Ed25519Sha512),
    (KeySpec::Rsa2048, SigningAlgorithm::RsassaPssSha256),
];

fn bytes(value: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(text(value, member)).unwrap()
}

/// A signature by the private half is one by the public half.
fn belong_together(spec: KeySpec, algorithm: SigningAlgorithm, private: &[u8], public: &[u8]) {
    let private = BackingKey::from_bytes(spec, private).unwrap();
    let signature = private.sign(algorithm, MessageType::Raw, b"message").unwrap();
    let public = PublicKey::from_der(spec, public).unwrap();
    public
        .verify(algorithm, MessageType::Raw, b"message", &signature)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_halves_belong_together_and_the_private_one_opens_under_its_context_alone() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let mut hidden = Vec::new();
    for (spec, algorithm) in PAIRS {
        let context = json!({"Spec": spec.as_str()});
        let body = json!({"KeyId": key["KeyId"], "KeyPairSpec": spec.as_str(), "EncryptionContext": context});
        let made = world.ok(Who::Root, "GenerateDataKeyPair", body.clone()).await;
        assert_eq!(
            (&made["KeyId"], &made["KeyPairSpec"], &made["KeyMaterialId"]),
            (&key["Arn"], &json!(spec.as_str()), &key["CurrentKeyMaterialId"])
        );
        let (private, public) = (bytes(&made, "PrivateKeyPlaintext"), bytes(&made, "PublicKey"));
        belong_together(spec, algorithm, &private, &public);
        hidden.push(text(&made, "PrivateKeyPlaintext"));
        hidden.push(text(&made, "PrivateKeyCiphertextBlob"));

        let blob = &made["PrivateKeyCiphertextBlob"];
        let opening = json!({"CiphertextBlob": blob, "EncryptionContext": context});
        let opened = world.ok(Who::Root, "Decrypt", opening).await;
        assert_eq!(bytes(&opened, "Plaintext"), private);
        let refused = world
            .fails(Who::Root, "Decrypt", json!({"CiphertextBlob": blob}))
            .await;
        assert_eq!(refused.0, "InvalidCiphertextException");

        let made = world
            .ok(Who::Root, "GenerateDataKeyPairWithoutPlaintext", body)
            .await;
        assert!(made.get("PrivateKeyPlaintext").is_none());
        let opening =
            json!({"CiphertextBlob": made["PrivateKeyCiphertextBlob"], "EncryptionContext": context});
        let opened = world.ok(Who::Root, "Decrypt", opening).await;
        belong_together(
            spec,
            algorithm,
            &bytes(&opened, "Plaintext"),
            &bytes(&made, "PublicKey"),
        );
        assert_ne!(bytes(&opened, "Plaintext"), private);
        hidden.push(text(&opened, "Plaintext"));
    }

    let records = world.records().await;
    let all = serde_json::to_string(&records).unwrap();
    assert!(hidden.iter().all(|hidden| !all.contains(hidden.as_str())));
    let record = records
        .iter()
        .find(|record| record["eventName"] == "GenerateDataKeyPair")
        .unwrap();
    assert_eq!(record["resources"][0]["ARN"], key["Arn"]);
    assert_eq!(
        (
            &record["requestParameters"]["keyPairSpec"],
            &record["responseElements"]
        ),
        (&json!("ECC_NIST_P256"), &Value::Null)
    );
    assert_eq!(
        record["additionalEventData"]["keyMaterialId"],
        key["CurrentKeyMaterialId"]
    );
}
