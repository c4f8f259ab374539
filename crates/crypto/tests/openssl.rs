//! The `openssl` command agrees with us, in both directions.
//!
//! It must be installed. Ed25519ph is not among these: OpenSSL has it since 3.2
//! only; RFC 8032's vector in `keys.rs` stands for it.

#![expect(
    clippy::disallowed_methods,
    reason = "the test runs a program on files in a temporary folder"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crypto::Random;
use crypto::key::{BackingKey, EncryptionAlgorithm, KeySpec, MessageType, PublicKey, SigningAlgorithm};

/// Runs `openssl` in the folder and says whether it succeeded.
fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("these tests need the openssl command: install OpenSSL 3.0 or later");
    output.status.success()
}

fn hash_name(algorithm: SigningAlgorithm) -> Option<&'static str> {
    match algorithm {
        SigningAlgorithm::RsassaPssSha256
        | SigningAlgorithm::RsassaPkcs1V15Sha256
        | SigningAlgorithm::EcdsaSha256 => Some("sha256"),
        SigningAlgorithm::RsassaPssSha384
        | SigningAlgorithm::RsassaPkcs1V15Sha384
        | SigningAlgorithm::EcdsaSha384 => Some("sha384"),
        SigningAlgorithm::RsassaPssSha512
        | SigningAlgorithm::RsassaPkcs1V15Sha512
        | SigningAlgorithm::EcdsaSha512 => Some("sha512"),
        SigningAlgorithm::Ed25519Sha512
        | SigningAlgorithm::Ed25519PhSha512
        | SigningAlgorithm::MlDsaShake256 => None,
    }
}

fn options(algorithm: SigningAlgorithm) -> Vec<String> {
    let mut options = Vec::new();
    if let Some(hash) = hash_name(algorithm) {
        options.extend(["-digest".to_owned(), hash.to_owned()]);
        if algorithm.as_str().starts_with("RSASSA_PSS") {
            for option in [
                "rsa_padding_mode:pss",
                "rsa_pss_saltlen:digest",
                &format!("rsa_mgf1_md:{hash}"),
            ] {
                options.extend(["-pkeyopt".to_owned(), option.to_owned()]);
            }
        }
    }
    options
}

#[test]
fn signatures_verify_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("message"), b"a message").unwrap();
    fs::write(folder.join("other"), b"another message").unwrap();
    for spec in KeySpec::ALL
        .iter()
        .filter(|spec| !spec.signing_algorithms().is_empty())
    {
        let key = BackingKey::generate(*spec, &Random::system()).unwrap();
        fs::write(folder.join("public"), key.public_key_der().unwrap()).unwrap();
        fs::write(folder.join("private"), key.to_bytes().unwrap().expose()).unwrap();
        for algorithm in spec.signing_algorithms() {
            // Neither does OpenSSL 3.0 know ML-DSA, whose two libraries judge each other.
            if matches!(
                algorithm,
                SigningAlgorithm::Ed25519PhSha512 | SigningAlgorithm::MlDsaShake256
            ) {
                continue;
            }
            let options = options(*algorithm);
            let run = |fixed: &[&str]| {
                let arguments: Vec<&str> = fixed
                    .iter()
                    .copied()
                    .chain(options.iter().map(String::as_str))
                    .collect();
                openssl(folder, &arguments)
            };
            let verify = |message: &str| {
                run(&[
                    "pkeyutl",
                    "-verify",
                    "-pubin",
                    "-inkey",
                    "public",
                    "-keyform",
                    "DER",
                    "-rawin",
                    "-in",
                    message,
                    "-sigfile",
                    "signature",
                ])
            };
            let ours = key.sign(*algorithm, MessageType::Raw, b"a message").unwrap();
            fs::write(folder.join("signature"), ours).unwrap();
            assert!(verify("message"), "{spec} {algorithm}");
            assert!(!verify("other"), "{spec} {algorithm}");

            assert!(
                run(&[
                    "pkeyutl", "-sign", "-inkey", "private", "-keyform", "DER", "-rawin", "-in", "message",
                    "-out", "theirs",
                ]),
                "{spec} {algorithm}"
            );
            let theirs = fs::read(folder.join("theirs")).unwrap();
            key.verify(*algorithm, MessageType::Raw, b"a message", &theirs)
                .unwrap();
            assert!(
                key.verify(*algorithm, MessageType::Raw, b"another message", &theirs)
                    .is_err()
            );
        }
    }
}

#[test]
fn oaep_opens_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("plaintext"), b"a secret").unwrap();
    for spec in [KeySpec::Rsa2048, KeySpec::Rsa3072] {
        let key = BackingKey::generate(spec, &Random::system()).unwrap();
        fs::write(folder.join("public"), key.public_key_der().unwrap()).unwrap();
        fs::write(folder.join("private"), key.to_bytes().unwrap().expose()).unwrap();
        for (algorithm, hash) in [
            (EncryptionAlgorithm::RsaesOaepSha1, "sha1"),
            (EncryptionAlgorithm::RsaesOaepSha256, "sha256"),
        ] {
            let oaep = format!("rsa_oaep_md:{hash}");
            let mgf = format!("rsa_mgf1_md:{hash}");
            let options = [
                "-pkeyopt",
                "rsa_padding_mode:oaep",
                "-pkeyopt",
                &oaep,
                "-pkeyopt",
                &mgf,
                "-keyform",
                "DER",
            ];
            let run = |fixed: &[&str]| openssl(folder, &[fixed, &options].concat());
            assert!(run(&[
                "pkeyutl",
                "-encrypt",
                "-pubin",
                "-inkey",
                "public",
                "-in",
                "plaintext",
                "-out",
                "theirs",
            ]));
            let theirs = fs::read(folder.join("theirs")).unwrap();
            assert_eq!(key.decrypt(algorithm, &theirs).unwrap().expose(), b"a secret");

            fs::write(folder.join("ours"), key.encrypt(algorithm, b"a secret").unwrap()).unwrap();
            assert!(run(&[
                "pkeyutl", "-decrypt", "-inkey", "private", "-in", "ours", "-out", "opened"
            ]));
            assert_eq!(fs::read(folder.join("opened")).unwrap(), b"a secret");
        }
    }
}

/// Keys made by OpenSSL are read here, as `ImportKeyMaterial` will need.
#[test]
fn foreign_keys_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let kinds: [(KeySpec, &[&str]); 6] = [
        (
            KeySpec::Rsa2048,
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ),
        (
            KeySpec::EccNistP256,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ),
        (
            KeySpec::EccNistP384,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ),
        (
            KeySpec::EccNistP521,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
        ),
        (
            KeySpec::EccSecgP256K1,
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        ),
        (KeySpec::EccNistEdwards25519, &["-algorithm", "ED25519"]),
    ];
    for (spec, options) in kinds {
        let generate = [&["genpkey", "-out", "pem"], options].concat();
        assert!(openssl(folder, &generate), "{spec}");
        let convert = [
            "pkcs8", "-topk8", "-nocrypt", "-in", "pem", "-outform", "DER", "-out", "private",
        ];
        assert!(openssl(folder, &convert), "{spec}");
        assert!(openssl(
            folder,
            &[
                "pkey", "-in", "pem", "-pubout", "-outform", "DER", "-out", "public"
            ]
        ));
        let key = BackingKey::from_bytes(spec, &fs::read(folder.join("private")).unwrap()).unwrap();
        let public = fs::read(folder.join("public")).unwrap();
        assert_eq!(key.public_key_der(), Some(public.as_slice()), "{spec}");
        let algorithm = spec.signing_algorithms()[0];
        let signature = key.sign(algorithm, MessageType::Raw, b"x").unwrap();
        PublicKey::from_der(spec, &public)
            .unwrap()
            .verify(algorithm, MessageType::Raw, b"x", &signature)
            .unwrap();
    }
}
