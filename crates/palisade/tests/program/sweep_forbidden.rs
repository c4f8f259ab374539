//! What an organisation forbids, nobody in a member account does, whatever
//! their own policies say and whatever the operation.

use serde_json::{Map, json};
use shape::OperationShape;

use crate::stage::{allow_all, prepare, told};
use crate::stage_organizations::forbid_everything;
use crate::sweep_denied::{NEED_NO_PERMISSION, denied, is_done};
use crate::world::{HOME, World, assert_none, full_name, message, operations};

/// Operations whose preparation takes organisations apart. The user is refused
/// them like any other; that they can be done is seen by the other sweeps.
fn takes_organisations_apart(operation: &OperationShape) -> bool {
    operation.service.name == "organizations"
        || operation.name.contains("Organizations")
        || operation.name == "AssumeRoot"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_done_that_the_organisation_forbids() {
    let world = World::new().await;
    let admin = world.user("admin", allow_all()).await;
    let forbidden = world.user("forbidden", allow_all()).await;
    forbid_everything(&world, &forbidden.arn).await;
    let mut problems = Vec::new();
    for operation in operations() {
        let name = full_name(operation);
        let apart = takes_organisations_apart(operation);
        let given = match operation.name {
            "AssumeRoot" => {
                let task = json!({"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"});
                Map::from_iter([
                    ("TaskPolicyArn".to_owned(), task),
                    ("TargetPrincipal".to_owned(), json!(HOME)),
                ])
            }
            _ if apart => Map::new(),
            _ => prepare(&world, operation).await,
        };
        let input = world.input(operation, &given);
        if NEED_NO_PERMISSION.iter().all(|(listed, _)| *listed != name) {
            let answer = world.call(&forbidden, operation, &input).await;
            let says_why = message(&answer).contains("with an explicit deny in a service control policy");
            if answer.code() != denied(operation.service.protocol) || !says_why {
                problems.push(format!("{name} was answered {}", told(&answer)));
            }
        }
        if !apart {
            let answer = world.call(&admin, operation, &input).await;
            if !is_done(&name, &answer) {
                problems.push(format!("{name} by admin with {input} answered {}", told(&answer)));
            }
        }
    }
    assert_none(&problems);
    world.finish().await;
}
