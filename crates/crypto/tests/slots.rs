//! Key slots as an operator meets them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use crypto::slot::{
    Argon2Cost, Initialisation, KEPT_BYTES_MAX, Keeper, Kept, KeySlots, KmsKeeper, NewSlot, PeerKeeper,
    PeerTpm, Pkcs11Keeper, RecoveryShare, SLOTS_MAX, SharePolicy, SlotError, SlotSecret, Tpm2Keeper,
};
use crypto::{Random, RootKey};
use proptest::prelude::*;

const STORE: &str = "6f1f0c3e-5b7e-4d0e-9a51-2f6f4c1f9d11";
const KEY_FILE: [u8; 32] = [0x21; 32];

fn passphrase(text: &str) -> NewSlot<'_> {
    NewSlot::Passphrase {
        passphrase: text.as_bytes(),
        cost: Argon2Cost::MINIMUM,
    }
}

fn texts(shares: &[RecoveryShare]) -> Vec<String> {
    shares
        .iter()
        .map(|share| share.to_text().expose().clone())
        .collect()
}

fn open(slots: &KeySlots, secret: &SlotSecret<'_>) -> Result<[u8; 32], SlotError> {
    slots.unlock(secret).map(|(root, _)| root.check_value("any"))
}

fn open_shares(slots: &KeySlots, shares: &[&str]) -> Result<[u8; 32], SlotError> {
    open(slots, &SlotSecret::RecoveryShares(shares))
}

/// A store with a key file and three shares, of which two open it.
fn store(seed: u64) -> (RootKey, KeySlots, Vec<String>) {
    let random = Random::seeded(seed);
    let mut initialisation = Initialisation::begin(STORE, &random).unwrap();
    initialisation
        .add("file", &NewSlot::KeyFile(&KEY_FILE), &random)
        .unwrap();
    let (untested, shares) = initialisation
        .issue_recovery("safe", SharePolicy::new(2, 3).unwrap(), &random)
        .unwrap();
    let shares = texts(&shares);
    let Ok(tested) = untested.confirm_recovery(&[&shares[0], &shares[2]]) else {
        panic!("two of three shares open the store");
    };
    let (root, slots) = tested.finish();
    (root, slots, shares)
}

#[test]
fn every_slot_opens_the_same_root_key() {
    let random = Random::seeded(1);
    let (root, mut slots, shares) = store(1);
    slots
        .add(&root, "ops", &passphrase("correct horse"), &random)
        .unwrap();
    slots
        .add(&root, "unit", &NewSlot::SystemdCredential(&[9; 32]), &random)
        .unwrap();
    let slots = KeySlots::parse(slots.to_json().as_bytes()).unwrap();
    let expected = root.check_value("any");
    for secret in [
        SlotSecret::KeyFile(&KEY_FILE),
        SlotSecret::Passphrase(b"correct horse"),
        SlotSecret::SystemdCredential(&[9; 32]),
        SlotSecret::RecoveryShares(&[&shares[1], &shares[2]]),
        SlotSecret::RecoveryShares(&[&shares[2], &shares[0], &shares[1]]),
    ] {
        assert_eq!(open(&slots, &secret), Ok(expected));
    }
    let kinds: Vec<_> = slots
        .slots()
        .map(|slot| (slot.label.to_owned(), slot.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("file".to_owned(), "key-file"),
            ("safe".to_owned(), "recovery-shares"),
            ("ops".to_owned(), "passphrase"),
            ("unit".to_owned(), "systemd-credential"),
        ]
    );
}

#[test]
fn wrong_secrets_are_called_wrong() {
    let random = Random::seeded(1);
    let (root, mut slots, _) = store(1);
    let missing = open(&slots, &SlotSecret::Passphrase(b"correct horse"));
    assert_eq!(missing, Err(SlotError::NoSlotOfKind("passphrase")));
    slots
        .add(&root, "ops", &passphrase("correct horse"), &random)
        .unwrap();
    for wrong in [b"correct horsf".as_slice(), b"", &[b'x'; 5000]] {
        let refused = open(&slots, &SlotSecret::Passphrase(wrong));
        assert_eq!(refused, Err(SlotError::WrongSecret("passphrase")));
    }
    assert_eq!(
        open(&slots, &SlotSecret::KeyFile(&[0; 32])),
        Err(SlotError::WrongSecret("key-file"))
    );
    assert_eq!(
        open(&slots, &SlotSecret::KeyFile(&[0; 33])),
        Err(SlotError::KeyLength {
            expected: 32,
            given: 33
        })
    );
    // A key file does not open a slot of another kind.
    assert_eq!(
        open(&slots, &SlotSecret::SystemdCredential(&KEY_FILE)),
        Err(SlotError::NoSlotOfKind("systemd-credential"))
    );
}

#[test]
fn damage_and_tampering_are_told_from_wrong_secrets() {
    let (_, slots, _) = store(1);
    let json = slots.to_json();
    let mut document: serde_json::Value = serde_json::from_str(&json).unwrap();
    document["slots"][0]["label"] = "renamed".into();
    assert_eq!(
        KeySlots::parse(document.to_string().as_bytes()).err(),
        Some(SlotError::Damaged)
    );
    for at in 0..json.len() {
        let mut changed = json.clone().into_bytes();
        changed[at] ^= 1;
        if let Ok(read) = KeySlots::parse(&changed) {
            // White space, and nothing else, may change.
            assert_eq!(read.to_json(), json);
        }
    }
    for length in 0..json.trim_end().len() {
        assert!(KeySlots::parse(&json.as_bytes()[..length]).is_err());
    }
}

#[test]
fn hostile_documents_are_refused() {
    let random = Random::seeded(1);
    let (root, mut slots, _) = store(1);
    slots
        .add(&root, "ops", &passphrase("correct horse"), &random)
        .unwrap();
    let document: serde_json::Value = serde_json::from_str(&slots.to_json()).unwrap();
    let parse = |document: &serde_json::Value| KeySlots::parse(document.to_string().as_bytes()).err();
    assert_eq!(parse(&document), None);

    let mut later = document.clone();
    later["version"] = 2.into();
    later["unheard"] = "of".into();
    assert_eq!(parse(&later), Some(SlotError::UnknownVersion(2)));
    let mut unknown = document.clone();
    unknown["unheard"] = "of".into();
    assert!(matches!(parse(&unknown), Some(SlotError::Syntax(_))));
    for (pointer, value) in [
        (
            "/slots/2/method/memory_kib",
            serde_json::json!(u64::from(u32::MAX) + 1),
        ),
        ("/slots/2/method/function", serde_json::json!("argon2d")),
        ("/slots/2/method/salt", serde_json::json!("00")),
        ("/slots/0/method/kind", serde_json::json!("tpm")),
        ("/slots/0/id", serde_json::json!("0000000g")),
    ] {
        let mut hostile = document.clone();
        *hostile.pointer_mut(pointer).unwrap() = value;
        assert!(matches!(parse(&hostile), Some(SlotError::Syntax(_))), "{pointer}");
    }
    let long = format!("{}{}", slots.to_json(), " ".repeat(70_000));
    assert!(matches!(
        KeySlots::parse(long.as_bytes()).err(),
        Some(SlotError::OutOfBounds { .. })
    ));
}

/// A checksum stops accidents, not a hostile writer, who can make a right one:
/// the bounds must hold by themselves.
#[test]
fn hostile_parameters_with_a_right_checksum_are_refused() {
    let random = Random::seeded(1);
    let (root, mut slots, _) = store(1);
    slots
        .add(&root, "ops", &passphrase("correct horse"), &random)
        .unwrap();
    let document: serde_json::Value = serde_json::from_str(&slots.to_json()).unwrap();
    for (pointer, value) in [
        ("/slots/2/method/memory_kib", u64::from(u32::MAX)),
        ("/slots/2/method/memory_kib", 8),
        ("/slots/2/method/passes", u64::from(u32::MAX)),
        ("/slots/2/method/lanes", 0),
        ("/slots/1/method/threshold", 0),
        ("/slots/1/method/threshold", 200),
        ("/slots/1/method/count", 255),
    ] {
        let mut hostile = document.clone();
        *hostile.pointer_mut(pointer).unwrap() = value.into();
        let hostile = checksum::repaired(&hostile);
        let refused = KeySlots::parse(hostile.as_bytes()).err();
        assert!(
            matches!(refused, Some(SlotError::OutOfBounds { .. })),
            "{pointer}: {refused:?}"
        );
    }
    // A slot whose wrapped key or label was changed is not a wrong passphrase.
    let mut moved = document.clone();
    let wrapped = moved["slots"][0]["wrapped_root_key"].as_str().unwrap().to_owned();
    let flipped = if wrapped.ends_with('0') { "1" } else { "0" };
    moved["slots"][0]["wrapped_root_key"] = format!("{}{flipped}", &wrapped[..wrapped.len() - 1]).into();
    let moved = KeySlots::parse(checksum::repaired(&moved).as_bytes()).unwrap();
    let refused = open(&moved, &SlotSecret::KeyFile(&KEY_FILE));
    assert!(matches!(refused, Err(SlotError::Tampered(_))));
}

#[test]
fn shares_are_named_when_they_do_not_fit() {
    let (_, slots, shares) = store(1);
    let (_, _, strangers) = store(2);
    let [a, b, c] = [&shares[0], &shares[1], &shares[2]].map(String::as_str);

    for pair in [[a, b], [b, c], [c, a]] {
        assert!(open_shares(&slots, &pair).is_ok());
    }
    for single in [a, b, c] {
        let refused = open_shares(&slots, &[single]);
        assert!(matches!(
            refused,
            Err(SlotError::TooFewShares { have: 1, need: 2, .. })
        ));
    }
    assert!(matches!(
        open_shares(&slots, &[]),
        Err(SlotError::TooFewShares { have: 0, need: 2, .. })
    ));
    assert!(matches!(
        open_shares(&slots, &[a, a]),
        Err(SlotError::DuplicateShare {
            position: 2,
            index: 1,
            ..
        })
    ));
    assert!(matches!(
        open_shares(&slots, &[a, &strangers[0], b]),
        Err(SlotError::ForeignShare {
            position: 2,
            expected: Some(_),
            ..
        })
    ));
    assert!(matches!(
        open_shares(&slots, &[&strangers[0], &strangers[1]]),
        Err(SlotError::ForeignShare {
            position: 1,
            expected: None,
            ..
        })
    ));
    let other_end = if b.ends_with('2') { '4' } else { '2' };
    let mistyped = format!("{}{other_end}", &b[..b.len() - 1]);
    assert_eq!(
        open_shares(&slots, &[a, &mistyped]),
        Err(SlotError::MistypedShare { position: 2 })
    );
    assert_eq!(
        open_shares(&slots, &[a, b, "what is this?"]),
        Err(SlotError::NotAShare { position: 3 })
    );
    let message = open_shares(&slots, &[a, &strangers[0]]).unwrap_err().to_string();
    assert!(!message.contains(a) && !message.contains(&strangers[0]));
}

#[test]
fn slots_come_and_go() {
    let random = Random::seeded(5);
    let (root, mut slots, shares) = store(1);
    let ops = slots
        .add(&root, "ops", &passphrase("correct horse"), &random)
        .unwrap();
    slots
        .verify(ops, &SlotSecret::Passphrase(b"correct horse"))
        .unwrap();
    assert!(matches!(
        slots.verify(ops, &SlotSecret::KeyFile(&KEY_FILE)),
        Err(SlotError::WrongKind {
            kind: "passphrase",
            ..
        })
    ));
    slots
        .rotate(&root, ops, &passphrase("battery staple"), &random)
        .unwrap();
    assert_eq!(
        slots.verify(ops, &SlotSecret::Passphrase(b"correct horse")),
        Err(SlotError::WrongSecret("passphrase"))
    );
    slots
        .verify(ops, &SlotSecret::Passphrase(b"battery staple"))
        .unwrap();
    assert!(matches!(
        slots.rotate(&root, ops, &NewSlot::KeyFile(&KEY_FILE), &random),
        Err(SlotError::WrongKind { .. })
    ));

    // New shares replace old ones once they have been typed back.
    let policy = SharePolicy::new(3, 5).unwrap();
    let (pending, fresh) = slots.issue_recovery(&root, "new safe", policy, &random).unwrap();
    let fresh = texts(&fresh);
    assert_eq!(slots.slots().count(), 3);
    let Err((pending, reason)) = slots.confirm_recovery(pending, &[&fresh[0], &fresh[1]]) else {
        panic!("two of three needed shares are too few");
    };
    assert!(matches!(reason, SlotError::TooFewShares { have: 2, need: 3, .. }));
    let old = slots.slots().find(|slot| slot.label == "safe").unwrap().id;
    assert_eq!(slots.remove(old), Err(SlotError::LastRecovery(old)));
    let Ok(new) = slots.confirm_recovery(pending, &[&fresh[4], &fresh[1], &fresh[3]]) else {
        panic!("three shares are enough");
    };
    slots.remove(old).unwrap();
    assert!(matches!(
        open_shares(&slots, &[&shares[0], &shares[1]]),
        Err(SlotError::ForeignShare {
            position: 1,
            expected: None,
            ..
        })
    ));
    assert!(open_shares(&slots, &[&fresh[0], &fresh[1], &fresh[2]]).is_ok());

    let file = slots.slots().find(|slot| slot.label == "file").unwrap().id;
    slots.remove(file).unwrap();
    slots.remove(ops).unwrap();
    assert_eq!(slots.remove(new), Err(SlotError::LastSlot(new)));
    assert_eq!(slots.remove(ops), Err(SlotError::NoSuchSlot(ops.to_string())));
}

fn kept(bytes: &[u8]) -> Kept {
    Kept::new(bytes).unwrap()
}

fn kms(key_id: &str) -> Keeper {
    Keeper::Kms(KmsKeeper {
        endpoint: "https://kms.example".to_owned(),
        region: "eu-west-1".to_owned(),
        key_id: key_id.to_owned(),
        ciphertext: kept(b"ciphertext"),
    })
}

#[test]
fn a_kept_key_opens_its_slot_and_no_other() {
    let random = Random::seeded(6);
    let (root, mut slots, _) = store(6);
    let keepers = [
        kms("alias/seal"),
        Keeper::Pkcs11(Pkcs11Keeper {
            token: "palisade".to_owned(),
            key: "seal".to_owned(),
            ciphertext: kept(&[0; KEPT_BYTES_MAX]),
        }),
        Keeper::Peer(PeerKeeper {
            address: "10.0.0.2:4567".to_owned(),
            peer: "ab".repeat(32),
            member: "cd".repeat(32),
            tpm: None,
            ciphertext: kept(&[3]),
        }),
        Keeper::Peer(PeerKeeper {
            address: "10.0.0.3:4567".to_owned(),
            peer: "ab".repeat(32),
            member: "cd".repeat(32),
            tpm: Some(PeerTpm {
                key: "ef".repeat(32),
                pcrs: "sha256:7".to_owned(),
            }),
            ciphertext: kept(&[4]),
        }),
        Keeper::Tpm2(Tpm2Keeper {
            pcrs: Some("sha256:7".to_owned()),
            public: kept(&[1]),
            private: kept(&[2]),
        }),
    ];
    for (fill, keeper) in (1..).zip(&keepers) {
        let key = &[fill; 32];
        slots
            .add(&root, keeper.kind(), &NewSlot::Kept { keeper, key }, &random)
            .unwrap();
    }
    let slots = KeySlots::parse(slots.to_json().as_bytes()).unwrap();
    let found: Vec<Keeper> = slots.slots().filter_map(|slot| slot.keeper.cloned()).collect();
    assert_eq!(found, keepers);
    for (fill, keeper) in (1..).zip(&keepers) {
        let right = SlotSecret::Kept {
            keeper,
            key: &[fill; 32],
        };
        assert_eq!(open(&slots, &right), Ok(root.check_value("any")));
        let wrong = SlotSecret::Kept {
            keeper,
            key: &[fill + 100; 32],
        };
        assert_eq!(open(&slots, &wrong), Err(SlotError::WrongSecret(keeper.kind())));
    }
    // A key file's bytes do not pass for those a keeper gave.
    assert!(open(&slots, &SlotSecret::KeyFile(&[1; 32])).is_err());
}

#[test]
fn a_keeper_cannot_be_exchanged_unnoticed() {
    let random = Random::seeded(7);
    let (root, mut slots, _) = store(7);
    let new = NewSlot::Kept {
        keeper: &kms("alias/seal"),
        key: &[9; 32],
    };
    slots.add(&root, "kms", &new, &random).unwrap();
    let changed = slots.to_json().replace("alias/seal", "alias/evil");
    assert_eq!(
        KeySlots::parse(changed.as_bytes()).err(),
        Some(SlotError::Damaged)
    );
}

#[test]
fn keepers_have_bounds_and_a_full_document_still_fits() {
    let random = Random::seeded(8);
    assert!(Kept::new(&[]).is_err());
    assert!(Kept::new(&[0; KEPT_BYTES_MAX + 1]).is_err());
    let (root, mut slots, _) = store(8);
    for wrong in ["", &"k".repeat(257)] {
        let new = NewSlot::Kept {
            keeper: &kms(wrong),
            key: &[9; 32],
        };
        let refused = slots.add(&root, "kms", &new, &random);
        assert!(matches!(refused, Err(SlotError::OutOfBounds { .. })));
    }
    let Keeper::Kms(longest) = kms(&"k".repeat(256)) else {
        panic!("it is one of a KMS");
    };
    let longest = Keeper::Kms(KmsKeeper {
        endpoint: "e".repeat(256),
        region: "r".repeat(256),
        ciphertext: kept(&[0; KEPT_BYTES_MAX]),
        ..longest
    });
    while slots.slots().count() < SLOTS_MAX {
        let new = NewSlot::Kept {
            keeper: &longest,
            key: &[9; 32],
        };
        slots.add(&root, &"l".repeat(128), &new, &random).unwrap();
    }
    assert!(KeySlots::parse(slots.to_json().as_bytes()).is_ok());
}

#[test]
fn a_foreign_root_key_is_refused() {
    let random = Random::seeded(5);
    let (_, mut slots, _) = store(1);
    let (other, _, _) = store(2);
    assert_eq!(
        slots.add(&other, "x", &NewSlot::KeyFile(&KEY_FILE), &random),
        Err(SlotError::WrongRootKey)
    );
    let policy = SharePolicy::new(1, 1).unwrap();
    let refused = slots.issue_recovery(&other, "x", policy, &random).err();
    assert_eq!(refused, Some(SlotError::WrongRootKey));
}

#[test]
fn everything_has_a_limit() {
    let random = Random::seeded(5);
    let (root, mut slots, _) = store(1);
    let out = |result: Result<_, SlotError>| matches!(result, Err(SlotError::OutOfBounds { .. }));
    assert!(out(slots.add(&root, "ops", &passphrase("short"), &random)));
    assert!(out(slots.add(&root, "", &NewSlot::KeyFile(&KEY_FILE), &random)));
    assert!(out(slots.add(
        &root,
        &"x".repeat(129),
        &NewSlot::KeyFile(&KEY_FILE),
        &random
    )));
    while slots.slots().count() < SLOTS_MAX {
        slots
            .add(&root, "file", &NewSlot::KeyFile(&KEY_FILE), &random)
            .unwrap();
    }
    assert!(out(slots.add(
        &root,
        "one more",
        &NewSlot::KeyFile(&KEY_FILE),
        &random
    )));
    KeySlots::parse(slots.to_json().as_bytes()).unwrap();
    for (threshold, count) in [(0, 3), (4, 3), (1, 0), (2, 33)] {
        assert!(SharePolicy::new(threshold, count).is_err());
    }
    assert!(Initialisation::begin("", &random).is_err());
    let empty = Initialisation::begin(STORE, &random).unwrap();
    assert!(empty.finish_for_development().is_err());
}

#[test]
fn initialisation_waits_for_shares_that_work() {
    let random = Random::seeded(1);
    let initialisation = Initialisation::begin(STORE, &random).unwrap();
    let (untested, shares) = initialisation
        .issue_recovery("safe", SharePolicy::new(2, 3).unwrap(), &random)
        .unwrap();
    let shares = texts(&shares);
    let Err(unconfirmed) = untested.confirm_recovery(&[&shares[0]]) else {
        panic!("one share is too few");
    };
    assert!(matches!(unconfirmed.reason, SlotError::TooFewShares { .. }));
    let Ok(mut tested) = unconfirmed
        .initialisation
        .confirm_recovery(&[&shares[0], &shares[1]])
    else {
        panic!("two shares are enough");
    };
    tested.add("file", &NewSlot::KeyFile(&KEY_FILE), &random).unwrap();
    let (root, slots) = tested.finish();
    assert_eq!(
        open(&slots, &SlotSecret::KeyFile(&KEY_FILE)),
        Ok(root.check_value("any"))
    );
}

proptest! {
    #[test]
    fn parse_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        prop_assert!(KeySlots::parse(&bytes).is_err());
        prop_assert!(KeySlots::parse(text.as_bytes()).is_err());
        let (_, slots, _) = store(1);
        prop_assert!(open_shares(&slots, &[&text]).is_err());
    }
}

/// What a hostile writer of the file would do: the checksum of the document,
/// computed from its description.
mod checksum {
    use serde_json::Value;

    pub(super) fn repaired(document: &Value) -> String {
        let slots: Vec<Vec<u8>> = document["slots"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| slot(document, s))
            .collect();
        let slots: Vec<&[u8]> = slots.iter().map(Vec::as_slice).collect();
        let digest = crypto::sha256(&[&parts(&[
            b"palisade slot document v1",
            &number(&document["version"]),
            text(&document["store_id"]),
            &bytes(&document["root_key_check"]),
            &parts(&slots),
        ])]);
        let mut document = document.clone();
        document["checksum"] = hex::encode(digest).into();
        document.to_string()
    }

    fn slot(document: &Value, slot: &Value) -> Vec<u8> {
        let method = &slot["method"];
        let parameters = match method["kind"].as_str().unwrap() {
            "passphrase" => parts(&[
                b"argon2id",
                &number(&method["memory_kib"]),
                &number(&method["passes"]),
                &number(&method["lanes"]),
                &bytes(&method["salt"]),
            ]),
            "recovery-shares" => parts(&[
                &bytes(&method["set"]),
                &number(&method["threshold"])[3..],
                &number(&method["count"])[3..],
            ]),
            _ => Vec::new(),
        };
        let bound_to = parts(&[
            text(&document["store_id"]),
            &bytes(&slot["id"]),
            text(&slot["label"]),
            text(&method["kind"]),
            &parameters,
        ]);
        parts(&[
            &bound_to,
            &bytes(&slot["key_check"]),
            &bytes(&slot["wrapped_root_key"]),
        ])
    }

    fn parts(list: &[&[u8]]) -> Vec<u8> {
        let mut out = (list.len() as u64).to_be_bytes().to_vec();
        for part in list {
            out.extend_from_slice(&(part.len() as u64).to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    fn number(value: &Value) -> [u8; 4] {
        u32::try_from(value.as_u64().unwrap()).unwrap().to_be_bytes()
    }

    fn text(value: &Value) -> &[u8] {
        value.as_str().unwrap().as_bytes()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }
}
