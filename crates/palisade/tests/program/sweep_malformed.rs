//! Input that breaks the model is told so, in the protocol's words, and never
//! reaches further; input at a limit is not.

use serde_json::Value;
use shape::{OperationShape, Protocol};
use testkit::client::{post, query_call};
use testkit::sample::{self, Broken};

use crate::stage::{allow_all, prepare, told};
use crate::world::{World, assert_none, full_name, message, operations, services};

/// Limits of the model that the service itself draws closer, and whose word that is.
const CLOSER_LIMITS: &[(&str, &str, &str)] = &[
    (
        "kms:ListAliases",
        "Limit = 1000",
        "1 to 100 (KMS API Reference, ListAliases)",
    ),
    (
        "kms:ListGrants",
        "Limit = 1000",
        "1 to 100 (KMS API Reference, ListGrants)",
    ),
    (
        "kms:ListRetirableGrants",
        "Limit = 1000",
        "1 to 100 (KMS API Reference, ListRetirableGrants)",
    ),
    (
        "kms:ListResourceTags",
        "Limit = 1000",
        "1 to 50 (KMS API Reference, ListResourceTags)",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_that_breaks_the_model_is_refused_in_its_words() {
    let world = World::new().await;
    let (problems, tried) = broken_input(&world, &operations()).await;
    assert!(tried > 500, "only {tried} broken inputs were made");
    assert_none(&problems);
    world.finish().await;
}

/// What is wrong with the answers to inputs that break the model, and how many were tried.
pub(crate) async fn broken_input(
    world: &World,
    operations: &[&'static OperationShape],
) -> (Vec<String>, usize) {
    let admin = world.user("admin", allow_all()).await;
    let mut problems = Vec::new();
    let mut closer: Vec<_> = CLOSER_LIMITS.to_vec();
    let mut tried = 0;
    for &operation in operations {
        let name = full_name(operation);
        let given = prepare(world, operation).await;
        let input = world.input(operation, &given);
        for mutation in sample::mutations(operation, &input) {
            tried += 1;
            let answer = world.call(&admin, operation, &mutation.input).await;
            let code = answer.code();
            let query = matches!(operation.service.protocol, Protocol::Query);
            let expected = match (mutation.broken, query) {
                (Broken::Missing | Broken::Beyond, false) => "ValidationException",
                (Broken::Missing | Broken::Beyond, true) => "ValidationError",
                (Broken::WrongType, false) => "SerializationException",
                (Broken::WrongType, true) => "MalformedInput",
                (Broken::Edge, _) => "",
            };
            if answer.status >= 500 {
                problems.push(format!("{name} {}: {}", mutation.what, told(&answer)));
            } else if mutation.broken == Broken::Edge {
                // Whatever the handler thinks of it, the model has nothing against it.
                if message(&answer).contains("failed to satisfy constraint") {
                    let listed = closer
                        .iter()
                        .position(|(listed, what, _)| *listed == name && *what == mutation.what);
                    match listed {
                        Some(at) => _ = closer.remove(at),
                        None => problems.push(format!("{name} {}: {}", mutation.what, told(&answer))),
                    }
                }
            } else if code != expected || answer.status == 200 {
                problems.push(format!("{name} {}: {}", mutation.what, told(&answer)));
            } else if mutation.broken != Broken::WrongType {
                let mut member = mutation.member.to_owned();
                member[..1].make_ascii_lowercase();
                if !message(&answer).contains(&format!("'{member}")) {
                    problems.push(format!(
                        "{name} {}: does not name it: {}",
                        mutation.what,
                        told(&answer)
                    ));
                }
            }
        }
    }
    problems.extend(
        closer
            .iter()
            .map(|row| format!("{row:?} is not needed: take it off the list")),
    );
    (problems, tried)
}

/// Bodies that are none, for one operation of each service: the wire codecs
/// have the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_say_nothing_are_refused() {
    let world = World::new().await;
    let root = &world.root;
    let mut signer = root.signer.clone();
    signer.time = None;
    let mut problems = Vec::new();
    for service in services() {
        let shape = service.shape();
        // One that requires something, so that saying nothing is never right.
        let operation = service
            .operations()
            .find(|operation| operation.input.members.iter().any(|member| member.required))
            .unwrap();
        let (headers, valid) = sample::encode(operation, &world.input(operation, &serde_json::Map::new()));
        let deep = format!("{}{}", "{\"a\":".repeat(5000), "1".to_owned() + &"}".repeat(5000));
        let mut bodies: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            (
                "invalid UTF-8",
                [&valid[..valid.len() / 2], &[0xff, 0xfe, 0x80]].concat(),
            ),
            ("NUL", vec![0; 64]),
            ("deep", deep.into_bytes()),
            ("another protocol", b"<a>1</a>".to_vec()),
        ];
        if !matches!(shape.protocol, Protocol::Query) {
            bodies.push(("half a body", valid[..valid.len() / 2].to_vec()));
            bodies.push(("a list", b"[]".to_vec()));
            bodies.push(("null", b"null".to_vec()));
            bodies.push(("two documents", [&valid[..], &valid[..]].concat()));
        } else {
            let form = String::from_utf8(valid.clone()).unwrap();
            let (_, twice) = query_call(&format!("{form}&{form}"));
            bodies.push(("everything twice", twice));
            let (_, percent) = query_call(&format!("{form}&A=%zz&B=%"));
            bodies.push(("broken escapes", percent));
            let (_, huge) = query_call(&format!("{form}&Tags.member.99999999999999999999.Key=a"));
            bodies.push(("a huge index", huge));
        }
        for (what, body) in bodies {
            let answer = post(
                world.address(),
                shape.signing_name,
                Some(&signer),
                (headers.clone(), body),
            )
            .await;
            if answer.status == 200 || answer.status >= 500 || answer.code().is_empty() {
                problems.push(format!(
                    "{} with {what} answered {}",
                    full_name(operation),
                    told(&answer)
                ));
            }
        }
        let mut other = headers.clone();
        other.retain(|(name, _)| *name != "content-type");
        other.push(("content-type", "image/png".to_owned()));
        let answer = post(world.address(), shape.signing_name, Some(&signer), (other, valid)).await;
        if answer.status == 200 || answer.status >= 500 {
            problems.push(format!(
                "{} as a picture answered {}",
                full_name(operation),
                told(&answer)
            ));
        }
    }
    assert_none(&problems);
    world.finish().await;
}

/// An operation that the API has and we do not says so, and is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_implemented_says_so() {
    let world = World::new().await;
    let root = world.root.clone();
    let mut problems = Vec::new();
    for service in services() {
        let done: Vec<&str> = service.operations().map(|operation| operation.name).collect();
        for operation in service.shape().operations {
            if done.contains(&operation.name) || operation.unsigned {
                continue;
            }
            let answer = world
                .call(&root, operation, &Value::Object(Default::default()))
                .await;
            let expected = match operation.service.protocol {
                Protocol::Query => "InvalidAction",
                _ => "UnknownOperationException",
            };
            if answer.code() != expected {
                problems.push(format!("{} answered {}", full_name(operation), told(&answer)));
            }
        }
    }
    assert_none(&problems);
    world.finish().await;
}
