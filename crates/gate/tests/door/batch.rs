//! Many calls in one request: each is what it would be alone.

use serde_json::{Value, json};
use testkit::client::{Answer, Signer, send};

use crate::{SECRET, World, root, user, world};

async fn batch(world: &World, service: &str, signer: Option<&Signer>, body: &Value) -> Answer {
    let call = (Vec::new(), body.to_string().into_bytes());
    send(
        world.address,
        "POST",
        "/_palisade/kms/batch",
        service,
        signer,
        call,
    )
    .await
}

fn encrypt(key: &str) -> Value {
    json!({"operation": "Encrypt", "input": {"KeyId": key, "Plaintext": "c2VjcmV0"}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_answered_authorized_and_recorded_by_itself() {
    let world = world().await;
    let calls: Vec<Value> = (0..150).map(|number| encrypt(&format!("k{number}"))).collect();
    let answer = batch(&world, "kms", Some(&user()), &json!({"calls": calls})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answers = answer.json()["answers"].as_array().unwrap().clone();
    assert_eq!(answers.len(), 150);
    let records = world.records();
    assert_eq!(records.len(), 150);
    for (number, one) in answers.iter().enumerate() {
        assert_eq!(
            (&one["status"], &one["body"]["KeyId"]),
            (&json!(200), &json!(format!("k{number}")))
        );
        let record = records
            .iter()
            .find(|record| record["requestID"] == one["requestId"]);
        let record = record.expect("each call has its record");
        assert_eq!(record["requestParameters"]["keyId"], json!(format!("k{number}")));
        assert_eq!(record["userIdentity"]["userName"], "bob");
        assert_eq!(record["palisade"]["decisions"][0]["allowed"], true);
    }
    let text: String = records.iter().map(Value::to_string).collect();
    assert!(!text.contains("c2VjcmV0") && !text.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_fails_alone() {
    let world = world().await;
    let calls = json!({"calls": [
        encrypt("k"),
        {"operation": "Encrypt", "input": {"KeyId": "k"}},
        {"operation": "Encrypt", "input": []},
        {"operation": "EnableKey", "input": {"KeyId": "k"}},
        {"operation": "Nonsense", "input": {}},
        {"operation": "ListKeys", "input": {}},
        {"operation": "DescribeKey", "input": {"KeyId": "k"}},
        {"operation": "Sign", "input": {}},
        encrypt("last"),
    ]});
    let answer = batch(&world, "kms", Some(&root()), &calls).await;
    let told: Vec<(u64, String)> = answer.json()["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let code = one["body"]["__type"].as_str().unwrap_or("none");
            let code = code.rsplit('#').next().unwrap_or(code);
            (one["status"].as_u64().unwrap(), code.to_owned())
        })
        .collect();
    let expected = [
        (200, "none"),
        (400, "ValidationException"),
        (400, "SerializationException"),
        // It changes something.
        (400, "ValidationException"),
        (400, "UnknownOperationException"),
        // A handler that panics, and one that forgets to ask for permission.
        (500, "InternalFailure"),
        (500, "InternalFailure"),
        (400, "UnknownOperationException"),
        (200, "none"),
    ];
    let expected = expected.map(|(status, code)| (status, code.to_owned()));
    assert_eq!(told, expected, "{}", answer.text());
    let enabled = world.records();
    assert!(
        enabled.iter().all(|record| record["eventName"] != "EnableKey"),
        "{enabled:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_batch_can_be_explained() {
    let world = world().await;
    let calls = json!({"calls": [encrypt("k")]});
    let answer = batch(&world, "kms", Some(&user()), &calls).await;
    let one = &answer.json()["answers"][0];
    assert_eq!(one["status"], 200);
    let path = format!("/_palisade/why/{}", one["requestId"].as_str().unwrap());
    let why = send(
        world.address,
        "GET",
        &path,
        "palisade",
        Some(&root()),
        (Vec::new(), Vec::new()),
    )
    .await;
    assert_eq!(
        why.json()["decisions"][0]["action"],
        "kms:Encrypt",
        "{}",
        why.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_batch_is_refused_and_nothing_runs() {
    let world = world().await;
    let many: Vec<Value> = (0..1001).map(|_| encrypt("k")).collect();
    for (body, status, code) in [
        (json!({"calls": []}), 400, "ValidationException"),
        (json!({"calls": many}), 400, "ValidationException"),
        (json!({"calls": {}}), 400, "ValidationException"),
        (json!({"call": [encrypt("k")]}), 400, "ValidationException"),
        (
            json!({"calls": [{"operation": "Encrypt"}]}),
            400,
            "ValidationException",
        ),
        (json!([]), 400, "ValidationException"),
    ] {
        let answer = batch(&world, "kms", Some(&user()), &body).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some(code))
        );
    }
    let good = json!({"calls": [encrypt("k")]});
    let stranger = Signer::new(crate::USER, "another secret");
    for (service, signer) in [
        ("kms", None),
        ("kms", Some(&stranger)),
        ("iam", Some(&user())),
        ("palisade", Some(&user())),
    ] {
        let answer = batch(&world, service, signer, &good).await;
        assert_eq!(answer.status, 403, "{service}: {}", answer.text());
    }
    let call = (Vec::new(), good.to_string().into_bytes());
    let elsewhere = send(
        world.address,
        "POST",
        "/_palisade/s3/batch",
        "kms",
        Some(&user()),
        call,
    )
    .await;
    assert_eq!(elsewhere.status, 404);
    assert!(world.records().is_empty());
}
