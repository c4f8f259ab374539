//! `kill -9` in the middle of everything: what was acknowledged is there, and
//! every acknowledged call has exactly one record.
//!
//! `PALISADE_CRASH_ROUNDS` asks for more rounds than the usual few.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::{Signer, post, try_post};
use testkit::program::{Launch, Server};
use testkit::sample;

use crate::PALISADE;
use crate::records;
use crate::world::{leaf, operation};

const ROUNDS: u64 = 8;
const CALLERS: usize = 8;
const KEY: &str = "ROOT111122223333";
const SECRET: &str = "the-root-secret";

/// What the program said it has done.
#[derive(Default)]
struct Acknowledged {
    request_ids: Vec<(String, String)>,
    keys: BTreeSet<String>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Where each alias points; `None` once it was deleted. An alias whose last
    /// change was not acknowledged is not here.
    aliases: BTreeMap<String, Option<String>>,
    users: BTreeMap<String, bool>,
    policies: BTreeMap<String, String>,
}

struct Caller {
    address: std::net::SocketAddr,
    signer: Signer,
    done: Arc<Mutex<Acknowledged>>,
}

/// The program did not answer.
struct Gone;

impl Caller {
    /// Calls, and notes the request id once the answer is here.
    async fn call(&self, name: &str, input: Value) -> Result<testkit::client::Answer, Gone> {
        let operation = operation(name);
        let call = sample::encode(operation, &input);
        let answer = try_post(
            self.address,
            operation.service.signing_name,
            Some(&self.signer),
            call,
        )
        .await;
        let Ok(answer) = answer else { return Err(Gone) };
        assert_eq!(answer.status, 200, "{name} {input}: {}", answer.text());
        self.note(|done| done.request_ids.push((answer.request_id(), name.to_owned())));
        Ok(answer)
    }

    fn note(&self, change: impl FnOnce(&mut Acknowledged)) {
        change(&mut self.done.lock().unwrap());
    }

    /// Makes and changes things until the program is gone.
    async fn work(self, who: String) -> Gone {
        let mut count = 0u32;
        loop {
            count += 1;
            let name = format!("{who}-{count}");
            let done = if count.is_multiple_of(2) {
                self.with_keys(&name).await
            } else {
                self.with_users(&name).await
            };
            if let Err(gone) = done {
                return gone;
            }
        }
    }

    async fn with_keys(&self, name: &str) -> Result<(), Gone> {
        let made = self.call("kms:CreateKey", json!({"Description": name})).await?;
        let key = leaf(&made, "KeyId");
        self.note(|done| _ = done.keys.insert(key.clone()));
        let tags = json!([{"TagKey": "name", "TagValue": name}]);
        self.call("kms:TagResource", json!({"KeyId": key, "Tags": tags}))
            .await?;
        let tags = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.note(|done| _ = done.tags.insert(key.clone(), tags));
        let (kept, dropped) = (format!("alias/{name}"), format!("alias/{name}-dropped"));
        for alias in [&kept, &dropped] {
            self.call("kms:CreateAlias", json!({"AliasName": alias, "TargetKeyId": key}))
                .await?;
            self.note(|done| _ = done.aliases.insert(alias.clone(), Some(key.clone())));
        }
        self.note(|done| _ = done.aliases.remove(&dropped));
        self.call("kms:DeleteAlias", json!({"AliasName": dropped}))
            .await?;
        self.note(|done| _ = done.aliases.insert(dropped.clone(), None));
        // A read and a use, which change nothing and are recorded all the same.
        self.call("kms:GenerateDataKey", json!({"KeyId": key, "KeySpec": "AES_256"}))
            .await?;
        Ok(())
    }

    async fn with_users(&self, name: &str) -> Result<(), Gone> {
        self.call("iam:CreateUser", json!({"UserName": name})).await?;
        self.note(|done| _ = done.users.insert(name.to_owned(), true));
        let policy = json!({"Version": "2012-10-17", "Statement":
            {"Sid": name.replace('-', ""), "Effect": "Allow", "Action": "kms:*", "Resource": "*"}})
        .to_string();
        let input = json!({"UserName": name, "PolicyName": "own", "PolicyDocument": policy});
        self.call("iam:PutUserPolicy", input).await?;
        self.note(|done| _ = done.policies.insert(name.to_owned(), policy));
        let gone = format!("{name}-gone");
        self.call("iam:CreateUser", json!({"UserName": gone})).await?;
        self.call("iam:DeleteUser", json!({"UserName": gone})).await?;
        self.note(|done| _ = done.users.insert(gone.clone(), false));
        Ok(())
    }
}

fn start(launch: &Launch, data: &Path, log: &Path) -> Server {
    let arguments = [
        "dev".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--data={}", data.display()),
        format!("--credential={KEY}:{SECRET}:111122223333"),
    ];
    launch.serve(&arguments, log)
}

/// Every item of a paged list.
async fn all(server: &Server, name: &str, items: &str, input: Value) -> Vec<Value> {
    let operation = operation(name);
    let signer = Signer::new(KEY, SECRET);
    let (mut found, mut input) = (Vec::new(), input);
    loop {
        let call = sample::encode(operation, &input);
        let answer = post(
            server.address,
            operation.service.signing_name,
            Some(&signer),
            call,
        )
        .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let page = answer.json();
        found.extend(page[items].as_array().cloned().unwrap_or_default());
        match page["NextMarker"].as_str() {
            Some(marker) => input["Marker"] = json!(marker),
            None => return found,
        }
    }
}

async fn answer_of(server: &Server, name: &str, input: Value) -> testkit::client::Answer {
    let operation = operation(name);
    let call = sample::encode(operation, &input);
    let signer = Signer::new(KEY, SECRET);
    post(
        server.address,
        operation.service.signing_name,
        Some(&signer),
        call,
    )
    .await
}

/// Everything acknowledged is there.
async fn check(server: &Server, done: &Acknowledged) {
    let keys: BTreeSet<String> = all(server, "kms:ListKeys", "Keys", json!({"Limit": 1000}))
        .await
        .iter()
        .map(|key| key["KeyId"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = done.keys.difference(&keys).collect();
    assert!(lost.is_empty(), "keys are lost: {lost:?}");
    let aliases: BTreeMap<String, String> = all(server, "kms:ListAliases", "Aliases", json!({"Limit": 100}))
        .await
        .iter()
        .map(|alias| {
            let text = |member: &str| alias[member].as_str().unwrap_or_default().to_owned();
            (text("AliasName"), text("TargetKeyId"))
        })
        .collect();
    for (alias, target) in &done.aliases {
        assert_eq!(aliases.get(alias), target.as_ref(), "{alias}");
    }
    for (key, tags) in &done.tags {
        let listed = all(server, "kms:ListResourceTags", "Tags", json!({"KeyId": key})).await;
        for (name, value) in tags {
            let tag = json!({"TagKey": name, "TagValue": value});
            assert!(listed.contains(&tag), "tag {tag} of {key} is lost: {listed:?}");
        }
    }
    for (user, exists) in &done.users {
        let answer = answer_of(server, "iam:GetUser", json!({"UserName": user})).await;
        assert_eq!(answer.status == 200, *exists, "{user}: {}", answer.text());
    }
    for (user, policy) in &done.policies {
        let input = json!({"UserName": user, "PolicyName": "own"});
        let answer = answer_of(server, "iam:GetUserPolicy", input).await;
        assert_eq!(
            answer.status,
            200,
            "the policy of {user} is lost: {}",
            answer.text()
        );
        let sid = user.replace('-', "");
        assert!(
            leaf(&answer, "PolicyDocument").contains(&sid),
            "{policy}: {}",
            answer.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_and_is_recorded_once() {
    let rounds = std::env::var("PALISADE_CRASH_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let (data, log) = (home.path().join("data"), home.path().join("log"));
    let launch = Launch::new(PALISADE, home.path());
    let verify = || launch.run(&["verify", "--data", data.to_str().unwrap(), "--json"]);
    let mut request_ids = Vec::new();
    for round in 0..rounds {
        let server = start(&launch, &data, &log);
        let done = Arc::new(Mutex::new(Acknowledged::default()));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let caller_of = Caller {
                    address: server.address,
                    signer: Signer::new(KEY, SECRET),
                    done: Arc::clone(&done),
                };
                tokio::spawn(caller_of.work(format!("round-{round}-{caller}")))
            })
            .collect();
        // A different moment in each round, and the same ones in each run.
        tokio::time::sleep(Duration::from_millis(60 + (round * 97) % 400)).await;
        server.kill();
        for caller in callers {
            caller.await.unwrap();
        }
        let whole = verify();
        assert_eq!(
            whole.code(),
            0,
            "after a crash: {} {}",
            whole.stdout,
            whole.stderr
        );

        let server = start(&launch, &data, &log);
        let done = std::mem::take(&mut *done.lock().unwrap());
        assert!(
            !done.request_ids.is_empty() || round == 0,
            "nothing was acknowledged in round {round}"
        );
        check(&server, &done).await;
        request_ids.extend(done.request_ids);
        // Half of the time it is killed while it does nothing, too.
        if round.is_multiple_of(2) {
            server.kill();
        } else {
            assert!(server.stop().success());
        }
    }

    let server = start(&launch, &data, &log);
    let keys = all(&server, "kms:ListKeys", "Keys", json!({"Limit": 1000})).await;
    assert!(server.stop().success());
    assert_eq!(verify().code(), 0);
    assert_eq!(verify().json()["whole"], true);
    let records = records::of(&data.join("journal"));
    let mut by_request: HashMap<&str, usize> = HashMap::new();
    let mut event_ids = BTreeSet::new();
    for record in &records {
        *by_request
            .entry(record["requestID"].as_str().unwrap_or_default())
            .or_default() += 1;
        assert!(event_ids.insert(record["eventID"].to_string()), "twice: {record}");
    }
    for (id, name) in &request_ids {
        assert_eq!(by_request.get(id.as_str()), Some(&1), "records of {name} {id}");
    }
    // Also what was done without being acknowledged is recorded, once.
    for key in &keys {
        let arn = &key["KeyArn"];
        let made = records.iter().filter(|record| {
            record["eventName"] == "CreateKey" && record["resources"].to_string().contains(&arn.to_string())
        });
        assert_eq!(made.count(), 1, "records that made {arn}");
    }
    let addenda = records
        .iter()
        .filter(|record| record["addendum"].is_object())
        .count();
    println!(
        "{rounds} rounds: {} calls acknowledged, {} keys, {} records, {addenda} of them written after a crash",
        request_ids.len(),
        keys.len(),
        records.len()
    );
}
