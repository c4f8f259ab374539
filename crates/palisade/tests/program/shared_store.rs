//! Two servers over one PostgreSQL: what one does binds on the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::{Signer, post};
use testkit::postgres;
use testkit::program::{Launch, Server};
use testkit::sample;

use crate::PALISADE;
use crate::serve::{call, ok, write_private};
use crate::world::{copy_directory, leaf, operation};

/// The bound on how long a removed policy may still bind elsewhere.
const SEEN_ELSEWHERE_MAX: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_a_database_and_what_one_takes_away_the_other_refuses() {
    let postgres = postgres::Server::start();
    let url = postgres.database().await;
    let home = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, home.path());
    write_private(&home.path().join("url"), &format!("{url}\n"));
    write_private(&home.path().join("passphrase"), "correct horse\n");
    let config = "listen = \"127.0.0.1:0\"\n[store]\npostgres_url_file = \"url\"\n";
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
    copy_directory(&home.path().join("one"), &home.path().join("two"));
    let serve = |data: &str| -> Server {
        let data_argument = format!("--data={data}");
        let arguments = [
            "serve",
            "--config=palisade.toml",
            &data_argument,
            "--passphrase-file=passphrase",
        ];
        launch.serve(&arguments, &home.path().join(format!("log-{data}")))
    };
    let (one, two) = (serve("one"), serve("two"));

    // A key made on one is used on the other.
    let key = leaf(&ok(&one, &root, "kms:CreateKey", json!({})).await, "KeyId");
    let input = json!({"KeyId": key, "Plaintext": "dHdv"});
    let sealed = leaf(&ok(&two, &root, "kms:Encrypt", input).await, "CiphertextBlob");
    let opened = ok(&one, &root, "kms:Decrypt", json!({"CiphertextBlob": sealed})).await;
    assert_eq!(leaf(&opened, "Plaintext"), "dHdv");

    // A policy removed on one binds on the other within a second, in both directions.
    ok(&one, &root, "iam:CreateUser", json!({"UserName": "bob"})).await;
    let made = ok(&two, &root, "iam:CreateAccessKey", json!({"UserName": "bob"})).await;
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
        ok(here, &root, "iam:PutUserPolicy", put).await;
        wait_until(there, &bob, 200).await;
        ok(
            here,
            &root,
            "iam:DeleteUserPolicy",
            json!({"UserName": "bob", "PolicyName": "own"}),
        )
        .await;
        let took = wait_until(there, &bob, 400).await;
        assert!(took < SEEN_ELSEWHERE_MAX, "bound elsewhere after {took:?}");
    }
    // So do a disabled key and a dead access key.
    ok(&one, &root, "kms:DisableKey", json!({"KeyId": key})).await;
    let started = Instant::now();
    let encrypt = json!({"KeyId": key, "Plaintext": "dHdv"});
    while call(&two, &root, "kms:Encrypt", encrypt.clone()).await.status == 200 {
        assert!(
            started.elapsed() < SEEN_ELSEWHERE_MAX,
            "a disabled key still encrypts elsewhere"
        );
    }
    let delete = json!({"UserName": "bob", "AccessKeyId": bob.access_key_id});
    ok(&two, &root, "iam:DeleteAccessKey", delete).await;
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
                &root,
                "iam:CreateUser",
                json!({"UserName": format!("{name}-{at}")}),
            )
            .await;
        }
    };
    tokio::join!(make(&one, "one"), make(&two, "two"));
    let users = ok(&one, &root, "iam:ListUsers", json!({"MaxItems": 100}))
        .await
        .text();
    assert_eq!(users.matches("<UserName>").count(), 41, "{users}");

    // One ends without warning; the other goes on, and the first comes back.
    one.kill();
    ok(&two, &root, "iam:CreateUser", json!({"UserName": "meanwhile"})).await;
    let one = serve("one");
    ok(&one, &root, "iam:GetUser", json!({"UserName": "meanwhile"})).await;

    // One that comes back disturbs nothing that the other has in hand.
    let one = started_over_while_the_other_works(&root, one, &two, &serve).await;

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
    let refused = call(&two, &root, "iam:CreateUser", json!({"UserName": "never"})).await;
    assert!(refused.status >= 500, "{}", refused.text());
    assert!(
        !refused.text().contains("127.0.0.1"),
        "it tells too much: {}",
        refused.text()
    );
    postgres.restart();
    let give_up = Instant::now() + Duration::from_secs(30);
    while call(&two, &root, "iam:CreateUser", json!({"UserName": "after"}))
        .await
        .status
        != 200
    {
        assert!(Instant::now() < give_up, "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ok(&one, &root, "iam:GetUser", json!({"UserName": "after"})).await;
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
async fn wait_until(server: &Server, signer: &Signer, status: u16) -> Duration {
    let started = Instant::now();
    loop {
        let answer = call(server, signer, "kms:ListKeys", json!({})).await;
        if answer.status == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
