//! Whatever a permission rests on, a change of it is obeyed by the very next
//! call, however often the same was allowed before, and by every thread.

use serde_json::{Value, json};
use testkit::client::Signer;
use testkit::program::{Launch, Server};

use crate::PALISADE;
use crate::serve::{call, ok};
use crate::shared_store::member_account;
use crate::world::leaf;

/// Calls before and behind each change: more than there are threads, which
/// each remember what they allowed.
const CALLS: usize = 12;

/// One thing that a permission rests on, and its change there and back.
struct Change {
    by: Signer,
    take: (&'static str, Value),
    give_back: (&'static str, Value),
    refusal: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_allowed_before_is_refused_once_anything_it_rests_on_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, directory.path());
    let arguments = [
        "dev",
        "--listen=127.0.0.1:0",
        "--credential=AKIAOBEYEDOBEYEDOBE1:a-secret-of-the-root:111122223333",
    ];
    let server = &launch.serve(&arguments, &directory.path().join("log"));
    let root = Signer::new("AKIAOBEYEDOBEYEDOBE1", "a-secret-of-the-root");
    // Control policies do not bind the management account, so all this is about another.
    let member = member_account(server, server, &root).await;
    let bob = user(server, &member, "bob").await;
    let key = leaf(&ok(server, &member, "kms:CreateKey", json!({})).await, "KeyId");
    let policy = |name: &'static str, statement: Value| {
        let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        json!({"PolicyName": name, "PolicyDocument": document})
    };
    let all = |effect: &str| json!({"Effect": effect, "Action": "kms:*", "Resource": "*"});
    let managed = async |name, statement| {
        let made = ok(server, &member, "iam:CreatePolicy", policy(name, statement)).await;
        leaf(&made, "Arn")
    };
    let (use_keys, use_nothing) = (
        managed("use", all("Allow")).await,
        managed(
            "nothing",
            json!({"Effect": "Allow", "Action": "iam:*", "Resource": "*"}),
        )
        .await,
    );
    let attached = json!({"UserName": "bob", "PolicyArn": use_keys});
    ok(server, &member, "iam:AttachUserPolicy", attached.clone()).await;
    ok(server, &member, "iam:CreateGroup", json!({"GroupName": "banned"})).await;
    let mut ban = policy("no", all("Deny"));
    ban["GroupName"] = json!("banned");
    ok(server, &member, "iam:PutGroupPolicy", ban).await;
    let mut inline = policy("no", all("Deny"));
    inline["UserName"] = json!("bob");
    let banned = json!({"UserName": "bob", "GroupName": "banned"});

    let told = ok(server, &member, "kms:GetKeyPolicy", json!({"KeyId": key})).await;
    let open: Value = serde_json::from_str(&leaf(&told, "Policy")).unwrap();
    let mut closed = open.clone();
    let deny = json!({"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"});
    closed["Statement"].as_array_mut().unwrap().push(deny.clone());
    let key_policy =
        |document: &Value| json!({"KeyId": key, "PolicyName": "default", "Policy": document.to_string()});

    let service_control = control(server, &root, "SERVICE_CONTROL_POLICY", &all("Deny")).await;
    let roots = ok(server, &root, "organizations:ListRoots", json!({})).await;
    let enable = json!({"RootId": roots.json()["Roots"][0]["Id"], "PolicyType": "RESOURCE_CONTROL_POLICY"});
    ok(server, &root, "organizations:EnablePolicyType", enable).await;
    let resource_control = control(server, &root, "RESOURCE_CONTROL_POLICY", &deny).await;

    let denied = |by: &Signer, take, give_back| Change {
        by: by.clone(),
        take,
        give_back,
        refusal: "AccessDeniedException",
    };
    let changes = [
        denied(
            &member,
            ("iam:PutUserPolicy", inline),
            (
                "iam:DeleteUserPolicy",
                json!({"UserName": "bob", "PolicyName": "no"}),
            ),
        ),
        denied(
            &member,
            ("iam:DetachUserPolicy", attached.clone()),
            ("iam:AttachUserPolicy", attached),
        ),
        denied(
            &member,
            ("iam:AddUserToGroup", banned.clone()),
            ("iam:RemoveUserFromGroup", banned),
        ),
        denied(
            &member,
            (
                "iam:PutUserPermissionsBoundary",
                json!({"UserName": "bob", "PermissionsBoundary": use_nothing}),
            ),
            ("iam:DeleteUserPermissionsBoundary", json!({"UserName": "bob"})),
        ),
        denied(
            &member,
            ("kms:PutKeyPolicy", key_policy(&closed)),
            ("kms:PutKeyPolicy", key_policy(&open)),
        ),
        denied(
            &root,
            ("organizations:AttachPolicy", service_control.clone()),
            ("organizations:DetachPolicy", service_control),
        ),
        denied(
            &root,
            ("organizations:AttachPolicy", resource_control.clone()),
            ("organizations:DetachPolicy", resource_control),
        ),
        Change {
            by: member.clone(),
            take: ("kms:DisableKey", json!({"KeyId": key})),
            give_back: ("kms:EnableKey", json!({"KeyId": key})),
            refusal: "DisabledException",
        },
    ];
    let input = json!({"KeyId": key, "Plaintext": "dHdv"});
    for change in &changes {
        for _ in 0..CALLS {
            ok(server, &bob, "kms:Encrypt", input.clone()).await;
        }
        ok(server, &change.by, change.take.0, change.take.1.clone()).await;
        for _ in 0..CALLS {
            let answer = call(server, &bob, "kms:Encrypt", input.clone()).await;
            assert_eq!(
                answer.code(),
                change.refusal,
                "{}: {}",
                change.take.0,
                answer.text()
            );
        }
        ok(server, &change.by, change.give_back.0, change.give_back.1.clone()).await;
    }
    for _ in 0..CALLS {
        ok(server, &bob, "kms:Encrypt", input.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_allowed_for_one_request_is_not_for_another() {
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch::new(PALISADE, directory.path());
    let arguments = [
        "dev",
        "--listen=127.0.0.1:0",
        "--credential=AKIAOBEYEDOBEYEDOBE1:a-secret-of-the-root:111122223333",
    ];
    let server = &launch.serve(&arguments, &directory.path().join("log"));
    let root = &Signer::new("AKIAOBEYEDOBEYEDOBE1", "a-secret-of-the-root");
    let create = async || leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "KeyId");
    let (one, other) = (create().await, create().await);
    let alias = |key: &str| json!({"AliasName": "alias/it", "TargetKeyId": key});
    ok(server, root, "kms:CreateAlias", alias(&one)).await;

    // A condition on what the request says.
    let bob = &user(server, root, "bob").await;
    let statement = json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:tenant": "42"}}});
    let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    let put = json!({"UserName": "bob", "PolicyName": "p", "PolicyDocument": document});
    ok(server, root, "iam:PutUserPolicy", put).await;
    let encrypt = async |key: &str, tenant: &str| {
        let input = json!({"KeyId": key, "Plaintext": "dHdv", "EncryptionContext": {"tenant": tenant}});
        call(server, bob, "kms:Encrypt", input).await
    };
    for _ in 0..CALLS {
        assert_eq!(encrypt(&one, "42").await.status, 200);
        assert_eq!(encrypt(&one, "43").await.code(), "AccessDeniedException");
    }

    // An alias that moves, and is another resource then.
    for (key, next) in [(&one, &other), (&other, &one)] {
        for _ in 0..CALLS {
            let answer = encrypt("alias/it", "42").await;
            assert!(
                leaf(&answer, "KeyId").ends_with(key.as_str()),
                "{}",
                answer.text()
            );
        }
        ok(server, root, "kms:UpdateAlias", alias(next)).await;
    }

    // What a grant allows is over with the grant.
    let carol = &user(server, root, "carol").await;
    let grant = json!({"KeyId": one, "GranteePrincipal": "arn:aws:iam::111122223333:user/carol",
        "Operations": ["Encrypt"]});
    let input = json!({"KeyId": one, "Plaintext": "dHdv"});
    for take in ["kms:RetireGrant", "kms:RevokeGrant"] {
        let made = leaf(
            &ok(server, root, "kms:CreateGrant", grant.clone()).await,
            "GrantId",
        );
        for _ in 0..CALLS {
            ok(server, carol, "kms:Encrypt", input.clone()).await;
        }
        let key = format!("arn:aws:kms:us-east-1:111122223333:key/{one}");
        ok(server, root, take, json!({"KeyId": key, "GrantId": made})).await;
        for _ in 0..CALLS {
            let answer = call(server, carol, "kms:Encrypt", input.clone()).await;
            assert_eq!(answer.code(), "AccessDeniedException", "{take}");
        }
    }

    // Who is let in by a policy and holds a grant needs either; and is denied with both.
    let made = leaf(&ok(server, root, "kms:CreateGrant", grant).await, "GrantId");
    let put = |name: &str, effect: &str| {
        let statement = json!({"Effect": effect, "Action": "kms:*", "Resource": "*"});
        let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        json!({"UserName": "carol", "PolicyName": name, "PolicyDocument": document})
    };
    let delete = |name: &str| json!({"UserName": "carol", "PolicyName": name});
    let expect = async |code: Option<&str>, when: &str| {
        for _ in 0..CALLS {
            let answer = call(server, carol, "kms:Encrypt", input.clone()).await;
            match code {
                None => assert_eq!(answer.status, 200, "{when}: {}", answer.text()),
                Some(code) => assert_eq!(answer.code(), code, "{when}"),
            }
        }
    };
    let denied = Some("AccessDeniedException");
    expect(None, "by the grant").await;
    ok(server, root, "iam:PutUserPolicy", put("may", "Allow")).await;
    expect(None, "by the policy").await;
    ok(server, root, "iam:PutUserPolicy", put("no", "Deny")).await;
    expect(denied, "denied").await;
    ok(server, root, "iam:DeleteUserPolicy", delete("no")).await;
    expect(None, "by the policy again").await;
    ok(server, root, "iam:DeleteUserPolicy", delete("may")).await;
    expect(None, "by the grant again").await;
    let revoke = json!({"KeyId": one, "GrantId": made});
    ok(server, root, "kms:RevokeGrant", revoke).await;
    expect(denied, "by nothing").await;
    ok(server, root, "iam:PutUserPolicy", put("may", "Allow")).await;
    expect(None, "by the policy alone").await;
}

/// A user without permissions.
async fn user(server: &Server, by: &Signer, name: &str) -> Signer {
    ok(server, by, "iam:CreateUser", json!({"UserName": name})).await;
    let made = ok(server, by, "iam:CreateAccessKey", json!({"UserName": name})).await;
    Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"))
}

/// A control policy, and where it is to be attached: at the root of the organisation.
async fn control(server: &Server, management: &Signer, kind: &str, statement: &Value) -> Value {
    let roots = ok(server, management, "organizations:ListRoots", json!({})).await;
    let content = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
    let input = json!({"Name": kind, "Description": "", "Type": kind, "Content": content});
    let made = ok(server, management, "organizations:CreatePolicy", input).await;
    json!({"PolicyId": leaf(&made, "Id"), "TargetId": roots.json()["Roots"][0]["Id"]})
}
