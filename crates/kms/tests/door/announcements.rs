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

/// Events of an account and region are told to whoever of it may ask, page by
/// page, for a month.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_asks_for_events() {
    let world = World::new().await;
    for _ in 0..3 {
        let key = world.key(json!({})).await;
        world
            .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": key["KeyId"]}))
            .await;
    }
    let pages = async |who: Who, region: &str, limit: usize| {
        let (mut all, mut after) = (Vec::new(), Value::Null);
        loop {
            let body = json!({"after": after, "limit": limit});
            let told = world.events(who, region, body).await;
            assert_eq!(told.status, 200, "{}", told.text());
            let told = told.json();
            let page = told["events"].as_array().unwrap();
            assert!(page.len() <= limit);
            all.extend(page.iter().cloned());
            after = told["next"].clone();
            if told["more"] == false {
                return (all, after);
            }
        }
    };
    let (all, place) = pages(Who::Root, REGION, 2).await;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|event| event["detail-type"] == "KMS CMK Rotation"
        && event["account"] == HOME
        && event["source"] == "aws.kms"));
    assert_eq!(pages(Who::Root, REGION, 1000).await.0, all);
    // Neither other accounts nor other regions hear of them.
    assert!(pages(Who::AwayRoot, REGION, 100).await.0.is_empty());
    assert!(pages(Who::Root, "eu-west-1", 100).await.0.is_empty());
    let refused = world.events(Who::Bob, REGION, json!({})).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (403, Some("AccessDeniedException"))
    );
    for body in [
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"after": "there"}),
        json!({"since": "1d"}),
    ] {
        assert_eq!(
            world.events(Who::Root, REGION, body.clone()).await.status,
            400,
            "{body}"
        );
    }

    // From where the last question ended, there is only what came later.
    let key = world.key(json!({})).await;
    let told = world
        .events(Who::Root, REGION, json!({"after": place}))
        .await
        .json();
    assert_eq!((&told["events"], &told["more"]), (&json!([]), &json!(false)));
    world.advance(29 * DAY).await;
    world
        .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": key["KeyId"]}))
        .await;
    let told = world
        .events(Who::Root, REGION, json!({"after": told["next"]}))
        .await
        .json();
    assert_eq!(told["events"][0]["resources"], json!([key["Arn"]]));
    assert_eq!(pages(Who::Root, REGION, 100).await.0.len(), 4);
    world.advance(2 * DAY).await;
    assert_eq!(pages(Who::Root, REGION, 100).await.0.len(), 1);
}
