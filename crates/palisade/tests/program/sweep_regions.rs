//! What is in one region is not seen from another, and a signature is good
//! for one service and region.

use serde_json::Value;
use shape::OperationShape;
use testkit::client::{Signer, post};
use testkit::sample;

use crate::stage::{allow_all, prepare, told};
use crate::world::{REGION, World, assert_none, full_name, is_regional, operations};

const ELSEWHERE: &str = "eu-west-1";

/// Regional services whose state is global nevertheless.
const GLOBAL_STATE: &[(&str, &str)] = &[("sts", "roles and users belong to no region; tokens work in all")];

/// Operations that need nothing to exist, and so succeed anywhere.
const NAMES_NOTHING: &[&str] = &[
    "kms:CreateCustomKeyStore",
    "kms:CreateKey",
    "kms:DescribeCustomKeyStores",
    "kms:GenerateRandom",
    "kms:ListAliases",
    "kms:ListKeys",
    "kms:ListRetirableGrants",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_one_region_is_not_seen_from_another() {
    let world = World::new().await;
    assert_none(&another_region(&world, &operations()).await);
    world.finish().await;
}

/// What is wrong when the same is asked of another region.
pub(crate) async fn another_region(world: &World, operations: &[&'static OperationShape]) -> Vec<String> {
    let admin = world.user("admin", allow_all()).await;
    let mut problems = Vec::new();
    let mut listed = NAMES_NOTHING.to_vec();
    for &operation in operations {
        let name = full_name(operation);
        let service = operation.service;
        if !is_regional(service) || GLOBAL_STATE.iter().any(|(global, _)| *global == service.name) {
            continue;
        }
        let mut given = prepare(world, operation).await;
        // A key id means one of the region that is asked; an ARN would say which is meant.
        let mut ids = Vec::new();
        for value in given.values_mut() {
            if let Some((_, id)) = value.as_str().and_then(|text| text.split_once(":key/")) {
                ids.push(id.to_owned());
                *value = Value::from(id);
            }
        }
        if name == "kms:ListAliases" {
            given.remove("KeyId");
        }
        let input = world.input(operation, &given);
        let answer = world.call_in(ELSEWHERE, &admin, operation, &input).await;
        let is_listed = listed.contains(&name.as_str());
        listed.retain(|listed| *listed != name);
        if is_listed != (answer.status == 200) {
            problems.push(format!("{name} from {ELSEWHERE} answered {}", told(&answer)));
        }
        if answer.status == 200 && ids.iter().any(|id| answer.text().contains(id.as_str())) {
            problems.push(format!("{name} from {ELSEWHERE} shows {}", answer.text()));
        }
        if answer.status != 200
            && !["NotFoundException", "CustomKeyStoreNotFoundException"].contains(&answer.code().as_str())
            && name != "kms:Decrypt"
            && name != "kms:ReEncrypt"
        {
            problems.push(format!("{name} from {ELSEWHERE} answered {}", told(&answer)));
        }
        let answer = world.call(&admin, operation, &input).await;
        if answer.status != 200 {
            problems.push(format!(
                "{name} from {REGION} with {input} answered {}",
                told(&answer)
            ));
        }
    }
    problems.extend(
        listed
            .iter()
            .map(|name| format!("{name} is no operation: take it off the list")),
    );
    problems
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_is_good_for_its_own_service_alone() {
    let world = World::new().await;
    let mut problems = Vec::new();
    for operation in operations() {
        let input = world.input(operation, &serde_json::Map::new());
        for service in ["s3", "palisade", "nothing", "kms", "iam", "sts"] {
            if service == operation.service.signing_name {
                continue;
            }
            let signer = Signer {
                time: None,
                ..world.root.signer.clone()
            };
            let call = sample::encode(operation, &input);
            let answer = post(world.address(), service, Some(&signer), call).await;
            if answer.status == 200 || answer.status >= 500 || answer.code().is_empty() {
                let name = full_name(operation);
                problems.push(format!("{name} signed for {service} answered {}", told(&answer)));
            }
        }
    }
    assert_none(&problems);
    world.finish().await;
}
