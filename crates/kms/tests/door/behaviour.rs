//! What must hold whatever the bytes: ciphertexts, signatures and keys that
//! are looked at from outside, and rules that take many calls to see.

use crate::world::{AWAY, HOME, REGION, Who, World, allow, key_policy, lets, text, used_aliases};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{EncryptionAlgorithm, KeySpec, MessageType, PublicKey, SigningAlgorithm};
use serde_json::{Value, json};

const DAY: u64 = 24 * 60 * 60;

fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn bytes(value: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(text(value, member)).unwrap()
}

fn told(code: &str, message: &str) -> (String, Option<String>) {
    (code.to_owned(), Some(message.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symmetric_key_is_described_in_full() {
    let world = World::new().await;
    let tags = json!([{"TagKey": "Team", "TagValue": "a"}]);
    let created = world.key(json!({"Description": "mine", "Tags": tags})).await;
    let id = text(&created, "KeyId");
    let arn = format!("arn:aws:kms:{REGION}:{HOME}:key/{id}");
    let material = text(&created, "CurrentKeyMaterialId");
    assert_eq!(material.len(), 64);
    assert_eq!(
        created,
        json!({
            "AWSAccountId": HOME, "KeyId": id, "Arn": arn, "CreationDate": created["CreationDate"],
            "Enabled": true, "Description": "mine", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled",
            "Origin": "AWS_KMS", "KeyManager": "CUSTOMER", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
            "KeySpec": "SYMMETRIC_DEFAULT", "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "MultiRegion": false,
            "CurrentKeyMaterialId": material,
        })
    );
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/mine", "TargetKeyId": id}),
        )
        .await;
    let alias_arn = format!("arn:aws:kms:{REGION}:{HOME}:alias/mine");
    for name in [&id, &arn, "alias/mine", &alias_arn] {
        let described = world.ok(Who::Root, "DescribeKey", json!({"KeyId": name})).await;
        assert_eq!(described["KeyMetadata"], created, "{name}");
    }
    let listed = world.ok(Who::Root, "ListKeys", json!({})).await;
    assert_eq!(
        listed,
        json!({"Keys": [{"KeyId": id, "KeyArn": arn}], "Truncated": false})
    );
    let tags = world
        .ok(Who::Root, "ListResourceTags", json!({"KeyId": id}))
        .await;
    assert_eq!(tags["Tags"], json!([{"TagKey": "Team", "TagValue": "a"}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ciphertext_opens_under_its_key_and_context_alone() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let other = world.key(json!({})).await;
    let context = json!({"Purpose": "test", "Order": "1"});
    let sealed = world
        .ok(
            Who::Root,
            "Encrypt",
            json!({"KeyId": key["KeyId"], "Plaintext": b64(b"hello"), "EncryptionContext": context}),
        )
        .await;
    assert_eq!(
        (&sealed["KeyId"], &sealed["EncryptionAlgorithm"]),
        (&key["Arn"], &json!("SYMMETRIC_DEFAULT"))
    );
    let blob = &sealed["CiphertextBlob"];

    let opened = world
        .ok(
            Who::Root,
            "Decrypt",
            json!({"CiphertextBlob": blob, "EncryptionContext": context}),
        )
        .await;
    assert_eq!(bytes(&opened, "Plaintext"), b"hello");
    assert_eq!(
        (&opened["KeyId"], &opened["KeyMaterialId"]),
        (&key["Arn"], &key["CurrentKeyMaterialId"])
    );

    let nothing = ("InvalidCiphertextException".to_owned(), None);
    for wrong in [
        json!({}),
        json!({"Purpose": "Test", "Order": "1"}),
        json!({"Purpose": "test"}),
    ] {
        let body = json!({"CiphertextBlob": blob, "EncryptionContext": wrong});
        assert_eq!(world.fails(Who::Root, "Decrypt", body).await, nothing, "{wrong}");
    }
    let mut broken = bytes(&sealed, "CiphertextBlob");
    *broken.last_mut().unwrap() ^= 1;
    let body = json!({"CiphertextBlob": b64(&broken), "EncryptionContext": context});
    assert_eq!(world.fails(Who::Root, "Decrypt", body).await, nothing);
    let body = json!({"CiphertextBlob": b64(b"no ciphertext"), "KeyId": key["KeyId"]});
    assert_eq!(world.fails(Who::Root, "Decrypt", body).await, nothing);

    let body = json!({"CiphertextBlob": blob, "EncryptionContext": context, "KeyId": other["KeyId"]});
    assert_eq!(
        world.fails(Who::Root, "Decrypt", body).await.0,
        "IncorrectKeyException"
    );
    let elsewhere = world
        .call_in(
            "eu-west-1",
            Who::Root,
            "Decrypt",
            json!({"CiphertextBlob": blob, "EncryptionContext": context}),
        )
        .await;
    assert_eq!(elsewhere.code(), "AccessDeniedException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn re_encryption_moves_a_ciphertext_between_keys() {
    let world = World::new().await;
    let from = world.key(json!({})).await;
    let to = world.key(json!({})).await;
    let sealed = world
        .ok(
            Who::Root,
            "Encrypt",
            json!({"KeyId": from["Arn"], "Plaintext": b64(b"x")}),
        )
        .await;
    let body = json!({
        "CiphertextBlob": sealed["CiphertextBlob"], "DestinationKeyId": to["KeyId"],
        "DestinationEncryptionContext": {"a": "b"},
    });
    let moved = world.ok(Who::Root, "ReEncrypt", body.clone()).await;
    assert_eq!(
        (&moved["SourceKeyId"], &moved["KeyId"]),
        (&from["Arn"], &to["Arn"])
    );
    assert_eq!(
        (&moved["SourceKeyMaterialId"], &moved["DestinationKeyMaterialId"]),
        (&from["CurrentKeyMaterialId"], &to["CurrentKeyMaterialId"])
    );
    let opened = json!({"CiphertextBlob": moved["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
    assert_eq!(
        bytes(&world.ok(Who::Root, "Decrypt", opened).await, "Plaintext"),
        b"x"
    );

    // Each half needs a permission of its own.
    world.people.grant(Who::Bob, &[allow("kms:ReEncryptFrom")]);
    let (code, message) = world.fails(Who::Bob, "ReEncrypt", body.clone()).await;
    assert_eq!(code, "AccessDeniedException");
    assert!(message.unwrap().contains("kms:ReEncryptTo on resource"));
    world.people.grant(Who::Bob, &[allow("kms:ReEncrypt*")]);
    world.ok(Who::Bob, "ReEncrypt", body.clone()).await;
    let same_key_only = json!({
        "Effect": "Allow", "Action": "kms:ReEncrypt*", "Resource": "*",
        "Condition": {"Bool": {"kms:ReEncryptOnSameKey": "true"}},
    });
    world.people.grant(Who::Bob, &[same_key_only]);
    assert_eq!(
        world.fails(Who::Bob, "ReEncrypt", body.clone()).await.0,
        "AccessDeniedException"
    );
    let mut same = body;
    same["DestinationKeyId"] = from["KeyId"].clone();
    world.ok(Who::Bob, "ReEncrypt", same).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_keys_open_again_and_say_their_length_once() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let id = &key["KeyId"];
    for (body, length) in [
        (json!({"KeyId": id, "KeySpec": "AES_256"}), 32),
        (json!({"KeyId": id, "KeySpec": "AES_128"}), 16),
        (json!({"KeyId": id, "NumberOfBytes": 1024}), 1024),
    ] {
        let made = world.ok(Who::Root, "GenerateDataKey", body.clone()).await;
        let plaintext = bytes(&made, "Plaintext");
        assert_eq!(plaintext.len(), length);
        assert_eq!(
            (&made["KeyId"], &made["KeyMaterialId"]),
            (&key["Arn"], &key["CurrentKeyMaterialId"])
        );
        let opened = world
            .ok(
                Who::Root,
                "Decrypt",
                json!({"CiphertextBlob": made["CiphertextBlob"]}),
            )
            .await;
        assert_eq!(bytes(&opened, "Plaintext"), plaintext);
        let made = world.ok(Who::Root, "GenerateDataKeyWithoutPlaintext", body).await;
        assert!(made.get("Plaintext").is_none());
        let opened = world
            .ok(
                Who::Root,
                "Decrypt",
                json!({"CiphertextBlob": made["CiphertextBlob"]}),
            )
            .await;
        assert_eq!(bytes(&opened, "Plaintext").len(), length);
    }
    for body in [
        json!({"KeyId": id}),
        json!({"KeyId": id, "KeySpec": "AES_256", "NumberOfBytes": 32}),
    ] {
        let refused = world.fails(Who::Root, "GenerateDataKey", body).await;
        assert_eq!(
            refused,
            told(
                "ValidationException",
                "Please specify either number of bytes or key spec."
            )
        );
    }
    let random = world
        .ok(Who::Root, "GenerateRandom", json!({"NumberOfBytes": 1024}))
        .await;
    assert_eq!(bytes(&random, "Plaintext").len(), 1024);
    for body in [
        json!({}),
        json!({"NumberOfBytes": 0}),
        json!({"NumberOfBytes": 1025}),
    ] {
        assert_eq!(
            world.fails(Who::Root, "GenerateRandom", body).await.0,
            "ValidationException"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_verify_with_the_public_key_alone() {
    let world = World::new().await;
    let digest = [7; 64];
    for (spec, algorithm, message_type) in [
        ("RSA_2048", "RSASSA_PSS_SHA_256", "RAW"),
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_512", "DIGEST"),
        ("ECC_NIST_P256", "ECDSA_SHA_256", "RAW"),
        ("ECC_NIST_P384", "ECDSA_SHA_384", "DIGEST"),
        ("ECC_NIST_P521", "ECDSA_SHA_512", "RAW"),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256", "DIGEST"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "RAW"),
        ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "DIGEST"),
    ] {
        let key = world
            .key(json!({"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"}))
            .await;
        assert!(
            key["SigningAlgorithms"]
                .as_array()
                .unwrap()
                .contains(&json!(algorithm)),
            "{key}"
        );
        let known = SigningAlgorithm::parse(algorithm).unwrap();
        let message = if message_type == "RAW" {
            b"message".as_slice()
        } else {
            &digest[..known.digest_bytes()]
        };
        let mut body = json!({
            "KeyId": key["KeyId"], "Message": b64(message), "MessageType": message_type,
            "SigningAlgorithm": algorithm,
        });
        let signed = world.ok(Who::Root, "Sign", body.clone()).await;
        assert_eq!(
            (&signed["KeyId"], &signed["SigningAlgorithm"]),
            (&key["Arn"], &json!(algorithm))
        );

        body["Signature"] = signed["Signature"].clone();
        let verified = world.ok(Who::Root, "Verify", body.clone()).await;
        assert_eq!(
            verified,
            json!({"KeyId": key["Arn"], "SignatureValid": true, "SigningAlgorithm": algorithm})
        );
        let public = world
            .ok(Who::Root, "GetPublicKey", json!({"KeyId": key["KeyId"]}))
            .await;
        assert_eq!(
            (&public["KeySpec"], &public["KeyUsage"]),
            (&json!(spec), &json!("SIGN_VERIFY"))
        );
        let outside =
            PublicKey::from_der(KeySpec::parse(spec).unwrap(), &bytes(&public, "PublicKey")).unwrap();
        let kind = MessageType::parse(message_type).unwrap();
        outside
            .verify(known, kind, message, &bytes(&signed, "Signature"))
            .unwrap();

        let mut signature = bytes(&signed, "Signature");
        signature[10] ^= 1;
        body["Signature"] = json!(b64(&signature));
        let refused = world.fails(Who::Root, "Verify", body).await;
        assert_eq!(
            refused,
            ("KMSInvalidSignatureException".to_owned(), None),
            "{spec} {algorithm}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_algorithm_does_not_take_is_refused() {
    let world = World::new().await;
    let key = world
        .key(json!({"KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "SIGN_VERIFY"}))
        .await;
    assert_eq!(key.get("CustomerMasterKeySpec"), None);
    let sign = |algorithm: &str, kind: &str, bytes: usize| {
        json!({
            "KeyId": key["KeyId"], "Message": b64(&vec![1; bytes]), "MessageType": kind,
            "SigningAlgorithm": algorithm,
        })
    };
    for body in [
        sign("ED25519_SHA_512", "DIGEST", 64),
        sign("ED25519_PH_SHA_512", "RAW", 64),
        sign("ED25519_SHA_512", "EXTERNAL_MU", 64),
        sign("ED25519_SHA_512", "RAW", 4097),
    ] {
        assert_eq!(
            world.fails(Who::Root, "Sign", body.clone()).await.0,
            "ValidationException",
            "{body}"
        );
    }
    let refused = world
        .fails(Who::Root, "Sign", sign("ED25519_PH_SHA_512", "DIGEST", 32))
        .await;
    assert_eq!(
        refused,
        told(
            "ValidationException",
            "Digest is invalid length for algorithm ED25519_PH_SHA_512."
        )
    );
    let refused = world
        .fails(Who::Root, "Sign", sign("ECDSA_SHA_256", "RAW", 1))
        .await;
    let message = "Algorithm ECDSA_SHA_256 and key spec ECC_NIST_EDWARDS25519 are incompatible.";
    assert_eq!(refused, told("InvalidKeyUsageException", message));
    let refused = world
        .fails(
            Who::Root,
            "Encrypt",
            json!({"KeyId": key["KeyId"], "Plaintext": b64(b"x")}),
        )
        .await;
    let message = format!(
        "{} key usage is SIGN_VERIFY which is not valid for Encrypt.",
        text(&key, "Arn")
    );
    assert_eq!(refused, told("InvalidKeyUsageException", &message));

    let symmetric = world.key(json!({})).await;
    let refused = world
        .fails(Who::Root, "GetPublicKey", json!({"KeyId": symmetric["KeyId"]}))
        .await;
    assert_eq!(refused.0, "UnsupportedOperationException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_decrypts_what_anyone_encrypted() {
    let world = World::new().await;
    let key = world
        .key(json!({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}))
        .await;
    let public = world
        .ok(Who::Root, "GetPublicKey", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(
        public["EncryptionAlgorithms"],
        json!(["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"])
    );
    let outside = PublicKey::from_der(KeySpec::Rsa2048, &bytes(&public, "PublicKey")).unwrap();
    let ciphertext = outside
        .encrypt(EncryptionAlgorithm::RsaesOaepSha256, b"from outside")
        .unwrap();
    let decrypt = |ciphertext: &[u8], algorithm: &str| json!({"KeyId": key["KeyId"], "CiphertextBlob": b64(ciphertext), "EncryptionAlgorithm": algorithm});
    let opened = world
        .ok(Who::Root, "Decrypt", decrypt(&ciphertext, "RSAES_OAEP_SHA_256"))
        .await;
    assert_eq!(bytes(&opened, "Plaintext"), b"from outside");
    assert_eq!(opened.get("KeyMaterialId"), None);
    let refused = world
        .fails(Who::Root, "Decrypt", decrypt(&ciphertext, "RSAES_OAEP_SHA_1"))
        .await;
    assert_eq!(refused, ("InvalidCiphertextException".to_owned(), None));

    let encrypt = |length: usize, algorithm: &str| json!({"KeyId": key["KeyId"], "Plaintext": b64(&vec![1; length]), "EncryptionAlgorithm": algorithm});
    world
        .ok(Who::Root, "Encrypt", encrypt(214, "RSAES_OAEP_SHA_1"))
        .await;
    let refused = world
        .fails(Who::Root, "Encrypt", encrypt(191, "RSAES_OAEP_SHA_256"))
        .await;
    let message =
        "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes.";
    assert_eq!(refused, told("ValidationException", message));
    let mut with_context = encrypt(1, "RSAES_OAEP_SHA_1");
    with_context["EncryptionContext"] = json!({"a": "b"});
    assert_eq!(
        world.fails(Who::Root, "Encrypt", with_context).await.0,
        "ValidationException"
    );
    let unnamed = json!({"CiphertextBlob": b64(&ciphertext), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"});
    assert_eq!(
        world.fails(Who::Root, "Decrypt", unnamed).await.0,
        "ValidationException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn macs_are_made_and_verified() {
    let world = World::new().await;
    for bits in ["224", "256", "384", "512"] {
        let key = world
            .key(json!({"KeySpec": format!("HMAC_{bits}"), "KeyUsage": "GENERATE_VERIFY_MAC"}))
            .await;
        let algorithm = format!("HMAC_SHA_{bits}");
        assert_eq!(key["MacAlgorithms"], json!([algorithm]));
        let mut body = json!({"KeyId": key["KeyId"], "Message": b64(b"m"), "MacAlgorithm": algorithm});
        let made = world.ok(Who::Root, "GenerateMac", body.clone()).await;
        assert_eq!(bytes(&made, "Mac").len() * 8, bits.parse::<usize>().unwrap());
        body["Mac"] = made["Mac"].clone();
        let verified = world.ok(Who::Root, "VerifyMac", body.clone()).await;
        assert_eq!(
            verified,
            json!({"KeyId": key["Arn"], "MacValid": true, "MacAlgorithm": algorithm})
        );
        body["Message"] = json!(b64(b"n"));
        let refused = world.fails(Who::Root, "VerifyMac", body).await;
        assert_eq!(refused, ("KMSInvalidMacException".to_owned(), None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_deleted_at_the_end_of_its_window_and_not_before() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let (id, arn) = (&key["KeyId"], text(&key, "Arn"));
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/doomed", "TargetKeyId": id}),
        )
        .await;
    let sealed = world
        .ok(Who::Root, "Encrypt", json!({"KeyId": id, "Plaintext": b64(b"x")}))
        .await;
    let encrypt = json!({"KeyId": id, "Plaintext": b64(b"x")});

    world.ok(Who::Root, "DisableKey", json!({"KeyId": id})).await;
    let refused = world.fails(Who::Root, "Encrypt", encrypt.clone()).await;
    assert_eq!(refused, told("DisabledException", &format!("{arn} is disabled.")));
    world.ok(Who::Root, "EnableKey", json!({"KeyId": id})).await;

    for days in [6, 31] {
        let body = json!({"KeyId": id, "PendingWindowInDays": days});
        assert_eq!(
            world.fails(Who::Root, "ScheduleKeyDeletion", body).await.0,
            "ValidationException"
        );
    }
    let schedule = json!({"KeyId": id, "PendingWindowInDays": 7});
    let scheduled = world.ok(Who::Root, "ScheduleKeyDeletion", schedule.clone()).await;
    assert_eq!(
        (
            &scheduled["KeyId"],
            &scheduled["KeyState"],
            &scheduled["PendingWindowInDays"]
        ),
        (&json!(arn), &json!("PendingDeletion"), &json!(7))
    );
    let pending = told("KMSInvalidStateException", &format!("{arn} is pending deletion."));
    for (operation, body) in [
        ("Encrypt", encrypt.clone()),
        ("EnableKey", json!({"KeyId": id})),
        ("ScheduleKeyDeletion", schedule.clone()),
        (
            "CreateAlias",
            json!({"AliasName": "alias/late", "TargetKeyId": id}),
        ),
        (
            "TagResource",
            json!({"KeyId": id, "Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        ),
        (
            "UpdateKeyDescription",
            json!({"KeyId": id, "Description": "late"}),
        ),
    ] {
        assert_eq!(
            world.fails(Who::Root, operation, body).await,
            pending,
            "{operation}"
        );
    }
    let described = world.ok(Who::Root, "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(
        described["KeyMetadata"]["DeletionDate"],
        scheduled["DeletionDate"]
    );
    assert_eq!(described["KeyMetadata"]["Enabled"], false);

    // Called off, it stays, however late it gets.
    world
        .ok(Who::Root, "CancelKeyDeletion", json!({"KeyId": id}))
        .await;
    let refused = world
        .fails(Who::Root, "CancelKeyDeletion", json!({"KeyId": id}))
        .await;
    assert_eq!(
        refused,
        told(
            "KMSInvalidStateException",
            &format!("{arn} is not pending deletion.")
        )
    );
    world.advance(31 * DAY).await;
    let described = world.ok(Who::Root, "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(described["KeyMetadata"]["KeyState"], "Disabled");
    assert_eq!(described["KeyMetadata"].get("DeletionDate"), None);

    world.ok(Who::Root, "ScheduleKeyDeletion", schedule).await;
    world.advance(7 * DAY - 1).await;
    world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": "alias/doomed"}))
        .await;
    world.advance(1).await;
    let gone = told("NotFoundException", &format!("Key '{arn}' does not exist"));
    assert_eq!(
        world.fails(Who::Root, "DescribeKey", json!({"KeyId": id})).await,
        gone
    );
    let refused = world
        .fails(Who::Root, "DescribeKey", json!({"KeyId": "alias/doomed"}))
        .await;
    assert_eq!(
        refused,
        told(
            "NotFoundException",
            &format!("Alias arn:aws:kms:{REGION}:{HOME}:alias/doomed is not found.")
        )
    );
    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(
        world.fails(Who::Root, "Decrypt", body).await.0,
        "AccessDeniedException"
    );
    let aliases = world.ok(Who::Root, "ListAliases", json!({})).await;
    assert!(used_aliases(&aliases).is_empty());
    assert_eq!(
        world.ok(Who::Root, "ListKeys", json!({})).await["Keys"],
        json!([])
    );

    let records = world.records().await;
    let deleted: Vec<_> = records
        .iter()
        .filter(|record| record["eventName"] == "DeleteKey")
        .collect();
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["resources"][0]["ARN"], arn);
    assert_eq!(deleted[0]["eventType"], "AwsServiceEvent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_use_a_key_learns_nothing_of_it() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    world
        .ok(Who::Root, "DisableKey", json!({"KeyId": key["KeyId"]}))
        .await;
    let sign = json!({"KeyId": key["KeyId"], "Message": b64(b"x"), "SigningAlgorithm": "ECDSA_SHA_256"});
    let refused = world.fails(Who::Bob, "Sign", sign).await;
    let message = format!(
        "User: {} is not authorized to perform: kms:Sign on resource: {} because no identity-based policy allows \
         the kms:Sign action",
        Who::Bob.arn(),
        text(&key, "Arn")
    );
    assert_eq!(refused, told("AccessDeniedException", &message));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_account_gets_in_by_both_doors_or_not_at_all() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let (id, arn) = (text(&key, "KeyId"), text(&key, "Arn"));
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/shared", "TargetKeyId": id}),
        )
        .await;
    let alias_arn = format!("arn:aws:kms:{REGION}:{HOME}:alias/shared");
    let encrypt = |name: &str| json!({"KeyId": name, "Plaintext": b64(b"x")});
    world.people.grant(Who::Eve, &[allow("kms:*")]);

    // What exists and what does not are refused in the same words.
    let nowhere = format!("arn:aws:kms:{REGION}:{HOME}:key/00000000-0000-4000-8000-000000000000");
    let no_alias = format!("arn:aws:kms:{REGION}:{HOME}:alias/nothing");
    let refusal = |name: &str| {
        let message = format!(
            "User: {} is not authorized to perform: kms:Encrypt on resource: {name}",
            Who::Eve.arn()
        );
        told("AccessDeniedException", &message)
    };
    for name in [&arn, &nowhere, &alias_arn, &no_alias] {
        assert_eq!(
            world.fails(Who::Eve, "Encrypt", encrypt(name)).await,
            refusal(name)
        );
    }
    let sealed = world.ok(Who::Root, "Encrypt", encrypt(&id)).await;
    let decrypt = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    let message = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
                   region, or you are not allowed to access.";
    assert_eq!(
        world.fails(Who::Eve, "Decrypt", decrypt.clone()).await,
        told("AccessDeniedException", message)
    );

    // The key policy alone is not enough, nor are the caller's own policies.
    let policy = key_policy(&[
        lets(HOME, "kms:*"),
        lets(AWAY, "kms:Encrypt"),
        lets(&Who::Eve.arn(), "kms:Decrypt"),
    ]);
    world
        .ok(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": policy}))
        .await;
    world.people.grant(Who::Eve, &[]);
    assert_eq!(
        world.fails(Who::Eve, "Encrypt", encrypt(&arn)).await,
        refusal(&arn)
    );
    world.people.grant(Who::Eve, &[allow("kms:*")]);
    for name in [&arn, &alias_arn] {
        assert_eq!(world.ok(Who::Eve, "Encrypt", encrypt(name)).await["KeyId"], arn);
    }
    assert_eq!(
        bytes(&world.ok(Who::Eve, "Decrypt", decrypt).await, "Plaintext"),
        b"x"
    );

    // Ids and aliases without an account are the caller's own.
    let missing = format!("Key 'arn:aws:kms:{REGION}:{AWAY}:key/{id}' does not exist");
    assert_eq!(
        world.fails(Who::Eve, "Encrypt", encrypt(&id)).await,
        told("NotFoundException", &missing)
    );
    // Nobody manages another account's keys, whatever its policy says.
    let policy = key_policy(&[lets(HOME, "kms:*"), lets(AWAY, "kms:*")]);
    world
        .ok(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": policy}))
        .await;
    for operation in [
        "DisableKey",
        "GetKeyPolicy",
        "ScheduleKeyDeletion",
        "ListResourceTags",
    ] {
        for name in [&arn, &nowhere] {
            let refused = world.fails(Who::Eve, operation, json!({"KeyId": name})).await;
            assert_eq!(refused.0, "AccessDeniedException", "{operation}");
        }
    }
    let elsewhere = arn.replace(REGION, "eu-west-1");
    let refused = world
        .fails(Who::Root, "DescribeKey", json!({"KeyId": elsewhere}))
        .await;
    assert_eq!(refused, told("NotFoundException", "Invalid arn eu-west-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_policy_is_the_authority() {
    let world = World::new().await;
    let only_bob = key_policy(&[lets(&Who::Bob.arn(), "kms:*")]);
    // The root user would lock itself out, and Bob does not exist until he does.
    let create = json!({"Policy": only_bob});
    assert_eq!(
        world.fails(Who::Root, "CreateKey", create.clone()).await.0,
        "MalformedPolicyDocumentException"
    );
    let unknown = key_policy(&[
        lets(HOME, "kms:*"),
        lets(&format!("arn:aws:iam::{HOME}:user/nobody"), "kms:*"),
    ]);
    let refused = world
        .fails(Who::Root, "CreateKey", json!({"Policy": unknown}))
        .await;
    let message = "Policy contains a statement with one or more invalid principals.";
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));
    let no_account = key_policy(&[lets(HOME, "kms:*"), lets("999999999999", "kms:*")]);
    let refused = world
        .fails(Who::Root, "CreateKey", json!({"Policy": no_account}))
        .await;
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));

    // Bob is named, so he needs no policy of his own; root is not, so it may nothing.
    world.people.grant(Who::Bob, &[allow("kms:CreateKey")]);
    let key = world.ok(Who::Bob, "CreateKey", create).await["KeyMetadata"].clone();
    let id = &key["KeyId"];
    world.ok(Who::Bob, "DescribeKey", json!({"KeyId": id})).await;
    assert_eq!(
        world
            .fails(Who::Root, "DescribeKey", json!({"KeyId": id}))
            .await
            .0,
        "AccessDeniedException"
    );
    let got = world.ok(Who::Bob, "GetKeyPolicy", json!({"KeyId": id})).await;
    assert_eq!(got, json!({"Policy": only_bob, "PolicyName": "default"}));
    let names = world.ok(Who::Bob, "ListKeyPolicies", json!({"KeyId": id})).await;
    assert_eq!(names, json!({"PolicyNames": ["default"], "Truncated": false}));

    let without_bob = json!({"KeyId": id, "Policy": key_policy(&[lets(HOME, "kms:*")])});
    let refused = world.fails(Who::Bob, "PutKeyPolicy", without_bob.clone()).await;
    let message = "The new key policy will not allow you to update the key policy in the future.";
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));

    // A namesake is a stranger.
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBO2");
    assert_eq!(
        world.fails(Who::Bob, "DescribeKey", json!({"KeyId": id})).await.0,
        "AccessDeniedException"
    );
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBOB");

    // Who is gone is shown by the bare id, which nobody can write again.
    let with_account = key_policy(&[lets(HOME, "kms:*"), lets(&Who::Bob.arn(), "kms:*")]);
    let both = json!({"KeyId": id, "Policy": with_account});
    world.ok(Who::Bob, "PutKeyPolicy", both).await;
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBO2");
    let got = world.ok(Who::Root, "GetKeyPolicy", json!({"KeyId": id})).await;
    let shown = with_account.replace(&Who::Bob.arn(), "AIDAQEAAAAAEXAMPLEBOB");
    assert_eq!(got["Policy"], json!(shown));
    let refused = world
        .fails(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": shown}))
        .await;
    let message = "Policy contains a statement with one or more invalid principals.";
    assert_eq!(refused, told("MalformedPolicyDocumentException", message));
    world.people.recreate(Who::Bob, "AIDAQEAAAAAEXAMPLEBOB");

    let mut bypassing = without_bob;
    bypassing["BypassPolicyLockoutSafetyCheck"] = json!(true);
    world.ok(Who::Bob, "PutKeyPolicy", bypassing).await;
    world.ok(Who::Root, "DescribeKey", json!({"KeyId": id})).await;
    let refused = world
        .fails(Who::Root, "PutKeyPolicy", json!({"KeyId": id, "Policy": "{}"}))
        .await;
    assert_eq!(refused.0, "MalformedPolicyDocumentException");
    let other = json!({"KeyId": id, "PolicyName": "other"});
    assert_eq!(
        world.fails(Who::Root, "GetKeyPolicy", other).await.0,
        "NotFoundException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_see_the_request_and_the_key() {
    let world = World::new().await;
    let key = world
        .key(json!({"Tags": [{"TagKey": "Team", "TagValue": "blue"}]}))
        .await;
    let id = &key["KeyId"];
    world
        .ok(
            Who::Root,
            "CreateAlias",
            json!({"AliasName": "alias/blue", "TargetKeyId": id}),
        )
        .await;
    let plain = json!({"KeyId": id, "Plaintext": b64(b"x")});
    let by_alias = json!({"KeyId": "alias/blue", "Plaintext": b64(b"x")});
    let with_context =
        json!({"KeyId": id, "Plaintext": b64(b"x"), "EncryptionContext": {"App": "one", "Stage": "test"}});
    for (condition, expected) in [
        (
            json!({"StringEquals": {"kms:EncryptionContext:app": "one"}}),
            [false, false, true],
        ),
        (
            json!({"Null": {"kms:EncryptionContextKeys": "true"}}),
            [true, true, false],
        ),
        (
            json!({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["App", "Stage"]}}),
            [true, true, true],
        ),
        (
            json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "Other"}}),
            [false, false, false],
        ),
        (
            json!({"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"kms:RequestAlias": "alias/blue"}}),
            [false, true, false],
        ),
        (
            json!({"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/b*"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"aws:ResourceTag/Team": "blue"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"aws:ResourceTag/Team": "red"}}),
            [false, false, false],
        ),
        (
            json!({"StringEquals": {"kms:CallerAccount": HOME}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT"}}),
            [true, true, true],
        ),
        (
            json!({"StringEquals": {"kms:KeyUsage": "SIGN_VERIFY"}}),
            [false, false, false],
        ),
        (
            json!({"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}}),
            [true, true, true],
        ),
        (json!({"Bool": {"kms:MultiRegion": "false"}}), [true, true, true]),
        (
            json!({"Null": {"kms:ViaService": "false"}}),
            [false, false, false],
        ),
        (
            json!({"Null": {"kms:SigningAlgorithm": "true"}}),
            [true, true, true],
        ),
    ] {
        let statement =
            json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*", "Condition": condition});
        world.people.grant(Who::Bob, &[statement]);
        for (body, allowed) in [&plain, &by_alias, &with_context].into_iter().zip(expected) {
            let answer = world.call(Who::Bob, "Encrypt", body.clone()).await;
            assert_eq!(
                answer.status == 200,
                allowed,
                "{condition} {body} {}",
                answer.text()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_and_tagging_obey_tag_conditions() {
    let world = World::new().await;
    let may_create = json!({
        "Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/Team": "blue"}},
    });
    let blue = json!({"Tags": [{"TagKey": "Team", "TagValue": "blue"}]});
    world.people.grant(Who::Bob, std::slice::from_ref(&may_create));
    let (code, message) = world.fails(Who::Bob, "CreateKey", blue.clone()).await;
    assert_eq!(code, "AccessDeniedException");
    assert!(message.unwrap().contains("kms:TagResource"));
    world
        .people
        .grant(Who::Bob, &[may_create, allow("kms:TagResource")]);
    let key = world.ok(Who::Bob, "CreateKey", blue).await["KeyMetadata"].clone();
    assert_eq!(
        world.fails(Who::Bob, "CreateKey", json!({})).await.0,
        "AccessDeniedException"
    );

    let only_stage = json!({
        "Effect": "Allow", "Action": "kms:*tagResource", "Resource": "*",
        "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["Stage"]}, "Null": {"aws:TagKeys": "false"}},
    });
    world.people.grant(Who::Bob, &[only_stage]);
    let id = &key["KeyId"];
    let tag = |key: &str| json!({"KeyId": id, "Tags": [{"TagKey": key, "TagValue": "x"}]});
    world.ok(Who::Bob, "TagResource", tag("Stage")).await;
    assert_eq!(
        world.fails(Who::Bob, "TagResource", tag("Team")).await.0,
        "AccessDeniedException"
    );
    let untag = |key: &str| json!({"KeyId": id, "TagKeys": [key]});
    world.ok(Who::Bob, "UntagResource", untag("Stage")).await;
    assert_eq!(
        world.fails(Who::Bob, "UntagResource", untag("Team")).await.0,
        "AccessDeniedException"
    );

    for (tags, code) in [
        (json!([{"TagKey": "aws:x", "TagValue": ""}]), "TagException"),
        (
            json!([{"TagKey": "a", "TagValue": ""}, {"TagKey": "a", "TagValue": ""}]),
            "TagException",
        ),
        (
            json!(
                (0..51)
                    .map(|at| json!({"TagKey": format!("k{at}"), "TagValue": ""}))
                    .collect::<Vec<_>>()
            ),
            "LimitExceededException",
        ),
    ] {
        let body = json!({"KeyId": id, "Tags": tags});
        assert_eq!(world.fails(Who::Root, "TagResource", body).await.0, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_are_made_moved_listed_and_deleted() {
    let world = World::new().await;
    let first = world.key(json!({})).await;
    let second = world.key(json!({})).await;
    let mac = world
        .key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}))
        .await;
    for number in 0..3 {
        let body = json!({"AliasName": format!("alias/{number}"), "TargetKeyId": first["Arn"]});
        let answer = world.call(Who::Root, "CreateAlias", body).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, Value::Null),
            "{}",
            answer.text()
        );
    }
    for (name, code) in [
        ("alias/0", "AlreadyExistsException"),
        ("alias/aws/mine", "NotAuthorizedException"),
        ("alias/a:b", "ValidationException"),
        ("mine", "ValidationException"),
    ] {
        let body = json!({"AliasName": name, "TargetKeyId": second["KeyId"]});
        assert_eq!(
            world.fails(Who::Root, "CreateAlias", body).await.0,
            code,
            "{name}"
        );
    }
    let body = json!({"AliasName": "alias/x", "TargetKeyId": "alias/0"});
    assert_eq!(
        world.fails(Who::Root, "CreateAlias", body).await.0,
        "InvalidArnException"
    );

    let mut seen = Vec::new();
    let mut marker = Value::Null;
    loop {
        let mut body = json!({"Limit": 2, "KeyId": first["KeyId"]});
        if marker.is_string() {
            body["Marker"] = marker.clone();
        }
        let page = world.ok(Who::Root, "ListAliases", body).await;
        seen.extend(
            page["Aliases"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alias| text(alias, "AliasName")),
        );
        marker = page["NextMarker"].clone();
        assert_eq!(page["Truncated"], marker.is_string());
        if marker.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["alias/0", "alias/1", "alias/2"]);
    let foreign_marker = json!({"Marker": "garbage"});
    assert_eq!(
        world.fails(Who::Root, "ListAliases", foreign_marker).await.0,
        "InvalidMarkerException"
    );

    let body = json!({"AliasName": "alias/0", "TargetKeyId": mac["KeyId"]});
    assert_eq!(
        world.fails(Who::Root, "UpdateAlias", body).await.0,
        "ValidationException"
    );
    world
        .ok(
            Who::Root,
            "UpdateAlias",
            json!({"AliasName": "alias/0", "TargetKeyId": second["KeyId"]}),
        )
        .await;
    let described = world
        .ok(Who::Root, "DescribeKey", json!({"KeyId": "alias/0"}))
        .await;
    assert_eq!(described["KeyMetadata"]["KeyId"], second["KeyId"]);
    let of_second = world
        .ok(Who::Root, "ListAliases", json!({"KeyId": second["KeyId"]}))
        .await;
    assert_eq!(of_second["Aliases"][0]["TargetKeyId"], second["KeyId"]);
    assert_eq!(of_second["Aliases"].as_array().unwrap().len(), 1);

    world
        .ok(Who::Root, "DeleteAlias", json!({"AliasName": "alias/1"}))
        .await;
    let refused = world
        .fails(Who::Root, "DeleteAlias", json!({"AliasName": "alias/1"}))
        .await;
    assert_eq!(refused.0, "NotFoundException");
    let all = world.ok(Who::Root, "ListAliases", json!({})).await;
    assert_eq!(used_aliases(&all), ["alias/0", "alias/2"]);

    // An alias and its key are two resources, and both are asked.
    world.people.grant(
        Who::Bob,
        &[json!({
            "Effect": "Allow", "Action": "kms:DeleteAlias", "Resource": format!("arn:aws:kms:*:*:alias/*"),
        })],
    );
    let (code, message) = world
        .fails(Who::Bob, "DeleteAlias", json!({"AliasName": "alias/2"}))
        .await;
    assert_eq!(code, "AccessDeniedException");
    assert!(message.unwrap().contains(":key/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_aliases_and_no_more() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let create = |number: usize| json!({"AliasName": format!("alias/{number}"), "TargetKeyId": key["KeyId"]});
    for number in 0..50 {
        world.ok(Who::Root, "CreateAlias", create(number)).await;
    }
    assert_eq!(
        world.fails(Who::Root, "CreateAlias", create(50)).await.0,
        "LimitExceededException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_listed_page_by_page() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(text(&world.key(json!({})).await, "KeyId"));
    }
    made.sort();
    let mut seen = Vec::new();
    let mut body = json!({"Limit": 2});
    loop {
        let page = world.ok(Who::Root, "ListKeys", body.clone()).await;
        seen.extend(
            page["Keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| text(key, "KeyId")),
        );
        if page["Truncated"] == false {
            break;
        }
        body["Marker"] = page["NextMarker"].clone();
    }
    assert_eq!(seen, made);
    let away = world.ok(Who::AwayRoot, "ListKeys", json!({})).await;
    assert_eq!(away["Keys"], json!([]));
    let shared = world
        .ok(
            Who::Root,
            "ListKeys",
            json!({"ResourceOwners": ["OTHER_ACCOUNTS_VIA_RAM"]}),
        )
        .await;
    assert_eq!(shared["Keys"], json!([]));
    for limit in [0, 1001] {
        assert_eq!(
            world
                .fails(Who::Root, "ListKeys", json!({"Limit": limit}))
                .await
                .0,
            "ValidationException"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_fails_as_the_play_would_or_says_so() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let id = &key["KeyId"];
    let sealed = world
        .ok(Who::Root, "Encrypt", json!({"KeyId": id, "Plaintext": b64(b"x")}))
        .await;
    let blob = &sealed["CiphertextBlob"];
    for (operation, body) in [
        (
            "Encrypt",
            json!({"KeyId": id, "Plaintext": b64(b"x"), "DryRun": true}),
        ),
        ("Decrypt", json!({"CiphertextBlob": blob, "DryRun": true})),
        (
            "Decrypt",
            json!({"KeyId": id, "DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
        ),
        (
            "ReEncrypt",
            json!({"CiphertextBlob": blob, "DestinationKeyId": id, "DryRun": true}),
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": id, "KeySpec": "AES_256", "DryRun": true}),
        ),
    ] {
        assert_eq!(
            world.fails(Who::Root, operation, body.clone()).await.0,
            "DryRunOperationException",
            "{body}"
        );
        assert_eq!(
            world.fails(Who::Bob, operation, body).await.0,
            "AccessDeniedException"
        );
    }
    for (body, code) in [
        (
            json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}, "DryRun": true}),
            "InvalidCiphertextException",
        ),
        (json!({"KeyId": id, "DryRun": true}), "ValidationException"),
        (
            json!({"DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
            "ValidationException",
        ),
        (
            json!({"CiphertextBlob": blob, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}),
            "ValidationException",
        ),
    ] {
        assert_eq!(
            world.fails(Who::Root, "Decrypt", body.clone()).await.0,
            code,
            "{body}"
        );
    }
    let tokens = json!({"KeyId": id, "Plaintext": b64(b"x"), "GrantTokens": ["dG9rZW4="]});
    assert_eq!(
        world.fails(Who::Root, "Encrypt", tokens).await.0,
        "InvalidGrantTokenException"
    );
    let recipient = json!({"CiphertextBlob": blob, "Recipient": {"AttestationDocument": "YQ=="}});
    assert_eq!(
        world.fails(Who::Root, "Decrypt", recipient).await.0,
        "UnsupportedOperationException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_one_key_are_all_kept() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let calls = (0..20).map(|number| {
        let body =
            json!({"KeyId": key["KeyId"], "Tags": [{"TagKey": format!("k{number}"), "TagValue": "v"}]});
        world.ok(Who::Root, "TagResource", body)
    });
    futures_util::future::join_all(calls).await;
    let tags = world
        .ok(Who::Root, "ListResourceTags", json!({"KeyId": key["KeyId"]}))
        .await;
    assert_eq!(tags["Tags"].as_array().unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_says_which_key_and_no_secret() {
    let world = World::new().await;
    let key = world.key(json!({})).await;
    let secret = b64(b"a plaintext that must not be seen");
    let body = json!({"KeyId": key["KeyId"], "Plaintext": secret, "EncryptionContext": {"a": "b"}});
    let sealed = world.ok(Who::Root, "Encrypt", body).await;
    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
    world.ok(Who::Root, "Decrypt", body).await;
    let made = world
        .ok(
            Who::Root,
            "GenerateDataKey",
            json!({"KeyId": key["KeyId"], "KeySpec": "AES_256"}),
        )
        .await;

    let records = world.records().await;
    let all = serde_json::to_string(&records).unwrap();
    for hidden in [
        secret,
        text(&sealed, "CiphertextBlob"),
        text(&made, "Plaintext"),
        text(&made, "CiphertextBlob"),
    ] {
        assert!(!all.contains(&hidden));
    }
    for name in ["Encrypt", "Decrypt", "GenerateDataKey"] {
        let record = records.iter().find(|record| record["eventName"] == name).unwrap();
        assert_eq!(record["resources"][0]["ARN"], key["Arn"], "{name}");
        assert_eq!(record["resources"][0]["type"], "AWS::KMS::Key");
        assert_eq!(
            record["additionalEventData"]["keyMaterialId"], key["CurrentKeyMaterialId"],
            "{name}"
        );
        assert_eq!(
            (&record["readOnly"], &record["responseElements"]),
            (&json!(true), &Value::Null),
            "{name}"
        );
    }
    let created = records
        .iter()
        .find(|record| record["eventName"] == "CreateKey")
        .unwrap();
    assert_eq!(created["resources"][0]["ARN"], key["Arn"]);
    assert_eq!(created["responseElements"]["keyMetadata"]["keyId"], key["KeyId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_and_opens_under_its_root_key_alone() {
    let world = World::kept().await;
    let mut sealed = Vec::new();
    for body in [
        json!({}),
        json!({"KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "SIGN_VERIFY"}),
    ] {
        sealed.push(world.key(body).await);
    }
    let (key, signer) = (&sealed[0], &sealed[1]);
    let only_bob = key_policy(&[lets(&Who::Bob.arn(), "kms:*")]);
    let policy = json!({"KeyId": key["KeyId"], "Policy": only_bob, "BypassPolicyLockoutSafetyCheck": true});
    let blob = world
        .ok(
            Who::Root,
            "Encrypt",
            json!({"KeyId": key["KeyId"], "Plaintext": b64(b"x")}),
        )
        .await["CiphertextBlob"]
        .clone();
    let public = world
        .ok(Who::Root, "GetPublicKey", json!({"KeyId": signer["KeyId"]}))
        .await;
    world.ok(Who::Root, "PutKeyPolicy", policy).await;
    let schedule = json!({"KeyId": signer["KeyId"], "PendingWindowInDays": 7});

    let world = world.restart(None).await;
    let decrypt = json!({"CiphertextBlob": blob});
    assert_eq!(
        bytes(&world.ok(Who::Bob, "Decrypt", decrypt.clone()).await, "Plaintext"),
        b"x"
    );
    assert_eq!(
        world.fails(Who::Root, "Decrypt", decrypt.clone()).await.0,
        "AccessDeniedException"
    );
    let again = world
        .ok(Who::Root, "GetPublicKey", json!({"KeyId": signer["KeyId"]}))
        .await;
    assert_eq!(again, public);
    world.ok(Who::Root, "ScheduleKeyDeletion", schedule).await;

    // Under another root key the rows are there and their material is not.
    let other = crypto::hierarchy::RootKey::generate(&crypto::Random::system());
    let world = world.restart(Some(other)).await;
    world
        .ok(Who::Bob, "DescribeKey", json!({"KeyId": key["KeyId"]}))
        .await;
    let broken = world.call(Who::Bob, "Decrypt", decrypt).await;
    assert_eq!(
        (broken.status, broken.code().as_str()),
        (500, "KMSInternalException")
    );
    world.advance(7 * DAY).await;
    let refused = world
        .fails(Who::Root, "DescribeKey", json!({"KeyId": signer["KeyId"]}))
        .await;
    assert_eq!(refused.0, "NotFoundException");
}
