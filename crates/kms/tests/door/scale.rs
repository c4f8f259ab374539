//! Many grants: what a decision reads does not grow with them, and a key has no
//! more than its quota.

use std::sync::Arc;

use ground::{AccountId, Region};
use kms::limits::GRANTS_PER_KEY_MAX;
use serde_json::{Value, json};
use store::{Scope, Table};
use tokio::task::JoinSet;

use crate::world::{HOME, REGION, Who, World, allow};

/// Where the number of a key's grants is kept.
const COUNTS: Table<String, u64> = Table::new("kms/grant-count", 1);

/// How many grants others hold on the key: `PALISADE_SCALE_GRANTS`, at most
/// 50,000, which is the quota of a key.
fn scale_grants() -> usize {
    match std::env::var("PALISADE_SCALE_GRANTS") {
        Ok(wanted) => wanted.parse().expect("PALISADE_SCALE_GRANTS is a number"),
        Err(_) => 1_000,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_decision_reads_does_not_grow_with_the_grants_of_others() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let grant =
        |to: Who| json!({"KeyId": key["KeyId"], "GranteePrincipal": to.arn(), "Operations": ["Encrypt"]});
    world.ok(Who::Root, "CreateGrant", grant(Who::Bob)).await;
    let encrypt = json!({"KeyId": key["Arn"], "Plaintext": "aGVsbG8="});
    let data_key = json!({"KeyId": key["Arn"], "KeySpec": "AES_256"});
    let costs = async || {
        // The first call fills the memory; what it costs depends on what was read before.
        world.ok(Who::Bob, "Encrypt", encrypt.clone()).await;
        let before = world.reads();
        for _ in 0..5 {
            world.ok(Who::Bob, "Encrypt", encrypt.clone()).await;
            // What no grant of his allows.
            world.fails(Who::Bob, "GenerateDataKey", data_key.clone()).await;
        }
        world.reads() - before
    };
    let alone = costs().await;
    assert!(alone > 0, "nothing was counted");
    for _ in 0..scale_grants() {
        world.ok(Who::Root, "CreateGrant", grant(Who::Eve)).await;
    }
    assert_eq!(costs().await, alone);
    // The one grant among all of them still ends at once.
    let listed = json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Bob.arn()});
    let listed = world.ok(Who::Root, "ListGrants", listed).await;
    assert_eq!(listed["Grants"].as_array().map(Vec::len), Some(1));
    let revoke = json!({"KeyId": key["KeyId"], "GrantId": listed["Grants"][0]["GrantId"]});
    world.ok(Who::Root, "RevokeGrant", revoke).await;
    let (code, _) = world.fails(Who::Bob, "Encrypt", encrypt.clone()).await;
    assert_eq!(code, "AccessDeniedException");
    // Who holds many is let in by the first, if its own account lets it too.
    world.people.grant(Who::Eve, &[allow("kms:Encrypt")]);
    world.ok(Who::Eve, "Encrypt", encrypt).await;
}

/// Whom the policies allow reads no grant, however many of his own there are; whom
/// they do not, looks for one among his own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whom_policies_allow_reads_none_of_its_grants() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let encrypt = json!({"KeyId": key["Arn"], "Plaintext": "aGVsbG8="});
    let reads = async |who: Who| {
        world.call(who, "Encrypt", encrypt.clone()).await;
        let before = world.reads();
        for _ in 0..5 {
            world.call(who, "Encrypt", encrypt.clone()).await;
        }
        world.reads() - before
    };
    world.people.grant(Who::Bob, &[allow("kms:Encrypt")]);
    let ungranted = reads(Who::Bob).await;
    assert!(ungranted > 0, "nothing was counted");
    // None of these covers what is called, so that all of them would be looked at.
    let grant = json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Bob.arn(), "Operations": ["Decrypt"]});
    for _ in 0..250 {
        world.ok(Who::Root, "CreateGrant", grant.clone()).await;
    }
    assert_eq!(reads(Who::Bob).await, ungranted);
    // An explicit denial ends it as well; only where nothing is said they are looked for.
    let deny = json!({"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"});
    world.people.grant(Who::Bob, &[deny]);
    assert_eq!(reads(Who::Bob).await, ungranted);
    world.people.grant(Who::Bob, &[]);
    assert!(reads(Who::Bob).await > ungranted);
}

/// A key that lacks three grants of its quota, and many who make one at the same
/// moment: three are made. What is revoked makes room for as many again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_no_more_grants_than_its_quota_however_many_are_made_at_once() {
    const FREE: u64 = 3;
    let world = Arc::new(World::new().await);
    let key = world.key(json!({})).await;
    let grant = |name: String| json!({"KeyId": key["KeyId"], "GranteePrincipal": Who::Bob.arn(), "Operations": ["Encrypt"], "Name": name});
    world
        .ok(Who::Root, "CreateGrant", grant("first".to_owned()))
        .await;
    // As if all others were made already.
    let scope = Scope::regional(AccountId::parse(HOME).unwrap(), &Region::parse(REGION).unwrap());
    let id = key["KeyId"].as_str().unwrap().to_owned();
    let store = world.door().store();
    let count = async || {
        *store
            .view(scope.clone())
            .get(&COUNTS, &id)
            .await
            .unwrap()
            .unwrap()
    };
    assert_eq!(count().await, 1);
    let tx = store.view(scope.clone()).begin();
    tx.put(&COUNTS, &id, &(GRANTS_PER_KEY_MAX - FREE));
    store.commit(tx).await.unwrap();

    let make_many = async |round: &str, wanted: usize| -> Vec<Value> {
        let mut tasks = JoinSet::new();
        for maker in 0..wanted {
            let (world, grant) = (Arc::clone(&world), grant(format!("{round}-{maker}")));
            tasks.spawn(async move { world.call(Who::Root, "CreateGrant", grant).await });
        }
        let mut made = Vec::new();
        for answer in tasks.join_all().await {
            match answer.status {
                200 => made.push(answer.json()["GrantId"].clone()),
                _ => {
                    assert_eq!(answer.code(), "LimitExceededException", "{}", answer.text());
                    let told = format!(
                        "{} has 50000 grants, and cannot have more",
                        key["Arn"].as_str().unwrap()
                    );
                    assert!(answer.text().contains(&told), "{}", answer.text());
                }
            }
        }
        made
    };
    let made = make_many("full", 24).await;
    assert_eq!(made.len(), 3);
    assert_eq!(count().await, GRANTS_PER_KEY_MAX);
    let listed = world
        .ok(Who::Root, "ListGrants", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(
        listed["Grants"].as_array().map(Vec::len),
        Some(4),
        "the refused are not there"
    );

    // Who asks again for what is there is given it: that makes none.
    world
        .ok(Who::Root, "CreateGrant", grant("first".to_owned()))
        .await;
    for id in &made[..2] {
        let revoke = json!({"KeyId": key["KeyId"], "GrantId": id});
        world.ok(Who::Root, "RevokeGrant", revoke.clone()).await;
        world.fails(Who::Root, "RevokeGrant", revoke).await;
    }
    assert_eq!(make_many("again", 12).await.len(), 2);
    assert_eq!(count().await, GRANTS_PER_KEY_MAX);
}
