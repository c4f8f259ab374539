//! Many of a kind: pages, and callers at the same time.

use ground::AccountId;
use serde_json::{Value as Json, json};
use store::{Scope, Store, Table};

use crate::world::{HOME, World, leaf};

/// The texts of every element of that name.
fn leaves(xml: &str, name: &str) -> Vec<String> {
    let open = format!("<{name}>");
    xml.split(&open)
        .skip(1)
        .map(|rest| rest.split_once("</").unwrap().0.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_join_into_the_whole_list() {
    let world = World::new().await;
    let mut wanted = Vec::new();
    for number in 0..45 {
        // Lists sort without regard to case.
        let name = if number % 2 == 0 {
            format!("User{number:02}")
        } else {
            format!("user{number:02}")
        };
        let path = if number % 3 == 0 { "/third/" } else { "/" };
        world
            .ok(
                "root",
                "iam",
                "CreateUser",
                &[("UserName", &name), ("Path", path)],
            )
            .await;
        wanted.push((name, path));
    }
    for (prefix, size) in [("/", "7"), ("/", "45"), ("/third/", "4"), ("/nothing/", "10")] {
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut parameters = vec![("PathPrefix", prefix), ("MaxItems", size)];
            if let Some(marker) = &marker {
                parameters.push(("Marker", marker));
            }
            let page = world.ok("root", "iam", "ListUsers", &parameters).await;
            let names = leaves(&page, "UserName");
            assert!(names.len() <= size.parse().unwrap());
            found.extend(names);
            if leaf(&page, "IsTruncated") == "false" {
                break;
            }
            marker = Some(leaf(&page, "Marker"));
        }
        let wanted: Vec<_> = wanted
            .iter()
            .filter(|(_, path)| path.starts_with(prefix))
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(found, wanted, "{prefix} by {size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_the_same_time_all_succeed_and_are_counted() {
    let world = std::sync::Arc::new(World::new().await);
    let mut tasks = Vec::new();
    for number in 0..24 {
        let world = std::sync::Arc::clone(&world);
        #[expect(
            clippy::disallowed_methods,
            reason = "the test's callers run beside each other"
        )]
        tasks.push(tokio::spawn(async move {
            let name = format!("user{number}");
            world
                .ok("root", "iam", "CreateUser", &[("UserName", &name)])
                .await;
            let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
            world
                .ok(
                    "root",
                    "iam",
                    "AttachUserPolicy",
                    &[("UserName", &name), ("PolicyArn", arn)],
                )
                .await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let policy = [("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")];
    let answer = world.ok("root", "iam", "GetPolicy", &policy).await;
    assert_eq!(leaf(&answer, "AttachmentCount"), "24");
    let summary = world.ok("root", "iam", "GetAccountSummary", &[]).await;
    let users = summary.split_once("<key>Users</key>").unwrap().1;
    assert_eq!(leaf(users, "value"), "24");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_is_given_once() {
    let world = std::sync::Arc::new(World::new().await);
    let mut tasks = Vec::new();
    for number in 0..12 {
        let world = std::sync::Arc::clone(&world);
        #[expect(
            clippy::disallowed_methods,
            reason = "the test's callers run beside each other"
        )]
        tasks.push(tokio::spawn(async move {
            let name = if number % 2 == 0 { "Bob" } else { "bob" };
            world
                .call("root", "iam", "CreateUser", &[("UserName", name)])
                .await
                .status
        }));
    }
    let mut made = 0;
    for task in tasks {
        made += u32::from(task.await.unwrap() == 200);
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold() {
    let world = World::new().await;
    world
        .ok("root", "iam", "CreateUser", &[("UserName", "bob")])
        .await;
    for number in 0..11 {
        let name = format!("p{number}");
        let document =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#;
        world
            .ok(
                "root",
                "iam",
                "CreatePolicy",
                &[("PolicyName", &name), ("PolicyDocument", document)],
            )
            .await;
        let arn = format!("arn:aws:iam::{HOME}:policy/{name}");
        let parameters = [("UserName", "bob"), ("PolicyArn", arn.as_str())];
        let answer = world.call("root", "iam", "AttachUserPolicy", &parameters).await;
        if number < 10 {
            assert_eq!(answer.status, 200, "{}", answer.text());
        } else {
            assert_eq!((answer.status, answer.code().as_str()), (409, "LimitExceeded"));
            assert!(
                answer
                    .text()
                    .contains("Cannot exceed quota for PoliciesPerUser: 10")
            );
        }
    }
    let long = |size: usize| {
        let empty = r#"{"Statement":{"Effect":"Allow","Action":"","Resource":"*"}}"#.len();
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"a:{}","Resource":"*"}}}}"#,
            "b".repeat(size - empty - 2)
        )
    };
    let put = async |name: &str, document: &str| {
        let parameters = [
            ("UserName", "bob"),
            ("PolicyName", name),
            ("PolicyDocument", document),
        ];
        world.call("root", "iam", "PutUserPolicy", &parameters).await
    };
    assert_eq!(put("a", &long(1_000)).await.status, 200);
    // White space is not counted.
    assert_eq!(
        put("b", &format!("{}{}", " ".repeat(4_000), long(1_048)))
            .await
            .status,
        200
    );
    let answer = put("c", &long(100)).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "LimitExceeded"));
    assert!(
        answer
            .text()
            .contains("Maximum policy size of 2048 bytes exceeded for user bob")
    );
    // Replacing counts what is left.
    assert_eq!(put("a", &long(900)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_change_binds_the_very_next_call() {
    let mut world = World::new().await;
    world.user("root", "bob").await;
    let world = std::sync::Arc::new(world);
    // Another caller keeps bob's policies in memory all the while.
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let reader = std::sync::Arc::clone(&world);
    #[expect(
        clippy::disallowed_methods,
        reason = "the test's callers run beside each other"
    )]
    let reading = tokio::spawn(async move {
        while stopped.try_recv().is_err() {
            let status = reader.call("bob", "iam", "ListUsers", &[]).await.status;
            assert!(status == 200 || status == 403, "{status}");
        }
    });
    let document =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}}"#;
    let name = [("UserName", "bob"), ("PolicyName", "p")];
    for _ in 0..40 {
        world
            .ok(
                "root",
                "iam",
                "PutUserPolicy",
                &[name[0], name[1], ("PolicyDocument", document)],
            )
            .await;
        world.ok("bob", "iam", "ListUsers", &[]).await;
        world.ok("root", "iam", "DeleteUserPolicy", &name).await;
        world.fails("bob", "iam", "ListUsers", &[], "AccessDenied").await;
    }
    stop.send(()).unwrap();
    reading.await.unwrap();
}

/// How many users and roles the crowd has.
///
/// Source: IAM User Guide, "IAM and AWS STS quotas": users can be raised to
/// 5,000 and roles to 5,000; twice as many users as any account may have.
const CROWD: (u32, u32) = (10_000, 5_000);

/// The rows of many users and roles, each with an inline policy, written as the
/// crate writes them: the quota of roles keeps the API from it.
async fn crowd(store: &Store) {
    const USERS: Table<String, Json> = Table::new("iam/user", 1);
    const ROLES: Table<String, Json> = Table::new("iam/role", 1);
    const NAMES: Table<String, Json> = Table::new("iam/name", 1);
    const INLINE: Table<(String, String), Json> = Table::new("iam/inline-policy", 1);
    const SUMMARY: Table<(), Json> = Table::new("iam/summary", 1);
    const GENERATION: Table<(), Json> = Table::new("iam/generation", 1);
    let scope = Scope::regionless(AccountId::parse(HOME).unwrap());
    let view = store.view(scope.clone());
    let user = view.get(&USERS, &"bob".to_owned()).await.unwrap().unwrap();
    let role = view.get(&ROLES, &"work".to_owned()).await.unwrap().unwrap();
    let id = |of: &Json| of["id"].as_str().unwrap().to_owned();
    let policy = view.get(&INLINE, &(id(&user), "p".to_owned())).await.unwrap();
    let policy = policy.unwrap();
    let (users, roles) = CROWD;
    for (table, template, count) in [(&USERS, &user, users), (&ROLES, &role, roles)] {
        let named = view.get(&NAMES, &id(template)).await.unwrap().unwrap();
        let mut tx = view.begin();
        for number in 0..count {
            let name = format!("{}{number}", template["name"].as_str().unwrap());
            let id = format!("{}{number:05}", id(template));
            let (mut entity, mut named) = (Json::clone(template), Json::clone(&named));
            entity["id"] = json!(id);
            entity["name"] = json!(name);
            named["folded_name"] = json!(name);
            tx.put(table, &name, &entity);
            tx.put(&NAMES, &id, &named);
            tx.put(&INLINE, &(id, "p".to_owned()), &policy);
            if number % 1_000 == 999 {
                store
                    .commit(std::mem::replace(&mut tx, view.begin()))
                    .await
                    .unwrap();
            }
        }
        store.commit(tx).await.unwrap();
    }
    let tx = view.begin();
    let mut summary = Json::clone(&tx.get(&SUMMARY, &()).await.unwrap().unwrap());
    summary["users"] = json!(summary["users"].as_u64().unwrap() + u64::from(users));
    summary["roles"] = json!(summary["roles"].as_u64().unwrap() + u64::from(roles));
    tx.put(&SUMMARY, &(), &summary);
    let mut generation = Json::clone(&tx.get(&GENERATION, &()).await.unwrap().unwrap());
    generation.as_array_mut().unwrap().rotate_left(1);
    tx.put(&GENERATION, &(), &generation);
    store.commit(tx).await.unwrap();
}

/// A decision costs what its caller's own policies cost, whoever else is in
/// the account; so does a start, and the first decision after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_decision_nor_a_start_grows_with_the_account() {
    const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:GetUser","sts:AssumeRole"],"Resource":"*"}}"#;
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{HOME}"}},"Action":"sts:AssumeRole"}}}}"#
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let mut world = World::in_file(&file).await;
    world.user("root", "bob").await;
    let policy = [
        ("UserName", "bob"),
        ("PolicyName", "p"),
        ("PolicyDocument", DOCUMENT),
    ];
    world.ok("root", "iam", "PutUserPolicy", &policy).await;
    let role = [("RoleName", "work"), ("AssumeRolePolicyDocument", trust.as_str())];
    world.ok("root", "iam", "CreateRole", &role).await;

    // Once for what the first use of a credential writes down.
    costs(&mut world).await;
    let mut world = world.restart(&file, async |_| {}).await;
    let alone = costs(&mut world).await;
    assert!(alone.start.0 > 0 && alone.decisions > 0, "nothing was counted");
    let mut world = world.restart(&file, crowd).await;
    assert_eq!(costs(&mut world).await, alone);
    // The rows are real: the API sees the last of them.
    for (action, name, value) in [
        ("GetUser", "UserName", "bob9999"),
        ("GetRole", "RoleName", "work4999"),
    ] {
        world.ok("root", "iam", action, &[(name, value)]).await;
    }
    let summary = world.ok("root", "iam", "GetAccountSummary", &[]).await;
    let users = summary.split_once("<key>Users</key>").unwrap().1;
    assert_eq!(leaf(users, "value"), "10001");
}

/// What was read; decisions by number, the rest also by bytes kept.
#[derive(Debug, PartialEq)]
struct Costs {
    start: (u64, u64),
    first_decision: (u64, u64),
    decisions: u64,
}

/// Of a world that has just started.
async fn costs(world: &mut World) -> Costs {
    let get = async |world: &World| world.ok("bob", "iam", "GetUser", &[("UserName", "bob")]).await;
    let start = world.fetched();
    get(world).await;
    let first_decision = world.fetched();
    // One session each of a role and of a user, and refusals.
    let arn = format!("arn:aws:iam::{HOME}:role/work");
    let parameters = [("RoleArn", arn.as_str()), ("RoleSessionName", "once")];
    let session = world.ok("bob", "sts", "AssumeRole", &parameters).await;
    world.remember("session", &session);
    let denied = async |world: &World, who: &str| {
        world.fails(who, "iam", "ListUsers", &[], "AccessDenied").await;
    };
    denied(world, "session").await;
    let before = world.reads();
    for _ in 0..5 {
        get(world).await;
        denied(world, "bob").await;
        denied(world, "session").await;
    }
    Costs {
        start,
        first_decision,
        decisions: world.reads() - before,
    }
}
