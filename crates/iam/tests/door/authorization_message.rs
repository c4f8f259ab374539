//! Encoded authorization messages: EC2's manner of refusing, and who can read on.

use serde_json::{Value, json};

use crate::world::{AWAY, HOME, World, leaf};

const WORDS: &str = "You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/bob is not \
                     authorized to perform: ec2:DescribeVolumes on resource: * because no identity-based policy allows \
                     the ec2:DescribeVolumes action. Encoded authorization failure message: ";

async fn policy(world: &World, by: &str, user: &str, statements: &str) {
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let own = [
        ("UserName", user),
        ("PolicyName", "own"),
        ("PolicyDocument", document.as_str()),
    ];
    world.ok(by, "iam", "PutUserPolicy", &own).await;
}

/// The message that bob is refused with.
async fn refused(world: &World, with: &[(&str, &str)]) -> (String, String) {
    let answer = world.call("bob", "ec2", "DescribeVolumes", with).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "UnauthorizedOperation")
    );
    let text = leaf(&answer.text(), "Message").replace("&quot;", "\"");
    let at = text.find("Encoded authorization failure message: ").unwrap();
    let (words, encoded) = text.split_at(at + "Encoded authorization failure message: ".len());
    (words.to_owned(), encoded.to_owned())
}

async fn decoded(world: &World, who: &str, encoded: &str) -> Value {
    let answer = world
        .ok(
            who,
            "sts",
            "DecodeAuthorizationMessage",
            &[("EncodedMessage", encoded)],
        )
        .await;
    let text = leaf(&answer, "DecodedMessage").replace("&quot;", "\"");
    serde_json::from_str(&text).unwrap()
}

async fn stage() -> World {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    world.user("root", "reader").await;
    let may = r#"{"Effect":"Allow","Action":"sts:DecodeAuthorizationMessage","Resource":"*"}"#;
    policy(&world, "root", "reader", may).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_tells_more_to_those_who_may_decode_it() {
    let world = stage().await;
    let (words, encoded) = refused(&world, &[]).await;
    assert_eq!(words, WORDS);
    // The one who was refused learns nothing from it, nor does another account.
    let message = [("EncodedMessage", encoded.as_str())];
    let decode = "DecodeAuthorizationMessage";
    world.fails("bob", "sts", decode, &message, "AccessDenied").await;
    let invalid = "InvalidAuthorizationMessageException";
    world.fails("away", "sts", decode, &message, invalid).await;

    let told = decoded(&world, "reader", &encoded).await;
    assert_eq!(
        (&told["allowed"], &told["explicitDeny"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(told["matchedStatements"], json!({"items": []}));
    let context = &told["context"];
    assert_eq!(context["principal"]["name"], "bob");
    assert_eq!(
        context["principal"]["arn"],
        format!("arn:aws:iam::{HOME}:user/bob")
    );
    assert_eq!(
        (&context["action"], &context["resource"]),
        (&json!("ec2:DescribeVolumes"), &json!("*"))
    );
    let conditions = context["conditions"]["items"].as_array().unwrap();
    let known = |key: &str| {
        let item = conditions.iter().find(|item| item["key"] == key)?;
        item["values"]["items"][0]["value"].as_str().map(str::to_owned)
    };
    assert_eq!(known("ec2:encrypted").as_deref(), Some("true"));
    assert_eq!(known("aws:requestedregion").as_deref(), Some("us-east-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explicit_deny_is_named() {
    let world = stage().await;
    let deny = r#"{"Sid":"NoVolumes","Effect":"Deny","NotAction":"iam:*","Resource":"*",
        "Condition":{"Bool":{"ec2:Encrypted":"true"}}}"#;
    policy(&world, "root", "bob", deny).await;
    let (words, encoded) = refused(&world, &[]).await;
    assert!(
        words.contains("with an explicit deny in an identity-based policy"),
        "{words}"
    );
    let told = decoded(&world, "reader", &encoded).await;
    assert_eq!(told["explicitDeny"], true);
    let id = &told["context"]["principal"]["id"];
    let expected = json!({
        "statementId": "NoVolumes", "effect": "DENY",
        "principals": {"items": [{"value": id}]}, "principalGroups": {"items": []},
        "notActions": {"items": [{"value": "iam:*"}]}, "resources": {"items": [{"value": "*"}]},
        "conditions": {"items": [{"key": "ec2:Encrypted", "values": {"items": [{"value": "true"}]}}]},
    });
    assert_eq!(told["matchedStatements"]["items"], json!([expected]));
}

/// What a foreign owner's policy says is not told to the caller's account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_owners_statement_is_not_told() {
    let world = stage().await;
    let all = r#"{"Effect":"Allow","Action":"ec2:*","Resource":"*"}"#;
    policy(&world, "root", "bob", all).await;
    world.ok("bob", "ec2", "DescribeVolumes", &[]).await;
    let (words, encoded) = refused(&world, &[("VolumeId.1", "vol-1")]).await;
    assert!(
        words.contains(&format!(
            "on resource: arn:aws:ec2:us-east-1:{AWAY}:volume/vol-1. Enc"
        )),
        "{words}"
    );
    let told = decoded(&world, "reader", &encoded).await;
    assert_eq!(told["explicitDeny"], false);
    assert!(!told.to_string().contains("Theirs"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_is_decoded() {
    let world = stage().await;
    let (_, encoded) = refused(&world, &[]).await;
    // Of another installation: the same accounts, users and policies, under another root key.
    let elsewhere = World::of_seed(2).await;
    let code = "InvalidAuthorizationMessageException";
    let invalid = async |world: &World, message: &str| {
        let with = [("EncodedMessage", message)];
        world
            .fails("root", "sts", "DecodeAuthorizationMessage", &with, code)
            .await;
    };
    invalid(&elsewhere, &encoded).await;
    invalid(&world, &encoded[..encoded.len() - 4]).await;
    invalid(&world, &format!("{encoded}AAAA")).await;
    invalid(&world, &encoded.to_ascii_lowercase()).await;
    invalid(&world, "x").await;
    decoded(&world, "root", &encoded).await;
    let long = "A".repeat(10_241);
    let with = [("EncodedMessage", long.as_str())];
    world
        .fails(
            "root",
            "sts",
            "DecodeAuthorizationMessage",
            &with,
            "ValidationError",
        )
        .await;
}

/// IAM, KMS and STS refuse without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_services_have_other_manners() {
    let world = stage().await;
    for (service, operation) in [("iam", "ListUsers"), ("sts", "DecodeAuthorizationMessage")] {
        let answer = world
            .call("bob", service, operation, &[("EncodedMessage", "x")])
            .await;
        assert_eq!(answer.code(), "AccessDenied");
        assert!(!answer.text().contains("Encoded"), "{}", answer.text());
    }
}
