//! A policy document, and questions put to it.
//!
//! The first line is the kind of document as a digit, the action, the resource
//! and condition keys, with spaces between; the document follows.

#![no_main]

use std::sync::{Arc, LazyLock};

use ground::AccountId;
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::request::line;
use policy::{
    Attached, Context, Decision, Document, DocumentKind, Holder, Level, Policies, Principal, Request,
    ResourcePolicy, ResourcePolicyKind, decide, denial_text, explain,
};

const KINDS: [DocumentKind; 8] = [
    DocumentKind::Identity,
    DocumentKind::Boundary,
    DocumentKind::Session,
    DocumentKind::ServiceControl,
    DocumentKind::ResourceControl,
    DocumentKind::RoleTrust,
    DocumentKind::KmsKey,
    DocumentKind::Resource,
];

const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

/// Allows everything, so that what only limits has something to limit.
static EVERYTHING: LazyLock<[Attached; 1]> = LazyLock::new(|| {
    let document = Document::parse(ALLOW_ALL, DocumentKind::Identity).expect("the document is sound");
    [Attached::inline(
        "everything",
        Holder::User("bob".into()),
        Arc::new(document),
    )]
});

static CALLERS: LazyLock<[Principal; 4]> = LazyLock::new(|| {
    let account = AccountId::from_number(123_456_789_012).expect("twelve digits");
    [
        Principal::user(account, "AIDAQEAAAAAEXAMPLE234", "/", "bob"),
        Principal::assumed_role(account, "AROAQEAAAAAEXAMPLE234", "/", "deploy", "ci"),
        Principal::root(account),
        Principal::anonymous(),
    ]
});

fuzz_target!(|data: &[u8]| {
    let (first, rest) = line(data);
    let (Ok(first), Ok(text)) = (std::str::from_utf8(first), std::str::from_utf8(rest)) else {
        return;
    };
    let mut words = first.split(' ');
    let kind = words.next().and_then(|word| word.bytes().next()).unwrap_or(b'0');
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let Ok(mut document) = Document::parse(text, kind) else {
        return;
    };
    std::hint::black_box(document.context_keys().len() + document.entities().len());
    let bound = document.bind(|arn| Some(unique_id(arn).to_owned()));
    assert!(bound.is_ok(), "every principal was resolved");

    let action = words.next().unwrap_or("kms:Encrypt");
    let resource = words.next().unwrap_or("*");
    let mut context = Context::new();
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        context.insert(key, value);
    }
    let account = AccountId::from_number(123_456_789_012);
    for caller in &*CALLERS {
        ask(
            &Request::new(caller, action, resource, account, &context),
            &Arc::new(document.clone()),
        );
    }
});

/// The callers are whoever the document names.
fn unique_id(arn: &str) -> &'static str {
    if arn.contains(":role/") {
        "AROAQEAAAAAEXAMPLE234"
    } else {
        "AIDAQEAAAAAEXAMPLE234"
    }
}

/// Puts the document where its kind belongs, and decides.
fn ask(request: &Request<'_>, document: &Arc<Document>) {
    let attached = [Attached::managed(
        "arn:aws:iam::123456789012:policy/fuzz",
        Holder::User("bob".into()),
        Arc::clone(document),
    )];
    let levels = [Level {
        target: "r-fuzz".into(),
        policies: attached.to_vec(),
    }];
    let mut policies = Policies {
        identity: &*EVERYTHING,
        ..Policies::default()
    };
    let of_resource = |kind| {
        Some(ResourcePolicy {
            policy: &attached[0],
            kind,
        })
    };
    match document.kind() {
        DocumentKind::Identity => policies.identity = &attached,
        DocumentKind::Boundary => policies.boundary = Some(&attached[0]),
        DocumentKind::Session => policies.session = Some(&attached),
        DocumentKind::ServiceControl => policies.service_control = Some(&levels),
        DocumentKind::ResourceControl => policies.resource_control = Some(&levels),
        DocumentKind::RoleTrust => policies.resource = of_resource(ResourcePolicyKind::RoleTrust),
        DocumentKind::KmsKey => policies.resource = of_resource(ResourcePolicyKind::KmsKey),
        DocumentKind::Resource => policies.resource = of_resource(ResourcePolicyKind::Ordinary),
    }
    let decision = decide(request, &policies);
    let trace = explain(request, &policies);
    assert_eq!(
        decision.is_allow(),
        trace.allowed,
        "the reasons tell another story"
    );
    if let Decision::Deny(denial) = &decision {
        assert_eq!(Some(denial_text(request, denial)), trace.message);
    }
}
