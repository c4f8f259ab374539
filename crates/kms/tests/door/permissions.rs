//! Who may: key policies, other accounts, conditions and tags.

use serde_json::json;

use crate::world::{AWAY, HOME, REGION, Who, World, allow, b64, bytes, key_policy, lets, text, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_use_a_key_learns_nothing_of_it() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    world
        .ok(Who::Root, "DisableKey", json!({"KeyId": key["KeyId"]}))
        .await;
    let sign = json!({"KeyId": key["KeyId"], "Message": b64(b"x"), "SigningAlgorithm": "ECDSA_SHA_256"});
    let refused = world.fails(Who::Bob, "Sign", sign).await;
    let message = format!(
        "User: {} is not authorized to perform: kms:Sign on resource: {} because no identity-based policy allows \
         the kms:Sign action",
        Who::Bob.arn(),
        text(&key, "Arn")
    );
    assert_eq!(refused, told("AccessDeniedException", &message));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_account_gets_in_by_both_doors_or_not_at_all() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let (id, arn) = (text(&key, "KeyId"), text(&key, "Arn"));
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/shared", "TargetKeyId": id}),
        )
        .await;
    let alias_arn = format!("arn:aws:kms:{REGION}:{HOME}:alias/shared");
    let encrypt = |name: &str| json!({"KeyId": name, "Plaintext": b64(b"x")});
    world.people.grant(Who::Eve, &[allow("kms:*")]);

    // What exists and what does not are refused in the same words.
    let nowhere = format!("arn:aws:kms:{REGION}:{HOME}:key/00000000-0000-4000-8000-000000000000");
    let no_alias = format!("arn:aws:kms:{REGION}:{HOME}:alias/nothing");
    let refusal = |name: &str| {
        let message = format!(
            "User: {} is not authorized to perform: kms:Encrypt on resource: {name}",
            Who::Eve.arn()
        );
        told("AccessDeniedException", &message)
    };
    for name in [&arn, &nowhere, &alias_arn, &no_alias] {
        assert_eq!(
            world.fails(Who::Eve, "Encrypt", encrypt(name)).await,
            refusal(name)
        );
    }
    let sealed = world.ok(Who::Root, "Encrypt", encrypt(&id)).await;
    let decrypt = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    let message = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
                   region, or you are not allowed to access.";
    assert_eq!(
        world.fails(Who::Eve, "Decrypt", decrypt.clone()).await,
        told("AccessDeniedException", message)
    );

    // The key policy alone is not enough, nor are the caller's own policies.
    let policy = key_policy(&[
        lets(HOME, "kms:*"),
        lets(AWAY, "kms:Encrypt"),
        lets(&Who::Eve.arn(), "kms:Decrypt"),
    ]);
    world
        .ok(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": policy}))
        .await;
    world.people.grant(Who::Eve, &[]);
    assert_eq!(
        world.fails(Who::Eve, "Encrypt", encrypt(&arn)).await,
        refusal(&arn)
    );
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    for name in [&arn, &alias_arn] {
        assert_eq!(world.ok(Who::Eve, "Encrypt", encrypt(name)).await["KeyId"], arn);
    }
    assert_eq!(
        bytes(&world.ok(Who::Eve, "Decrypt", decrypt).await, "Plaintext"),
        b"x"
    );

    // Ids and aliases without an account are the caller's own.
    let missing = format!("Key 'arn:aws:kms:{REGION}:{AWAY}:key/{id}' does not exist");
    assert_eq!(
        world.fails(Who::Eve, "Encrypt", encrypt(&id)).await,
        told("NotFoundException", &missing)
    );
    // Nobody manages another account's keys, whatever its policy says.
    let policy = key_policy(&[lets(HOME, "kms:*"), lets(AWAY, "kms:*")]);
    world
        .ok(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": policy}))
        .await;
    for operation in [
        "DisableKey",
        "GetKeyPolicy",
        "ScheduleKeyDeletion",
        "ListResourceTags",
    ] {
        for name in [&arn, &nowhere] {
            let refused = world.fails(Who::Eve, operation, json!({"KeyId": name})).await;
            assert_eq!(refused.0, "AccessDeniedException", "{operation}");
        }
    }
    let elsewhere = arn.replace(REGION, "eu-west-1");
    let refused = world
        .fails(Who::Root, "DescribeKey", json!({"KeyId": elsewhere}))
        .await;
    assert_eq!(refused, told("NotFoundException", "Invalid arn eu-west-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_policy_is_the_authority() {
    let world = World::new().await;
    let only_bob = key_policy(&[lets(&Who::Bob.arn(), "kms:*")]);
    // The root user would lock itself out, and Bob does not exist until he does.
    let create = json!({"Policy": only_bob});
    assert_eq!(
        world.fails(Who::Root, "CreateKey", create.clone()).await.0,
        "MalformedPolicyDocumentException"
    );
    let unknown = key_policy(&[
        lets(HOME, "kms:*"),
        lets(&format!("arn:aws:iam::{HOME}:user/nobody"), "kms:*"),
    ]);
    let refused = world
        .fails(Who::Root, "CreateKey", json!({"Policy": unknown}))
        .await;
    let message = "Policy contains a statement with one or more invalid principals.";
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));
    for lacks in ["Action", "Resource"] {
        let mut statement = lets(HOME, "kms:*");
        statement.as_object_mut().unwrap().remove(lacks);
        let partial = key_policy(&[lets(HOME, "kms:*"), statement]);
        let refused = world
            .fails(Who::Root, "CreateKey", json!({"Policy": partial}))
            .await;
        let message = format!("Policy statement must contain {}s.", lacks.to_lowercase());
        assert_eq!(refused, told("MalformedPolicyDocumentException", &message));
    }
    let no_account = key_policy(&[lets(HOME, "kms:*"), lets("999999999999", "kms:*")]);
    let refused = world
        .fails(Who::Root, "CreateKey", json!({"Policy": no_account}))
        .await;
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));

    // Bob is named, so he needs no policy of his own; root is not, so it may nothing.
    world.people.grant(Who::Bob, &[allow("kms:CreateKey")]);
    let key = world.ok(Who::Bob, "CreateKey", create).await["KeyMetadata"].clone();
    let id = &key["KeyId"];
    world.ok(Who::Bob, "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(
        world
            .fails(Who::Root, "DescribeKey", json!({"KeyId": id}))
            .await
            .0,
        "AccessDeniedException"
    );
    let got = world.ok(Who::Bob, "GetKeyPolicy", json!({"KeyId": id})).await;
    assert_eq!(got, json!({"Policy": only_bob, "PolicyName": "default"}));
    let names = world.ok(Who::Bob, "ListKeyPolicies", json!({"KeyId": id})).await;
    assert_eq!(names, json!({"PolicyNames": ["default"], "Truncated": false}));

    let without_bob = json!({"KeyId": id, "Policy": key_policy(&[lets(HOME, "kms:*")])});
    let refused = world.fails(Who::Bob, "PutKeyPolicy", without_bob.clone()).await;
    let message = "The new key policy will not allow you to update the key policy in the future.";
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));

    // A namesake is a stranger.
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBO2");
    assert_eq!(
        world.fails(Who::Bob, "DescribeKey", json!({"KeyId": id})).await.0,
        "AccessDeniedException"
    );
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBOB");

    // Who is gone is shown by the bare id, which nobody can write again.
    let with_account = key_policy(&[lets(HOME, "kms:*"), lets(&Who::Bob.arn(), "kms:*")]);
    let both = json!({"KeyId": id, "Policy": with_account});
    world.ok(Who::Bob, "PutKeyPolicy", both).await;
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBO2");
    let got = world.ok(Who::Root, "GetKeyPolicy", json!({"KeyId": id})).await;
    let shown = with_account.replace(&Who::Bob.arn(), "AIDAQEAAAAAEXAMPLEBOB");
    assert_eq!(got["Policy"], json!(shown));
    let refused = world
        .fails(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": shown}))
        .await;
    let message = "Policy contains a statement with one or more invalid principals.";
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBOB");

    let mut bypassing = without_bob;
    bypassing["BypassPolicyLockoutSafetyCheck"] = json!(true);
    world.ok(Who::Bob, "PutKeyPolicy", bypassing).await;
    world.ok(Who::Root, "DescribeKey", json!({"KeyId": id})).await;
    let refused = world
        .fails(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": "{}"}))
        .await;
    assert_eq!(refused.0, "MalformedPolicyDocumentException");
    let other = json!({"KeyId": id, "PolicyName": "other"});
    assert_eq!(
        world.fails(Who::Root, "GetKeyPolicy", other).await.0,
        "NotFoundException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_see_the_request_and_the_key() {
    let world = World::new().await;
    let key = world
        .key(json!({"Tags": [{"TagKey": "Team", "TagValue": "blue"}]}))
        .await;
    let id = &key["KeyId"];
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/blue", "TargetKeyId": id}),
        )
        .await;
    let plain = json!({"KeyId": id, "Plaintext": b64(b"x")});
    let by_alias = json!({"KeyId": "alias/blue", "Plaintext": b64(b"x")});
    let with_context =
        json!({"KeyId": id, "Plaintext": b64(b"x"), "EncryptionContext": {"App": "one", "Stage": "test"}});
    for (condition, expected) in [
        (
            json!({"StringEquals": {"kms:EncryptionContext:app": "one"}}),
            [false, false, true],
        ),
        (
            json!({"Null": {"kms:EncryptionContextKeys": "true"}}),
            [true, true, false],
        ),
        (
            json!({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["App", "Stage"]}}),
            [true, true, true],
        ),
        (
            json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "Other"}}),
            [false, false, false],
        ),
        (
            json!({"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"kms:RequestAlias": "alias/blue"}}),
            [false, true, false],
        ),
        (
            json!({"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/b*"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"aws:ResourceTag/Team": "blue"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"aws:ResourceTag/Team": "red"}}),
            [false, false, false],
        ),
        (
            json!({"StringEquals": {"kms:CallerAccount": HOME}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"kms:KeyUsage": "SIGN_VERIFY"}}),
            [false, false, false],
        ),
        (
            json!({"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}}),
            [true, true, true],
        ),
        (json!({"Bool": {"kms:MultiRegion": "false"}}), [true, true, true]),
        (
            json!({"Null": {"kms:ViaService": "false"}}),
            [false, false, false],
        ),
        (
            json!({"Null": {"kms:SigningAlgorithm": "true"}}),
            [true, true, true],
        ),
    ] {
        let statement =
            json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": condition});
        world.people.grant(Who::Bob, &[statement]);
        for (body, allowed) in [&plain, &by_alias, &with_context].into_iter().zip(expected) {
            let answer = world.call(Who::Bob, "Encrypt", body.clone()).await;
            assert_eq!(
                answer.status == 200,
                allowed,
                "{condition} {body} {}",
                answer.text()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_and_tagging_obey_tag_conditions() {
    let world = World::new().await;
    let may_create = json!({
        "Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/Team": "blue"}},
    });
    let blue = json!({"Tags": [{"TagKey": "Team", "TagValue": "blue"}]});
    world.people.grant(Who::Bob, std::slice::from_ref(&may_create));
    let (code, message) = world.fails(Who::Bob, "CreateKey", blue.clone()).await;
    assert_eq!(code, "AccessDeniedException");
    assert!(message.unwrap().contains("kms:TagResource"));
    world
        .people
        .grant(Who::Bob, &[may_create, allow("kms:TagResource")]);
    let key = world.ok(Who::Bob, "CreateKey", blue).await["KeyMetadata"].clone();
    assert_eq!(
        world.fails(Who::Bob, "CreateKey", json!({})).await.0,
        "AccessDeniedException"
    );

    let only_stage = json!({
        "Effect": "Allow", "Action": "kms:*tagResource", "Resource": "*",
        "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["Stage"]}, "Null": {"aws:TagKeys": "false"}},
    });
    world.people.grant(Who::Bob, &[only_stage]);
    let id = &key["KeyId"];
    let tag = |key: &str| json!({"KeyId": id, "Tags": [{"TagKey": key, "TagValue": "x"}]});
    world.ok(Who::Bob, "TagResource", tag("Stage")).await;
    assert_eq!(
        world.fails(Who::Bob, "TagResource", tag("Team")).await.0,
        "AccessDeniedException"
    );
    let untag = |key: &str| json!({"KeyId": id, "TagKeys": [key]});
    world.ok(Who::Bob, "UntagResource", untag("Stage")).await;
    assert_eq!(
        world.fails(Who::Bob, "UntagResource", untag("Team")).await.0,
        "AccessDeniedException"
    );

    for (tags, code) in [
        (json!([{"TagKey": "aws:x", "TagValue": ""}]), "TagException"),
        (
            json!([{"TagKey": "a", "TagValue": ""}, {"TagKey": "a", "TagValue": ""}]),
            "TagException",
        ),
        (
            json!(
                (0..51)
                    .map(|at| json!({"TagKey": format!("k{at}"), "TagValue": ""}))
                    .collect::<Vec<_>>()
            ),
            "LimitExceededException",
        ),
    ] {
        let body = json!({"KeyId": id, "Tags": tags});
        assert_eq!(world.fails(Who::Root, "TagResource", body).await.0, code);
    }
}
