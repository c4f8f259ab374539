//! What `explain` tells a reader.

use std::sync::Arc;

use policy::{
    Attached, Change, Context, Document, DocumentKind, Holder, Mismatch, Policies, Request, ResourcePolicy,
    ResourcePolicyKind, Value, decide, explain,
};
use serde_json::json;

use crate::scenario::{CALLER, ROLE, Scenario, account, caller};

const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/1";

fn attached(name: &str, kind: DocumentKind, holder: Holder, text: &str) -> Attached {
    Attached::inline(name, holder, Arc::new(Document::parse(text, kind).unwrap()))
}

/// Everything a statement can miss by, in the words a person reads.
#[test]
fn every_statement_says_why_it_does_not_apply() {
    let identity = [attached(
        "bobs",
        DocumentKind::Identity,
        Holder::User("bob".into()),
        r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"Lists","Effect":"Allow","Action":["kms:List*","kms:DescribeKey"],"Resource":"*"},
            {"Effect":"Allow","NotAction":"kms:Enc*","Resource":"*"},
            {"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:*:key/2"},
            {"Effect":"Allow","Action":"kms:*","NotResource":"arn:aws:kms:*:*:key/*"},
            {"Sid":"Tagged","Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{
                "StringEquals":{"aws:ResourceTag/team":["blue","green"],"aws:ResourceTag/stage":"${aws:PrincipalTag/stage}"},
                "Bool":{"aws:SecureTransport":"true"},
                "StringLike":{"aws:TagKeys":"x*"}}},
            {"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:*:key/${aws:PrincipalTag/key}"}]}"#,
    )];
    let key_policy = attached(
        "default",
        DocumentKind::KmsKey,
        Holder::Resource,
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"kms:*","Resource":"*"},
            {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/r"},"Action":"kms:*","Resource":"*"},
            {"Effect":"Deny","NotPrincipal":{"AWS":"*"},"Action":"kms:*","Resource":"*"},
            {"Effect":"Allow","Principal":"*"}]}"#,
    );
    let bob = caller("user");
    let mut context = Context::new();
    context
        .insert("aws:ResourceTag/team", "red")
        .insert("aws:ResourceTag/stage", "test")
        .insert("aws:SecureTransport", true)
        .insert("aws:TagKeys", ["a", "b"].into_iter().collect::<Value<'_>>());
    let request = Request::new(&bob, "kms:Encrypt", KEY, Some(account(CALLER)), &context);
    let resource = ResourcePolicy {
        policy: &key_policy,
        kind: ResourcePolicyKind::KmsKey,
    };
    let policies = Policies {
        identity: &identity,
        resource: Some(resource),
        ..Policies::default()
    };
    let trace = explain(&request, &policies);
    let expected = include_str!("../cases/trace.txt");
    assert_eq!(trace.to_string().trim(), expected.trim());
    let by_condition = &trace.policies[1].statements[4];
    assert!(matches!(&by_condition.mismatch, Some(Mismatch::Condition { unmet }) if unmet.len() == 3));
    assert_eq!(by_condition.warnings.len(), 1);
}

#[test]
fn a_refused_session_is_told_the_trust_statement_it_lacks() {
    let scenario = Scenario::new(
        ROLE,
        &[
            ("caller", "role"),
            ("resource", "nobody"),
            ("I", "allow"),
            ("S", "miss"),
        ],
    );
    let trace = scenario.with(explain);
    let statements: Vec<_> = trace
        .changes
        .iter()
        .map(|change| match change {
            Change::Allow { statement, .. } => statement.clone(),
            Change::Except { .. } => panic!("nothing denies"),
        })
        .collect();
    let trust = json!({
        "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::111111111111:role/app/Deploy" },
        "Action": "sts:AssumeRole",
    });
    let session = json!({
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": "arn:aws:iam::222222222222:role/Target",
    });
    assert_eq!(statements, [trust, session]);
    for (statement, kind) in statements
        .iter()
        .zip([DocumentKind::RoleTrust, DocumentKind::Session])
    {
        let document = json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
        assert!(Document::parse(&document, kind).is_ok(), "{document}");
    }
}

/// IAM User Guide, "AWS JSON policy elements: Principal": a statement bound to a deleted user does not reach its namesake.
#[test]
fn a_recreated_namesake_inherits_nothing() {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*",
        "Principal":{"AWS":"arn:aws:iam::111111111111:user/staff/bob"}}}"#;
    let decided = |id: &str| {
        let mut document = Document::parse(text, DocumentKind::KmsKey).unwrap();
        document.bind(|_| Some(id.to_owned())).unwrap();
        let policy = Attached::inline("default", Holder::Resource, Arc::new(document));
        let bob = caller("user");
        let context = Context::new();
        let request = Request::new(&bob, "kms:Encrypt", KEY, Some(account(CALLER)), &context);
        let resource = ResourcePolicy {
            policy: &policy,
            kind: ResourcePolicyKind::KmsKey,
        };
        decide(
            &request,
            &Policies {
                resource: Some(resource),
                ..Policies::default()
            },
        )
        .is_allow()
    };
    assert!(decided(crate::scenario::USER_ID));
    assert!(!decided("AIDAQBBBBBBBEXAMPLE23"));
}

/// Whether a key is absent because nobody sent it or because there is none is told.
#[test]
fn absent_and_unknown_keys_are_named() {
    let policy = attached(
        "keys",
        DocumentKind::Identity,
        Holder::User("bob".into()),
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{
                "StringNotEquals":{"kms:Imagined":"x"},"StringEqualsIfExists":{"aws:PrincipalOrg":"o-1"},
                "Null":{"aws:MultiFactorAuthAge":"true"}}},
            {"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"aws:SourceIP4":"1.2.3.4"}}},
            {"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:Imagined":"x"}}}]}"#,
    );
    let bob = caller("user");
    let context = Context::new();
    let request = Request::new(&bob, "kms:Imagine", KEY, Some(account(CALLER)), &context);
    let identity = [policy];
    let policies = Policies {
        identity: &identity,
        ..Policies::default()
    };
    let trace = explain(&request, &policies);
    let warnings: Vec<&[String]> = trace.policies[0]
        .statements
        .iter()
        .map(|it| &*it.warnings)
        .collect();
    assert_eq!(
        warnings,
        [
            &[
                "kms:Imagined is absent from the request, and StringNotEquals holds without it".to_owned(),
                "there is no condition key aws:PrincipalOrg, so no request has it".to_owned(),
            ][..],
            &["there is no condition key aws:SourceIP4, so no request has it".to_owned()],
            &[],
        ]
    );
    let unmet = trace.policies[0].statements[2].to_string();
    assert!(
        unmet.contains("kms:Imagined wants x, the request has none"),
        "{unmet}"
    );
}
