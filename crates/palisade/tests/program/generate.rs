//! `palisade policy generate`: what it writes allows what was done and no
//! more, it proves so, and it tells nobody who may not ask.

use serde_json::{Value, json};
use testkit::client::Signer;
use testkit::program::Ended;

use crate::serve::{call, ok};
use crate::what_if::{OWN, Stage, allow, bob_arn, key_policy};
use crate::world::leaf;

impl Stage {
    fn generate(&self, asker: &Signer, question: &[&str]) -> Ended {
        self.home
            .as_user(&self.server, asker)
            .run(&[&["policy", "generate"], question].concat())
    }

    fn generated(&self, who: &str, more: &[&str]) -> Value {
        let question = [&["--json", "--since=1h", "--principal", who], more].concat();
        let told = self.generate(&self.root, &question);
        assert_eq!(told.code(), 0, "{told:?}");
        told.json()
    }
}

fn encrypt(key: &str, team: &str) -> Value {
    json!({"KeyId": key, "Plaintext": "cGxhaW4=", "EncryptionContext": {"team": team}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_allows_what_was_done_and_no_more() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    let (one, two) = (
        leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn"),
        leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn"),
    );
    stage.put("all", allow("*", "*")).await;
    for team in ["red", "blue"] {
        ok(server, bob, "kms:Encrypt", encrypt(&one, team)).await;
    }
    ok(server, bob, "kms:DescribeKey", json!({"KeyId": one})).await;
    ok(server, bob, "kms:ListKeys", json!({})).await;
    // What fails for another reason than permission still needs the permission.
    let told = call(server, bob, "iam:GetUser", json!({"UserName": "nobody"})).await;
    assert_eq!(told.status, 404, "{}", told.text());

    let told = stage.generated(&bob_arn(), &[]);
    assert_eq!(told["complete"], true, "{told}");
    assert_eq!(told["newlyDenied"], json!([]), "{told}");
    assert_eq!(told["replayed"], 5, "{told}");
    assert_eq!(
        told["policy"]["Statement"],
        json!([
            {"Effect": "Allow", "Action": "iam:GetUser", "Resource": format!("arn:aws:iam::{OWN}:user/nobody")},
            {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": one},
            {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": one, "Condition": {
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": "team"},
                "StringEquals": {"kms:EncryptionContext:team": ["blue", "red"]}}},
            {"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*",
             "Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}},
        ])
    );

    // In place of the old one it allows the same calls, and not their neighbours.
    let gone = json!({"UserName": "bob", "PolicyName": "all"});
    ok(server, root, "iam:DeleteUserPolicy", gone).await;
    stage.put("least", told["policy"]["Statement"].clone()).await;
    for team in ["red", "blue"] {
        ok(server, bob, "kms:Encrypt", encrypt(&one, team)).await;
    }
    ok(server, bob, "kms:ListKeys", json!({})).await;
    let mut more = encrypt(&one, "red");
    more["EncryptionContext"]["other"] = json!("x");
    for (name, input) in [
        ("kms:Encrypt", encrypt(&one, "green")),
        ("kms:Encrypt", encrypt(&two, "red")),
        ("kms:Encrypt", more),
        ("kms:Encrypt", json!({"KeyId": one, "Plaintext": "cGxhaW4="})),
        ("kms:DescribeKey", json!({"KeyId": two})),
        ("kms:ListAliases", json!({})),
        ("iam:GetUser", json!({"UserName": "bob"})),
    ] {
        let answer = call(server, bob, name, input.clone()).await;
        assert!(
            matches!(answer.status, 400 | 403),
            "{name} {input}: {}",
            answer.text()
        );
        assert!(answer.text().contains("AccessDenied"), "{}", answer.text());
    }
    // Refusals are counted, and not covered.
    let again = stage.generated(&bob_arn(), &[]);
    assert_eq!(again["policy"], told["policy"]);
    assert!(
        again["notes"]
            .to_string()
            .contains("calls that were refused are not covered: 7"),
        "{again}"
    );
    assert!(stage.server.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_without_it_is_left_out_and_what_stands_against_it_is_told() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    stage.put("all", allow("*", "*")).await;
    let (one, two) = (
        leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn"),
        leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn"),
    );
    let direct = key_policy(&json!({"Effect": "Allow", "Principal": {"AWS": bob_arn()},
        "Action": "kms:Encrypt", "Resource": "*"}));
    let put = json!({"KeyId": one, "PolicyName": "default", "Policy": direct});
    ok(server, root, "kms:PutKeyPolicy", put).await;
    for key in [&one, &two] {
        ok(server, bob, "kms:DescribeKey", json!({"KeyId": key})).await;
        ok(server, bob, "kms:Encrypt", encrypt(key, "red")).await;
    }

    let told = stage.generated(&bob_arn(), &["--generalize"]);
    let kinds = format!("{}/*", one.rsplit_once('/').unwrap().0);
    assert_eq!(told["policy"]["Statement"][0]["Resource"], kinds, "{told}");
    assert_eq!(told["policy"]["Statement"][1]["Resource"], two, "{told}");
    assert_eq!(told["needNoIdentityPolicy"][0]["resource"], one, "{told}");
    assert_eq!(
        told["needNoIdentityPolicy"].as_array().unwrap().len(),
        1,
        "{told}"
    );

    // Nor does what a grant covers, though the call was let in by a policy.
    let grant = json!({"KeyId": two, "GranteePrincipal": bob_arn(), "Operations": ["Encrypt"]});
    let grant = leaf(&ok(server, root, "kms:CreateGrant", grant).await, "GrantId");
    let told = stage.generated(&bob_arn(), &[]);
    let needless = told["needNoIdentityPolicy"].as_array().unwrap();
    assert!(needless.iter().any(|it| it["resource"] == two.as_str()), "{told}");
    let revoke = json!({"KeyId": two, "GrantId": grant});
    ok(server, root, "kms:RevokeGrant", revoke).await;

    // A boundary that came since denies with any policy, and not because of this one.
    let document = json!({"Version": "2012-10-17", "Statement": allow("kms:Encrypt", "*")}).to_string();
    let made = json!({"PolicyName": "narrow", "PolicyDocument": document});
    let narrow = leaf(&ok(server, root, "iam:CreatePolicy", made).await, "Arn");
    let bound = json!({"UserName": "bob", "PermissionsBoundary": narrow});
    ok(server, root, "iam:PutUserPermissionsBoundary", bound).await;
    let told = stage.generated(&bob_arn(), &[]);
    assert_eq!(told["newlyDenied"], json!([]), "{told}");
    let denied = told["deniedAnyway"].as_array().unwrap();
    assert_eq!(denied.len(), 2, "{told}");
    assert_eq!(denied[0]["action"], "kms:DescribeKey", "{told}");
    // As a person reads it, the policy alone is on standard output.
    let read = stage.generate(root, &["--since=1h", "--principal", &bob_arn()]);
    assert_eq!(read.code(), 0, "{read:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&read.stdout).unwrap(),
        told["policy"]
    );
    assert!(read.stderr.contains("nothing would be newly denied"), "{read:?}");
    assert!(read.stderr.contains("whatever the policy"), "{read:?}");
    assert!(stage.server.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_count_for_their_role_and_times_are_kept() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"AWS": bob_arn()}, "Action": "sts:AssumeRole"}});
    let made = json!({"RoleName": "Work", "AssumeRolePolicyDocument": trust.to_string()});
    let role = leaf(&ok(server, root, "iam:CreateRole", made).await, "Arn");
    let document = json!({"Version": "2012-10-17", "Statement": allow("kms:*", "*")}).to_string();
    let put = json!({"RoleName": "Work", "PolicyName": "all", "PolicyDocument": document});
    ok(server, root, "iam:PutRolePolicy", put).await;
    let input = json!({"RoleArn": role, "RoleSessionName": "work"});
    let session = ok(server, bob, "sts:AssumeRole", input).await;
    let session = Signer {
        session_token: Some(leaf(&session, "SessionToken")),
        ..Signer::new(&leaf(&session, "AccessKeyId"), &leaf(&session, "SecretAccessKey"))
    };
    ok(server, &session, "kms:ListKeys", json!({})).await;

    let told = stage.generated(&role, &[]);
    assert_eq!(told["policy"]["Statement"][0]["Action"], "kms:ListKeys", "{told}");
    assert_eq!(told["records"], 1, "{told}");

    // Nothing was done before, and the answer says what to do.
    let before = ["--principal", &role, "--since=2020-01-01", "--until=2020-02-01"];
    let told = stage.generate(root, &before);
    assert_eq!((told.code(), &*told.stdout), (1, ""), "{told:?}");
    assert!(told.stderr.contains("widen it with --since"), "{told:?}");
    assert!(stage.server.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generating_is_for_those_who_may_ask_and_is_recorded() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    ok(server, root, "iam:CreateUser", json!({"UserName": "eve"})).await;
    let eve = format!("arn:aws:iam::{OWN}:user/eve");
    let ask = |asker: &Signer, who: &str, since: &str| {
        stage.generate(asker, &["--principal", who, "--since", since])
    };
    let refused = ask(bob, &eve, "1d");
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.stderr.contains("palisade:GeneratePolicy"), "{refused:?}");
    stage.put("asks", allow("palisade:GeneratePolicy", &eve)).await;
    assert!(ask(bob, &eve, "1d").stderr.contains("holds no allowed call"));
    assert!(ask(bob, &bob_arn(), "1d").stderr.contains("not authorized"));
    assert!(
        ask(&stage.other, &eve, "1d")
            .stderr
            .contains("no principal of your account")
    );
    for (who, since, words) in [
        (&*eve, "yesterday", "how long ago"),
        (&*eve, "2999-01-01", "before until"),
        ("eve", "1d", "not an ARN"),
        ("arn:aws:iam::111122223333:group/g", "1d", "not the ARN of a user"),
        (
            "arn:aws:iam::111122223333:user/nobody",
            "1d",
            "there is no user or role",
        ),
    ] {
        let told = ask(root, who, since);
        assert_eq!(told.code(), 1, "{told:?}");
        assert!(told.stderr.contains(words), "no {words} in {told:?}");
    }
    let told = stage.generated(&bob_arn(), &[]);
    assert_eq!(
        told["policy"]["Statement"],
        json!([
        {"Effect": "Allow", "Action": "palisade:GeneratePolicy", "Resource": eve}]),
        "{told}"
    );
    assert!(stage.server.stop().success());
}
