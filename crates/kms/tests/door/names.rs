//! Keys and aliases by other spellings than their own, and policies that name
//! an alias where a key is weighed.

use serde_json::{Value, json};

use crate::world::{AWAY, HOME, REGION, Who, World, allow, key_policy, lets, text};

/// A key with an alias.
async fn named(world: &World, alias: &str) -> Value {
    let key = world.key(json!({})).await;
    let alias = json!({"AliasName": alias, "TargetKeyId": key["KeyId"]});
    world.ok(Who::Root, "CreateAlias", alias).await;
    key
}

fn encrypt(name: &str) -> Value {
    json!({"KeyId": name, "Plaintext": "aGVsbG8="})
}

fn statement(effect: &str, resource: &str) -> Value {
    json!({"Effect": effect, "Action": "kms:Encrypt", "Resource": resource})
}

/// A policy that names an alias, or a key in another way than its ARN does, names no key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_only_looks_like_the_key_is_another() {
    let world = World::new().await;
    let key = named(&world, "alias/shop").await;
    let (id, arn) = (text(&key, "KeyId"), text(&key, "Arn"));
    let other = named(&world, "alias/other").await;
    let alias_arn = format!("arn:aws:kms:{REGION}:{HOME}:alias/shop");
    let may = async |name: &str| {
        let answer = world.call(Who::Bob, "Encrypt", encrypt(name)).await;
        match answer.status {
            200 => true,
            _ => {
                assert_eq!(answer.code(), "AccessDeniedException", "{name}");
                false
            }
        }
    };
    let others = [
        alias_arn.clone(),
        format!("arn:aws:kms:{REGION}:{HOME}:alias/*"),
        text(&other, "Arn"),
        arn.replace(REGION, "eu-west-1"),
        arn.replace(HOME, AWAY),
        arn.replace("arn:aws:", "arn:aws-cn:"),
        arn.replace(":kms:", ":s3:"),
        arn.replace(":key/", ":Key/"),
        arn.to_uppercase().replace("ARN:AWS:KMS", "arn:aws:kms"),
        format!("{arn}/"),
        format!("{arn}:"),
        format!("{arn}?"),
        format!("arn:aws:kms:{REGION}:{HOME}:{id}"),
        format!("arn:aws:kms:{REGION}:{HOME}:key:{id}"),
        format!("arn:aws:kms:{REGION}:{HOME}::key/{id}"),
        format!("arn:aws:kms::{HOME}:key/{id}"),
        format!("arn:aws:kms:{REGION}::key/{id}"),
    ];
    for resource in &others {
        world.people.grant(Who::Bob, &[statement("Allow", resource)]);
        for name in [&id, &arn, "alias/shop", &alias_arn] {
            assert!(!may(name).await, "{resource} let {name} in");
        }
        // Nor does it keep anybody out.
        world
            .people
            .grant(Who::Bob, &[allow("kms:Encrypt"), statement("Deny", resource)]);
        assert!(may("alias/shop").await, "{resource} kept the key");
    }
    // Whoever may use the key may use it by its alias.
    for resource in [
        arn.clone(),
        arn.replace(REGION, "*"),
        format!("arn:aws:kms:*:*:key/*{}", &id[8..]),
    ] {
        world.people.grant(Who::Bob, &[statement("Allow", &resource)]);
        for name in [&id, &arn, "alias/shop", &alias_arn] {
            assert!(may(name).await, "{resource} kept {name}");
        }
        assert!(!may(&text(&other, "KeyId")).await);
        world
            .people
            .grant(Who::Bob, &[allow("kms:Encrypt"), statement("Deny", &resource)]);
        assert!(!may(&alias_arn).await, "an alias is no way around {resource}");
    }
    // An alias that moves takes no permission along.
    world.people.grant(Who::Bob, &[statement("Allow", &arn)]);
    let moved = json!({"AliasName": "alias/shop", "TargetKeyId": other["KeyId"]});
    world.ok(Who::Root, "UpdateAlias", moved).await;
    assert!(!may("alias/shop").await && may(&arn).await);
}

/// In its own policy a key goes by `*` or by its ARN.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_policy_that_names_another_resource_says_nothing() {
    let world = World::new().await;
    let key = named(&world, "alias/shop").await;
    let (id, arn) = (text(&key, "KeyId"), text(&key, "Arn"));
    for (resource, lets_in) in [
        ("*".to_owned(), true),
        (arn.clone(), true),
        (format!("arn:aws:kms:{REGION}:{HOME}:alias/shop"), false),
        (
            format!("arn:aws:kms:{REGION}:{HOME}:key/00000000-0000-4000-8000-000000000000"),
            false,
        ),
        (arn.replace(HOME, AWAY), false),
        (arn.replace(REGION, "eu-west-1"), false),
    ] {
        let mut bobs = lets(&Who::Bob.arn(), "kms:Encrypt");
        bobs["Resource"] = json!(resource);
        let policy = key_policy(&[lets(&Who::Root.arn(), "kms:*"), bobs]);
        let put = json!({"KeyId": id, "Policy": policy});
        world.ok(Who::Root, "PutKeyPolicy", put).await;
        let answer = world.call(Who::Bob, "Encrypt", encrypt("alias/shop")).await;
        let wanted = if lets_in { "" } else { "AccessDeniedException" };
        assert_eq!(answer.status == 200, lets_in, "{resource}: {}", answer.text());
        if !lets_in {
            assert_eq!(answer.code(), wanted, "{resource}");
        }
    }
}

/// No other spelling of a key's or alias's name finds it, whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_spelling_finds_a_key() {
    let world = World::new().await;
    let key = named(&world, "alias/shop").await;
    let (id, arn) = (text(&key, "KeyId"), text(&key, "Arn"));
    let alias_arn = format!("arn:aws:kms:{REGION}:{HOME}:alias/shop");
    for name in [
        id.to_uppercase(),
        format!("{id} "),
        format!(" {id}"),
        format!("{id}/"),
        format!("key/{id}"),
        format!("{{{id}}}"),
        id.replace('-', ""),
        arn.to_uppercase(),
        arn.replace("key/", "key/../key/"),
        arn.replace("key/", "key//"),
        arn.replace(":key/", "::key/"),
        arn.replace("arn:aws:", "arn:aws-cn:"),
        arn.replace(":kms:", ":s3:"),
        arn.replace(HOME, ""),
        arn.replace(HOME, &HOME[1..]),
        arn.replace(REGION, ""),
        arn.replace(REGION, "us-east-1a"),
        format!("{arn}/"),
        format!("{arn}:"),
        format!("{arn}\n"),
        arn.replace(&id, "*"),
        "alias/Shop".to_owned(),
        "alias/shop/".to_owned(),
        "alias//shop".to_owned(),
        "alias/../alias/shop".to_owned(),
        "Alias/shop".to_owned(),
        "alias/sh\u{43e}p".to_owned(),
        "alias/*".to_owned(),
        "shop".to_owned(),
        alias_arn.replace(HOME, AWAY),
        alias_arn.replace("alias/", "alias/alias/"),
        alias_arn.replace("alias/", "key/"),
    ] {
        let answer = world.call(Who::Root, "Encrypt", encrypt(&name)).await;
        assert_eq!(answer.status, 400, "{name} found something: {}", answer.text());
        assert!(
            matches!(
                answer.code().as_str(),
                "NotFoundException" | "InvalidArnException" | "ValidationException" | "AccessDeniedException"
            ),
            "{name}: {}",
            answer.text()
        );
    }
    for name in [&id, &arn, "alias/shop", &alias_arn] {
        assert_eq!(world.ok(Who::Root, "Encrypt", encrypt(name)).await["KeyId"], arn);
    }
}

/// An alias may be called like a key, and stands for its own all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_called_like_a_key_is_not_that_key() {
    let world = World::new().await;
    let (victim, own) = (world.key(json!({})).await, world.key(json!({})).await);
    let id = text(&victim, "KeyId");
    let alias = format!("alias/{id}");
    let create = json!({"AliasName": alias, "TargetKeyId": own["KeyId"]});
    world.ok(Who::Root, "CreateAlias", create).await;
    for (name, key) in [(&id, &victim), (&alias, &own)] {
        let sealed = world.ok(Who::Root, "Encrypt", encrypt(name)).await;
        assert_eq!(sealed["KeyId"], key["Arn"], "{name}");
    }
    for bad in [
        format!("alias/{}", text(&victim, "Arn")),
        "alias/a b".to_owned(),
        "alias/a*".to_owned(),
        "alias/sh\u{43e}p".to_owned(),
        "alias/".to_owned(),
        "shop".to_owned(),
        id.clone(),
    ] {
        let create = json!({"AliasName": bad, "TargetKeyId": own["KeyId"]});
        let answer = world.call(Who::Root, "CreateAlias", create).await;
        assert_eq!(answer.code(), "ValidationException", "{bad}: {}", answer.text());
    }
}
