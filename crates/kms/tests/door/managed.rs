//! AWS managed keys: made at the first use by a service in the place of S3,
//! bound by their own policy, and nobody's to manage.

use gate::{Access, Cx, Fault};
use ground::Region;
use kms_api::{DataKeySpec, DescribeKey, DescribeKeyInput, GenerateDataKey, GenerateDataKeyInput};
use s3_api::{PutObject, PutObjectInput, PutObjectOutput};
use serde_json::{Value, json};

use crate::world::{AWAY, HOME, REGION, Who, World, allow, text};

const ALIAS: &str = "alias/aws/s3";
const YEAR: u64 = 365 * 24 * 60 * 60;

#[derive(Debug, thiserror::Error)]
pub(crate) enum S3Error {
    #[error(transparent)]
    Authorize(#[from] gate::AuthorizeError),
    #[error("KMS refused")]
    Kms(#[from] Fault),
}

impl From<&S3Error> for Fault {
    fn from(error: &S3Error) -> Fault {
        match error {
            S3Error::Authorize(error) => error.fault("InternalError"),
            S3Error::Kms(fault) => fault.clone(),
        }
    }
}

pub(crate) struct S3;

/// Seals an object under the account's key for S3, and tells the data key.
async fn put_object(_s3: &S3, cx: &Cx, _input: PutObjectInput) -> Result<PutObjectOutput, S3Error> {
    cx.authorize(Access::to((), "arn:aws:s3:::bucket/object")).await?;
    let key_id = ALIAS.to_owned();
    let described = DescribeKeyInput {
        key_id: key_id.clone(),
        ..DescribeKeyInput::default()
    };
    let described = cx.call::<DescribeKey>(described).await?;
    let wanted = GenerateDataKeyInput {
        key_id,
        key_spec: Some(DataKeySpec::Aes256),
        ..GenerateDataKeyInput::default()
    };
    cx.call::<GenerateDataKey>(wanted).await?;
    Ok(PutObjectOutput {
        ssekms_key_id: described
            .key_metadata
            .and_then(|key| key.arn)
            .map(ground::Secret::new),
        ..PutObjectOutput::default()
    })
}

/// S3, as far as it uses KMS.
pub(crate) fn s3() -> gate::Service {
    gate::Table::new(&s3_api::SERVICE, S3)
        .on::<PutObject>(put_object)
        .done()
}

async fn puts(world: &World, who: Who) -> Result<(), String> {
    let input = || PutObjectInput {
        bucket: "bucket".into(),
        key: "object".into(),
        ..PutObjectInput::default()
    };
    let region = Region::parse(REGION).unwrap();
    let put = world
        .door()
        .call_within::<PutObject>(who.access_key(), &region, input);
    put.await.map(drop).map_err(|fault| fault.code.into_owned())
}

async fn aliases(world: &World, who: Who) -> Vec<Value> {
    let listed = world.ok(who, "ListAliases", json!({})).await;
    listed["Aliases"].as_array().unwrap().clone()
}

fn of_s3(aliases: &[Value]) -> &Value {
    aliases.iter().find(|alias| alias["AliasName"] == ALIAS).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_made_at_the_first_use_through_its_service() {
    let world = World::new().await;
    let before = aliases(&world, Who::Root).await;
    assert_eq!(before.len(), 8, "{before:?}");
    let arn = format!("arn:aws:kms:{REGION}:{HOME}:{ALIAS}");
    assert_eq!(*of_s3(&before), json!({"AliasName": ALIAS, "AliasArn": arn}));
    // Only DescribeKey brings it into being.
    let wish = json!({"KeyId": ALIAS, "Plaintext": "AAAA"});
    assert_eq!(
        world.fails(Who::Root, "Encrypt", wish).await.0,
        "NotFoundException"
    );
    assert_eq!(
        world.ok(Who::Root, "ListKeys", json!({})).await["Keys"],
        json!([])
    );

    // Bob may put objects and knows nothing of KMS.
    world.people.grant(Who::Bob, &[allow("s3:PutObject")]);
    puts(&world, Who::Bob).await.unwrap();
    puts(&world, Who::Bob).await.unwrap();
    let after = aliases(&world, Who::Root).await;
    let key = text(of_s3(&after), "TargetKeyId");
    assert_eq!(after.len(), 8);
    let keys = world.ok(Who::Root, "ListKeys", json!({})).await;
    assert_eq!(keys["Keys"].as_array().unwrap().len(), 1);
    let told = world.ok(Who::Root, "DescribeKey", json!({"KeyId": key})).await["KeyMetadata"].clone();
    assert_eq!(told["KeyManager"], "AWS");
    assert_eq!(told["KeyState"], "Enabled");
    let usage = world
        .ok(Who::Root, "GetKeyLastUsage", json!({"KeyId": key}))
        .await;
    assert_eq!(usage["KeyLastUsage"]["Operation"], "GenerateDataKey");

    // Directly he may do nothing, and root no more than look.
    world.people.grant(Who::Bob, &[allow("kms:*")]);
    let wish = json!({"KeyId": ALIAS, "KeySpec": "AES_256"});
    for who in [Who::Bob, Who::Root] {
        assert_eq!(
            world.fails(who, "GenerateDataKey", wish.clone()).await.0,
            "AccessDeniedException"
        );
    }
    // And other accounts have a key of their own.
    world.people.grant(Who::Eve, &[allow("s3:PutObject")]);
    puts(&world, Who::Eve).await.unwrap();
    let others = text(of_s3(&aliases(&world, Who::AwayRoot).await), "TargetKeyId");
    assert_ne!(others, key);
    let foreign = json!({"KeyId": format!("arn:aws:kms:{REGION}:{AWAY}:{ALIAS}")});
    assert_eq!(
        world.fails(Who::Root, "DescribeKey", foreign).await.0,
        "AccessDeniedException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_describe_it_makes_it_and_nobody_else() {
    let world = World::new().await;
    let asked = json!({"KeyId": ALIAS});
    assert_eq!(
        world.fails(Who::Bob, "DescribeKey", asked.clone()).await.0,
        "AccessDeniedException"
    );
    assert!(of_s3(&aliases(&world, Who::Root).await)["TargetKeyId"].is_null());
    let unknown = json!({"KeyId": "alias/aws/nothing"});
    assert_eq!(
        world.fails(Who::Root, "DescribeKey", unknown).await.0,
        "NotFoundException"
    );

    world.people.grant(Who::Bob, &[allow("kms:DescribeKey")]);
    let made = world.ok(Who::Bob, "DescribeKey", asked.clone()).await;
    let again = world.ok(Who::Root, "DescribeKey", asked).await;
    assert_eq!(made, again);
    let alias = aliases(&world, Who::Root).await;
    assert_eq!(of_s3(&alias)["TargetKeyId"], made["KeyMetadata"]["KeyId"]);
    assert!(of_s3(&alias)["CreationDate"].is_number());
}

/// The documented denial, by the key's own policy, for root too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_manages_it() {
    let world = World::new().await;
    let told = world.ok(Who::Root, "DescribeKey", json!({"KeyId": ALIAS})).await;
    let key = text(&told["KeyMetadata"], "KeyId");
    let policy = world.ok(Who::Root, "GetKeyPolicy", json!({"KeyId": key})).await;
    let policy = text(&policy, "Policy");
    for (operation, more) in [
        ("DisableKey", json!({})),
        ("EnableKey", json!({})),
        ("ScheduleKeyDeletion", json!({})),
        ("PutKeyPolicy", json!({"Policy": policy})),
        ("TagResource", json!({"Tags": [{"TagKey": "a", "TagValue": "b"}]})),
        ("UntagResource", json!({"TagKeys": ["a"]})),
        ("UpdateKeyDescription", json!({"Description": "mine"})),
        ("EnableKeyRotation", json!({})),
        ("DisableKeyRotation", json!({})),
        ("RotateKeyOnDemand", json!({})),
        ("Encrypt", json!({"Plaintext": "AAAA"})),
        (
            "CreateGrant",
            json!({"GranteePrincipal": Who::Bob.arn(), "Operations": ["Encrypt"]}),
        ),
        ("ReplicateKey", json!({"ReplicaRegion": "eu-west-1"})),
    ] {
        let mut input = json!({"KeyId": key});
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (code, message) = world.fails(Who::Root, operation, input).await;
        assert_eq!(code, "AccessDeniedException", "{operation}");
        let message = message.unwrap();
        let end = format!("because no resource-based policy allows the kms:{operation} action");
        assert!(message.ends_with(&end), "{message}");
    }
    for (operation, input) in [
        (
            "CreateAlias",
            json!({"AliasName": "alias/mine", "TargetKeyId": key}),
        ),
        ("DeleteAlias", json!({"AliasName": ALIAS})),
        ("UpdateAlias", json!({"AliasName": ALIAS, "TargetKeyId": key})),
    ] {
        let (code, _) = world.fails(Who::Root, operation, input).await;
        assert!(
            ["AccessDeniedException", "NotAuthorizedException"].contains(&code.as_str()),
            "{code}"
        );
    }
    let after = world.ok(Who::Root, "DescribeKey", json!({"KeyId": ALIAS})).await;
    assert_eq!(after, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_rotates_every_year() {
    let world = World::kept().await;
    let told = world.ok(Who::Root, "DescribeKey", json!({"KeyId": ALIAS})).await;
    let key = json!({"KeyId": text(&told["KeyMetadata"], "KeyId")});
    let status = world.ok(Who::Root, "GetKeyRotationStatus", key.clone()).await;
    assert_eq!(status["KeyRotationEnabled"], true);
    assert_eq!(status["RotationPeriodInDays"], 365);
    let world = world.restart(None).await;
    world.advance(YEAR - 1).await;
    let material = |told: &Value| text(&told["KeyMetadata"], "CurrentKeyMaterialId");
    let before = world.ok(Who::Root, "DescribeKey", key.clone()).await;
    assert_eq!(material(&before), material(&told));
    world.advance(1).await;
    let after = world.ok(Who::Root, "DescribeKey", key).await;
    assert_ne!(material(&after), material(&told));
}

/// Predefined aliases lie between the others, on whichever page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_aliases_hold_each_once() {
    let world = World::new().await;
    let key = text(&world.key(json!({})).await, "KeyId");
    world.ok(Who::Root, "DescribeKey", json!({"KeyId": ALIAS})).await;
    for name in ["alias/a", "alias/aws-like", "alias/awt", "alias/z"] {
        let wish = json!({"AliasName": name, "TargetKeyId": key});
        world.ok(Who::Root, "CreateAlias", wish).await;
    }
    for limit in 1..=13 {
        let (mut seen, mut marker) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({"Limit": limit});
            if marker.is_string() {
                body["Marker"] = marker;
            }
            let page = world.ok(Who::Root, "ListAliases", body).await;
            let listed = page["Aliases"].as_array().unwrap();
            assert!(listed.len() <= limit);
            seen.extend(listed.iter().map(|alias| text(alias, "AliasName")));
            assert_eq!(page["Truncated"], page["NextMarker"].is_string());
            marker = page["NextMarker"].clone();
            if marker.is_null() {
                break;
            }
        }
        assert!(seen.is_sorted() && seen.len() == 12, "{limit}: {seen:?}");
        seen.dedup();
        assert_eq!(seen.len(), 12, "{limit}");
    }
}
