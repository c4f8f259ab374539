//! Request quotas, by a clock that stands still unless it is moved.

use serde_json::json;

use crate::world::{Who, World, allow, text};

const THROTTLED: &str =
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_too_often_is_throttled_in_the_words_of_aws() {
    let world = World::with_quotas().await;
    for _ in 0..5 {
        world.key(json!({})).await;
    }
    let (code, message) = world.fails(Who::Root, "CreateKey", json!({})).await;
    assert_eq!(
        (code.as_str(), message.as_deref()),
        ("ThrottlingException", Some(THROTTLED))
    );
    // Each quota is its own: of operations, accounts and regions.
    world.ok(Who::Root, "ListKeys", json!({})).await;
    world.ok(Who::AwayRoot, "CreateKey", json!({})).await;
    let elsewhere = world
        .call_in("eu-west-1", Who::Root, "CreateKey", json!({}))
        .await;
    assert_eq!(elsewhere.status, 200);
    // A user shares the account's, and what is refused counts as well.
    assert_eq!(
        world.fails(Who::Bob, "CreateKey", json!({})).await.0,
        "ThrottlingException"
    );
    world.advance(1).await;
    for _ in 0..5 {
        assert_eq!(
            world.fails(Who::Bob, "CreateKey", json!({})).await.0,
            "AccessDeniedException"
        );
    }
    assert_eq!(
        world.fails(Who::Root, "CreateKey", json!({})).await.0,
        "ThrottlingException"
    );

    let records = world.records().await;
    let throttled = records
        .iter()
        .filter(|record| record["errorCode"] == "ThrottlingException");
    assert_eq!(throttled.count(), 3, "a throttled call is recorded");
}

/// The caller's account pays, whoever owns the key; pairs have quotas by their spec.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_count_by_their_spec_and_against_the_caller() {
    let world = World::with_quotas().await;
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    let policy = crate::world::key_policy(&[crate::world::lets("*", "kms:*")]);
    let key = text(&world.key(json!({"Policy": policy})).await, "Arn");
    let pair = |spec: &str| json!({"KeyId": key, "KeyPairSpec": spec, "DryRun": true});
    let told = world
        .fails(Who::Eve, "GenerateDataKeyPair", pair("RSA_4096"))
        .await;
    assert_eq!(told.0, "DryRunOperationException");
    for (who, operation, spec, code) in [
        (
            Who::Eve,
            "GenerateDataKeyPairWithoutPlaintext",
            "RSA_4096",
            "ThrottlingException",
        ),
        (
            Who::Eve,
            "GenerateDataKeyPair",
            "RSA_3072",
            "DryRunOperationException",
        ),
        (
            Who::Root,
            "GenerateDataKeyPair",
            "RSA_4096",
            "DryRunOperationException",
        ),
    ] {
        assert_eq!(
            world.fails(who, operation, pair(spec)).await.0,
            code,
            "{operation} {spec}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_switch_nobody_is_throttled() {
    let world = World::new().await;
    for _ in 0..20 {
        world.key(json!({})).await;
    }
}
