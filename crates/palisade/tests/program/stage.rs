//! What an operation needs to exist before it can succeed.
//!
//! Everything here is made anew for every operation, so that one sweep's
//! deletions do not starve the next.

use serde_json::{Map, Value, json};
use shape::OperationShape;

use crate::world::{HOME, World, leaf, message};

type Given = Map<String, Value>;

/// A statement that allows everything.
pub(crate) fn allow_all() -> Value {
    json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}])
}

fn identity_policy() -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}})
        .to_string()
}

/// Trusts everyone of the account whom a policy of the account lets.
pub(crate) fn trust_policy() -> String {
    let principal = format!("arn:aws:iam::{HOME}:root");
    json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": ["sts:AssumeRole", "sts:TagSession"]}})
    .to_string()
}

/// Makes what `operation` needs, and gives the members that name it.
pub(crate) async fn prepare(world: &World, operation: &'static OperationShape) -> Given {
    match operation.service.name {
        "iam" => iam(world, operation).await,
        "kms" => kms(world, operation).await,
        "organizations" => crate::stage_organizations::prepare(world, operation).await,
        "sts" => sts(world, operation).await,
        // A new service stands here when its operations need something.
        _ => Given::new(),
    }
}

fn has(operation: &OperationShape, member: &str) -> bool {
    operation.input.member(member).is_some()
}

async fn iam(world: &World, operation: &'static OperationShape) -> Given {
    let mut given = Given::new();
    let name = operation.name;
    for (member, noun, create) in [
        ("UserName", "user", "CreateUser"),
        ("GroupName", "group", "CreateGroup"),
        ("RoleName", "role", "CreateRole"),
        ("InstanceProfileName", "profile", "CreateInstanceProfile"),
    ] {
        if !has(operation, member) {
            continue;
        }
        let fresh = world.name(noun);
        given.insert(member.to_owned(), json!(fresh));
        if name != create {
            let mut input = json!({member: fresh});
            if noun == "role" {
                input["AssumeRolePolicyDocument"] = json!(trust_policy());
            }
            world.ok(&format!("iam:{create}"), input).await;
        }
    }
    if has(operation, "AccountAlias") {
        given.insert("AccountAlias".into(), json!(world.name("alias")));
    }
    match name {
        "DeleteAccountAlias" => {
            world
                .ok("iam:CreateAccountAlias", Value::Object(given.clone()))
                .await;
        }
        "GetAccountPasswordPolicy" | "DeleteAccountPasswordPolicy" => {
            world.ok("iam:UpdateAccountPasswordPolicy", json!({})).await;
        }
        "RemoveRoleFromInstanceProfile" => {
            world
                .ok("iam:AddRoleToInstanceProfile", Value::Object(given.clone()))
                .await;
        }
        _ => {}
    }
    if name == "CreatePolicy" {
        given.insert("PolicyName".into(), json!(world.name("policy")));
    }
    let boundary = name.ends_with("PermissionsBoundary");
    if has(operation, "PolicyArn") || boundary {
        let input = json!({"PolicyName": world.name("policy"), "PolicyDocument": identity_policy()});
        let arn = leaf(&world.ok("iam:CreatePolicy", input).await, "Arn");
        let member = if boundary {
            "PermissionsBoundary"
        } else {
            "PolicyArn"
        };
        given.insert(member.into(), json!(arn));
    }
    if has(operation, "VersionId") {
        let input = json!({"PolicyArn": given["PolicyArn"], "PolicyDocument": identity_policy()});
        world.ok("iam:CreatePolicyVersion", input).await;
        given.insert("VersionId".into(), json!("v2"));
    }
    for member in ["PolicyDocument", "AssumeRolePolicyDocument"] {
        if has(operation, member) {
            let trusts = member.starts_with("AssumeRole") || name == "UpdateAssumeRolePolicy";
            let document = if trusts { trust_policy() } else { identity_policy() };
            given.insert(member.into(), json!(document));
        }
    }
    if has(operation, "AccessKeyId") {
        let user = match given.get("UserName") {
            Some(user) => user.clone(),
            None => {
                let fresh = json!(world.name("user"));
                world.ok("iam:CreateUser", json!({"UserName": fresh})).await;
                fresh
            }
        };
        let input = json!({"UserName": user});
        let made = world.ok("iam:CreateAccessKey", input).await;
        given.insert("AccessKeyId".into(), json!(leaf(&made, "AccessKeyId")));
    }
    // What is taken away or read must have been put there.
    let put = match name {
        "DeleteUserPolicy" | "GetUserPolicy" => Some("iam:PutUserPolicy"),
        "DeleteGroupPolicy" | "GetGroupPolicy" => Some("iam:PutGroupPolicy"),
        "DeleteRolePolicy" | "GetRolePolicy" => Some("iam:PutRolePolicy"),
        "DetachUserPolicy" => Some("iam:AttachUserPolicy"),
        "DetachGroupPolicy" => Some("iam:AttachGroupPolicy"),
        "DetachRolePolicy" => Some("iam:AttachRolePolicy"),
        "RemoveUserFromGroup" => Some("iam:AddUserToGroup"),
        "DeleteUserPermissionsBoundary" => Some("iam:PutUserPermissionsBoundary"),
        "DeleteRolePermissionsBoundary" => Some("iam:PutRolePermissionsBoundary"),
        _ => None,
    };
    if name.ends_with("Policy") && has(operation, "PolicyName") && !given.contains_key("PolicyName") {
        given.insert("PolicyName".into(), json!("inline"));
    }
    if let Some(put) = put {
        let mut input = Value::Object(given.clone());
        if put.starts_with("iam:Put") && put.ends_with("Policy") {
            input["PolicyDocument"] = json!(identity_policy());
        }
        world.ok(put, input).await;
        if name.starts_with("Delete") && boundary {
            given.remove("PermissionsBoundary");
        }
    }
    given
}

async fn kms(world: &World, operation: &'static OperationShape) -> Given {
    let mut given = Given::new();
    let name = operation.name;
    let (spec, usage) = match name {
        "Sign" | "Verify" | "GetPublicKey" => ("ECC_NIST_P256", "SIGN_VERIFY"),
        "GenerateMac" | "VerifyMac" => ("HMAC_256", "GENERATE_VERIFY_MAC"),
        _ => ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    };
    match name {
        "Sign" | "Verify" => given.insert("SigningAlgorithm".into(), json!("ECDSA_SHA_256")),
        "GenerateMac" | "VerifyMac" => given.insert("MacAlgorithm".into(), json!("HMAC_SHA_256")),
        "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => {
            given.insert("KeySpec".into(), json!("AES_256"))
        }
        "GenerateRandom" => given.insert("NumberOfBytes".into(), json!(32)),
        _ => None,
    };
    let needs_key = ["KeyId", "TargetKeyId", "DestinationKeyId"];
    if !needs_key.iter().any(|member| has(operation, member)) && !has(operation, "AliasName") {
        return given;
    }
    let made = world
        .ok("kms:CreateKey", json!({"KeySpec": spec, "KeyUsage": usage}))
        .await;
    let arn = leaf(&made, "Arn");
    for member in needs_key {
        // ListAliases with a key is another operation than without; both name what they list.
        if has(operation, member) {
            given.insert(member.to_owned(), json!(arn));
        }
    }
    if has(operation, "AliasName") {
        let alias = format!("alias/{}", world.name("alias"));
        given.insert("AliasName".into(), json!(alias));
        if name != "CreateAlias" {
            let input = json!({"AliasName": alias, "TargetKeyId": arn});
            world.ok("kms:CreateAlias", input).await;
        }
    }
    if has(operation, "CiphertextBlob") {
        let input = json!({"KeyId": arn, "Plaintext": world.marker()});
        let sealed = leaf(&world.ok("kms:Encrypt", input).await, "CiphertextBlob");
        given.insert("CiphertextBlob".into(), json!(sealed));
    }
    if name == "Verify" || name == "VerifyMac" {
        given.insert("Message".into(), world.marker());
        let (make, member) = match name {
            "Verify" => ("kms:Sign", "Signature"),
            _ => ("kms:GenerateMac", "Mac"),
        };
        let made = leaf(&world.ok(make, Value::Object(given.clone())).await, member);
        given.insert(member.into(), json!(made));
    }
    match name {
        "CancelKeyDeletion" => {
            world.ok("kms:ScheduleKeyDeletion", json!({"KeyId": arn})).await;
        }
        "PutKeyPolicy" => {
            let principal = format!("arn:aws:iam::{HOME}:root");
            let policy = json!({"Version": "2012-10-17", "Statement":
                {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"}});
            given.insert("Policy".into(), json!(policy.to_string()));
        }
        _ => {}
    }
    given
}

async fn sts(world: &World, operation: &'static OperationShape) -> Given {
    let mut given = Given::new();
    match operation.name {
        "AssumeRole" => {
            let input = json!({"RoleName": world.name("role"), "AssumeRolePolicyDocument": trust_policy()});
            let arn = leaf(&world.ok("iam:CreateRole", input).await, "Arn");
            given.insert("RoleArn".into(), json!(arn));
        }
        "GetAccessKeyInfo" => {
            given.insert("AccessKeyId".into(), json!("ASIAY34FZKBOKMUTVV7A"));
        }
        _ => {}
    }
    given
}

/// Tells an answer in a message.
pub(crate) fn told(answer: &testkit::client::Answer) -> String {
    format!("{} {} {}", answer.status, answer.code(), message(answer))
}
