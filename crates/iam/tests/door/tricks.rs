//! Names that are not what they seem, and names that are someone else's now.

use crate::world::{AWAY, HOME, World, leaf};

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

fn trusting(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}}}"#
    )
}

async fn role(world: &World, name: &str, path: &str, trust: &str) {
    let made = [
        ("RoleName", name),
        ("Path", path),
        ("AssumeRolePolicyDocument", trust),
    ];
    world.ok("root", "iam", "CreateRole", &made).await;
}

async fn allow(world: &World, user: &str, statement: &str) {
    let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    let policy = [
        ("UserName", user),
        ("PolicyName", "p"),
        ("PolicyDocument", document.as_str()),
    ];
    world.ok("root", "iam", "PutUserPolicy", &policy).await;
}

/// A trust policy names accounts, users, roles and sessions by their very ARNs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_looks_like_a_principal_is_none() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    role(&world, "work", "/app/", &trusting(HOME)).await;
    let group = [("GroupName", "staff")];
    world.ok("root", "iam", "CreateGroup", &group).await;
    for (resource, service) in [
        // Who is spelled in another way is somebody else, and nobody.
        ("user/Bob", "iam"),
        ("user/bob/", "iam"),
        ("user//bob", "iam"),
        ("user/team/../bob", "iam"),
        ("user/bob ", "iam"),
        ("user/b?b", "iam"),
        ("user/*", "iam"),
        ("User/bob", "iam"),
        ("role/bob", "iam"),
        ("role/work", "iam"),
        ("role/app/Work", "iam"),
        ("role/app/work:once", "iam"),
        // What is no principal.
        ("group/staff", "iam"),
        ("policy/bob", "iam"),
        ("instance-profile/work", "iam"),
        ("*", "iam"),
        ("root/", "iam"),
        ("root:", "iam"),
        ("alias/root", "kms"),
        // A session's ARN is of STS, and without the role's path.
        ("role/app/work", "sts"),
        ("user/bob", "sts"),
        ("root", "sts"),
        ("assumed-role/work/once", "iam"),
        ("assumed-role/app/work/once", "sts"),
        ("assumed-role/work/*", "sts"),
        ("assumed-role/work", "sts"),
    ] {
        let trust = trusting(&format!("arn:aws:{service}::{HOME}:{resource}"));
        let update = [("RoleName", "work"), ("PolicyDocument", trust.as_str())];
        let answer = world.call("root", "iam", "UpdateAssumeRolePolicy", &update).await;
        assert_eq!(answer.code(), "MalformedPolicyDocument", "{service} {resource}");
    }
    for whole in [
        format!("arn:aws-cn:iam::{HOME}:root"),
        format!("ARN:aws:iam::{HOME}:root"),
        format!("arn:aws:iam:us-east-1:{HOME}:root"),
        format!("arn:aws:iam::{HOME}::root"),
        format!("arn:aws:iam::{HOME} :root"),
        format!("arn:aws:iam::{}:root", &HOME[1..]),
        format!("{HOME}0"),
        "bob".to_owned(),
        "AIDABOB".to_owned(),
        "\u{ff11}\u{ff11}1122223333".to_owned(),
    ] {
        let trust = trusting(&whole);
        let update = [("RoleName", "work"), ("PolicyDocument", trust.as_str())];
        let answer = world.call("root", "iam", "UpdateAssumeRolePolicy", &update).await;
        assert!(
            matches!(
                answer.code().as_str(),
                "MalformedPolicyDocument" | "ValidationError"
            ),
            "{whole}: {}",
            answer.text()
        );
    }
    // Nothing of it was kept.
    let told = world.ok("root", "iam", "GetRole", &[("RoleName", "work")]).await;
    assert!(told.contains(HOME) && !told.contains("sts%3A%3A"), "{told}");
}

/// A role is assumed by its very ARN, and by no other spelling of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_assumed_by_its_own_arn_alone() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    allow(
        &world,
        "bob",
        r#"{"Effect":"Allow","Action":"sts:*","Resource":"*"}"#,
    )
    .await;
    role(&world, "work", "/app/", &trusting(HOME)).await;
    let good = format!("arn:aws:iam::{HOME}:role/app/work");
    for bad in [
        format!("arn:aws:iam::{HOME}:role/work"),
        format!("arn:aws:iam::{HOME}:role/app/Work"),
        format!("arn:aws:iam::{HOME}:role/app/work/"),
        format!("arn:aws:iam::{HOME}:role/app//work"),
        format!("arn:aws:iam::{HOME}:role/app/../app/work"),
        format!("arn:aws:iam::{HOME}:role/app/work:x"),
        format!("arn:aws:iam::{HOME}:role/app/*"),
        format!("arn:aws:iam::{HOME}:user/app/work"),
        format!("arn:aws:iam::{HOME}:role:app/work"),
        format!("arn:aws:iam:us-east-1:{HOME}:role/app/work"),
        format!("arn:aws-cn:iam::{HOME}:role/app/work"),
        format!("arn:aws:sts::{HOME}:role/app/work"),
        format!("arn:aws:sts::{HOME}:assumed-role/work/once"),
        format!("arn:aws:iam::{AWAY}:role/app/work"),
        good.to_uppercase(),
        format!("{good} "),
        good.replace("arn:aws:", "arn:aws::"),
    ] {
        let assume = [("RoleArn", bad.as_str()), ("RoleSessionName", "once")];
        let answer = world.call("bob", "sts", "AssumeRole", &assume).await;
        assert!(
            matches!(answer.code().as_str(), "AccessDenied" | "ValidationError"),
            "{bad}: {}",
            answer.text()
        );
    }
    for bad in [
        "a/b",
        "a:b",
        "*",
        "a b",
        "x",
        "arn:aws:iam::111122223333:root",
        "b\u{43e}b",
    ] {
        let assume = [("RoleArn", good.as_str()), ("RoleSessionName", bad)];
        world
            .fails("bob", "sts", "AssumeRole", &assume, "ValidationError")
            .await;
        let token = [("Name", bad)];
        world
            .fails("bob", "sts", "GetFederationToken", &token, "ValidationError")
            .await;
    }
    let assume = [("RoleArn", good.as_str()), ("RoleSessionName", "once")];
    world.ok("bob", "sts", "AssumeRole", &assume).await;
}

/// A session has the ARN of its role with the path in conditions, its own
/// without in principals, and neither stands for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_its_role_nor_another_session() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    allow(
        &world,
        "bob",
        r#"{"Effect":"Allow","Action":"sts:*","Resource":"*"}"#,
    )
    .await;
    for name in ["work", "works"] {
        role(&world, name, "/app/", &trusting(HOME)).await;
        for session in ["once", "twice"] {
            let arn = format!("arn:aws:iam::{HOME}:role/app/{name}");
            let assume = [("RoleArn", arn.as_str()), ("RoleSessionName", session)];
            let answer = world.ok("bob", "sts", "AssumeRole", &assume).await;
            world.remember(&format!("{name}/{session}"), &answer);
        }
    }
    let once = trusting(&format!("arn:aws:sts::{HOME}:assumed-role/work/once"));
    role(&world, "vault", "/", &once).await;
    let vault = format!("arn:aws:iam::{HOME}:role/vault");
    let assume = [("RoleArn", vault.as_str()), ("RoleSessionName", "in")];
    let may = async |world: &World, who: &str, does: bool| {
        let answer = world.call(who, "sts", "AssumeRole", &assume).await;
        let wanted = if does { 200 } else { 403 };
        assert_eq!(answer.status, wanted, "{who}: {}", answer.text());
    };
    may(&world, "work/once", true).await;
    for who in ["work/twice", "works/once", "bob"] {
        may(&world, who, false).await;
    }
    // Conditions see the role's ARN with its path, whatever the session.
    for (arn, lets_in) in [
        (format!("arn:aws:iam::{HOME}:role/app/work"), true),
        (format!("arn:aws:iam::{HOME}:role/*/work"), true),
        (format!("arn:aws:iam::{HOME}:role/work"), false),
        (format!("arn:aws:iam::{HOME}:role/app/Work"), false),
        (format!("arn:aws:sts::{HOME}:assumed-role/work/once"), false),
        ("arn:aws:iam::*:role:app/work".to_owned(), false),
        ("arn:aws:iam::*".to_owned(), false),
    ] {
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"*"}},"Action":"sts:AssumeRole",
                "Condition":{{"ArnEquals":{{"aws:PrincipalArn":"{arn}"}}}}}}}}"#
        );
        let update = [("RoleName", "vault"), ("PolicyDocument", trust.as_str())];
        world.ok("root", "iam", "UpdateAssumeRolePolicy", &update).await;
        for session in ["work/once", "work/twice"] {
            may(&world, session, lets_in).await;
        }
        may(&world, "works/once", false).await;
    }
}

/// A unique id is no ARN and no name, and nobody has it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_bound_to_an_id_is_not_a_namesakes() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let user = [("UserName", "bob")];
    let told = world.ok("root", "iam", "GetUser", &user).await;
    let (id, arn) = (leaf(&told, "UserId"), leaf(&told, "Arn"));
    let staff = [("GroupName", "staff")];
    world.ok("root", "iam", "CreateGroup", &staff).await;
    let join = [staff[0], user[0]];
    world.ok("root", "iam", "AddUserToGroup", &join).await;
    let who_may = async |world: &World, key: &str, value: &str| {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iam:GetUser","Resource":"*",
                "Condition":{{"StringEquals":{{"{key}":"{value}"}}}}}}}}"#
        );
        let policy = [
            staff[0],
            ("PolicyName", "p"),
            ("PolicyDocument", document.as_str()),
        ];
        world.ok("root", "iam", "PutGroupPolicy", &policy).await;
        world.call("bob", "iam", "GetUser", &[]).await.status
    };
    let both = [
        ("aws:userid", id.as_str()),
        ("aws:PrincipalArn", &arn),
        ("aws:username", "bob"),
    ];
    for (key, value) in both {
        assert_eq!(who_may(&world, key, value).await, 200, "{key} {value}");
    }
    let lower = id.to_lowercase();
    for (key, value) in [
        ("aws:userid", arn.as_str()),
        ("aws:userid", "bob"),
        ("aws:userid", &lower),
        ("aws:userid", "AIDA*"),
        ("aws:PrincipalArn", &id),
        ("aws:PrincipalArn", "bob"),
        ("aws:username", &arn),
        ("aws:username", &id),
        ("aws:username", "Bob"),
    ] {
        assert_eq!(who_may(&world, key, value).await, 403, "{key} {value}");
    }

    let key = world.signer("bob").access_key_id.clone();
    let key = [user[0], ("AccessKeyId", key.as_str())];
    world.ok("root", "iam", "DeleteAccessKey", &key).await;
    world.ok("root", "iam", "RemoveUserFromGroup", &join).await;
    world.ok("root", "iam", "DeleteUser", &user).await;
    world.user("root", "bob").await;
    assert_eq!(
        who_may(&world, "aws:username", "bob").await,
        403,
        "nor its groups"
    );
    world.ok("root", "iam", "AddUserToGroup", &join).await;
    // What names the id ends with it; what names the ARN or the name means whoever has it.
    assert_eq!(who_may(&world, "aws:userid", &id).await, 403);
    assert_eq!(who_may(&world, "aws:PrincipalArn", &arn).await, 200);
}

/// No managed policy goes by another spelling of its ARN.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_attached_by_its_own_arn_alone() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    for arn in [
        "arn:aws:iam::aws:policy/administratoraccess".to_owned(),
        "arn:aws:iam::aws:policy/AdministratorAccess/".to_owned(),
        "arn:aws:iam::aws:policy//AdministratorAccess".to_owned(),
        "arn:aws:iam::aws:policy/job-function/AdministratorAccess".to_owned(),
        "arn:aws:iam::aws:policy/*".to_owned(),
        "arn:aws:iam:us-east-1:aws:policy/AdministratorAccess".to_owned(),
        "arn:aws-cn:iam::aws:policy/AdministratorAccess".to_owned(),
        "arn:aws:sts::aws:policy/AdministratorAccess".to_owned(),
        "arn:aws:iam::AWS:policy/AdministratorAccess".to_owned(),
        "arn:aws:iam:::policy/AdministratorAccess".to_owned(),
        format!("arn:aws:iam::{HOME}:policy/AdministratorAccess"),
        format!("arn:aws:iam::{HOME}:role/AdministratorAccess"),
        "AdministratorAccess-is-not-an-ARN".to_owned(),
    ] {
        let attach = [("UserName", "bob"), ("PolicyArn", arn.as_str())];
        let answer = world.call("root", "iam", "AttachUserPolicy", &attach).await;
        assert!(
            matches!(
                answer.code().as_str(),
                "NoSuchEntity" | "ValidationError" | "InvalidInput"
            ),
            "{arn}: {}",
            answer.text()
        );
        let bound = [("UserName", "bob"), ("PermissionsBoundary", arn.as_str())];
        let answer = world
            .call("root", "iam", "PutUserPermissionsBoundary", &bound)
            .await;
        assert!(
            answer.status >= 400 && answer.status < 500,
            "{arn}: {}",
            answer.text()
        );
    }
    world.fails("bob", "iam", "GetUser", &[], "AccessDenied").await;
    let attached = world
        .ok("root", "iam", "ListAttachedUserPolicies", &[("UserName", "bob")])
        .await;
    assert!(!attached.contains("AdministratorAccess"));
}

/// A user called root is no root user, nor is what lies on a path of that name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_power_give_none() {
    let mut world = World::new().await;
    // The test calls the real root user `root`.
    for (name, path) in [("Administrator", "/"), ("aws", "/root/"), ("ROOT", "/")] {
        let made = [("UserName", name), ("Path", path)];
        world.ok("root", "iam", "CreateUser", &made).await;
        let key = world.ok("root", "iam", "CreateAccessKey", &[made[0]]).await;
        world.remember(name, &key);
        world.fails(name, "iam", "ListUsers", &[], "AccessDenied").await;
        world
            .fails(
                name,
                "iam",
                "CreateAccessKey",
                &[("UserName", "bob")],
                "AccessDenied",
            )
            .await;
    }
    let trust = trusting(HOME);
    for path in [
        "/aws-service-role/ec2.amazonaws.com/",
        "/aws-service-role/",
        "/aws-reserved/",
        "/aws-reserved/sso.amazonaws.com/",
    ] {
        let made = [
            ("RoleName", "AWSServiceRoleForEC2"),
            ("Path", path),
            ("AssumeRolePolicyDocument", trust.as_str()),
        ];
        let answer = world.call("root", "iam", "CreateRole", &made).await;
        assert!(
            answer.status >= 400 && answer.status < 500,
            "{path}: {}",
            answer.text()
        );
    }
}
