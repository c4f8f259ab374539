//! What is read, and what is refused, of every form. Keys are made by the
//! cryptography itself; forms made by others are met in `conformance/`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use proptest::prelude::*;

use super::*;

fn one(form: Form, usage: Option<Usage>, text: &str) -> Result<Exported, String> {
    let mut found = read(form, "named", usage, text.as_bytes()).map_err(|bad| bad.to_string())?;
    assert_eq!(found.len(), 1);
    found.remove(0).key
}

fn refused(form: Form, usage: Option<Usage>, text: &str) -> String {
    match one(form, usage, text) {
        Ok(key) => panic!("a {} was read", key.spec),
        Err(reason) => reason,
    }
}

fn private(spec: KeySpec) -> Secret<Vec<u8>> {
    BackingKey::generate(spec, &Random::seeded(1))
        .unwrap()
        .to_bytes()
        .unwrap()
}

fn transit(kind: &str, key: &str) -> String {
    format!(r#"{{"data": {{"name": "k", "type": "{kind}", "keys": {{"1": {key:?}}}}}}}"#)
}

const SECRET: &str = "eyXYGHbTmugUJn6EtYD/yVEoF6pCxm4R/cMEutUm3MY=";

#[test]
fn transit_keeps_its_versions_in_order() {
    let keys: Vec<String> = (1..=11)
        .map(|number| format!(r#""{number}": "{}""#, STANDARD.encode([number; 32])))
        .collect();
    let text = format!(r#"{{"name": "foo", "keys": {{{}}}}}"#, keys.join(", "));
    let found = read(Form::Transit, "named", None, text.as_bytes()).unwrap();
    assert_eq!(found[0].name, "foo");
    let key = found[0].key.as_ref().unwrap();
    assert_eq!(
        (key.spec, key.usage),
        (KeySpec::SymmetricDefault, Usage::EncryptDecrypt)
    );
    let numbers: Vec<u32> = key.versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    assert_eq!(key.versions[9].material.expose(), &[10; 32]);
}

#[test]
fn a_symmetric_key_has_no_more_versions_than_rotations_can_reach() {
    let of = |count: u8| {
        let keys: Vec<String> = (1..=count)
            .map(|number| format!(r#""{number}": "{}""#, STANDARD.encode([number; 32])))
            .collect();
        format!(r#"{{"name": "foo", "keys": {{{}}}}}"#, keys.join(", "))
    };
    assert_eq!(one(Form::Transit, None, &of(26)).unwrap().versions.len(), 26);
    assert!(refused(Form::Transit, None, &of(27)).contains("26 versions, this one has 27"));
    // Other keys have a key for each version.
    let macs = one(Form::Transit, Some(Usage::GenerateVerifyMac), &of(27)).unwrap();
    assert_eq!(macs.versions.len(), 27);
}

#[test]
fn a_file_with_two_private_keys_or_a_password_is_told_so() {
    let pem = |label: &str| {
        let der = private(KeySpec::EccNistP256);
        let text = STANDARD.encode(der.expose());
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let key = pem("PRIVATE KEY");
    // A certificate beside it is no second key.
    assert!(one(Form::Pkcs8, None, &(pem("CERTIFICATE") + &key)).is_ok());
    for other in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
        let both = key.clone() + &pem(other);
        assert!(refused(Form::Pkcs8, None, &both).contains("more than one private key"));
        // As a version of a transit key, too.
        let both = both.replace('\n', "\\n");
        let export = format!(r#"{{"name": "k", "type": "ecdsa-p256", "keys": {{"1": "{both}"}}}}"#);
        assert!(refused(Form::Transit, None, &export).contains("is no private key"));
    }
    for encrypted in [
        pem("ENCRYPTED PRIVATE KEY"),
        pem("EC PRIVATE KEY").replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1),
    ] {
        assert!(refused(Form::Pkcs8, None, &encrypted).contains("without its password"));
    }
}

#[test]
fn transit_says_what_kms_has_no_place_for() {
    let short = STANDARD.encode([1; 16]);
    for (kind, key, reason) in [
        ("aes128-gcm96", &*short, "256 bits"),
        ("aes256-gcm96", &*short, "256 bits"),
        ("chacha20-poly1305", SECRET, "another cipher"),
        ("managed_key", SECRET, "elsewhere"),
        ("ml-dsa", SECRET, "no counterpart"),
        ("ed25519", SECRET, "64 bytes"),
        ("ecdsa-p256", SECRET, "no private key"),
        ("aes256-gcm96", "no base64", "not base64"),
    ] {
        let told = refused(Form::Transit, None, &transit(kind, key));
        assert!(told.contains(reason), "{kind}: {told}");
        assert!(!told.contains(key));
    }
    let mac = Some(Usage::GenerateVerifyMac);
    let key = one(Form::Transit, mac, &transit("aes256-gcm96", SECRET)).unwrap();
    assert_eq!(key.spec, KeySpec::Hmac256);
    let sign = Some(Usage::SignVerify);
    assert!(refused(Form::Transit, sign, &transit("aes256-gcm96", SECRET)).contains("not for SIGN_VERIFY"));
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"data": {}}"#,
        r#"{"backup": "e30="}"#,
        r#"{"backup": "!"}"#,
    ] {
        assert!(
            read(Form::Transit, "named", None, bad.as_bytes()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn a_backup_has_archived_versions_too() {
    let entry = |byte: u8| format!(r#"{{"key": "{}", "ec_x": null}}"#, STANDARD.encode([byte; 32]));
    let document = |policy: &str| {
        let text = format!(
            r#"{{"policy": {{"name": "k", {policy}, "keys": {{"2": {}, "3": {}}}}},
                "archived_keys": {{"keys": [{{"key": null}}, {}, {}]}}}}"#,
            entry(2),
            entry(3),
            entry(1),
            entry(9),
        );
        format!(r#"{{"data": {{"backup": "{}"}}}}"#, STANDARD.encode(text))
    };
    let key = one(Form::Transit, None, &document(r#""type": 0"#)).unwrap();
    let versions: Vec<(u32, u8)> = key
        .versions
        .iter()
        .map(|version| (version.number, version.material.expose()[0]))
        .collect();
    // What the policy says of a version counts.
    assert_eq!(versions, [(1, 1), (2, 2), (3, 3)]);
    for (policy, reason) in [
        (r#""type": 0, "derived": true"#, "derived"),
        (r#""type": 5"#, "another cipher"),
        (r#""type": 10"#, "elsewhere"),
        (r#""type": 11"#, "generate-verify-mac"),
        (r#""type": 99"#, "not understood"),
        (r#""type": 1"#, "lacks a number"),
    ] {
        let told = refused(Form::Transit, None, &document(policy));
        assert!(told.contains(reason), "{policy}: {told}");
    }
    let mac = Some(Usage::GenerateVerifyMac);
    assert!(one(Form::Transit, mac, &document(r#""type": 11"#)).is_ok());
    assert!(one(Form::Transit, mac, &document(r#""type": 0"#)).is_err());
}

#[test]
fn private_keys_are_known_by_what_they_are() {
    for spec in PRIVATE_SPECS {
        let der = private(spec);
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.expose())
        );
        let usage = Some(Usage::SignVerify);
        let from_pem = one(Form::Pkcs8, usage, &pem).unwrap();
        let from_der = read(Form::Pkcs8, "named", usage, der.expose())
            .unwrap()
            .remove(0)
            .key
            .unwrap();
        for key in [from_pem, from_der] {
            assert_eq!((key.spec, key.usage), (spec, Usage::SignVerify));
            assert_eq!(key.versions[0].material.expose(), der.expose());
        }
        if spec.as_str().starts_with("RSA") {
            assert!(refused(Form::Pkcs8, None, &pem).contains("--usage"));
        } else {
            assert!(one(Form::Pkcs8, None, &pem).is_ok());
        }
    }
    let curve = private(KeySpec::EccNistP256);
    let mut broken = curve.expose().clone();
    broken.truncate(broken.len() - 1);
    let found = read(Form::Pkcs8, "named", None, &broken).unwrap();
    assert!(found[0].key.is_err());
    assert!(read(Form::Pkcs8, "named", None, b"neither").is_err());
}

#[test]
fn json_web_keys() {
    let secret = r#"{"kty": "oct", "kid": "one", "k": "eyXYGHbTmugUJn6EtYD_yVEoF6pCxm4R_cMEutUm3MY"}"#;
    assert_eq!(
        one(Form::Jwk, None, secret).unwrap().spec,
        KeySpec::SymmetricDefault
    );
    let set = format!(r#"{{"keys": [{secret}, {{"kty": "oct"}}, {{"kty": "EC", "crv": "P-192"}}]}}"#);
    let found = read(Form::Jwk, "named", None, set.as_bytes()).unwrap();
    let names: Vec<&str> = found.iter().map(|key| &*key.name).collect();
    assert_eq!(names, ["one", "named-2", "named-3"]);
    let reasons: Vec<_> = found.iter().filter_map(|key| key.key.as_ref().err()).collect();
    assert_eq!(reasons, ["it has no k", "KMS has no curve P-192"]);
    // RFC 8037, appendix A.
    let ed = r#"{"kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
                 "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert_eq!(
        one(Form::Jwk, None, ed).unwrap().spec,
        KeySpec::EccNistEdwards25519
    );
    // RFC 7517, appendix A.2.
    let ec = r#"{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                 "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
                 "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;
    assert_eq!(one(Form::Jwk, None, ec).unwrap().spec, KeySpec::EccNistP256);
    let agree = one(Form::Jwk, Some(Usage::KeyAgreement), ec).unwrap();
    assert_eq!(agree.usage, Usage::KeyAgreement);
    // A private number of another point.
    let other = ec.replace("870MB6", "870MB7");
    assert!(refused(Form::Jwk, None, &other).contains("no sound private key"));
    assert!(read(Form::Jwk, "named", None, b"{}").is_err());
}

#[test]
fn raw_bytes_are_as_long_as_the_spec() {
    let raw = |length, usage| {
        read(Form::Raw, "named", usage, &vec![7; length])
            .unwrap()
            .remove(0)
            .key
    };
    let mac = Some(Usage::GenerateVerifyMac);
    assert_eq!(raw(32, None).unwrap().spec, KeySpec::SymmetricDefault);
    assert_eq!(raw(48, mac).unwrap().spec, KeySpec::Hmac384);
    for (length, usage) in [(31, None), (33, None), (0, None), (33, mac), (16, mac)] {
        assert!(raw(length, usage).is_err());
    }
}

#[test]
fn a_seed_of_local_kms() {
    let text = "\
Keys:
  Symmetric:
    Aes:
      - Metadata:
          KeyId: bc436485-5092-42b8-92a3-0aa8b93536dc
          Description: one
        BackingKeys:
          - 5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9
          - 34743777217A25432A46294A404E635266556A586E3272357538782F413F4428
      - Metadata:
          KeyId: short
        BackingKeys: [5cda]
Aliases:
  - AliasName: alias/testing
    TargetKeyId: bc436485-5092-42b8-92a3-0aa8b93536dc
";
    let found = read(Form::LocalKms, "", None, text.as_bytes()).unwrap();
    let key = found[0].key.as_ref().unwrap();
    assert_eq!(key.versions.len(), 2);
    let fixed = key.fixed.as_ref().unwrap();
    assert_eq!(fixed.id, "bc436485-5092-42b8-92a3-0aa8b93536dc");
    assert_eq!(
        (&*fixed.description, &*fixed.aliases),
        ("one", &["alias/testing".to_owned()][..])
    );
    assert!(
        found[1]
            .key
            .as_ref()
            .is_err_and(|reason| reason.contains("256 bits"))
    );

    let old = "Keys:\n  - Metadata:\n      KeyId: a\n    BackingKeys:\n      - \
               5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9\n";
    assert!(
        read(Form::LocalKms, "", None, old.as_bytes()).unwrap()[0]
            .key
            .is_ok()
    );
    let strange = |text: &str| read(Form::LocalKms, "", None, text.as_bytes()).is_err();
    assert!(strange(&text.replace("TargetKeyId: bc", "TargetKeyId: cc")));
    assert!(strange(&text.replace("Aes:", "Des:")));
    assert!(strange(&text.replace("Description:", "Enabled:")));
    assert!(strange("Keys: [") && strange("Keys:\n") && strange(""));
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for form in [Form::Transit, Form::LocalKms, Form::Pkcs8, Form::Jwk, Form::Raw] {
            let _ = read(form, "named", None, &bytes);
        }
    }
}
