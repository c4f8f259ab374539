//! NIST's own vectors through the API, by importing their keys: those of its
//! validation programmes (CAVP and ACVP) and those beside FIPS 198-1.
//!
//! The selections lie in `tests/nist`, each with its source in its head. A case
//! that KMS cannot express is counted with the reason, and every test asserts how
//! many there were of each kind.
//!
//! Absent by design: what KMS has no keys or parameters for, which
//! `docs/kms-cryptography.md` lists.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::key::{KeySpec, MacAlgorithm};
use serde_json::{Value, json};

use crate::material::{Waiting, chosen, ecdsa_der, imported, imported_long, pkcs8, point, public_der};
use crate::world::{Who, World, b64, text};

/// The lines of a selection, and their fields.
fn lines(selection: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = selection.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect())
}

fn unhex(field: &str) -> Vec<u8> {
    hex::decode(field).unwrap()
}

fn unbase64(field: &str) -> Vec<u8> {
    STANDARD.decode(field).unwrap()
}

/// How many cases came to what.
#[derive(Default)]
struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    #[track_caller]
    fn assert(&self, expected: &[(&str, usize)]) {
        let found: Vec<(&str, usize)> = self
            .0
            .iter()
            .map(|(what, cases)| (what.as_str(), *cases))
            .collect();
        assert_eq!(found, expected);
    }
}

/// The spec of a curve's keys, and how they sign.
fn curve(name: &str) -> (KeySpec, &'static str) {
    match name {
        "P-256" => (KeySpec::EccNistP256, "ECDSA_SHA_256"),
        "P-384" => (KeySpec::EccNistP384, "ECDSA_SHA_384"),
        "P-521" => (KeySpec::EccNistP521, "ECDSA_SHA_512"),
        _ => panic!("{name}"),
    }
}

/// Whether KMS says that the signature is right; what else it says is a failure.
async fn verifies(world: &World, body: Value) -> bool {
    let answer = world.call(Who::Root, "Verify", body).await;
    if answer.status == 200 {
        assert_eq!(answer.json()["SignatureValid"], true);
        return true;
    }
    assert_eq!(answer.code(), "KMSInvalidSignatureException");
    false
}

/// KMS's keys are as long as the hash, and its tags are whole. HMAC pads a key
/// with zeros up to the block (FIPS 198-1, step 3), so a shorter key is the same
/// key with zeros behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn macs() {
    let world = World::new().await;
    let mut tally = Tally::default();
    for line in lines(include_str!("../nist/hmac.txt")) {
        let [hash, case, key, message, tag] = line[..] else {
            panic!("{line:?}");
        };
        let (spec, algorithm) = match hash {
            "SHA-224" => ("HMAC_224", MacAlgorithm::HmacSha224),
            "SHA-256" => ("HMAC_256", MacAlgorithm::HmacSha256),
            "SHA-384" => ("HMAC_384", MacAlgorithm::HmacSha384),
            "SHA-512" => ("HMAC_512", MacAlgorithm::HmacSha512),
            _ => panic!("{hash}"),
        };
        let (mut key, message, tag) = (unhex(key), unhex(message), unhex(tag));
        if key.len() > algorithm.tag_bytes() {
            tally.count("the key is longer than KMS's");
            continue;
        }
        key.resize(algorithm.tag_bytes(), 0);
        let id = imported(&world, spec, "GENERATE_VERIFY_MAC", &key).await;
        let body = json!({"KeyId": id, "Message": b64(&message), "MacAlgorithm": algorithm.as_str()});
        let made = world.ok(Who::Root, "GenerateMac", body.clone()).await;
        let made = unbase64(&text(&made, "Mac"));
        assert_eq!(made[..tag.len()], tag, "{hash} {case}");

        let with = |tag: &[u8]| {
            let mut body = body.clone();
            body["Mac"] = b64(tag).into();
            body
        };
        if tag.len() == algorithm.tag_bytes() {
            let told = world.ok(Who::Root, "VerifyMac", with(&tag)).await;
            assert_eq!(told["MacValid"], true, "{hash} {case}");
            tally.count("the tag is made and verified");
        } else {
            let (code, _) = world.fails(Who::Root, "VerifyMac", with(&tag)).await;
            assert_eq!(code, "KMSInvalidMacException", "{hash} {case}");
            tally.count("the tag is made, and refused when cut off");
        }
        let mut wrong = made;
        wrong[0] ^= 1;
        let (code, _) = world.fails(Who::Root, "VerifyMac", with(&wrong)).await;
        assert_eq!(code, "KMSInvalidMacException", "{hash} {case}");
    }
    tally.assert(&[
        ("the key is longer than KMS's", 11),
        ("the tag is made and verified", 10),
        ("the tag is made, and refused when cut off", 20),
    ]);
}

/// The private key gives NIST's public key, and NIST's signature verifies under
/// it for its message alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elliptic_signatures() {
    let world = World::new().await;
    let mut tally = Tally::default();
    for line in lines(include_str!("../nist/ecdsa_sig_gen.txt")) {
        let [name, case, message, private, x, y, r, s] = line[..] else {
            panic!("{line:?}");
        };
        let (spec, algorithm) = curve(name);
        let material = pkcs8(spec, &unhex(private), None);
        let id = imported(&world, spec.as_str(), "SIGN_VERIFY", &material).await;
        let told = world.ok(Who::Root, "GetPublicKey", json!({"KeyId": id})).await;
        let public = public_der(spec, &point(&unhex(x), &unhex(y)));
        assert_eq!(text(&told, "PublicKey"), b64(&public), "{name} {case}");

        let body = |message: &[u8]| {
            json!({"KeyId": id, "SigningAlgorithm": algorithm, "Message": b64(message),
                "Signature": b64(&ecdsa_der(&unhex(r), &unhex(s)))})
        };
        let mut message = unhex(message);
        assert!(verifies(&world, body(&message)).await, "{name} {case}");
        message[0] ^= 1;
        assert!(!verifies(&world, body(&message)).await, "{name} {case}");
        tally.count(name);
    }
    tally.assert(&[("P-256", 8), ("P-384", 8), ("P-521", 8)]);
}

/// One signature of each curve is right; the others differ in what NIST says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elliptic_signatures_of_digests() {
    let world = World::new().await;
    let mut tally = Tally::default();
    for line in lines(include_str!("../nist/ecdsa_sig_ver.txt")) {
        let [name, case, wrong, digest, private, x, y, r, s] = line[..] else {
            panic!("{line:?}");
        };
        let (spec, algorithm) = curve(name);
        let material = pkcs8(spec, &unhex(private), Some(&point(&unhex(x), &unhex(y))));
        let id = imported_long(&world, spec.as_str(), "SIGN_VERIFY", &material).await;
        let body = json!({"KeyId": id, "SigningAlgorithm": algorithm, "MessageType": "DIGEST",
            "Message": b64(&unhex(digest)), "Signature": b64(&ecdsa_der(&unhex(r), &unhex(s)))});
        assert_eq!(
            verifies(&world, body).await,
            wrong == "none",
            "{name} {case} {wrong}"
        );
        tally.count(wrong);
    }
    tally.assert(&[
        ("modify-key", 3),
        ("modify-message", 3),
        ("modify-r", 3),
        ("modify-s", 3),
        ("none", 3),
        ("zero-r", 3),
        ("zero-s", 3),
    ]);
}

/// What is agreed on is what NIST says, unless it says that the secret was
/// changed. A pair whose halves do not belong together is not imported, and no
/// secret is agreed on with what is no public key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements() {
    let world = World::new().await;
    let mut tally = Tally::default();
    for line in lines(include_str!("../nist/ecdh.txt")) {
        let [name, case, verdict, private, own_x, own_y, x, y, secret] = line[..] else {
            panic!("{line:?}");
        };
        let (spec, _) = curve(name);
        let own = point(&unhex(own_x), &unhex(own_y));
        let material = pkcs8(spec, &unhex(private), Some(&own));
        let waiting = Waiting::new(&world, "RSA_AES_KEY_WRAP_SHA_256", spec.as_str(), "KEY_AGREEMENT").await;
        let body = waiting.import(&waiting.wrap_long(&material));
        let answer = world.call(Who::Root, "ImportKeyMaterial", body).await;
        if matches!(verdict, "F5" | "F6" | "F7") {
            assert_eq!(answer.code(), "IncorrectKeyMaterialException", "{name} {case}");
            tally.count("the pair is not imported");
            continue;
        }
        assert_eq!(answer.status, 200, "{name} {case}: {}", answer.text());

        let other = public_der(spec, &point(&unhex(x), &unhex(y)));
        let body = json!({"KeyId": waiting.id, "KeyAgreementAlgorithm": "ECDH", "PublicKey": b64(&other)});
        let answer = world.call(Who::Root, "DeriveSharedSecret", body).await;
        if matches!(verdict, "F1" | "F2") {
            assert_eq!(answer.code(), "ValidationException", "{name} {case}");
            tally.count("the public key is refused");
            continue;
        }
        assert_eq!(answer.status, 200, "{name} {case}: {}", answer.text());
        let agreed = unbase64(&text(&answer.json(), "SharedSecret"));
        assert_eq!(agreed == unhex(secret), verdict != "F8", "{name} {case}");
        tally.count(match verdict {
            "P0" => "the secret is NIST's",
            "P13" => "the secret is NIST's and begins with zeros",
            _ => "the secret is not the changed one",
        });
    }
    tally.assert(&[
        ("the pair is not imported", 18),
        ("the public key is refused", 12),
        ("the secret is NIST's", 24),
        ("the secret is NIST's and begins with zeros", 6),
        ("the secret is not the changed one", 6),
    ]);
}

/// What was wrapped otherwise does not unwrap. What does has a length that no key
/// of KMS has, and is told to have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrappings() {
    let world = World::new().await;
    let waiting = Waiting::new(
        &world,
        "RSA_AES_KEY_WRAP_SHA_256",
        "HMAC_512",
        "GENERATE_VERIFY_MAC",
    )
    .await;
    let mut tally = Tally::default();
    for line in lines(include_str!("../nist/kwp_ad.txt")) {
        let [bytes, case, verdict, key, ciphertext] = line[..] else {
            panic!("{line:?}");
        };
        let wrapped = [waiting.wrap(&unhex(key)), unhex(ciphertext)].concat();
        let (code, _) = world
            .fails(Who::Root, "ImportKeyMaterial", waiting.import(&wrapped))
            .await;
        let expected = match verdict {
            "P" => "IncorrectKeyMaterialException",
            _ => "InvalidCiphertextException",
        };
        assert_eq!(code, expected, "{bytes} bytes, case {case}");
        tally.count(verdict);
    }
    tally.assert(&[("FAIL", 17), ("P", 67)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_signatures() {
    let world = World::new().await;
    let mut tally = Tally::default();
    let mut keys = HashMap::new();
    for line in lines(include_str!("../nist/rsa_sig_ver.txt")) {
        if let ["key", name, material] = line[..] {
            let id = imported_long(&world, "RSA_2048", "SIGN_VERIFY", &unbase64(material)).await;
            keys.insert(name, id);
            continue;
        }
        let [algorithm, case, verdict, key, message, signature] = line[..] else {
            panic!("{line:?}");
        };
        if key == "no-key" {
            tally.count("the exponent leaves no private key");
            continue;
        }
        let body = json!({"KeyId": keys[key], "SigningAlgorithm": algorithm,
            "Message": b64(&unhex(message)), "Signature": b64(&unhex(signature))});
        let verified = verifies(&world, body).await;
        assert_eq!(verified, verdict == "P", "{algorithm} {case} {verdict}");
        tally.count(verdict);
    }
    tally.assert(&[
        ("F1", 5),
        ("F2", 4),
        ("F3", 5),
        ("F4", 5),
        ("F5", 5),
        ("P", 5),
        ("the exponent leaves no private key", 1),
    ]);
}

/// KMS has no labels, and its provider no exponents of more than 33 bits: what is
/// bound to a label does not open, and such a key is not imported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_ciphertexts() {
    let world = World::new().await;
    let mut tally = Tally::default();
    for line in lines(include_str!("../nist/rsa_oaep.txt")) {
        let [case, label, material, ciphertext, plaintext] = line[..] else {
            panic!("{line:?}");
        };
        let waiting = Waiting::new(&world, "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048", "ENCRYPT_DECRYPT").await;
        let body = waiting.import(&waiting.wrap_long(&unbase64(material)));
        let answer = world.call(Who::Root, "ImportKeyMaterial", body).await;
        if case == "23" {
            assert_eq!(answer.code(), "IncorrectKeyMaterialException");
            tally.count("the exponent is longer than KMS's");
            continue;
        }
        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        let body = json!({"KeyId": waiting.id, "EncryptionAlgorithm": "RSAES_OAEP_SHA_1",
            "CiphertextBlob": b64(&unhex(ciphertext))});
        let answer = world.call(Who::Root, "Decrypt", body).await;
        if label == "label" {
            assert_eq!(answer.code(), "InvalidCiphertextException", "{case}");
            tally.count("a label is bound");
        } else {
            assert_eq!(answer.status, 200, "{case}: {}", answer.text());
            let found = text(&answer.json(), "Plaintext");
            assert_eq!(found, b64(&unhex(plaintext)), "{case}");
            tally.count("the plaintext is NIST's");
        }
    }
    tally.assert(&[
        ("a label is bound", 1),
        ("the exponent is longer than KMS's", 1),
        ("the plaintext is NIST's", 2),
    ]);
}

/// A ciphertext that was changed gives a secret too, which is NIST's as well:
/// FIPS 203 says which (Algorithm 18, line 7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encapsulations() {
    let world = World::new().await;
    let mut tally = Tally::default();
    let mut keys = HashMap::new();
    for line in lines(include_str!("../nist/ml_kem_decap.txt")) {
        if let ["key", name, material] = line[..] {
            let spec = match name {
                "ML-KEM-512" => KeySpec::MlKem512,
                "ML-KEM-768" => KeySpec::MlKem768,
                _ => KeySpec::MlKem1024,
            };
            let material = unbase64(material);
            let id = chosen(&world, keys.len(), spec, "ENCAPSULATE_DECAPSULATE", &material).await;
            keys.insert(name, id);
            continue;
        }
        let [set, case, changed, ciphertext, secret] = line[..] else {
            panic!("{line:?}");
        };
        let body = json!({"KeyId": keys[set], "SharedSecretCiphertextBlob": ciphertext,
            "EncapsulationAlgorithm": "ML_KEM"});
        let told = world.ok(Who::Root, "Decapsulate", body).await;
        assert_eq!(text(&told, "SharedSecret"), b64(&unhex(secret)), "{set} {case}");
        tally.count(changed);
    }
    tally.assert(&[("modify-ciphertext", 9), ("no-modification", 9)]);
}

/// NIST's seeds of ML-DSA give NIST's public keys; the selection is `crypto`'s,
/// whose tests run all of it against the functions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lattice_keys() {
    let world = World::new().await;
    let mut tally = Tally::default();
    let selection = include_str!("../../../crypto/tests/nist/ml_dsa_key_gen.txt");
    for (number, line) in lines(selection).enumerate() {
        let [set, case, seed, digest] = line[..] else {
            panic!("{line:?}");
        };
        let (spec, bytes) = match set {
            "ML-DSA-44" => (KeySpec::MlDsa44, 1312),
            "ML-DSA-65" => (KeySpec::MlDsa65, 1952),
            _ => (KeySpec::MlDsa87, 2592),
        };
        let id = chosen(&world, number, spec, "SIGN_VERIFY", &unhex(seed)).await;
        let told = world.ok(Who::Root, "GetPublicKey", json!({"KeyId": id})).await;
        let der = unbase64(&text(&told, "PublicKey"));
        // A SubjectPublicKeyInfo ends with the key itself.
        let public = &der[der.len() - bytes..];
        assert_eq!(hex::encode(crypto::sha256(&[public])), digest, "{set} {case}");
        tally.count(set);
    }
    tally.assert(&[("ML-DSA-44", 25), ("ML-DSA-65", 25), ("ML-DSA-87", 25)]);
}
