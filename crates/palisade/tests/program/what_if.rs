//! `palisade why --principal … --action … --resource …`: what it foretells is
//! what the call then gets, and it tells nobody who may not ask.

use serde_json::{Value, json};
use testkit::client::{Answer, Signer, post, send};
use testkit::program::{Ended, Server};
use testkit::sample;

use crate::cli::Home;
use crate::serve::{call, ok};
use crate::world::{leaf, message};

pub(crate) const OWN: &str = "111122223333";
const OTHER: &str = "444455556666";

/// Two accounts with their root users, and `bob` with an access key in the first.
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) server: Server,
    pub(crate) root: Signer,
    pub(crate) other: Signer,
    pub(crate) bob: Signer,
}

impl Stage {
    pub(crate) async fn new() -> Stage {
        let home = Home::new();
        let (one, two) = (
            format!("--credential=OWNROOT:first:{OWN}"),
            format!("--credential=OTHERROOT:second:{OTHER}"),
        );
        let server = home.dev(&["--data=data", &one, &two]);
        let (root, other) = (
            Signer::new("OWNROOT", "first"),
            Signer::new("OTHERROOT", "second"),
        );
        let bob = user(&server, &root, "bob").await;
        Stage {
            home,
            server,
            root,
            other,
            bob,
        }
    }

    /// What `asker` is told of a question.
    fn ask(&self, asker: &Signer, question: &[&str]) -> Ended {
        self.home
            .as_user(&self.server, asker)
            .run(&[&["why"], question].concat())
    }

    /// What `asker` is told of `who` doing `action` to `resource`, in JSON.
    fn told(&self, asker: &Signer, who: &str, action: &str, resource: &str, context: &[&str]) -> Value {
        let mut question = vec![
            "--json",
            "--principal",
            who,
            "--action",
            action,
            "--resource",
            resource,
        ];
        for said in context {
            question.extend(["--context", said]);
        }
        let told = self.ask(asker, &question);
        assert_eq!(told.code(), 0, "{question:?}: {told:?}");
        told.json()
    }

    /// The type of policy that keeps `who` out, as foretold; `None` if allowed.
    /// The call itself, made by `signer`, must end in the same way, in the same words.
    async fn same(
        &self,
        signer: &Signer,
        name: &str,
        input: Value,
        resource: &str,
        context: &[&str],
    ) -> Option<String> {
        let told = self.told(&self.root, &bob_arn(), name, resource, context);
        assert_eq!(told["complete"], true, "{told}");
        let decision = &told["decisions"][0];
        let answer = call(&self.server, signer, name, input).await;
        assert_eq!(
            decision["allowed"],
            answer.status == 200,
            "{told} {}",
            answer.text()
        );
        if answer.status == 200 {
            return None;
        }
        assert_eq!(
            decision["trace"]["message"],
            message(&answer),
            "{}",
            answer.text()
        );
        let because = decision["trace"]["decided_by"].as_str().unwrap();
        Some(format!(
            "{because}{}",
            if decision["trace"]["explicit"] == true {
                ", explicit"
            } else {
                ""
            }
        ))
    }

    pub(crate) async fn put(&self, name: &str, statement: Value) {
        let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let put = json!({"UserName": "bob", "PolicyName": name, "PolicyDocument": document});
        ok(&self.server, &self.root, "iam:PutUserPolicy", put).await;
    }
}

async fn user(server: &Server, root: &Signer, name: &str) -> Signer {
    ok(server, root, "iam:CreateUser", json!({"UserName": name})).await;
    let made = ok(server, root, "iam:CreateAccessKey", json!({"UserName": name})).await;
    Signer::new(&leaf(&made, "AccessKeyId"), &leaf(&made, "SecretAccessKey"))
}

/// Calls an operation of Organizations, which must succeed.
async fn organize(server: &Server, signer: &Signer, name: &str, input: Value) -> Answer {
    let organizations = organizations::service();
    let operation = organizations.shape().operation(name).unwrap();
    let encoded = sample::encode(operation, &input);
    let answer = post(
        server.address,
        operation.service.signing_name,
        Some(signer),
        encoded,
    )
    .await;
    assert_eq!(answer.status, 200, "{name} {input}: {}", answer.text());
    answer
}

pub(crate) fn bob_arn() -> String {
    format!("arn:aws:iam::{OWN}:user/bob")
}

pub(crate) fn allow(action: &str, resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

pub(crate) fn key_policy(more: &Value) -> String {
    let owner = json!({"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OWN}:root")},
        "Action": "kms:*", "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [owner, more]}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_foretold_of_a_key_is_what_the_call_gets() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    let key = leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn");
    let name = "kms:Encrypt";
    let input = json!({"KeyId": key, "Plaintext": "cGxhaW4="});
    let same = async |context: &[&str]| stage.same(bob, name, input.clone(), &key, context).await;

    assert_eq!(same(&[]).await.unwrap(), "identity");
    // A grant lets in where no policy does, and is named only there.
    let because = || {
        let told = stage.told(root, &bob_arn(), name, &key, &[]);
        told["decisions"][0]["because"].as_str().unwrap().to_owned()
    };
    let grant = json!({"KeyId": key, "GranteePrincipal": bob_arn(), "Operations": ["Encrypt"]});
    let grant = leaf(&ok(server, root, "kms:CreateGrant", grant).await, "GrantId");
    assert_eq!(same(&[]).await, None);
    assert_eq!(because(), format!("allowed by grant {grant}"));
    stage.put("named", allow(name, "*")).await;
    assert_eq!(same(&[]).await, None);
    assert!(because().starts_with("allowed by identity"), "{}", because());
    let delete = json!({"UserName": "bob", "PolicyName": "named"});
    ok(server, root, "iam:DeleteUserPolicy", delete).await;
    let revoke = json!({"KeyId": key, "GrantId": grant});
    ok(server, root, "kms:RevokeGrant", revoke).await;
    assert_eq!(same(&[]).await.unwrap(), "identity");
    // As a person reads it; the change that it names does allow it.
    let question = [
        "--principal",
        &bob_arn(),
        "--action",
        "KMS:encrypt",
        "--resource",
        &key,
    ];
    let told = stage.ask(root, &question);
    for words in [
        "DENIED   kms:Encrypt on",
        "user/bob",
        "to allow it",
        "note     supposed to come now, in us-east-1",
    ] {
        assert!(told.stdout.contains(words), "no {words} in:\n{told:?}");
    }
    let told = stage.told(root, &bob_arn(), name, &key, &[]);
    let change = told["decisions"][0]["trace"]["changes"][0]["statement"].clone();
    stage.put("named", change).await;
    assert_eq!(same(&[]).await, None);

    // Conditions see what is said, and what the key is.
    stage
        .put(
            "named",
            json!({"Effect": "Allow", "Action": name, "Resource": key, "Condition": {"StringEquals":
        {"kms:EncryptionContext:team": "red", "kms:KeySpec": "SYMMETRIC_DEFAULT"}}}),
        )
        .await;
    assert_eq!(same(&[]).await.unwrap(), "identity");
    let with = json!({"KeyId": key, "Plaintext": "cGxhaW4=", "EncryptionContext": {"team": "red"}});
    let said = ["kms:EncryptionContext:team=red"];
    assert_eq!(stage.same(bob, name, with.clone(), &key, &said).await, None);
    let elsewhere = ["kms:EncryptionContext:team=blue"];
    let told = stage.told(root, &bob_arn(), name, &key, &elsewhere);
    assert_eq!(told["decisions"][0]["allowed"], false);

    // Each kind of policy that keeps out.
    stage.put("named", allow("kms:*", "*")).await;
    let deny =
        json!({"Effect": "Deny", "Principal": {"AWS": bob_arn()}, "Action": "kms:Encrypt", "Resource": "*"});
    let put = json!({"KeyId": key, "PolicyName": "default", "Policy": key_policy(&deny)});
    ok(server, root, "kms:PutKeyPolicy", put).await;
    assert_eq!(same(&[]).await.unwrap(), "resource, explicit");
    let root_only = json!({"Effect": "Allow", "Principal": {"AWS": bob_arn()}, "Action": "kms:Encrypt",
        "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}});
    let closed = json!({"Version": "2012-10-17", "Statement": [root_only, {"Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{OWN}:root")}, "Action": "kms:PutKeyPolicy", "Resource": "*"}]});
    let put = json!({"KeyId": key, "PolicyName": "default", "Policy": closed.to_string()});
    ok(server, root, "kms:PutKeyPolicy", put).await;
    assert_eq!(same(&[]).await.unwrap(), "resource");
    // The address is the asker's, unless another is said.
    let there = stage.told(root, &bob_arn(), name, &key, &["aws:SourceIp=203.0.113.7"]);
    assert_eq!(there["decisions"][0]["allowed"], true, "{there}");
    let open = json!({"KeyId": key, "PolicyName": "default", "Policy": key_policy(&allow_to_bob())});
    ok(server, root, "kms:PutKeyPolicy", open).await;
    assert_eq!(same(&[]).await, None);

    stage
        .put(
            "denies",
            json!({"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"}),
        )
        .await;
    assert_eq!(same(&[]).await.unwrap(), "identity, explicit");
    ok(
        server,
        root,
        "iam:DeleteUserPolicy",
        json!({"UserName": "bob", "PolicyName": "denies"}),
    )
    .await;
    let document = json!({"Version": "2012-10-17", "Statement": allow("s3:*", "*")}).to_string();
    let made = json!({"PolicyName": "narrow", "PolicyDocument": document});
    let narrow = leaf(&ok(server, root, "iam:CreatePolicy", made).await, "Arn");
    let bound = json!({"UserName": "bob", "PermissionsBoundary": narrow});
    ok(server, root, "iam:PutUserPermissionsBoundary", bound).await;
    let listed = stage.same(bob, "kms:ListKeys", json!({}), "*", &[]).await;
    assert_eq!(listed.unwrap(), "boundary");
    assert!(stage.server.stop().success());
}

/// Does what the explanation of a refusal advises, by the calls that a person would make.
async fn lift(stage: &Stage, told: &Value) {
    let (server, root) = (&stage.server, &stage.root);
    for change in told["decisions"][0]["trace"]["changes"].as_array().unwrap() {
        let statement = &change["statement"];
        if change["change"] == "except" {
            let gone = json!({"UserName": "bob", "PolicyName": change["policy"]});
            ok(server, root, "iam:DeleteUserPolicy", gone).await;
            continue;
        }
        let target = &change["attach_to"];
        match change["policy_type"].as_str().unwrap() {
            "identity" => stage.put("advised", statement.clone()).await,
            "boundary" => {
                let document = json!({"Version": "2012-10-17", "Statement": [allow("s3:*", "*"), statement]});
                let version = json!({"PolicyArn": target, "PolicyDocument": document.to_string(),
                    "SetAsDefault": true});
                ok(server, root, "iam:CreatePolicyVersion", version).await;
            }
            "resource" => {
                let named = json!({"KeyId": target, "PolicyName": "default"});
                let known = ok(server, root, "kms:GetKeyPolicy", named).await;
                let mut document: Value = serde_json::from_str(&leaf(&known, "Policy")).unwrap();
                document["Statement"]
                    .as_array_mut()
                    .unwrap()
                    .push(statement.clone());
                let put = json!({"KeyId": target, "PolicyName": "default", "Policy": document.to_string()});
                ok(server, root, "kms:PutKeyPolicy", put).await;
            }
            "role_trust" => {
                let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
                let role = target.as_str().unwrap().rsplit('/').next().unwrap();
                let put = json!({"RoleName": role, "PolicyDocument": document});
                ok(server, root, "iam:UpdateAssumeRolePolicy", put).await;
            }
            other => panic!("nobody here changes a policy of type {other}"),
        }
    }
}

/// What is advised is done to the letter, and the call that was refused passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_lifted_by_the_changes_it_names() {
    let stage = Stage::new().await;
    let (server, root) = (&stage.server, &stage.root);
    let key = leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn");
    let encrypt = (
        "kms:Encrypt",
        json!({"KeyId": key, "Plaintext": "cGxhaW4="}),
        key.clone(),
    );

    let elsewhere = key.replace("us-east-1", "eu-west-1");
    let tagged = json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/team": "red"}}});
    let all = allow("kms:*", "*");
    let never = json!({"Sid": "Never", "Effect": "Deny", "Action": "kms:Enc*", "Resource": "*"});
    let second_factor = json!({"Effect": "Deny", "NotAction": "iam:*", "Resource": "*",
        "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}});
    for (own, denies, decided_by, words) in [
        (None, None, "identity", "no identity-based policy allows it"),
        (
            Some(allow("kms:*", &elsewhere)),
            None,
            "identity",
            "its Resource is ",
        ),
        (
            Some(tagged),
            None,
            "identity",
            "wants red of aws:ResourceTag/team",
        ),
        (
            Some(all.clone()),
            Some(never),
            "identity, explicit",
            "(Never), Deny: matches",
        ),
        (
            Some(all.clone()),
            Some(second_factor),
            "identity, explicit",
            "aws:MultiFactorAuthPresent is absent",
        ),
    ] {
        for (name, statement) in [("own", own), ("denies", denies)] {
            if let Some(statement) = statement {
                stage.put(name, statement).await;
            }
        }
        refused_then_lifted(&stage, &encrypt, decided_by, words).await;
        for name in ["own", "advised"] {
            let gone = json!({"UserName": "bob", "PolicyName": name});
            call(server, root, "iam:DeleteUserPolicy", gone).await;
        }
    }

    // A key policy that delegates to nobody: the account's root user alone, by name of an operation.
    stage.put("own", all).await;
    let closed = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
        "Principal": {"AWS": format!("arn:aws:iam::{OWN}:root")}, "Action": ["kms:PutKeyPolicy", "kms:GetKeyPolicy"]}]});
    let put = json!({"KeyId": key, "PolicyName": "default", "Policy": closed.to_string()});
    ok(server, root, "kms:PutKeyPolicy", put).await;
    refused_then_lifted(&stage, &encrypt, "resource", "no resource-based policy allows it").await;

    // A boundary. It does not keep from a key whose policy names the user, so of what has no policy.
    let document = json!({"Version": "2012-10-17", "Statement": allow("s3:*", "*")}).to_string();
    let made = json!({"PolicyName": "narrow", "PolicyDocument": document});
    let narrow = leaf(&ok(server, root, "iam:CreatePolicy", made).await, "Arn");
    let bound = json!({"UserName": "bob", "PermissionsBoundary": narrow});
    ok(server, root, "iam:PutUserPermissionsBoundary", bound).await;
    let list = ("kms:ListKeys", json!({}), "*".to_owned());
    refused_then_lifted(&stage, &list, "boundary", "permissions boundary").await;
    let unbound = json!({"UserName": "bob"});
    ok(server, root, "iam:DeleteUserPermissionsBoundary", unbound).await;

    // A role that trusts somebody else.
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"}}});
    let made = json!({"RoleName": "Work", "AssumeRolePolicyDocument": trust.to_string()});
    let role = leaf(&ok(server, root, "iam:CreateRole", made).await, "Arn");
    let input = json!({"RoleArn": role, "RoleSessionName": "work"});
    let assume = ("sts:AssumeRole", input, role.clone());
    refused_then_lifted(&stage, &assume, "role_trust", "no role trust policy allows it").await;
    assert!(stage.server.stop().success());
}

/// The call is refused as foretold, is told of in `words`, and passes once it is done as told.
async fn refused_then_lifted(
    stage: &Stage,
    (name, input, resource): &(&str, Value, String),
    decided_by: &str,
    words: &str,
) {
    let same = async || stage.same(&stage.bob, name, input.clone(), resource, &[]).await;
    assert_eq!(same().await.unwrap(), decided_by, "{words}");
    let question = [
        "--principal",
        &bob_arn(),
        "--action",
        name,
        "--resource",
        resource,
    ];
    let told = stage.ask(&stage.root, &question);
    assert!(told.stdout.contains(words), "no {words} in:\n{told:?}");
    lift(stage, &stage.told(&stage.root, &bob_arn(), name, resource, &[])).await;
    assert_eq!(same().await, None, "{words}");
}

fn allow_to_bob() -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": bob_arn()}, "Action": "kms:Encrypt", "Resource": "*"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_policies_and_those_of_the_organisation_are_weighed() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    // Trusts bob with an external id, and nobody else.
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": bob_arn()},
        "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "42"}}}});
    let made = json!({"RoleName": "Work", "AssumeRolePolicyDocument": trust.to_string()});
    let role = leaf(&ok(server, root, "iam:CreateRole", made).await, "Arn");
    let input = json!({"RoleArn": role, "RoleSessionName": "work"});
    let assume = "sts:AssumeRole";
    assert_eq!(
        stage.same(bob, assume, input, &role, &[]).await.unwrap(),
        "role_trust"
    );
    let input = json!({"RoleArn": role, "RoleSessionName": "work", "ExternalId": "42"});
    let said = ["sts:ExternalId=42"];
    assert_eq!(stage.same(bob, assume, input, &role, &said).await, None);
    // The role as a caller: its own policies, none, decide.
    let told = stage.told(root, &role, "kms:ListKeys", "*", &[]);
    let decision = &told["decisions"][0];
    assert_eq!(decision["trace"]["decided_by"], "identity", "{told}");
    assert!(
        decision["caller"]
            .as_str()
            .unwrap()
            .contains(":assumed-role/Work/"),
        "{told}"
    );

    // The other account lays policies over this one.
    let other = &stage.other;
    organize(server, other, "CreateOrganization", json!({})).await;
    let invite = json!({"Target": {"Id": OWN, "Type": "ACCOUNT"}});
    let sent = organize(server, other, "InviteAccountToOrganization", invite).await;
    let accept = json!({"HandshakeId": sent.json()["Handshake"]["Id"]});
    organize(server, root, "AcceptHandshake", accept).await;
    stage.put("all", allow("*", "*")).await;
    let key = leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn");
    let describe = async || {
        let input = json!({"KeyId": key});
        stage.same(bob, "kms:DescribeKey", input, &key, &[]).await
    };
    assert_eq!(describe().await, None);
    let roots = organize(server, other, "ListRoots", json!({})).await;
    let target = roots.json()["Roots"][0]["Id"].clone();
    for (kind, decided_by) in [
        ("RESOURCE_CONTROL_POLICY", "resource_control, explicit"),
        ("SERVICE_CONTROL_POLICY", "service_control, explicit"),
    ] {
        let enable = json!({"RootId": target, "PolicyType": kind});
        organize(server, other, "EnablePolicyType", enable).await;
        let mut statement = json!({"Effect": "Deny", "Action": "kms:DescribeKey", "Resource": "*"});
        if kind.starts_with("RESOURCE") {
            statement["Principal"] = json!("*");
        }
        let content = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let input = json!({"Name": kind, "Description": "", "Type": kind, "Content": content});
        let made = organize(server, other, "CreatePolicy", input).await;
        let attachment = json!({"PolicyId": leaf(&made, "Id"), "TargetId": target});
        organize(server, other, "AttachPolicy", attachment.clone()).await;
        assert_eq!(describe().await.unwrap(), decided_by);
        organize(server, other, "DetachPolicy", attachment).await;
        assert_eq!(describe().await, None);
    }
    assert!(stage.server.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_if_is_for_those_who_may_ask_and_is_recorded() {
    let stage = Stage::new().await;
    let (server, root, bob) = (&stage.server, &stage.root, &stage.bob);
    let key = leaf(&ok(server, root, "kms:CreateKey", json!({})).await, "Arn");
    let ask = |asker: &Signer, who: &str, action: &str, resource: &str| {
        stage.ask(
            asker,
            &["--principal", who, "--action", action, "--resource", resource],
        )
    };
    let encrypt = "kms:Encrypt";
    let nobody = format!("arn:aws:iam::{OWN}:user/nobody");

    // Who may not ask learns the same of whoever is there and of whoever is not.
    for who in [&bob_arn(), &nobody] {
        let told = ask(bob, who, encrypt, &key);
        assert_eq!(told.code(), 1, "{told:?}");
        assert!(
            told.stderr.contains("palisade:Explain") && told.stderr.contains("no identity-based policy"),
            "{told:?}"
        );
    }
    // Whoever may ask about one principal may not about another.
    stage.put("asks", allow("palisade:Explain", &bob_arn())).await;
    assert_eq!(ask(bob, &bob_arn(), encrypt, &key).code(), 0);
    assert_eq!(ask(bob, &nobody, encrypt, &key).code(), 1);
    // Nobody asks about the principals of another account, not even its organisation's root.
    let told = ask(&stage.other, &bob_arn(), encrypt, &key);
    assert_eq!(told.code(), 1);
    assert!(told.stderr.contains("no principal of your account"), "{told:?}");

    // What a foreign owner's policy says is not to be found out.
    let theirs = leaf(&ok(server, &stage.other, "kms:CreateKey", json!({})).await, "Arn");
    stage.put("encrypts", allow(encrypt, "*")).await;
    let before = stage.told(root, &bob_arn(), encrypt, &theirs, &[]);
    let open = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OTHER}:root")}, "Action": "kms:*", "Resource": "*"},
        {"Sid": "Secret", "Effect": "Deny", "Principal": {"AWS": bob_arn()}, "Action": "kms:*", "Resource": "*"}]});
    let put = json!({"KeyId": theirs, "PolicyName": "default", "Policy": open.to_string()});
    ok(server, &stage.other, "kms:PutKeyPolicy", put).await;
    let after = stage.told(root, &bob_arn(), encrypt, &theirs, &[]);
    assert_eq!((&before, &before["complete"]), (&after, &json!(false)));
    assert_eq!(after["decisions"][0]["trace"]["relation"], "cross_account");
    let told = ask(root, &bob_arn(), encrypt, &theirs);
    assert!(
        told.stdout.contains(", as far as weighed") && told.stdout.contains("the owner must allow it too"),
        "{told:?}"
    );
    for pretended in ["no resource-based policy", "no resource control policy"] {
        assert!(!told.stdout.contains(pretended), "{told:?}");
    }
    // Nor is it pretended that what nobody here knows has no policy.
    let told = stage.told(
        root,
        &bob_arn(),
        "s3:GetObject",
        "arn:aws:s3:::bucket/object",
        &[],
    );
    assert_eq!(told["complete"], false, "{told}");

    // Questions that cannot be asked, and why.
    let sent = async |signer: Option<&Signer>, body: &str| {
        let call = (Vec::new(), body.as_bytes().to_vec());
        send(server.address, "POST", "/_palisade/why", "palisade", signer, call).await
    };
    assert_eq!(sent(None, "{}").await.status, 403);
    for body in ["", "nonsense", "{}", "[1]", &"[".repeat(1000)] {
        let answer = sent(Some(root), body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    let none = format!("arn:aws:kms:us-east-1:{OWN}:key/00000000-0000-4000-8000-000000000000");
    for (who, action, resource, words) in [
        (nobody.as_str(), encrypt, key.as_str(), "there is no user or role"),
        ("bob", encrypt, &key, "not an ARN"),
        (&bob_arn(), "Encrypt", &key, "kms:Encrypt"),
        (&bob_arn(), encrypt, "key/1", "not an ARN"),
        (&bob_arn(), encrypt, &none, "does not exist"),
    ] {
        let told = ask(root, who, action, resource);
        assert_eq!(told.code(), 1, "{told:?}");
        assert!(told.stderr.contains(words), "no {words} in {told:?}");
    }
    for (said, code, words) in [
        ("aws:PrincipalArn=x", 1, "cannot be supposed"),
        ("nothing=x", 1, "prefix and a name"),
        ("aws:SourceIp", 2, "KEY=VALUE"),
    ] {
        let question = [
            "--principal",
            &bob_arn(),
            "--action",
            encrypt,
            "--resource",
            &key,
            "--context",
            said,
        ];
        let told = stage.ask(root, &question);
        assert_eq!(told.code(), code, "{told:?}");
        assert!(told.stderr.contains(words), "no {words} in {told:?}");
    }
    assert_eq!(stage.ask(root, &["--principal", &bob_arn()]).code(), 2);
    assert_eq!(
        stage.ask(root, &["--action", encrypt, "--resource", &key]).code(),
        2
    );
    stage.told(
        root,
        &bob_arn(),
        encrypt,
        &key,
        &["kms:EncryptionContext:team=unrecorded"],
    );

    assert!(stage.server.stop().success());
    let records = crate::records::of(&stage.home.directory.path().join("data/journal"));
    let asked: Vec<&Value> = records
        .iter()
        .filter(|record| record["eventName"] == "Explain")
        .collect();
    let denied = asked
        .iter()
        .find(|record| record["errorCode"] == "AccessDeniedException")
        .unwrap();
    assert_eq!(denied["userIdentity"]["userName"], "bob", "{denied}");
    assert_eq!(denied["requestParameters"]["principal"], bob_arn(), "{denied}");
    let last = asked.last().unwrap();
    assert_eq!(
        last["requestParameters"],
        json!({"principal": bob_arn(), "action": encrypt, "resource": key,
            "contextKeys": ["kms:encryptioncontext:team"]})
    );
    assert_eq!(last["palisade"]["decisions"][0]["action"], "palisade:Explain");
    assert!(
        asked
            .iter()
            .all(|record| !record.to_string().contains("unrecorded"))
    );
}
