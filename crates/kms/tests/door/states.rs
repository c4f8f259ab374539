//! The published table of key states, cell by cell, each with a key of its own.
//!
//! Source: KMS Developer Guide, "Key states of KMS keys".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::key::{BackingKey, EncryptionAlgorithm, KeySpec, PublicKey};
use serde_json::{Value, json};

use crate::clusters::{FIRST, Modules};
use crate::hsm_stores::{disconnect, key_in, store, world_with};
use crate::world::{Who, World, text};

const OK: &str = "ok";
const OFF: &str = "DisabledException";
const STATE: &str = "KMSInvalidStateException";
const NEVER: &str = "UnsupportedOperationException";

/// What a key is brought into.
#[derive(Debug, Clone, Copy)]
enum State {
    Enabled,
    Disabled,
    PendingDeletion,
    PendingImport,
    PendingReplicaDeletion,
    Unavailable,
}

async fn bring(world: &World, make: &Value, state: State) -> Value {
    let key = world.key(make.clone()).await;
    let id = json!({"KeyId": key["KeyId"]});
    let external = make["Origin"] == "EXTERNAL";
    match state {
        State::PendingImport => return key,
        _ if external => import(world, &key).await,
        _ => {}
    }
    match state {
        State::Enabled | State::PendingImport => {}
        State::Disabled => drop(world.ok(Who::Root, "DisableKey", id).await),
        State::PendingDeletion => drop(world.ok(Who::Root, "ScheduleKeyDeletion", id).await),
        State::PendingReplicaDeletion => {
            let replica = json!({"KeyId": key["KeyId"], "ReplicaRegion": "ap-south-1"});
            world.ok(Who::Root, "ReplicateKey", replica).await;
            let told = world.ok(Who::Root, "ScheduleKeyDeletion", id).await;
            assert_eq!(told["KeyState"], "PendingReplicaDeletion");
        }
        State::Unavailable => {
            let store = json!({"CustomKeyStoreId": make["CustomKeyStoreId"]});
            disconnect(world, &store).await;
        }
    }
    key
}

async fn import(world: &World, key: &Value) {
    let asked = json!({"KeyId": key["KeyId"], "WrappingAlgorithm": "RSAES_OAEP_SHA_1", "WrappingKeySpec": "RSA_2048"});
    let told = world.ok(Who::Root, "GetParametersForImport", asked).await;
    let public = STANDARD.decode(text(&told, "PublicKey")).unwrap();
    let public = PublicKey::from_der(KeySpec::Rsa2048, &public).unwrap();
    let wrapped = public
        .encrypt(EncryptionAlgorithm::RsaesOaepSha1, &[7; 32])
        .unwrap();
    let body = json!({"KeyId": key["KeyId"], "ImportToken": told["ImportToken"],
        "EncryptedKeyMaterial": STANDARD.encode(wrapped), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"});
    world.ok(Who::Root, "ImportKeyMaterial", body).await;
}

/// Holds every operation to its row: an answer for each of the states.
async fn check<const N: usize>(make: Value, states: [State; N], table: &[(&str, Value, [&str; N])]) {
    check_in(&World::new().await, make, states, table).await;
}

/// The same in a world that has what the keys need.
async fn check_in<const N: usize>(
    world: &World,
    make: Value,
    states: [State; N],
    table: &[(&str, Value, [&str; N])],
) {
    for (operation, more, row) in table {
        for (state, expected) in states.into_iter().zip(row) {
            let key = bring(world, &make, state).await;
            let mut body = more.clone();
            body["KeyId"] = key["KeyId"].clone();
            let answer = world.call(Who::Root, operation, body).await;
            let told = if answer.status == 200 {
                OK.to_owned()
            } else {
                answer.code()
            };
            assert_eq!(
                told,
                *expected,
                "{operation} of {make} that is {state:?}: {}",
                answer.text()
            );
            if matches!(state, State::Unavailable) {
                let store = json!({"CustomKeyStoreId": make["CustomKeyStoreId"]});
                world.ok(Who::Root, "ConnectCustomKeyStore", store).await;
                world.advance(1).await;
            }
        }
    }
}

fn grant() -> Value {
    json!({"GranteePrincipal": Who::Bob.arn(), "Operations": ["DescribeKey"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_keys_made_here() {
    let states = [State::Enabled, State::Disabled, State::PendingDeletion];
    let parameters = json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    #[rustfmt::skip]
    let table = [
        ("Encrypt",                         json!({"Plaintext": "aGVsbG8="}), [OK, OFF, STATE]),
        ("GenerateDataKey",                 json!({"KeySpec": "AES_256"}),    [OK, OFF, STATE]),
        ("GenerateDataKeyWithoutPlaintext", json!({"KeySpec": "AES_256"}),    [OK, OFF, STATE]),
        ("GenerateDataKeyPair",             json!({"KeyPairSpec": "ECC_NIST_P256"}), [OK, OFF, STATE]),
        ("CreateGrant",                     grant(),                          [OK, OFF, STATE]),
        ("ListGrants",                      json!({}),                        [OK, OK, OK]),
        ("DescribeKey",                     json!({}),                        [OK, OK, OK]),
        ("GetKeyPolicy",                    json!({}),                        [OK, OK, OK]),
        ("ListResourceTags",                json!({}),                        [OK, OK, OK]),
        ("UpdateKeyDescription",            json!({"Description": "x"}),      [OK, OK, STATE]),
        ("EnableKey",                       json!({}),                        [OK, OK, STATE]),
        ("DisableKey",                      json!({}),                        [OK, OK, STATE]),
        ("EnableKeyRotation",               json!({}),                        [OK, OFF, STATE]),
        ("DisableKeyRotation",              json!({}),                        [OK, OFF, STATE]),
        ("RotateKeyOnDemand",               json!({}),                        [OK, OFF, STATE]),
        ("GetKeyRotationStatus",            json!({}),                        [OK, OK, OK]),
        ("ListKeyRotations",                json!({}),                        [OK, OK, OK]),
        ("GetParametersForImport",          parameters,                       [NEVER, NEVER, NEVER]),
        ("DeleteImportedKeyMaterial",       json!({}),                        [NEVER, NEVER, NEVER]),
        ("ReplicateKey",                    json!({"ReplicaRegion": "ap-south-1"}), [NEVER, NEVER, NEVER]),
        ("UpdatePrimaryRegion",             json!({"PrimaryRegion": "ap-south-1"}), [NEVER, NEVER, NEVER]),
        ("ScheduleKeyDeletion",             json!({}),                        [OK, OK, STATE]),
        ("CancelKeyDeletion",               json!({}),                        [STATE, STATE, OK]),
    ];
    check(json!({}), states, &table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_imported_keys() {
    let states = [
        State::Enabled,
        State::Disabled,
        State::PendingDeletion,
        State::PendingImport,
    ];
    let parameters = json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    #[rustfmt::skip]
    let table = [
        ("Encrypt",                   json!({"Plaintext": "aGVsbG8="}), [OK, OFF, STATE, STATE]),
        ("GenerateDataKey",           json!({"KeySpec": "AES_256"}),    [OK, OFF, STATE, STATE]),
        ("CreateGrant",               grant(),                          [OK, OFF, STATE, STATE]),
        ("DescribeKey",               json!({}),                        [OK, OK, OK, OK]),
        ("UpdateKeyDescription",      json!({"Description": "x"}),      [OK, OK, STATE, OK]),
        ("EnableKey",                 json!({}),                        [OK, OK, STATE, STATE]),
        ("DisableKey",                json!({}),                        [OK, OK, STATE, STATE]),
        ("EnableKeyRotation",         json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("DisableKeyRotation",        json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        // Nothing was imported that it could rotate to.
        ("RotateKeyOnDemand",         json!({}),                        [STATE, OFF, STATE, STATE]),
        ("GetParametersForImport",    parameters,                       [OK, OK, STATE, OK]),
        ("DeleteImportedKeyMaterial", json!({}),                        [OK, OK, OK, OK]),
        ("ScheduleKeyDeletion",       json!({}),                        [OK, OK, STATE, OK]),
        ("CancelKeyDeletion",         json!({}),                        [STATE, STATE, OK, STATE]),
    ];
    check(json!({"Origin": "EXTERNAL"}), states, &table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_multi_region_keys() {
    let states = [
        State::Enabled,
        State::Disabled,
        State::PendingDeletion,
        State::PendingReplicaDeletion,
    ];
    #[rustfmt::skip]
    let table = [
        ("Encrypt",             json!({"Plaintext": "aGVsbG8="}),         [OK, OFF, STATE, STATE]),
        ("CreateGrant",         grant(),                                  [OK, OFF, STATE, STATE]),
        ("RotateKeyOnDemand",   json!({}),                                [OK, OFF, STATE, STATE]),
        ("EnableKeyRotation",   json!({}),                                [OK, OFF, STATE, STATE]),
        ("ReplicateKey",        json!({"ReplicaRegion": "eu-west-1"}),    [OK, OFF, STATE, STATE]),
        // There is no replica to promote but in the last state.
        ("UpdatePrimaryRegion", json!({"PrimaryRegion": "ap-south-1"}),   ["ValidationException", OFF, STATE, STATE]),
        ("ScheduleKeyDeletion", json!({}),                                [OK, OK, STATE, STATE]),
        ("CancelKeyDeletion",   json!({}),                                [STATE, STATE, OK, OK]),
    ];
    check(json!({"MultiRegion": true}), states, &table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_pairs_and_mac_keys() {
    let states = [State::Enabled, State::Disabled, State::PendingDeletion];
    let peer = BackingKey::generate(KeySpec::EccNistP256, &Random::system()).unwrap();
    let peer = STANDARD.encode(peer.public_key_der().unwrap());
    for (spec, usage, operation, more) in [
        (
            "ECC_NIST_P256",
            "SIGN_VERIFY",
            "Sign",
            json!({"Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_256"}),
        ),
        (
            "ML_DSA_44",
            "SIGN_VERIFY",
            "Sign",
            json!({"Message": "eA==", "SigningAlgorithm": "ML_DSA_SHAKE_256"}),
        ),
        (
            "ECC_NIST_P256",
            "KEY_AGREEMENT",
            "DeriveSharedSecret",
            json!({"KeyAgreementAlgorithm": "ECDH", "PublicKey": peer}),
        ),
        (
            "ML_KEM_512",
            "ENCAPSULATE_DECAPSULATE",
            "Encapsulate",
            json!({"EncapsulationAlgorithm": "ML_KEM"}),
        ),
        ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE", "GetPublicKey", json!({})),
        (
            "HMAC_256",
            "GENERATE_VERIFY_MAC",
            "GenerateMac",
            json!({"Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"}),
        ),
    ] {
        let table = [
            (operation, more, [OK, OFF, STATE]),
            ("RotateKeyOnDemand", json!({}), [NEVER, NEVER, NEVER]),
            ("CreateGrant", grant(), [OK, OFF, STATE]),
        ];
        check(json!({"KeySpec": spec, "KeyUsage": usage}), states, &table).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_keys_in_custom_key_stores() {
    let states = [
        State::Enabled,
        State::Disabled,
        State::PendingDeletion,
        State::Unavailable,
    ];
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let store = store(&world, "store", FIRST).await;
    let parameters = json!({"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"});
    let pair = json!({"KeyPairSpec": "ECC_NIST_P256"});
    #[rustfmt::skip]
    let table = [
        ("Encrypt",                         json!({"Plaintext": "aGVsbG8="}), [OK, OFF, STATE, STATE]),
        ("GenerateDataKey",                 json!({"KeySpec": "AES_256"}),    [OK, OFF, STATE, STATE]),
        ("GenerateDataKeyWithoutPlaintext", json!({"KeySpec": "AES_256"}),    [OK, OFF, STATE, STATE]),
        ("GenerateDataKeyPair",             pair.clone(),                     [NEVER, NEVER, NEVER, NEVER]),
        ("GenerateDataKeyPairWithoutPlaintext", pair,                         [NEVER, NEVER, NEVER, NEVER]),
        ("CreateGrant",                     grant(),                          [OK, OFF, STATE, OK]),
        ("ListGrants",                      json!({}),                        [OK, OK, OK, OK]),
        ("DescribeKey",                     json!({}),                        [OK, OK, OK, OK]),
        ("GetKeyPolicy",                    json!({}),                        [OK, OK, OK, OK]),
        ("ListResourceTags",                json!({}),                        [OK, OK, OK, OK]),
        ("UpdateKeyDescription",            json!({"Description": "x"}),      [OK, OK, STATE, OK]),
        ("EnableKey",                       json!({}),                        [OK, OK, STATE, OK]),
        ("DisableKey",                      json!({}),                        [OK, OK, STATE, OK]),
        ("EnableKeyRotation",               json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("DisableKeyRotation",              json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("GetKeyRotationStatus",            json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("RotateKeyOnDemand",               json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("ListKeyRotations",                json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("GetParametersForImport",          parameters,                       [NEVER, NEVER, NEVER, NEVER]),
        ("DeleteImportedKeyMaterial",       json!({}),                        [NEVER, NEVER, NEVER, NEVER]),
        ("ReplicateKey",                    json!({"ReplicaRegion": "eu-west-1"}), [NEVER, NEVER, NEVER, NEVER]),
        ("ScheduleKeyDeletion",             json!({}),                        [OK, OK, STATE, OK]),
        ("CancelKeyDeletion",               json!({}),                        [STATE, STATE, OK, STATE]),
    ];
    check_in(&world, key_in(&store), states, &table).await;
}
