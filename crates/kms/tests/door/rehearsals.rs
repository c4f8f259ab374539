//! What a dry run says, and what the record says of calls.

use serde_json::{Value, json};

use crate::world::{Who, World, b64, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_fails_as_the_play_would_or_says_so() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let id = &key["KeyId"];
    let sealed = world
        .ok(Who::Root, "Encrypt", json!({"KeyId": id, "Plaintext": b64(b"x")}))
        .await;
    let blob = &sealed["CiphertextBlob"];
    for (operation, body) in [
        (
            "Encrypt",
            json!({"KeyId": id, "Plaintext": b64(b"x"), "DryRun": true}),
        ),
        ("Decrypt", json!({"CiphertextBlob": blob, "DryRun": true})),
        (
            "Decrypt",
            json!({"KeyId": id, "DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
        ),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": blob, "DestinationKeyId": id, "DryRun": true}),
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": id, "KeySpec": "AES_256", "DryRun": true}),
        ),
    ] {
        assert_eq!(
            world.fails(Who::Root, operation, body.clone()).await.0,
            "DryRunOperationException",
            "{body}"
        );
        assert_eq!(
            world.fails(Who::Bob, operation, body).await.0,
            "AccessDeniedException"
        );
    }
    for (body, code) in [
        (
            json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}, "DryRun": true}),
            "InvalidCiphertextException",
        ),
        (json!({"KeyId": id, "DryRun": true}), "ValidationException"),
        (
            json!({"DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
            "ValidationException",
        ),
        (
            json!({"CiphertextBlob": blob, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
            "ValidationException",
        ),
    ] {
        assert_eq!(
            world.fails(Who::Root, "Decrypt", body.clone()).await.0,
            code,
            "{body}"
        );
    }
    let tokens = json!({"KeyId": id, "Plaintext": b64(b"x"), "GrantTokens": ["dG9rZW4="]});
    assert_eq!(
        world.fails(Who::Root, "Encrypt", tokens).await.0,
        "InvalidGrantTokenException"
    );
    let recipient = json!({"CiphertextBlob": blob, "Recipient": {"AttestationDocument": "YQ=="}});
    assert_eq!(
        world.fails(Who::Root, "Decrypt", recipient).await.0,
        "UnsupportedOperationException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_says_which_key_and_no_secret() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let secret = b64(b"a plaintext that must not be seen");
    let body = json!({"KeyId": key["KeyId"], "Plaintext": secret, "EncryptionContext": {"a": "b"}});
    let sealed = world.ok(Who::Root, "Encrypt", body).await;
    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
    world.ok(Who::Root, "Decrypt", body).await;
    let made = world
        .ok(
            Who::Root,
            "GenerateDataKey",
            json!({"KeyId": key["KeyId"], "KeySpec": "AES_256"}),
        )
        .await;

    let records = world.records().await;
    let all = serde_json::to_string(&records).unwrap();
    for hidden in [
        secret,
        text(&sealed, "CiphertextBlob"),
        text(&made, "Plaintext"),
        text(&made, "CiphertextBlob"),
    ] {
        assert!(!all.contains(&hidden));
    }
    for name in ["Encrypt", "Decrypt", "GenerateDataKey"] {
        let record = records.iter().find(|record| record["eventName"] == name).unwrap();
        assert_eq!(record["resources"][0]["ARN"], key["Arn"], "{name}");
        assert_eq!(record["resources"][0]["type"], "AWS::KMS::Key");
        assert_eq!(
            record["additionalEventData"]["keyMaterialId"], key["CurrentKeyMaterialId"],
            "{name}"
        );
        assert_eq!(
            (&record["readOnly"], &record["responseElements"]),
            (&json!(true), &Value::Null),
            "{name}"
        );
    }
    let created = records
        .iter()
        .find(|record| record["eventName"] == "CreateKey")
        .unwrap();
    assert_eq!(created["resources"][0]["ARN"], key["Arn"]);
    assert_eq!(created["responseElements"]["keyMetadata"]["keyId"], key["KeyId"]);
}
