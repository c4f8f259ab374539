//! Backing keys: what each spec does, refuses, and gives back after storage.
//!
//! Besides our own properties this checks signatures published in RFC 8032
//! and RFC 6979. The exhaustive vectors are in `wycheproof.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::OnceLock;

use crypto::key::{
    BackingKey, EncryptionAlgorithm, KeySpec, MacAlgorithm, MessageType, PublicKey, SigningAlgorithm,
};
use crypto::{Error, Random};
use proptest::prelude::*;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// One key of each spec, made once: RSA keys are slow.
fn key(spec: KeySpec) -> &'static BackingKey {
    static KEYS: OnceLock<Vec<OnceLock<BackingKey>>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| KeySpec::ALL.iter().map(|_| OnceLock::new()).collect());
    let at = KeySpec::ALL.iter().position(|known| *known == spec).unwrap();
    keys[at].get_or_init(|| BackingKey::generate(spec, &Random::system()).unwrap())
}

fn takes_raw(algorithm: SigningAlgorithm) -> bool {
    algorithm != SigningAlgorithm::Ed25519PhSha512
}

fn takes_digest(algorithm: SigningAlgorithm) -> bool {
    !matches!(
        algorithm,
        SigningAlgorithm::Ed25519Sha512 | SigningAlgorithm::MlDsaShake256
    )
}

#[test]
fn every_key_signs_with_its_algorithms_and_no_others() {
    for spec in KeySpec::ALL {
        let key = key(*spec);
        for algorithm in SigningAlgorithm::ALL {
            let digest = vec![7; algorithm.digest_bytes()];
            let cases = [
                (MessageType::Raw, b"message".as_slice(), takes_raw(*algorithm)),
                (MessageType::Digest, &digest, takes_digest(*algorithm)),
            ];
            for (message_type, message, taken) in cases {
                let result = key.sign(*algorithm, message_type, message);
                if !spec.signing_algorithms().contains(algorithm) {
                    let refusal = Error::Unsupported {
                        spec: *spec,
                        algorithm: algorithm.as_str(),
                    };
                    assert_eq!(result, Err(refusal.clone()));
                    assert_eq!(key.verify(*algorithm, message_type, message, b""), Err(refusal));
                } else if taken {
                    let signature = result.unwrap();
                    key.verify(*algorithm, message_type, message, &signature).unwrap();
                    let mut other = message.to_vec();
                    other[0] ^= 1;
                    let refused = key.verify(*algorithm, message_type, &other, &signature);
                    assert_eq!(refused, Err(Error::BadSignature), "{algorithm}");
                    let public = PublicKey::from_der(*spec, key.public_key_der().unwrap()).unwrap();
                    public
                        .verify(*algorithm, message_type, message, &signature)
                        .unwrap();
                } else {
                    let refusal = Error::MessageType {
                        algorithm: *algorithm,
                        message_type,
                    };
                    assert_eq!(result, Err(refusal.clone()));
                    assert_eq!(key.verify(*algorithm, message_type, message, b""), Err(refusal));
                }
            }
        }
    }
}

/// A message and its digest have the same signature, where an algorithm takes both.
#[test]
fn raw_and_digest_agree() {
    use aws_lc_rs::digest;
    for spec in KeySpec::ALL {
        for algorithm in spec.signing_algorithms() {
            if !takes_raw(*algorithm) || !takes_digest(*algorithm) {
                continue;
            }
            let hash = match algorithm.digest_bytes() {
                32 => &digest::SHA256,
                48 => &digest::SHA384,
                _ => &digest::SHA512,
            };
            let message = b"message";
            let digest = digest::digest(hash, message);
            let raw = key(*spec).sign(*algorithm, MessageType::Raw, message).unwrap();
            key(*spec)
                .verify(*algorithm, MessageType::Digest, digest.as_ref(), &raw)
                .unwrap();
            let digested = key(*spec)
                .sign(*algorithm, MessageType::Digest, digest.as_ref())
                .unwrap();
            key(*spec)
                .verify(*algorithm, MessageType::Raw, message, &digested)
                .unwrap();
        }
    }
}

#[test]
fn digests_of_another_length_are_refused() {
    for spec in KeySpec::ALL {
        for algorithm in spec.signing_algorithms().iter().filter(|a| takes_digest(**a)) {
            let expected = algorithm.digest_bytes();
            for given in [0, expected - 1, expected + 1, 128] {
                let refusal = Err(Error::DigestLength {
                    algorithm: *algorithm,
                    expected,
                    given,
                });
                let digest = vec![7; given];
                let signed = key(*spec).sign(*algorithm, MessageType::Digest, &digest);
                assert_eq!(signed.map(|_| ()), refusal);
                let verified = key(*spec).verify(*algorithm, MessageType::Digest, &digest, b"");
                assert_eq!(verified, refusal);
            }
        }
    }
}

/// Ed25519 and Ed25519ph do not verify each other, even over the same bytes.
#[test]
fn the_two_edwards_algorithms_are_apart() {
    let key = key(KeySpec::EccNistEdwards25519);
    let bytes = [7; 64];
    let raw = key
        .sign(SigningAlgorithm::Ed25519Sha512, MessageType::Raw, &bytes)
        .unwrap();
    let prehash = key
        .sign(SigningAlgorithm::Ed25519PhSha512, MessageType::Digest, &bytes)
        .unwrap();
    assert_eq!(
        key.verify(
            SigningAlgorithm::Ed25519Sha512,
            MessageType::Raw,
            &bytes,
            &prehash
        ),
        Err(Error::BadSignature)
    );
    assert_eq!(
        key.verify(
            SigningAlgorithm::Ed25519PhSha512,
            MessageType::Digest,
            &bytes,
            &raw
        ),
        Err(Error::BadSignature)
    );
}

#[test]
fn keys_survive_storage_and_fit_no_other_spec() {
    for spec in KeySpec::ALL {
        let bytes = key(*spec).to_bytes().unwrap();
        for other in KeySpec::ALL {
            let read = BackingKey::from_bytes(*other, bytes.expose());
            // Symmetric and HMAC keys and the seeds of ML-DSA are any bytes of the
            // right length; the associated data of wrapped keys tells them apart.
            let raw_length = match other {
                KeySpec::SymmetricDefault | KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => {
                    Some(32)
                }
                _ => other.mac_algorithms().first().map(|mac| mac.tag_bytes()),
            };
            if other == spec {
                assert_eq!(read.unwrap().to_bytes().unwrap().expose(), bytes.expose());
            } else if raw_length != Some(bytes.expose().len()) {
                assert_eq!(read.err(), Some(Error::BadKey(*other)), "{spec} as {other}");
            }
            if let Some(der) = key(*spec).public_key_der() {
                let public = PublicKey::from_der(*other, der);
                assert_eq!(public.is_ok(), other == spec, "{spec} as {other}");
            }
        }
    }
}

#[test]
fn nothing_may_follow_a_key() {
    for spec in KeySpec::ALL {
        let longer = [key(*spec).to_bytes().unwrap().expose().as_slice(), &[0]].concat();
        assert_eq!(
            BackingKey::from_bytes(*spec, &longer).err(),
            Some(Error::BadKey(*spec))
        );
        if let Some(der) = key(*spec).public_key_der() {
            let longer = [der, &[0]].concat();
            assert_eq!(
                PublicKey::from_der(*spec, &longer).err(),
                Some(Error::BadKey(*spec))
            );
        }
    }
}

#[test]
fn keys_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<BackingKey>();
    shared::<PublicKey>();
    shared::<Random>();
    shared::<crypto::HmacKey>();
    shared::<crypto::RootKey>();
    shared::<crypto::DomainKey>();
    shared::<crypto::slot::KeySlots>();
}

#[test]
fn oaep_takes_what_fits_and_no_more() {
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096] {
        for algorithm in [
            EncryptionAlgorithm::RsaesOaepSha1,
            EncryptionAlgorithm::RsaesOaepSha256,
        ] {
            let max = spec.plaintext_bytes_max(algorithm).unwrap();
            for length in [0, 1, max] {
                let plaintext = vec![9; length];
                let ciphertext = key(spec).encrypt(algorithm, &plaintext).unwrap();
                assert_ne!(ciphertext, key(spec).encrypt(algorithm, &plaintext).unwrap());
                let opened = key(spec).decrypt(algorithm, &ciphertext).unwrap();
                assert_eq!(opened.expose(), &plaintext);
                for other in EncryptionAlgorithm::ALL
                    .iter()
                    .filter(|other| **other != algorithm)
                {
                    assert!(key(spec).decrypt(*other, &ciphertext).is_err());
                }
                for broken in [&ciphertext[1..], &[ciphertext.as_slice(), &[0]].concat(), &[]] {
                    let refused = key(spec).decrypt(algorithm, broken);
                    assert_eq!(refused.err(), Some(Error::BadCiphertext));
                }
                let mut changed = ciphertext.clone();
                changed[100] ^= 1;
                assert_eq!(
                    key(spec).decrypt(algorithm, &changed).err(),
                    Some(Error::BadCiphertext)
                );
            }
            assert_eq!(
                key(spec).encrypt(algorithm, &vec![9; max + 1]),
                Err(Error::PlaintextLength { given: max + 1, max })
            );
        }
    }
    assert!(matches!(
        key(KeySpec::EccNistP256).encrypt(EncryptionAlgorithm::RsaesOaepSha256, b"x"),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn macs_belong_to_one_algorithm() {
    for spec in KeySpec::ALL {
        for algorithm in MacAlgorithm::ALL {
            let result = key(*spec).mac(*algorithm, b"message");
            if spec.mac_algorithms().contains(algorithm) {
                let tag = result.unwrap();
                assert_eq!(tag.len(), algorithm.tag_bytes());
                assert_eq!(
                    key(*spec).to_bytes().unwrap().expose().len(),
                    algorithm.tag_bytes()
                );
                key(*spec).verify_mac(*algorithm, b"message", &tag).unwrap();
                for refused in [
                    key(*spec).verify_mac(*algorithm, b"messagf", &tag),
                    key(*spec).verify_mac(*algorithm, b"message", &tag[1..]),
                    key(*spec).verify_mac(*algorithm, b"message", b""),
                ] {
                    assert_eq!(refused, Err(Error::BadMac));
                }
            } else {
                let refusal = Error::Unsupported {
                    spec: *spec,
                    algorithm: algorithm.as_str(),
                };
                assert_eq!(result, Err(refusal.clone()));
                assert_eq!(key(*spec).verify_mac(*algorithm, b"message", b""), Err(refusal));
            }
        }
    }
}

/// RFC 4231, test case 2, cannot be used: KMS keys are as long as the hash. These
/// are its data under keys of the right length, from OpenSSL 3.0.
#[test]
fn macs_are_the_published_function() {
    for (spec, algorithm, tag) in MACS {
        let key = BackingKey::from_bytes(*spec, &vec![0x0b; algorithm.tag_bytes()]).unwrap();
        assert_eq!(hex::encode(key.mac(*algorithm, b"Hi There").unwrap()), *tag);
    }
}

const MACS: &[(KeySpec, MacAlgorithm, &str)] = &[
    (
        KeySpec::Hmac224,
        MacAlgorithm::HmacSha224,
        "1abbc7c42cf4ca9f9d7b624564cb72d7b0945ea0a615095904a0fd34",
    ),
    (
        KeySpec::Hmac256,
        MacAlgorithm::HmacSha256,
        "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7",
    ),
    (
        KeySpec::Hmac384,
        MacAlgorithm::HmacSha384,
        "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee9737a959796489bddbc4c5df61d5b3297b4fb68dab9f1b582c2",
    ),
    (
        KeySpec::Hmac512,
        MacAlgorithm::HmacSha512,
        "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8ac2878ebd5803f6f0b61dbce5e251ff8789a4722c1be65aea45fd464e89f8f5b",
    ),
];

fn edwards_key(seed: &str) -> BackingKey {
    // RFC 8410: the PKCS#8 version 1 document of a seed.
    let pkcs8 = [unhex("302e020100300506032b657004220420"), unhex(seed)].concat();
    BackingKey::from_bytes(KeySpec::EccNistEdwards25519, &pkcs8).unwrap()
}

/// RFC 8032, 7.1, tests 1 to 3, and 7.3, the one test of Ed25519ph.
#[test]
fn edwards_signatures_are_the_published_ones() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
             387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
             4a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let key = edwards_key(seed);
        assert_eq!(hex::encode(&key.public_key_der().unwrap()[12..]), public);
        let signed = key
            .sign(SigningAlgorithm::Ed25519Sha512, MessageType::Raw, &unhex(message))
            .unwrap();
        assert_eq!(hex::encode(signed), signature);
    }

    let key = edwards_key("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, b"abc");
    let signed = key
        .sign(
            SigningAlgorithm::Ed25519PhSha512,
            MessageType::Digest,
            digest.as_ref(),
        )
        .unwrap();
    assert_eq!(
        hex::encode(signed),
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c6\
         1e636062aaad11c2a26083406"
    );
}

/// RFC 6979, A.2.5 to A.2.7, message "sample" under the hash KMS uses.
#[test]
fn ecdsa_accepts_the_published_signatures() {
    let cases = [
        (
            KeySpec::EccNistP256,
            SigningAlgorithm::EcdsaSha256,
            "3059301306072a8648ce3d020106082a8648ce3d030107034200",
            "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
            "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            KeySpec::EccNistP384,
            SigningAlgorithm::EcdsaSha384,
            "3076301006072a8648ce3d020106052b81040022036200",
            "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13",
            "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
            "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
            "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
        ),
        (
            KeySpec::EccNistP521,
            SigningAlgorithm::EcdsaSha512,
            "30819b301006072a8648ce3d020106052b8104002303818600",
            "01894550D0785932E00EAA23B694F213F8C3121F86DC97A04E5A7167DB4E5BCD371123D46E45DB6B5D5370A7F20FB633\
             155D38FFA16D2BD761DCAC474B9A2F5023A4",
            "00493101C962CD4D2FDDF782285E64584139C2F91B47F87FF82354D6630F746A28A0DB25741B5B34A828008B22ACC23F\
             924FAAFBD4D33F81EA66956DFEAA2BFDFCF5",
            "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B53\
             4931D7D4E8455CC91F9B15BF05EC36E377FA",
            "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF077\
             7B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
        ),
    ];
    for (spec, algorithm, prefix, x, y, r, s) in cases {
        let der = [unhex(prefix), vec![4], unhex(x), unhex(y)].concat();
        let key = PublicKey::from_der(spec, &der).unwrap();
        let signature = der_signature(&unhex(r), &unhex(s));
        key.verify(algorithm, MessageType::Raw, b"sample", &signature)
            .unwrap();
        let refused = key.verify(algorithm, MessageType::Raw, b"samplf", &signature);
        assert_eq!(refused, Err(Error::BadSignature));
    }
}

/// SEQUENCE { INTEGER r, INTEGER s }; every length here is below 128 but that
/// of the P-521 sequence, which needs the long form.
fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap();
        let mut value = bytes[start..].to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [vec![2, u8::try_from(value.len()).unwrap()], value].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let length = u8::try_from(body.len()).unwrap();
    let head = if length < 128 {
        vec![0x30, length]
    } else {
        vec![0x30, 0x81, length]
    };
    [head, body].concat()
}

proptest! {
    /// Parsers of keys and signatures take any bytes without a panic.
    #[test]
    fn strangers_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        for spec in KeySpec::ALL {
            if matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096) {
                continue; // As RSA-2048.
            }
            prop_assert!(PublicKey::from_der(*spec, &bytes).is_err());
            let is_seed = spec.signing_algorithms().contains(&SigningAlgorithm::MlDsaShake256);
            if !spec.signing_algorithms().is_empty() && !is_seed {
                prop_assert!(BackingKey::from_bytes(*spec, &bytes).is_err());
            }
        }
        let key = key(KeySpec::EccNistP256);
        let verified = key.verify(SigningAlgorithm::EcdsaSha256, MessageType::Raw, b"x", &bytes);
        prop_assert_eq!(verified, Err(Error::BadSignature));
    }
}
