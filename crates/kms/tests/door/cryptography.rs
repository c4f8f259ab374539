//! What must hold whatever the bytes: ciphertexts, data keys, signatures and MACs,
//! looked at from outside.

use crypto::key::{EncryptionAlgorithm, KeySpec, MessageType, PublicKey, SigningAlgorithm};
use serde_json::json;

use crate::world::{Who, World, allow, b64, bytes, text, told};

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
