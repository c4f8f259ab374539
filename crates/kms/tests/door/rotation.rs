//! Rotation: by itself, on demand, and what stays readable.

use serde_json::{Value, json};

use crate::world::{Who, World, text};

const DAY: u64 = 24 * 60 * 60;

async fn sealed(world: &World, key: &Value) -> Value {
    let body = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    world.ok(Who::Root, "Encrypt", body).await["CiphertextBlob"].clone()
}

/// Opens a ciphertext, and tells the material it was made with.
async fn opened(world: &World, blob: &Value) -> String {
    let answer = world
        .ok(Who::Root, "Decrypt", json!({"CiphertextBlob": blob}))
        .await;
    assert_eq!(answer["Plaintext"], "aGVsbG8=");
    text(&answer, "KeyMaterialId")
}

async fn current(world: &World, key: &Value) -> String {
    let described = world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": key["KeyId"]}))
        .await;
    text(&described["KeyMetadata"], "CurrentKeyMaterialId")
}

async fn status(world: &World, key: &Value) -> Value {
    world
        .ok(Who::Root, "GetKeyRotationStatus", json!({"KeyId": key["KeyId"]}))
        .await
}

async fn code(world: &World, operation: &str, body: Value) -> String {
    world.fails(Who::Root, operation, body).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_encrypted_before_a_rotation_opens_after_it_and_a_restart() {
    let world = World::kept().await;
    let key = world.key(json!({})).await;
    let id = json!({"KeyId": key["KeyId"]});
    let mut blobs = vec![(sealed(&world, &key).await, current(&world, &key).await)];
    for _ in 0..3 {
        let rotated = world.ok(Who::Root, "RotateKeyOnDemand", id.clone()).await;
        assert_eq!(rotated["KeyId"], key["KeyId"]);
        let data = json!({"KeyId": key["KeyId"], "KeySpec": "AES_256"});
        let made = world.ok(Who::Root, "GenerateDataKey", data).await;
        assert_eq!(text(&made, "KeyMaterialId"), current(&world, &key).await);
        blobs.push((sealed(&world, &key).await, current(&world, &key).await));
    }
    let world = world.restart(None).await;
    for (blob, material) in &blobs {
        assert_eq!(&opened(&world, blob).await, material);
    }
    let mut materials: Vec<_> = blobs.into_iter().map(|(_, material)| material).collect();
    let body = json!({"KeyId": key["KeyId"], "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
    let listed = world.ok(Who::Root, "ListKeyRotations", body).await;
    let listed = listed["Rotations"].as_array().unwrap().clone();
    let ids: Vec<_> = listed.iter().map(|entry| text(entry, "KeyMaterialId")).collect();
    assert_eq!(ids, materials);
    assert_eq!(listed[0].get("RotationDate"), None);
    let states: Vec<_> = listed
        .iter()
        .map(|entry| text(entry, "KeyMaterialState"))
        .collect();
    assert_eq!(states, ["NON_CURRENT", "NON_CURRENT", "NON_CURRENT", "CURRENT"]);
    let rotations = world
        .ok(
            Who::Root,
            "ListKeyRotations",
            json!({"KeyId": key["KeyId"], "Limit": 2}),
        )
        .await;
    assert_eq!(rotations["Rotations"][0]["RotationType"], "ON_DEMAND");
    let rest = json!({"KeyId": key["KeyId"], "Marker": rotations["NextMarker"]});
    let rest = world.ok(Who::Root, "ListKeyRotations", rest).await;
    assert_eq!(rest["Rotations"].as_array().unwrap().len(), 1);
    materials.dedup();
    assert_eq!(materials.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_rotates_when_its_time_has_come_and_makes_up_for_what_it_missed_once() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let id = json!({"KeyId": key["KeyId"]});
    let first = sealed(&world, &key).await;
    let mut last = current(&world, &key).await;
    assert_eq!(status(&world, &key).await["KeyRotationEnabled"], false);
    let body = json!({"KeyId": key["KeyId"], "RotationPeriodInDays": 90});
    world.ok(Who::Root, "EnableKeyRotation", body).await;
    let told = status(&world, &key).await;
    assert_eq!(
        (&told["KeyRotationEnabled"], &told["RotationPeriodInDays"]),
        (&json!(true), &json!(90))
    );

    world.advance(90 * DAY - 60).await;
    assert_eq!(current(&world, &key).await, last);
    world.advance(61).await;
    let second = current(&world, &key).await;
    assert_ne!(second, last);
    last = second;
    assert_ne!(
        status(&world, &key).await["NextRotationDate"],
        told["NextRotationDate"]
    );

    // Switched off it waits; switched on it rotates once, however long that was.
    world.ok(Who::Root, "DisableKey", id.clone()).await;
    world.advance(1000 * DAY).await;
    assert_eq!(current(&world, &key).await, last);
    world.ok(Who::Root, "EnableKey", id.clone()).await;
    world.advance(1).await;
    assert_ne!(current(&world, &key).await, last);
    let listed = world.ok(Who::Root, "ListKeyRotations", id.clone()).await;
    let kinds: Vec<_> = listed["Rotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(it, "RotationType"))
        .collect();
    assert_eq!(kinds, ["AUTOMATIC", "AUTOMATIC"]);
    last = current(&world, &key).await;
    world.advance(89 * DAY).await;
    assert_eq!(current(&world, &key).await, last);

    // Waiting for its deletion it says that it does not rotate, and does not.
    world.ok(Who::Root, "ScheduleKeyDeletion", id.clone()).await;
    assert_eq!(status(&world, &key).await["KeyRotationEnabled"], false);
    world.advance(2 * DAY).await;
    world.ok(Who::Root, "CancelKeyDeletion", id.clone()).await;
    world.ok(Who::Root, "EnableKey", id.clone()).await;
    world.ok(Who::Root, "DisableKeyRotation", id.clone()).await;
    last = current(&world, &key).await;
    world.advance(1000 * DAY).await;
    assert_eq!(current(&world, &key).await, last);
    opened(&world, &first).await;
    let rotated = world.records().await;
    let rotated = rotated.iter().filter(|record| record["eventName"] == "RotateKey");
    assert_eq!(rotated.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_rotate_says_so() {
    let world = World::new().await;
    let mac = world
        .key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}))
        .await;
    let id = json!({"KeyId": mac["KeyId"]});
    for operation in [
        "EnableKeyRotation",
        "DisableKeyRotation",
        "RotateKeyOnDemand",
        "ListKeyRotations",
    ] {
        assert_eq!(
            code(&world, operation, id.clone()).await,
            "UnsupportedOperationException",
            "{operation}"
        );
    }
    assert_eq!(status(&world, &mac).await["KeyRotationEnabled"], false);
    let key = world.key(json!({})).await;
    let id = json!({"KeyId": key["KeyId"]});
    for days in [89, 2561] {
        let body = json!({"KeyId": key["KeyId"], "RotationPeriodInDays": days});
        assert_eq!(
            code(&world, "EnableKeyRotation", body).await,
            "ValidationException"
        );
    }
    world.ok(Who::Root, "DisableKey", id.clone()).await;
    for operation in ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"] {
        assert_eq!(
            code(&world, operation, id.clone()).await,
            "DisabledException",
            "{operation}"
        );
    }
    world.ok(Who::Root, "EnableKey", id.clone()).await;
    for _ in 0..25 {
        world.ok(Who::Root, "RotateKeyOnDemand", id.clone()).await;
    }
    assert_eq!(
        code(&world, "RotateKeyOnDemand", id).await,
        "LimitExceededException"
    );
}
