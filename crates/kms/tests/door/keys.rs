//! Keys from their making to their end, and what is told of them.

use ground::{AccountId, Region};
use serde_json::{Value, json};
use store::{Scope, Table};

use crate::world::{HOME, REGION, Who, World, b64, bytes, key_policy, lets, text, told, used_aliases};

const DAY: u64 = 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symmetric_key_is_described_in_full() {
    let world = World::new().await;
    let tags = json!([{"TagKey": "Team", "TagValue": "a"}]);
    let created = world.key(json!({"Description": "mine", "Tags": tags})).await;
    let id = text(&created, "KeyId");
    let arn = format!("arn:aws:kms:{REGION}:{HOME}:key/{id}");
    let material = text(&created, "CurrentKeyMaterialId");
    assert_eq!(material.len(), 64);
    assert_eq!(
        created,
        json!({
            "AWSAccountId": HOME, "KeyId": id, "Arn": arn, "CreationDate": created["CreationDate"],
            "Enabled": true, "Description": "mine", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled",
            "Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT", "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "MultiRegion": false,
            "CurrentKeyMaterialId": material,
        })
    );
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/mine", "TargetKeyId": id}),
        )
        .await;
    let alias_arn = format!("arn:aws:kms:{REGION}:{HOME}:alias/mine");
    for name in [&id, &arn, "alias/mine", &alias_arn] {
        let described = world.ok(Who::Root, "DescribeKey", json!({"KeyId": name})).await;
        assert_eq!(described["KeyMetadata"], created, "{name}");
    }
    let listed = world.ok(Who::Root, "ListKeys", json!({})).await;
    assert_eq!(
        listed,
        json!({"Keys": [{"KeyId": id, "KeyArn": arn}], "Truncated": false})
    );
    let tags = world
        .ok(Who::Root, "ListResourceTags", json!({"KeyId": id}))
        .await;
    assert_eq!(tags["Tags"], json!([{"TagKey": "Team", "TagValue": "a"}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_deleted_at_the_end_of_its_window_and_not_before() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let (id, arn) = (&key["KeyId"], text(&key, "Arn"));
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/doomed", "TargetKeyId": id}),
        )
        .await;
    let sealed = world
        .ok(Who::Root, "Encrypt", json!({"KeyId": id, "Plaintext": b64(b"x")}))
        .await;
    let encrypt = json!({"KeyId": id, "Plaintext": b64(b"x")});

    world.ok(Who::Root, "DisableKey", json!({"KeyId": id})).await;
    let refused = world.fails(Who::Root, "Encrypt", encrypt.clone()).await;
    assert_eq!(refused, told("DisabledException", &format!("{arn} is disabled.")));
    world.ok(Who::Root, "EnableKey", json!({"KeyId": id})).await;

    for days in [6, 31] {
        let body = json!({"KeyId": id, "PendingWindowInDays": days});
        assert_eq!(
            world.fails(Who::Root, "ScheduleKeyDeletion", body).await.0,
            "ValidationException"
        );
    }
    let schedule = json!({"KeyId": id, "PendingWindowInDays": 7});
    let scheduled = world.ok(Who::Root, "ScheduleKeyDeletion", schedule.clone()).await;
    assert_eq!(
        (
            &scheduled["KeyId"],
            &scheduled["KeyState"],
            &scheduled["PendingWindowInDays"]
        ),
        (&json!(arn), &json!("PendingDeletion"), &json!(7))
    );
    let pending = told("KMSInvalidStateException", &format!("{arn} is pending deletion."));
    for (operation, body) in [
        ("Encrypt", encrypt.clone()),
        ("EnableKey", json!({"KeyId": id})),
        ("ScheduleKeyDeletion", schedule.clone()),
        (
            "CreateAlias",
            json!({"AliasName": "alias/late", "TargetKeyId": id}),
        ),
        (
            "TagResource",
            json!({"KeyId": id, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        ),
        (
            "UpdateKeyDescription",
            json!({"KeyId": id, "Description": "late"}),
        ),
    ] {
        assert_eq!(
            world.fails(Who::Root, operation, body).await,
            pending,
            "{operation}"
        );
    }
    let described = world.ok(Who::Root, "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(
        described["KeyMetadata"]["DeletionDate"],
        scheduled["DeletionDate"]
    );
    assert_eq!(described["KeyMetadata"]["Enabled"], false);

    // Called off, it stays, however late it gets.
    world
        .ok(Who::Root, "CancelKeyDeletion", json!({"KeyId": id}))
        .await;
    let refused = world
        .fails(Who::Root, "CancelKeyDeletion", json!({"KeyId": id}))
        .await;
    assert_eq!(
        refused,
        told(
            "KMSInvalidStateException",
            &format!("{arn} is not pending deletion.")
        )
    );
    world.advance(31 * DAY).await;
    let described = world.ok(Who::Root, "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(described["KeyMetadata"]["KeyState"], "Disabled");
    assert_eq!(described["KeyMetadata"].get("DeletionDate"), None);

    world.ok(Who::Root, "ScheduleKeyDeletion", schedule).await;
    world.advance(7 * DAY - 1).await;
    world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": "alias/doomed"}))
        .await;
    world.advance(1).await;
    let gone = told("NotFoundException", &format!("Key '{arn}' does not exist"));
    assert_eq!(
        world.fails(Who::Root, "DescribeKey", json!({"KeyId": id})).await,
        gone
    );
    let refused = world
        .fails(Who::Root, "DescribeKey", json!({"KeyId": "alias/doomed"}))
        .await;
    assert_eq!(
        refused,
        told(
            "NotFoundException",
            &format!("Alias arn:aws:kms:{REGION}:{HOME}:alias/doomed is not found.")
        )
    );
    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(
        world.fails(Who::Root, "Decrypt", body).await.0,
        "AccessDeniedException"
    );
    let aliases = world.ok(Who::Root, "ListAliases", json!({})).await;
    assert!(used_aliases(&aliases).is_empty());
    assert_eq!(
        world.ok(Who::Root, "ListKeys", json!({})).await["Keys"],
        json!([])
    );

    let records = world.records().await;
    let deleted: Vec<_> = records
        .iter()
        .filter(|record| record["eventName"] == "DeleteKey")
        .collect();
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["resources"][0]["ARN"], arn);
    assert_eq!(deleted[0]["eventType"], "AwsServiceEvent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_listed_page_by_page() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(text(&world.key(json!({})).await, "KeyId"));
    }
    made.sort();
    let mut seen = Vec::new();
    let mut body = json!({"Limit": 2});
    loop {
        let page = world.ok(Who::Root, "ListKeys", body.clone()).await;
        seen.extend(
            page["Keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| text(key, "KeyId")),
        );
        if page["Truncated"] == false {
            break;
        }
        body["Marker"] = page["NextMarker"].clone();
    }
    assert_eq!(seen, made);
    let away = world.ok(Who::AwayRoot, "ListKeys", json!({})).await;
    assert_eq!(away["Keys"], json!([]));
    let shared = world
        .ok(
            Who::Root,
            "ListKeys",
            json!({"ResourceOwners": ["OTHER_ACCOUNTS_VIA_RAM"]}),
        )
        .await;
    assert_eq!(shared["Keys"], json!([]));
    for limit in [0, 1001] {
        assert_eq!(
            world
                .fails(Who::Root, "ListKeys", json!({"Limit": limit}))
                .await
                .0,
            "ValidationException"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_one_key_are_all_kept() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let calls = (0..20).map(|number| {
        let body =
            json!({"KeyId": key["KeyId"], "Tags": [{"TagKey": format!("k{number}"), "TagValue": "v"}]});
        world.ok(Who::Root, "TagResource", body)
    });
    futures_util::future::join_all(calls).await;
    let tags = world
        .ok(Who::Root, "ListResourceTags", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(tags["Tags"].as_array().unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_and_opens_under_its_root_key_alone() {
    let world = World::kept().await;
    let mut sealed = Vec::new();
    for body in [
        json!({}),
        json!({"KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "SIGN_VERIFY"}),
    ] {
        sealed.push(world.key(body).await);
    }
    let (key, signer) = (&sealed[0], &sealed[1]);
    let only_bob = key_policy(&[lets(&Who::Bob.arn(), "kms:*")]);
    let policy = json!({"KeyId": key["KeyId"], "Policy": only_bob, "BypassPolicyLockoutSafetyCheck": true});
    let blob = world
        .ok(
            Who::Root,
            "Encrypt",
            json!({"KeyId": key["KeyId"], "Plaintext": b64(b"x")}),
        )
        .await["CiphertextBlob"]
        .clone();
    let public = world
        .ok(Who::Root, "GetPublicKey", json!({"KeyId": signer["KeyId"]}))
        .await;
    world.ok(Who::Root, "PutKeyPolicy", policy).await;
    let schedule = json!({"KeyId": signer["KeyId"], "PendingWindowInDays": 7});

    let world = world.restart(None).await;
    let decrypt = json!({"CiphertextBlob": blob});
    assert_eq!(
        bytes(&world.ok(Who::Bob, "Decrypt", decrypt.clone()).await, "Plaintext"),
        b"x"
    );
    assert_eq!(
        world.fails(Who::Root, "Decrypt", decrypt.clone()).await.0,
        "AccessDeniedException"
    );
    let again = world
        .ok(Who::Root, "GetPublicKey", json!({"KeyId": signer["KeyId"]}))
        .await;
    assert_eq!(again, public);
    world.ok(Who::Root, "ScheduleKeyDeletion", schedule).await;

    // Under another root key the rows are there and their material is not.
    let other = crypto::hierarchy::RootKey::generate(&crypto::Random::system());
    let world = world.restart(Some(other)).await;
    world
        .ok(Who::Bob, "DescribeKey", json!({"KeyId": key["KeyId"]}))
        .await;
    let broken = world.call(Who::Bob, "Decrypt", decrypt).await;
    assert_eq!(
        (broken.status, broken.code().as_str()),
        (500, "KMSInternalException")
    );
    world.advance(7 * DAY).await;
    let refused = world
        .fails(Who::Root, "DescribeKey", json!({"KeyId": signer["KeyId"]}))
        .await;
    assert_eq!(refused.0, "NotFoundException");
}

/// Whoever writes to the disk may copy rows: one that lies where another belongs stands for nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_copied_to_another_key_is_not_read_there() {
    const RAW: Table<String, Value> = Table::new("kms/key", 2);
    let world = World::kept().await;
    let (one, other) = (world.key(json!({})).await, world.key(json!({})).await);
    let seal = json!({"KeyId": other["KeyId"], "Plaintext": "aGVsbG8="});
    let sealed = world.ok(Who::Root, "Encrypt", seal.clone()).await;
    let here = Scope::regional(AccountId::parse(HOME).unwrap(), &Region::us_east_1());
    let store = world.door().store().clone();
    let rows = store.snapshot().await.unwrap();
    let row = async |key: &Value| {
        let id = text(key, "KeyId").to_owned();
        rows.cross_account_get(&here, &RAW, &id).await.unwrap().unwrap()
    };
    let (row_of_one, row_of_other) = (row(&one).await, row(&other).await);
    let put = async |scope: &Scope, record: &Value| {
        let tx = store.view(scope.clone()).begin();
        tx.put(&RAW, &text(&other, "KeyId").to_owned(), record);
        store.commit(tx).await.unwrap();
    };
    let elsewhere = Scope::regional(AccountId::parse("999999999999").unwrap(), &Region::us_east_1());
    put(&here, &row_of_one).await;
    put(&elsewhere, &row_of_other).await;
    drop((rows, store));

    let world = world.restart(None).await;
    let foreign = text(&other, "Arn").replace(HOME, "999999999999");
    for (operation, body) in [
        ("DescribeKey", json!({"KeyId": other["KeyId"]})),
        ("Encrypt", seal.clone()),
        ("Decrypt", json!({"CiphertextBlob": sealed["CiphertextBlob"]})),
        ("Encrypt", json!({"KeyId": foreign, "Plaintext": "aGVsbG8="})),
        ("ListKeys", json!({})),
    ] {
        let answer = world.call(Who::Root, operation, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "KMSInternalException"),
            "{operation}"
        );
    }
    let own = json!({"KeyId": one["KeyId"], "Plaintext": "aGVsbG8="});
    world.ok(Who::Root, "Encrypt", own).await;

    // Put back, it is as it was.
    let store = world.door().store().clone();
    let tx = store.view(here.clone()).begin();
    tx.put(&RAW, &text(&other, "KeyId").to_owned(), &row_of_other);
    store.commit(tx).await.unwrap();
    drop(store);
    let world = world.restart(None).await;
    let opened = world
        .ok(
            Who::Root,
            "Decrypt",
            json!({"CiphertextBlob": sealed["CiphertextBlob"]}),
        )
        .await;
    assert_eq!(text(&opened, "Plaintext"), "aGVsbG8=");
}
