//! Key slots: independent ways to open a store's root key.
//!
//! Every slot wraps the same root key under a key of its own: that of a
//! passphrase, of a key file, of a systemd credential, of recovery shares, or
//! one that another KMS, a token or a TPM keeps ([`Keeper`]).
//! Slots come and go without touching the store's data.
//!
//! Invariants: a document always has a slot, except while it is being made; a
//! recovery slot is entered only after its shares opened it once, and the last
//! one stays.
//!
//! Absent by design: reading files and credentials, and asking keepers (the
//! caller brings the bytes).

mod document;
mod error;
mod initialise;
mod keeper;
pub(crate) mod passphrase;
mod peer;
mod shamir;
mod share;

use ground::Secret;

use crate::Random;
use crate::hash::constant_time_eq;
use crate::hierarchy::{ROOT_KEY_BYTES, RootKey};
use crate::kdf::DerivationKey;
use crate::message::{self, SALT_BYTES, Salt};
use document::{Document, Function, Hex, Method, Slot, check_label, out_of_bounds};

pub use document::{
    DOCUMENT_BYTES_MAX, LABEL_BYTES_MAX, SHARES_MAX, SLOTS_MAX, STORE_ID_BYTES_MAX, SharePolicy, SlotId,
};
pub use error::SlotError;
pub use initialise::{Initialisation, TestedInitialisation, Unconfirmed, UntestedInitialisation};
pub use keeper::{
    KEEPER_TEXT_BYTES_MAX, KEPT_BYTES_MAX, Keeper, Kept, KmsKeeper, PeerKeeper, PeerTpm, Pkcs11Keeper,
    Tpm2Keeper,
};
pub use passphrase::{
    Argon2Cost, LANES_MAX, MEMORY_KIB_MAX, MEMORY_KIB_MIN, PASSES_MAX, PASSES_MIN, PASSPHRASE_BYTES_MAX,
    PASSPHRASE_BYTES_MIN,
};
pub use peer::PeerSlots;
pub use share::{RecoveryShare, SHARE_TEXT_BYTES_MAX, SetId};

/// Bytes in a key file or credential: as many random bytes as a root key has.
pub const KEY_FILE_BYTES: usize = 32;

const WRAP_LABEL: &str = "palisade slot key v1";
const CHECK_LABEL: &str = "palisade slot key check v1";

/// The slots of one store.
#[derive(Clone)]
pub struct KeySlots(Document);

/// The secret of a slot to be made.
pub enum NewSlot<'a> {
    /// A passphrase, and what a guess at it shall cost.
    Passphrase {
        /// The bytes as typed, without a line end.
        passphrase: &'a [u8],
        /// The cost of a guess.
        cost: Argon2Cost,
    },
    /// The content of a key file: [`KEY_FILE_BYTES`] random bytes.
    KeyFile(&'a [u8]),
    /// The content of a systemd credential: [`KEY_FILE_BYTES`] random bytes.
    SystemdCredential(&'a [u8]),
    /// A key that is kept elsewhere.
    Kept {
        /// Who keeps it, and what they made of it.
        keeper: &'a Keeper,
        /// The key itself: [`KEY_FILE_BYTES`] random bytes.
        key: &'a [u8],
    },
}

/// A secret that may open a slot.
pub enum SlotSecret<'a> {
    /// The bytes as typed, without a line end.
    Passphrase(&'a [u8]),
    /// The content of a key file.
    KeyFile(&'a [u8]),
    /// The content of a systemd credential.
    SystemdCredential(&'a [u8]),
    /// Recovery shares as typed.
    RecoveryShares(&'a [&'a str]),
    /// The key that a keeper gave back.
    Kept {
        /// Who gave it.
        keeper: &'a Keeper,
        /// The key: [`KEY_FILE_BYTES`] bytes.
        key: &'a [u8],
    },
}

/// What may be shown about a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo<'a> {
    /// Its name.
    pub id: SlotId,
    /// What its owner called it.
    pub label: &'a str,
    /// `passphrase`, `key-file`, `systemd-credential`, `recovery-shares`, or
    /// that of its keeper.
    pub kind: &'static str,
    /// The cost of a guess, of a passphrase.
    pub cost: Option<Argon2Cost>,
    /// The set and policy, of recovery shares.
    pub recovery: Option<(SetId, SharePolicy)>,
    /// Who keeps the key, if it is kept elsewhere.
    pub keeper: Option<&'a Keeper>,
}

/// A recovery slot whose shares were issued but not yet typed back. It is lost
/// unless [`KeySlots::confirm_recovery`] takes it.
pub struct PendingRecovery(Box<Slot>);

impl KeySlots {
    fn empty(store_id: &str, root: &RootKey) -> Result<KeySlots, SlotError> {
        Document::new(store_id, root.check_value(store_id)).map(KeySlots)
    }

    fn check_not_empty(&self) -> Result<(), SlotError> {
        if self.0.slots.is_empty() {
            return Err(out_of_bounds("the number of slots", 0, SLOTS_MAX));
        }
        Ok(())
    }

    /// Reads a slot document.
    ///
    /// # Errors
    ///
    /// [`SlotError::Damaged`] if its checksum does not match;
    /// [`SlotError::Syntax`], [`SlotError::UnknownVersion`] or
    /// [`SlotError::OutOfBounds`] if it is not what this program writes.
    pub fn parse(document: &[u8]) -> Result<KeySlots, SlotError> {
        Document::parse(document).map(KeySlots)
    }

    /// The document, to be written where [`KeySlots::parse`] will read it.
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// The store the slots belong to.
    pub fn store_id(&self) -> &str {
        &self.0.store_id
    }

    /// What may be shown about each slot.
    pub fn slots(&self) -> impl Iterator<Item = SlotInfo<'_>> {
        self.0.slots.iter().map(|slot| SlotInfo {
            id: slot.id,
            label: &slot.label,
            kind: slot.method.kind(),
            cost: match slot.method {
                Method::Passphrase {
                    memory_kib,
                    passes,
                    lanes,
                    ..
                } => Argon2Cost::new(memory_kib, passes, lanes).ok(),
                _ => None,
            },
            recovery: match slot.method {
                Method::RecoveryShares {
                    set,
                    threshold,
                    count,
                } => SharePolicy::new(threshold, count)
                    .ok()
                    .map(|policy| (SetId(set.0), policy)),
                _ => None,
            },
            keeper: match &slot.method {
                Method::Kept(keeper) => Some(keeper),
                _ => None,
            },
        })
    }

    /// Opens the root key with a secret that fits any slot of its kind.
    ///
    /// A passphrase is tried on each passphrase slot in turn, which takes
    /// tenths of a second each: call this off the asynchronous threads.
    ///
    /// # Errors
    ///
    /// [`SlotError::NoSlotOfKind`] or [`SlotError::WrongSecret`] if no slot
    /// takes the secret; an error that names the share for recovery shares;
    /// [`SlotError::Tampered`] or [`SlotError::WrongRootKey`] if a slot takes
    /// it but does not hold this store's root key.
    pub fn unlock(&self, secret: &SlotSecret<'_>) -> Result<(RootKey, SlotId), SlotError> {
        let slots = self.0.slots.iter().filter(|slot| secret.fits(&slot.method));
        self.open_any(slots, secret)
    }

    /// Proves that a secret opens this one slot, and changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`KeySlots::unlock`]; [`SlotError::NoSuchSlot`] or
    /// [`SlotError::WrongKind`] if the slot cannot take the secret.
    pub fn verify(&self, id: SlotId, secret: &SlotSecret<'_>) -> Result<(), SlotError> {
        let slot = &self.0.slots[self.position(id)?];
        if !secret.fits(&slot.method) {
            return Err(SlotError::WrongKind {
                slot: id,
                kind: slot.method.kind(),
            });
        }
        self.open_any([slot].into_iter(), secret).map(|_| ())
    }

    /// Adds a slot that opens with the new secret.
    ///
    /// # Errors
    ///
    /// [`SlotError::WrongRootKey`] if `root` is not this store's key;
    /// [`SlotError::OutOfBounds`] or [`SlotError::KeyLength`] if the label, the
    /// secret or the number of slots is not acceptable.
    pub fn add(
        &mut self,
        root: &RootKey,
        label: &str,
        new: &NewSlot<'_>,
        random: &Random,
    ) -> Result<SlotId, SlotError> {
        self.check_room()?;
        let id = self.fresh_id(random);
        let slot = self.make(root, id, label, new, random)?;
        self.0.slots.push(slot);
        Ok(id)
    }

    /// Gives a slot a new secret of the same kind: another passphrase, key file
    /// or credential, or the same at another cost. Its id and label stay.
    ///
    /// Recovery shares are replaced by issuing new ones and removing the slot
    /// of the old.
    ///
    /// # Errors
    ///
    /// Those of [`KeySlots::add`]; [`SlotError::NoSuchSlot`];
    /// [`SlotError::WrongKind`] if the new secret is of another kind.
    pub fn rotate(
        &mut self,
        root: &RootKey,
        id: SlotId,
        new: &NewSlot<'_>,
        random: &Random,
    ) -> Result<(), SlotError> {
        let at = self.position(id)?;
        let old = &self.0.slots[at];
        let slot = self.make(root, id, &old.label, new, random)?;
        if slot.method.kind() != old.method.kind() {
            return Err(SlotError::WrongKind {
                slot: id,
                kind: old.method.kind(),
            });
        }
        self.0.slots[at] = slot;
        Ok(())
    }

    /// Removes a slot. Its secret opens the store no more, except with an older
    /// copy of the document.
    ///
    /// # Errors
    ///
    /// [`SlotError::NoSuchSlot`]; [`SlotError::LastSlot`] for the last one;
    /// [`SlotError::LastRecovery`] for the last with recovery shares, which is
    /// what is left when machines, people and keepers are gone.
    pub fn remove(&mut self, id: SlotId) -> Result<(), SlotError> {
        let at = self.position(id)?;
        if self.0.slots.len() == 1 {
            return Err(SlotError::LastSlot(id));
        }
        let recovers = |slot: &Slot| matches!(slot.method, Method::RecoveryShares { .. });
        if recovers(&self.0.slots[at]) && self.0.slots.iter().filter(|slot| recovers(slot)).count() == 1 {
            return Err(SlotError::LastRecovery(id));
        }
        self.0.slots.remove(at);
        Ok(())
    }

    /// Makes a recovery key and its shares. The slot is not entered until
    /// [`KeySlots::confirm_recovery`] has seen the shares work.
    ///
    /// # Errors
    ///
    /// [`SlotError::WrongRootKey`] and [`SlotError::OutOfBounds`] as
    /// [`KeySlots::add`].
    pub fn issue_recovery(
        &self,
        root: &RootKey,
        label: &str,
        policy: SharePolicy,
        random: &Random,
    ) -> Result<(PendingRecovery, Vec<RecoveryShare>), SlotError> {
        self.check_room()?;
        let set = SetId(random.bytes());
        let mut secret = Secret::new([0; 32]);
        random.fill(secret.expose_mut());
        let method = Method::RecoveryShares {
            set: Hex(set.0),
            threshold: policy.threshold(),
            count: policy.count(),
        };
        let slot = self.wrap(root, self.fresh_id(random), label, method, &secret, random)?;
        let shares = shamir::split(&secret, policy.threshold(), policy.count(), random)
            .into_iter()
            .map(|point| RecoveryShare {
                set,
                threshold: policy.threshold(),
                point,
            })
            .collect();
        Ok((PendingRecovery(Box::new(slot)), shares))
    }

    /// Enters a recovery slot if the shares, as typed back, open it.
    ///
    /// # Errors
    ///
    /// The reason, with the pending slot to try again. It names the share that
    /// is mistyped, foreign or given twice.
    pub fn confirm_recovery(
        &mut self,
        pending: PendingRecovery,
        shares: &[&str],
    ) -> Result<SlotId, (PendingRecovery, SlotError)> {
        match self.try_recovery(&pending, shares) {
            Ok(id) => {
                self.0.slots.push(*pending.0);
                Ok(id)
            }
            Err(reason) => Err((pending, reason)),
        }
    }

    fn try_recovery(&self, pending: &PendingRecovery, shares: &[&str]) -> Result<SlotId, SlotError> {
        self.check_room()?;
        let slot: &Slot = &pending.0;
        if self.position(slot.id).is_ok() {
            return Err(SlotError::SlotExists(slot.id));
        }
        let (_, id) = self.open_any([slot].into_iter(), &SlotSecret::RecoveryShares(shares))?;
        Ok(id)
    }

    fn position(&self, id: SlotId) -> Result<usize, SlotError> {
        self.0
            .slots
            .iter()
            .position(|slot| slot.id == id)
            .ok_or_else(|| SlotError::NoSuchSlot(id.to_string()))
    }

    fn check_room(&self) -> Result<(), SlotError> {
        if self.0.slots.len() >= SLOTS_MAX {
            return Err(out_of_bounds(
                "the number of slots",
                self.0.slots.len() + 1,
                SLOTS_MAX,
            ));
        }
        Ok(())
    }

    fn fresh_id(&self, random: &Random) -> SlotId {
        loop {
            let id = SlotId(Hex(random.bytes()));
            if self.0.slots.iter().all(|slot| slot.id != id) {
                return id;
            }
        }
    }

    fn make(
        &self,
        root: &RootKey,
        id: SlotId,
        label: &str,
        new: &NewSlot<'_>,
        random: &Random,
    ) -> Result<Slot, SlotError> {
        match new {
            NewSlot::Passphrase { passphrase, cost } => {
                passphrase::check(passphrase)?;
                let salt: [u8; passphrase::SALT_BYTES] = random.bytes();
                let method = Method::Passphrase {
                    function: Function::Argon2id,
                    memory_kib: cost.memory_kib(),
                    passes: cost.passes(),
                    lanes: cost.lanes(),
                    salt: Hex(salt),
                };
                let secret = passphrase::key(passphrase, &salt, *cost)?;
                self.wrap(root, id, label, method, &secret, random)
            }
            NewSlot::KeyFile(bytes) => {
                self.wrap(root, id, label, Method::KeyFile {}, &whole_key(bytes)?, random)
            }
            NewSlot::SystemdCredential(bytes) => self.wrap(
                root,
                id,
                label,
                Method::SystemdCredential {},
                &whole_key(bytes)?,
                random,
            ),
            NewSlot::Kept { keeper, key } => {
                keeper.check()?;
                let method = Method::Kept((*keeper).clone());
                self.wrap(root, id, label, method, &whole_key(key)?, random)
            }
        }
    }

    fn wrap(
        &self,
        root: &RootKey,
        id: SlotId,
        label: &str,
        method: Method,
        secret: &Secret<[u8; 32]>,
        random: &Random,
    ) -> Result<Slot, SlotError> {
        check_label(label)?;
        self.check_root(root)?;
        let key = DerivationKey::new(secret.expose());
        let salt = Salt::draw(random);
        let mut slot = Slot {
            id,
            label: label.to_owned(),
            method,
            key_check: Hex([0; 32]),
            wrapped_root_key: Hex([0; SALT_BYTES + ROOT_KEY_BYTES + crate::aead::TAG_BYTES]),
        };
        let bound_to = slot.bound_to(self.store_id());
        slot.key_check = Hex(*key.derive(CHECK_LABEL, &bound_to).expose());
        let mut wrapped = salt.0.to_vec();
        message::seal(&key, WRAP_LABEL, &salt, &bound_to, root.bytes(), &mut wrapped)
            .map_err(|_| SlotError::Provider("AES-256-GCM seal"))?;
        slot.wrapped_root_key.0.copy_from_slice(&wrapped);
        Ok(slot)
    }

    fn check_root(&self, root: &RootKey) -> Result<(), SlotError> {
        if constant_time_eq(&root.check_value(self.store_id()), &self.0.root_key_check.0) {
            Ok(())
        } else {
            Err(SlotError::WrongRootKey)
        }
    }

    fn open_any<'s>(
        &self,
        slots: impl Iterator<Item = &'s Slot> + Clone,
        secret: &SlotSecret<'_>,
    ) -> Result<(RootKey, SlotId), SlotError> {
        if slots.clone().next().is_none() {
            return Err(SlotError::NoSlotOfKind(secret.kind()));
        }
        match secret {
            SlotSecret::Passphrase(passphrase) => {
                // Hashing is slow in proportion to nothing an attacker controls
                // but this length.
                if passphrase.len() > PASSPHRASE_BYTES_MAX {
                    return Err(SlotError::WrongSecret(secret.kind()));
                }
                for slot in slots {
                    if let Method::Passphrase {
                        function: Function::Argon2id,
                        memory_kib,
                        passes,
                        lanes,
                        salt,
                    } = &slot.method
                    {
                        let cost = Argon2Cost::new(*memory_kib, *passes, *lanes)?;
                        let key = passphrase::key(passphrase, &salt.0, cost)?;
                        if let Some(root) = self.try_slot(slot, &key)? {
                            return Ok((root, slot.id));
                        }
                    }
                }
                Err(SlotError::WrongSecret(secret.kind()))
            }
            SlotSecret::KeyFile(bytes)
            | SlotSecret::SystemdCredential(bytes)
            | SlotSecret::Kept { key: bytes, .. } => {
                let key = whole_key(bytes)?;
                for slot in slots {
                    if let Some(root) = self.try_slot(slot, &key)? {
                        return Ok((root, slot.id));
                    }
                }
                Err(SlotError::WrongSecret(secret.kind()))
            }
            SlotSecret::RecoveryShares(texts) => {
                let (slot, key) = combine(slots, texts)?;
                match self.try_slot(slot, &key)? {
                    Some(root) => Ok((root, slot.id)),
                    None => Err(SlotError::WrongSecret(secret.kind())),
                }
            }
        }
    }

    /// The root key in a slot, or `None` if the key is not that of the slot.
    fn try_slot(&self, slot: &Slot, secret: &Secret<[u8; 32]>) -> Result<Option<RootKey>, SlotError> {
        let key = DerivationKey::new(secret.expose());
        let bound_to = slot.bound_to(self.store_id());
        if !constant_time_eq(key.derive(CHECK_LABEL, &bound_to).expose(), &slot.key_check.0) {
            return Ok(None);
        }
        let tampered = || SlotError::Tampered(slot.id);
        let (salt, wrapped) = slot
            .wrapped_root_key
            .0
            .split_first_chunk::<SALT_BYTES>()
            .ok_or_else(tampered)?;
        let opened =
            message::open(&key, WRAP_LABEL, &Salt(*salt), &bound_to, wrapped).map_err(|_| tampered())?;
        let bytes: &[u8; ROOT_KEY_BYTES] = opened.expose().as_slice().try_into().map_err(|_| tampered())?;
        let root = RootKey::from_bytes(bytes);
        self.check_root(&root)?;
        Ok(Some(root))
    }
}

impl SlotSecret<'_> {
    fn kind(&self) -> &'static str {
        match self {
            SlotSecret::Passphrase(_) => "passphrase",
            SlotSecret::KeyFile(_) => "key-file",
            SlotSecret::SystemdCredential(_) => "systemd-credential",
            SlotSecret::RecoveryShares(_) => "recovery-shares",
            SlotSecret::Kept { keeper, .. } => keeper.kind(),
        }
    }

    fn fits(&self, method: &Method) -> bool {
        self.kind() == method.kind()
    }
}

fn whole_key(bytes: &[u8]) -> Result<Secret<[u8; KEY_FILE_BYTES]>, SlotError> {
    bytes
        .try_into()
        .map(Secret::new)
        .map_err(|_| SlotError::KeyLength {
            expected: KEY_FILE_BYTES,
            given: bytes.len(),
        })
}

/// The recovery key of the slot that most of the shares belong to. Shares that
/// do not belong there are named rather than ignored.
fn combine<'s>(
    slots: impl Iterator<Item = &'s Slot> + Clone,
    texts: &[&str],
) -> Result<(&'s Slot, Secret<[u8; 32]>), SlotError> {
    if texts.len() > usize::from(SHARES_MAX) {
        return Err(out_of_bounds(
            "the number of shares",
            texts.len(),
            SHARES_MAX.into(),
        ));
    }
    let mut shares = Vec::with_capacity(texts.len());
    for (position, text) in (1..).zip(texts) {
        shares.push(RecoveryShare::read(text, position)?);
    }
    let belonging = |set: &SetId| shares.iter().filter(|share| share.set == *set).count();
    let slot = slots
        .filter_map(|slot| match slot.method {
            Method::RecoveryShares {
                set,
                threshold,
                count,
            } => Some((slot, SetId(set.0), threshold, count)),
            _ => None,
        })
        .max_by_key(|(_, set, _, _)| belonging(set));
    let Some((slot, set, threshold, count)) = slot else {
        return Err(SlotError::NoSlotOfKind("recovery-shares"));
    };
    let known = (belonging(&set) > 0).then_some(set);
    for (position, share) in (1..).zip(&shares) {
        if share.set != set {
            return Err(SlotError::ForeignShare {
                position,
                found: share.set,
                expected: known,
            });
        }
        if share.threshold != threshold || share.number() > count {
            return Err(SlotError::InconsistentShare { position });
        }
        if shares[..position - 1]
            .iter()
            .any(|earlier| earlier.number() == share.number())
        {
            return Err(SlotError::DuplicateShare {
                position,
                index: share.number(),
                set,
            });
        }
    }
    let points: Vec<&shamir::Point> = shares.iter().map(|share| &share.point).collect();
    let Some((enough, more)) = points.split_at_checked(threshold.into()) else {
        return Err(SlotError::TooFewShares {
            set,
            have: shares.len(),
            need: threshold,
        });
    };
    for (position, point) in (usize::from(threshold) + 1..).zip(more) {
        let expected = shamir::interpolate(enough, point.x);
        if !constant_time_eq(expected.expose(), point.y.expose()) {
            return Err(SlotError::InconsistentShare { position });
        }
    }
    Ok((slot, shamir::interpolate(enough, 0)))
}
