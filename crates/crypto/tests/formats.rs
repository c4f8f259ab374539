//! What was written once is read for ever.
//!
//! These bytes were made by the first version of each format. A change that
//! cannot read them loses somebody's data.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crypto::Random;
use crypto::blob::{EncryptionContext, Envelope};
use crypto::hierarchy::{MaterialRecord, RootKey};
use crypto::key::{BackingKey, KeySpec, SymmetricKey};
use crypto::slot::{KeySlots, SlotSecret};
use ground::{AccountId, Region};

const ARN: &[u8] = b"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn key() -> SymmetricKey {
    SymmetricKey::from_bytes(&[1; 32]).unwrap()
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "blue"), ("purpose", "test")])
}

fn root() -> RootKey {
    let slots = KeySlots::parse(SLOTS.as_bytes()).unwrap();
    slots.unlock(&SlotSecret::KeyFile(&[0x21; 32])).unwrap().0
}

#[test]
fn envelopes() {
    let blob = hex::decode(ENVELOPE).unwrap();
    let envelope = Envelope::parse(&blob).unwrap();
    assert_eq!(envelope.reference(), b"reference");
    assert_eq!(
        envelope.open(&key(), ARN, &context()).unwrap().expose(),
        b"attack at dawn"
    );
    let again = Envelope::seal(
        &key(),
        b"reference",
        ARN,
        &context(),
        b"attack at dawn",
        &Random::seeded(1),
    );
    assert_eq!(hex::encode(again.unwrap()), ENVELOPE);
}

#[test]
fn slot_documents() {
    let slots = KeySlots::parse(SLOTS.as_bytes()).unwrap();
    assert_eq!(slots.to_json(), SLOTS);
    for secret in [
        SlotSecret::KeyFile(&[0x21; 32]),
        SlotSecret::Passphrase(b"correct horse"),
        SlotSecret::RecoveryShares(&SHARES),
    ] {
        let (root, _) = slots.unlock(&secret).unwrap();
        assert_eq!(hex::encode(root.check_value("any")), ROOT_CHECK);
    }
}

#[test]
fn sealed_rows() {
    let account = AccountId::parse("123456789012").unwrap();
    let domain = root().domain(account, &Region::parse("eu-west-1").unwrap(), "kms/material");
    let record = MaterialRecord {
        key_id: "key-1",
        material_id: "material-1",
        version: 1,
    };
    let wrapped = hex::decode(WRAPPED).unwrap();
    let unwrapped = domain
        .unwrap(&record, KeySpec::SymmetricDefault, &wrapped)
        .unwrap();
    assert_eq!(unwrapped.to_bytes().unwrap().expose(), &[1; 32]);
    let sealed = hex::decode(SEALED).unwrap();
    assert_eq!(domain.open(&[b"row"], &sealed).unwrap().expose(), b"a secret");

    let fresh = BackingKey::from_bytes(KeySpec::SymmetricDefault, &[1; 32]).unwrap();
    assert_eq!(
        hex::encode(domain.wrap(&record, &fresh, &Random::seeded(1)).unwrap()),
        WRAPPED
    );
    assert_eq!(
        hex::encode(domain.seal(&[b"row"], b"a secret", &Random::seeded(1)).unwrap()),
        SEALED
    );
}

const ENVELOPE: &str = "5001097265666572656e636554301a433524372b04845c1cdd07a675642da9754e7aae7f5cf0b29f5cc382f4054528ee\
     21eed658fee2c2f64259025771c6f2964727661b1348";
const SHARES: [&str; 2] = [
    "PSHARE-0644NH-GE081Z-SP9FCH-2DTXKV-KKDX0A-CJ14P8-RNVDPE-RH69TW-61S5EB-7EYM0M-KH00Q9-9EM",
    "PSHARE-0644NH-GE0811-VFV6G9-C32P3R-4VWFW4-89WYBP-39GN4K-Z9PWMT-5NAEEV-0ZRQ4F-32KBRY-XW6",
];
const ROOT_CHECK: &str = "bcce8f8b8cab5835ef897c9a49d405b30d301f040d2afa00f1523c82dc0261be";
const WRAPPED: &str = "0154301a433524372b04845c1cdd07a675642da9754e7aae7f5cf0b29f64723b59e2f9e8fbc01259580a15020bfca01a\
     d632d79b8998ac50ca581461b8b71d3c9f9255e3a20154956ca86a8767";
const SEALED: &str = "0154301a433524372b04845c1cdd07a675642da9754e7aae7f5cf0b29f0453493d808a8c8eedd750c712e9f3fda9eb0e\
     38b9eb0b9f";
const SLOTS: &str = r#"{
  "version": 1,
  "store_id": "6f1f0c3e-5b7e-4d0e-9a51-2f6f4c1f9d11",
  "root_key_check": "66a84e7edba5b4253afcb70761420c4d6804ae488194b9c0ced54ffc41b1d634",
  "slots": [
    {
      "id": "649d9e9d",
      "label": "file",
      "method": {
        "kind": "key-file"
      },
      "key_check": "e5d923ce527e92ef5958fc8e1274611e5558168fa12b2d4e3ddaa27de901492b",
      "wrapped_root_key": "e0eb9b2e645831bbbde56a8e1b9fada76e08d55eece5666f975fab67d5a3beccbf4304f1d16e0121ffec43ee529af26fb4d585931163762258a534a361292de2ad6fca1ca31f1c998b2f84fa"
    },
    {
      "id": "dc0928fe",
      "label": "ops",
      "method": {
        "kind": "passphrase",
        "function": "argon2id",
        "memory_kib": 19456,
        "passes": 2,
        "lanes": 1,
        "salt": "978690c24dc1e4dd376bf6d81a9469fb"
      },
      "key_check": "c1b3f8b830b79f37ba13605b79f273b461d59367bef483f6b2a13e7038332bd4",
      "wrapped_root_key": "27b5d33c9592e31330b23674d583b555b222c24fb400f961a9d69ec82fe81fa81b29ac2dfcf66ff094d28d847aa32603570527a025ea0c1729ced7a5bc0f10ba2cf13eadef4a292074a8258c"
    },
    {
      "id": "0c7ec00d",
      "label": "safe",
      "method": {
        "kind": "recovery-shares",
        "set": "884ac60e",
        "threshold": 2,
        "count": 3
      },
      "key_check": "a3c6a8484f2c02f47c2f2a7670a83f577b750b147c01e3f77a7fd809b1086923",
      "wrapped_root_key": "02b0a0f24fcafee316a1520eb0200fbf202f9a987dcc441f4b100a15be24fa9fef8e1fdd97983c594cbc88879c3f8d7df5e93394406c5b3bfea5e0e059efa27c14b391ca5519d36ced50be58"
    }
  ],
  "checksum": "84075dfb0f67a0a7a8bed1c6713578c29f82b2ff41e70a9f09a951d137b28ffb"
}
"#;
