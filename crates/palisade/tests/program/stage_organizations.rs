//! What an operation of Organizations needs to exist before it can succeed.
//!
//! An account has one organisation at most, so every preparation begins with
//! none: whatever the one before left is taken down.

use serde_json::{Map, Value, json};
use shape::OperationShape;

use crate::world::{Actor, HOME, World, leaf, operation as shape_of};

type Given = Map<String, Value>;

const SERVICE: &str = "guardduty.amazonaws.com";

/// Makes what `operation` needs, and gives the members that name it.
pub(crate) async fn prepare(world: &World, operation: &'static OperationShape) -> Given {
    let (root, away) = (world.root.clone(), world.away.clone());
    dissolve(world, &root).await;
    dissolve(world, &away).await;
    match operation.name {
        "CreateOrganization" | "ListHandshakesForAccount" => Given::new(),
        "AcceptHandshake" | "DeclineHandshake" | "LeaveOrganization" => as_a_guest(world, operation).await,
        _ => as_the_host(world, operation).await,
    }
}

/// An organisation of this account that lets IAM in and has centralized root
/// access, with a member account if `operation` is about one.
pub(crate) async fn root_access(world: &World, operation: &'static OperationShape) -> Given {
    let (root, away) = (world.root.clone(), world.away.clone());
    dissolve(world, &root).await;
    dissolve(world, &away).await;
    world.ok("organizations:CreateOrganization", json!({})).await;
    let trusted = json!({"ServicePrincipal": "iam.amazonaws.com"});
    world.ok("organizations:EnableAWSServiceAccess", trusted).await;
    world.ok("iam:EnableOrganizationsRootSessions", json!({})).await;
    let mut given = Given::new();
    if operation.name.ends_with("OrganizationsAccessReport") {
        access_report(world, operation, &mut given).await;
    }
    if operation.name == "AssumeRoot" {
        let policy = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials";
        given.insert("TargetPrincipal".into(), json!(account(world).await));
        given.insert("TaskPolicyArn".into(), json!({"arn": policy}));
    }
    given
}

/// A report about the whole organisation, or where it is.
async fn access_report(world: &World, operation: &'static OperationShape, given: &mut Given) {
    let roots = world.ok("organizations:ListRoots", json!({})).await.json();
    let root = &roots["Roots"][0];
    let enable = json!({"RootId": root["Id"], "PolicyType": "SERVICE_CONTROL_POLICY"});
    world.ok("organizations:EnablePolicyType", enable).await;
    let arn = root["Arn"].as_str().unwrap_or_default();
    let path = arn
        .split_once(":root/")
        .map(|(_, path)| json!({"EntityPath": path}));
    let path = path.expect("a root's ARN ends with its path");
    if operation.name.starts_with("Generate") {
        given.insert("EntityPath".into(), path["EntityPath"].clone());
    } else {
        let asked = world.ok("iam:GenerateOrganizationsAccessReport", path).await;
        given.insert("JobId".into(), json!(leaf(&asked, "JobId")));
    }
}

/// Takes an account's organisation down, or the account out of it.
async fn dissolve(world: &World, actor: &Actor) {
    let call = async |name: &str, input: Value| world.call(actor, shape_of(name), &input).await;
    let told = call("organizations:DescribeOrganization", json!({})).await;
    if told.status != 200 {
        return;
    }
    if leaf(&told, "MasterAccountId") != actor.account {
        call("organizations:LeaveOrganization", json!({})).await;
        return;
    }
    call(
        "organizations:DisableAWSServiceAccess",
        json!({"ServicePrincipal": SERVICE}),
    )
    .await;
    loop {
        let accounts = call("organizations:ListAccounts", json!({})).await.json();
        let members: Vec<String> = accounts["Accounts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|account| account["Id"].as_str())
            .filter(|id| *id != actor.account)
            .map(str::to_owned)
            .collect();
        if members.is_empty() {
            let answer = call("organizations:DeleteOrganization", json!({})).await;
            if answer.status == 200 {
                break;
            }
            // An account that was asked for may have come just now.
            assert_eq!(answer.code(), "OrganizationNotEmptyException");
        }
        for id in members {
            let input = json!({"AccountId": id});
            world
                .ok_as(actor, "organizations:RemoveAccountFromOrganization", input)
                .await;
        }
    }
    // The job forgets what was asked of it for this organisation.
    world.advance(1).await;
}

/// The other account's organisation has invited this one.
async fn as_a_guest(world: &World, operation: &'static OperationShape) -> Given {
    let away = world.away.clone();
    world
        .ok_as(&away, "organizations:CreateOrganization", json!({}))
        .await;
    let target = json!({"Target": {"Id": HOME, "Type": "ACCOUNT"}});
    let sent = world
        .ok_as(&away, "organizations:InviteAccountToOrganization", target)
        .await;
    let id = sent.json()["Handshake"]["Id"].clone();
    let mut given = Given::new();
    if operation.name == "LeaveOrganization" {
        world
            .ok("organizations:AcceptHandshake", json!({"HandshakeId": id}))
            .await;
    } else {
        given.insert("HandshakeId".into(), id);
    }
    given
}

/// This account joins the other's organisation, which forbids one of its users everything.
pub(crate) async fn forbid_everything(world: &World, user_arn: &str) {
    let away = world.away.clone();
    world
        .ok_as(&away, "organizations:CreateOrganization", json!({}))
        .await;
    let target = json!({"Target": {"Id": HOME, "Type": "ACCOUNT"}});
    let sent = world
        .ok_as(&away, "organizations:InviteAccountToOrganization", target)
        .await;
    let accepted = json!({"HandshakeId": sent.json()["Handshake"]["Id"]});
    world.ok("organizations:AcceptHandshake", accepted).await;
    let roots = world.ok_as(&away, "organizations:ListRoots", json!({})).await;
    let kind = "SERVICE_CONTROL_POLICY";
    let enable = json!({"RootId": roots.json()["Roots"][0]["Id"], "PolicyType": kind});
    world.ok_as(&away, "organizations:EnablePolicyType", enable).await;
    let content = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*",
        "Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": user_arn}}}});
    let policy = json!({"Name": "forbid", "Description": "", "Type": kind, "Content": content.to_string()});
    let made = world.ok_as(&away, "organizations:CreatePolicy", policy).await;
    let attach = json!({"PolicyId": leaf(&made, "Id"), "TargetId": HOME});
    world.ok_as(&away, "organizations:AttachPolicy", attach).await;
}

/// An organisation of this account, with what the operation names.
async fn as_the_host(world: &World, operation: &'static OperationShape) -> Given {
    let has = |member: &str| operation.input.member(member).is_some();
    let name = operation.name;
    let mut given = Given::new();
    let mut give = |member: &str, value: Value| given.insert(member.to_owned(), value);
    world.ok("organizations:CreateOrganization", json!({})).await;
    let roots = world.ok("organizations:ListRoots", json!({})).await;
    let root = roots.json()["Roots"][0]["Id"].clone();
    let enable = json!({"RootId": root, "PolicyType": "SERVICE_CONTROL_POLICY"});
    let unit = || async {
        let input = json!({"ParentId": root, "Name": world.name("unit")});
        leaf(
            &world.ok("organizations:CreateOrganizationalUnit", input).await,
            "Id",
        )
    };

    if name == "InviteAccountToOrganization" {
        give("Target", json!({"Id": stranger(world).await, "Type": "ACCOUNT"}));
    }
    if has("HandshakeId") {
        let target = json!({"Target": {"Id": stranger(world).await, "Type": "ACCOUNT"}});
        let sent = world
            .ok("organizations:InviteAccountToOrganization", target)
            .await;
        give("HandshakeId", sent.json()["Handshake"]["Id"].clone());
    }
    if has("Email") {
        give("Email", json!(format!("{}@example.com", world.name("account"))));
    }
    if has("AccountId") {
        give("AccountId", json!(account(world).await));
    }
    if has("CreateAccountRequestId") {
        let email = format!("{}@example.com", world.name("account"));
        let input = json!({"Email": email, "AccountName": "sample"});
        let asked = world.ok("organizations:CreateAccount", input).await;
        give(
            "CreateAccountRequestId",
            asked.json()["CreateAccountStatus"]["Id"].clone(),
        );
    }
    for member in ["ParentId", "SourceParentId", "RootId", "ResourceId"] {
        if has(member) {
            give(member, root.clone());
        }
    }
    for member in ["OrganizationalUnitId", "DestinationParentId", "ChildId"] {
        if has(member) {
            give(member, json!(unit().await));
        }
    }
    if has("TargetId") {
        let target = if name == "DescribeEffectivePolicy" {
            json!(HOME)
        } else {
            root.clone()
        };
        give("TargetId", target);
    }
    if name == "CreatePolicy" {
        give("Content", json!(control_policy()));
        give("Name", json!(world.name("policy")));
    }
    if has("PolicyId") {
        let policy = control(world, "SERVICE_CONTROL_POLICY", &control_policy()).await;
        if name != "DeletePolicy" {
            world.ok("organizations:EnablePolicyType", enable.clone()).await;
        }
        if name == "DetachPolicy" {
            let input = json!({"PolicyId": policy, "TargetId": root});
            world.ok("organizations:AttachPolicy", input).await;
        }
        give("PolicyId", json!(policy));
    }
    if has("ServicePrincipal") || name == "ListDelegatedServicesForAccount" {
        let input = json!({"ServicePrincipal": SERVICE});
        world
            .ok("organizations:EnableAWSServiceAccess", input.clone())
            .await;
        if has("ServicePrincipal") {
            give("ServicePrincipal", json!(SERVICE));
        }
    }
    if name == "PutResourcePolicy" {
        give("Content", json!(delegation(world)));
    }
    if name == "DisablePolicyType" {
        world.ok("organizations:EnablePolicyType", enable).await;
    }
    if name == "DescribeEffectivePolicy" {
        let input = json!({"RootId": root, "PolicyType": "TAG_POLICY"});
        world.ok("organizations:EnablePolicyType", input).await;
        let content = r#"{"tags":{"team":{"tag_value":{"@@assign":["red"]}}}}"#;
        let policy = control(world, "TAG_POLICY", content).await;
        let input = json!({"PolicyId": policy, "TargetId": root});
        world.ok("organizations:AttachPolicy", input).await;
    }
    if matches!(name, "DescribeResourcePolicy" | "DeleteResourcePolicy") {
        let input = json!({"Content": delegation(world)});
        world.ok("organizations:PutResourcePolicy", input).await;
    }
    if matches!(
        name,
        "DeregisterDelegatedAdministrator" | "ListDelegatedServicesForAccount"
    ) {
        let input = json!({"AccountId": given["AccountId"], "ServicePrincipal": SERVICE});
        world
            .ok("organizations:RegisterDelegatedAdministrator", input)
            .await;
    }
    given
}

/// A member account; the job that makes it runs when the clock moves.
async fn account(world: &World) -> String {
    let email = format!("{}@example.com", world.name("account"));
    let input = json!({"Email": email, "AccountName": "sample"});
    let asked = world.ok("organizations:CreateAccount", input).await;
    let request = asked.json()["CreateAccountStatus"]["Id"].clone();
    world.advance(1).await;
    let input = json!({"CreateAccountRequestId": request});
    let told = world.ok("organizations:DescribeCreateAccountStatus", input).await;
    leaf(&told, "AccountId")
}

/// An account that is in no organisation, and is neither of those who call.
async fn stranger(world: &World) -> String {
    let id = account(world).await;
    let input = json!({"AccountId": id});
    world
        .ok("organizations:RemoveAccountFromOrganization", input)
        .await;
    id
}

async fn control(world: &World, kind: &str, content: &str) -> String {
    let input = json!({"Name": world.name("policy"), "Description": "", "Type": kind, "Content": content});
    leaf(&world.ok("organizations:CreatePolicy", input).await, "Id")
}

/// Denies what no operation of a sweep does.
fn control_policy() -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}})
        .to_string()
}

/// Lets the other account list accounts, once it is a member.
fn delegation(world: &World) -> String {
    let principal = format!("arn:aws:iam::{}:root", world.away.account);
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": principal},
        "Action": "organizations:ListAccounts", "Resource": "*"}})
    .to_string()
}
