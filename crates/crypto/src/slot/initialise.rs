//! First set-up of a store's root key, in steps that cannot be skipped.
//!
//! begin → add slots → issue recovery shares → type enough of them back →
//! finish. Each step consumes the one before, so that a store whose recovery
//! was never tried does not compile. Development stores leave by
//! [`Initialisation::finish_for_development`] instead.

use super::{KeySlots, NewSlot, PendingRecovery, RecoveryShare, SharePolicy, SlotError, SlotId};
use crate::Random;
use crate::hierarchy::RootKey;

/// A store being set up, without a tested way to recover it.
pub struct Initialisation {
    root: RootKey,
    slots: KeySlots,
}

/// A store being set up, whose recovery shares were issued but not yet typed
/// back.
pub struct UntestedInitialisation {
    root: RootKey,
    slots: KeySlots,
    pending: PendingRecovery,
}

/// A store being set up, whose recovery works.
pub struct TestedInitialisation {
    root: RootKey,
    slots: KeySlots,
}

impl Initialisation {
    /// Makes a root key for a new store.
    ///
    /// # Errors
    ///
    /// [`SlotError::OutOfBounds`] if the store id is empty or too long.
    pub fn begin(store_id: &str, random: &Random) -> Result<Initialisation, SlotError> {
        let root = RootKey::generate(random);
        let slots = KeySlots::empty(store_id, &root)?;
        Ok(Initialisation { root, slots })
    }

    /// Adds a slot; see [`KeySlots::add`].
    ///
    /// # Errors
    ///
    /// Those of [`KeySlots::add`].
    pub fn add(&mut self, label: &str, new: &NewSlot<'_>, random: &Random) -> Result<SlotId, SlotError> {
        self.slots.add(&self.root, label, new, random)
    }

    /// Issues recovery shares. They must be shown to their keepers and then
    /// typed back.
    ///
    /// # Errors
    ///
    /// Those of [`KeySlots::issue_recovery`].
    pub fn issue_recovery(
        self,
        label: &str,
        policy: SharePolicy,
        random: &Random,
    ) -> Result<(UntestedInitialisation, Vec<RecoveryShare>), SlotError> {
        let (pending, shares) = self.slots.issue_recovery(&self.root, label, policy, random)?;
        let untested = UntestedInitialisation {
            root: self.root,
            slots: self.slots,
            pending,
        };
        Ok((untested, shares))
    }

    /// Finishes without recovery, for `palisade dev` alone: its data are meant
    /// to be thrown away.
    ///
    /// # Errors
    ///
    /// [`SlotError::OutOfBounds`] if no slot was added.
    pub fn finish_for_development(self) -> Result<(RootKey, KeySlots), SlotError> {
        self.slots.check_not_empty()?;
        Ok((self.root, self.slots))
    }
}

impl UntestedInitialisation {
    /// Tries the recovery shares as typed back. Enough of them must be given.
    ///
    /// # Errors
    ///
    /// The reason, with the initialisation to try again.
    pub fn confirm_recovery(mut self, shares: &[&str]) -> Result<TestedInitialisation, Unconfirmed> {
        match self.slots.confirm_recovery(self.pending, shares) {
            Ok(_) => Ok(TestedInitialisation {
                root: self.root,
                slots: self.slots,
            }),
            Err((pending, reason)) => Err(Unconfirmed {
                initialisation: Box::new(UntestedInitialisation { pending, ..self }),
                reason,
            }),
        }
    }
}

/// Recovery shares that did not work, and the initialisation to try again.
pub struct Unconfirmed {
    /// Where to try again.
    pub initialisation: Box<UntestedInitialisation>,
    /// What was wrong with the shares.
    pub reason: SlotError,
}

impl TestedInitialisation {
    /// Adds a slot; see [`KeySlots::add`].
    ///
    /// # Errors
    ///
    /// Those of [`KeySlots::add`].
    pub fn add(&mut self, label: &str, new: &NewSlot<'_>, random: &Random) -> Result<SlotId, SlotError> {
        self.slots.add(&self.root, label, new, random)
    }

    /// The root key and the slot document to be written.
    pub fn finish(self) -> (RootKey, KeySlots) {
        (self.root, self.slots)
    }
}
