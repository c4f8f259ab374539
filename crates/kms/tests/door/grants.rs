//! Grants: who gets in by one, who does not, and who ends it.

use serde_json::{Value, json};

use crate::world::{REGION, Who, World, allow, text};

const DAY: u64 = 24 * 60 * 60;
const DENIED: &str = "AccessDeniedException";

fn encrypt(key: &Value) -> Value {
    json!({"KeyId": key["Arn"], "Plaintext": "aGVsbG8="})
}

fn to_bob(key: &Value, operations: &[&str]) -> Value {
    json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Bob.arn(), "Operations": operations})
}

fn with(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

async fn code(world: &World, who: Who, operation: &str, body: Value) -> String {
    let answer = world.call(who, operation, body).await;
    if answer.status == 200 {
        "ok".to_owned()
    } else {
        answer.code()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_lets_its_grantee_do_what_it_names_until_it_is_revoked() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let other = world.key(json!({})).await;
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, DENIED);

    let made = world
        .ok(
            Who::Root,
            "CreateGrant",
            to_bob(&key, &["Encrypt", "DescribeKey"]),
        )
        .await;
    assert_eq!(text(&made, "GrantId").len(), 64);
    let with_token = with(encrypt(&key), "GrantTokens", json!([made["GrantToken"]]));
    for body in [encrypt(&key), with_token] {
        assert_eq!(code(&world, Who::Bob, "Encrypt", body).await, "ok");
    }
    assert_eq!(
        code(&world, Who::Bob, "DescribeKey", json!({"KeyId": key["KeyId"]})).await,
        "ok"
    );
    // Another operation, another key, another caller.
    let data_key = json!({"KeyId": key["KeyId"], "KeySpec": "AES_256"});
    assert_eq!(code(&world, Who::Bob, "GenerateDataKey", data_key).await, DENIED);
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&other)).await, DENIED);
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    assert_eq!(code(&world, Who::Eve, "Encrypt", encrypt(&key)).await, DENIED);
    // A denial is stronger than a grant.
    let deny = json!({"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"});
    world.people.grant(Who::Bob, &[deny]);
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, DENIED);
    world.people.grant(Who::Bob, &[]);
    // So is the state of the key.
    world
        .ok(Who::Root, "DisableKey", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(
        code(&world, Who::Bob, "Encrypt", encrypt(&key)).await,
        "DisabledException"
    );
    let again = to_bob(&key, &["Decrypt"]);
    assert_eq!(
        code(&world, Who::Root, "CreateGrant", again).await,
        "DisabledException"
    );
    world
        .ok(Who::Root, "EnableKey", json!({"KeyId": key["KeyId"]}))
        .await;

    let revoke = json!({"KeyId": key["KeyId"], "GrantId": made["GrantId"]});
    assert_eq!(
        code(&world, Who::Bob, "RevokeGrant", revoke.clone()).await,
        DENIED
    );
    let rehearsed = with(revoke.clone(), "DryRun", json!(true));
    assert_eq!(
        code(&world, Who::Root, "RevokeGrant", rehearsed).await,
        "DryRunOperationException"
    );
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, "ok");
    world.ok(Who::Root, "RevokeGrant", revoke.clone()).await;
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, DENIED);
    assert_eq!(
        code(&world, Who::Root, "RevokeGrant", revoke).await,
        "NotFoundException"
    );
    let bad = json!({"KeyId": key["KeyId"], "GrantId": "0f"});
    assert_eq!(
        code(&world, Who::Root, "RevokeGrant", bad).await,
        "InvalidGrantIdException"
    );
}

/// The record names what let the caller in: the policies where they do by themselves,
/// the grant where it takes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_asked_before_grants_and_the_record_says_which_it_was() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let operations = ["Encrypt", "ReEncryptTo"];
    let made = world
        .ok(Who::Root, "CreateGrant", to_bob(&key, &operations))
        .await;
    let by_grant = format!("allowed by grant {}", text(&made, "GrantId"));
    let other = world.key(json!({})).await;
    let sealed = world.ok(Who::Root, "Encrypt", encrypt(&other)).await;
    let again = json!({"CiphertextBlob": sealed["CiphertextBlob"], "DestinationKeyId": key["KeyId"]});

    // By the grant; by the policy too; by neither; by the policy alone.
    let deny = json!({"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"});
    for (statements, operation, input, ends) in [
        (vec![], "Encrypt", encrypt(&key), "ok"),
        (vec![allow("kms:Encrypt")], "Encrypt", encrypt(&key), "ok"),
        (vec![allow("kms:Encrypt"), deny], "Encrypt", encrypt(&key), DENIED),
        (vec![allow("kms:ReEncryptFrom")], "ReEncrypt", again.clone(), "ok"),
        (vec![allow("kms:ReEncrypt*")], "ReEncrypt", again, "ok"),
    ] {
        world.people.grant(Who::Bob, &statements);
        assert_eq!(
            code(&world, Who::Bob, operation, input).await,
            ends,
            "{statements:?}"
        );
    }
    let revoke = json!({"KeyId": key["KeyId"], "GrantId": made["GrantId"]});
    world.ok(Who::Root, "RevokeGrant", revoke).await;
    world.people.grant(Who::Bob, &[allow("kms:Encrypt")]);
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, "ok");

    let records = world.records().await;
    let of_bob = records
        .iter()
        .filter(|record| record["userIdentity"]["arn"] == Who::Bob.arn().as_str());
    let because: Vec<Vec<&str>> = of_bob
        .map(|record| {
            let decisions = record["palisade"]["decisions"].as_array().unwrap();
            decisions
                .iter()
                .map(|it| it["because"].as_str().unwrap())
                .collect()
        })
        .collect();
    let [granted, both, denied, mixed, policy, alone] = because.as_slice() else {
        panic!("{because:#?}");
    };
    assert_eq!(granted, &[by_grant.as_str()]);
    assert_eq!(both, alone, "as if there were no grant");
    let by_policy = |because: &&str| because.starts_with("allowed by") && *because != by_grant;
    assert!(by_policy(&both[0]), "{both:?}");
    assert!(denied[0].starts_with("denied by"), "{denied:?}");
    assert!(by_policy(&mixed[0]), "{mixed:?}");
    assert_eq!(mixed[1], by_grant);
    assert!(policy.len() == 2 && policy.iter().all(by_policy), "{policy:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namesake_inherits_no_grant() {
    let world = World::kept().await;
    let key = world.key(json!({})).await;
    world
        .ok(Who::Root, "CreateGrant", to_bob(&key, &["Encrypt"]))
        .await;
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, "ok");
    let world = world.restart(None).await;
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, "ok");
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLENEW");
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, DENIED);
    // The list shows that its grantee is gone.
    let listed = world
        .ok(Who::Root, "ListGrants", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(listed["Grants"][0]["GranteePrincipal"], "AIDAQEAAAAAEXAMPLEBOB");
    let unknown = with(
        to_bob(&key, &["Encrypt"]),
        "GranteePrincipal",
        json!("arn:aws:iam::111122223333:user/nobody"),
    );
    assert_eq!(
        code(&world, Who::Root, "CreateGrant", unknown).await,
        "InvalidArnException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn constraints_bind_the_encryption_context() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let equals = json!({"EncryptionContextEquals": {"Team": "a"}});
    let subset = json!({"EncryptionContextSubset": {"Team": "b"}});
    for constraints in [&equals, &subset] {
        let body = with(
            to_bob(&key, &["Encrypt", "DescribeKey"]),
            "Constraints",
            constraints.clone(),
        );
        world.ok(Who::Root, "CreateGrant", body).await;
    }
    for (context, expected) in [
        (json!({"Team": "a"}), "ok"),
        (json!({"Team": "b"}), "ok"),
        (json!({"Team": "b", "More": "x"}), "ok"),
        (json!({"Team": "a", "More": "x"}), DENIED),
        (json!({"Team": "c"}), DENIED),
        (json!({}), DENIED),
    ] {
        let body = with(encrypt(&key), "EncryptionContext", context.clone());
        assert_eq!(
            code(&world, Who::Bob, "Encrypt", body).await,
            expected,
            "{context}"
        );
    }
    assert_eq!(
        code(&world, Who::Bob, "DescribeKey", json!({"KeyId": key["KeyId"]})).await,
        "ok"
    );

    let mac = world
        .key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}))
        .await;
    for body in [
        with(to_bob(&mac, &["GenerateMac"]), "Constraints", equals),
        to_bob(&mac, &["Encrypt"]),
        with(
            to_bob(&key, &["Encrypt"]),
            "GranteeServicePrincipal",
            json!("dynamodb.amazonaws.com"),
        ),
        json!({"KeyId": key["KeyId"], "Operations": ["Encrypt"]}),
        json!({"KeyId": key["KeyId"], "Operations": ["Encrypt"], "GranteeServicePrincipal": "dynamodb.amazonaws.com",
            "RetiringPrincipal": Who::Bob.arn()}),
        json!({"KeyId": key["KeyId"], "Operations": ["Encrypt"], "GranteeServicePrincipal": "dynamodb.amazonaws.com",
            "Constraints": {"SourceArn": "arn:aws:dynamodb:us-east-1:111122223333:table/a"}}),
    ] {
        assert_eq!(
            code(&world, Who::Root, "CreateGrant", body.clone()).await,
            "ValidationException",
            "{body}"
        );
    }
    let by_service = json!({"KeyId": key["KeyId"], "Operations": ["Encrypt"],
        "GranteeServicePrincipal": "dynamodb.amazonaws.com", "RetiringServicePrincipal": "dynamodb.amazonaws.com",
        "Constraints": {"SourceArn": "arn:aws:dynamodb:us-east-1:111122223333:table/a"}});
    world.ok(Who::Root, "CreateGrant", by_service).await;
    let wanted = json!({"KeyId": key["KeyId"], "GranteeServicePrincipal": "dynamodb.amazonaws.com"});
    let listed = world.ok(Who::Root, "ListGrants", wanted).await;
    assert_eq!(
        listed["Grants"][0]["Constraints"],
        json!({"SourceArn": "arn:aws:dynamodb:us-east-1:111122223333:table/a"})
    );
    assert_eq!(
        listed["Grants"][0]["RetiringServicePrincipal"],
        "dynamodb.amazonaws.com"
    );
    // A grant for whatever a service does for a bucket is nothing to a user.
    let sourced = with(
        to_bob(&key, &["Decrypt"]),
        "Constraints",
        json!({"SourceArn": "arn:aws:dynamodb:us-east-1:111122223333:table/a"}),
    );
    world.ok(Who::Root, "CreateGrant", sourced).await;
    let sealed = world.ok(Who::Root, "Encrypt", encrypt(&key)).await;
    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(code(&world, Who::Bob, "Decrypt", body).await, DENIED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_gives_the_same_grant_again() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let other = world.key(json!({})).await;
    let named = |key: &Value| with(to_bob(key, &["Encrypt", "Decrypt"]), "Name", json!("mine"));
    let first = world.ok(Who::Root, "CreateGrant", named(&key)).await;
    let reordered = with(to_bob(&key, &["Decrypt", "Encrypt"]), "Name", json!("mine"));
    let again = world.ok(Who::Root, "CreateGrant", reordered).await;
    assert_eq!(first["GrantId"], again["GrantId"]);
    assert_ne!(first["GrantToken"], again["GrantToken"]);
    // With anything else it is another grant; so it is on another key, and without a name.
    for body in [
        with(named(&key), "Operations", json!(["Encrypt"])),
        with(named(&key), "RetiringPrincipal", json!(Who::Bob.arn())),
        named(&other),
        to_bob(&key, &["Encrypt", "Decrypt"]),
    ] {
        let made = world.ok(Who::Root, "CreateGrant", body.clone()).await;
        assert_ne!(made["GrantId"], first["GrantId"], "{body}");
    }
    let revoke = json!({"KeyId": key["KeyId"], "GrantId": first["GrantId"]});
    world.ok(Who::Root, "RevokeGrant", revoke).await;
    let anew = world.ok(Who::Root, "CreateGrant", named(&key)).await;
    assert_ne!(anew["GrantId"], first["GrantId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_the_grant_names_retires_it_and_nobody_else() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let make = async |body: Value| world.ok(Who::Root, "CreateGrant", body).await;
    let by_id = |made: &Value| json!({"KeyId": key["Arn"], "GrantId": made["GrantId"]});

    // Its grantee only if the grant says so, whatever policies say.
    world.people.grant(Who::Bob, &[allow("kms:RetireGrant")]);
    let plain = make(to_bob(&key, &["Encrypt"])).await;
    // The account that made it may, and its policies let Bob.
    assert_eq!(code(&world, Who::Bob, "RetireGrant", by_id(&plain)).await, "ok");
    world.people.grant(Who::Bob, &[]);
    let plain = make(to_bob(&key, &["Encrypt"])).await;
    assert_eq!(code(&world, Who::Bob, "RetireGrant", by_id(&plain)).await, DENIED);
    assert_eq!(code(&world, Who::Root, "RetireGrant", by_id(&plain)).await, "ok");
    let own = make(to_bob(&key, &["Encrypt", "RetireGrant"])).await;
    assert_eq!(code(&world, Who::Bob, "RetireGrant", by_id(&own)).await, "ok");

    // Its retiring principal by token; of another account with that account's leave.
    let for_eve = with(
        to_bob(&key, &["Encrypt"]),
        "RetiringPrincipal",
        json!(Who::Eve.arn()),
    );
    let made = make(for_eve).await;
    let token = json!({"GrantToken": made["GrantToken"]});
    assert_eq!(code(&world, Who::Eve, "RetireGrant", token.clone()).await, DENIED);
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    assert_eq!(
        code(&world, Who::AwayRoot, "RetireGrant", token.clone()).await,
        DENIED
    );
    let listed = json!({"RetiringPrincipal": Who::Eve.arn()});
    let found = world.ok(Who::Eve, "ListRetirableGrants", listed.clone()).await;
    assert_eq!(found["Grants"][0]["GrantId"], made["GrantId"]);
    assert_eq!(found["Grants"][0]["KeyId"], key["Arn"]);
    assert_eq!(
        code(&world, Who::Root, "ListRetirableGrants", listed.clone()).await,
        DENIED
    );
    let rehearsed = with(token.clone(), "DryRun", json!(true));
    assert_eq!(
        code(&world, Who::Eve, "RetireGrant", rehearsed).await,
        "DryRunOperationException"
    );
    assert_eq!(code(&world, Who::Eve, "RetireGrant", token.clone()).await, "ok");
    let found = world.ok(Who::Eve, "ListRetirableGrants", listed).await;
    assert_eq!(found["Grants"], json!([]));
    assert_eq!(code(&world, Who::Eve, "RetireGrant", token.clone()).await, DENIED);
    assert_eq!(
        code(&world, Who::Root, "RetireGrant", token).await,
        "NotFoundException"
    );

    for body in [
        json!({}),
        json!({"KeyId": key["Arn"]}),
        json!({"GrantToken": "a", "KeyId": key["Arn"]}),
    ] {
        assert_eq!(
            code(&world, Who::Root, "RetireGrant", body).await,
            "ValidationException"
        );
    }
    let forged =
        json!({"GrantToken": "MTExMTIyMjIzMzMzAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    assert_eq!(
        code(&world, Who::Root, "RetireGrant", forged).await,
        "InvalidGrantTokenException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_on_is_no_more_than_what_was_received() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let constraint = json!({"EncryptionContextSubset": {"Team": "a"}});
    let body = with(
        to_bob(&key, &["Encrypt", "CreateGrant"]),
        "Constraints",
        constraint.clone(),
    );
    world.ok(Who::Root, "CreateGrant", body).await;
    let to_eve = |operations: Value, constraints: Value| {
        json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Eve.arn(), "Operations": operations,
            "Constraints": constraints})
    };
    for (operations, constraints, expected) in [
        (json!(["Encrypt"]), constraint.clone(), "ok"),
        (
            json!(["Encrypt"]),
            json!({"EncryptionContextEquals": {"Team": "a", "x": "y"}}),
            "ok",
        ),
        (json!(["Encrypt"]), json!({}), DENIED),
        (
            json!(["Encrypt"]),
            json!({"EncryptionContextEquals": {"Team": "b"}}),
            DENIED,
        ),
        (json!(["Encrypt", "Decrypt"]), constraint, DENIED),
    ] {
        let body = to_eve(operations, constraints);
        assert_eq!(
            code(&world, Who::Bob, "CreateGrant", body.clone()).await,
            expected,
            "{body}"
        );
    }
    // The foreign grantee needs its own account's leave too.
    let body = with(encrypt(&key), "EncryptionContext", json!({"Team": "a"}));
    assert_eq!(code(&world, Who::Eve, "Encrypt", body.clone()).await, DENIED);
    world.people.grant(Who::Eve, &[allow("kms:Encrypt")]);
    assert_eq!(code(&world, Who::Eve, "Encrypt", body).await, "ok");
    assert_eq!(code(&world, Who::Eve, "Encrypt", encrypt(&key)).await, DENIED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_to_an_account_is_for_those_whom_the_account_lets() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    for who in [Who::AwayRoot, Who::Root] {
        let body = with(to_bob(&key, &["Encrypt"]), "GranteePrincipal", json!(who.arn()));
        world.ok(Who::Root, "CreateGrant", body).await;
    }
    assert_eq!(code(&world, Who::Eve, "Encrypt", encrypt(&key)).await, DENIED);
    world.people.grant(Who::Eve, &[allow("kms:Encrypt")]);
    assert_eq!(code(&world, Who::Eve, "Encrypt", encrypt(&key)).await, "ok");
    assert_eq!(code(&world, Who::AwayRoot, "Encrypt", encrypt(&key)).await, "ok");
    // In the key's own account it is the root user's alone.
    assert_eq!(code(&world, Who::Bob, "Encrypt", encrypt(&key)).await, DENIED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_are_listed_page_by_page_and_go_with_their_key() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let mut made = Vec::new();
    for number in 0..7 {
        let grantee = if number % 2 == 0 { Who::Bob } else { Who::Eve };
        let body = with(
            to_bob(&key, &["Encrypt"]),
            "GranteePrincipal",
            json!(grantee.arn()),
        );
        let body = with(body, "RetiringPrincipal", json!(Who::Eve.arn()));
        made.push(text(&world.ok(Who::Root, "CreateGrant", body).await, "GrantId"));
    }
    made.sort();
    let mut seen = Vec::new();
    let mut body = json!({"KeyId": key["KeyId"], "Limit": 3});
    loop {
        let page = world.ok(Who::Root, "ListGrants", body.clone()).await;
        seen.extend(
            page["Grants"]
                .as_array()
                .unwrap()
                .iter()
                .map(|grant| text(grant, "GrantId")),
        );
        if page["Truncated"] == json!(false) {
            break;
        }
        body["Marker"] = page["NextMarker"].clone();
    }
    assert_eq!(seen, made);
    let of_bob = json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Bob.arn()});
    assert_eq!(
        world.ok(Who::Root, "ListGrants", of_bob).await["Grants"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let one = json!({"KeyId": key["KeyId"], "GrantId": made[2]});
    let listed = world.ok(Who::Root, "ListGrants", one).await;
    assert_eq!(listed["Grants"].as_array().unwrap().len(), 1);
    let grant = &listed["Grants"][0];
    assert_eq!(
        (&grant["GrantId"], &grant["KeyId"]),
        (&json!(made[2]), &key["Arn"])
    );
    assert_eq!(grant["IssuingAccount"], json!(Who::Root.arn()));
    assert_eq!(
        code(&world, Who::Bob, "ListGrants", json!({"KeyId": key["KeyId"]})).await,
        DENIED
    );

    world.people.grant(Who::Eve, &[allow("kms:*")]);
    let retirable = json!({"RetiringPrincipal": Who::Eve.arn(), "Limit": 5});
    let page = world.ok(Who::Eve, "ListRetirableGrants", retirable.clone()).await;
    assert_eq!(page["Grants"].as_array().unwrap().len(), 5);
    let rest = with(retirable.clone(), "Marker", page["NextMarker"].clone());
    assert_eq!(
        world.ok(Who::Eve, "ListRetirableGrants", rest).await["Grants"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let elsewhere = world
        .call_in("eu-west-1", Who::Eve, "ListRetirableGrants", retirable.clone())
        .await;
    assert_eq!(
        (REGION, elsewhere.json()["Grants"].clone()),
        ("us-east-1", json!([]))
    );

    world
        .ok(
            Who::Root,
            "ScheduleKeyDeletion",
            json!({"KeyId": key["KeyId"], "PendingWindowInDays": 7}),
        )
        .await;
    assert_eq!(
        code(&world, Who::Bob, "Encrypt", encrypt(&key)).await,
        "KMSInvalidStateException"
    );
    world.advance(7 * DAY + 1).await;
    let left = world.ok(Who::Eve, "ListRetirableGrants", retirable).await;
    assert_eq!(left["Grants"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_see_what_a_grant_would_give() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let only = |condition: Value| json!({"Effect": "Allow", "Action": "kms:CreateGrant", "Resource": "*", "Condition": condition});
    let constrained = with(
        to_bob(&key, &["Encrypt"]),
        "Constraints",
        json!({"EncryptionContextEquals": {"Team": "a"}}),
    );
    let retired = with(
        to_bob(&key, &["Encrypt"]),
        "RetiringPrincipal",
        json!(Who::Bob.arn()),
    );
    for (condition, allowed, refused) in [
        (
            json!({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}),
            to_bob(&key, &["Encrypt"]),
            to_bob(&key, &["Encrypt", "DescribeKey"]),
        ),
        (
            json!({"StringEquals": {"kms:GranteePrincipal": Who::Bob.arn()}}),
            to_bob(&key, &["Encrypt"]),
            with(
                to_bob(&key, &["Encrypt"]),
                "GranteePrincipal",
                json!(Who::Eve.arn()),
            ),
        ),
        (
            json!({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}}),
            constrained,
            to_bob(&key, &["Encrypt"]),
        ),
        (
            json!({"StringEquals": {"kms:RetiringPrincipal": Who::Bob.arn()}}),
            retired,
            to_bob(&key, &["Encrypt"]),
        ),
    ] {
        world.people.grant(Who::Bob, &[only(condition.clone())]);
        assert_eq!(
            code(&world, Who::Bob, "CreateGrant", allowed).await,
            "ok",
            "{condition}"
        );
        assert_eq!(
            code(&world, Who::Bob, "CreateGrant", refused).await,
            DENIED,
            "{condition}"
        );
    }
    // Nobody here is a service that acts for Bob.
    world.people.grant(
        Who::Bob,
        &[only(json!({"Bool": {"kms:GrantIsForAWSResource": true}}))],
    );
    assert_eq!(
        code(&world, Who::Bob, "CreateGrant", to_bob(&key, &["Encrypt"])).await,
        DENIED
    );
    let rehearsed = with(to_bob(&key, &["Encrypt"]), "DryRun", json!(true));
    assert_eq!(
        code(&world, Who::Root, "CreateGrant", rehearsed).await,
        "DryRunOperationException"
    );
}
