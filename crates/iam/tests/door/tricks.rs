//! Names that are not what they seem, and names that are someone else's now.

use crate::world::{HOME, World, leaf};

/// No name has a character that another alphabet, a path, a pattern or a
/// terminal would read in another way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_plain_words() {
    let world = World::new().await;
    let long = "x".repeat(129);
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    for name in [
        "",
        " ",
        "a b",
        "a/b",
        "../root",
        "%2e%2e",
        "b\u{43e}b",
        "bob\u{301}",
        "bob\u{200b}",
        "\u{202e}bob",
        "bob\n",
        "bob\0",
        "*",
        "b?b",
        "${aws:username}",
        "arn:aws:iam::111122223333:user/bob",
        &long,
    ] {
        for (action, parameter, more) in [
            ("CreateUser", "UserName", &[][..]),
            ("CreateGroup", "GroupName", &[]),
            ("CreateRole", "RoleName", &[("AssumeRolePolicyDocument", trust)]),
            ("CreatePolicy", "PolicyName", &[("PolicyDocument", policy)]),
            ("CreateInstanceProfile", "InstanceProfileName", &[]),
        ] {
            let parameters = [&[(parameter, name)], more].concat();
            world
                .fails("root", "iam", action, &parameters, "ValidationError")
                .await;
        }
    }
    let summary = world.ok("root", "iam", "GetAccountSummary", &[]).await;
    for entity in ["Users", "Groups", "Roles", "Policies", "InstanceProfiles"] {
        let count = summary.split_once(&format!("<key>{entity}</key>")).unwrap().1;
        assert_eq!(leaf(count, "value"), "0", "{entity}");
    }
}

/// A path is text: what looks like a step back in it leads nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_is_not_walked() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iam:CreateUser","Resource":"arn:aws:iam::{HOME}:user/team/*"}}}}"#
    );
    let policy = [
        ("UserName", "bob"),
        ("PolicyName", "p"),
        ("PolicyDocument", document.as_str()),
    ];
    world.ok("root", "iam", "PutUserPolicy", &policy).await;
    let made = [("UserName", "eve"), ("Path", "/team/../")];
    let answer = world.ok("bob", "iam", "CreateUser", &made).await;
    assert_eq!(
        leaf(&answer, "Arn"),
        format!("arn:aws:iam::{HOME}:user/team/../eve")
    );
    for path in ["/", "/team", "team/", "/teams/", "/./team/"] {
        let made = [("UserName", "eva"), ("Path", path)];
        let answer = world.call("bob", "iam", "CreateUser", &made).await;
        assert!(
            matches!(answer.code().as_str(), "AccessDenied" | "ValidationError"),
            "{path}: {}",
            answer.text()
        );
    }
}

/// A role trusts the user that its policy was bound to, and no namesake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namesake_of_a_deleted_user_is_not_trusted() {
    let mut world = World::new().await;
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{HOME}:user/eve"}},"Action":"sts:AssumeRole"}}}}"#
    );
    let role = [("RoleName", "work"), ("AssumeRolePolicyDocument", trust.as_str())];
    let missing = world.call("root", "iam", "CreateRole", &role).await;
    assert_eq!(missing.code(), "MalformedPolicyDocument", "{}", missing.text());
    world.user("root", "eve").await;
    world.ok("root", "iam", "CreateRole", &role).await;
    let arn = format!("arn:aws:iam::{HOME}:role/work");
    let assume = [("RoleArn", arn.as_str()), ("RoleSessionName", "once")];
    let session = world.ok("eve", "sts", "AssumeRole", &assume).await;
    world.remember("session", &session);

    let key = world.signer("eve").access_key_id.clone();
    let gone = [("UserName", "eve"), ("AccessKeyId", key.as_str())];
    world.ok("root", "iam", "DeleteAccessKey", &gone).await;
    world
        .ok("root", "iam", "DeleteUser", &[("UserName", "eve")])
        .await;
    world
        .fails("eve", "sts", "AssumeRole", &assume, "InvalidClientTokenId")
        .await;
    world.user("root", "eve").await;
    world
        .fails("eve", "sts", "AssumeRole", &assume, "AccessDenied")
        .await;
    let told = world.ok("root", "iam", "GetRole", &[("RoleName", "work")]).await;
    assert!(!told.contains("user%2Feve"), "{told}");
    // Named anew, it is the new one that is meant.
    let anew = [("RoleName", "work"), ("PolicyDocument", trust.as_str())];
    world.ok("root", "iam", "UpdateAssumeRolePolicy", &anew).await;
    world.ok("eve", "sts", "AssumeRole", &assume).await;
}

/// The account is in the key's id; a token of one account opens nothing in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_account_is_refused() {
    let mut world = World::new().await;
    for (root, name, session) in [("root", "bob", "home"), ("away", "eve", "abroad")] {
        world.user(root, name).await;
        let answer = world.ok(name, "sts", "GetSessionToken", &[]).await;
        world.remember(session, &answer);
        world.ok(session, "sts", "GetCallerIdentity", &[]).await;
    }
    let foreign = world.signer("abroad").clone();
    world
        .signer("home")
        .session_token
        .clone_from(&foreign.session_token);
    world
        .fails("home", "sts", "GetCallerIdentity", &[], "InvalidClientTokenId")
        .await;
    world.signer("home").secret.clone_from(&foreign.secret);
    world
        .fails("home", "sts", "GetCallerIdentity", &[], "InvalidClientTokenId")
        .await;
}
