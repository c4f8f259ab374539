//! When a key was last used: noted, told, kept, and asked for by policies.

use serde_json::{Value, json};

use crate::world::{AWAY, HOME, Who, World, allow, key_policy, lets, text};

const DAY: u64 = 24 * 60 * 60;

async fn encrypt(world: &World, who: Who, key: &str) -> Value {
    world
        .ok(who, "Encrypt", json!({"KeyId": key, "Plaintext": "aGVsbG8="}))
        .await
}

async fn usage(world: &World, key: &str) -> Value {
    world
        .ok(Who::Root, "GetKeyLastUsage", json!({"KeyId": key}))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_use_is_told_with_the_record_that_proves_it() {
    let world = World::new().await;
    let key = text(&world.key(json!({})).await, "KeyId");
    let before = usage(&world, &key).await;
    assert_eq!(before["KeyLastUsage"], json!({}), "empty, not absent");
    assert_eq!(before["KeyId"], key);

    let sealed = encrypt(&world, Who::Root, &key).await;
    world.advance(120).await;
    let blob = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    world.ok(Who::Root, "Decrypt", blob.clone()).await;
    let after = usage(&world, &key).await;
    assert_eq!(after["KeyLastUsage"]["Operation"], "Decrypt");
    // Neither refusals, nor rehearsals, nor looking at it are uses.
    world.advance(5).await;
    world.call(Who::Bob, "Decrypt", blob.clone()).await;
    let mut rehearsal = blob;
    rehearsal["DryRun"] = json!(true);
    world.fails(Who::Root, "Decrypt", rehearsal).await;
    world.ok(Who::Root, "DescribeKey", json!({"KeyId": key})).await;
    world
        .fails(Who::Root, "Decrypt", json!({"CiphertextBlob": "AAAA"}))
        .await;
    assert_eq!(usage(&world, &key).await, after);

    let records = world.records().await;
    let used = records
        .iter()
        .find(|record| record["eventName"] == "Decrypt")
        .unwrap();
    assert_eq!(used["eventID"], after["KeyLastUsage"]["CloudTrailEventId"]);
    assert_eq!(used["requestID"], after["KeyLastUsage"]["KmsRequestId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_a_restart_and_not_the_key() {
    let world = World::kept().await;
    let key = text(&world.key(json!({})).await, "KeyId");
    encrypt(&world, Who::Root, &key).await;
    let told = usage(&world, &key).await;
    let world = world.restart(None).await;
    assert_eq!(usage(&world, &key).await, told);

    let deletion = json!({"KeyId": key, "PendingWindowInDays": 7});
    world.ok(Who::Root, "ScheduleKeyDeletion", deletion).await;
    world.advance(8 * DAY).await;
    let (code, _) = world
        .fails(Who::Root, "GetKeyLastUsage", json!({"KeyId": key}))
        .await;
    assert_eq!(code, "NotFoundException");
}

/// What was written before is there still; what was not is lost, and the key goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_forgets_what_was_not_written_and_no_more() {
    let world = World::kept().await;
    let key = text(&world.key(json!({})).await, "KeyId");
    encrypt(&world, Who::Root, &key).await;
    let first = usage(&world, &key).await;
    world.advance(61).await;
    let written = usage(&world, &key).await;
    assert_eq!(written["KeyLastUsage"], first["KeyLastUsage"]);
    encrypt(&world, Who::Root, &key).await;
    let second = usage(&world, &key).await;
    assert_ne!(
        second["KeyLastUsage"], first["KeyLastUsage"],
        "told before it is written"
    );
    let world = world.crash().await;
    assert_eq!(usage(&world, &key).await["KeyLastUsage"], first["KeyLastUsage"]);

    encrypt(&world, Who::Root, &key).await;
    let third = usage(&world, &key).await;
    world.advance(61).await;
    let world = world.crash().await;
    assert_eq!(usage(&world, &key).await["KeyLastUsage"], third["KeyLastUsage"]);
}

/// `TrackingStartDate` is the later of the key's making and the first look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_tracked_since_the_key_was_made() {
    let world = World::new().await;
    world.advance(60).await;
    let made = world.key(json!({})).await;
    world.advance(600).await;
    let told = usage(&world, &text(&made, "KeyId")).await;
    assert_eq!(told["TrackingStartDate"], made["CreationDate"]);
    assert_eq!(told["KeyCreationDate"], made["CreationDate"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_keys_of_a_re_encryption_and_foreign_callers_count() {
    let world = World::new().await;
    let policy = key_policy(&[
        lets(&format!("arn:aws:iam::{HOME}:root"), "kms:*"),
        lets(&format!("arn:aws:iam::{AWAY}:root"), "kms:*"),
    ]);
    let from = text(&world.key(json!({"Policy": policy.clone()})).await, "Arn");
    let to = text(&world.key(json!({"Policy": policy})).await, "Arn");
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    let sealed = encrypt(&world, Who::Eve, &from).await;
    world.advance(1).await;
    let wish = json!({"CiphertextBlob": sealed["CiphertextBlob"], "DestinationKeyId": to});
    world.ok(Who::Eve, "ReEncrypt", wish).await;
    let (first, second) = (usage(&world, &from).await, usage(&world, &to).await);
    assert_eq!(first["KeyLastUsage"]["Operation"], "ReEncrypt");
    assert_eq!(first["KeyLastUsage"], second["KeyLastUsage"]);
    // No operation of other accounts, though they may use the key.
    let asked = json!({"KeyId": from});
    let (code, _) = world.fails(Who::Eve, "GetKeyLastUsage", asked).await;
    assert_eq!(code, "AccessDeniedException");

    // The owner's record is the one that is named, not the caller's.
    let records = world.records().await;
    let owners = records
        .iter()
        .find(|record| record["eventName"] == "ReEncrypt" && record["recipientAccountId"] == HOME);
    assert_eq!(
        owners.unwrap()["eventID"],
        first["KeyLastUsage"]["CloudTrailEventId"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_keeps_keys_that_were_used_lately() {
    let world = World::new().await;
    let mut keep = lets("*", "kms:DisableKey");
    keep["Effect"] = json!("Deny");
    keep["Action"] = json!(["kms:DisableKey", "kms:ScheduleKeyDeletion"]);
    keep["Condition"] = json!({"NumericLessThan": {"kms:TrailingDaysWithoutKeyUsage": "30"}});
    let policy = key_policy(&[lets(&format!("arn:aws:iam::{HOME}:root"), "kms:*"), keep]);
    let key = text(&world.key(json!({"Policy": policy})).await, "KeyId");

    // Made today, it counts as used today.
    let (code, _) = world.fails(Who::Root, "DisableKey", json!({"KeyId": key})).await;
    assert_eq!(code, "AccessDeniedException");
    world.advance(29 * DAY).await;
    encrypt(&world, Who::Root, &key).await;
    world.advance(30 * DAY - 1).await;
    let (code, _) = world
        .fails(Who::Root, "ScheduleKeyDeletion", json!({"KeyId": key}))
        .await;
    assert_eq!(code, "AccessDeniedException");
    world.advance(1).await;
    world.ok(Who::Root, "DisableKey", json!({"KeyId": key})).await;
    world
        .ok(Who::Root, "ScheduleKeyDeletion", json!({"KeyId": key}))
        .await;
}
