//! Imported material: what is taken, what is not, and what its loss means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::key::{BackingKey, EncryptionAlgorithm, KeySpec, PublicKey};
use serde_json::{Value, json};

use crate::world::{Who, World, text};

const DAY: u64 = 24 * 60 * 60;

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Wraps `material` as the world says, and gives the body of the import.
async fn wrapped(world: &World, key: &Value, material: &[u8]) -> Value {
    let asked = json!({"KeyId": key["KeyId"], "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "WrappingKeySpec": "RSA_2048"});
    let told = world.ok(Who::Root, "GetParametersForImport", asked).await;
    let public = STANDARD.decode(text(&told, "PublicKey")).unwrap();
    let public = PublicKey::from_der(KeySpec::Rsa2048, &public).unwrap();
    let sealed = public
        .encrypt(EncryptionAlgorithm::RsaesOaepSha256, material)
        .unwrap();
    json!({"KeyId": key["KeyId"], "ImportToken": told["ImportToken"], "EncryptedKeyMaterial": b64(&sealed),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"})
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

async fn external(world: &World, more: Value) -> Value {
    let mut body = more;
    body["Origin"] = json!("EXTERNAL");
    world.key(body).await
}

async fn state(world: &World, key: &Value) -> Value {
    world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": key["KeyId"]}))
        .await["KeyMetadata"]
        .clone()
}

async fn code(world: &World, operation: &str, body: Value) -> String {
    world.fails(Who::Root, operation, body).await.0
}

async fn encrypted(world: &World, key: &Value) -> Value {
    let body = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    json!({"CiphertextBlob": world.ok(Who::Root, "Encrypt", body).await["CiphertextBlob"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_takes_its_material_loses_it_and_takes_only_the_same_again() {
    let world = World::kept().await;
    let key = external(&world, json!({})).await;
    assert_eq!(
        (&key["KeyState"], &key["Origin"], key.get("CurrentKeyMaterialId")),
        (&json!("PendingImport"), &json!("EXTERNAL"), None)
    );
    let encrypt = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    assert_eq!(
        code(&world, "Encrypt", encrypt.clone()).await,
        "KMSInvalidStateException"
    );
    assert_eq!(
        code(&world, "EnableKeyRotation", json!({"KeyId": key["KeyId"]})).await,
        "UnsupportedOperationException"
    );

    let body = wrapped(&world, &key, &[7; 32]).await;
    let made = world.ok(Who::Root, "ImportKeyMaterial", body.clone()).await;
    let described = state(&world, &key).await;
    assert_eq!(described["KeyState"], "Enabled");
    assert_eq!(described["CurrentKeyMaterialId"], made["KeyMaterialId"]);
    assert_eq!(described["ExpirationModel"], "KEY_MATERIAL_DOES_NOT_EXPIRE");
    let blob = encrypted(&world, &key).await;
    let world = world.restart(None).await;
    assert_eq!(
        world.ok(Who::Root, "Decrypt", blob.clone()).await["Plaintext"],
        "aGVsbG8="
    );

    let deleted = world
        .ok(
            Who::Root,
            "DeleteImportedKeyMaterial",
            json!({"KeyId": key["KeyId"]}),
        )
        .await;
    assert_eq!(deleted["KeyMaterialId"], made["KeyMaterialId"]);
    assert_eq!(state(&world, &key).await["KeyState"], "PendingImport");
    assert_eq!(
        code(&world, "Decrypt", blob.clone()).await,
        "KMSInvalidStateException"
    );
    // Neither called back by a detour nor by other material.
    let id = json!({"KeyId": key["KeyId"]});
    world.ok(Who::Root, "ScheduleKeyDeletion", id.clone()).await;
    assert_eq!(
        code(&world, "ImportKeyMaterial", body.clone()).await,
        "KMSInvalidStateException"
    );
    world.ok(Who::Root, "CancelKeyDeletion", id.clone()).await;
    assert_eq!(state(&world, &key).await["KeyState"], "PendingImport");
    assert_eq!(code(&world, "EnableKey", id).await, "KMSInvalidStateException");
    let other = wrapped(&world, &key, &[8; 32]).await;
    assert_eq!(
        code(&world, "ImportKeyMaterial", other).await,
        "IncorrectKeyMaterialException"
    );
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
    assert_eq!(
        world.ok(Who::Root, "Decrypt", blob).await["Plaintext"],
        "aGVsbG8="
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_import_is_told() {
    let world = World::new().await;
    let key = external(&world, json!({})).await;
    let other = external(&world, json!({})).await;
    let own = world.key(json!({})).await;
    let good = wrapped(&world, &key, &[7; 32]).await;
    let ahead = |days: u64| json!(1_767_323_045 + days * DAY);
    let expires = with(good.clone(), "ExpirationModel", json!("KEY_MATERIAL_EXPIRES"));
    for (body, expected) in [
        (
            with(good.clone(), "KeyId", other["KeyId"].clone()),
            "InvalidImportTokenException",
        ),
        (
            with(good.clone(), "ImportToken", json!(b64(b"token"))),
            "InvalidImportTokenException",
        ),
        (
            with(good.clone(), "EncryptedKeyMaterial", json!(b64(&[1; 256]))),
            "InvalidCiphertextException",
        ),
        (
            with(good.clone(), "KeyId", own["KeyId"].clone()),
            "UnsupportedOperationException",
        ),
        (
            with(good.clone(), "ImportType", json!("EXISTING_KEY_MATERIAL")),
            "IncorrectKeyMaterialException",
        ),
        (
            with(good.clone(), "KeyMaterialId", json!("0".repeat(64))),
            "IncorrectKeyMaterialException",
        ),
        (with(good.clone(), "ValidTo", ahead(1)), "ValidationException"),
        (expires.clone(), "ValidationException"),
        (
            with(expires.clone(), "ValidTo", ahead(366)),
            "ValidationException",
        ),
        (with(expires.clone(), "ValidTo", json!(1)), "ValidationException"),
        (
            wrapped(&world, &key, &[7; 31]).await,
            "IncorrectKeyMaterialException",
        ),
    ] {
        assert_eq!(
            code(&world, "ImportKeyMaterial", body.clone()).await,
            expected,
            "{body}"
        );
    }
    for (algorithm, spec) in [
        ("RSAES_PKCS1_V1_5", "RSA_2048"),
        ("RSAES_OAEP_SHA_256", "SM2"),
        ("SM2PKE", "SM2"),
    ] {
        let body = json!({"KeyId": key["KeyId"], "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec});
        assert_eq!(
            code(&world, "GetParametersForImport", body).await,
            "UnsupportedOperationException"
        );
    }
    let body = json!({"KeyId": own["KeyId"], "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    assert_eq!(
        code(&world, "GetParametersForImport", body).await,
        "UnsupportedOperationException"
    );
    assert_eq!(
        code(
            &world,
            "DeleteImportedKeyMaterial",
            json!({"KeyId": own["KeyId"]})
        )
        .await,
        "UnsupportedOperationException"
    );
    world
        .ok(
            Who::Root,
            "DeleteImportedKeyMaterial",
            json!({"KeyId": key["KeyId"]}),
        )
        .await;
    world.advance(DAY + 1).await;
    assert_eq!(
        code(&world, "ImportKeyMaterial", good).await,
        "ExpiredImportTokenException"
    );
    assert_eq!(state(&world, &key).await["KeyState"], "PendingImport");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn material_expires_and_every_one_is_needed() {
    let world = World::new().await;
    let key = external(&world, json!({})).await;
    let id = json!({"KeyId": key["KeyId"]});
    let first = wrapped(&world, &key, &[1; 32]).await;
    let made = world.ok(Who::Root, "ImportKeyMaterial", first.clone()).await;
    let blob = encrypted(&world, &key).await;
    assert_eq!(
        code(&world, "RotateKeyOnDemand", id.clone()).await,
        "KMSInvalidStateException"
    );

    let second = wrapped(&world, &key, &[2; 32]).await;
    assert_eq!(
        code(&world, "ImportKeyMaterial", second.clone()).await,
        "IncorrectKeyMaterialException"
    );
    let second = with(second, "ImportType", json!("NEW_KEY_MATERIAL"));
    let second = with(second, "ExpirationModel", json!("KEY_MATERIAL_EXPIRES"));
    let second = with(second, "ValidTo", json!(1_767_323_045 + 10 * DAY));
    let second = with(second, "KeyMaterialDescription", json!("the second"));
    let pending = world.ok(Who::Root, "ImportKeyMaterial", second.clone()).await;
    assert_eq!(
        state(&world, &key).await["CurrentKeyMaterialId"],
        made["KeyMaterialId"]
    );
    let all = json!({"KeyId": key["KeyId"], "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
    let listed = world.ok(Who::Root, "ListKeyRotations", all.clone()).await;
    let entry = &listed["Rotations"][1];
    assert_eq!(
        (
            &entry["KeyMaterialState"],
            &entry["KeyMaterialDescription"],
            &entry["ImportState"]
        ),
        (
            &json!("PENDING_ROTATION"),
            &json!("the second"),
            &json!("IMPORTED")
        )
    );
    // The key lasts without it until it has rotated to it.
    let described = state(&world, &key).await;
    assert_eq!(described["ExpirationModel"], "KEY_MATERIAL_DOES_NOT_EXPIRE");
    assert!(described.get("ValidTo").is_none());
    let rotated = world.ok(Who::Root, "RotateKeyOnDemand", id.clone()).await;
    assert_eq!(rotated["KeyId"], key["KeyId"]);
    let described = state(&world, &key).await;
    assert_eq!(described["CurrentKeyMaterialId"], pending["KeyMaterialId"]);
    assert_eq!(described["ExpirationModel"], "KEY_MATERIAL_EXPIRES");
    let new = encrypted(&world, &key).await;
    for blob in [&blob, &new] {
        assert_eq!(
            world.ok(Who::Root, "Decrypt", blob.clone()).await["Plaintext"],
            "aGVsbG8="
        );
    }

    // The second expires: neither ciphertext opens, and that is announced.
    let store = world.door().store().clone();
    let from = store.outbox_reader("bus").await.unwrap();
    world.advance(10 * DAY + 1).await;
    let heard = store.outbox_after(from, 10).await.unwrap();
    let mut expired = heard
        .iter()
        .filter(|it| it.name == "KMS Imported Key Material Expiration");
    let (Some(event), None) = (expired.next(), expired.next()) else {
        panic!("{heard:?}");
    };
    assert_eq!(event.event["detail"]["key-id"], key["KeyId"]);
    drop(store);
    assert_eq!(state(&world, &key).await["KeyState"], "PendingImport");
    assert_eq!(
        code(&world, "Decrypt", blob.clone()).await,
        "KMSInvalidStateException"
    );
    let again = wrapped(&world, &key, &[2; 32]).await;
    world.ok(Who::Root, "ImportKeyMaterial", again).await;
    let listed = world.ok(Who::Root, "ListKeyRotations", all).await;
    assert_eq!(listed["Rotations"][1]["KeyMaterialDescription"], "the second");
    // The first is deleted by its id, and comes back.
    let delete = with(id.clone(), "KeyMaterialId", made["KeyMaterialId"].clone());
    world.ok(Who::Root, "DeleteImportedKeyMaterial", delete).await;
    assert_eq!(
        code(&world, "Decrypt", new.clone()).await,
        "KMSInvalidStateException"
    );
    let unknown = with(id, "KeyMaterialId", json!("0".repeat(64)));
    assert_eq!(
        code(&world, "DeleteImportedKeyMaterial", unknown).await,
        "NotFoundException"
    );
    let again = wrapped(&world, &key, &[1; 32]).await;
    world.ok(Who::Root, "ImportKeyMaterial", again).await;
    for blob in [blob, new] {
        assert_eq!(
            world.ok(Who::Root, "Decrypt", blob).await["Plaintext"],
            "aGVsbG8="
        );
    }
    let records = world.records().await;
    let forgotten = records
        .iter()
        .filter(|record| record["eventName"] == "DeleteExpiredKeyMaterial");
    assert_eq!(forgotten.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_and_mac_keys_are_imported_once() {
    let world = World::new().await;
    let pair = BackingKey::generate(KeySpec::EccNistP256, &Random::system()).unwrap();
    let curve = external(
        &world,
        json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}),
    )
    .await;
    let body = wrapped(&world, &curve, pair.to_bytes().unwrap().expose()).await;
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
    let public = world
        .ok(Who::Root, "GetPublicKey", json!({"KeyId": curve["KeyId"]}))
        .await;
    assert_eq!(public["PublicKey"], json!(b64(pair.public_key_der().unwrap())));
    let other = BackingKey::generate(KeySpec::EccNistP256, &Random::system()).unwrap();
    let other = wrapped(&world, &curve, other.to_bytes().unwrap().expose()).await;
    assert_eq!(
        code(&world, "ImportKeyMaterial", other).await,
        "IncorrectKeyMaterialException"
    );
    let mac = external(
        &world,
        json!({"KeySpec": "HMAC_384", "KeyUsage": "GENERATE_VERIFY_MAC"}),
    )
    .await;
    let short = wrapped(&world, &mac, &[3; 47]).await;
    assert_eq!(
        code(&world, "ImportKeyMaterial", short).await,
        "IncorrectKeyMaterialException"
    );
    let body = wrapped(&world, &mac, &[3; 48]).await;
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
    let made = json!({"KeyId": mac["KeyId"], "Message": "aGVsbG8=", "MacAlgorithm": "HMAC_SHA_384"});
    world.ok(Who::Root, "GenerateMac", made).await;
    assert_eq!(
        code(&world, "RotateKeyOnDemand", json!({"KeyId": mac["KeyId"]})).await,
        "UnsupportedOperationException"
    );
}

/// What only symmetric encryption keys have is not silently passed over elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_that_do_not_fit_are_refused() {
    let world = World::new().await;
    let mac = external(
        &world,
        json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
    )
    .await;
    let body = wrapped(&world, &mac, &[1; 32]).await;
    for (member, value) in [
        ("ImportType", json!("NEW_KEY_MATERIAL")),
        ("KeyMaterialDescription", json!("a key")),
        ("KeyMaterialId", json!("0".repeat(64))),
    ] {
        let body = with(body.clone(), member, value);
        assert_eq!(
            code(&world, "ImportKeyMaterial", body).await,
            "ValidationException",
            "{member}"
        );
    }
    world.ok(Who::Root, "ImportKeyMaterial", body).await;

    let key = external(&world, json!({})).await;
    let body = wrapped(&world, &key, &[1; 32]).await;
    let body = with(body, "ImportType", json!("NEW_KEY_MATERIAL"));
    let body = with(body, "KeyMaterialId", json!("0".repeat(64)));
    assert_eq!(
        code(&world, "ImportKeyMaterial", body).await,
        "ValidationException"
    );
}
