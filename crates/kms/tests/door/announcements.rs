//! What KMS announces of keys, as it lies in the outbox for a bus to come.

use serde_json::{Value, json};
use store::Announcement;

use crate::world::{HOME, REGION, Who, World, text};

const DAY: u64 = 24 * 60 * 60;

/// Stands in for the bus: from now on nothing is removed.
async fn listen(world: &World) {
    world.door().store().outbox_reader("bus").await.unwrap();
}

async fn heard(world: &World) -> Vec<Announcement> {
    let store = world.door().store();
    let from = store.outbox_reader("bus").await.unwrap();
    store.outbox_after(from, 100).await.unwrap()
}

fn events(heard: &[Announcement], detail_type: &str) -> Vec<Value> {
    let of_type = heard.iter().filter(|it| it.name == detail_type);
    of_type.map(|it| it.event.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_are_announced_as_eventbridge_has_them() {
    let world = World::new().await;
    listen(&world).await;
    let made = world.key(json!({})).await;
    let key = text(&made, "KeyId");
    world
        .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": key}))
        .await;
    let wish = json!({"KeyId": key, "RotationPeriodInDays": 90});
    world.ok(Who::Root, "EnableKeyRotation", wish).await;
    world.advance(90 * DAY).await;
    let now = world.ok(Who::Root, "DescribeKey", json!({"KeyId": key})).await;
    let heard = heard(&world).await;
    let [asked, by_itself] = &events(&heard, "KMS CMK Rotation")[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(
        *asked,
        json!({
            "version": "0", "id": asked["id"], "detail-type": "KMS CMK Rotation", "source": "aws.kms",
            "account": HOME, "time": "2026-01-02T03:04:05Z", "region": REGION,
            "resources": [made["Arn"]],
            "detail": {
                "key-id": key, "key-origin": "AWS_KMS", "rotation-type": "ON_DEMAND",
                "previous-key-material-id": made["CurrentKeyMaterialId"],
                "current-key-material-id": by_itself["detail"]["previous-key-material-id"],
            },
        })
    );
    assert_eq!(by_itself["detail"]["rotation-type"], "AUTOMATIC");
    assert_eq!(
        by_itself["detail"]["current-key-material-id"],
        now["KeyMetadata"]["CurrentKeyMaterialId"]
    );
    assert_ne!(asked["id"], by_itself["id"]);
    assert_eq!(
        (heard[0].account.unwrap().to_string().as_str(), heard.len()),
        (HOME, 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_announced_once_it_is_made() {
    let world = World::new().await;
    listen(&world).await;
    let key = world.key(json!({})).await;
    let called_off = world.key(json!({})).await;
    for key in [&key, &called_off] {
        let wish = json!({"KeyId": key["KeyId"], "PendingWindowInDays": 7});
        world.ok(Who::Root, "ScheduleKeyDeletion", wish).await;
    }
    let wish = json!({"KeyId": called_off["KeyId"]});
    world.ok(Who::Root, "CancelKeyDeletion", wish).await;
    assert!(heard(&world).await.is_empty());
    world.advance(7 * DAY).await;
    let heard = heard(&world).await;
    let [event] = &events(&heard, "KMS CMK Deletion")[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(event["detail"], json!({"key-id": key["KeyId"]}));
    assert_eq!(event["resources"], json!([key["Arn"]]));
}

/// While no reader is known, what was announced goes by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_removed() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    world
        .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": key["KeyId"]}))
        .await;
    world.advance(61).await;
    listen(&world).await;
    assert!(heard(&world).await.is_empty());
}
