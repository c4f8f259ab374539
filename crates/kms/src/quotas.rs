//! Request quotas: how many calls an account may make in a second, by kind.
//!
//! Off unless the operator switches them on; then they are AWS's defaults for
//! the region of the call. A call counts against the account that makes it,
//! whoever owns the key and whether or not it succeeds, and so does one that a
//! service makes for the account. What the program does by itself never counts.
//!
//! Invariant: memory is bounded by [`QUOTA_WINDOWS_MAX`]; what lies in the past
//! is forgotten first.
//!
//! Absent by design: quotas across nodes. Each node counts what it is asked.
//!
//! Source: KMS Developer Guide, "Request quotas".

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crypto::key::KeySpec;
use gate::{Cx, Fault};
use ground::{AccountId, Region, Timestamp};

use crate::access::Sought;
use crate::error::Error;
use crate::limits::QUOTA_WINDOWS_MAX;
use crate::model::{Key, Purpose};

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Cryptography with keys in custom key stores.
    InStore,
    /// Cryptography with symmetric and HMAC keys.
    Symmetric,
    /// Cryptography with RSA keys.
    Rsa,
    /// Cryptography with keys on curves.
    Ecc,
    /// Signatures with ML-DSA keys.
    MlDsa,
    /// Agreement with ML-KEM keys.
    MlKem,
    /// Data key pairs of one spec.
    Pair(&'static str),
    /// One operation, by name.
    Operation(&'static str),
}

/// Calls with keys of a type that many operations share, in a second.
const SHARED_PER_SECOND: u32 = 1_000;

/// Calls with keys in custom key stores in a second. AWS counts each store by
/// itself; here an account's in a region share the number.
const IN_STORES_PER_SECOND: u32 = 1_800;

/// Calls with symmetric keys in a second, where the region is not listed.
const SYMMETRIC_PER_SECOND: u32 = 10_000;

/// The same in regions that have more.
const SYMMETRIC_IN_REGIONS: &[(&str, u32)] = &[
    ("ap-northeast-1", 20_000),
    ("ap-southeast-1", 20_000),
    ("ap-southeast-2", 20_000),
    ("eu-central-1", 20_000),
    ("eu-west-1", 100_000),
    ("eu-west-2", 20_000),
    ("us-east-1", 100_000),
    ("us-east-2", 20_000),
    ("us-west-2", 100_000),
];

/// Data key pairs in a second. AWS lists no quota of ML-KEM pairs.
const PAIRS_PER_SECOND: &[(&str, u32)] = &[
    ("ECC_NIST_EDWARDS25519", 100),
    ("ECC_NIST_P256", 100),
    ("ECC_NIST_P384", 100),
    ("ECC_NIST_P521", 100),
    ("ECC_SECG_P256K1", 100),
    ("RSA_2048", 20),
    ("RSA_3072", 4),
    ("RSA_4096", 1),
    ("SM2", 25),
];

/// Calls of the operations that are counted each by itself, in a second.
const OPERATIONS_PER_SECOND: &[(&str, u32)] = &[
    ("CancelKeyDeletion", 5),
    ("ConnectCustomKeyStore", 5),
    ("CreateAlias", 5),
    ("CreateCustomKeyStore", 5),
    ("CreateGrant", 50),
    ("CreateKey", 5),
    ("DeleteAlias", 15),
    ("DeleteCustomKeyStore", 5),
    ("DeleteImportedKeyMaterial", 15),
    ("DescribeCustomKeyStores", 5),
    ("DescribeKey", 2_000),
    ("DisableKey", 5),
    ("DisableKeyRotation", 5),
    ("DisconnectCustomKeyStore", 5),
    ("EnableKey", 5),
    ("EnableKeyRotation", 15),
    ("GetKeyLastUsage", 5),
    ("GetKeyPolicy", 1_000),
    ("GetKeyRotationStatus", 1_000),
    ("GetParametersForImport", 1),
    ("GetPublicKey", 2_000),
    ("ImportKeyMaterial", 15),
    ("ListAliases", 500),
    ("ListGrants", 100),
    ("ListKeyPolicies", 100),
    ("ListKeyRotations", 100),
    ("ListKeys", 500),
    ("ListResourceTags", 2_000),
    ("ListRetirableGrants", 100),
    ("PutKeyPolicy", 15),
    ("ReplicateKey", 5),
    ("RetireGrant", 50),
    ("RevokeGrant", 50),
    ("RotateKeyOnDemand", 5),
    ("ScheduleKeyDeletion", 15),
    ("TagResource", 10),
    ("UntagResource", 5),
    ("UpdateAlias", 5),
    ("UpdateCustomKeyStore", 5),
    ("UpdateKeyDescription", 5),
    ("UpdatePrimaryRegion", 5),
];

/// Operations that are symmetric cryptography whatever they are asked.
const SYMMETRIC: &[&str] = &[
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GenerateRandom",
    "VerifyMac",
];

impl Class {
    /// What an operation counts as, whatever it is asked; `None` if the key or
    /// the spec in the request decides.
    fn of_operation(name: &str) -> Option<Class> {
        if SYMMETRIC.contains(&name) {
            return Some(Class::Symmetric);
        }
        let known = OPERATIONS_PER_SECOND.iter().find(|(known, _)| *known == name);
        known.map(|(known, _)| Class::Operation(known))
    }

    /// What cryptography with a key counts as.
    pub(crate) fn of_key(key: &Key) -> Class {
        match key.custody {
            Some(_) => Class::InStore,
            None => Class::of_purpose(key.purpose),
        }
    }

    /// The same of a key that is kept here.
    fn of_purpose(purpose: Purpose) -> Class {
        match purpose.spec() {
            KeySpec::SymmetricDefault
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512 => Class::Symmetric,
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Class::Rsa,
            KeySpec::EccNistP256
            | KeySpec::EccNistP384
            | KeySpec::EccNistP521
            | KeySpec::EccSecgP256K1
            | KeySpec::EccNistEdwards25519 => Class::Ecc,
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => Class::MlDsa,
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => Class::MlKem,
        }
    }

    /// How often a second; `None` for as often as one likes.
    fn per_second(self, region: &Region) -> Option<u32> {
        let listed = |list: &[(&str, u32)], name| {
            let found = list.iter().find(|(listed, _)| *listed == name);
            found.map(|(_, calls)| *calls)
        };
        match self {
            Class::Symmetric => {
                Some(listed(SYMMETRIC_IN_REGIONS, region.as_str()).unwrap_or(SYMMETRIC_PER_SECOND))
            }
            Class::InStore => Some(IN_STORES_PER_SECOND),
            // Of ML-KEM keys AWS lists no quota; ours is that of its neighbours.
            Class::Rsa | Class::Ecc | Class::MlDsa | Class::MlKem => Some(SHARED_PER_SECOND),
            Class::Pair(spec) => listed(PAIRS_PER_SECOND, spec),
            Class::Operation(name) => listed(OPERATIONS_PER_SECOND, name),
        }
    }
}

/// What was asked in the present second.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    /// `None` if there are none.
    windows: Option<Mutex<Windows>>,
}

type Windows = HashMap<(AccountId, Region, Class), Window>;

/// The calls of one second.
#[derive(Debug, Clone, Copy)]
struct Window {
    second: i64,
    calls: u32,
}

impl Quotas {
    /// AWS's quotas.
    pub(crate) fn on() -> Quotas {
        Quotas {
            windows: Some(Mutex::default()),
        }
    }

    /// Counts a call of an operation whose name decides what it counts as.
    ///
    /// # Errors
    ///
    /// AWS's `ThrottlingException`.
    pub(crate) fn admit(&self, cx: &Cx) -> Result<(), Fault> {
        let class = self
            .windows
            .as_ref()
            .and_then(|_| Class::of_operation(cx.operation().name));
        match class {
            Some(class) => self.take(cx, class).map_err(|error| Fault::from(&error)),
            None => Ok(()),
        }
    }

    /// Counts cryptography with a key.
    ///
    /// # Errors
    ///
    /// [`Error::Throttled`].
    pub(crate) fn take_for(&self, cx: &Cx, sought: &Sought) -> Result<(), Error> {
        match &sought.found {
            Some((key, _)) => self.take(cx, Class::of_key(key)),
            None => Ok(()),
        }
    }

    /// Counts cryptography whose name has counted it already, if its key lives in
    /// a custom key store.
    ///
    /// # Errors
    ///
    /// [`Error::Throttled`].
    pub(crate) fn take_if_in_store(&self, cx: &Cx, sought: &Sought) -> Result<(), Error> {
        match &sought.found {
            Some((key, _)) if key.custody.is_some() => self.take(cx, Class::InStore),
            Some(_) | None => Ok(()),
        }
    }

    /// Counts cryptography with two keys: as one call of each type of key.
    ///
    /// # Errors
    ///
    /// [`Error::Throttled`].
    pub(crate) fn take_for_both(&self, cx: &Cx, one: &Sought, other: &Sought) -> Result<(), Error> {
        let class = |sought: &Sought| sought.found.as_ref().map(|(key, _)| Class::of_key(key));
        self.take_for(cx, one)?;
        match class(one) == class(other) {
            true => Ok(()),
            false => self.take_for(cx, other),
        }
    }

    /// Counts a call of a class.
    ///
    /// # Errors
    ///
    /// [`Error::Throttled`].
    pub(crate) fn take(&self, cx: &Cx, class: Class) -> Result<(), Error> {
        let Some(windows) = &self.windows else {
            return Ok(());
        };
        let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut windows, cx.account(), cx.region(), class, cx.now())
    }
}

fn count(
    windows: &mut Windows,
    account: AccountId,
    region: &Region,
    class: Class,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(most) = class.per_second(region) else {
        return Ok(());
    };
    let second = now.seconds();
    if windows.len() >= QUOTA_WINDOWS_MAX {
        windows.retain(|_, window| window.second == second);
    }
    let is_full = windows.len() >= QUOTA_WINDOWS_MAX;
    let place = (account, region.clone(), class);
    let fresh = Window { second, calls: 0 };
    let window = match windows.get_mut(&place) {
        Some(window) => window,
        // More accounts and regions in one second than there are: somebody makes regions up.
        None if is_full => return Err(Error::Throttled),
        None => windows.entry(place).or_insert(fresh),
    };
    if window.second != second {
        *window = fresh;
    }
    if window.calls >= most {
        return Err(Error::Throttled);
    }
    window.calls += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use shape::OperationShape;

    use super::*;

    fn account(number: usize) -> AccountId {
        AccountId::parse(&format!("{:012}", 111_122_220_000 + number)).unwrap()
    }

    fn region(name: &str) -> Region {
        Region::parse(name).unwrap()
    }

    /// Those whose key or spec decides count where that is known.
    const BY_KEY: [&str; 10] = [
        "Decapsulate",
        "Decrypt",
        "DeriveSharedSecret",
        "Encapsulate",
        "Encrypt",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "ReEncrypt",
        "Sign",
        "Verify",
    ];

    #[test]
    fn every_operation_of_the_model_is_counted_somehow() {
        let operations: &[&'static OperationShape] = kms_api::SERVICE.operations;
        for operation in operations {
            let by_name = Class::of_operation(operation.name).is_some();
            assert_ne!(by_name, BY_KEY.contains(&operation.name), "{}", operation.name);
        }
        for (name, _) in OPERATIONS_PER_SECOND {
            assert!(
                operations.iter().any(|known| known.name == *name),
                "{name} is in no model"
            );
        }
    }

    #[test]
    fn a_second_has_so_many_calls_and_the_next_as_many() {
        let mut windows = HashMap::new();
        let (home, here) = (account(1), region("eu-north-1"));
        let mut ask = |account, region: &Region, class, millis| {
            count(&mut windows, account, region, class, Timestamp(millis)).is_ok()
        };
        let make = Class::Operation("CreateKey");
        for call in 0..12 {
            assert_eq!(ask(home, &here, make, 1_000 + call * 80), call < 5, "{call}");
        }
        assert!(ask(home, &here, make, 2_000));
        // Each by itself: operations, accounts, regions.
        assert!(ask(home, &here, Class::Operation("CreateAlias"), 1_999));
        assert!(ask(account(2), &here, make, 1_999));
        assert!(ask(home, &region("eu-south-1"), make, 1_999));
    }

    #[test]
    fn regions_differ_in_symmetric_calls_alone() {
        for (name, calls) in [
            ("us-east-1", 100_000),
            ("eu-west-2", 20_000),
            ("lab-west-1", 10_000),
        ] {
            assert_eq!(Class::Symmetric.per_second(&region(name)), Some(calls));
            assert_eq!(Class::Rsa.per_second(&region(name)), Some(1_000));
        }
        assert_eq!(Class::Pair("RSA_4096").per_second(&region("us-east-1")), Some(1));
        assert_eq!(Class::Pair("ML_KEM_512").per_second(&region("us-east-1")), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_past_goes_first() {
        let mut windows = HashMap::new();
        let here = region("eu-north-1");
        let class = Class::Operation("ListKeys");
        for number in 0..QUOTA_WINDOWS_MAX {
            count(&mut windows, account(number), &here, class, Timestamp(1_000)).unwrap();
        }
        let one_more = account(QUOTA_WINDOWS_MAX);
        let refused = count(&mut windows, one_more, &here, class, Timestamp(1_999));
        assert!(matches!(refused, Err(Error::Throttled)));
        assert!(count(&mut windows, account(0), &here, class, Timestamp(1_999)).is_ok());
        count(&mut windows, one_more, &here, class, Timestamp(2_000)).unwrap();
        assert_eq!(windows.len(), 1);
    }
}
