//! Keys whose id and material the operator chose.

use ground::{AccountId, Region, Secret};
use kms::{BootstrapError, Bootstrapped, FixedKey, bootstrap_key};
use serde_json::json;

use crate::world::{HOME, REGION, Who, World};

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

async fn make(
    world: &World,
    material: Option<&[u8]>,
    change: impl FnOnce(&mut FixedKey<'_>),
) -> Result<Bootstrapped, BootstrapError> {
    let region = Region::parse(REGION).unwrap();
    let material = material.map(|bytes| Secret::new(bytes.to_vec()));
    let mut wanted = FixedKey {
        account: AccountId::parse(HOME).unwrap(),
        region: &region,
        id: ID,
        spec: "SYMMETRIC_DEFAULT",
        usage: None,
        description: "chosen",
        material: material.as_ref(),
    };
    change(&mut wanted);
    bootstrap_key(&world.door().set_up(), &wanted).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_key_is_made_once_and_is_a_key_like_any_other() {
    let world = World::new().await;
    assert_eq!(make(&world, None, |_| {}).await.unwrap(), Bootstrapped::Made);
    assert_eq!(make(&world, None, |_| {}).await.unwrap(), Bootstrapped::There);
    let sealed = world
        .call(Who::Root, "Encrypt", json!({"KeyId": ID, "Plaintext": "cA=="}))
        .await;
    let blob = sealed.json()["CiphertextBlob"].clone();
    let opened = world
        .call(Who::Root, "Decrypt", json!({"CiphertextBlob": blob}))
        .await;
    assert_eq!(opened.json()["Plaintext"], "cA==");
    // Bob has nothing, and the default policy gives him nothing.
    let denied = world.call(Who::Bob, "DescribeKey", json!({"KeyId": ID})).await;
    assert_eq!(denied.code(), "AccessDeniedException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_key_or_another_key_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let material = [7; 32];
    make(&world, Some(&material), |_| {}).await.unwrap();
    assert_eq!(
        make(&world, Some(&material), |_| {}).await.unwrap(),
        Bootstrapped::There
    );
    // What is not said does not contradict.
    assert_eq!(make(&world, None, |_| {}).await.unwrap(), Bootstrapped::There);

    let differs = |made| matches!(made, Err(BootstrapError::Differs { .. }));
    assert!(differs(make(&world, Some(&[8; 32]), |_| {}).await));
    assert!(differs(make(&world, None, |key| key.description = "other").await));
    let hmac = |key: &mut FixedKey<'_>| {
        key.spec = "HMAC_256";
        key.usage = Some("GENERATE_VERIFY_MAC");
    };
    assert!(differs(make(&world, None, hmac).await));

    let fresh = "00000000-0000-4000-8000-000000000000";
    let other = |key: &mut FixedKey<'_>| key.id = fresh;
    for short in [&[7; 31][..], &[7; 33], &[]] {
        let made = make(&world, Some(short), other).await;
        assert!(matches!(made, Err(BootstrapError::BadMaterial(_))), "{made:?}");
    }
    for id in [
        "",
        "1234ABCD-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
    ] {
        let made = make(&world, None, |key| key.id = id).await;
        assert!(matches!(made, Err(BootstrapError::BadId(_))), "{id}: {made:?}");
    }
    let unknown = make(&world, None, |key| {
        (key.id, key.spec) = (fresh, "AES_128");
    })
    .await;
    assert!(
        matches!(unknown, Err(BootstrapError::Unsupported(_))),
        "{unknown:?}"
    );
    let usage = make(&world, None, |key| {
        (key.id, key.usage) = (fresh, Some("SIGN_VERIFY"));
    })
    .await;
    assert!(matches!(usage, Err(BootstrapError::Refused(_))), "{usage:?}");
    let long = "d".repeat(8193);
    let long = bootstrap_long(&world, &long).await;
    assert!(matches!(long, Err(BootstrapError::LongDescription)), "{long:?}");

    let listed = world.call(Who::Root, "ListKeys", json!({})).await;
    assert_eq!(listed.json()["Keys"].as_array().unwrap().len(), 1);
}

async fn bootstrap_long(world: &World, description: &str) -> Result<Bootstrapped, BootstrapError> {
    let region = Region::parse(REGION).unwrap();
    let wanted = FixedKey {
        account: AccountId::parse(HOME).unwrap(),
        region: &region,
        id: ID,
        spec: "SYMMETRIC_DEFAULT",
        usage: None,
        description,
        material: None,
    };
    bootstrap_key(&world.door().set_up(), &wanted).await
}
