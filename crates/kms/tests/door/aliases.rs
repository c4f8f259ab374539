//! Aliases: made, moved, listed and deleted.

use serde_json::{Value, json};

use crate::world::{Who, World, text, used_aliases};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_are_made_moved_listed_and_deleted() {
    let world = World::new().await;
    let first = world.key(json!({})).await;
    let second = world.key(json!({})).await;
    let mac = world
        .key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}))
        .await;
    for number in 0..3 {
        let body = json!({"AliasName": format!("alias/{number}"), "TargetKeyId": first["Arn"]});
        let answer = world.call(Who::Root, "CreateAlias", body).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, Value::Null),
            "{}",
            answer.text()
        );
    }
    for (name, code) in [
        ("alias/0", "AlreadyExistsException"),
        ("alias/aws/mine", "NotAuthorizedException"),
        ("alias/a:b", "ValidationException"),
        ("mine", "ValidationException"),
    ] {
        let body = json!({"AliasName": name, "TargetKeyId": second["KeyId"]});
        assert_eq!(
            world.fails(Who::Root, "CreateAlias", body).await.0,
            code,
            "{name}"
        );
    }
    let body = json!({"AliasName": "alias/x", "TargetKeyId": "alias/0"});
    assert_eq!(
        world.fails(Who::Root, "CreateAlias", body).await.0,
        "InvalidArnException"
    );

    let mut seen = Vec::new();
    let mut marker = Value::Null;
    loop {
        let mut body = json!({"Limit": 2, "KeyId": first["KeyId"]});
        if marker.is_string() {
            body["Marker"] = marker.clone();
        }
        let page = world.ok(Who::Root, "ListAliases", body).await;
        seen.extend(
            page["Aliases"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alias| text(alias, "AliasName")),
        );
        marker = page["NextMarker"].clone();
        assert_eq!(page["Truncated"], marker.is_string());
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["alias/0", "alias/1", "alias/2"]);
    let foreign_marker = json!({"Marker": "garbage"});
    assert_eq!(
        world.fails(Who::Root, "ListAliases", foreign_marker).await.0,
        "InvalidMarkerException"
    );

    let body = json!({"AliasName": "alias/0", "TargetKeyId": mac["KeyId"]});
    assert_eq!(
        world.fails(Who::Root, "UpdateAlias", body).await.0,
        "ValidationException"
    );
    world
        .ok(
            Who::Root,
            "UpdateAlias",
            json!({"AliasName": "alias/0", "TargetKeyId": second["KeyId"]}),
        )
        .await;
    let described = world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": "alias/0"}))
        .await;
    assert_eq!(described["KeyMetadata"]["KeyId"], second["KeyId"]);
    let of_second = world
        .ok(Who::Root, "ListAliases", json!({"KeyId": second["KeyId"]}))
        .await;
    assert_eq!(of_second["Aliases"][0]["TargetKeyId"], second["KeyId"]);
    assert_eq!(of_second["Aliases"].as_array().unwrap().len(), 1);

    world
        .ok(Who::Root, "DeleteAlias", json!({"AliasName": "alias/1"}))
        .await;
    let refused = world
        .fails(Who::Root, "DeleteAlias", json!({"AliasName": "alias/1"}))
        .await;
    assert_eq!(refused.0, "NotFoundException");
    let all = world.ok(Who::Root, "ListAliases", json!({})).await;
    assert_eq!(used_aliases(&all), ["alias/0", "alias/2"]);

    // An alias and its key are two resources, and both are asked.
    world.people.grant(
        Who::Bob,
        &[json!({
            "Effect": "Allow", "Action": "kms:DeleteAlias", "Resource": format!("arn:aws:kms:*:*:alias/*"),
        })],
    );
    let (code, message) = world
        .fails(Who::Bob, "DeleteAlias", json!({"AliasName": "alias/2"}))
        .await;
    assert_eq!(code, "AccessDeniedException");
    assert!(message.unwrap().contains(":key/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_aliases_and_no_more() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let create = |number: usize| json!({"AliasName": format!("alias/{number}"), "TargetKeyId": key["KeyId"]});
    for number in 0..50 {
        world.ok(Who::Root, "CreateAlias", create(number)).await;
    }
    assert_eq!(
        world.fails(Who::Root, "CreateAlias", create(50)).await.0,
        "LimitExceededException"
    );
}
