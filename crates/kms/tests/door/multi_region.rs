//! Multi-Region keys: what related keys share, and what they do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{EncryptionAlgorithm, KeySpec, PublicKey};
use serde_json::{Value, json};

use crate::world::{HOME, REGION, Who, World, allow, key_policy, lets, text};

const DAY: u64 = 24 * 60 * 60;
const THERE: &str = "eu-west-1";

async fn ok_in(world: &World, region: &str, who: Who, operation: &str, body: Value) -> Value {
    let answer = world.call_in(region, who, operation, body.clone()).await;
    assert_eq!(
        answer.status,
        200,
        "{operation} {body} in {region}: {}",
        answer.text()
    );
    answer.json()
}

async fn code_in(world: &World, region: &str, who: Who, operation: &str, body: Value) -> String {
    let answer = world.call_in(region, who, operation, body).await;
    if answer.status == 200 {
        "ok".to_owned()
    } else {
        answer.code()
    }
}

async fn described(world: &World, region: &str, key: &Value) -> Value {
    let body = json!({"KeyId": key["KeyId"]});
    ok_in(world, region, Who::Root, "DescribeKey", body).await["KeyMetadata"].clone()
}

async fn sealed_in(world: &World, region: &str, key: &Value) -> Value {
    let body = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8=", "EncryptionContext": {"a": "b"}});
    let sealed = ok_in(world, region, Who::Root, "Encrypt", body).await;
    json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"a": "b"}})
}

async fn opens_in(world: &World, region: &str, blob: &Value) {
    let opened = ok_in(world, region, Who::Root, "Decrypt", blob.clone()).await;
    assert_eq!(opened["Plaintext"], "aGVsbG8=");
}

async fn replicate(world: &World, key: &Value, region: &str) -> Value {
    let body = json!({"KeyId": key["KeyId"], "ReplicaRegion": region});
    world.ok(Who::Root, "ReplicateKey", body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_encrypts_the_other_decrypts_and_both_rotate_as_one() {
    let world = World::kept().await;
    let key = world.key(json!({"MultiRegion": true})).await;
    let id = text(&key, "KeyId");
    assert!(id.starts_with("mrk-"), "{id}");
    assert_eq!(key["MultiRegionConfiguration"]["MultiRegionKeyType"], "PRIMARY");
    let before = sealed_in(&world, REGION, &key).await;
    assert_eq!(
        code_in(&world, THERE, Who::Root, "Decrypt", before.clone()).await,
        "AccessDeniedException"
    );
    world
        .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": id}))
        .await;

    let body = json!({"KeyId": id, "ReplicaRegion": THERE, "Description": "there",
        "Tags": [{"TagKey": "a", "TagValue": "b"}]});
    let made = world.ok(Who::Root, "ReplicateKey", body).await;
    let replica = &made["ReplicaKeyMetadata"];
    assert_eq!(
        replica["Arn"],
        json!(format!("arn:aws:kms:{THERE}:{HOME}:key/{id}"))
    );
    assert_eq!(
        (&replica["Description"], &replica["KeyState"]),
        (&json!("there"), &json!("Enabled"))
    );
    assert_eq!(made["ReplicaTags"], json!([{"TagKey": "a", "TagValue": "b"}]));
    assert!(text(&made, "ReplicaPolicy").contains("kms:*"));
    let there = described(&world, THERE, &key).await;
    let here = described(&world, REGION, &key).await;
    assert_eq!(there["MultiRegionConfiguration"]["MultiRegionKeyType"], "REPLICA");
    for member in ["PrimaryKey", "ReplicaKeys"] {
        assert_eq!(
            here["MultiRegionConfiguration"][member],
            there["MultiRegionConfiguration"][member]
        );
    }
    assert_eq!(here["CurrentKeyMaterialId"], there["CurrentKeyMaterialId"]);

    let world = world.restart(None).await;
    for (from, to) in [(REGION, THERE), (THERE, REGION)] {
        let blob = sealed_in(&world, from, &key).await;
        opens_in(&world, to, &blob).await;
    }
    opens_in(&world, THERE, &before).await;
    let elsewhere = sealed_in(&world, THERE, &key).await;
    assert_eq!(
        code_in(&world, "ap-south-1", Who::Root, "Decrypt", elsewhere).await,
        "AccessDeniedException"
    );

    // On demand and by itself, but only by the primary.
    let named = json!({"KeyId": id});
    for operation in ["RotateKeyOnDemand", "EnableKeyRotation", "DisableKeyRotation"] {
        let told = code_in(&world, THERE, Who::Root, operation, named.clone()).await;
        assert_eq!(told, "UnsupportedOperationException", "{operation}");
    }
    world.ok(Who::Root, "RotateKeyOnDemand", named.clone()).await;
    world.ok(Who::Root, "EnableKeyRotation", named.clone()).await;
    let status = ok_in(&world, THERE, Who::Root, "GetKeyRotationStatus", named.clone()).await;
    assert_eq!(status["KeyRotationEnabled"], true);
    let mut last = described(&world, REGION, &key).await["CurrentKeyMaterialId"].clone();
    assert_eq!(described(&world, THERE, &key).await["CurrentKeyMaterialId"], last);
    world.advance(366 * DAY).await;
    let now = described(&world, REGION, &key).await["CurrentKeyMaterialId"].clone();
    assert_ne!(now, last);
    last = now;
    assert_eq!(described(&world, THERE, &key).await["CurrentKeyMaterialId"], last);
    let blob = sealed_in(&world, REGION, &key).await;
    opens_in(&world, THERE, &blob).await;
    opens_in(&world, THERE, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_states_grants_and_aliases_are_each_ones_own() {
    let world = World::new().await;
    let key = world.key(json!({"MultiRegion": true})).await;
    let id = json!({"KeyId": key["KeyId"]});
    let policy = key_policy(&[
        lets(&Who::Root.arn(), "kms:*"),
        lets(&Who::Bob.arn(), "kms:Encrypt"),
    ]);
    let body = json!({"KeyId": key["KeyId"], "ReplicaRegion": THERE, "Policy": policy});
    world.ok(Who::Root, "ReplicateKey", body).await;
    let encrypt = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    assert_eq!(
        code_in(&world, REGION, Who::Bob, "Encrypt", encrypt.clone()).await,
        "AccessDeniedException"
    );
    assert_eq!(
        code_in(&world, THERE, Who::Bob, "Encrypt", encrypt.clone()).await,
        "ok"
    );
    let grant =
        json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Bob.arn(), "Operations": ["DescribeKey"]});
    world.ok(Who::Root, "CreateGrant", grant).await;
    assert_eq!(
        code_in(&world, REGION, Who::Bob, "DescribeKey", id.clone()).await,
        "ok"
    );
    assert_eq!(
        code_in(&world, THERE, Who::Bob, "DescribeKey", id.clone()).await,
        "AccessDeniedException"
    );
    world.ok(Who::Root, "DisableKey", id.clone()).await;
    assert_eq!(code_in(&world, THERE, Who::Root, "Encrypt", encrypt).await, "ok");
    let disabled = json!({"KeyId": key["KeyId"], "ReplicaRegion": "ap-south-1"});
    assert_eq!(
        code_in(&world, REGION, Who::Root, "ReplicateKey", disabled).await,
        "DisabledException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_replicate_does_not() {
    let world = World::new().await;
    let key = world.key(json!({"MultiRegion": true})).await;
    let single = world.key(json!({})).await;
    let to = |key: &Value, region: &str| json!({"KeyId": key["KeyId"], "ReplicaRegion": region});
    let code = async |who: Who, body: Value| code_in(&world, REGION, who, "ReplicateKey", body).await;
    assert_eq!(
        code(Who::Root, to(&single, THERE)).await,
        "UnsupportedOperationException"
    );
    assert_eq!(code(Who::Root, to(&key, REGION)).await, "ValidationException");
    world.people.grant(Who::Bob, &[allow("kms:ReplicateKey")]);
    assert_eq!(code(Who::Bob, to(&key, THERE)).await, "AccessDeniedException");
    let only_there = json!({"Effect": "Allow", "Action": "kms:ReplicateKey", "Resource": "*",
        "Condition": {"StringEquals": {"kms:ReplicaRegion": "ap-south-1"}}});
    world
        .people
        .grant(Who::Bob, &[only_there, allow("kms:CreateKey")]);
    assert_eq!(code(Who::Bob, to(&key, THERE)).await, "AccessDeniedException");
    assert_eq!(code(Who::Bob, to(&key, "ap-south-1")).await, "ok");
    assert_eq!(
        code(Who::Root, to(&key, "ap-south-1")).await,
        "AlreadyExistsException"
    );
    let replica = world
        .call_in("ap-south-1", Who::Root, "ReplicateKey", to(&key, THERE))
        .await;
    assert_eq!(replica.code(), "UnsupportedOperationException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_becomes_the_primary_and_the_last_goes_last() {
    let world = World::new().await;
    let key = world.key(json!({"MultiRegion": true})).await;
    let id = json!({"KeyId": key["KeyId"]});
    replicate(&world, &key, THERE).await;
    replicate(&world, &key, "ap-south-1").await;
    let blob = sealed_in(&world, "ap-south-1", &key).await;
    let promote = |region: &str| json!({"KeyId": key["KeyId"], "PrimaryRegion": region});
    for region in [REGION, "sa-east-1"] {
        let told = code_in(&world, REGION, Who::Root, "UpdatePrimaryRegion", promote(region)).await;
        assert_eq!(told, "ValidationException", "{region}");
    }
    world.ok(Who::Root, "UpdatePrimaryRegion", promote(THERE)).await;
    for region in [REGION, THERE, "ap-south-1"] {
        let primary = &described(&world, region, &key).await["MultiRegionConfiguration"];
        assert_eq!(primary["PrimaryKey"]["Region"], THERE);
        assert_eq!(primary["ReplicaKeys"].as_array().unwrap().len(), 2);
    }
    ok_in(&world, THERE, Who::Root, "RotateKeyOnDemand", id.clone()).await;

    // The primary waits for its replicas before it waits for its own end.
    let soon = json!({"KeyId": key["KeyId"], "PendingWindowInDays": 7});
    let told = ok_in(&world, THERE, Who::Root, "ScheduleKeyDeletion", soon.clone()).await;
    assert_eq!(
        (&told["KeyState"], told.get("DeletionDate")),
        (&json!("PendingReplicaDeletion"), None)
    );
    let waiting = described(&world, THERE, &key).await;
    assert_eq!(
        (
            &waiting["PendingDeletionWindowInDays"],
            waiting.get("DeletionDate")
        ),
        (&json!(7), None)
    );
    world.ok(Who::Root, "ScheduleKeyDeletion", soon.clone()).await;
    world.advance(8 * DAY).await;
    assert_eq!(
        code_in(&world, REGION, Who::Root, "DescribeKey", id.clone()).await,
        "NotFoundException"
    );
    assert_eq!(
        described(&world, THERE, &key).await["KeyState"],
        "PendingReplicaDeletion"
    );
    opens_in(&world, "ap-south-1", &blob).await;
    ok_in(&world, "ap-south-1", Who::Root, "ScheduleKeyDeletion", soon).await;
    world.advance(8 * DAY).await;
    assert_eq!(
        described(&world, THERE, &key).await["KeyState"],
        "PendingDeletion"
    );
    world.advance(8 * DAY).await;
    assert_eq!(
        code_in(&world, THERE, Who::Root, "DescribeKey", id).await,
        "NotFoundException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_do_not_leave_the_partition() {
    let world = World::new().await;
    let key = world.key(json!({"MultiRegion": true})).await;
    for region in ["cn-north-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1"] {
        let body = json!({"KeyId": key["KeyId"], "ReplicaRegion": region});
        let told = code_in(&world, REGION, Who::Root, "ReplicateKey", body).await;
        assert_eq!(told, "ValidationException", "{region}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imported_material_is_brought_to_every_region() {
    let world = World::new().await;
    let key = world
        .key(json!({"MultiRegion": true, "Origin": "EXTERNAL"}))
        .await;
    let import = async |region: &str, material: &[u8], kind: &str| {
        let asked = json!({"KeyId": key["KeyId"], "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
            "WrappingKeySpec": "RSA_2048"});
        let told = ok_in(&world, region, Who::Root, "GetParametersForImport", asked).await;
        let public = STANDARD.decode(text(&told, "PublicKey")).unwrap();
        let public = PublicKey::from_der(KeySpec::Rsa2048, &public).unwrap();
        let wrapped = public
            .encrypt(EncryptionAlgorithm::RsaesOaepSha256, material)
            .unwrap();
        let body = json!({"KeyId": key["KeyId"], "ImportToken": told["ImportToken"], "ImportType": kind,
            "EncryptedKeyMaterial": STANDARD.encode(wrapped), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"});
        code_in(&world, region, Who::Root, "ImportKeyMaterial", body).await
    };
    const NEW: &str = "NEW_KEY_MATERIAL";
    const EXISTING: &str = "EXISTING_KEY_MATERIAL";
    assert_eq!(import(REGION, &[1; 32], NEW).await, "ok");
    replicate(&world, &key, THERE).await;
    assert_eq!(described(&world, THERE, &key).await["KeyState"], "PendingImport");
    // Neither its primary's nor another is new to a replica.
    for material in [[1; 32], [2; 32]] {
        assert_eq!(
            import(THERE, &material, NEW).await,
            "UnsupportedOperationException"
        );
    }
    assert_eq!(
        import(THERE, &[2; 32], EXISTING).await,
        "IncorrectKeyMaterialException"
    );
    assert_eq!(described(&world, THERE, &key).await["KeyState"], "PendingImport");
    assert_eq!(import(THERE, &[1; 32], EXISTING).await, "ok");
    let blob = sealed_in(&world, REGION, &key).await;
    opens_in(&world, THERE, &blob).await;

    assert_eq!(import(REGION, &[2; 32], NEW).await, "ok");
    // What nobody rotated to yet is expected everywhere, until the primary loses it.
    let waiting = async |region: &str| {
        let body = json!({"KeyId": key["KeyId"], "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
        let listed = ok_in(&world, region, Who::Root, "ListKeyRotations", body).await;
        listed["Rotations"].get(1).cloned().unwrap_or_default()
    };
    let everywhere = async |state: &str| {
        for region in [REGION, THERE] {
            assert_eq!(waiting(region).await["KeyMaterialState"], state, "{region}");
        }
    };
    everywhere("PENDING_MULTI_REGION_IMPORT_AND_ROTATION").await;
    assert_eq!(import(THERE, &[2; 32], EXISTING).await, "ok");
    everywhere("PENDING_ROTATION").await;
    let delete = json!({"KeyId": key["KeyId"], "KeyMaterialId": waiting(THERE).await["KeyMaterialId"]});
    ok_in(
        &world,
        THERE,
        Who::Root,
        "DeleteImportedKeyMaterial",
        delete.clone(),
    )
    .await;
    assert_eq!(waiting(THERE).await["ImportState"], "PENDING_IMPORT");
    assert_eq!(waiting(REGION).await["ImportState"], "IMPORTED");
    everywhere("PENDING_MULTI_REGION_IMPORT_AND_ROTATION").await;
    assert_eq!(import(THERE, &[2; 32], EXISTING).await, "ok");
    everywhere("PENDING_ROTATION").await;
    world.ok(Who::Root, "DeleteImportedKeyMaterial", delete).await;
    assert!(waiting(REGION).await.is_null() && waiting(THERE).await.is_null());
    assert_eq!(
        import(THERE, &[2; 32], EXISTING).await,
        "IncorrectKeyMaterialException"
    );

    assert_eq!(import(REGION, &[2; 32], NEW).await, "ok");
    let rotate = json!({"KeyId": key["KeyId"]});
    let told = code_in(&world, REGION, Who::Root, "RotateKeyOnDemand", rotate.clone()).await;
    assert_eq!(told, "KMSInvalidStateException");
    // Neither if the one without it is the primary itself.
    for (from, to) in [(REGION, THERE), (THERE, REGION)] {
        let body = json!({"KeyId": key["KeyId"], "PrimaryRegion": to});
        ok_in(&world, from, Who::Root, "UpdatePrimaryRegion", body).await;
        let told = code_in(&world, to, Who::Root, "RotateKeyOnDemand", rotate.clone()).await;
        assert_eq!(told, "KMSInvalidStateException", "{to}");
    }
    assert_eq!(import(THERE, &[2; 32], EXISTING).await, "ok");
    world.ok(Who::Root, "RotateKeyOnDemand", rotate).await;
    let new = sealed_in(&world, THERE, &key).await;
    opens_in(&world, REGION, &new).await;
    opens_in(&world, THERE, &blob).await;
}
