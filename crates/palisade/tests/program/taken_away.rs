//! Three servers over one PostgreSQL: what one of them takes away, the others
//! refuse within the store's bound, whatever is taken and wherever they kept it.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use store::limits::STALENESS_MAX;
use testkit::client::Signer;
use testkit::program::Server;

use crate::serve::{call, ok};
use crate::shared_store::{Shared, member_account, wait_until};
use crate::world::{copy_directory, leaf};

/// Calls that must have begun behind the bound before a server is believed.
const LATE_CALLS: usize = 5;

/// How long a server may take to answer at all; about the machine, not about the bound.
const PATIENCE: Duration = Duration::from_secs(120);

/// One thing taken away.
struct Taking<'a> {
    by: &'a Signer,
    take: (&'a str, Value),
    /// What gives it back for the next one.
    give_back: (&'a str, Value),
    /// The error of whoever misses it.
    refusal: &'a str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_of_three_servers_takes_away_the_others_refuse_within_a_second() {
    let shared = Shared::new("").await;
    copy_directory(&shared.home.path().join("one"), &shared.home.path().join("three"));
    let [one, two, three] = ["one", "two", "three"].map(|data| shared.serve(data));
    let root = &shared.root;
    // Control policies do not bind the management account, so all this is about a user of another.
    let member = &member_account(&one, &two, root).await;
    let bob = &user(&one, member).await;
    let key = &leaf(&ok(&one, member, "kms:CreateKey", json!({})).await, "KeyId");
    let policy_to_use = &managed(&one, member, "use", "Allow").await;
    ok(&one, member, "iam:AttachUserPolicy", attachment(policy_to_use)).await;
    let (target, control_policy) = control_policy(&one, root).await;

    let access_key = |status: &str| {
        let input = json!({"UserName": "bob", "AccessKeyId": bob.access_key_id, "Status": status});
        ("iam:UpdateAccessKey", input)
    };
    let control = json!({"PolicyId": control_policy, "TargetId": target});
    let takings = [
        // A Deny added to what the user holds.
        Taking {
            by: member,
            take: (
                "iam:PutUserPolicy",
                json!({"UserName": "bob", "PolicyName": "no", "PolicyDocument": on_every_key("Deny")}),
            ),
            give_back: (
                "iam:DeleteUserPolicy",
                json!({"UserName": "bob", "PolicyName": "no"}),
            ),
            refusal: "AccessDeniedException",
        },
        Taking {
            by: member,
            take: ("iam:DetachUserPolicy", attachment(policy_to_use)),
            give_back: ("iam:AttachUserPolicy", attachment(policy_to_use)),
            refusal: "AccessDeniedException",
        },
        Taking {
            by: member,
            take: access_key("Inactive"),
            give_back: access_key("Active"),
            refusal: "UnrecognizedClientException",
        },
        Taking {
            by: root,
            take: ("organizations:AttachPolicy", control.clone()),
            give_back: ("organizations:DetachPolicy", control),
            refusal: "AccessDeniedException",
        },
        Taking {
            by: member,
            take: ("kms:DisableKey", json!({"KeyId": key})),
            give_back: ("kms:EnableKey", json!({"KeyId": key})),
            refusal: "DisabledException",
        },
        Taking {
            by: member,
            take: (
                "kms:ScheduleKeyDeletion",
                json!({"KeyId": key, "PendingWindowInDays": 7}),
            ),
            give_back: ("kms:CancelKeyDeletion", json!({"KeyId": key})),
            refusal: "KMSInvalidStateException",
        },
    ];
    let input = json!({"KeyId": key, "Plaintext": "dHdv"});
    for taking in &takings {
        for server in [&one, &two, &three] {
            wait_until(server, bob, ("kms:Encrypt", &input), 200, PATIENCE).await;
        }
        let acknowledged = OnceLock::new();
        let take = async {
            ok(&one, taking.by, taking.take.0, taking.take.1.clone()).await;
            acknowledged.set(Instant::now()).expect("it is set once");
        };
        let watch = |server| refused(server, bob, &input, &acknowledged, taking);
        tokio::join!(take, watch(&two), watch(&three));
        ok(&one, taking.by, taking.give_back.0, taking.give_back.1.clone()).await;
    }
    for server in [one, two, three] {
        assert!(server.stop().success());
    }
}

/// Calls one server over and over, from before the acknowledgement until
/// behind the bound. A call counts by when it began: however slow the machine
/// is, one that began behind the bound has no excuse.
async fn refused(
    server: &Server,
    caller: &Signer,
    input: &Value,
    acknowledged: &OnceLock<Instant>,
    taking: &Taking<'_>,
) {
    let started = Instant::now();
    let mut first_refused = None;
    let mut late = 0;
    while late < LATE_CALLS {
        let began = Instant::now();
        let answer = call(server, caller, "kms:Encrypt", input.clone()).await;
        let behind = acknowledged
            .get()
            .and_then(|at| began.checked_duration_since(*at));
        if answer.status != 200 {
            assert_eq!(
                answer.code(),
                taking.refusal,
                "{}: {}",
                taking.take.0,
                answer.text()
            );
            first_refused = first_refused.or(behind);
        }
        if let Some(behind) = behind.filter(|behind| *behind > STALENESS_MAX) {
            assert_ne!(
                answer.status, 200,
                "{} does not bind {behind:?} after it was acknowledged; first refused after {first_refused:?}",
                taking.take.0
            );
            late += 1;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{} is never acknowledged",
            taking.take.0
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn on_every_key(effect: &str) -> String {
    let statement = json!({"Effect": effect, "Action": "kms:*", "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

fn attachment(policy: &str) -> Value {
    json!({"UserName": "bob", "PolicyArn": policy})
}

/// A user without permissions.
async fn user(server: &Server, by: &Signer) -> Signer {
    ok(server, by, "iam:CreateUser", json!({"UserName": "bob"})).await;
    let made = ok(server, by, "iam:CreateAccessKey", json!({"UserName": "bob"})).await;
    Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"))
}

async fn managed(server: &Server, by: &Signer, name: &str, effect: &str) -> String {
    let input = json!({"PolicyName": name, "PolicyDocument": on_every_key(effect)});
    leaf(&ok(server, by, "iam:CreatePolicy", input).await, "Arn")
}

/// The root of the organisation, and a control policy not yet attached to it.
async fn control_policy(server: &Server, management: &Signer) -> (Value, String) {
    let roots = ok(server, management, "organizations:ListRoots", json!({})).await;
    let input = json!({
        "Name": "no-keys",
        "Description": "",
        "Type": "SERVICE_CONTROL_POLICY",
        "Content": on_every_key("Deny"),
    });
    let made = ok(server, management, "organizations:CreatePolicy", input).await;
    (roots.json()["Roots"][0]["Id"].clone(), leaf(&made, "Id"))
}
