//! What `POST /_palisade/usage` tells of keys and calls.

use serde_json::{Value, json};

use crate::world::{AWAY, HOME, REGION, Who, World, allow, key_policy, lets, text};

const DAY: u64 = 24 * 60 * 60;

/// How many calls of a class, and how many refused, a row tells.
fn row<'a>(told: &'a Value, operation: &str, principal: &str) -> Option<&'a Value> {
    let calls = told["calls"].as_array().unwrap();
    calls
        .iter()
        .find(|row| row["operation"] == operation && row["principal"] == principal)
}

fn held<'a>(told: &'a Value, class: &str) -> Option<&'a Value> {
    let held = told["held"].as_array().unwrap();
    held.iter().find(|row| row["class"] == class)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_told_by_who_made_them_and_by_what_they_cost() {
    let world = World::new().await;
    let everyone = key_policy(&[
        lets(&format!("arn:aws:iam::{HOME}:root"), "kms:*"),
        lets(&format!("arn:aws:iam::{AWAY}:root"), "kms:*"),
    ]);
    let key = text(&world.key(json!({"Policy": everyone})).await, "Arn");
    let rsa = json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"});
    let rsa = text(&world.key(rsa).await, "Arn");
    let curve = json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"});
    let curve = text(&world.key(curve).await, "Arn");
    world.people.grant(Who::Bob, &[allow("kms:Encrypt")]);
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    let encrypt = json!({"KeyId": key, "Plaintext": "AAAA"});
    for who in [Who::Root, Who::Bob, Who::Bob, Who::Eve] {
        world.ok(who, "Encrypt", encrypt.clone()).await;
    }
    world.call(Who::Bob, "DescribeKey", json!({"KeyId": key})).await;
    for (key, algorithm) in [(&rsa, "RSASSA_PSS_SHA_256"), (&curve, "ECDSA_SHA_256")] {
        let wish = json!({"KeyId": key, "Message": "AAAA", "SigningAlgorithm": algorithm});
        world.ok(Who::Root, "Sign", wish).await;
    }
    let pair = json!({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"});
    world.ok(Who::Root, "GenerateDataKeyPair", pair).await;

    let told = world
        .usage(Who::Root, json!({"service": "kms", "since": "1d"}))
        .await;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    let (root, bob) = (Who::Root.arn(), Who::Bob.arn());
    let bobs = row(&told, "Encrypt", &bob).unwrap();
    assert_eq!(
        (&bobs["class"], &bobs["calls"], &bobs["refused"]),
        (&json!("requests"), &json!(2), &json!(0))
    );
    let refused = row(&told, "DescribeKey", &bob).unwrap();
    assert_eq!((&refused["calls"], &refused["refused"]), (&json!(0), &json!(1)));
    let signed = told["calls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["operation"] == "Sign");
    let mut classes: Vec<String> = signed.map(|row| text(row, "class")).collect();
    classes.sort();
    assert_eq!(classes, ["asymmetric", "asymmetric-rsa-2048"]);
    assert_eq!(
        row(&told, "GenerateDataKeyPair", &root).unwrap()["class"],
        "pair-ecc"
    );
    // The foreign caller's own account pays, though the key is ours.
    assert!(row(&told, "Encrypt", &Who::Eve.arn()).is_none());
    let away = world
        .usage(Who::AwayRoot, json!({"service": "kms", "since": "1d"}))
        .await
        .json();
    assert_eq!(row(&away, "Encrypt", &Who::Eve.arn()).unwrap()["calls"], 1);
    assert!(held(&away, "key").is_none(), "{away}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_told_by_the_hour() {
    let world = World::new().await;
    let kept = text(&world.key(json!({})).await, "KeyId");
    let doomed = text(&world.key(json!({})).await, "KeyId");
    world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": "alias/aws/s3"}))
        .await;
    world.advance(10 * DAY).await;
    world
        .ok(Who::Root, "RotateKeyOnDemand", json!({"KeyId": kept}))
        .await;
    let wish = json!({"KeyId": doomed, "PendingWindowInDays": 7});
    world.ok(Who::Root, "ScheduleKeyDeletion", wish).await;
    let elsewhere = world
        .call_in("eu-west-1", Who::Root, "CreateKey", json!({}))
        .await;
    assert_eq!(elsewhere.status, 200);
    world.advance(2 * DAY).await;

    let ask = json!({"service": "kms", "since": "30d"});
    let told = world.usage(Who::Root, ask.clone()).await.json();
    let here: Vec<&Value> = told["held"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["region"] == REGION)
        .collect();
    let hours = |class: &str| {
        here.iter().find(|row| row["class"] == class).unwrap()["unitHours"]
            .as_f64()
            .unwrap()
    };
    // One for twelve days and a rotation for two; the other until its deletion was asked for.
    assert!(
        (hours("key") - f64::from(24 * (12 + 2 + 10))).abs() < 0.1,
        "{told}"
    );
    assert!((hours("aws-managed-key") - f64::from(24 * 12)).abs() < 0.1);
    let there = told["held"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["region"] == "eu-west-1");
    assert!((there.unwrap()["unitHours"].as_f64().unwrap() - 48.0).abs() < 0.1);

    // Gone, it still counts for the time it was there.
    world.advance(7 * DAY).await;
    let told = world.usage(Who::Root, ask).await.json();
    let gone = held(&told, "gone").unwrap();
    assert!(
        (gone["unitHours"].as_f64().unwrap() - 240.0).abs() < 0.1,
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_is_told_and_of_no_other_account() {
    let world = World::new().await;
    let ask = json!({"service": "kms", "since": "1d"});
    assert_eq!(world.usage(Who::Bob, ask.clone()).await.status, 403);
    world.people.grant(Who::Bob, &[allow("palisade:GetUsage")]);
    assert_eq!(world.usage(Who::Bob, ask.clone()).await.status, 200);
    let mut others = ask.clone();
    others["account"] = json!(AWAY);
    for who in [Who::Bob, Who::Root] {
        assert_eq!(world.usage(who, others.clone()).await.status, 403);
    }
    for (member, value) in [
        ("service", json!("iam")),
        ("since", json!("yesterday")),
        ("since", json!("0s")),
        ("account", json!("nobody")),
        ("other", json!(1)),
    ] {
        let mut bad = ask.clone();
        bad[member] = value;
        assert_eq!(world.usage(Who::Root, bad.clone()).await.status, 400, "{bad}");
    }
    let records = world.records().await;
    let asked = records.iter().filter(|record| record["eventName"] == "GetUsage");
    assert!(asked.count() >= 3);
}
