//! Nobody gets in who may not, whatever the operation; and the same request
//! then succeeds for one who may, which proves that it was a good one and that
//! the refusals changed nothing.

use serde_json::{Value, json};
use shape::{OperationShape, Protocol};
use testkit::client::Answer;
use testkit::sample::{self, Broken};

use crate::stage::{allow_all, prepare, told, trust_policy};
use crate::world::{
    Actor, HOME, REGION, World, assert_none, full_name, leaf, message, operations, unsigned_operations,
};

/// Operations that need no permission on AWS either.
pub(crate) const NEED_NO_PERMISSION: &[(&str, &str)] = &[
    (
        "sts:GetCallerIdentity",
        "answers every valid credential (STS API Reference)",
    ),
    ("sts:GetSessionToken", "needs no permission (STS API Reference)"),
];

/// Operations that refuse even those who may, since what they are about is not there.
const FIND_NOTHING: &[(&str, &str)] = &[
    ("iam:ChangePassword", "the one who may has no password"),
    (
        "iam:GetOrganizationsAccessReport",
        "a report is for the one who asked for it",
    ),
    (
        "iam:GetServiceLastAccessedDetails",
        "a report is for the one who asked for it",
    ),
    (
        "iam:GetServiceLastAccessedDetailsWithEntities",
        "a report is for the one who asked for it",
    ),
    (
        "organizations:EnableAllFeatures",
        "every organisation has them from the beginning",
    ),
    (
        "sts:DecodeAuthorizationMessage",
        "no service of the program encodes its refusals yet",
    ),
];

/// How they say so.
const NOTHING_FOUND: [&str; 3] = [
    "HandshakeConstraintViolationException",
    "InvalidAuthorizationMessageException",
    "NoSuchEntity",
];

/// Whether this is the answer for one who may.
pub(crate) fn is_done(name: &str, answer: &Answer) -> bool {
    if FIND_NOTHING.iter().any(|(listed, _)| *listed == name) {
        NOTHING_FOUND.contains(&answer.code().as_str())
    } else {
        answer.status == 200
    }
}

/// Refusals that are told by another code than the protocol's for denied calls.
const REFUSED_OTHERWISE: &[(&str, &str, &str, &str)] = &[(
    "sts:GetFederationToken",
    "session",
    "AccessDenied",
    "session credentials may never call it",
)];

/// What another account's root user gets where it is not a denial, and why.
/// Names without an account in them mean the caller's own.
const AWAY_ALLOWED: &[(&str, &str)] = &[
    ("kms:CreateCustomKeyStore", "makes a store of its own"),
    ("kms:CreateKey", "makes a key of its own"),
    ("kms:DescribeCustomKeyStores", "lists its own"),
    ("kms:GenerateRandom", "names no resource"),
    ("kms:ListKeys", "lists its own"),
    ("iam:CreateAccountAlias", "gives itself the name"),
    ("iam:CreateGroup", "makes a group of its own"),
    ("iam:CreateInstanceProfile", "makes a profile of its own"),
    ("iam:CreateOpenIDConnectProvider", "makes a provider of its own"),
    ("iam:CreatePolicy", "makes a policy of its own"),
    ("iam:CreateRole", "makes a role of its own"),
    ("iam:CreateServiceLinkedRole", "makes a role of its own"),
    ("iam:CreateSAMLProvider", "makes a provider of its own"),
    ("iam:CreateUser", "makes a user of its own"),
    ("iam:CreateVirtualMFADevice", "makes a device of its own"),
    ("iam:DeleteAccountPasswordPolicy", "deletes its own"),
    (
        "iam:EnableOutboundWebIdentityFederation",
        "makes an issuer of its own",
    ),
    ("iam:GenerateCredentialReport", "makes a report of its own"),
    ("iam:GetAccountAuthorizationDetails", "lists its own"),
    ("iam:GetAccountSummary", "counts its own"),
    ("iam:GetContextKeysForCustomPolicy", "reads what it is given"),
    ("iam:GetCredentialReport", "reads the one it made"),
    ("iam:ListAccountAliases", "lists its own"),
    ("iam:ListGroups", "lists its own"),
    ("iam:ListInstanceProfiles", "lists its own"),
    ("iam:ListOpenIDConnectProviders", "lists its own"),
    ("iam:ListPolicies", "lists its own"),
    ("iam:ListRoles", "lists its own"),
    ("iam:ListSAMLProviders", "lists its own"),
    ("iam:ListServerCertificates", "lists its own"),
    ("iam:ListUsers", "lists its own"),
    ("iam:ListVirtualMFADevices", "lists its own"),
    ("iam:SetSecurityTokenServicePreferences", "sets its own"),
    ("iam:SimulateCustomPolicy", "weighs what it is given"),
    ("iam:UpdateAccountPasswordPolicy", "writes its own"),
    ("iam:UploadServerCertificate", "keeps one of its own"),
    ("organizations:CreateOrganization", "makes one of its own"),
    ("organizations:ListHandshakesForAccount", "lists its own"),
    ("sts:GetAccessKeyInfo", "names no resource of an account"),
    ("sts:GetCallerIdentity", "is about the caller"),
    ("sts:GetFederationToken", "is about the caller"),
    ("sts:GetSessionToken", "is about the caller"),
];

/// Codes that tell another account that there is nothing for it.
const NOT_THERE: &[&str] = &[
    "AWSOrganizationsNotInUseException",
    "CustomKeyStoreNotFoundException",
    "FeatureDisabled",
    "HandshakeNotFoundException",
    // Another account's message, or none.
    "InvalidAuthorizationMessageException",
    // A root user has no password to change.
    "InvalidUserType",
    // It has an organisation of its own, and is its management account.
    "MasterCannotLeaveOrganizationException",
    "NoSuchEntity",
    "NotFoundException",
    "OrganizationNotFoundException",
    "OutboundWebIdentityFederationDisabledException",
];

fn missing_token(protocol: Protocol) -> (u16, &'static str) {
    match protocol {
        Protocol::Json10 | Protocol::Json11 => (400, "MissingAuthenticationTokenException"),
        Protocol::RestJson => (403, "MissingAuthenticationTokenException"),
        Protocol::Query => (403, "MissingAuthenticationToken"),
        Protocol::Ec2 => (400, "MissingParameter"),
        Protocol::RestXml => (403, "AccessDenied"),
    }
}

fn unknown_token(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => "UnrecognizedClientException",
        Protocol::Query => "InvalidClientTokenId",
        Protocol::Ec2 => "AuthFailure",
        Protocol::RestXml => "InvalidAccessKeyId",
    }
}

fn expired_token(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => "ExpiredTokenException",
        Protocol::Query | Protocol::RestXml => "ExpiredToken",
        Protocol::Ec2 => "RequestExpired",
    }
}

fn wrong_signature(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => "InvalidSignatureException",
        Protocol::Query | Protocol::RestXml => "SignatureDoesNotMatch",
        Protocol::Ec2 => "AuthFailure",
    }
}

pub(crate) fn denied(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::RestJson => "AccessDeniedException",
        Protocol::Query | Protocol::RestXml => "AccessDenied",
        Protocol::Ec2 => "UnauthorizedOperation",
    }
}

/// Callers who may do nothing, each for another reason.
async fn callers_who_may_nothing(world: &World) -> Vec<Actor> {
    let nobody = world.user("nobody", json!([])).await;
    let denied = world
        .user(
            "denied",
            json!([{"Effect": "Allow", "Action": "*", "Resource": "*"},
                   {"Effect": "Deny", "Action": "*", "Resource": "*"}]),
        )
        .await;

    let elsewhere = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})
    .to_string();
    let bounded = world.user("bounded", allow_all()).await;
    let policy = json!({"PolicyName": "boundary", "PolicyDocument": elsewhere});
    let arn = leaf(&world.ok("iam:CreatePolicy", policy).await, "Arn");
    let boundary = json!({"UserName": "bounded", "PermissionsBoundary": arn});
    world.ok("iam:PutUserPermissionsBoundary", boundary).await;

    let session = session_of_a_role(world, Some(elsewhere)).await;
    vec![nobody, denied, bounded, session]
}

/// A session of a role that may do everything, unless the session policy says otherwise.
async fn session_of_a_role(world: &World, policy: Option<String>) -> Actor {
    let assumer = world.user("assumer", allow_all()).await;
    let role = json!({"RoleName": "powerful", "AssumeRolePolicyDocument": trust_policy()});
    let arn = leaf(&world.ok("iam:CreateRole", role).await, "Arn");
    let all = json!({"Version": "2012-10-17", "Statement": allow_all()}).to_string();
    let own = json!({"RoleName": "powerful", "PolicyName": "own", "PolicyDocument": all});
    world.ok("iam:PutRolePolicy", own).await;
    let mut input = json!({"RoleArn": arn, "RoleSessionName": "sweep"});
    if let Some(policy) = policy {
        input["Policy"] = json!(policy);
    }
    let answer = world.ok_as(&assumer, "sts:AssumeRole", input).await;
    let arn = format!("arn:aws:sts::{HOME}:assumed-role/powerful/sweep");
    world.session("session", &answer, "AssumedRole", arn)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_for_those_who_may_not_and_all_of_it_for_one_who_may() {
    let world = World::new().await;
    assert_none(&those_who_may_not(&world, &operations()).await);
    world.finish().await;
}

/// What is wrong when those call who may not, and then one who may.
pub(crate) async fn those_who_may_not(world: &World, operations: &[&'static OperationShape]) -> Vec<String> {
    let admin = world.user("admin", allow_all()).await;
    let refused = callers_who_may_nothing(world).await;
    let mut problems = Vec::new();
    let mut needless: Vec<&str> = NEED_NO_PERMISSION.iter().map(|(name, _)| *name).collect();
    let mut otherwise: Vec<_> = REFUSED_OTHERWISE.to_vec();
    for &operation in operations {
        let name = full_name(operation);
        let given = prepare(world, operation).await;
        let input = world.input(operation, &given);
        for actor in &refused {
            let answer = world.call(actor, operation, &input).await;
            if NEED_NO_PERMISSION.iter().any(|(listed, _)| *listed == name) {
                needless.retain(|listed| *listed != name);
                continue;
            }
            if answer.code() != denied(operation.service.protocol) {
                problems.push(format!("{name} by {} answered {}", actor.name, told(&answer)));
                continue;
            }
            // The words name who, what and why, unless a rule beside the policies refuses.
            let words = format!("User: {} is not authorized to perform: ", actor.arn);
            let listed = otherwise
                .iter()
                .position(|(listed, who, ..)| *listed == name && *who == actor.name);
            match (message(&answer).starts_with(&words), listed) {
                (true, None) => {}
                (false, Some(at)) => {
                    otherwise.remove(at);
                }
                _ => problems.push(format!("{name} by {} was told {}", actor.name, told(&answer))),
            }
            if answer.headers.contains_key("x-palisade-decision") {
                problems.push(format!("{name} told {} the reasons", actor.name));
            }
        }
        let answer = world.call(&admin, operation, &input).await;
        if !is_done(&name, &answer) {
            problems.push(format!("{name} by admin with {input} answered {}", told(&answer)));
        }
    }
    problems.extend(
        needless
            .iter()
            .map(|name| format!("{name} needs permission: take it off the list")),
    );
    problems.extend(
        otherwise
            .iter()
            .map(|row| format!("{row:?} is not needed: take it off the list")),
    );
    problems
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_for_those_who_are_not_who_they_say() {
    let world = World::new().await;
    assert_none(&those_who_are_not_who_they_say(&world, &operations()).await);
    world.finish().await;
}

/// What is wrong when nobody signed, or with what does not authenticate.
pub(crate) async fn those_who_are_not_who_they_say(
    world: &World,
    operations: &[&'static OperationShape],
) -> Vec<String> {
    let admin = world.user("admin", allow_all()).await;
    let short = json!({"DurationSeconds": 900});
    let answer = world.ok_as(&admin, "sts:GetSessionToken", short).await;
    let expired = world.session("expired", &answer, "IAMUser", admin.arn.clone());
    world.advance(901).await;

    let answer = world.ok_as(&admin, "sts:GetSessionToken", json!({})).await;
    let alive = world.session("alive", &answer, "IAMUser", admin.arn.clone());
    let changed = |name, change: &dyn Fn(&mut Actor)| {
        let mut actor = alive.clone();
        actor.name = name;
        change(&mut actor);
        actor
    };
    let tokenless = changed("tokenless", &|actor| actor.signer.session_token = None);
    let altered = changed("altered token", &|actor| {
        let token = actor.signer.session_token.as_mut().unwrap();
        let last = token.len() - 8;
        let other = if token.as_bytes()[last] == b'A' { "B" } else { "A" };
        token.replace_range(last..=last, other);
    });
    let inactive = world.user("inactive", allow_all()).await;
    let key = &inactive.signer.access_key_id;
    let off = json!({"UserName": "inactive", "AccessKeyId": key, "Status": "Inactive"});
    world.ok("iam:UpdateAccessKey", off).await;
    let deleted = world.user("deleted", allow_all()).await;
    let gone = json!({"UserName": "deleted", "AccessKeyId": &deleted.signer.access_key_id});
    world.ok("iam:DeleteAccessKey", gone).await;
    let mut forger = admin.clone();
    forger.name = "forger";
    forger.signer.secret = "not the secret".to_owned();

    let mut problems = Vec::new();
    for &operation in operations {
        let name = full_name(operation);
        let protocol = operation.service.protocol;
        let input = world.input(operation, &serde_json::Map::new());
        let (status, code) = missing_token(protocol);
        let answer = world.call_unrecorded(REGION, None, operation, &input).await;
        if (answer.status, answer.code().as_str()) != (status, code) {
            problems.push(format!("{name} unsigned answered {}", told(&answer)));
        }
        for (actor, code) in [
            (&expired, expired_token(protocol)),
            (&tokenless, unknown_token(protocol)),
            (&altered, unknown_token(protocol)),
            (&inactive, unknown_token(protocol)),
            (&deleted, unknown_token(protocol)),
            (&forger, wrong_signature(protocol)),
        ] {
            let answer = world
                .call_unrecorded(REGION, Some(actor), operation, &input)
                .await;
            if answer.code() != code {
                problems.push(format!("{name} by {} answered {}", actor.name, told(&answer)));
            }
        }
    }
    problems
}

/// What nobody signs takes no signature for a token, and breaks on nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_for_those_who_bring_no_token() {
    let world = World::new().await;
    let admin = world.user("admin", allow_all()).await;
    let operations = unsigned_operations();
    assert_eq!(operations.len(), 2, "SAML and web identity");
    let mut problems = Vec::new();
    for operation in operations {
        let given = prepare(&world, operation).await;
        let input = world.input(operation, &given);
        let missing = sample::mutations(operation, &input)
            .into_iter()
            .filter(|mutation| mutation.broken == Broken::Missing)
            .map(|mutation| mutation.input);
        for input in std::iter::once(input.clone()).chain(missing) {
            for actor in [None, Some(&admin)] {
                let answer = world.call_unrecorded(REGION, actor, operation, &input).await;
                if !(400..500).contains(&answer.status) {
                    problems.push(format!(
                        "{} with {input} answered {}",
                        full_name(operation),
                        told(&answer)
                    ));
                }
            }
        }
    }
    assert_none(&problems);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_user_of_another_account_sees_and_does_nothing_here() {
    let world = World::new().await;
    assert_none(&another_account(&world, &operations()).await);
    world.finish().await;
}

/// What is wrong when another account's root user calls.
pub(crate) async fn another_account(world: &World, operations: &[&'static OperationShape]) -> Vec<String> {
    let admin = world.user("admin", allow_all()).await;
    let away = world.away.clone();
    let mut problems = Vec::new();
    let mut listed: Vec<&str> = AWAY_ALLOWED.iter().map(|(name, _)| *name).collect();
    for &operation in operations {
        let name = full_name(operation);
        let given = prepare(world, operation).await;
        let input = world.input(operation, &given);
        let answer = world.call(&away, operation, &input).await;
        let is_listed = listed.contains(&name.as_str());
        listed.retain(|listed| *listed != name);
        match answer.status {
            200 if is_listed => {
                problems.extend(mentions_home(&answer).map(|line| format!("{name} by away shows {line}")));
            }
            200 => problems.push(format!(
                "{name} by away with {input} succeeded: {}",
                answer.text()
            )),
            _ if is_listed => {
                problems.push(format!("{name} by away answered {}: off the list", told(&answer)));
            }
            _ => {
                let code = answer.code();
                let not_there = NOT_THERE.contains(&code.as_str());
                if code != denied(operation.service.protocol) && !not_there {
                    problems.push(format!("{name} by away answered {}", told(&answer)));
                }
            }
        }
        // What away was refused, or did to itself, left everything here as it
        // was, but for the one name that all accounts share.
        let answer = world.call(&admin, operation, &input).await;
        let taken = name == "iam:CreateAccountAlias" && answer.code() == "EntityAlreadyExists";
        if !taken && !is_done(&name, &answer) {
            problems.push(format!("{name} by admin after away answered {}", told(&answer)));
        }
    }
    problems.extend(
        listed
            .iter()
            .map(|name| format!("{name} is no operation: take it off the list")),
    );
    problems
}

/// An ARN of the home account in an answer to another. In the trust policies
/// that were sent along the colons are escaped.
fn mentions_home(answer: &Answer) -> Option<String> {
    let text = answer.text();
    let at = text.find(&format!("{HOME}:"))?;
    Some(text[at.saturating_sub(60)..(at + 60).min(text.len())].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_binds_the_very_next_call() {
    let world = World::new().await;
    let user = world.user("user", json!([])).await;
    let list = crate::world::operation("kms:ListKeys");
    let denied = |answer: &Answer| answer.code() == "AccessDeniedException";
    for _ in 0..20 {
        assert!(denied(&world.call(&user, list, &json!({})).await));
        let policy = json!({"Version": "2012-10-17", "Statement": allow_all()}).to_string();
        let put = json!({"UserName": "user", "PolicyName": "own", "PolicyDocument": policy});
        world.ok("iam:PutUserPolicy", put).await;
        assert_eq!(world.call(&user, list, &json!({})).await.status, 200);
        let delete: Value = json!({"UserName": "user", "PolicyName": "own"});
        world.ok("iam:DeleteUserPolicy", delete).await;
    }
    world.finish().await;
}
