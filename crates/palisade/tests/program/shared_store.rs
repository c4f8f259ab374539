//! Two servers over one PostgreSQL: what one does binds on the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::{Signer, post};
use testkit::postgres;
use testkit::program::{Launch, Server};
use testkit::sample;

use crate::PALISADE;
use crate::serve::{call, ok, write_private};
use crate::world::{copy_directory, leaf, operation};

/// The bound on how long a removed policy may still bind elsewhere.
const SEEN_ELSEWHERE_MAX: Duration = Duration::from_secs(1);

/// A database, a data directory initialised for it, `one`, and that of a second node, `two`.
pub(crate) struct Shared {
    postgres: postgres::Server,
    pub(crate) home: tempfile::TempDir,
    launch: Launch,
    pub(crate) root: Signer,
}

impl Shared {
    /// With this in the configuration's `[store]`.
    pub(crate) async fn new(store: &str) -> Shared {
        let postgres = postgres::Server::start();
        let url = postgres.database().await;
        let home = tempfile::tempdir().unwrap();
        let launch = Launch::new(PALISADE, home.path());
        write_private(&home.path().join("url"), &format!("{url}\n"));
        write_private(&home.path().join("passphrase"), "correct horse\n");
        let config = format!("listen = \"127.0.0.1:0\"\n[store]\npostgres_url_file = \"url\"\n{store}");
        std::fs::write(home.path().join("palisade.toml"), config).unwrap();
        let told = launch.run(&[
            "init",
            "--config=palisade.toml",
            "--data=one",
            "--new-passphrase-file=passphrase",
            "--shares-file=shares",
            "--json",
        ]);
        assert_eq!(told.code(), 0, "{told:?}");
        assert!(
            !home.path().join("one/store.redb").exists(),
            "the other store was made too"
        );
        let said = told.json();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let root = Signer::new(&text("access_key_id"), &text("secret_access_key"));
        // As `docs/nodes.md` says: the key slots, and nothing else.
        let two = home.path().join("two");
        std::fs::create_dir(&two).unwrap();
        std::fs::copy(home.path().join("one/slots.json"), two.join("slots.json")).unwrap();
        Shared {
            postgres,
            home,
            launch,
            root,
        }
    }

    pub(crate) fn serve(&self, data: &str) -> Server {
        let data_argument = format!("--data={data}");
        let log = self.home.path().join(format!("log-{data}"));
        self.launch.serve(&arguments(&data_argument), &log)
    }

    fn records(&self, data: &str) -> Vec<Value> {
        crate::records::of(&self.home.path().join(data).join("journal"))
    }
}

fn arguments(data: &str) -> [&str; 4] {
    [
        "serve",
        "--config=palisade.toml",
        data,
        "--passphrase-file=passphrase",
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_a_database_and_what_one_takes_away_the_other_refuses() {
    let shared = Shared::new("").await;
    let Shared {
        postgres,
        home,
        launch,
        root,
    } = &shared;
    let serve = |data: &str| shared.serve(data);
    let (one, two) = (serve("one"), serve("two"));

    // A key made on one is used on the other.
    let key = leaf(&ok(&one, root, "kms:CreateKey", json!({})).await, "KeyId");
    let input = json!({"KeyId": key, "Plaintext": "dHdv"});
    let sealed = leaf(&ok(&two, root, "kms:Encrypt", input).await, "CiphertextBlob");
    let opened = ok(&one, root, "kms:Decrypt", json!({"CiphertextBlob": sealed})).await;
    assert_eq!(leaf(&opened, "Plaintext"), "dHdv");

    // A policy removed on one binds on the other within a second, in both directions.
    ok(&one, root, "iam:CreateUser", json!({"UserName": "bob"})).await;
    let made = ok(&two, root, "iam:CreateAccessKey", json!({"UserName": "bob"})).await;
    let bob = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
    let policy = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}})
    .to_string();
    for round in 0..6 {
        let (here, there) = if round % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        let put = json!({"UserName": "bob", "PolicyName": "own", "PolicyDocument": policy});
        ok(here, root, "iam:PutUserPolicy", put).await;
        wait_for_keys(there, &bob, 200).await;
        ok(
            here,
            root,
            "iam:DeleteUserPolicy",
            json!({"UserName": "bob", "PolicyName": "own"}),
        )
        .await;
        let took = wait_for_keys(there, &bob, 400).await;
        assert!(took < SEEN_ELSEWHERE_MAX, "bound elsewhere after {took:?}");
    }
    // So do a disabled key and a dead access key.
    ok(&one, root, "kms:DisableKey", json!({"KeyId": key})).await;
    let started = Instant::now();
    let encrypt = json!({"KeyId": key, "Plaintext": "dHdv"});
    while call(&two, root, "kms:Encrypt", encrypt.clone()).await.status == 200 {
        assert!(
            started.elapsed() < SEEN_ELSEWHERE_MAX,
            "a disabled key still encrypts elsewhere"
        );
    }
    let delete = json!({"UserName": "bob", "AccessKeyId": bob.access_key_id});
    ok(&two, root, "iam:DeleteAccessKey", delete).await;
    let started = Instant::now();
    while call(&one, &bob, "kms:ListKeys", json!({})).await.code() != "UnrecognizedClientException" {
        assert!(
            started.elapsed() < SEEN_ELSEWHERE_MAX,
            "a deleted access key still works elsewhere"
        );
    }

    // Writers on both sides do not lose one another's changes.
    let make = async |server: &Server, name: &str| {
        for at in 0..20 {
            ok(
                server,
                root,
                "iam:CreateUser",
                json!({"UserName": format!("{name}-{at}")}),
            )
            .await;
        }
    };
    tokio::join!(make(&one, "one"), make(&two, "two"));
    let users = ok(&one, root, "iam:ListUsers", json!({"MaxItems": 100}))
        .await
        .text();
    assert_eq!(users.matches("<UserName>").count(), 41, "{users}");

    // One ends without warning; the other goes on, and the first comes back.
    one.kill();
    ok(&two, root, "iam:CreateUser", json!({"UserName": "meanwhile"})).await;
    let one = serve("one");
    ok(&one, root, "iam:GetUser", json!({"UserName": "meanwhile"})).await;

    // One that comes back disturbs nothing that the other has in hand.
    let one = started_over_while_the_other_works(root, one, &two, &serve).await;

    // Who comes with another root key is turned away before anything is written.
    let foreign = launch.run(&[
        "init",
        "--config=palisade.toml",
        "--data=three",
        "--new-passphrase-file=passphrase",
        "--shares-file=more-shares",
    ]);
    assert_eq!(foreign.code(), 1, "{foreign:?}");
    assert!(foreign.stderr.contains("another root key"), "{foreign:?}");

    // The database goes away and comes back: refused meanwhile, never wrong.
    postgres.crash();
    let refused = call(&two, root, "iam:CreateUser", json!({"UserName": "never"})).await;
    assert!(refused.status >= 500, "{}", refused.text());
    assert!(
        !refused.text().contains("127.0.0.1"),
        "it tells too much: {}",
        refused.text()
    );
    postgres.restart();
    let give_up = Instant::now() + Duration::from_secs(30);
    while call(&two, root, "iam:CreateUser", json!({"UserName": "after"}))
        .await
        .status
        != 200
    {
        assert!(Instant::now() < give_up, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ok(&one, root, "iam:GetUser", json!({"UserName": "after"})).await;
    assert!(one.stop().success());
    assert!(two.stop().success());
    // Each server records its own calls, also after a crash, and nobody else's.
    let mut event_ids = BTreeSet::new();
    for data in ["one", "two"] {
        for record in crate::records::of(&home.path().join(data).join("journal")) {
            assert!(event_ids.insert(record["eventID"].to_string()), "twice: {record}");
        }
        let verified = launch.run(&["verify", "--data", data]);
        assert_eq!(verified.code(), 0, "{verified:?}");
    }
}

/// Starts one server over and over while the other makes users.
async fn started_over_while_the_other_works(
    root: &Signer,
    mut one: Server,
    two: &Server,
    serve: &impl Fn(&str) -> Server,
) -> Server {
    let (address, signer) = (two.address, root.clone());
    let working = tokio::spawn(async move {
        for at in 0..100 {
            let create = operation("iam:CreateUser");
            let call = sample::encode(create, &json!({"UserName": format!("busy-{at}")}));
            let answer = post(address, "iam", Some(&signer), call).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
    while !working.is_finished() {
        one.kill();
        one = tokio::task::block_in_place(|| serve("one"));
    }
    working.await.unwrap();
    one
}

/// Calls until the answer has this status, and tells how long that took.
pub(crate) async fn wait_until(
    server: &Server,
    signer: &Signer,
    (name, input): (&str, &Value),
    status: u16,
    patience: Duration,
) -> Duration {
    let started = Instant::now();
    loop {
        let answer = call(server, signer, name, input.clone()).await;
        if answer.status == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < patience, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// [`wait_until`] the list of keys is answered so.
async fn wait_for_keys(server: &Server, signer: &Signer, status: u16) -> Duration {
    let call = ("kms:ListKeys", &json!({}));
    wait_until(server, signer, call, status, Duration::from_secs(10)).await
}

/// What an organisation lays over its accounts is of both servers alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_policy_put_on_by_one_binds_on_the_other() {
    let shared = Shared::new("").await;
    let (one, two) = (shared.serve("one"), shared.serve("two"));
    let root = &shared.root;
    let member = member_account(&one, &two, root).await;
    let roots = ok(&two, root, "organizations:ListRoots", json!({})).await;
    let target = roots.json()["Roots"][0]["Id"].clone();
    let kind = "SERVICE_CONTROL_POLICY";
    let content =
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}});
    let input = json!({"Name": "none", "Description": "", "Type": kind, "Content": content.to_string()});
    let policy = leaf(&ok(&one, root, "organizations:CreatePolicy", input).await, "Id");
    let attachment = json!({"PolicyId": policy, "TargetId": target});
    for (here, there) in [(&one, &two), (&two, &one), (&one, &two)] {
        // Both must have heard of the last detachment: who has not says that it is attached already.
        for server in [here, there] {
            wait_for_keys(server, &member, 200).await;
        }
        ok(here, root, "organizations:AttachPolicy", attachment.clone()).await;
        let took = wait_for_keys(there, &member, 400).await;
        assert!(took < SEEN_ELSEWHERE_MAX, "bound elsewhere after {took:?}");
        ok(here, root, "organizations:DetachPolicy", attachment.clone()).await;
    }
    assert!(one.stop().success());
    assert!(two.stop().success());
}

/// Makes an organisation with one more account, and gives a session of the
/// role that administers that account.
pub(crate) async fn member_account(one: &Server, two: &Server, root: &Signer) -> Signer {
    ok(one, root, "organizations:CreateOrganization", json!({})).await;
    let roots = ok(two, root, "organizations:ListRoots", json!({})).await;
    let target = roots.json()["Roots"][0]["Id"].clone();
    let kind = "SERVICE_CONTROL_POLICY";
    let enable = json!({"RootId": target, "PolicyType": kind});
    ok(one, root, "organizations:EnablePolicyType", enable).await;
    let input = json!({"Email": "member@example.com", "AccountName": "member"});
    let asked = ok(one, root, "organizations:CreateAccount", input).await;
    let request = json!({"CreateAccountRequestId": asked.json()["CreateAccountStatus"]["Id"]});
    let started = Instant::now();
    let account = loop {
        let name = "organizations:DescribeCreateAccountStatus";
        let account = leaf(&ok(two, root, name, request.clone()).await, "AccountId");
        if !account.is_empty() {
            break account;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no account was made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };

    ok(one, root, "iam:CreateUser", json!({"UserName": "admin"})).await;
    let all = json!({"Version": "2012-10-17", "Statement": crate::stage::allow_all()}).to_string();
    let put = json!({"UserName": "admin", "PolicyName": "own", "PolicyDocument": all});
    ok(one, root, "iam:PutUserPolicy", put).await;
    let made = ok(one, root, "iam:CreateAccessKey", json!({"UserName": "admin"})).await;
    let admin = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
    let role = format!("arn:aws:iam::{account}:role/OrganizationAccountAccessRole");
    let assume = json!({"RoleArn": role, "RoleSessionName": "member"});
    let made = ok(one, &admin, "sts:AssumeRole", assume).await;
    let mut member = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
    member.session_token = Some(leaf(&made, "SessionToken"));
    member
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_left_unsaid_is_in_the_record_of_the_other() {
    let shared = Shared::new("takeover_seconds = 2\n").await;
    let two = shared.serve("two");
    let mut made = 0;
    // The last change of a killed server is unsettled, unless its sweep came in between.
    let taken = loop {
        assert!(made < 100, "no intent was ever left behind");
        let one = shared.serve("one");
        for _ in 0..10 {
            let name = format!("user-{made}");
            ok(&one, &shared.root, "iam:CreateUser", json!({"UserName": name})).await;
            made += 1;
        }
        one.kill();
        let taken = taken_over(&shared, Duration::from_secs(10)).await;
        if !taken.is_empty() {
            break taken;
        }
    };
    let own = shared.records("one");
    let node = std::fs::read_to_string(shared.home.path().join("one/node")).unwrap();
    for record in &taken {
        assert_eq!(record["addendum"]["node"], node.trim(), "{record}");
        assert_eq!(record["eventName"], "CreateUser");
        if let Some(twin) = own.iter().find(|own| own["eventID"] == record["eventID"]) {
            assert_eq!(twin["requestID"], record["requestID"]);
        }
    }
    // The server comes back: it writes nothing twice, and has lost nothing.
    let one = shared.serve("one");
    ok(&one, &shared.root, "iam:GetUser", json!({"UserName": "user-0"})).await;
    // A copy of its directory is not it.
    copy_directory(&shared.home.path().join("one"), &shared.home.path().join("copy"));
    let copy = shared.launch.run(&arguments("--data=copy"));
    assert_eq!(copy.code(), 1, "{copy:?}");
    assert!(copy.stderr.contains("another process has the name"), "{copy:?}");
    assert!(one.stop().success());
    assert!(two.stop().success());
    let mut users = BTreeSet::new();
    for data in ["one", "two"] {
        let mut event_ids = BTreeSet::new();
        for record in shared.records(data) {
            assert!(event_ids.insert(record["eventID"].to_string()), "twice: {record}");
            if record["eventName"] == "CreateUser" {
                users.insert(record["requestParameters"]["userName"].to_string());
            }
        }
    }
    assert_eq!(users.len(), made);
}

/// What `two` has written for `one`; nothing if it has not within `patience`.
async fn taken_over(shared: &Shared, patience: Duration) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let mut records = shared.records("two");
        records.retain(|record| record["addendum"]["node"].is_string());
        if !records.is_empty() || started.elapsed() > patience {
            return records;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
