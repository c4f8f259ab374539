//! The ring: the numbered root keys of a store, of which one is current.
//!
//! New values are sealed under the current root; older ones open by the number
//! they carry. The ring itself is sealed under the key that slots wrap, so that
//! a new root needs no slot's secret. A store that never had a new root has no
//! ring laid down: its one root, number 1, is that same key.
//!
//! | bytes of a ring, before it is sealed | what |
//! |---|---|
//! | 1 | `01`: the version of this form |
//! | 4 | the number of the current root, big-endian |
//! | 1 | how many roots follow, 1 to [`ROOTS_MAX`] |
//! | 4 + 32 + 8 + 8 each | number (rising), key, when it was made, and since when it is not current (0: never); milliseconds since 1970 |
//!
//! Invariants: numbers are never used twice, since the highest is never removed;
//! at most the highest is *pending*, made and not yet current; every change
//! gives the ring its next generation, which is bound to the sealed form.
//!
//! Absent by design: going back to an older root, and telling an older ring in
//! the store from the newest, beyond what the process has already seen.

use std::sync::Arc;

use ground::{Secret, Timestamp};

use super::{RootKey, domain_context};
use crate::canonical::parts;
use crate::kdf::DerivationKey;
use crate::locked::{KEY_BYTES, LockedKey};
use crate::message::{self, SALT_BYTES, Salt};
use crate::{Error, Random};

/// Most roots in a ring. Each stands for a rotation whose old root was not yet
/// removed; our own choice.
pub const ROOTS_MAX: usize = 16;

/// The number of the root that a store begins with.
pub const FIRST_ROOT: u32 = 1;

/// Longest sealed ring that is read, in bytes.
pub const SEALED_RING_BYTES_MAX: usize =
    1 + SALT_BYTES + HEAD_BYTES + ROOTS_MAX * ROOT_BYTES + crate::aead::TAG_BYTES;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 4 + 1;
const ROOT_BYTES: usize = 4 + KEY_BYTES + 8 + 8;
const RING_LABEL: &str = "palisade root ring v1";
const RING_SEAL_LABEL: &str = "palisade root ring seal v1";

/// Why a ring cannot be changed as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The root is the one that values are sealed under, or is about to be.
    #[error("root {0} is in use")]
    InUse(u32),
    /// No root is waiting to become current.
    #[error("no root is waiting to become current")]
    NonePending,
    /// There is no such root.
    #[error("there is no root {0}")]
    NoSuchRoot(u32),
    /// A root is waiting already.
    #[error("root {0} is waiting to become current")]
    Pending(u32),
    /// It holds [`ROOTS_MAX`] roots.
    #[error("the ring holds {ROOTS_MAX} roots; remove old ones first")]
    TooManyRoots,
}

/// The roots of a store.
#[derive(Clone)]
pub struct Ring {
    generation: u64,
    current: u32,
    /// By rising number.
    roots: Vec<Root>,
}

#[derive(Clone)]
struct Root {
    info: RootInfo,
    key: Arc<RootBytes>,
}

struct RootBytes {
    key: LockedKey,
    derivation: DerivationKey,
}

/// What may be told of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootInfo {
    /// Its number.
    pub number: u32,
    /// When it was made; 0 of the root that a store began with.
    pub made: Timestamp,
    /// Since when it is no longer current; `None` if it is, or never was.
    pub superseded: Option<Timestamp>,
}

impl RootBytes {
    fn fill(fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> Arc<RootBytes> {
        let key = LockedKey::new(fill);
        let derivation = DerivationKey::new(key.bytes());
        Arc::new(RootBytes { key, derivation })
    }
}

impl Ring {
    /// The ring of a store that never had another root than this key.
    pub(super) fn of_one(key: &[u8; KEY_BYTES]) -> Ring {
        let info = RootInfo {
            number: FIRST_ROOT,
            made: Timestamp(0),
            superseded: None,
        };
        Ring {
            generation: 0,
            current: FIRST_ROOT,
            roots: vec![Root {
                info,
                key: RootBytes::fill(|bytes| bytes.copy_from_slice(key)),
            }],
        }
    }

    /// How often it was changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of the root that values are sealed under.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// The root that is to become current once every node knows it.
    pub fn pending(&self) -> Option<u32> {
        self.roots
            .last()
            .map(|root| root.info.number)
            .filter(|number| *number > self.current)
    }

    /// What may be told of each root, by rising number.
    pub fn roots(&self) -> impl Iterator<Item = RootInfo> + '_ {
        self.roots.iter().map(|root| root.info)
    }

    /// The same with a fresh root, which is not current yet.
    ///
    /// # Errors
    ///
    /// [`RingError::Pending`] if there is one already;
    /// [`RingError::TooManyRoots`].
    pub fn with_new_root(&self, random: &Random, now: Timestamp) -> Result<Ring, RingError> {
        if let Some(number) = self.pending() {
            return Err(RingError::Pending(number));
        }
        if self.roots.len() >= ROOTS_MAX {
            return Err(RingError::TooManyRoots);
        }
        let mut next = self.next();
        next.roots.push(Root {
            info: RootInfo {
                number: self.current.checked_add(1).ok_or(RingError::TooManyRoots)?,
                made: now,
                superseded: None,
            },
            key: RootBytes::fill(|bytes| random.fill(bytes)),
        });
        Ok(next)
    }

    /// The same with its pending root as the current one.
    ///
    /// # Errors
    ///
    /// [`RingError::NonePending`].
    pub fn moved_on(&self, now: Timestamp) -> Result<Ring, RingError> {
        let number = self.pending().ok_or(RingError::NonePending)?;
        let mut next = self.next();
        for root in &mut next.roots {
            if root.info.number == self.current {
                root.info.superseded = Some(now);
            }
        }
        next.current = number;
        Ok(next)
    }

    /// The same without an old root: what is sealed under it opens no more.
    ///
    /// # Errors
    ///
    /// [`RingError::NoSuchRoot`]; [`RingError::InUse`] of the current and a pending one.
    pub fn without(&self, number: u32) -> Result<Ring, RingError> {
        if number >= self.current && self.root(number).is_some() {
            return Err(RingError::InUse(number));
        }
        let mut next = self.next();
        next.roots.retain(|root| root.info.number != number);
        if next.roots.len() == self.roots.len() {
            return Err(RingError::NoSuchRoot(number));
        }
        Ok(next)
    }

    fn next(&self) -> Ring {
        Ring {
            generation: self.generation + 1,
            ..self.clone()
        }
    }

    fn root(&self, number: u32) -> Option<&Root> {
        self.roots.iter().find(|root| root.info.number == number)
    }

    /// The domain key below one root; `None` if it is not in the ring.
    pub(super) fn domain_key(&self, number: u32, context: &[u8]) -> Option<DerivationKey> {
        let root = self.root(number)?;
        Some(domain_context(&root.key.derivation, context))
    }

    fn to_bytes(&self) -> Secret<Vec<u8>> {
        // Never grown: a vector that moves leaves copies behind.
        let mut out = Secret::new(Vec::with_capacity(HEAD_BYTES + self.roots.len() * ROOT_BYTES));
        let bytes = out.expose_mut();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.current.to_be_bytes());
        bytes.push(u8::try_from(self.roots.len()).expect("a ring holds at most ROOTS_MAX roots"));
        for root in &self.roots {
            bytes.extend_from_slice(&root.info.number.to_be_bytes());
            bytes.extend_from_slice(root.key.key.bytes());
            bytes.extend_from_slice(&root.info.made.0.to_be_bytes());
            let superseded = root.info.superseded.unwrap_or_default();
            bytes.extend_from_slice(&superseded.0.to_be_bytes());
        }
        out
    }

    fn read(generation: u64, bytes: &[u8]) -> Option<Ring> {
        let (&[version, c0, c1, c2, c3, count], mut rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        if version != VERSION || !(1..=ROOTS_MAX).contains(&usize::from(count)) {
            return None;
        }
        let current = u32::from_be_bytes([c0, c1, c2, c3]);
        let mut roots: Vec<Root> = Vec::with_capacity(count.into());
        for _ in 0..count {
            let number;
            let key;
            let made;
            let superseded;
            (number, rest) = rest.split_first_chunk::<4>()?;
            (key, rest) = rest.split_first_chunk::<KEY_BYTES>()?;
            (made, rest) = rest.split_first_chunk::<8>()?;
            (superseded, rest) = rest.split_first_chunk::<8>()?;
            let superseded = Timestamp(i64::from_be_bytes(*superseded));
            let info = RootInfo {
                number: u32::from_be_bytes(*number),
                made: Timestamp(i64::from_be_bytes(*made)),
                superseded: (superseded.0 != 0).then_some(superseded),
            };
            let rises = roots.last().map_or(0, |root| root.info.number) < info.number;
            if !rises {
                return None;
            }
            roots.push(Root {
                info,
                key: RootBytes::fill(|bytes| bytes.copy_from_slice(key)),
            });
        }
        let ring = Ring {
            generation,
            current,
            roots,
        };
        (rest.is_empty() && ring.root(current).is_some()).then_some(ring)
    }
}

impl RootKey {
    /// Seals a ring for its row in the store.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the provider fails.
    pub fn seal_ring(&self, ring: &Ring, random: &Random) -> Result<Vec<u8>, Error> {
        let salt = Salt::draw(random);
        let mut out = vec![VERSION];
        out.extend_from_slice(&salt.0);
        let bound_to = bound_to(&out, ring.generation);
        let key = self.ring_key();
        message::seal(
            &key,
            RING_SEAL_LABEL,
            &salt,
            &bound_to,
            ring.to_bytes().expose(),
            &mut out,
        )?;
        Ok(out)
    }

    /// Opens what [`RootKey::seal_ring`] made of this generation of the ring.
    ///
    /// # Errors
    ///
    /// [`Error::BadCiphertext`] if it was changed, or is of another store or generation.
    pub fn open_ring(&self, generation: u64, sealed: &[u8]) -> Result<Ring, Error> {
        let (header, ciphertext) = sealed
            .split_at_checked(1 + SALT_BYTES)
            .filter(|_| sealed.len() <= SEALED_RING_BYTES_MAX)
            .ok_or(Error::BadCiphertext)?;
        let salt = match header.split_first() {
            Some((&VERSION, salt)) => Salt(salt.try_into().map_err(|_| Error::BadCiphertext)?),
            _ => return Err(Error::BadCiphertext),
        };
        let bound_to = bound_to(header, generation);
        let opened = message::open(&self.ring_key(), RING_SEAL_LABEL, &salt, &bound_to, ciphertext)?;
        Ring::read(generation, opened.expose()).ok_or(Error::BadCiphertext)
    }

    fn ring_key(&self) -> DerivationKey {
        DerivationKey::new(self.derivation.derive(RING_LABEL, &[]).expose())
    }
}

fn bound_to(header: &[u8], generation: u64) -> Vec<u8> {
    parts(&[header, b"root ring", &generation.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use ground::{AccountId, Region};
    use proptest::prelude::*;

    use super::*;
    use crate::hierarchy::root_of;

    fn key() -> RootKey {
        RootKey::from_bytes(&[3; KEY_BYTES])
    }

    fn domain(key: &RootKey) -> crate::DomainKey {
        let account = AccountId::parse("123456789012").unwrap();
        key.domain(account, &Region::us_east_1(), "test/value")
    }

    fn adopt(key: &RootKey, ring: &Ring, random: &Random) {
        let sealed = key.seal_ring(ring, random).unwrap();
        assert!(key.adopt(key.open_ring(ring.generation(), &sealed).unwrap()));
    }

    proptest! {
        #[test]
        fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..400), generation in any::<u64>()) {
            prop_assert!(Ring::read(generation, &bytes).is_none() || bytes[0] == VERSION);
            prop_assert!(key().open_ring(generation, &bytes).is_err());
        }

        /// Whatever is done with the ring, a value opens for as long as its root
        /// is there, and is sealed under the current one.
        #[test]
        fn values_open_while_their_root_is_there(steps in proptest::collection::vec(0u8..4, 1..40), seed in any::<u64>()) {
            let (key, random) = (key(), Random::seeded(seed));
            let mut values: Vec<(u32, Vec<u8>)> = Vec::new();
            for (at, step) in steps.into_iter().enumerate() {
                let (ring, now) = (key.ring(), Timestamp(1 + i64::try_from(at).unwrap()));
                let changed = match step {
                    0 => ring.with_new_root(&random, now),
                    1 => ring.moved_on(now),
                    2 => ring.without(ring.roots().next().unwrap().number),
                    _ => {
                        let sealed = domain(&key).seal(&[b"row"], b"secret", &random).unwrap();
                        prop_assert_eq!(root_of(&sealed), Some(ring.current()));
                        values.push((ring.current(), sealed));
                        continue;
                    }
                };
                if let Ok(next) = changed {
                    adopt(&key, &next, &random);
                }
                let known: Vec<u32> = key.ring().roots().map(|root| root.number).collect();
                for (root, sealed) in &values {
                    prop_assert_eq!(domain(&key).open(&[b"row"], sealed).is_ok(), known.contains(root));
                }
            }
        }
    }

    #[test]
    fn a_ring_comes_back_as_it_was_sealed_and_only_so() {
        let random = Random::seeded(1);
        let first = key().ring();
        let ring = first.with_new_root(&random, Timestamp(5)).unwrap();
        assert_eq!(
            (ring.generation(), ring.current(), ring.pending()),
            (1, 1, Some(2))
        );
        let ring = ring.moved_on(Timestamp(9)).unwrap();
        let sealed = key().seal_ring(&ring, &random).unwrap();
        let back = key().open_ring(2, &sealed).unwrap();
        assert_eq!(back.roots().collect::<Vec<_>>(), ring.roots().collect::<Vec<_>>());
        assert_eq!((back.current(), back.pending(), back.generation()), (2, None, 2));
        assert_eq!(back.to_bytes().expose(), ring.to_bytes().expose());
        assert!(
            key().open_ring(1, &sealed).is_err(),
            "an older generation is told apart"
        );
        let other = RootKey::from_bytes(&[4; KEY_BYTES]);
        assert!(other.open_ring(2, &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key().open_ring(2, &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn changes_that_would_lose_something_are_refused() {
        let random = Random::seeded(1);
        let first = key().ring();
        assert_eq!(first.moved_on(Timestamp(1)).err(), Some(RingError::NonePending));
        assert_eq!(first.without(1).err(), Some(RingError::InUse(1)));
        assert_eq!(first.without(7).err(), Some(RingError::NoSuchRoot(7)));
        let pending = first.with_new_root(&random, Timestamp(1)).unwrap();
        assert_eq!(
            pending.with_new_root(&random, Timestamp(2)).err(),
            Some(RingError::Pending(2))
        );
        assert_eq!(pending.without(2).err(), Some(RingError::InUse(2)));
        let mut ring = pending.moved_on(Timestamp(3)).unwrap();
        assert_eq!(ring.without(2).err(), Some(RingError::InUse(2)));
        assert_eq!(ring.without(1).unwrap().roots().count(), 1);
        while ring.roots().count() < ROOTS_MAX {
            ring = ring.with_new_root(&random, Timestamp(4)).unwrap();
            ring = ring.moved_on(Timestamp(5)).unwrap();
        }
        assert_eq!(
            ring.with_new_root(&random, Timestamp(6)).err(),
            Some(RingError::TooManyRoots)
        );
        let sealed = key().seal_ring(&ring, &random).unwrap();
        assert_eq!(sealed.len(), SEALED_RING_BYTES_MAX);
        assert!(key().open_ring(ring.generation(), &sealed).is_ok());
    }

    #[test]
    fn an_older_ring_is_not_adopted_again() {
        let (key, random) = (key(), Random::seeded(1));
        let older = key.ring().with_new_root(&random, Timestamp(1)).unwrap();
        let newer = older.moved_on(Timestamp(2)).unwrap();
        adopt(&key, &newer, &random);
        assert!(!key.adopt(older));
        assert_eq!(key.ring().current(), 2);
    }

    #[test]
    fn values_of_a_store_without_a_ring_are_as_they_always_were() {
        // Sealed by the release before the ring: root [3; 32], Random::seeded(7).
        const OLD: &str = "AbjFx1RDAzl3ET3rHQIH2Vm0ig9zUkR67nxwUyLz/Um+g4ndatIPIEOH98JnKIJEDE+4";
        use base64::Engine as _;
        let old = base64::engine::general_purpose::STANDARD.decode(OLD).unwrap();
        let (key, random) = (key(), Random::seeded(7));
        assert_eq!(domain(&key).seal(&[b"row"], b"secret", &random).unwrap(), old);
        assert_eq!(root_of(&old), Some(FIRST_ROOT));
        let ring = key.ring().with_new_root(&random, Timestamp(1)).unwrap();
        adopt(&key, &ring.moved_on(Timestamp(2)).unwrap(), &random);
        assert_eq!(domain(&key).open(&[b"row"], &old).unwrap().expose(), b"secret");
        let fresh = domain(&key).reseal(&[b"row"], &old, &random).unwrap().unwrap();
        assert_eq!(root_of(&fresh), Some(2));
        assert_eq!(domain(&key).open(&[b"row"], &fresh).unwrap().expose(), b"secret");
        assert_eq!(domain(&key).reseal(&[b"row"], &fresh, &random).unwrap(), None);
        assert!(domain(&key).reseal(&[b"other"], &old, &random).is_err());
        // The number in the value is believed by nobody: it is authenticated.
        for number in [0u32, 1, 3] {
            let mut lying = fresh.clone();
            lying[1..5].copy_from_slice(&number.to_be_bytes());
            assert!(domain(&key).open(&[b"row"], &lying).is_err(), "{number}");
        }
        let mut lying = fresh.clone();
        lying.drain(1..5);
        lying[0] = 1;
        assert!(domain(&key).open(&[b"row"], &lying).is_err());
    }
}
