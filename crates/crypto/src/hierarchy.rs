//! The key hierarchy: root keys, domain keys, and what domain keys seal.
//!
//! One 256-bit root key per store, which slots wrap, holds a [`Ring`] of numbered
//! roots; at first it is itself the only one. A root derives a [`DomainKey`] for
//! every account, region and purpose. A domain key wraps the backing keys of KMS keys and
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
//! | 1 | `01`: sealed under root 1; `02`: under the root that follows |
//! | 4, of `02` alone | the number of the root, 2 or more, big-endian |
//! | 16 | the nonce that derives the key of this value |
//! | 12 | the initialisation vector |
//! | plaintext | AES-256-GCM ciphertext |
//! | 16 | the tag |
//!
//! What stands before the initialisation vector is associated data, the number of
//! the root among it. A value has one form: root 1 is always spelled `01`, so that
//! a store which never had another root is as every release wrote it.
//!
//! Absent by design: replacing the key that slots wrap, which also seals the ring
//! and gives the journal its seal key. Slots wrap it anew as often as wished (see
//! [`crate::slot`]); sealing rows again under a new root is the door's task.

pub mod ring;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ground::{AccountId, Region, Secret};

use crate::canonical::parts;
use crate::kdf::DerivationKey;
use crate::key::{BackingKey, KeySpec};
use crate::locked::LockedKey;
use crate::message::{self, SALT_BYTES, Salt};
use crate::{Error, Random};

pub use ring::{FIRST_ROOT, ROOTS_MAX, Ring, RingError, RootInfo, SEALED_RING_BYTES_MAX};

/// Bytes in a root key.
pub const ROOT_KEY_BYTES: usize = crate::locked::KEY_BYTES;

/// Bytes that a sealed value is longer than its plaintext, at least: four more
/// under any root but the first.
pub const SEAL_OVERHEAD_BYTES: usize = 1 + SALT_BYTES + crate::aead::TAG_BYTES;

const FORMAT_FIRST_ROOT: u8 = 1;
const FORMAT_NUMBERED: u8 = 2;
const DOMAIN_LABEL: &str = "palisade domain key v1";
const CHECK_LABEL: &str = "palisade root key check v1";
const PEERS_LABEL: &str = "palisade peer slots v1";
const JOURNAL_LABEL: &str = "palisade journal seal v1";
const SEAL_LABEL: &str = "palisade sealed message v1";
const WRAP_KIND: &[u8] = b"backing key";
const VALUE_KIND: &[u8] = b"value";

/// The key above all others, which slots wrap, and the ring of roots below it.
/// They are wiped when dropped, locked into memory where the system permits, and
/// never leave this crate in clear.
pub struct RootKey {
    key: LockedKey,
    derivation: DerivationKey,
    ring: RwLock<Arc<Ring>>,
    generation: AtomicU64,
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
        let ring = RwLock::new(Arc::new(Ring::of_one(key.bytes())));
        RootKey {
            key,
            derivation,
            ring,
            generation: AtomicU64::new(0),
        }
    }

    /// The ring as it was last adopted; of one root before that.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often the ring was changed: for who keeps what was opened, and must open
    /// it anew once a root may be gone.
    pub fn ring_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes a ring read from the store, from now on; `false` of one that is not
    /// newer than what is known, which is left.
    pub fn adopt(&self, ring: Ring) -> bool {
        let mut known = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let newer = ring.generation() > known.generation();
        if newer {
            self.generation.store(ring.generation(), Ordering::Release);
            *known = Arc::new(ring);
        }
        newer
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
    /// others, so that it can give them back later (see [`crate::slot`]). It does
    /// not hang on the ring, as slots do not.
    pub fn peer_slots(&self, store_id: &str) -> DomainKey {
        let key = self.derivation.derive(PEERS_LABEL, store_id.as_bytes());
        DomainKey::below(Arc::new(Ring::of_one(key.expose())), Vec::new())
    }

    /// The domain key for one purpose in one account and region.
    ///
    /// `purpose` names the service and the kind of secret, such as
    /// `kms/material` or `sts/session-token`; two purposes never share a key.
    /// It seals under the root that is current now, and opens what any root of
    /// the ring has sealed: ask for it when it is needed, and do not keep it.
    pub fn domain(&self, account: AccountId, region: &Region, purpose: &str) -> DomainKey {
        let account = account.to_string();
        let context = parts(&[account.as_bytes(), region.as_str().as_bytes(), purpose.as_bytes()]);
        DomainKey::below(self.ring(), context)
    }
}

/// The domain key of a context below one root.
fn domain_context(root: &DerivationKey, context: &[u8]) -> DerivationKey {
    DerivationKey::new(root.derive(DOMAIN_LABEL, context).expose())
}

/// The number of the root that a value says it is sealed under; `None` of what is
/// no sealed value. Only opening it tells whether that is true.
pub fn root_of(sealed: &[u8]) -> Option<u32> {
    Header::read(sealed).map(|header| header.root)
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

/// The key of one account, region and purpose, as each root of the ring gives it.
pub struct DomainKey {
    ring: Arc<Ring>,
    context: Vec<u8>,
    /// That of the current root.
    current: DerivationKey,
}

/// What stands before the initialisation vector of a sealed value.
struct Header<'a> {
    root: u32,
    salt: Salt,
    bytes: &'a [u8],
    ciphertext: &'a [u8],
}

impl Header<'_> {
    fn read(sealed: &[u8]) -> Option<Header<'_>> {
        let (root, before_salt) = match sealed.split_first()? {
            (&FORMAT_FIRST_ROOT, _) => (FIRST_ROOT, 1),
            (&FORMAT_NUMBERED, rest) => {
                let root = u32::from_be_bytes(*rest.first_chunk()?);
                (root.gt(&FIRST_ROOT).then_some(root)?, 5)
            }
            _ => return None,
        };
        let (bytes, ciphertext) = sealed.split_at_checked(before_salt + SALT_BYTES)?;
        Some(Header {
            root,
            salt: Salt(*bytes.last_chunk()?),
            bytes,
            ciphertext,
        })
    }
}

impl DomainKey {
    fn below(ring: Arc<Ring>, context: Vec<u8>) -> DomainKey {
        let current = ring
            .domain_key(ring.current(), &context)
            .expect("a ring holds its current root");
        DomainKey {
            ring,
            context,
            current,
        }
    }

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
    /// [`Error::BadCiphertext`] if the value was changed, sealed elsewhere, bound
    /// to something else, or sealed under a root that is not in the ring.
    pub fn open(&self, bound_to: &[&[u8]], sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        self.open_kind(VALUE_KIND, bound_to, sealed)
    }

    /// What [`DomainKey::seal`] made under another root, sealed under the current
    /// one; `None` if it is already.
    ///
    /// # Errors
    ///
    /// As [`DomainKey::open`] and [`DomainKey::seal`].
    pub fn reseal(
        &self,
        bound_to: &[&[u8]],
        sealed: &[u8],
        random: &Random,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.reseal_kind(VALUE_KIND, bound_to, sealed, random)
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

    /// What [`DomainKey::wrap`] made under another root, wrapped under the current
    /// one; `None` if it is already.
    ///
    /// # Errors
    ///
    /// As [`DomainKey::unwrap`] and [`DomainKey::wrap`].
    pub fn rewrap(
        &self,
        record: &MaterialRecord<'_>,
        spec: KeySpec,
        wrapped: &[u8],
        random: &Random,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.reseal_kind(WRAP_KIND, &[&record.bound_to(spec)], wrapped, random)
    }

    fn reseal_kind(
        &self,
        kind: &[u8],
        bound_to: &[&[u8]],
        sealed: &[u8],
        random: &Random,
    ) -> Result<Option<Vec<u8>>, Error> {
        if root_of(sealed) == Some(self.ring.current()) {
            return Ok(None);
        }
        let plaintext = self.open_kind(kind, bound_to, sealed)?;
        self.seal_kind(kind, bound_to, plaintext.expose(), random)
            .map(Some)
    }

    fn seal_kind(
        &self,
        kind: &[u8],
        bound_to: &[&[u8]],
        plaintext: &[u8],
        random: &Random,
    ) -> Result<Vec<u8>, Error> {
        let salt = Salt::draw(random);
        let mut out = Vec::with_capacity(plaintext.len() + SEAL_OVERHEAD_BYTES + 4);
        match self.ring.current() {
            FIRST_ROOT => out.push(FORMAT_FIRST_ROOT),
            root => {
                out.push(FORMAT_NUMBERED);
                out.extend_from_slice(&root.to_be_bytes());
            }
        }
        out.extend_from_slice(&salt.0);
        let aad = parts(&[&out, kind, &parts(bound_to)]);
        message::seal(&self.current, SEAL_LABEL, &salt, &aad, plaintext, &mut out)?;
        Ok(out)
    }

    fn open_kind(&self, kind: &[u8], bound_to: &[&[u8]], sealed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let header = Header::read(sealed).ok_or(Error::BadCiphertext)?;
        let aad = parts(&[header.bytes, kind, &parts(bound_to)]);
        let open =
            |key: &DerivationKey| message::open(key, SEAL_LABEL, &header.salt, &aad, header.ciphertext);
        if header.root == self.ring.current() {
            return open(&self.current);
        }
        let older = self.ring.domain_key(header.root, &self.context);
        open(&older.ok_or(Error::BadCiphertext)?)
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
