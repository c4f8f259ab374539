//! Calls on what belongs to another account: what its owner's copy tells, and
//! when there is none.

use serde_json::Value;

use super::nodes::Nodes;
use super::*;

/// Owns the keys of these tests.
pub(crate) fn owner() -> AccountId {
    AccountId::parse("999988887777").unwrap()
}

/// Stops a key of [`owner`], or of an account that is not here, by the policy
/// that its name tells.
pub(crate) async fn disable_key(
    _service: &Service,
    cx: &Cx,
    input: kms_api::DisableKeyInput,
) -> Result<shape::Unit, Error> {
    let account = match input.key_id.as_str() {
        "nowhere" => AccountId::parse("555566667777").unwrap(),
        _ => owner(),
    };
    let trusted = match input.key_id.as_str() {
        "shared" => cx.account(),
        _ => account,
    };
    let text = json!({"Version": "2012-10-17", "Statement": {"Sid": "Trusted", "Effect": "Allow",
        "Principal": {"AWS": trusted}, "Action": "kms:*", "Resource": "*"}});
    let document = Arc::new(Document::parse(&text.to_string(), DocumentKind::KmsKey).unwrap());
    let policy = Attached::inline("key policy", Holder::Resource, document);
    let access = Access::to(input.key_id.clone(), arn(account, &input.key_id))
        .owned_by(account)
        .recorded_as("AWS::KMS::Key")
        .hiding_existence()
        .with_policy(Arc::new(policy), policy::ResourcePolicyKind::KmsKey);
    cx.touched("AWS::KMS::Alias", arn(cx.account(), "own"), cx.account());
    let permit = cx.authorize(access).await?;
    cx.write(async |tx| {
        tx.put(&COUNTS, &permit, &1);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(shape::Unit)
}

fn arn(account: AccountId, key: &str) -> String {
    format!("arn:aws:kms:us-east-1:{account}:key/{key}")
}

/// The caller's record of a call, and the copies of others.
fn of_call(records: Vec<Value>) -> (Value, Vec<Value>) {
    let (mut own, others): (Vec<Value>, Vec<Value>) = records
        .into_iter()
        .partition(|record| record["recipientAccountId"] == json!(account()));
    assert_eq!(own.len(), 1, "{own:?}");
    (own.remove(0), others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_accounts_have_a_record_and_the_owners_tells_less_of_the_caller() {
    let world = world().await;
    let answer = world
        .call(Some(&root()), "DisableKey", json!({"KeyId": "shared"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (own, copies) = of_call(world.records());
    let [copy] = &copies[..] else {
        panic!("{copies:?}");
    };
    assert!(own["sharedEventID"].is_string(), "{own}");
    assert_ne!(own["eventID"], own["sharedEventID"]);
    assert_ne!(own["eventID"], copy["eventID"]);
    let same = [
        "sharedEventID",
        "requestID",
        "eventName",
        "eventTime",
        "requestParameters",
        "sourceIPAddress",
    ];
    for name in same {
        assert_eq!(own[name], copy[name], "{name}");
    }
    assert_eq!(copy["recipientAccountId"], json!(owner()));
    assert_eq!(
        copy["userIdentity"],
        json!({"type": "AWSAccount", "principalId": account(), "accountId": account()})
    );
    assert_eq!(own["resources"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        copy["resources"],
        json!([{"accountId": owner(), "type": "AWS::KMS::Key", "ARN": arn(owner(), "shared")}])
    );
    let decision = &copy["palisade"]["decisions"][0];
    assert_eq!(copy["palisade"]["decision"], answer.request_id());
    assert_eq!(decision["allowed"], true);
    assert_eq!(own["palisade"]["decision"], answer.request_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_learns_of_those_it_refuses_and_not_of_those_their_own_account_refuses() {
    let refused = world().await;
    let answer = refused
        .call(Some(&root()), "DisableKey", json!({"KeyId": "closed"}))
        .await;
    assert_eq!(answer.code(), "AccessDeniedException");
    let (own, copies) = of_call(refused.records());
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0]["errorCode"], "AccessDeniedException");
    let told = |record: &Value| record["palisade"]["decisions"][0]["because"].clone();
    assert_eq!(told(&own), "denied by the owner of the resource");
    assert!(
        told(&copies[0]).as_str().unwrap().contains("resource"),
        "{}",
        told(&copies[0])
    );
    assert_ne!(told(&own), told(&copies[0]));

    for (signer, key) in [(user(), "shared"), (root(), "nowhere")] {
        let world = world().await;
        let answer = world
            .call(Some(&signer), "DisableKey", json!({"KeyId": key}))
            .await;
        assert_eq!(answer.code(), "AccessDeniedException", "{key}");
        let (own, copies) = of_call(world.records());
        assert_eq!(copies.len(), 0, "{key}");
        assert_eq!(own["sharedEventID"], Value::Null, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_tells_the_callers_side_when_only_the_journal_knows() {
    let world = world().await;
    let answer = world
        .call(Some(&root()), "DisableKey", json!({"KeyId": "shared"}))
        .await;
    // Memory keeps the last 256 calls.
    for _ in 0..257 {
        let encrypt = json!({"KeyId": "k", "Plaintext": "YQ=="});
        world.call(Some(&root()), "Encrypt", encrypt).await;
    }
    let path = format!("/_palisade/why/{}", answer.request_id());
    let nothing = (Vec::new(), Vec::new());
    let why = send(world.address, "GET", &path, "palisade", Some(&root()), nothing).await;
    assert_eq!(why.status, 200, "{}", why.text());
    assert_eq!(
        why.json()["decisions"][0]["caller"],
        format!("arn:aws:iam::{}:root", account())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_neither_copy() {
    let nodes = Nodes::new().await;
    let (gone, other) = (nodes.node("gone").await, nodes.node("other").await);
    gone.change("DisableKey", "shared").await;
    let mut written = gone.records();
    assert_eq!(written.len(), 2);
    for _ in 0..3 {
        nodes.step();
        other.look().await;
    }
    let mut taken = other.records();
    let by_id = |record: &Value| record["eventID"].to_string();
    written.sort_by_key(by_id);
    taken.sort_by_key(by_id);
    assert_eq!(taken.len(), 2, "{taken:?}");
    for (own, taken) in written.iter().zip(&taken) {
        for name in ["eventID", "sharedEventID", "recipientAccountId", "userIdentity"] {
            assert_eq!(own[name], taken[name], "{name}");
        }
        assert_eq!(taken["addendum"]["node"], "gone");
    }
}
