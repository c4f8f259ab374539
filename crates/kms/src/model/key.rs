//! A KMS key: everything but its material.

mod materials;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crypto::key::{EncryptionAlgorithm, MacAlgorithm, SigningAlgorithm};
use ground::{AccountId, Region, Timestamp};
use kms_api::{EncryptionAlgorithmSpec, MacAlgorithmSpec, SigningAlgorithmSpec};
use policy::{Attached, Malformed};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::ALIASES_PER_KEY_MAX;
use crate::model::derived::Derived;
use crate::model::generation::Schedule;
use crate::model::{
    AliasName, CiphertextReference, Custody, CustomKeyStore, DeletionWindow, Demand, Generation, KeyId,
    KeyPolicy, KeyState, KeyUsage, Manager, Material, MaterialId, MultiRegion, Origin, Purpose, Tags,
};

/// A key. Its row leaves out what an enabled symmetric key says that its owner
/// said nothing of: the rows of most keys are short, and many share a page.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// The owner.
    pub account: AccountId,
    /// Where it lives.
    pub region: Region,
    /// What it is made of and for.
    #[serde(default = "Purpose::symmetric", skip_serializing_if = "Purpose::is_symmetric")]
    pub purpose: Purpose,
    /// When it was made.
    pub created: Timestamp,
    /// What its owner says of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its state.
    #[serde(default = "KeyState::enabled", skip_serializing_if = "KeyState::is_enabled")]
    pub state: KeyState,
    /// Who may use it.
    #[serde(
        default = "KeyPolicy::delegating",
        skip_serializing_if = "KeyPolicy::is_delegating"
    )]
    pub policy: KeyPolicy,
    /// Who manages it.
    #[serde(default, skip_serializing_if = "Manager::is_customer")]
    pub manager: Manager,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The aliases that point at it. Each has a row of its own; the two are
    /// written together.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub aliases: BTreeSet<AliasName>,
    /// Whether a grant was ever made on it. Keys without are spared the search
    /// for one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub granted: bool,
    /// Where its material comes from.
    #[serde(default, skip_serializing_if = "Origin::is_aws_kms")]
    pub origin: Origin,
    /// Where it lives, if in a custom key store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<Custody>,
    /// Imported material that it can rotate to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Generation>,
    /// Where its related keys are, if it is a multi-Region key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_region: Option<MultiRegion>,
    /// Its materials, the current one last; empty until it first rotates or
    /// material is imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) generations: Vec<Generation>,
    /// Whether and when it rotates by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// The material that encrypts, signs and authenticates now.
    pub material: MaterialId,
    /// The same itself, sealed. It stands in the key's own row because a row of
    /// its own would lie elsewhere in the store's tree, and cost a new key as
    /// much again (`docs/decisions/0003-door.md`). `None` in rows written before
    /// that was known, whose material has a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<Material>,
    /// What follows from the rest.
    #[serde(skip)]
    pub(crate) derived: Derived,
    /// The custom key store that it lives in, as it was when the key was read
    /// for a request. No part of the row: a store is connected and disconnected
    /// without a word to its keys.
    #[serde(skip)]
    pub(crate) in_store: Option<Arc<CustomKeyStore>>,
}

impl Key {
    /// A key as `CreateKey` makes it for who says nothing but what it is for: enabled,
    /// its account's to give away. Its material is for the caller to put in.
    pub(crate) fn fresh(
        account: AccountId,
        region: &Region,
        id: KeyId,
        purpose: Purpose,
        material: MaterialId,
        created: Timestamp,
    ) -> Key {
        Key {
            id,
            account,
            region: region.clone(),
            purpose,
            created,
            description: String::new(),
            state: KeyState::Enabled,
            policy: KeyPolicy::delegating(),
            manager: Manager::Customer,
            tags: Tags::default(),
            aliases: BTreeSet::new(),
            granted: false,
            multi_region: None,
            origin: Origin::AwsKms,
            custody: None,
            pending: None,
            generations: Vec::new(),
            schedule: None,
            material,
            sealed: None,
            derived: Derived::default(),
            in_store: None,
        }
    }

    /// Its policy, ready to be weighed.
    ///
    /// # Errors
    ///
    /// As [`KeyPolicy::attached`].
    pub fn attached_policy(&self) -> Result<Arc<Attached>, Malformed> {
        self.policy.attached(self.account)
    }

    /// Its ARN.
    pub fn arn(&self) -> String {
        String::from(&**self.shared_arn())
    }

    /// Its ARN, for many.
    pub fn shared_arn(&self) -> &Arc<str> {
        self.derived
            .arn
            .get_or_init(|| arn(&self.id, self.account, &self.region).into())
    }

    /// What its ciphertexts are bound to: its ARN, without the region if related
    /// keys open them too.
    pub fn binding(&self) -> &str {
        match &self.multi_region {
            None => self.shared_arn(),
            Some(_) => self
                .derived
                .binding
                .get_or_init(|| format!("arn:aws:kms::{}:key/{}", self.account, self.id).into()),
        }
    }

    /// Whether it is the replica of another key.
    pub fn is_replica(&self) -> bool {
        let multi_region = self.multi_region.as_ref();
        multi_region.is_some_and(|keys| !keys.is_primary(&self.region))
    }

    /// Whether it can be replicated, and can hand that on.
    ///
    /// # Errors
    ///
    /// [`Error::NotPrimary`] if it is no multi-Region primary key.
    pub fn check_primary(&self) -> Result<&MultiRegion, Error> {
        let multi_region = self.multi_region.as_ref().filter(|_| !self.is_replica());
        multi_region.ok_or_else(|| Error::NotPrimary { arn: self.arn() })
    }

    /// What ciphertexts carry that are made now.
    pub fn reference(&self) -> &[u8; CiphertextReference::BYTES] {
        self.derived.reference.get_or_init(|| {
            let reference = CiphertextReference {
                account: self.account,
                key: self.id.clone(),
                material: self.material.clone(),
            };
            reference.to_bytes()
        })
    }

    /// Switches it on.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if its state does not admit that.
    pub fn enable(&mut self) -> Result<(), Error> {
        self.switch(KeyState::Enabled)
    }

    /// Switches it off.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if its state does not admit that.
    pub fn disable(&mut self) -> Result<(), Error> {
        self.switch(KeyState::Disabled)
    }

    fn switch(&mut self, state: KeyState) -> Result<(), Error> {
        self.check(Demand::Switch)?;
        self.state = state;
        Ok(())
    }

    /// Sets its deletion for the end of `window`, and tells when that is; `None`
    /// if its window begins once its replicas are gone.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if its state does not admit that.
    pub fn schedule_deletion(
        &mut self,
        now: Timestamp,
        window: DeletionWindow,
    ) -> Result<Option<Timestamp>, Error> {
        self.check(Demand::ScheduleDeletion)?;
        let has_replicas = self.check_primary().is_ok_and(|keys| !keys.replicas.is_empty());
        if has_replicas {
            self.state = KeyState::PendingReplicaDeletion { window };
            return Ok(None);
        }
        let due = window.end(now);
        self.state = KeyState::PendingDeletion { due };
        Ok(Some(due))
    }

    /// Forgets a related key that was deleted. A primary that only waited for
    /// its last replica begins to wait for its own deletion.
    pub fn forget_replica(&mut self, region: &Region, now: Timestamp) {
        let Some(keys) = &mut self.multi_region else {
            return;
        };
        keys.replicas.remove(region);
        if let KeyState::PendingReplicaDeletion { window } = self.state
            && keys.replicas.is_empty()
        {
            self.state = KeyState::PendingDeletion { due: window.end(now) };
        }
    }

    /// Takes over what related keys share.
    pub fn follow(&mut self, other: &Key) {
        self.multi_region.clone_from(&other.multi_region);
        self.schedule = other.schedule;
    }

    /// Calls its deletion off. It stays disabled until someone enables it.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if none was scheduled.
    pub fn cancel_deletion(&mut self) -> Result<(), Error> {
        self.check(Demand::CancelDeletion)?;
        self.state = if self.is_complete() {
            KeyState::Disabled
        } else {
            KeyState::PendingImport
        };
        Ok(())
    }

    /// Adds an alias that points at it.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyAliases`] beyond [`ALIASES_PER_KEY_MAX`].
    pub fn add_alias(&mut self, name: AliasName) -> Result<(), Error> {
        if self.aliases.len() >= ALIASES_PER_KEY_MAX && !self.aliases.contains(&name) {
            return Err(Error::TooManyAliases { arn: self.arn() });
        }
        self.aliases.insert(name);
        Ok(())
    }

    /// The algorithm by that name, if the key encrypts with it.
    ///
    /// # Errors
    ///
    /// [`Error::UsageMismatch`] if it is not for encryption,
    /// [`Error::AlgorithmMismatch`] if its spec has no such algorithm.
    pub fn encrypts_with(
        &self,
        operation: &'static str,
        algorithm: EncryptionAlgorithmSpec,
    ) -> Result<EncryptionAlgorithm, Error> {
        self.check_usage(operation, KeyUsage::EncryptDecrypt)?;
        EncryptionAlgorithm::parse(algorithm.as_str())
            .filter(|known| self.purpose.encryption_algorithms().contains(known))
            .ok_or_else(|| self.lacks(algorithm.as_str()))
    }

    /// The algorithm by that name, if the key signs with it.
    ///
    /// # Errors
    ///
    /// As [`Key::encrypts_with`].
    pub fn signs_with(
        &self,
        operation: &'static str,
        algorithm: SigningAlgorithmSpec,
    ) -> Result<SigningAlgorithm, Error> {
        self.check_usage(operation, KeyUsage::SignVerify)?;
        SigningAlgorithm::parse(algorithm.as_str())
            .filter(|known| self.purpose.signing_algorithms().contains(known))
            .ok_or_else(|| self.lacks(algorithm.as_str()))
    }

    /// The algorithm by that name, if the key authenticates with it.
    ///
    /// # Errors
    ///
    /// As [`Key::encrypts_with`].
    pub fn authenticates_with(
        &self,
        operation: &'static str,
        algorithm: MacAlgorithmSpec,
    ) -> Result<MacAlgorithm, Error> {
        self.check_usage(operation, KeyUsage::GenerateVerifyMac)?;
        MacAlgorithm::parse(algorithm.as_str())
            .filter(|known| self.purpose.mac_algorithms().contains(known))
            .ok_or_else(|| self.lacks(algorithm.as_str()))
    }

    /// Whether it is for this.
    ///
    /// # Errors
    ///
    /// [`Error::UsageMismatch`] if not.
    pub fn check_usage(&self, operation: &'static str, wanted: KeyUsage) -> Result<(), Error> {
        let usage = self.purpose.usage();
        if usage == wanted {
            return Ok(());
        }
        Err(Error::UsageMismatch {
            arn: self.arn(),
            usage: usage.as_str(),
            operation,
        })
    }

    fn lacks(&self, algorithm: &'static str) -> Error {
        Error::AlgorithmMismatch {
            algorithm,
            spec: self.purpose.spec().as_str(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("arn", &self.arn())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The ARN of a key.
pub fn arn(id: &KeyId, account: AccountId, region: &Region) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

#[cfg(test)]
mod tests {
    use crypto::Random;
    use crypto::key::KeySpec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::generation::Import;

    fn key_for(purpose: Purpose) -> Key {
        let account = AccountId::parse("123456789012").unwrap();
        Key::fresh(
            account,
            &Region::parse("eu-west-1").unwrap(),
            KeyId::from_bytes([7; 16]),
            purpose,
            MaterialId::generate(&Random::seeded(1)),
            Timestamp(0),
        )
    }

    fn key() -> Key {
        key_for(Purpose::SYMMETRIC)
    }

    /// What anyone may ask of a key's state.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Enable,
        Disable,
        Schedule(i32),
        Cancel,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Enable),
            Just(Step::Disable),
            (7i32..=30).prop_map(Step::Schedule),
            Just(Step::Cancel)
        ]
    }

    fn walk(key: &mut Key, step: Step) -> Result<(), Error> {
        match step {
            Step::Enable => key.enable(),
            Step::Disable => key.disable(),
            Step::Schedule(days) => {
                let window = DeletionWindow::new(Some(days)).unwrap();
                key.schedule_deletion(Timestamp(1_000), window).map(drop)
            }
            Step::Cancel => key.cancel_deletion(),
        }
    }

    proptest! {
        /// A key that was asked back is never usable until someone enables it again.
        #[test]
        fn cancelled_deletion_leaves_the_key_disabled(days in 7i32..=30) {
            let mut key = key();
            let window = DeletionWindow::new(Some(days)).unwrap();
            key.schedule_deletion(Timestamp(0), window).unwrap();
            key.cancel_deletion().unwrap();
            prop_assert_eq!(key.state, KeyState::Disabled);
            prop_assert!(key.check(Demand::Use).is_err());
            key.enable().unwrap();
            prop_assert!(key.check(Demand::Use).is_ok());
        }

        /// However a key got where it is: what is refused changes nothing, what
        /// is pending can only be called off, and a second request to delete
        /// does not move the date.
        #[test]
        fn no_walk_leaves_the_table(steps in proptest::collection::vec(any_step(), 0..20)) {
            let mut key = key();
            for step in steps {
                let before = key.state;
                let done = walk(&mut key, step);
                let expected = match (before, step) {
                    (KeyState::PendingDeletion { .. }, Step::Cancel) => Some(KeyState::Disabled),
                    (KeyState::PendingDeletion { .. }, _) | (_, Step::Cancel) => None,
                    (_, Step::Enable) => Some(KeyState::Enabled),
                    (_, Step::Disable) => Some(KeyState::Disabled),
                    (_, Step::Schedule(days)) => {
                        Some(KeyState::PendingDeletion { due: Timestamp(1_000 + i64::from(days) * 86_400_000) })
                    }
                };
                prop_assert_eq!(done.is_ok(), expected.is_some());
                prop_assert_eq!(key.state, expected.unwrap_or(before));
            }
        }
    }

    proptest! {
        /// Whatever is imported, lost and rotated to: a key is of use only with
        /// all of its material, never has one twice, and forgets none that it used.
        #[test]
        fn an_imported_key_is_of_use_only_while_all_its_material_is_here(
            steps in proptest::collection::vec((0u8..4, 0u8..4), 0..40),
        ) {
            let mut key = Key {
                origin: Origin::External,
                state: KeyState::PendingImport,
                ..key()
            };
            let mut used = Vec::new();
            for (step, number) in steps {
                let id = MaterialId::from_bytes([number; 32]);
                let import = Import { description: None, expires: None, present: true };
                match step {
                    0 => drop(key.import(&id, Some(true), import)),
                    1 => drop(key.import(&id, None, import)),
                    2 => key.lose(&id),
                    _ if key.check(Demand::Rotate).is_ok() => drop(key.rotate_to_imported(Timestamp(1))),
                    _ => {}
                }
                let ids: Vec<_> = key.generations.iter().map(|it| it.material.clone()).collect();
                prop_assert_eq!(key.check(Demand::Use).is_ok(), key.is_complete());
                prop_assert!(ids.starts_with(&used), "{:?} was {:?}", ids, used);
                prop_assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)));
                prop_assert!(ids.last().is_none_or(|last| *last == key.material));
                used = ids;
            }
        }
    }

    #[test]
    fn a_key_has_fifty_aliases_and_no_more() {
        let mut key = key();
        for number in 0..ALIASES_PER_KEY_MAX {
            key.add_alias(AliasName::parse(&format!("alias/{number}")).unwrap())
                .unwrap();
        }
        key.add_alias(AliasName::parse("alias/0").unwrap()).unwrap();
        let one_more = key.add_alias(AliasName::parse("alias/one-more").unwrap());
        assert!(matches!(one_more, Err(Error::TooManyAliases { .. })));
    }

    #[test]
    fn algorithms_are_refused_by_usage_first_and_spec_second() {
        let symmetric = key();
        assert!(
            symmetric
                .encrypts_with("Encrypt", EncryptionAlgorithmSpec::SymmetricDefault)
                .is_ok()
        );
        for algorithm in [
            EncryptionAlgorithmSpec::RsaesOaepSha256,
            EncryptionAlgorithmSpec::Sm2pke,
        ] {
            let refused = symmetric.encrypts_with("Encrypt", algorithm);
            assert!(
                matches!(refused, Err(Error::AlgorithmMismatch { .. })),
                "{algorithm:?}"
            );
        }
        let refused = symmetric.signs_with("Sign", SigningAlgorithmSpec::EcdsaSha256);
        assert!(matches!(
            refused,
            Err(Error::UsageMismatch {
                operation: "Sign",
                ..
            })
        ));

        let rsa = key_for(Purpose::new(KeySpec::Rsa2048, Some(KeyUsage::SignVerify)).unwrap());
        let refused = rsa
            .encrypts_with("Encrypt", EncryptionAlgorithmSpec::RsaesOaepSha256)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "{} key usage is SIGN_VERIFY which is not valid for Encrypt.",
                rsa.arn()
            )
        );
        assert!(
            rsa.signs_with("Sign", SigningAlgorithmSpec::RsassaPssSha512)
                .is_ok()
        );
        let refused = rsa
            .signs_with("Sign", SigningAlgorithmSpec::EcdsaSha256)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Algorithm ECDSA_SHA_256 and key spec RSA_2048 are incompatible."
        );
    }

    #[test]
    fn a_key_is_read_back_from_its_record() {
        let mut key = key();
        key.add_alias(AliasName::parse("alias/a").unwrap()).unwrap();
        key.schedule_deletion(Timestamp(5), DeletionWindow::new(None).unwrap())
            .unwrap();
        let stored = serde_json::to_string(&key).unwrap();
        let read: Key = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
        assert_eq!((read.arn(), read.state), (key.arn(), key.state));
    }
}
