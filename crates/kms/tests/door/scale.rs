//! Many grants: what a decision reads does not grow with them.

use serde_json::json;

use crate::world::{Who, World, allow};

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
