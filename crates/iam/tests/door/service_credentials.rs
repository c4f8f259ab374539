//! Credentials of users for one service alone.

use crate::world::{HOME, World, leaf};

const CREATE: &str = "CreateServiceSpecificCredential";
const LIST: &str = "ListServiceSpecificCredentials";
const UPDATE: &str = "UpdateServiceSpecificCredential";
const RESET: &str = "ResetServiceSpecificCredential";
const DELETE: &str = "DeleteServiceSpecificCredential";

const GIT: &str = "codecommit.amazonaws.com";
const MODELS: &str = "bedrock.amazonaws.com";

fn of<'a>(user: &'a str, service: &'a str) -> [(&'a str, &'a str); 2] {
    [("UserName", user), ("ServiceName", service)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_told_once_and_ends_when_it_is_reset() {
    let mut world = World::new().await;
    for name in ["bob", "eve"] {
        world.user("root", name).await;
    }
    let made = world.ok("root", "iam", CREATE, &of("bob", GIT)).await;
    let (id, password) = (
        leaf(&made, "ServiceSpecificCredentialId"),
        leaf(&made, "ServicePassword"),
    );
    assert!(id.starts_with("ACCA"), "{id}");
    assert_eq!(password.len(), 44);
    assert_eq!(leaf(&made, "ServiceUserName"), format!("bob-at-{HOME}"));
    assert!(!made.contains("ServiceCredential") && !made.contains("Expiration"));
    world.keep_secret(&password);

    let second = world.ok("root", "iam", CREATE, &of("bob", GIT)).await;
    assert_eq!(leaf(&second, "ServiceUserName"), format!("bob+1-at-{HOME}"));
    world
        .fails("root", "iam", CREATE, &of("bob", GIT), "LimitExceeded")
        .await;
    // Each service has its own two.
    world
        .ok("root", "iam", CREATE, &of("bob", "cassandra.amazonaws.com"))
        .await;

    let by_id = |user: &'static str| [("UserName", user), ("ServiceSpecificCredentialId", id.as_str())];
    let reset = world.ok("root", "iam", RESET, &by_id("bob")).await;
    assert_ne!(leaf(&reset, "ServicePassword"), password);
    assert_eq!(leaf(&reset, "ServiceUserName"), format!("bob-at-{HOME}"));
    world.keep_secret(&leaf(&reset, "ServicePassword"));

    let off = [by_id("bob")[0], by_id("bob")[1], ("Status", "Inactive")];
    world.ok("root", "iam", UPDATE, &off).await;
    let listed = world.ok("root", "iam", LIST, &of("bob", GIT)).await;
    assert!(!listed.contains("Password") && listed.matches("<member>").count() == 2);
    assert!(listed.contains("Inactive") && listed.contains("Active</Status>"));

    // What is bob's is nobody else's, whoever asks.
    for (operation, more) in [
        (RESET, None),
        (DELETE, None),
        (UPDATE, Some(("Status", "Active"))),
    ] {
        let eves: Vec<_> = by_id("eve").into_iter().chain(more).collect();
        world.fails("root", "iam", operation, &eves, "NoSuchEntity").await;
        let bobs: Vec<_> = by_id("bob").into_iter().chain(more).collect();
        world.fails("eve", "iam", operation, &bobs, "AccessDenied").await;
    }
    world
        .fails("eve", "iam", CREATE, &of("bob", GIT), "AccessDenied")
        .await;
    world
        .fails("eve", "iam", LIST, &of("bob", GIT), "AccessDenied")
        .await;
    let expired = [off[0], off[1], ("Status", "Expired")];
    world.fails("root", "iam", UPDATE, &expired, "InvalidInput").await;
    world.records();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_grows_old() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let aged = [&of("bob", MODELS)[..], &[("CredentialAgeDays", "30")]].concat();
    let made = world.ok("root", "iam", CREATE, &aged).await;
    assert_eq!(leaf(&made, "ExpirationDate"), "2026-02-01T03:04:05Z");
    assert_eq!(leaf(&made, "ServiceCredentialAlias"), format!("bob-at-{HOME}"));
    let secret = leaf(&made, "ServiceCredentialSecret");
    assert!(secret.starts_with("ABSK"), "secret scanners know keys by this");
    assert!(!made.contains("ServicePassword") && !made.contains("ServiceUserName"));
    world.keep_secret(&secret);
    let status =
        async |world: &World| leaf(&world.ok("root", "iam", LIST, &of("bob", MODELS)).await, "Status");
    world.advance(30 * 86_400 - 1);
    assert_eq!(status(&world).await, "Active");
    world.advance(1);
    assert_eq!(status(&world).await, "Expired");
    // Nobody makes it young again.
    let id = leaf(&made, "ServiceSpecificCredentialId");
    let on = [
        ("UserName", "bob"),
        ("ServiceSpecificCredentialId", id.as_str()),
        ("Status", "Active"),
    ];
    world.ok("root", "iam", UPDATE, &on).await;
    assert_eq!(status(&world).await, "Expired");
    world.records();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_means_nothing_is_refused() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    for service in ["s3.amazonaws.com", "codecommit", "CodeCommit.amazonaws.com", ""] {
        for operation in [CREATE, LIST] {
            world
                .fails(
                    "root",
                    "iam",
                    operation,
                    &of("bob", service),
                    "NotSupportedService",
                )
                .await;
        }
    }
    for (service, days, code) in [
        (GIT, "30", "ValidationError"),
        (MODELS, "0", "ValidationError"),
        (MODELS, "36601", "ValidationError"),
    ] {
        let aged = [&of("bob", service)[..], &[("CredentialAgeDays", days)]].concat();
        world.fails("root", "iam", CREATE, &aged, code).await;
    }
    world
        .fails("root", "iam", CREATE, &of("nobody", GIT), "NoSuchEntity")
        .await;
    let both = [("UserName", "bob"), ("AllUsers", "true")];
    world.fails("root", "iam", LIST, &both, "InvalidInput").await;
    let listed = world.ok("root", "iam", LIST, &[("AllUsers", "true")]).await;
    assert!(!listed.contains("<member>"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybodys_are_listed_page_by_page_and_keep_their_users() {
    let mut world = World::new().await;
    for name in ["ada", "bob", "eve"] {
        world.user("root", name).await;
        world.ok("root", "iam", CREATE, &of(name, GIT)).await;
        world.ok("root", "iam", CREATE, &of(name, MODELS)).await;
    }
    let mut seen = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let mut with = vec![("AllUsers", "true"), ("MaxItems", "1"), ("ServiceName", GIT)];
        if let Some(marker) = &marker {
            with.push(("Marker", marker.as_str()));
        }
        let page = world.ok("root", "iam", LIST, &with).await;
        if page.contains("<member>") {
            assert_eq!(leaf(&page, "ServiceName"), GIT);
            seen.push(leaf(&page, "UserName"));
        }
        if leaf(&page, "IsTruncated") == "false" {
            break;
        }
        marker = Some(leaf(&page, "Marker"));
    }
    seen.sort();
    assert_eq!(seen, ["ada", "bob", "eve"]);

    let key = world.signer("bob").access_key_id.clone();
    let key = [("UserName", "bob"), ("AccessKeyId", key.as_str())];
    world.ok("root", "iam", "DeleteAccessKey", &key).await;
    let user = [("UserName", "bob")];
    let kept = world.call("root", "iam", "DeleteUser", &user).await;
    assert_eq!(kept.code(), "DeleteConflict");
    assert!(kept.text().contains("must remove referenced objects first"));
    let listed = world.ok("root", "iam", LIST, &user).await;
    for part in listed.split("<member>").skip(1) {
        let id = leaf(part, "ServiceSpecificCredentialId");
        let with = [user[0], ("ServiceSpecificCredentialId", id.as_str())];
        world.ok("root", "iam", DELETE, &with).await;
        world.fails("root", "iam", DELETE, &with, "NoSuchEntity").await;
    }
    world.ok("root", "iam", "DeleteUser", &user).await;
}
