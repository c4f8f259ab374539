//! AWS CloudHSM key stores, before clusters in memory. External ones stand
//! before a real proxy in `conformance/test_custom_key_stores.py`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms::hsm::{KeyError, LoginError};
use serde_json::{Value, json};

use crate::clusters::{FIRST, Modules, OTHER, PASSWORD, SECOND};
use crate::world::{Who, World, text};

const ROOT: Who = Who::Root;

pub(crate) async fn world_with(modules: &Arc<Modules>) -> World {
    let clusters: Arc<dyn kms::hsm::Clusters> = Arc::clone(modules) as _;
    World::with(kms::Options {
        hsm_clusters: Some(clusters),
        ..kms::Options::default()
    })
    .await
}

fn wanted(name: &str, cluster: &str) -> Value {
    let anchor = if cluster == OTHER {
        "anchor two"
    } else {
        "anchor one"
    };
    json!({"CustomKeyStoreName": name, "CloudHsmClusterId": cluster, "TrustAnchorCertificate": anchor,
        "KeyStorePassword": PASSWORD})
}

async fn described(world: &World, id: &Value) -> Value {
    world.ok(ROOT, "DescribeCustomKeyStores", id.clone()).await["CustomKeyStores"][0].clone()
}

async fn connect(world: &World, id: &Value) -> Value {
    world.ok(ROOT, "ConnectCustomKeyStore", id.clone()).await;
    assert_eq!(described(world, id).await["ConnectionState"], "CONNECTING");
    world.advance(1).await;
    described(world, id).await
}

pub(crate) async fn disconnect(world: &World, id: &Value) -> Value {
    world.ok(ROOT, "DisconnectCustomKeyStore", id.clone()).await;
    assert_eq!(described(world, id).await["ConnectionState"], "DISCONNECTING");
    world.advance(1).await;
    described(world, id).await
}

/// A connected store in a cluster: the members that name it.
pub(crate) async fn store(world: &World, name: &str, cluster: &str) -> Value {
    let made = world
        .ok(ROOT, "CreateCustomKeyStore", wanted(name, cluster))
        .await;
    let id = json!({"CustomKeyStoreId": made["CustomKeyStoreId"]});
    assert_eq!(connect(world, &id).await["ConnectionState"], "CONNECTED");
    id
}

pub(crate) fn key_in(id: &Value) -> Value {
    json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": id["CustomKeyStoreId"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lives_and_dies_in_its_cluster() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let module = modules.module(FIRST);
    let id = store(&world, "store", FIRST).await;
    let entry = described(&world, &id).await;
    assert_eq!(entry["CustomKeyStoreType"], "AWS_CLOUDHSM");
    assert_eq!(
        (&entry["CloudHsmClusterId"], &entry["TrustAnchorCertificate"]),
        (&json!(FIRST), &json!("anchor one"))
    );
    assert!(entry["XksProxyConfiguration"].is_null());

    let key = world.key(key_in(&id)).await;
    assert_eq!(
        (&key["Origin"], &key["KeyState"]),
        (&json!("AWS_CLOUDHSM"), &json!("Enabled"))
    );
    assert_eq!(key["CloudHsmClusterId"], FIRST);
    assert_eq!(key["CustomKeyStoreId"], id["CustomKeyStoreId"]);
    assert!(key["CurrentKeyMaterialId"].is_null() && key["XksKeyConfiguration"].is_null());
    let label = text(&key, "KeyId").to_owned();
    assert!(module.inside.lock().unwrap().keys.contains_key(&label));

    let context = json!({"a": "b"});
    let body = json!({"KeyId": label, "Plaintext": "aGVsbG8=", "EncryptionContext": context});
    let sealed = world.ok(ROOT, "Encrypt", body).await;
    assert!(sealed["KeyMaterialId"].is_null());
    let blob = &sealed["CiphertextBlob"];
    let opened = json!({"CiphertextBlob": blob, "EncryptionContext": context});
    assert_eq!(world.ok(ROOT, "Decrypt", opened).await["Plaintext"], "aGVsbG8=");
    let (code, message) = world
        .fails(ROOT, "Decrypt", json!({"CiphertextBlob": blob}))
        .await;
    assert_eq!((code.as_str(), message), ("InvalidCiphertextException", None));
    let data_key = world
        .ok(
            ROOT,
            "GenerateDataKey",
            json!({"KeyId": label, "KeySpec": "AES_256"}),
        )
        .await;
    let opened = json!({"CiphertextBlob": data_key["CiphertextBlob"], "KeyId": key["Arn"]});
    assert_eq!(
        world.ok(ROOT, "Decrypt", opened).await["Plaintext"],
        data_key["Plaintext"]
    );
    let drawn = json!({"NumberOfBytes": 4, "CustomKeyStoreId": id["CustomKeyStoreId"]});
    let drawn = world.ok(ROOT, "GenerateRandom", drawn).await;
    assert_eq!(STANDARD.decode(text(&drawn, "Plaintext")).unwrap(), [0xab; 4]);

    // Every byte of a ciphertext counts.
    let bytes = STANDARD.decode(text(&sealed, "CiphertextBlob")).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let body =
            json!({"CiphertextBlob": STANDARD.encode(changed), "EncryptionContext": context, "KeyId": label});
        let (code, _) = world.fails(ROOT, "Decrypt", body).await;
        assert!(
            ["InvalidCiphertextException", "IncorrectKeyException"].contains(&code.as_str()),
            "{at}: {code}"
        );
    }

    // A store with keys stays; after the waiting period the key is gone there too.
    assert_eq!(disconnect(&world, &id).await["ConnectionState"], "DISCONNECTED");
    assert!(!module.inside.lock().unwrap().logged_in);
    let (code, _) = world.fails(ROOT, "DeleteCustomKeyStore", id.clone()).await;
    assert_eq!(code, "CustomKeyStoreHasCMKsException");
    connect(&world, &id).await;
    world
        .ok(
            ROOT,
            "ScheduleKeyDeletion",
            json!({"KeyId": label, "PendingWindowInDays": 7}),
        )
        .await;
    world.advance(8 * 24 * 60 * 60).await;
    assert_eq!(module.inside.lock().unwrap().deleted, [label]);
    disconnect(&world, &id).await;
    world.ok(ROOT, "DeleteCustomKeyStore", id.clone()).await;
    let (code, _) = world.fails(ROOT, "DescribeCustomKeyStores", id).await;
    assert_eq!(code, "CustomKeyStoreNotFoundException");
    let records = world.records().await;
    let all = serde_json::to_string(&records).unwrap();
    assert!(!all.contains(PASSWORD) && all.contains("CreateCustomKeyStore"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_made_only_for_a_cluster_that_fits() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let make = |change: Value| {
        let mut body = wanted("store", FIRST);
        for (member, value) in change.as_object().unwrap() {
            body[member] = value.clone();
        }
        body
    };
    for (change, expected) in [
        (
            json!({"CloudHsmClusterId": "cluster-2222222222d"}),
            "CloudHsmClusterNotFoundException",
        ),
        (
            json!({"TrustAnchorCertificate": "anchor two"}),
            "IncorrectTrustAnchorException",
        ),
        (json!({"TrustAnchorCertificate": null}), "ValidationException"),
        (json!({"KeyStorePassword": null}), "ValidationException"),
        (json!({"KeyStorePassword": "short"}), "ValidationException"),
        (json!({"CloudHsmClusterId": null}), "ValidationException"),
        (
            json!({"XksProxyConnectivity": "PUBLIC_ENDPOINT"}),
            "ValidationException",
        ),
    ] {
        let (code, message) = world
            .fails(ROOT, "CreateCustomKeyStore", make(change.clone()))
            .await;
        assert_eq!(code, expected, "{change}: {message:?}");
    }
    modules.module(FIRST).inside.lock().unwrap().inactive = true;
    let (code, _) = world
        .fails(ROOT, "CreateCustomKeyStore", wanted("store", FIRST))
        .await;
    assert_eq!(code, "CloudHsmClusterNotActiveException");
    modules.module(FIRST).inside.lock().unwrap().inactive = false;
    // Another account has no such cluster.
    let (code, _) = world
        .fails(Who::AwayRoot, "CreateCustomKeyStore", wanted("store", FIRST))
        .await;
    assert_eq!(code, "CloudHsmClusterNotFoundException");
    let (code, _) = world
        .fails(Who::Bob, "CreateCustomKeyStore", wanted("store", FIRST))
        .await;
    assert_eq!(code, "AccessDeniedException");

    world
        .ok(ROOT, "CreateCustomKeyStore", wanted("store", FIRST))
        .await;
    for (name, cluster, expected) in [
        ("other", FIRST, "CloudHsmClusterInUseException"),
        ("other", SECOND, "CloudHsmClusterInUseException"),
        ("store", OTHER, "CustomKeyStoreNameInUseException"),
    ] {
        let (code, _) = world
            .fails(ROOT, "CreateCustomKeyStore", wanted(name, cluster))
            .await;
        assert_eq!(code, expected, "{name} {cluster}");
    }
    world
        .ok(ROOT, "CreateCustomKeyStore", wanted("other", OTHER))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_store_is_not_connected() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let id = store(&world, "store", FIRST).await;
    for (fails, expected) in [
        (LoginError::InvalidCredentials, "INVALID_CREDENTIALS"),
        (LoginError::UserLockedOut, "USER_LOCKED_OUT"),
        (LoginError::UserLoggedIn, "USER_LOGGED_IN"),
        (LoginError::UserNotFound, "USER_NOT_FOUND"),
        (LoginError::ClusterNotFound, "CLUSTER_NOT_FOUND"),
        (
            LoginError::InsufficientHsms(String::new()),
            "INSUFFICIENT_CLOUDHSM_HSMS",
        ),
        (LoginError::Network(String::new()), "NETWORK_ERRORS"),
        (LoginError::Internal(String::new()), "INTERNAL_ERROR"),
    ] {
        disconnect(&world, &id).await;
        modules.module(FIRST).inside.lock().unwrap().login_fails = Some(fails);
        let entry = connect(&world, &id).await;
        assert_eq!(entry["ConnectionState"], "FAILED");
        assert_eq!(entry["ConnectionErrorCode"], expected);
        // Nobody tries again by himself.
        let logins = modules.module(FIRST).inside.lock().unwrap().logins;
        world.advance(60).await;
        assert_eq!(modules.module(FIRST).inside.lock().unwrap().logins, logins);
    }
    let (code, _) = world.fails(ROOT, "ConnectCustomKeyStore", id.clone()).await;
    assert_eq!(code, "CustomKeyStoreInvalidStateException");
    disconnect(&world, &id).await;
    modules.module(FIRST).inside.lock().unwrap().login_fails = None;
    assert_eq!(connect(&world, &id).await["ConnectionState"], "CONNECTED");
    disconnect(&world, &id).await;
    modules.module(FIRST).inside.lock().unwrap().inactive = true;
    let (code, _) = world.fails(ROOT, "ConnectCustomKeyStore", id).await;
    assert_eq!(code, "CloudHsmClusterNotActiveException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_forgot_its_login_is_logged_into_again_but_not_with_a_wrong_password() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let module = modules.module(FIRST);
    let id = store(&world, "store", FIRST).await;
    let key = world.key(key_in(&id)).await;
    let encrypt = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    module.inside.lock().unwrap().logged_in = false;
    world.ok(ROOT, "Encrypt", encrypt.clone()).await;

    module.inside.lock().unwrap().logged_in = false;
    module.inside.lock().unwrap().login_fails = Some(LoginError::InvalidCredentials);
    let before = module.inside.lock().unwrap().logins;
    for _ in 0..3 {
        let (code, message) = world.fails(ROOT, "Encrypt", encrypt.clone()).await;
        assert_eq!(code, "KMSInvalidStateException");
        assert!(message.unwrap().contains("did not complete the operation"));
    }
    assert_eq!(module.inside.lock().unwrap().logins, before + 1);

    // The owner says the right one, and it works.
    module.inside.lock().unwrap().login_fails = None;
    disconnect(&world, &id).await;
    let change = json!({"CustomKeyStoreId": id["CustomKeyStoreId"], "KeyStorePassword": "not the password"});
    world.ok(ROOT, "UpdateCustomKeyStore", change).await;
    assert_eq!(
        connect(&world, &id).await["ConnectionErrorCode"],
        "INVALID_CREDENTIALS"
    );
    disconnect(&world, &id).await;
    let change = json!({"CustomKeyStoreId": id["CustomKeyStoreId"], "KeyStorePassword": PASSWORD});
    world.ok(ROOT, "UpdateCustomKeyStore", change).await;
    assert_eq!(connect(&world, &id).await["ConnectionState"], "CONNECTED");
    world.ok(ROOT, "Encrypt", encrypt.clone()).await;

    for fails in [
        KeyError::Unreachable(String::new()),
        KeyError::NoSuchKey,
        KeyError::Refused(String::new()),
    ] {
        module.inside.lock().unwrap().key_fails = Some(fails);
        let (code, _) = world.fails(ROOT, "Encrypt", encrypt.clone()).await;
        assert_eq!(code, "KMSInvalidStateException");
        let (code, _) = world.fails(ROOT, "CreateKey", key_in(&id)).await;
        assert_eq!(code, "CustomKeyStoreInvalidStateException");
        let drawn = json!({"NumberOfBytes": 4, "CustomKeyStoreId": id["CustomKeyStoreId"]});
        let (code, _) = world.fails(ROOT, "GenerateRandom", drawn).await;
        assert_eq!(code, "CustomKeyStoreInvalidStateException");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_wants_it_gets_another_password_at_each_connection() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let module = modules.module(FIRST);
    module.inside.lock().unwrap().rotates = true;
    let id = store(&world, "store", FIRST).await;
    let password = || module.inside.lock().unwrap().password.clone().unwrap();
    let first = password();
    assert!(
        first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{first}"
    );
    // It is the one that is used, and the next connection gives another.
    let key = world.key(key_in(&id)).await;
    module.inside.lock().unwrap().logged_in = false;
    let body = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    world.ok(ROOT, "Encrypt", body.clone()).await;
    disconnect(&world, &id).await;
    assert_eq!(connect(&world, &id).await["ConnectionState"], "CONNECTED");
    assert_ne!(password(), first);
    world.ok(ROOT, "Encrypt", body.clone()).await;

    // Cut off after the change, or before it: nobody is locked out.
    for done in [true, false] {
        disconnect(&world, &id).await;
        let before = password();
        module.inside.lock().unwrap().change_fails = Some((LoginError::Network("gone".to_owned()), done));
        let entry = connect(&world, &id).await;
        assert_eq!(
            (&entry["ConnectionState"], &entry["ConnectionErrorCode"]),
            (&json!("FAILED"), &json!("NETWORK_ERRORS"))
        );
        assert_eq!(password() != before, done);
        module.inside.lock().unwrap().change_fails = None;
        disconnect(&world, &id).await;
        assert_eq!(
            connect(&world, &id).await["ConnectionState"],
            "CONNECTED",
            "{done}"
        );
        world.ok(ROOT, "Encrypt", body.clone()).await;
    }

    // One that stops wanting it keeps the last.
    disconnect(&world, &id).await;
    module.inside.lock().unwrap().rotates = false;
    let last = password();
    assert_eq!(connect(&world, &id).await["ConnectionState"], "CONNECTED");
    assert_eq!(password(), last);

    // The administrator gives another, and says so: only that one counts.
    disconnect(&world, &id).await;
    module.inside.lock().unwrap().change_fails = None;
    module.inside.lock().unwrap().password = Some("by-the-administrator".to_owned());
    let entry = connect(&world, &id).await;
    assert_eq!(entry["ConnectionErrorCode"], "INVALID_CREDENTIALS");
    disconnect(&world, &id).await;
    let mut told = id.clone();
    told["KeyStorePassword"] = json!("by-the-administrator");
    world.ok(ROOT, "UpdateCustomKeyStore", told).await;
    assert_eq!(connect(&world, &id).await["ConnectionState"], "CONNECTED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_off_again_and_again_is_given_up() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let module = modules.module(FIRST);
    let made = world
        .ok(ROOT, "CreateCustomKeyStore", wanted("store", FIRST))
        .await;
    let id = json!({"CustomKeyStoreId": made["CustomKeyStoreId"]});
    module.inside.lock().unwrap().hangs = true;
    world.ok(ROOT, "ConnectCustomKeyStore", id.clone()).await;
    for tries in 1..=3 {
        world.begin_jobs().await;
        assert_eq!(module.inside.lock().unwrap().logins, tries);
        assert_eq!(described(&world, &id).await["ConnectionState"], "CONNECTING");
    }
    world.advance(1).await;
    let entry = described(&world, &id).await;
    assert_eq!(
        (&entry["ConnectionState"], &entry["ConnectionErrorCode"]),
        (&json!("FAILED"), &json!("INTERNAL_ERROR"))
    );
    assert_eq!(module.inside.lock().unwrap().logins, 3);
    // Its owner may ask again.
    module.inside.lock().unwrap().hangs = false;
    disconnect(&world, &id).await;
    assert_eq!(connect(&world, &id).await["ConnectionState"], "CONNECTED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_a_related_cluster_and_no_other() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let id = store(&world, "store", FIRST).await;
    let key = world.key(key_in(&id)).await;
    let encrypt = json!({"KeyId": key["KeyId"], "Plaintext": "aGVsbG8="});
    let sealed = world.ok(ROOT, "Encrypt", encrypt).await;
    let moved =
        |cluster: &str| json!({"CustomKeyStoreId": id["CustomKeyStoreId"], "CloudHsmClusterId": cluster});
    let (code, _) = world.fails(ROOT, "UpdateCustomKeyStore", moved(SECOND)).await;
    assert_eq!(code, "CustomKeyStoreInvalidStateException");
    let renamed = json!({"CustomKeyStoreId": id["CustomKeyStoreId"], "NewCustomKeyStoreName": "new"});
    world.ok(ROOT, "UpdateCustomKeyStore", renamed).await;
    disconnect(&world, &id).await;
    for (cluster, expected) in [
        (OTHER, "CloudHsmClusterNotRelatedException"),
        ("cluster-2222222222d", "CloudHsmClusterNotFoundException"),
    ] {
        let (code, _) = world.fails(ROOT, "UpdateCustomKeyStore", moved(cluster)).await;
        assert_eq!(code, expected);
    }
    let of_proxies = json!({"CustomKeyStoreId": id["CustomKeyStoreId"], "XksProxyUriPath": "/kms/xks/v1"});
    let (code, _) = world.fails(ROOT, "UpdateCustomKeyStore", of_proxies).await;
    assert_eq!(code, "ValidationException");

    // The backup has the keys of the first.
    let keys = modules.module(FIRST).inside.lock().unwrap().keys.clone();
    modules.module(SECOND).inside.lock().unwrap().keys = keys;
    world.ok(ROOT, "UpdateCustomKeyStore", moved(SECOND)).await;
    let entry = connect(&world, &id).await;
    assert_eq!(
        (&entry["CloudHsmClusterId"], &entry["CustomKeyStoreName"]),
        (&json!(SECOND), &json!("new"))
    );
    let opened = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(world.ok(ROOT, "Decrypt", opened).await["Plaintext"], "aGVsbG8=");
    let told = world
        .ok(ROOT, "DescribeKey", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(told["KeyMetadata"]["CloudHsmClusterId"], SECOND);
}

/// What a rerun handler had made in the cluster is not left there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_made_twice_is_there_once() {
    let modules = Modules::new();
    let world = world_with(&modules).await;
    let module = Arc::clone(modules.module(FIRST));
    let id = store(&world, "store", FIRST).await;
    let all = u32::try_from(module.making.available_permits().min(1 << 20)).unwrap();
    module.making.forget_permits(module.making.available_permits());
    let body = key_in(&id);
    let making = world.call(ROOT, "CreateKey", body);
    let meddling = async {
        // While the key is made, somebody changes the store that it is to live in.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let renamed = json!({"CustomKeyStoreId": id["CustomKeyStoreId"], "NewCustomKeyStoreName": "new"});
        world.ok(ROOT, "UpdateCustomKeyStore", renamed).await;
        module.making.add_permits(usize::try_from(all).unwrap());
    };
    let (made, ()) = tokio::join!(making, meddling);
    assert_eq!(made.status, 200, "{}", made.text());
    let kept = text(&made.json()["KeyMetadata"], "KeyId").to_owned();
    let inside = module.inside.lock().unwrap();
    assert_eq!(inside.keys.keys().collect::<Vec<_>>(), [&kept]);
    assert_eq!(inside.deleted.len(), 1);
}
