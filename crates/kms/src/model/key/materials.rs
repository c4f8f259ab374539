//! The materials of a key: which it has, how they come by import and rotation,
//! and how they go.
//!
//! Invariant: the current material is the last of the generations, if any are
//! written down.

use ground::Timestamp;

use super::Key;
use crate::error::Error;
use crate::model::generation::{Import, Rotated, RotationKind};
use crate::model::{Family, Generation, KeyState, MaterialId, Origin};

impl Key {
    /// Its materials, the current one last.
    pub fn generations(&self) -> Vec<Generation> {
        if self.generations.is_empty() && self.origin != Origin::External {
            return vec![Generation {
                material: self.material.clone(),
                rotated: None,
                import: None,
            }];
        }
        self.generations.clone()
    }

    /// Whether it waits for its first import: then it only seems to have a material.
    pub fn has_no_material_yet(&self) -> bool {
        self.origin == Origin::External && self.generations.is_empty()
    }

    /// Whether every material is here, so that it can be used.
    pub(super) fn is_complete(&self) -> bool {
        !self.has_no_material_yet() && self.generations.iter().all(Generation::is_present)
    }

    /// Whether this is one of its materials, or one that it can rotate to.
    pub fn has_material(&self, id: &MaterialId) -> bool {
        let mut known = self.generations.iter().chain(&self.pending);
        known.any(|generation| generation.material == *id)
    }

    /// When the first of the materials that it needs is forgotten by itself.
    /// One that it only can rotate to is no part of it yet.
    ///
    /// Source: KMS API Reference, `KeyMetadata`, `ValidTo`.
    pub fn valid_to(&self) -> Option<Timestamp> {
        self.generations.iter().filter_map(Generation::expires).min()
    }

    /// When some of its material is forgotten by itself.
    pub fn expiry_due(&self) -> Option<Timestamp> {
        let generations = self.generations.iter().chain(&self.pending);
        generations.filter_map(Generation::expires).min()
    }

    /// The materials that are to be forgotten by now.
    pub fn expired(&self, now: Timestamp) -> Vec<MaterialId> {
        let generations = self.generations.iter().chain(&self.pending);
        let expired = generations.filter(|it| it.expires().is_some_and(|at| at <= now));
        expired.map(|it| it.material.clone()).collect()
    }

    /// Whether it takes material from outside.
    ///
    /// # Errors
    ///
    /// [`Error::NotImported`] if not.
    pub fn check_imported(&self) -> Result<(), Error> {
        match self.origin {
            Origin::External => Ok(()),
            Origin::AwsKms | Origin::AwsCloudhsm | Origin::ExternalKeyStore => Err(Error::NotImported {
                arn: self.arn(),
                origin: self.origin.as_str(),
            }),
        }
    }

    /// Takes imported material: again one that it had, or a new one, which is
    /// its first or the one it will rotate to. Which of the two follows from
    /// what it has, unless the caller says. With all of its material the key
    /// comes back into use.
    ///
    /// # Errors
    ///
    /// [`Error::IncorrectMaterial`] for another than it had, for a new one that
    /// it has, and for a second one of a key that has one for ever;
    /// [`Error::NewInReplica`] for what is said to be new and given to a replica,
    /// which has the materials of its primary and takes no others.
    ///
    /// Source: KMS API Reference, `ImportKeyMaterial`, `ImportType`.
    pub fn import(&mut self, id: &MaterialId, is_new: Option<bool>, import: Import) -> Result<(), Error> {
        let incorrect = Error::IncorrectMaterial { arn: self.arn() };
        let is_first = self.generations.is_empty();
        let is_new = match (self.is_replica(), is_new) {
            (true, Some(true)) => return Err(Error::NewInReplica { arn: self.arn() }),
            (true, _) => Some(false),
            (false, said) => said,
        };
        let mut known = self.generations.iter_mut().chain(&mut self.pending);
        match known.find(|generation| generation.material == *id) {
            Some(_) if is_new == Some(true) => return Err(incorrect),
            Some(generation) => {
                // What was said of it stands until something else is.
                let said = generation.import.take().and_then(|before| before.description);
                generation.import = Some(Import {
                    description: import.description.or(said),
                    ..import
                });
            }
            None if !is_new.unwrap_or(is_first) => return Err(incorrect),
            None => {
                let generation = Generation {
                    material: id.clone(),
                    rotated: None,
                    import: Some(import),
                };
                if is_first {
                    self.material = id.clone();
                    self.generations.push(generation);
                } else if self.purpose.family() == Family::Symmetric && self.pending.is_none() {
                    self.pending = Some(generation);
                } else {
                    return Err(incorrect);
                }
            }
        }
        if self.state == KeyState::PendingImport && self.is_complete() {
            self.state = KeyState::Enabled;
        }
        Ok(())
    }

    /// Learns of the materials that its primary has been given, and waits for
    /// them to be imported here.
    pub fn expect_material(&mut self, primary: &Key) {
        for generation in &primary.generations {
            if !self
                .generations
                .iter()
                .any(|it| it.material == generation.material)
            {
                let mut generation = generation.clone();
                generation.lose();
                self.material = generation.material.clone();
                self.generations.push(generation);
            }
        }
        let known = self.pending.as_ref().map(|pending| &pending.material);
        if let Some(pending) = &primary.pending
            && known != Some(&pending.material)
        {
            let mut pending = pending.clone();
            pending.lose();
            self.pending = Some(pending);
        }
    }

    /// None of its materials is here: each must be imported.
    pub fn wait_for_material(&mut self) {
        for generation in self.generations.iter_mut().chain(&mut self.pending) {
            generation.lose();
        }
    }

    /// Forgets a material. One that it never used is gone, but from a replica:
    /// that still expects what its primary has. Without one of the others it waits
    /// for it.
    pub fn lose(&mut self, id: &MaterialId) {
        if self.is_replica() {
            self.pending
                .iter_mut()
                .filter(|it| it.material == *id)
                .for_each(Generation::lose);
        } else {
            self.forget_pending(id);
        }
        for generation in self.generations.iter_mut().filter(|it| it.material == *id) {
            generation.lose();
        }
        if *id == self.material {
            self.sealed = None;
        }
        if matches!(self.state, KeyState::Enabled | KeyState::Disabled) && !self.is_complete() {
            self.state = KeyState::PendingImport;
        }
    }

    /// Expects a material no more that it could have rotated to.
    pub fn forget_pending(&mut self, id: &MaterialId) {
        self.pending = self.pending.take().filter(|pending| pending.material != *id);
    }

    /// The material that it can rotate to, if that is here.
    pub fn pending_here(&self) -> Option<&MaterialId> {
        let pending = self.pending.as_ref().filter(|pending| pending.is_present());
        pending.map(|pending| &pending.material)
    }

    /// How often it rotated for this reason.
    pub fn rotations(&self, kind: RotationKind) -> usize {
        let rotated = self.generations.iter().filter_map(|it| it.rotated);
        rotated.filter(|rotated| rotated.kind == kind).count()
    }

    /// Whether it ever has another material than its first.
    ///
    /// # Errors
    ///
    /// [`Error::CannotRotate`] if not: only symmetric encryption keys do that are
    /// in no custom key store, and replicas only when their primary does.
    pub fn check_rotates(&self) -> Result<(), Error> {
        if self.purpose.family() == Family::Symmetric && !self.is_replica() && self.custody.is_none() {
            return Ok(());
        }
        Err(Error::CannotRotate { arn: self.arn() })
    }

    /// Whether it may rotate by itself.
    ///
    /// # Errors
    ///
    /// [`Error::CannotRotate`] if not.
    pub fn check_rotates_by_itself(&self) -> Result<(), Error> {
        self.check_rotates()?;
        match self.origin {
            Origin::AwsKms => Ok(()),
            Origin::AwsCloudhsm | Origin::External | Origin::ExternalKeyStore => {
                Err(Error::CannotRotate { arn: self.arn() })
            }
        }
    }

    /// Puts a material in the place of the current one, whose own row the
    /// caller keeps. The sealed material must follow.
    pub fn rotate(&mut self, material: MaterialId, at: Timestamp, kind: RotationKind) {
        self.take_over(Generation {
            material,
            rotated: Some(Rotated { at, kind }),
            import: None,
        });
    }

    /// Rotates to the material that was imported for that. The sealed material
    /// must follow.
    ///
    /// # Errors
    ///
    /// [`Error::NothingToRotateTo`] if there is none.
    pub fn rotate_to_imported(&mut self, at: Timestamp) -> Result<(), Error> {
        let kind = RotationKind::OnDemand;
        let Some(pending) = self.pending.take_if(|pending| pending.is_present()) else {
            return Err(Error::NothingToRotateTo { arn: self.arn() });
        };
        self.take_over(Generation {
            rotated: Some(Rotated { at, kind }),
            ..pending
        });
        Ok(())
    }

    fn take_over(&mut self, next: Generation) {
        self.generations = self.generations();
        self.material = next.material.clone();
        let rotated = next.rotated;
        self.generations.push(next);
        self.sealed = None;
        if let (Some(rotated), Some(schedule)) = (rotated, self.schedule)
            && rotated.kind == RotationKind::Automatic
        {
            self.schedule = Some(schedule.advanced(rotated.at));
        }
    }

    /// When it is to rotate by itself, if it is: a key that is not enabled waits.
    pub fn rotation_due(&self) -> Option<Timestamp> {
        let rotates = self.state == KeyState::Enabled && !self.is_replica();
        let schedule = self.schedule.filter(|_| rotates)?;
        Some(schedule.next)
    }
}
