//! Identity policies against `iam-rs`, another implementation of the language.
//!
//! It has no boundaries, control policies, key policies or grants, so only
//! what identity policies say is compared: effects, actions, resources, and the
//! operators that both read the same way. Left out, each with its reason:
//!
//! - set operators and absent keys under negated operators, which it takes otherwise than AWS publishes;
//! - wildcards in the first five fields of an ARN that would reach over a colon;
//! - `ArnEquals` with wildcards, which it compares as text, though AWS makes it the same as `ArnLike`;
//! - case-insensitive keys, which it looks up as written.

use std::sync::Arc;

use iam_rs::{Arn, ContextValue, Decision as Theirs, IAMPolicy, IAMRequest, PrincipalId, evaluate_policies};
use policy::{
    Attached, Context, Decision, Document, DocumentKind, Holder, Policies, Principal, Request, decide,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use crate::scenario::{CALLER, account};

const ACTIONS: &[&str] = &["s3:GetObject", "s3:PutObject", "kms:Decrypt"];
const ACTION_PATTERNS: &[&str] = &[
    "*",
    "s3:*",
    "s3:GetObject",
    "s3:Get*",
    "s3:*Object",
    "kms:Decrypt",
];
const RESOURCES: &[&str] = &[
    "arn:aws:s3:::bucket/x",
    "arn:aws:s3:::bucket/team/blue",
    "arn:aws:kms:eu-west-1:111111111111:key/1",
];
const RESOURCE_PATTERNS: &[&str] = &[
    "*",
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/x",
    "arn:aws:s3:::bucket/team/*",
    "arn:aws:kms:*:111111111111:key/*",
    "arn:aws:s3:::bucket/team/${x:team}",
];
const TEAMS: &[&str] = &["blue", "red", "Blue"];

fn any_condition() -> impl Strategy<Value = Json> {
    let values = |values: &'static [&'static str]| vec(select(values.to_vec()), 1..3);
    let text = select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
    ]);
    prop_oneof![
        (text, values(&["blue", "Blue", "red", "b*", "?lue"]))
            .prop_map(|(operator, values)| json!({ operator: { "x:team": values } })),
        (
            select(vec![
                "NumericEquals",
                "NumericLessThan",
                "NumericGreaterThanEquals"
            ]),
            values(&["1", "2", "3.5"])
        )
            .prop_map(|(operator, values)| json!({ operator: { "x:number": values[0] } })),
        values(&["true", "false"]).prop_map(|values| json!({ "Bool": { "x:flag": values[0] } })),
        (
            select(vec!["IpAddress", "NotIpAddress"]),
            values(&["10.0.0.0/8", "10.1.2.3/32", "192.0.2.0/24"])
        )
            .prop_map(|(operator, values)| json!({ operator: { "x:ip": values } })),
        (
            Just("ArnLike"),
            values(&["arn:aws:sns:*:1:t", "arn:aws:sns:r:1:*", "arn:aws:sqs:r:1:t"])
        )
            .prop_map(|(operator, values)| json!({ operator: { "x:arn": values } })),
    ]
}

fn any_policy() -> impl Strategy<Value = Json> {
    let statement = (
        prop_oneof![4 => Just("Allow"), 1 => Just("Deny")],
        vec(select(ACTION_PATTERNS.to_vec()), 1..3),
        vec(select(RESOURCE_PATTERNS.to_vec()), 1..3),
        any::<(bool, bool)>(),
        proptest::option::of(any_condition()),
    )
        .prop_map(
            |(effect, actions, resources, (not_action, not_resource), condition)| {
                let action = if not_action { "NotAction" } else { "Action" };
                let resource = if not_resource { "NotResource" } else { "Resource" };
                let mut statement = json!({ "Effect": effect, action: actions, resource: resources });
                if let Some(condition) = condition {
                    statement["Condition"] = condition;
                }
                statement
            },
        );
    vec(statement, 1..4).prop_map(|statements| json!({ "Version": "2012-10-17", "Statement": statements }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_iam_rs(
        policies in vec(any_policy(), 1..3),
        action in select(ACTIONS.to_vec()),
        resource in select(RESOURCES.to_vec()),
        team in select(TEAMS.to_vec()),
        number in 1i64..4,
        flag in any::<bool>(),
        ip in select(vec!["10.1.2.3", "192.0.2.9"]),
        arn in select(vec!["arn:aws:sns:r:1:t", "arn:aws:sqs:r:1:t"]),
    ) {
        let bob = Principal::user(account(CALLER), "AIDAQAAAAAAAEXAMPLE23", "/", "bob");
        let mut context = Context::new();
        context
            .insert("x:team", team)
            .insert("x:number", number)
            .insert("x:flag", flag)
            .insert("x:ip", ip)
            .insert("x:arn", arn);
        let attached: Vec<Attached> = policies
            .iter()
            .map(|policy| {
                let document = Document::parse(&policy.to_string(), DocumentKind::Identity).unwrap();
                Attached::inline("policy", Holder::User("bob".into()), Arc::new(document))
            })
            .collect();
        let request = Request::new(&bob, action, resource, None, &context);
        let ours = match decide(&request, &Policies { identity: &attached, ..Policies::default() }) {
            Decision::Allow(_) => Theirs::Allow,
            Decision::Deny(denial) if denial.is_explicit() => Theirs::Deny,
            Decision::Deny(_) => Theirs::NotApplicable,
        };

        let documents: Vec<IAMPolicy> =
            policies.iter().map(|policy| IAMPolicy::from_json(&policy.to_string()).unwrap()).collect();
        let mut facts = iam_rs::Context::new();
        facts.insert("x:team".into(), ContextValue::String(team.into()));
        facts.insert("x:number".into(), ContextValue::Number(f64::from(i32::try_from(number).unwrap())));
        facts.insert("x:flag".into(), ContextValue::Boolean(flag));
        facts.insert("x:ip".into(), ContextValue::String(ip.into()));
        facts.insert("x:arn".into(), ContextValue::String(arn.into()));
        let asked = IAMRequest::new_with_context(
            iam_rs::Principal::Aws(PrincipalId::String(bob.arn().into())),
            action,
            Arn::parse(resource).unwrap(),
            facts,
        );
        let theirs = evaluate_policies(&documents, &asked).unwrap();
        prop_assert_eq!(ours, theirs);
    }
}
