//! Centralized root access: who may have a session of a member's root user,
//! for what, and what such a session may do.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use gate::{AtHand, Guardrails, Membership, ServiceAccess, Standing};
use ground::AccountId;
use policy::{Attached, Document, DocumentKind, Holder, Level};
use serde_json::Value;
use store::StoreError;

use crate::world::{AWAY, HOME, World, leaf};

const AWAY_ROOT: &str = "arn:aws:iam::444455556666:root";
const STRANGER: &str = "999988887777";
const TASKS: &str = "arn:aws:iam::aws:policy/root-task/";

/// An organisation that HOME manages and AWAY is a member of.
struct Family(Mutex<Ways>);

/// How it stands.
#[derive(Clone)]
struct Ways {
    organization: &'static str,
    /// Whether IAM has trusted access.
    trusted: bool,
    /// Whether AWAY is a delegated administrator for IAM.
    delegated: bool,
    /// What a service control policy over AWAY denies, and a resource control policy.
    scp: Option<&'static str>,
    rcp: Option<&'static str>,
}

impl Family {
    fn new() -> Arc<Family> {
        Arc::new(Family(Mutex::new(Ways {
            organization: "o-family0001",
            trusted: true,
            delegated: false,
            scp: None,
            rcp: None,
        })))
    }

    fn change(&self, change: impl FnOnce(&mut Ways)) {
        change(&mut self.0.lock().unwrap());
    }

    fn ways(&self) -> Ways {
        self.0.lock().unwrap().clone()
    }
}

/// One level that allows everything but an action.
fn all_but(action: &str, kind: DocumentKind, principal: &str) -> Vec<Level> {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow"{principal},"Action":"*","Resource":"*"}},
            {{"Effect":"Deny"{principal},"Action":"{action}","Resource":"*"}}]}}"#
    );
    let document = Document::parse(&text, kind).unwrap();
    let holder = Holder::Target(AWAY.into());
    vec![Level {
        target: AWAY.into(),
        policies: vec![Attached::inline("all but", holder, Arc::new(document))],
    }]
}

impl Guardrails for Family {
    fn over(&self, account: AccountId) -> AtHand<'_, Result<Arc<Standing>, StoreError>> {
        let ways = self.ways();
        let text = account.to_string();
        if text != HOME && text != AWAY {
            return AtHand::Now(Ok(Arc::default()));
        }
        let bound = text == AWAY;
        let scp = ways.scp.filter(|_| bound);
        let rcp = ways.rcp.filter(|_| bound);
        let principal = r#","Principal":"*""#;
        AtHand::Now(Ok(Arc::new(Standing {
            membership: Some(Membership {
                organization: ways.organization.to_owned(),
                path: format!("{}/r-ab12/", ways.organization),
                management: AccountId::parse(HOME).unwrap(),
            }),
            service_control: scp.map(|action| all_but(action, DocumentKind::ServiceControl, "")),
            resource_control: rcp.map(|action| all_but(action, DocumentKind::Resource, principal)),
        })))
    }

    fn service_access<'a>(
        &'a self,
        account: AccountId,
        service: &'a str,
    ) -> BoxFuture<'a, Result<ServiceAccess, StoreError>> {
        assert_eq!(service, "iam.amazonaws.com");
        let ways = self.ways();
        Box::pin(std::future::ready(Ok(ServiceAccess {
            trusted: ways.trusted,
            delegated: ways.delegated && account.to_string() == AWAY,
        })))
    }
}

struct Stage {
    world: World,
    family: Arc<Family>,
}

impl Stage {
    /// The family, with `breaker` in HOME who may assume root, and both features on.
    async fn new() -> Stage {
        let family = Family::new();
        let world = World::under(iam::Issuers::none(), family.clone()).await;
        let mut stage = Stage { world, family };
        for feature in [
            "EnableOrganizationsRootCredentialsManagement",
            "EnableOrganizationsRootSessions",
        ] {
            stage.world.ok("root", "iam", feature, &[]).await;
        }
        stage.user("root", "breaker", "sts:AssumeRoot", "{}").await;
        stage
    }

    /// A user who may do one thing under a condition.
    async fn user(&mut self, by: &str, name: &str, action: &str, condition: &str) {
        self.world.user(by, name).await;
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"*","Condition":{condition}}}}}"#
        );
        let policy = [
            ("UserName", name),
            ("PolicyName", "own"),
            ("PolicyDocument", document.as_str()),
        ];
        self.world.ok(by, "iam", "PutUserPolicy", &policy).await;
    }

    /// Becomes root of AWAY for a task, under the task's name.
    async fn become_root(&mut self, task: &'static str) -> String {
        let policy = format!("{TASKS}{task}");
        let asked = [("TargetPrincipal", AWAY), ("TaskPolicyArn.arn", policy.as_str())];
        let answer = self.world.ok("breaker", "sts", "AssumeRoot", &asked).await;
        self.world.remember(task, &answer);
        answer
    }

    /// Asks to become root, and is refused with this code and words.
    async fn refused(&self, who: &str, target: &str, policy: &str, code: &str, words: &str) {
        let asked = [("TargetPrincipal", target), ("TaskPolicyArn.arn", policy)];
        let answer = self.world.call(who, "sts", "AssumeRoot", &asked).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }

    async fn features(&self, who: &str) -> String {
        let told = self.world.ok(who, "iam", "ListOrganizationsFeatures", &[]).await;
        assert!(told.contains(&format!("<OrganizationId>{}<", self.family.ways().organization)));
        ["RootCredentialsManagement", "RootSessions"]
            .into_iter()
            .filter(|feature| told.contains(&format!("<member>{feature}</member>")))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn audit() -> String {
    format!("{TASKS}IAMAuditRootUserCredentials")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn features_are_the_management_accounts_to_enable() {
    let family = Family::new();
    let world = World::under(iam::Issuers::none(), family.clone()).await;
    let stage = Stage { world, family };
    let world = &stage.world;
    assert_eq!(stage.features("root").await, "");
    for _ in 0..2 {
        world
            .ok("root", "iam", "EnableOrganizationsRootSessions", &[])
            .await;
        assert_eq!(stage.features("root").await, "RootSessions");
    }
    let enable = "EnableOrganizationsRootCredentialsManagement";
    world.ok("root", "iam", enable, &[]).await;
    assert_eq!(
        stage.features("root").await,
        "RootCredentialsManagement RootSessions"
    );

    let not_entitled = "AccountNotManagementOrDelegatedAdministratorException";
    for operation in [
        enable,
        "EnableOrganizationsRootSessions",
        "DisableOrganizationsRootSessions",
        "DisableOrganizationsRootCredentialsManagement",
        "ListOrganizationsFeatures",
    ] {
        world.fails("away", "iam", operation, &[], not_entitled).await;
    }
    stage.family.change(|ways| ways.delegated = true);
    world
        .fails(
            "away",
            "iam",
            enable,
            &[],
            "CallerIsNotManagementAccountException",
        )
        .await;
    assert_eq!(
        stage.features("away").await,
        "RootCredentialsManagement RootSessions"
    );
    world
        .ok("away", "iam", "DisableOrganizationsRootSessions", &[])
        .await;
    assert_eq!(stage.features("root").await, "RootCredentialsManagement");

    stage.family.change(|ways| ways.trusted = false);
    for who in ["root", "away"] {
        let untrusted = "ServiceAccessNotEnabledException";
        world
            .fails(who, "iam", "ListOrganizationsFeatures", &[], untrusted)
            .await;
    }
    // Another organisation of the same account begins with nothing.
    stage.family.change(|ways| {
        ways.trusted = true;
        ways.organization = "o-family0002";
    });
    assert_eq!(stage.features("root").await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_features_outside_of_organisations() {
    let world = World::new().await;
    for operation in ["EnableOrganizationsRootSessions", "ListOrganizationsFeatures"] {
        world
            .fails("root", "iam", operation, &[], "OrganizationNotFoundException")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_root_for_its_task_and_for_nothing_else() {
    let mut stage = Stage::new().await;
    stage.world.user("away", "bob").await;
    let answer = stage.become_root("IAMAuditRootUserCredentials").await;
    assert!(!answer.contains("SourceIdentity"));
    stage.become_root("IAMDeleteRootUserCredentials").await;
    let world = &stage.world;
    let (audit, delete) = ("IAMAuditRootUserCredentials", "IAMDeleteRootUserCredentials");

    let who = world.ok(audit, "sts", "GetCallerIdentity", &[]).await;
    assert_eq!(
        (leaf(&who, "Arn"), leaf(&who, "UserId")),
        (AWAY_ROOT.into(), AWAY.into())
    );

    // It looks at what root has.
    let user = world.ok(audit, "iam", "GetUser", &[]).await;
    assert_eq!(leaf(&user, "Arn"), AWAY_ROOT);
    let key = format!("ROOT{AWAY}");
    assert!(world.ok(audit, "iam", "ListAccessKeys", &[]).await.contains(&key));
    for list in ["ListMFADevices", "ListSigningCertificates"] {
        world.ok(audit, "iam", list, &[]).await;
    }
    let used = [("AccessKeyId", key.as_str())];
    world.ok(audit, "iam", "GetAccessKeyLastUsed", &used).await;
    let summary = world.ok(audit, "iam", "GetAccountSummary", &[]).await;
    assert!(
        summary.contains("<key>AccountAccessKeysPresent</key><value>1</value>"),
        "{summary}"
    );
    world
        .fails(audit, "iam", "GetLoginProfile", &[], "NoSuchEntity")
        .await;

    // It neither changes anything nor looks at anybody else.
    let denied = async |who: &str, service: &str, action: &str, with: &[(&str, &str)], why: &str| {
        let answer = world.call(who, service, action, with).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "AccessDenied"),
            "{action}"
        );
        assert!(answer.text().contains(why), "{action}: {}", answer.text());
    };
    let by_task = "with an explicit deny in a session policy: arn:aws:iam::aws:policy/root-task/";
    denied(audit, "iam", "DeleteAccessKey", &used, by_task).await;
    denied(audit, "iam", "GetUser", &[("UserName", "bob")], by_task).await;
    denied(audit, "iam", "ListAccessKeys", &[("UserName", "bob")], by_task).await;
    denied(audit, "iam", "CreateUser", &[("UserName", "eve")], by_task).await;
    denied(delete, "iam", "GetAccountSummary", &[], by_task).await;
    denied(delete, "iam", "CreateAccessKey", &[], by_task).await;
    denied(
        delete,
        "iam",
        "DeleteLoginProfile",
        &[("UserName", "bob")],
        by_task,
    )
    .await;
    let role = format!("arn:aws:iam::{AWAY}:role/any");
    let assume = [("RoleArn", role.as_str()), ("RoleSessionName", "on")];
    denied(
        delete,
        "sts",
        "AssumeRole",
        &assume,
        "Roles may not be assumed by root",
    )
    .await;
    let session = "Cannot call";
    denied(delete, "sts", "GetSessionToken", &[], session).await;
    denied(delete, "sts", "GetFederationToken", &[("Name", "on")], session).await;
    let policy = self::audit();
    let again = [("TargetPrincipal", AWAY), ("TaskPolicyArn.arn", policy.as_str())];
    denied(delete, "sts", "AssumeRoot", &again, session).await;

    // It takes away what it is for.
    let device = [("SerialNumber", "arn:aws:iam::444455556666:mfa/none")];
    world
        .fails(delete, "iam", "DeactivateMFADevice", &device, "NoSuchEntity")
        .await;
    world.ok(delete, "iam", "DeleteAccessKey", &used).await;
    world
        .fails("away", "sts", "GetCallerIdentity", &[], "InvalidClientTokenId")
        .await;
    let summary = world.ok(audit, "iam", "GetAccountSummary", &[]).await;
    assert!(
        summary.contains("<key>AccountAccessKeysPresent</key><value>0</value>"),
        "{summary}"
    );

    world.advance(901);
    world
        .fails(audit, "iam", "ListAccessKeys", &[], "ExpiredToken")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_may_have_a_password_again_and_none_any_more() {
    let mut stage = Stage::new().await;
    stage.become_root("IAMCreateRootUserPassword").await;
    stage.become_root("IAMDeleteRootUserCredentials").await;
    stage.become_root("IAMAuditRootUserCredentials").await;
    let world = &stage.world;
    let (create, delete) = ("IAMCreateRootUserPassword", "IAMDeleteRootUserCredentials");
    let present = async |expected: &str| {
        let summary = world
            .ok("IAMAuditRootUserCredentials", "iam", "GetAccountSummary", &[])
            .await;
        let entry = format!("<key>AccountPasswordPresent</key><value>{expected}</value>");
        assert!(summary.contains(&entry), "{summary}");
    };
    present("0").await;
    let password = [("Password", "Not-for-root-1")];
    world
        .fails(create, "iam", "CreateLoginProfile", &password, "ValidationError")
        .await;
    world.ok(create, "iam", "CreateLoginProfile", &[]).await;
    world
        .fails(create, "iam", "CreateLoginProfile", &[], "EntityAlreadyExists")
        .await;
    world.ok(create, "iam", "GetLoginProfile", &[]).await;
    world
        .fails(create, "iam", "DeleteLoginProfile", &[], "AccessDenied")
        .await;
    present("1").await;
    // With its own keys root must name a user.
    for operation in ["GetLoginProfile", "CreateLoginProfile", "DeleteLoginProfile"] {
        world
            .fails("away", "iam", operation, &[], "ValidationError")
            .await;
    }
    world.ok(delete, "iam", "DeleteLoginProfile", &[]).await;
    world
        .fails(delete, "iam", "DeleteLoginProfile", &[], "NoSuchEntity")
        .await;
    present("0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_becomes_root_who_may_not() {
    let mut stage = Stage::new().await;
    let only_audit = format!(r#"{{"ArnEquals":{{"sts:TaskPolicyArn":"{}"}}}}"#, audit());
    stage.user("root", "auditor", "sts:AssumeRoot", &only_audit).await;
    stage.user("root", "other", "iam:*", "{}").await;
    stage.user("away", "member", "sts:AssumeRoot", "{}").await;
    let stage = stage;
    let (policy, create) = (audit(), format!("{TASKS}IAMCreateRootUserPassword"));
    let delete = format!("{TASKS}IAMDeleteRootUserCredentials");
    let words =
        "is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::444455556666:root because";

    stage
        .refused("root", AWAY, &policy, "AccessDenied", "root users")
        .await;
    stage.refused("other", AWAY, &policy, "AccessDenied", words).await;
    stage
        .refused("other", STRANGER, &policy, "AccessDenied", "is not authorized")
        .await;
    let asked = [
        ("TargetPrincipal", AWAY_ROOT),
        ("TaskPolicyArn.arn", policy.as_str()),
    ];
    stage.world.ok("auditor", "sts", "AssumeRoot", &asked).await;
    stage
        .refused("auditor", AWAY, &delete, "AccessDenied", words)
        .await;

    // Not for any policy, account, or time.
    for bad in [
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/root-task/Everything",
        "arn:aws:iam::111122223333:policy/root-task/IAMAuditRootUserCredentials",
    ] {
        stage.refused("breaker", AWAY, bad, "ValidationError", bad).await;
    }
    for bad in [
        "444455556666x",
        "arn:aws:iam::444455556666:user/root",
        "rootrootroot",
    ] {
        stage
            .refused("breaker", bad, &policy, "ValidationError", "is invalid")
            .await;
    }
    let long = [("DurationSeconds", "901"), asked[0], asked[1]];
    stage
        .world
        .fails("breaker", "sts", "AssumeRoot", &long, "ValidationError")
        .await;
    for target in [HOME, STRANGER] {
        stage
            .refused(
                "breaker",
                target,
                &policy,
                "AccessDenied",
                "not an active member account",
            )
            .await;
    }
    // Not for members, unless they are delegated administrators.
    stage
        .refused("member", AWAY, &policy, "AccessDenied", "delegated administrator")
        .await;
    stage.family.change(|ways| ways.delegated = true);
    stage.world.ok("member", "sts", "AssumeRoot", &asked).await;

    // Not without the feature that the task belongs to.
    let root = async |operation: &str| stage.world.ok("root", "iam", operation, &[]).await;
    root("DisableOrganizationsRootSessions").await;
    stage
        .refused("breaker", AWAY, &create, "AccessDenied", "not enabled")
        .await;
    stage.world.ok("breaker", "sts", "AssumeRoot", &asked).await;
    root("EnableOrganizationsRootSessions").await;
    root("DisableOrganizationsRootCredentialsManagement").await;
    stage
        .refused("breaker", AWAY, &delete, "AccessDenied", "not enabled")
        .await;
    stage.world.ok("breaker", "sts", "AssumeRoot", &asked).await;
    stage.family.change(|ways| ways.trusted = false);
    stage
        .refused("breaker", AWAY, &policy, "AccessDenied", "not enabled")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_policies_over_the_member_bind() {
    let mut stage = Stage::new().await;
    stage.become_root("IAMAuditRootUserCredentials").await;
    stage.family.change(|ways| ways.scp = Some("iam:ListAccessKeys"));
    let answer = stage
        .world
        .call("IAMAuditRootUserCredentials", "iam", "ListAccessKeys", &[])
        .await;
    assert_eq!(answer.code(), "AccessDenied");
    assert!(
        answer.text().contains("service control policy"),
        "{}",
        answer.text()
    );
    // To become root is the management account's doing, which no SCP binds.
    stage.family.change(|ways| ways.scp = Some("sts:AssumeRoot"));
    stage.become_root("IAMAuditRootUserCredentials").await;
    stage.family.change(|ways| {
        ways.scp = None;
        ways.rcp = Some("sts:AssumeRoot");
    });
    let words = "with an explicit deny in a resource control policy";
    stage
        .refused("breaker", AWAY, &audit(), "AccessDenied", words)
        .await;
    // A delegated administrator is bound by the SCPs over its own account.
    stage.user("away", "member", "sts:AssumeRoot", "{}").await;
    stage.family.change(|ways| {
        ways.delegated = true;
        ways.rcp = None;
        ways.scp = Some("sts:AssumeRoot");
    });
    let words = "with an explicit deny in a service control policy";
    stage
        .refused("member", AWAY, &audit(), "AccessDenied", words)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_tell_who_was_root() {
    let mut stage = Stage::new().await;
    // A source identity sticks.
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},
        "Action":["sts:AssumeRole","sts:SetSourceIdentity"]}}"#;
    let role = [("RoleName", "Breaker"), ("AssumeRolePolicyDocument", trust)];
    stage.world.ok("root", "iam", "CreateRole", &role).await;
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    let policy = [
        ("RoleName", "Breaker"),
        ("PolicyName", "own"),
        ("PolicyDocument", all),
    ];
    stage.world.ok("root", "iam", "PutRolePolicy", &policy).await;
    stage.user("root", "alice", "sts:*", "{}").await;
    let assume = [
        ("RoleArn", "arn:aws:iam::111122223333:role/Breaker"),
        ("RoleSessionName", "glass"),
        ("SourceIdentity", "alice"),
    ];
    let answer = stage.world.ok("alice", "sts", "AssumeRole", &assume).await;
    stage.world.remember("breaker", &answer);
    let answer = stage.become_root("IAMAuditRootUserCredentials").await;
    assert_eq!(leaf(&answer, "SourceIdentity"), "alice");
    stage
        .world
        .ok("IAMAuditRootUserCredentials", "iam", "ListAccessKeys", &[])
        .await;
    stage
        .refused("breaker", STRANGER, &audit(), "AccessDenied", "active member")
        .await;

    let records = stage.world.records();
    let text = |record: &Value, path: &str| record.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let of = |name: &str, account: &str| -> Vec<&Value> {
        let is_it = |record: &&Value| record["eventName"] == name && record["recipientAccountId"] == account;
        records.iter().filter(is_it).collect()
    };
    // The member has a record of becoming, and of what was done; strangers have none.
    let (own, copy) = (of("AssumeRoot", HOME), of("AssumeRoot", AWAY));
    assert_eq!((own.len(), copy.len()), (2, 1));
    assert_eq!(own[0]["sharedEventID"], copy[0]["sharedEventID"]);
    assert!(of("AssumeRoot", STRANGER).is_empty());
    let done = of("ListAccessKeys", AWAY)[0];
    assert_eq!(text(done, "/userIdentity/type").unwrap(), "Root");
    assert_eq!(text(done, "/userIdentity/arn").unwrap(), AWAY_ROOT);
    assert_eq!(
        text(done, "/userIdentity/sessionContext/assumedRoot").unwrap(),
        "true"
    );
    assert_eq!(
        text(done, "/userIdentity/sessionContext/sourceIdentity").unwrap(),
        "alice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_of_tasks_are_for_sessions_alone() {
    let mut stage = Stage::new().await;
    stage.user("root", "bob", "iam:*", "{}").await;
    let policy = audit();
    stage
        .world
        .ok("root", "iam", "GetPolicy", &[("PolicyArn", &policy)])
        .await;
    let attach = [("UserName", "bob"), ("PolicyArn", policy.as_str())];
    stage
        .world
        .fails("root", "iam", "AttachUserPolicy", &attach, "NoSuchEntity")
        .await;
    let bound = [("UserName", "bob"), ("PermissionsBoundary", policy.as_str())];
    stage
        .world
        .fails(
            "root",
            "iam",
            "PutUserPermissionsBoundary",
            &bound,
            "NoSuchEntity",
        )
        .await;
}
