//! A key's whole life against a model of it: whatever is done to state, material
//! and grants, in whatever order, every call ends as a few lines of arithmetic
//! say, and every ciphertext that was ever made opens whenever any does.
//!
//! Walks are drawn from a fixed seed, so a walk that fails fails again; the
//! message shows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::world::{Who, World, text};
use crate::xks_proxy;

/// Walks, and the steps of each.
const WALKS: usize = 12;
const STEPS: usize = 150;

/// Rotations that may be asked for. Source: KMS Developer Guide, "Resource quotas".
const ROTATIONS_MAX: usize = 25;

/// How a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the operation of KMS.
    Api,
    /// By the proxy of an external key store.
    Proxy,
}

/// What may be done.
#[derive(Debug, Clone)]
enum Step {
    Cancel,
    Decrypt(usize),
    Disable,
    Enable,
    Encrypt(Way),
    /// To encrypt, to decrypt.
    Grant(bool, bool),
    Revoke(usize),
    Rotate,
    Schedule,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Cancel),
        6 => (0usize..100).prop_map(Step::Decrypt),
        1 => Just(Step::Disable),
        5 => Just(Step::Enable),
        6 => prop_oneof![Just(Way::Api), Just(Way::Proxy)].prop_map(Step::Encrypt),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(encrypt, decrypt)| Step::Grant(encrypt, decrypt)),
        1 => (0usize..100).prop_map(Step::Revoke),
        9 => Just(Step::Rotate),
        1 => Just(Step::Schedule),
    ]
}

/// How the key stands by the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Enabled,
    Disabled,
    Pending,
}

/// What is known of the key without asking.
struct Model {
    state: State,
    rotations: usize,
    /// Id, to encrypt, to decrypt.
    grants: Vec<(String, bool, bool)>,
    /// How it was made, what it says, and itself.
    ciphertexts: Vec<(Way, String, Value)>,
}

impl Model {
    fn may(&self, encrypt: bool) -> bool {
        let mut grants = self.grants.iter();
        grants.any(|(_, to_encrypt, to_decrypt)| if encrypt { *to_encrypt } else { *to_decrypt })
    }

    /// How a use ends; `None` if well. Who may not learns nothing of the state.
    fn end_of_use(&self, way: Way, encrypt: bool) -> Option<&'static str> {
        match (self.may(encrypt), self.state, way) {
            (false, ..) => Some("AccessDeniedException"),
            (true, State::Enabled, _) => None,
            (true, _, Way::Proxy) => Some("InvalidStateException"),
            (true, State::Disabled, Way::Api) => Some("DisabledException"),
            (true, State::Pending, Way::Api) => Some("KMSInvalidStateException"),
        }
    }
}

/// What a call of either way answers, or the name of its refusal.
fn ended(answer: &testkit::client::Answer) -> Result<Value, String> {
    if answer.status == 200 {
        return Ok(answer.json());
    }
    let told = answer.json();
    Err(told["errorName"]
        .as_str()
        .map_or_else(|| answer.code(), str::to_owned))
}

/// What it should be: well, or refused by that name.
fn agree<T>(found: Result<T, String>, expected: Option<&str>) -> Result<Option<T>, String> {
    match (found, expected) {
        (Ok(value), None) => Ok(Some(value)),
        (Err(name), Some(expected)) if name == expected => Ok(None),
        (Ok(_), Some(expected)) => Err(format!("it should be {expected}, and went well")),
        (Err(name), expected) => Err(format!("it is {name}, not {expected:?}")),
    }
}

async fn take(world: &World, key: &str, model: &mut Model, step: &Step, number: usize) -> Result<(), String> {
    let by_root = async |operation: &str| {
        let answer = world.call(Who::Root, operation, json!({"KeyId": key})).await;
        ended(&answer)
    };
    match step {
        Step::Enable | Step::Disable => {
            let (operation, state) = match step {
                Step::Enable => ("EnableKey", State::Enabled),
                _ => ("DisableKey", State::Disabled),
            };
            let expected = (model.state == State::Pending).then_some("KMSInvalidStateException");
            if agree(by_root(operation).await, expected)?.is_some() {
                model.state = state;
            }
        }
        Step::Schedule => {
            let expected = (model.state == State::Pending).then_some("KMSInvalidStateException");
            if agree(by_root("ScheduleKeyDeletion").await, expected)?.is_some() {
                model.state = State::Pending;
            }
        }
        Step::Cancel => {
            let expected = (model.state != State::Pending).then_some("KMSInvalidStateException");
            if agree(by_root("CancelKeyDeletion").await, expected)?.is_some() {
                model.state = State::Disabled;
            }
        }
        Step::Rotate => {
            let expected = match model.state {
                State::Disabled => Some("DisabledException"),
                State::Pending => Some("KMSInvalidStateException"),
                State::Enabled if model.rotations == ROTATIONS_MAX => Some("LimitExceededException"),
                State::Enabled => None,
            };
            if agree(by_root("RotateKeyOnDemand").await, expected)?.is_some() {
                model.rotations += 1;
            }
        }
        Step::Grant(encrypt, decrypt) => {
            let operations = [
                ("Encrypt", *encrypt),
                ("Decrypt", *decrypt),
                ("DescribeKey", true),
            ];
            let operations: Vec<&str> = operations
                .iter()
                .filter_map(|(name, wanted)| wanted.then_some(*name))
                .collect();
            let body = json!({"KeyId": key, "GranteePrincipal": Who::Bob.arn(), "Operations": operations});
            let expected = match model.state {
                State::Enabled => None,
                State::Disabled => Some("DisabledException"),
                State::Pending => Some("KMSInvalidStateException"),
            };
            let answer = world.call(Who::Root, "CreateGrant", body).await;
            if let Some(made) = agree(ended(&answer), expected)? {
                // The same terms again are a grant again: without a name none is found.
                model.grants.push((text(&made, "GrantId"), *encrypt, *decrypt));
            }
        }
        Step::Revoke(which) => {
            // A key that waits for its deletion is left alone: what AWS lets be done to it is `states`' matter.
            if model.grants.is_empty() || model.state != State::Enabled {
                return Ok(());
            }
            let (id, ..) = model.grants.remove(which % model.grants.len());
            let body = json!({"KeyId": key, "GrantId": id});
            agree(ended(&world.call(Who::Root, "RevokeGrant", body).await), None)?;
        }
        Step::Encrypt(way) => {
            let plaintext = format!("message {number}");
            let answer = match way {
                Way::Api => {
                    let body = json!({"KeyId": key, "Plaintext": STANDARD.encode(&plaintext)});
                    world.call(Who::Bob, "Encrypt", body).await
                }
                Way::Proxy => {
                    let body = xks_proxy::to_encrypt(plaintext.as_bytes(), None);
                    xks_proxy::ask(world, key, "encrypt", body).await
                }
            };
            if let Some(sealed) = agree(ended(&answer), model.end_of_use(*way, true))? {
                model.ciphertexts.push((*way, plaintext, sealed));
            }
        }
        Step::Decrypt(which) => {
            if model.ciphertexts.is_empty() {
                return Ok(());
            }
            let (way, plaintext, sealed) = &model.ciphertexts[which % model.ciphertexts.len()];
            let answer = match way {
                Way::Api => {
                    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
                    world.call(Who::Bob, "Decrypt", body).await
                }
                Way::Proxy => {
                    xks_proxy::ask(world, key, "decrypt", xks_proxy::to_decrypt(sealed, None)).await
                }
            };
            if let Some(opened) = agree(ended(&answer), model.end_of_use(*way, false))? {
                let found = opened["Plaintext"].as_str().or(opened["plaintext"].as_str());
                if found != Some(&STANDARD.encode(plaintext)) {
                    return Err(format!("it says {found:?}, not {plaintext}"));
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_as_the_model_says() {
    let world = xks_proxy::world().await;
    let mut runner = TestRunner::deterministic();
    let walks = proptest::collection::vec(any_step(), STEPS);
    let (mut opened, mut refused, mut at_the_limit) = (0, 0, 0);
    for _ in 0..WALKS {
        let walk = walks.new_tree(&mut runner).unwrap().current();
        let key = text(&world.key(json!({})).await, "KeyId");
        let mut model = Model {
            state: State::Enabled,
            rotations: 0,
            grants: Vec::new(),
            ciphertexts: Vec::new(),
        };
        for (number, step) in walk.iter().enumerate() {
            if let Step::Decrypt(_) = step
                && let Some((way, ..)) = model.ciphertexts.first()
            {
                match model.end_of_use(*way, false) {
                    None => opened += 1,
                    Some(_) => refused += 1,
                }
            }
            let taken = take(&world, &key, &mut model, step, number).await;
            assert!(taken.is_ok(), "{}: step {number} of {walk:?}", taken.unwrap_err());
        }
        at_the_limit += usize::from(model.rotations == ROTATIONS_MAX);
    }
    // The walks go where it matters.
    assert!(
        opened >= 60 && refused >= 60 && at_the_limit >= 1,
        "{opened} opened, {refused} refused, {at_the_limit} at the limit of rotations"
    );
}
