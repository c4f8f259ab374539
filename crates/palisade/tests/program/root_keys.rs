//! A new root key for a store in use: every sealed row follows, calls go on, and
//! nothing is lost whenever the program ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::{Answer, Signer, send};
use testkit::program::{Launch, Server};

use crate::PALISADE;
use crate::serve::{Installed, call, ok};
use crate::shared_store::Shared;
use crate::stage::prepare;
use crate::world::{Actor, World, copy_directory, leaf, operations};

/// How long sealing some rows again may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const ROUNDS: u64 = 10;

async fn operate(server: &Server, signer: &Signer, what: &str, body: Value) -> Answer {
    let call = (Vec::new(), body.to_string().into_bytes());
    let path = format!("/_palisade/seal/{what}");
    send(server.address, "POST", &path, "palisade", Some(signer), call).await
}

async fn status(server: &Server, signer: &Signer) -> Value {
    let answer = operate(server, signer, "status", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn current(status: &Value) -> u64 {
    let roots = status["roots"].as_array().unwrap();
    let current = roots.iter().find(|root| root["state"] == "current");
    current.unwrap()["root"].as_u64().unwrap()
}

fn is_done(status: &Value, root: u64) -> bool {
    current(status) == root && status["pass"]["root"] == root && !status["pass"]["finished"].is_null()
}

/// Waits until everything is sealed under `root`.
async fn done(server: &Server, signer: &Signer, root: u64) -> Value {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let status = status(server, signer).await;
        if is_done(&status, root) {
            return status;
        }
        assert!(Instant::now() < give_up, "it does not end: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The same in a world whose clock stands still.
async fn world_done(world: &World, root: u64) -> Value {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let answer = world
            .operate(Some(&world.root), "/_palisade/seal/status", &json!({}))
            .await;
        let status = answer.json();
        if is_done(&status, root) {
            return status;
        }
        assert!(Instant::now() < give_up, "it does not end: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn session_of(world: &World, actor: &Actor) -> Actor {
    let answer = world.ok_as(actor, "sts:GetSessionToken", json!({})).await;
    world.session("session", &answer, actor.kind, actor.arn.clone())
}

/// Places in a file where a value in base64 begins that is sealed under a root
/// from 1 to 255, but for the first: `02`, and four bytes of number.
fn sealed_under(file: &[u8], root: u8) -> usize {
    // The digits that the first 36 bits of 40 give, and those that the last four begin.
    let digit =
        |value: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[usize::from(value)];
    let begins = [b'"', b'A', b'g', b'A', b'A', b'A', digit(root >> 4)];
    let last = |found: u8| (0..4).any(|low| digit((root & 15) << 2 | low) == found);
    file.windows(begins.len() + 1)
        .filter(|window| window[..begins.len()] == begins && last(window[begins.len()]))
        .count()
}

#[test]
fn sealed_values_are_found_by_their_root() {
    // 02 00000002 and 02 00000003, then a byte.
    for (text, root) in [
        ("\"AgAAAAJ/", 2),
        ("\"AgAAAAI", 2),
        ("\"AgAAAAP", 3),
        ("\"AgAAABL", 0x12),
    ] {
        assert_eq!(sealed_under(text.as_bytes(), root), 1, "{text}");
        assert_eq!(sealed_under(text.as_bytes(), root + 1), 0, "{text}");
    }
}

/// The rows of a data directory in a fresh file, without what was there before.
fn rows(launch: &Launch, home: &std::path::Path, data: &std::path::Path, name: &str) -> Vec<u8> {
    let copy = home.join(name);
    copy_directory(data, &copy);
    let output = home.join(format!("{name}-backup"));
    let told = launch.run(&[
        "backup",
        &format!("--data={}", copy.display()),
        &format!("--output={}", output.display()),
    ]);
    assert_eq!(told.code(), 0, "{told:?}");
    std::fs::read(output.join("store.redb")).unwrap()
}

/// A sealed value in a row that nobody declared would still be under the old root
/// after a rotation, whatever service made it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sealed_value_is_in_a_column_that_is_declared() {
    let world = World::new().await;
    let home = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, home.path());
    let rotate = async |root: u64| {
        let told = world
            .operate(Some(&world.root), "/_palisade/seal/rotate-root", &json!({}))
            .await;
        assert_eq!(told.json()["root"], root, "{}", told.text());
        world_done(&world, root).await
    };
    rotate(2).await;
    for operation in operations() {
        let _ = prepare(&world, operation).await;
    }
    world.ok("iam:CreateUser", json!({"UserName": "bob"})).await;
    world.ok("iam:CreateAccessKey", json!({"UserName": "bob"})).await;
    let password = json!({"UserName": "bob", "Password": "Correct-Horse-7"});
    world.ok("iam:CreateLoginProfile", password).await;
    world
        .ok(
            "iam:CreateVirtualMFADevice",
            json!({"VirtualMFADeviceName": "phone"}),
        )
        .await;
    let key = leaf(&world.ok("kms:CreateKey", json!({})).await, "KeyId");
    world.ok("kms:RotateKeyOnDemand", json!({"KeyId": key})).await;

    let before = rows(&launch, home.path(), &world.data(), "before");
    let found = sealed_under(&before, 2);
    assert!(found > 10, "only {found} sealed values to look for");
    let status = rotate(3).await;
    let resealed = status["pass"]["rowsResealed"].as_u64().unwrap();
    assert!(resealed > 10, "{status}");
    assert_eq!(status["pass"]["rowsUnreadable"], 0, "{status}");
    let after = rows(&launch, home.path(), &world.data(), "after");
    assert_eq!(
        sealed_under(&after, 2),
        0,
        "a row has a sealed value that no service declares (gate::Sealed)"
    );
    assert!(sealed_under(&after, 3) >= found);

    // What each declared column holds was there to be found.
    for (purpose, table) in crate::world::services()
        .iter()
        .flat_map(gate::Service::sealed)
        .filter_map(|sealed| Some((sealed.purpose(), sealed.table()?)))
    {
        let name = format!("{table}\0");
        let there = before.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(there, "nothing was made of {purpose} in {table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_root_goes_when_nothing_can_need_it_and_not_before() {
    let world = World::new().await;
    let path = |what: &str| format!("/_palisade/seal/{what}");
    let ask =
        async |actor: Option<&Actor>, what: &str, body: Value| world.operate(actor, &path(what), &body).await;
    let root = world.root.clone();
    let bob = world
        .user(
            "bob",
            json!([{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]),
        )
        .await;
    let operator = world
        .user(
            "operator",
            json!([{"Effect": "Allow", "Action": "palisade:RotateRootKey", "Resource": "*"}]),
        )
        .await;

    // Who may not, may not.
    for (what, body) in [
        ("status", json!({})),
        ("rotate-root", json!({})),
        ("remove-root", json!({"root": 1})),
    ] {
        assert_eq!(ask(Some(&bob), what, body.clone()).await.status, 403, "{what}");
        assert_eq!(ask(None, what, body).await.status, 403, "{what}");
    }
    assert_eq!(
        ask(Some(&operator), "remove-root", json!({"root": 1}))
            .await
            .status,
        403
    );
    assert_eq!(
        ask(Some(&root), "rotate-root", json!({"more": 1})).await.status,
        400
    );
    assert_eq!(ask(Some(&root), "remove-root", json!({})).await.status, 400);
    assert_eq!(ask(Some(&root), "nothing", json!({})).await.status, 404);
    assert_eq!(
        ask(Some(&root), "remove-root", json!({"root": 1})).await.status,
        409
    );
    let told = ask(Some(&root), "status", json!({})).await.json();
    assert_eq!((current(&told), told["pass"].is_null()), (1, true), "{told}");

    let key = leaf(&world.ok("kms:CreateKey", json!({})).await, "KeyId");
    let encrypt = json!({"KeyId": key, "Plaintext": "dHdv"});
    let blob = leaf(&world.ok("kms:Encrypt", encrypt.clone()).await, "CiphertextBlob");
    let session = session_of(&world, &bob).await;

    // A user who is allowed to may.
    let made = ask(Some(&operator), "rotate-root", json!({})).await;
    assert_eq!(
        made.json(),
        json!({"root": 2, "ordered": "rotation"}),
        "{}",
        made.text()
    );
    let told = world_done(&world, 2).await;
    assert!(told["pass"]["rowsResealed"].as_u64().unwrap() >= 3, "{told}");
    let decrypt = json!({"CiphertextBlob": blob});
    for actor in [&root, &bob, &session] {
        let opened = world.ok_as(actor, "kms:Decrypt", decrypt.clone()).await;
        assert_eq!(leaf(&opened, "Plaintext"), "dHdv");
    }
    let later = session_of(&world, &bob).await;

    // An organization's member may not ask for what is everybody's.
    let away = world.away.clone();
    assert_eq!(ask(Some(&away), "status", json!({})).await.status, 200);
    world
        .ok("organizations:CreateOrganization", json!({"FeatureSet": "ALL"}))
        .await;
    let target = json!({"Target": {"Type": "ACCOUNT", "Id": crate::world::AWAY}});
    let invited = world
        .ok("organizations:InviteAccountToOrganization", target)
        .await;
    let handshake = invited.json()["Handshake"]["Id"].clone();
    world
        .ok_as(
            &away,
            "organizations:AcceptHandshake",
            json!({"HandshakeId": handshake}),
        )
        .await;
    for what in ["status", "rotate-root"] {
        let refused = ask(Some(&away), what, json!({})).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    assert_eq!(ask(Some(&root), "status", json!({})).await.status, 200);

    // Session tokens live for 36 hours at most, and an hour is for all that is slow.
    let early = ask(Some(&root), "remove-root", json!({"root": 1})).await;
    assert_eq!(early.status, 409, "{}", early.text());
    world.advance(37 * 3600 - 60).await;
    let early = ask(Some(&root), "remove-root", json!({"root": 1})).await;
    assert!(early.text().contains("may be in use until"), "{}", early.text());
    assert_eq!(early.status, 409);
    world.advance(120).await;
    assert_eq!(
        ask(Some(&root), "remove-root", json!({"root": 2})).await.status,
        409
    );
    assert_eq!(
        ask(Some(&root), "remove-root", json!({"root": 3})).await.status,
        409
    );
    let ordered = ask(Some(&root), "remove-root", json!({"root": 1})).await;
    assert_eq!(ordered.status, 200, "{}", ordered.text());
    let told = world_done(&world, 2).await;
    assert_eq!(told["roots"].as_array().unwrap().len(), 1, "{told}");
    for actor in [&root, &bob] {
        let opened = world.ok_as(actor, "kms:Decrypt", decrypt.clone()).await;
        assert_eq!(leaf(&opened, "Plaintext"), "dHdv");
    }
    world.ok("kms:Encrypt", encrypt).await;
    for expired in [&session, &later] {
        let refused = world
            .call(expired, crate::world::operation("kms:Decrypt"), &decrypt)
            .await;
        assert_ne!(refused.status, 200, "a session outlived its time");
    }

    // Where a root has leaked its sessions end with it, also those at hand in memory.
    let session = session_of(&world, &bob).await;
    world.ok_as(&session, "kms:Decrypt", decrypt.clone()).await;
    assert_eq!(ask(Some(&root), "rotate-root", json!({})).await.status, 200);
    world_done(&world, 3).await;
    let ends = json!({"root": 2, "endSessions": true});
    assert_eq!(ask(Some(&root), "remove-root", ends.clone()).await.status, 409);
    world.advance(3600 + 60).await;
    world.ok_as(&session, "kms:Decrypt", decrypt.clone()).await;
    assert_eq!(
        ask(Some(&root), "remove-root", json!({"root": 2})).await.status,
        409
    );
    assert_eq!(ask(Some(&root), "remove-root", ends).await.status, 200);
    world_done(&world, 3).await;
    let ended = world
        .call(&session, crate::world::operation("kms:Decrypt"), &decrypt)
        .await;
    assert_eq!(ended.status, 400, "a session outlived its root: {}", ended.text());
    world.ok_as(&bob, "kms:Decrypt", decrypt.clone()).await;

    // Emptying the world keeps what its rows open by.
    let reset = world.operate(None, "/_palisade/reset", &json!({})).await;
    assert_eq!(reset.status, 200, "{}", reset.text());
    assert_eq!(current(&ask(Some(&root), "status", json!({})).await.json()), 3);
    world.ok("kms:CreateKey", json!({})).await;
    let copy = tempfile::tempdir().unwrap();
    copy_directory(&world.data(), &copy.path().join("data"));
    let again = Launch::new(PALISADE, copy.path());
    let server = again.serve(
        &["dev", "--listen=127.0.0.1:0", "--data=data"],
        &copy.path().join("log"),
    );
    assert!(server.stop().success());

    // All of it is in the record, by whom it was asked.
    let records = crate::records::of(&copy.path().join("data/journal"));
    let of = |name: &str| {
        records
            .iter()
            .filter(|record| record["eventName"] == name)
            .collect::<Vec<_>>()
    };
    let asked = of("RotateRootKey");
    assert!(
        asked
            .iter()
            .any(|record| record["userIdentity"]["userName"] == "operator"),
        "{asked:?}"
    );
    assert!(
        asked
            .iter()
            .any(|record| record["errorCode"] == "AccessDeniedException"),
        "{asked:?}"
    );
    for (name, details) in [
        ("CreateRootKey", json!({"root": 2, "by": operator.arn})),
        ("MakeRootKeyCurrent", json!({"root": 2, "previousRoot": 1})),
        (
            "OrderRootKeyRemoval",
            json!({"root": 1, "endSessions": false, "by": root.arn}),
        ),
        (
            "OrderRootKeyRemoval",
            json!({"root": 2, "endSessions": true, "by": root.arn}),
        ),
        ("RemoveRootKey", json!({"root": 1})),
        ("RemoveRootKey", json!({"root": 2})),
    ] {
        let found = of(name);
        let found = found
            .iter()
            .filter(|record| record["serviceEventDetails"] == details);
        assert_eq!(found.count(), 1, "{name} {details}");
    }
}

const KEY: &str = "ROOT111122223333";
const SECRET: &str = "the-root-secret";
const REGIONS: [&str; 4] = ["us-east-1", "eu-west-1", "ap-south-1", "sa-east-1"];

/// What was acknowledged, and must go on to work.
#[derive(Default)]
struct Kept {
    /// Region, ciphertext and plaintext.
    blobs: Vec<(&'static str, String, String)>,
    signers: Vec<Signer>,
}

fn root_in(region: &str) -> Signer {
    Signer {
        region: region.to_owned(),
        ..Signer::new(KEY, SECRET)
    }
}

impl Kept {
    /// Makes keys and credentials until the time is over, some of them while rows
    /// are sealed again.
    async fn grow(&mut self, server: &Server, until: Instant, round: u64) {
        let mut count = 0usize;
        while Instant::now() < until {
            let region = REGIONS[count % REGIONS.len()];
            let root = root_in(region);
            let key = leaf(&ok(server, &root, "kms:CreateKey", json!({})).await, "KeyId");
            let plaintext = json!({"KeyId": key, "Plaintext": format!("{:04}", count % 10_000)});
            let blob = leaf(
                &ok(server, &root, "kms:Encrypt", plaintext).await,
                "CiphertextBlob",
            );
            self.blobs.push((region, blob, format!("{:04}", count % 10_000)));
            if count.is_multiple_of(8) {
                let name = format!("user-{round}-{count}");
                ok(server, &root, "iam:CreateUser", json!({"UserName": name})).await;
                let made = ok(server, &root, "iam:CreateAccessKey", json!({"UserName": name})).await;
                let user = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
                let made = ok(server, &user, "sts:GetSessionToken", json!({})).await;
                let mut session = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
                session.session_token = Some(leaf(&made, "SessionToken"));
                self.signers.extend([user, session]);
            }
            count += 1;
        }
    }

    async fn check(&self, server: &Server) {
        for (region, blob, plaintext) in &self.blobs {
            let opened = ok(
                server,
                &root_in(region),
                "kms:Decrypt",
                json!({"CiphertextBlob": blob}),
            )
            .await;
            assert_eq!(leaf(&opened, "Plaintext"), *plaintext);
        }
        for signer in &self.signers {
            ok(server, signer, "sts:GetCallerIdentity", json!({})).await;
        }
    }
}

/// Killed at ever later moments after a new root was asked for: before it is
/// current, between any two pages, between passes. `PALISADE_CRASH_ROUNDS` asks
/// for more rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_anywhere_in_a_rotation_loses_nothing() {
    let rounds = std::env::var("PALISADE_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, home.path());
    let credential = format!("--credential={KEY}:{SECRET}:111122223333");
    let start = || {
        let arguments = ["dev", "--listen=127.0.0.1:0", "--data=data", &credential];
        launch.serve(&arguments, &home.path().join("log"))
    };
    let root = Signer::new(KEY, SECRET);
    let mut kept = Kept::default();
    let server = start();
    kept.grow(&server, Instant::now() + Duration::from_secs(2), 0)
        .await;
    server.kill();
    let mut asked = 1;
    for round in 0..rounds {
        let server = start();
        kept.check(&server).await;
        // Refused while the one before goes on, and then that one is cut off again.
        let told = operate(&server, &root, "rotate-root", json!({})).await;
        match told.status {
            200 => asked = told.json()["root"].as_u64().unwrap(),
            409 => {}
            status => panic!("{status}: {}", told.text()),
        }
        let moment = Duration::from_millis(20 + (round * 230) % 2600);
        kept.grow(&server, Instant::now() + moment, round + 1).await;
        server.kill();
    }
    let server = start();
    let told = done(&server, &root, asked).await;
    assert!(asked >= 3, "too few rotations to tell: {told}");
    assert_eq!(told["pass"]["rowsUnreadable"], 0, "{told}");
    kept.check(&server).await;
    assert!(server.stop().success());
    let server = start();
    kept.check(&server).await;
    assert!(server.stop().success());
    let verified = launch.run(&["verify", "--data=data", "--json"]);
    assert_eq!(verified.code(), 0, "{verified:?}");
    println!(
        "{rounds} rounds: {asked} roots, {} ciphertexts, {} credentials",
        kept.blobs.len(),
        kept.signers.len()
    );
}

/// A node that does not know the new root yet is waited for; then both seal by it
/// and open what either has sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_share_a_store_all_know_a_root_before_it_is_used() {
    let shared = Shared::new("").await;
    let root = &shared.root;
    let (one, two) = (shared.serve("one"), shared.serve("two"));
    let key = leaf(&ok(&one, root, "kms:CreateKey", json!({})).await, "KeyId");
    let input = json!({"KeyId": key, "Plaintext": "dHdv"});
    let blob = leaf(
        &ok(&two, root, "kms:Encrypt", input.clone()).await,
        "CiphertextBlob",
    );
    let made = ok(&two, root, "sts:GetSessionToken", json!({})).await;
    let mut session = Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"));
    session.session_token = Some(leaf(&made, "SessionToken"));

    // The one that was killed still has its name, and so may come back at any time.
    two.kill();
    let told = operate(&one, root, "rotate-root", json!({})).await;
    assert_eq!(told.json()["root"], 2, "{}", told.text());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let waiting = status(&one, root).await;
    assert_eq!(current(&waiting), 1, "{waiting}");
    assert_eq!(waiting["waitingFor"].as_array().unwrap().len(), 1, "{waiting}");
    let refused = operate(&one, root, "rotate-root", json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    ok(&one, root, "kms:Encrypt", input.clone()).await;

    let two = shared.serve("two");
    done(&one, root, 2).await;
    done(&two, root, 2).await;
    let decrypt = json!({"CiphertextBlob": blob});
    for (server, signer) in [(&one, root), (&two, root), (&one, &session), (&two, &session)] {
        let opened = ok(server, signer, "kms:Decrypt", decrypt.clone()).await;
        assert_eq!(leaf(&opened, "Plaintext"), "dHdv");
    }

    // Both make things while a third root comes, and each opens the other's.
    let told = operate(&two, root, "rotate-root", json!({})).await;
    assert_eq!(told.json()["root"], 3, "{}", told.text());
    let give_up = Instant::now() + PATIENCE;
    let (mut count, mut finished) = (0u32, false);
    while !finished {
        assert!(Instant::now() < give_up, "it does not end");
        let (here, there) = if count.is_multiple_of(2) {
            (&one, &two)
        } else {
            (&two, &one)
        };
        let key = leaf(&ok(here, root, "kms:CreateKey", json!({})).await, "KeyId");
        let input = json!({"KeyId": key, "Plaintext": "dHdv"});
        let blob = leaf(&ok(here, root, "kms:Encrypt", input).await, "CiphertextBlob");
        let started = Instant::now();
        let opened = loop {
            let answer = call(there, root, "kms:Decrypt", json!({"CiphertextBlob": blob})).await;
            // Another node sees a new key within a second.
            if answer.status == 200 || started.elapsed() > Duration::from_secs(2) {
                break answer;
            }
            assert_eq!(answer.status, 400, "{}", answer.text());
        };
        assert_eq!(leaf(&opened, "Plaintext"), "dHdv", "{}", opened.text());
        finished = is_done(&status(here, root).await, 3);
        count += 1;
    }
    for server in [one, two] {
        ok(&server, &session, "kms:Decrypt", decrypt.clone()).await;
        assert!(server.stop().success());
    }
    // Each opens the store by the slots it always had, and a third root hands them nothing new.
    let one = shared.serve("one");
    ok(&one, root, "kms:Decrypt", decrypt).await;
    assert!(one.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_store_gets_a_new_root_and_backups_open_by_their_own() {
    let installed = Installed::new();
    let root = &installed.root;
    let opens = ["--passphrase-file=passphrase"];
    let server = installed.serve(&opens);
    let key = leaf(&ok(&server, root, "kms:CreateKey", json!({})).await, "KeyId");
    let encrypt = json!({"KeyId": key, "Plaintext": "dHdv"});
    let blob = leaf(&ok(&server, root, "kms:Encrypt", encrypt).await, "CiphertextBlob");
    let decrypt = json!({"CiphertextBlob": blob});
    let rotate = ["seal", "rotate-root", "--data=data", opens[0], "--json"];
    let told = installed.launch.run(&rotate);
    assert_eq!(told.code(), 1, "{told:?}");
    assert!(told.stdout.contains("its server runs"), "{told:?}");
    assert!(server.stop().success());

    let run = |arguments: &[&str]| {
        let told = installed.launch.run(arguments);
        assert_eq!(told.code(), 0, "{arguments:?}: {told:?}");
        told
    };
    run(&["backup", "--data=data", "--output=first"]);
    let told = run(&rotate).json();
    assert!(is_done(&told, 2), "{told}");
    assert_eq!(
        told["pass"]["rowsResealed"], 2,
        "an access key and a KMS key: {told}"
    );
    // Without the right secret there is no new root.
    std::fs::write(installed.path("wrong"), "correct horse battery stable\n").unwrap();
    crate::serve::write_private(&installed.path("wrong"), "correct horse battery stable\n");
    let told = installed
        .launch
        .run(&["seal", "rotate-root", "--data=data", "--passphrase-file=wrong"]);
    assert_eq!(told.code(), 1, "{told:?}");
    let early = installed
        .launch
        .run(&["seal", "remove-root", "1", "--data=data", opens[0]]);
    assert_eq!(early.code(), 1, "{early:?}");
    assert!(early.stderr.contains("may be in use until"), "{early:?}");
    run(&["backup", "--data=data", "--output=second"]);

    // The slots are as they were: passphrase and shares open it, and the record is whole.
    run(&["seal", "verify", "--data=data", opens[0], "--shares-file=shares"]);
    run(&["verify", "--data=data", opens[0]]);
    for (backup, data) in [("first", "one"), ("second", "two")] {
        let (from, to) = (format!("--backup={backup}"), format!("--data={data}"));
        run(&["restore", &from, &to, "--shares-file=shares"]);
    }
    for (data, expected) in [("one", 1), ("two", 2), ("data", 2)] {
        let to = format!("--data={data}");
        let arguments = ["serve", &to, "--listen=127.0.0.1:0", opens[0]];
        let server = installed.launch.serve(&arguments, &installed.path("log"));
        let opened = ok(&server, root, "kms:Decrypt", decrypt.clone()).await;
        assert_eq!(leaf(&opened, "Plaintext"), "dHdv", "{data}");
        assert_eq!(current(&status(&server, root).await), expected, "{data}");
        // By the command line, too.
        let asking = installed
            .launch
            .clone()
            .with("AWS_ENDPOINT_URL", server.endpoint.clone())
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", root.access_key_id.clone())
            .with("AWS_SECRET_ACCESS_KEY", root.secret.clone());
        let told = asking.run(&["seal", "rotate-root", "--json"]);
        assert_eq!(told.code(), 0, "{told:?}");
        assert!(is_done(&told.json(), expected + 1), "{told:?}");
        let told = asking.run(&["seal", "status"]);
        assert!(told.stdout.contains("Every row is sealed under root"), "{told:?}");
        assert!(server.stop().success());
    }
}
