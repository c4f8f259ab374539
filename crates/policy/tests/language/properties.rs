//! What must hold of every decision.

use policy::{Change, Document, DocumentKind, PolicyType, Surroundings, decide, explain, lint};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::random::{World, any_statement, any_world};

fn allowed(world: &World) -> bool {
    world
        .compile()
        .with(|request, policies| decide(request, policies).is_allow())
}

/// Puts `statement` behind those of one document of the world; `pick` chooses which.
fn add(world: &World, statement: &Json, pick: usize) -> World {
    let mut world = world.clone();
    let named = statement
        .get("Principal")
        .or_else(|| statement.get("NotPrincipal"))
        .is_some();
    let mut documents: Vec<&mut Json> = if named {
        world.resource_policy.iter_mut().collect()
    } else {
        let controls = world.service_control.iter_mut().flatten().flatten();
        let sessions = world.session.iter_mut().flatten();
        world
            .identity
            .iter_mut()
            .chain(&mut world.boundary)
            .chain(sessions)
            .chain(controls)
            .collect()
    };
    if !documents.is_empty() {
        let chosen = pick % documents.len();
        documents[chosen]["Statement"]
            .as_array_mut()
            .unwrap()
            .push(statement.clone());
    }
    world
}

/// Its identity policies, boundary and session policies, and last its resource policy.
fn documents(world: &mut World) -> impl Iterator<Item = &mut Json> {
    world
        .identity
        .iter_mut()
        .chain(&mut world.boundary)
        .chain(world.session.iter_mut().flatten())
        .chain(&mut world.resource_policy)
}

/// Findings that say that a statement changes no decision. Not
/// `resource-of-another-service`: these worlds ask for pairs of action and
/// resource that no service ever asks for.
const DEAD: [&str; 5] = [
    "duplicate-statement",
    "impossible-condition",
    "inert-statement",
    "shadowed-by-deny",
    "subsumed-statement",
];

fn any_addition(effect: &'static str) -> impl Strategy<Value = Json> {
    prop_oneof![
        any_statement(DocumentKind::Identity, effect),
        any_statement(DocumentKind::Resource, effect)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_further_deny_never_lets_anyone_in(world in any_world(), deny in any_addition("Deny"), pick in 0usize..8) {
        prop_assert!(allowed(&world) || !allowed(&add(&world, &deny, pick)));
    }

    #[test]
    fn a_further_allow_never_keeps_anyone_out(world in any_world(), allow in any_addition("Allow"), pick in 0usize..8) {
        prop_assert!(!allowed(&world) || allowed(&add(&world, &allow, pick)));
    }

    #[test]
    fn the_order_of_statements_does_not_matter(world in any_world()) {
        let mut reversed = world.clone();
        for document in reversed.identity.iter_mut().chain(&mut reversed.resource_policy).chain(&mut reversed.boundary) {
            document["Statement"].as_array_mut().unwrap().reverse();
        }
        reversed.identity.reverse();
        prop_assert_eq!(allowed(&world), allowed(&reversed));
    }

    /// What a document shares is asked once; here it shares everything.
    #[test]
    fn saying_everything_twice_changes_nothing(world in any_world()) {
        let mut doubled = world.clone();
        for document in documents(&mut doubled) {
            let statements = document["Statement"].as_array_mut().unwrap();
            for mut statement in statements.clone() {
                statement.as_object_mut().unwrap().remove("Sid");
                statements.push(statement);
            }
        }
        let refusal = |world: &World| world.compile().with(|request, policies| {
            let decision = decide(request, policies);
            (!decision.is_allow()).then(|| decision.to_string())
        });
        prop_assert_eq!(refusal(&world), refusal(&doubled));
    }

    /// A statement that the lint calls dead can go, and every decision stays.
    #[test]
    fn what_is_called_dead_is_dead(world in any_world()) {
        let mut without = world.clone();
        let with_resource = without.resource_policy.is_some();
        let count = documents(&mut without).count();
        for (place, document) in documents(&mut without).enumerate() {
            let kind = if with_resource && place + 1 == count { DocumentKind::Resource } else { DocumentKind::Identity };
            for finding in lint(&document.to_string(), kind, Surroundings::default()) {
                if DEAD.contains(&finding.code) {
                    let statement = &mut document["Statement"][finding.statement.unwrap()];
                    statement.as_object_mut().unwrap().remove("NotAction");
                    statement["Action"] = json!("none:None");
                }
            }
        }
        prop_assert_eq!(allowed(&world), allowed(&without));
    }

    #[test]
    fn explaining_agrees_with_deciding(world in any_world()) {
        let compiled = world.compile();
        compiled.with(|request, policies| {
            let decision = decide(request, policies);
            let trace = explain(request, policies);
            prop_assert_eq!(trace.allowed, decision.is_allow());
            // Which of several Allow statements is named may differ, a refusal may not.
            if !trace.allowed {
                prop_assert_eq!(&trace.decision, &decision.to_string());
                prop_assert!(!trace.changes.is_empty());
            }
            let kept: policy::Trace = serde_json::from_str(&serde_json::to_string(&trace).unwrap()).unwrap();
            prop_assert_eq!(&kept, &trace);
            prop_assert!(!trace.to_string().is_empty());
            Ok(())
        })?;
    }

    /// The changes a refusal advises are enough, and none of them can be left out.
    #[test]
    fn the_advised_changes_let_the_request_pass(world in any_world()) {
        let changes = world.compile().with(|request, policies| explain(request, policies).changes);
        let changed = apply(&world, &changes);
        prop_assert!(allowed(&changed), "{:#?}", changes);
        for left_out in 0..changes.len() {
            let mut fewer = changes.clone();
            fewer.remove(left_out);
            prop_assert!(!allowed(&apply(&world, &fewer)), "{:#?} is not needed", changes[left_out]);
        }
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        for kind in KINDS {
            let _ = Document::parse(&text, kind);
        }
    }

    #[test]
    fn reading_a_damaged_policy_never_panics(world in any_world(), at in any::<prop::sample::Index>(), with in "\\PC{0,3}") {
        let text = world.resource_policy.unwrap_or_else(|| json!({ "Statement": [] })).to_string();
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = boundaries[at.index(boundaries.len())];
        let damaged = format!("{}{with}{}", &text[..at], &text[at..].chars().skip(1).collect::<String>());
        for kind in KINDS {
            let _ = Document::parse(&damaged, kind);
        }
    }
}

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

/// Does what the changes advise. Statements to be removed are made to mean nothing, so that places stay.
fn apply(world: &World, changes: &[Change]) -> World {
    let mut world = world.clone();
    for change in changes {
        match change {
            Change::Except {
                policy, statement, ..
            } => {
                let (kind, place) = policy.split_once('-').unwrap_or((policy, ""));
                let numbers: Vec<usize> = place
                    .split('-')
                    .filter_map(|number| number.parse().ok())
                    .collect();
                let document = match kind {
                    "identity" => &mut world.identity[numbers[0]],
                    "boundary" => world.boundary.as_mut().unwrap(),
                    "session" => &mut world.session.as_mut().unwrap()[numbers[0]],
                    "resource" => world.resource_policy.as_mut().unwrap(),
                    "scp" => &mut world.service_control.as_mut().unwrap()[numbers[0]][numbers[1]],
                    "rcp" => &mut world.resource_control.as_mut().unwrap()[numbers[0]][numbers[1]],
                    other => panic!("there is no policy {other}"),
                };
                let statement = &mut document["Statement"][*statement];
                statement.as_object_mut().unwrap().remove("NotAction");
                statement["Action"] = json!("none:None");
            }
            Change::Allow {
                policy_type,
                attach_to,
                statement,
                ..
            } => {
                let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
                let level = || {
                    attach_to
                        .strip_prefix("level-")
                        .unwrap()
                        .parse::<usize>()
                        .unwrap()
                };
                match policy_type {
                    PolicyType::Identity => world.identity.push(document),
                    PolicyType::Boundary => append(world.boundary.as_mut().unwrap(), statement),
                    PolicyType::Session => world.session.get_or_insert_default().push(document),
                    PolicyType::Resource => match &mut world.resource_policy {
                        Some(policy) => append(policy, statement),
                        none => *none = Some(document),
                    },
                    PolicyType::ServiceControl => {
                        world.service_control.as_mut().unwrap()[level()].push(document);
                    }
                    PolicyType::ResourceControl => {
                        world.resource_control.as_mut().unwrap()[level()].push(Json::Null);
                    }
                    PolicyType::RoleTrust | PolicyType::Endpoint => panic!("the world has no {policy_type}"),
                }
            }
        }
    }
    world
}

fn append(document: &mut Json, statement: &Json) {
    document["Statement"]
        .as_array_mut()
        .unwrap()
        .push(statement.clone());
}
