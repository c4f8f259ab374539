//! Examples AWS publishes, kept in `tests/cases/published.txt`.

use std::collections::HashMap;
use std::sync::Arc;

use policy::{
    Attached, Context, Document, DocumentKind, Holder, Level, Policies, Principal, Request, ResourcePolicy,
    ResourcePolicyKind, Value, explain,
};

use crate::scenario::{CALLER, OWNER, account, caller};

const PLACES: [(&str, DocumentKind); 9] = [
    ("identity:", DocumentKind::Identity),
    ("added:", DocumentKind::Identity),
    ("boundary:", DocumentKind::Boundary),
    ("session:", DocumentKind::Session),
    ("resource:", DocumentKind::Resource),
    ("key:", DocumentKind::KmsKey),
    ("trust:", DocumentKind::RoleTrust),
    ("scp:", DocumentKind::ServiceControl),
    ("rcp:", DocumentKind::ResourceControl),
];

#[test]
fn published_examples_answer_as_published() {
    let file = include_str!("../cases/published.txt");
    let mut questions = 0;
    for case in file.split("\n== ").skip(1) {
        let title = case.lines().next().unwrap();
        assert!(case.contains("\nsource: "), "{title} names its source");
        let documents = documents(case);
        for line in case.lines() {
            let expected = match line.split_once(':') {
                Some(("allow", question)) => Some((true, question)),
                Some(("deny", question)) => Some((false, question)),
                _ => None,
            };
            if let Some((allowed, question)) = expected {
                ask(title, &documents, question, allowed);
                questions += 1;
            }
        }
    }
    assert!(questions > 140, "the file was read");
}

/// The policies of a case by the word they begin with.
fn documents(case: &str) -> HashMap<&'static str, Attached> {
    let mut documents = HashMap::new();
    let mut open: Option<(&'static str, DocumentKind, String)> = None;
    let close = |open: Option<(&'static str, DocumentKind, String)>, documents: &mut HashMap<_, _>| {
        if let Some((place, kind, text)) = open {
            let document =
                Document::parse(&text, kind).unwrap_or_else(|error| panic!("{}: {text}", error.detail()));
            documents.insert(
                place,
                Attached::inline(place, Holder::Resource, Arc::new(document)),
            );
        }
    };
    for line in case.lines() {
        let begun = PLACES
            .iter()
            .find_map(|(word, kind)| Some((*word, *kind, line.strip_prefix(word)?.to_owned())));
        let is_question = line.starts_with("allow:") || line.starts_with("deny:");
        if begun.is_some() || is_question {
            close(open.take(), &mut documents);
        }
        match (begun, &mut open) {
            (Some(begun), _) => open = Some(begun),
            (None, Some((_, _, text))) => text.push_str(line),
            (None, None) => {}
        }
    }
    documents
}

/// A caller by kind, a user by `user/NAME`, or a session by `role/ROLE/SESSION`.
fn asker(name: &str) -> Principal {
    let own = account(CALLER);
    match name.split('/').collect::<Vec<_>>()[..] {
        ["user", name] => Principal::user(own, "AIDAEXAMPLENAMED12345", "/", name),
        ["role", role, session] => Principal::assumed_role(own, "AROAEXAMPLENAMED12345", "/", role, session),
        _ => caller(name),
    }
}

fn ask(title: &str, documents: &HashMap<&'static str, Attached>, question: &str, expected: bool) {
    let mut words = question.split_whitespace();
    let principal = asker(words.next().unwrap());
    let (action, resource) = (words.next().unwrap(), words.next().unwrap());
    let mut owner = CALLER;
    let mut context = Context::new();
    for word in words {
        match word.split_once('=') {
            None => {
                assert_eq!(word, "across", "{question}");
                owner = OWNER;
            }
            Some((key, list)) if list.starts_with('[') => {
                let values = list.trim_matches(['[', ']']).split(',').collect::<Value<'_>>();
                context.insert(key, values);
            }
            Some((key, value)) => {
                context.insert(key, value);
            }
        }
    }
    let resource_policy = [
        ("resource:", ResourcePolicyKind::Ordinary),
        ("key:", ResourcePolicyKind::KmsKey),
        ("trust:", ResourcePolicyKind::RoleTrust),
    ]
    .into_iter()
    .find_map(|(place, kind)| {
        Some(ResourcePolicy {
            policy: documents.get(place)?,
            kind,
        })
    });
    let level = |policies| {
        vec![Level {
            target: "r-root".into(),
            policies,
        }]
    };
    let service_control = documents.get("scp:").map(|policy| level(vec![policy.clone()]));
    let resource_control = documents.get("rcp:").map(|policy| {
        let full = Arc::new(Document::full_resource_control());
        level(vec![
            policy.clone(),
            Attached::inline("RCPFullAWSAccess", Holder::Resource, full),
        ])
    });
    let identity: Vec<Attached> = ["identity:", "added:"]
        .iter()
        .filter_map(|place| documents.get(place).cloned())
        .collect();
    let request = Request::new(&principal, action, resource, Some(account(owner)), &context);
    let policies = Policies {
        identity: &identity,
        boundary: documents.get("boundary:"),
        session: documents.get("session:").map(std::slice::from_ref),
        resource: resource_policy,
        service_control: service_control.as_deref(),
        resource_control: resource_control.as_deref(),
        ..Policies::default()
    };
    let trace = explain(&request, &policies);
    assert_eq!(trace.allowed, expected, "{title}: {question}\n{trace}");
}
