//! Random small worlds: few actions, resources, callers and values, so that
//! policies and requests meet often.

use std::sync::Arc;

use policy::{
    Attached, Context, Document, DocumentKind, GrantAllow, Holder, Level, Policies, Principal, Request,
    ResourcePolicy, ResourcePolicyKind, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use crate::scenario::{CALLER, OWNER, ROLE_ID, USER_ID, account, caller};

/// A request and everything it is weighed against, as plain data.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) caller: &'static str,
    pub(crate) cross_account: bool,
    pub(crate) kind: ResourcePolicyKind,
    pub(crate) action: &'static str,
    pub(crate) resource: &'static str,
    /// Each key with its values; more than one, or none, make a multivalued key.
    pub(crate) context: Vec<(&'static str, Vec<&'static str>)>,
    pub(crate) identity: Vec<Json>,
    pub(crate) boundary: Option<Json>,
    pub(crate) session: Option<Vec<Json>>,
    pub(crate) resource_policy: Option<Json>,
    pub(crate) grant: bool,
    pub(crate) service_control: Option<Vec<Vec<Json>>>,
    /// `null` is AWS's own policy, which allows everything.
    pub(crate) resource_control: Option<Vec<Vec<Json>>>,
}

pub(crate) fn any_world() -> impl Strategy<Value = World> {
    let asked = (
        select(vec![
            "user",
            "role",
            "role",
            "linked",
            "federated",
            "root",
            "service",
            "anonymous",
        ]),
        any::<bool>(),
        prop_oneof![3 => Just(ResourcePolicyKind::Ordinary), 1 => Just(ResourcePolicyKind::KmsKey)],
        select(ACTIONS.to_vec()),
        select(RESOURCES.to_vec()),
        any_context(),
    );
    let weighed = (
        vec(any_document(DocumentKind::Identity), 0..3),
        proptest::option::weighted(0.3, any_document(DocumentKind::Boundary)),
        proptest::option::weighted(0.3, vec(any_document(DocumentKind::Session), 0..2)),
        proptest::option::weighted(0.6, any_document(DocumentKind::Resource)),
        proptest::bool::weighted(0.1),
        proptest::option::weighted(
            0.2,
            vec(vec(any_document(DocumentKind::ServiceControl), 0..3), 1..3),
        ),
        proptest::option::weighted(0.2, vec(any_resource_control_level(), 1..3)),
    );
    (asked, weighed).prop_map(|(asked, weighed)| {
        let (caller, cross_account, kind, action, resource, context) = asked;
        let (identity, boundary, session, resource_policy, grant, service_control, resource_control) =
            weighed;
        World {
            caller,
            cross_account,
            kind,
            action,
            resource,
            context,
            identity,
            boundary,
            session,
            resource_policy,
            grant,
            service_control,
            resource_control,
        }
    })
}

const ACTIONS: &[&str] = &["s3:GetObject", "s3:PutObject", "kms:Decrypt"];
const ACTION_PATTERNS: &[&str] = &[
    "*",
    "s3:*",
    "S3:GetObject",
    "s3:?etObject",
    "s3:*Object",
    "kms:decrypt",
    "iam:*",
];
const RESOURCES: &[&str] = &[
    "*",
    "arn:aws:s3:::b/x",
    "arn:aws:s3:::b/bob",
    "arn:aws:s3:::b/*",
    "arn:aws:kms:r:222222222222:key/k:2",
];
const RESOURCE_PATTERNS: &[&str] = &[
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/?",
    "arn:aws:s3:::*",
    "arn:aws:s3",
    "arn:aws:kms:*:222222222222:key/*",
    "arn:aws:kms:*:key/k",
    "arn:aws:s3:::b/${aws:username}",
    "arn:aws:s3:::b/${x:one, 'x'}",
    "arn:aws:s3:::b/${x:star}",
    "arn:aws:s3:::b/${*}",
];
const KEYS: &[&str] = &[
    "x:one",
    "X:Many",
    "x:star",
    "aws:username",
    "aws:PrincipalArn",
    "aws:PrincipalType",
    "x:none",
];
const VALUES: &[&str] = &[
    "a",
    "A",
    "b",
    "",
    "*",
    "?",
    "1",
    "2.0",
    "1.0",
    "bob",
    "true",
    "False",
    "10.0.0.1",
    "10.0.0.0/8",
    "YQ==",
    "2026-01-01T00:00:00Z",
    "1767225600",
    "User",
    "arn:aws:iam::111111111111:user/staff/bob",
    "arn:aws:iam::111111111111:role/app/Deploy",
    "arn:aws:iam::*:user/*",
    "arn:aws:iam:*:role/*",
    "${x:one}",
    "${x:none}",
    "${x:none, 'a'}",
    "${x:many}",
    "a${*}",
];
const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateGreaterThan",
    "DateLessThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
];

pub(crate) fn any_context() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    let one = vec(select(VALUES[..22].to_vec()), 1);
    let many = vec(select(VALUES[..12].to_vec()), 0..3);
    let star = proptest::option::of(Just(vec!["*"]));
    (proptest::option::of(one), proptest::option::of(many), star).prop_map(|(one, many, star)| {
        let keys = [("x:one", one), ("x:many", many), ("x:star", star)];
        keys.into_iter()
            .filter_map(|(key, values)| Some((key, values?)))
            .collect()
    })
}

fn any_condition() -> impl Strategy<Value = Json> {
    let operator = (
        select(OPERATORS.to_vec()),
        select(vec!["", "", "ForAllValues:", "ForAnyValue:"]),
        any::<bool>(),
    )
        .prop_map(|(name, quantifier, if_exists)| {
            format!("{quantifier}{name}{}", if if_exists { "IfExists" } else { "" })
        });
    let operator = prop_oneof![9 => operator, 1 => Just("Null".to_owned())];
    let values = prop_oneof![
        select(VALUES.to_vec()).prop_map(|value| json!(value)),
        vec(select(VALUES.to_vec()), 0..4).prop_map(|values| json!(values)),
    ];
    let block = vec((operator, select(KEYS.to_vec()), values), 0..3);
    block.prop_map(|entries| {
        let mut block = json!({});
        for (operator, key, values) in entries {
            block[operator][key] = values;
        }
        block
    })
}

fn any_principal() -> impl Strategy<Value = Json> {
    let texts = vec![
        "*".to_owned(),
        CALLER.to_owned(),
        format!("arn:aws:iam::{CALLER}:root"),
        OWNER.to_owned(),
        format!("arn:aws:iam::{CALLER}:user/staff/bob"),
        USER_ID.to_owned(),
        format!("arn:aws:iam::{CALLER}:role/app/Deploy"),
        ROLE_ID.to_owned(),
        format!("arn:aws:sts::{CALLER}:assumed-role/Deploy/ci"),
        format!("arn:aws:sts::{CALLER}:federated-user/Bob"),
    ];
    prop_oneof![
        1 => Just(json!("*")),
        6 => vec(select(texts), 1..4).prop_map(|texts| json!({ "AWS": texts })),
        1 => Just(json!({ "Service": "events.amazonaws.com" })),
    ]
}

pub(crate) fn any_statement(kind: DocumentKind, effect: &'static str) -> impl Strategy<Value = Json> {
    let names_principals = matches!(
        kind,
        DocumentKind::Resource | DocumentKind::KmsKey | DocumentKind::ResourceControl
    );
    let is_rcp = kind == DocumentKind::ResourceControl;
    let patterns = if is_rcp {
        &ACTION_PATTERNS[1..]
    } else {
        ACTION_PATTERNS
    };
    let actions = vec(select(patterns.to_vec()), 1..3);
    let resources = vec(select(RESOURCE_PATTERNS.to_vec()), 1..3);
    let negations = (
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.15),
    );
    let condition = proptest::option::weighted(0.5, any_condition());
    (actions, resources, any_principal(), negations, condition).prop_map(
        move |(actions, resources, principal, (not_action, not_resource, not_principal), condition)| {
            let mut statement = json!({ "Effect": effect });
            let name = |negated: bool, name: &str| {
                if negated {
                    format!("Not{name}")
                } else {
                    name.to_owned()
                }
            };
            statement[name(not_action && !is_rcp, "Action")] = json!(actions);
            statement[name(not_resource, "Resource")] = json!(resources);
            if names_principals {
                let principal = if is_rcp { json!("*") } else { principal };
                statement[name(not_principal && !is_rcp, "Principal")] = principal;
            }
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    )
}

pub(crate) fn any_document(kind: DocumentKind) -> impl Strategy<Value = Json> {
    let statement = prop_oneof![
        4 => any_statement(kind, "Allow").boxed(),
        1 => any_statement(kind, "Deny").boxed(),
    ];
    let version = prop_oneof![5 => Just("2012-10-17"), 1 => Just("2008-10-17")];
    (version, vec(statement, 1..4))
        .prop_map(|(version, statements)| json!({ "Version": version, "Statement": statements }))
}

fn any_resource_control_level() -> impl Strategy<Value = Vec<Json>> {
    let statements = vec(any_statement(DocumentKind::ResourceControl, "Deny"), 1..3);
    let custom =
        statements.prop_map(|statements| json!({ "Version": "2012-10-17", "Statement": statements }));
    (proptest::bool::weighted(0.9), vec(custom, 0..2)).prop_map(|(full, mut policies)| {
        if full {
            policies.push(Json::Null);
        }
        policies
    })
}

/// The same world with everything compiled.
pub(crate) struct Compiled {
    world: World,
    principal: Principal,
    context: Context<'static>,
    identity: Vec<Attached>,
    boundary: Option<Attached>,
    session: Option<Vec<Attached>>,
    resource_policy: Option<Attached>,
    service_control: Option<Vec<Level>>,
    resource_control: Option<Vec<Level>>,
}

impl World {
    pub(crate) fn compile(&self) -> Compiled {
        let context = context_of(&self.context);
        let list = |documents: &[Json], kind, name: &str| {
            let attached = |(number, document)| attach(document, kind, &format!("{name}-{number}"));
            documents.iter().enumerate().map(attached).collect::<Vec<_>>()
        };
        let levels = |levels: &Option<Vec<Vec<Json>>>, kind, name: &str| {
            let level = |(number, documents): (usize, &Vec<Json>)| Level {
                target: format!("level-{number}").into(),
                policies: list(documents, kind, &format!("{name}-{number}")),
            };
            levels
                .as_ref()
                .map(|levels| levels.iter().enumerate().map(level).collect::<Vec<_>>())
        };
        let resource_kind = match self.kind {
            ResourcePolicyKind::KmsKey => DocumentKind::KmsKey,
            ResourcePolicyKind::Ordinary | ResourcePolicyKind::RoleTrust => DocumentKind::Resource,
        };
        Compiled {
            principal: caller(self.caller),
            context,
            identity: list(&self.identity, DocumentKind::Identity, "identity"),
            boundary: self
                .boundary
                .as_ref()
                .map(|document| attach(document, DocumentKind::Boundary, "boundary")),
            session: self
                .session
                .as_ref()
                .map(|documents| list(documents, DocumentKind::Session, "session")),
            resource_policy: self
                .resource_policy
                .as_ref()
                .map(|document| attach(document, resource_kind, "resource")),
            service_control: levels(&self.service_control, DocumentKind::ServiceControl, "scp"),
            resource_control: levels(&self.resource_control, DocumentKind::ResourceControl, "rcp"),
            world: self.clone(),
        }
    }
}

/// A context that says this.
pub(crate) fn context_of(said: &[(&'static str, Vec<&'static str>)]) -> Context<'static> {
    let mut context = Context::new();
    for (key, values) in said {
        match values.as_slice() {
            [one] => context.insert(*key, *one),
            many => context.insert(*key, many.iter().copied().collect::<Value<'_>>()),
        };
    }
    context
}

fn attach(document: &Json, kind: DocumentKind, name: &str) -> Attached {
    let document = match document {
        Json::Null => Document::full_resource_control(),
        document => Document::parse(&document.to_string(), kind).unwrap_or_else(|error| {
            panic!("{} for {document}", error.detail());
        }),
    };
    Attached::inline(name, Holder::Resource, Arc::new(document))
}

impl Compiled {
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&Request<'_>, &Policies<'_>) -> T) -> T {
        let owner = if self.world.cross_account { OWNER } else { CALLER };
        let request = Request::new(
            &self.principal,
            self.world.action,
            self.world.resource,
            Some(account(owner)),
            &self.context,
        );
        let grants = [GrantAllow { id: "grant" }];
        let policies = Policies {
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            session: self.session.as_deref(),
            resource: self.resource_policy.as_ref().map(|policy| ResourcePolicy {
                policy,
                kind: self.world.kind,
            }),
            grants: if self.world.grant { &grants } else { &[] },
            endpoint: None,
            service_control: self.service_control.as_deref(),
            resource_control: self.resource_control.as_deref(),
        };
        use_it(&request, &policies)
    }
}
