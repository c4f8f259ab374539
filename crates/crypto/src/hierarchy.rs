//! The key hierarchy: root key, domain keys, and what domain keys seal.
//!
//! One 256-bit root key per store derives a [`DomainKey`] for every account,
//! region and purpose. A domain key wraps the backing keys of KMS keys and
//! seals other secrets: access-key secrets, session tokens, parameters. Nothing
//! is ever encrypted under the root key itself, and a domain key of one purpose
//! cannot open what another sealed.
//!
//! A sealed value is bound to where it belongs by associated data, so that rows
//! of the store cannot be swapped unnoticed by whoever can write to the disk but
//! has no key. An older row in its own place is told from the newest only where
//! the caller binds a count of changes; KMS binds the version of its layout.
//!
//! | bytes of a sealed value | what |
//! |---|---|
//! | 1 | `01`: the version of this format |
//! | 16 | the nonce that derives the key of this value |
//! | 12 | the initialisation vector |
//! | plaintext | AES-256-GCM ciphertext |
//! | 16 | the tag |
//!
//! Absent by design: replacing the root key. It is wrapped anew by its slots as
//! often as wished (see [`crate::slot`]); to replace it means sealing every row
//! again, which is the store's task.

use ground::{AccountId, Region, Secret};

use crate::canonical::parts;
use crate::kdf::DerivationKey;
use crate::key::{BackingKey, KeySpec};
use crate::locked::LockedKey;
use crate::message::{self, SALT_BYTES, Salt};
use crate::slot::PeerSlots;
use crate::{Error, Random};

/// Bytes in a root key.
pub const ROOT_KEY_BYTES: usize = crate::locked::KEY_BYTES;

/// Bytes that a sealed value is longer than its plaintext.
pub const SEAL_OVERHEAD_BYTES: usize = 1 + SALT_BYTES + crate::aead::TAG_BYTES;

const FORMAT: u8 = 1;
const DOMAIN_LABEL: &str = "palisade domain key v1";
const CHECK_LABEL: &str = "palisade root key check v1";
const PEERS_LABEL: &str = "palisade peer slots v1";
const JOURNAL_LABEL: &str = "palisade journal seal v1";
const SEAL_LABEL: &str = "palisade sealed message v1";
const WRAP_KIND: &[u8] = b"backing key";
const VALUE_KIND: &[u8] = b"value";

/// The key above all others. It is wiped when dropped, locked into memory
/// where the system permits, and never leaves this crate in clear.
pub struct RootKey {
    key: LockedKey,
    derivation: DerivationKey,
}

impl RootKey {
    /// A fresh root key.
    pub fn generate(random: &Random) -> RootKey {
        RootKey::fill(|bytes| random.fill(bytes))
    }

    pub(crate) fn from_bytes(bytes: &[u8; ROOT_KEY_BYTES]) -> RootKey {
        RootKey::fill(|key| key.copy_from_slice(bytes))
    }

    fn fill(fill: impl FnOnce(&mut [u8; ROOT_KEY_BYTES])) -> RootKey {
        let key = LockedKey::new(fill);
        let derivation = DerivationKey::new(key.bytes());
        RootKey { key, derivation }
    }

    pub(crate) fn bytes(&self) -> &[u8; ROOT_KEY_BYTES] {
        self.key.bytes()
    }

    /// Whether the system agreed to keep the key out of swap.
    pub fn is_locked(&self) -> bool {
        self.key.is_locked()
    }

    /// A value that tells this root key from any other and tells nothing else
    /// about it.
    pub fn check_value(&self, store_id: &str) -> [u8; 32] {
        *self.derivation.derive(CHECK_LABEL, store_id.as_bytes()).expose()
    }

    /// The key that signs the journal's seals and heads, so that whoever can
    /// write its files still cannot forge them.
    pub fn journal_seal_key(&self) -> Secret<[u8; 32]> {
        self.derivation.derive(JOURNAL_LABEL, &[])
    }

    /// The key under which a running member of a cluster seals the slot keys of
    /// others, so that it can give them back later (see [`crate::slot`]).
    pub fn peer_slots(&self, store_id: &str) -> PeerSlots {
        let key = self.derivation.derive(PEERS_LABEL, store_id.as_bytes());
        PeerSlots(DerivationKey::new(key.expose()))
    }

    /// The domain key for one purpose in one account and region.
    ///
    /// `purpose` names the service and the kind of secret, such as
    /// `kms/material` or `sts/session-token`; two purposes never share a key.
    /// The same arguments always give the same key, so it may be cached and
    /// need not be stored.
    pub fn domain(&self, account: AccountId, region: &Region, purpose: &str) -> DomainKey {
        let account = account.to_string();
        let context = parts(&[account.as_bytes(), region.as_str().as_bytes(), purpose.as_bytes()]);
        let key = self.derivation.derive(DOMAIN_LABEL, &context);
        DomainKey(DerivationKey::new(key.expose()))
    }
}

/// Where wrapped key material belongs.
#[derive(Clone, Copy, Debug)]
pub struct MaterialRecord<'a> {
    /// The id of the KMS key.
    pub key_id: &'a str,
    /// The id of this material among the materials of the key.
    pub material_id: &'a str,
    /// The version of the stored record, so that an older row does not pass
    /// for a newer one.
    pub version: u64,
}

/// The key of one account, region and purpose.
pub struct DomainKey(DerivationKey);

impl DomainKey {
    /// Seals a value. `bound_to` says where it belongs, part by part; the same
    /// parts must be given to open it.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] for a value beyond AES-GCM's limit of 64 GiB.
    pub fn seal(&self, bound_to: &[&[u8]], plaintext: &[u8], random: &Random) -> Result<Vec<u8>, Error> {
        self.seal_kind(VALUE_KIND, bound_to, plaintext, random)
    }

    /// Opens what [`DomainKey::seal`] made.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] if the value was changed, sealed elsewhere, or
    /// bound to something else.
    pub fn open(&self, bound_to: &[&[u8]], sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        self.open_kind(VALUE_KIND, bound_to, sealed)
    }

    /// Wraps the material of a KMS key for its row in the store.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the provider cannot serialise the key.
    pub fn wrap(
        &self,
        record: &MaterialRecord<'_>,
        key: &BackingKey,
        random: &Random,
    ) -> Result<Vec<u8>, Error> {
        let bytes = key.to_bytes()?;
        self.seal_kind(WRAP_KIND, &[&record.bound_to(key.spec())], bytes.expose(), random)
    }

    /// Unwraps what [`DomainKey::wrap`] made of the same record and spec.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] if the row was changed or belongs to another
    /// key, material, version, spec, account, region or purpose.
    pub fn unwrap(
        &self,
        record: &MaterialRecord<'_>,
        spec: KeySpec,
        wrapped: &[u8],
    ) -> Result<BackingKey, Error> {
        let bytes = self.open_kind(WRAP_KIND, &[&record.bound_to(spec)], wrapped)?;
        BackingKey::from_bytes(spec, bytes.expose())
    }

    fn seal_kind(
        &self,
        kind: &[u8],
        bound_to: &[&[u8]],
        plaintext: &[u8],
        random: &Random,
    ) -> Result<Vec<u8>, Error> {
        let salt = Salt::draw(random);
        let mut out = Vec::with_capacity(plaintext.len() + SEAL_OVERHEAD_BYTES);
        out.push(FORMAT);
        out.extend_from_slice(&salt.0);
        let aad = parts(&[&out, kind, &parts(bound_to)]);
        message::seal(&self.0, SEAL_LABEL, &salt, &aad, plaintext, &mut out)?;
        Ok(out)
    }

    fn open_kind(&self, kind: &[u8], bound_to: &[&[u8]], sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let (header, ciphertext) = sealed
            .split_at_checked(1 + SALT_BYTES)
            .ok_or(Error::BadCiphertext)?;
        let salt = match header.split_first_chunk::<1>() {
            Some(([FORMAT], salt)) => Salt(salt.try_into().map_err(|_| Error::BadCiphertext)?),
            _ => return Err(Error::BadCiphertext),
        };
        let aad = parts(&[header, kind, &parts(bound_to)]);
        message::open(&self.0, SEAL_LABEL, &salt, &aad, ciphertext)
    }
}

impl MaterialRecord<'_> {
    fn bound_to(&self, spec: KeySpec) -> Vec<u8> {
        parts(&[
            spec.as_str().as_bytes(),
            self.key_id.as_bytes(),
            self.material_id.as_bytes(),
            &self.version.to_be_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn domain(account: &str, region: &str, purpose: &str) -> DomainKey {
        let root = RootKey::from_bytes(&[3; ROOT_KEY_BYTES]);
        root.domain(
            AccountId::parse(account).unwrap(),
            &Region::parse(region).unwrap(),
            purpose,
        )
    }

    fn home() -> DomainKey {
        domain("123456789012", "eu-west-1", "kms/material")
    }

    fn opened(result: Result<Secret<Vec<u8>>, Error>) -> Result<Vec<u8>, Error> {
        result.map(|secret| secret.expose().clone())
    }

    proptest! {
        #[test]
        fn a_sealed_value_opens_where_it_belongs(
            plaintext in proptest::collection::vec(any::<u8>(), 0..100),
            bound in proptest::collection::vec(any::<u8>(), 0..8),
            other in proptest::collection::vec(any::<u8>(), 0..8),
            seed in any::<u64>(),
        ) {
            let random = Random::seeded(seed);
            let sealed = home().seal(&[b"row", &bound], &plaintext, &random).unwrap();
            prop_assert_eq!(sealed.len(), plaintext.len() + SEAL_OVERHEAD_BYTES);
            prop_assert_eq!(opened(home().open(&[b"row", &bound], &sealed)), Ok(plaintext.clone()));
            let moved = opened(home().open(&[b"row", &other], &sealed));
            prop_assert_eq!(moved.is_ok(), bound == other);
            prop_assert_ne!(&sealed, &home().seal(&[b"row", &bound], &plaintext, &random).unwrap());
        }

        #[test]
        fn open_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(home().open(&[], &bytes).is_err());
        }
    }

    #[test]
    fn every_bit_of_a_sealed_value_counts() {
        let sealed = home().seal(&[b"row"], b"secret", &Random::seeded(1)).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(home().open(&[b"row"], &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn domains_do_not_open_each_other() {
        let sealed = home().seal(&[b"row"], b"secret", &Random::seeded(1)).unwrap();
        for other in [
            domain("123456789013", "eu-west-1", "kms/material"),
            domain("123456789012", "eu-west-2", "kms/material"),
            domain("123456789012", "eu-west-1", "kms/materia"),
        ] {
            assert_eq!(opened(other.open(&[b"row"], &sealed)), Err(Error::BadCiphertext));
        }
        assert!(home().open(&[b"row"], &sealed).is_ok());
    }

    #[test]
    fn swapped_rows_do_not_unwrap() {
        let random = Random::seeded(1);
        let key = BackingKey::generate(KeySpec::SymmetricDefault, &random).unwrap();
        let record = MaterialRecord {
            key_id: "key-1",
            material_id: "material-1",
            version: 3,
        };
        let wrapped = home().wrap(&record, &key, &random).unwrap();
        let unwrapped = home()
            .unwrap(&record, KeySpec::SymmetricDefault, &wrapped)
            .unwrap();
        assert_eq!(
            unwrapped.to_bytes().unwrap().expose(),
            key.to_bytes().unwrap().expose()
        );
        for other in [
            MaterialRecord {
                key_id: "key-2",
                ..record
            },
            MaterialRecord {
                material_id: "material-2",
                ..record
            },
            MaterialRecord { version: 2, ..record },
            MaterialRecord {
                key_id: "key-1m",
                material_id: "aterial-1",
                ..record
            },
        ] {
            let swapped = home().unwrap(&other, KeySpec::SymmetricDefault, &wrapped);
            assert_eq!(swapped.err(), Some(Error::BadCiphertext));
        }
        let other_spec = home().unwrap(&record, KeySpec::Hmac256, &wrapped);
        assert_eq!(other_spec.err(), Some(Error::BadCiphertext));
        let as_value = home().open(&[&record.bound_to(KeySpec::SymmetricDefault)], &wrapped);
        assert!(as_value.is_err());
    }

    #[test]
    fn every_spec_survives_wrapping() {
        let random = Random::seeded(1);
        let record = MaterialRecord {
            key_id: "key-1",
            material_id: "material-1",
            version: 1,
        };
        for spec in KeySpec::ALL {
            if matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096) {
                continue; // The path is that of RSA-2048; making one takes seconds.
            }
            let key = BackingKey::generate(*spec, &random).unwrap();
            let wrapped = home().wrap(&record, &key, &random).unwrap();
            let unwrapped = home().unwrap(&record, *spec, &wrapped).unwrap();
            assert_eq!(unwrapped.public_key_der(), key.public_key_der());
            assert_eq!(
                unwrapped.to_bytes().unwrap().expose(),
                key.to_bytes().unwrap().expose()
            );
        }
    }

    #[test]
    fn the_check_value_tells_keys_and_stores_apart() {
        let key = RootKey::from_bytes(&[3; 32]);
        assert_eq!(
            key.check_value("a"),
            RootKey::from_bytes(&[3; 32]).check_value("a")
        );
        assert_ne!(key.check_value("a"), key.check_value("b"));
        assert_ne!(
            key.check_value("a"),
            RootKey::from_bytes(&[4; 32]).check_value("a")
        );
    }
}
