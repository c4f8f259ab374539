//! The state of a key, and what each state admits.
//!
//! Source of every rule: KMS Developer Guide, "Key states of KMS keys", whose
//! table the test below repeats cell by cell.
//!
//! `Unavailable` stands in no row: it is what a key in a custom key store is told
//! to be while the store is not connected ([`super::Key::state_now`]). `Creating`
//! and `Updating` are never reached; their rules stand with the others so that
//! the table is whole. What a key cannot do by its origin is not here, but beside
//! ([`super::Key::check_kept_here`], `check_rotates`, `check_imported`).

use std::time::Duration;

use ground::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{PENDING_WINDOW_DAYS, PENDING_WINDOW_DAYS_DEFAULT};

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Being made.
    Creating,
    /// Switched off.
    Disabled,
    /// In use.
    Enabled,
    /// To be deleted.
    PendingDeletion {
        /// When.
        due: Timestamp,
    },
    /// Without its imported material.
    PendingImport,
    /// A primary that waits for its replicas to be deleted.
    PendingReplicaDeletion {
        /// How long it waits once they are.
        window: DeletionWindow,
    },
    /// Its custom key store is not connected.
    Unavailable,
    /// Becoming primary or replica.
    Updating,
}

impl KeyState {
    /// That of keys whose row says nothing else.
    pub(super) fn enabled() -> KeyState {
        KeyState::Enabled
    }

    /// Whether it is [`KeyState::Enabled`].
    pub(super) fn is_enabled(&self) -> bool {
        *self == KeyState::Enabled
    }
}

/// What an operation wants of a key, as far as the key's state matters.
/// Operations that any state admits want nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Aliases, tags, description.
    Annotate,
    /// `CancelKeyDeletion`.
    CancelDeletion,
    /// `CreateGrant`.
    Grant,
    /// `GetParametersForImport` and `ImportKeyMaterial`.
    Import,
    /// `ReplicateKey` and `UpdatePrimaryRegion`.
    Replicate,
    /// `RotateKeyOnDemand`, and whether the key rotates by itself.
    Rotate,
    /// `ScheduleKeyDeletion`.
    ScheduleDeletion,
    /// `EnableKey` and `DisableKey`.
    Switch,
    /// Cryptography, and the public key.
    Use,
}

/// Why a state does not admit a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is being made.
    Creating,
    /// It is switched off: the one refusal with an error of its own.
    Disabled,
    /// It is not waiting for its deletion.
    NotPendingDeletion,
    /// It is waiting for its deletion.
    PendingDeletion,
    /// It is waiting for its material.
    PendingImport,
    /// Its store cannot be reached.
    Unavailable,
    /// It is changing its role.
    Updating,
}

impl Standing {
    /// As messages say it, after the key's ARN.
    pub const fn phrase(self) -> &'static str {
        match self {
            Standing::Creating => "is creating",
            Standing::Disabled => "is disabled",
            Standing::NotPendingDeletion => "is not pending deletion",
            Standing::PendingDeletion => "is pending deletion",
            Standing::PendingImport => "is pending import",
            Standing::Unavailable => "is unavailable",
            Standing::Updating => "is updating",
        }
    }
}

impl KeyState {
    /// Whether a key in this state may be asked for `demand`.
    ///
    /// # Errors
    ///
    /// How the key stands instead.
    pub fn admits(self, demand: Demand) -> Result<(), Standing> {
        let standing = match self {
            KeyState::Creating => Standing::Creating,
            KeyState::Disabled => Standing::Disabled,
            KeyState::Enabled => return self.admits_enabled(demand),
            KeyState::PendingDeletion { .. } | KeyState::PendingReplicaDeletion { .. } => {
                Standing::PendingDeletion
            }
            KeyState::PendingImport => Standing::PendingImport,
            KeyState::Unavailable => Standing::Unavailable,
            KeyState::Updating => Standing::Updating,
        };
        let admitted = match demand {
            Demand::Annotate => standing != Standing::PendingDeletion,
            Demand::CancelDeletion if standing == Standing::PendingDeletion => true,
            Demand::CancelDeletion => return Err(Standing::NotPendingDeletion),
            Demand::Grant => matches!(standing, Standing::Unavailable | Standing::Updating),
            Demand::ScheduleDeletion => !matches!(standing, Standing::PendingDeletion | Standing::Updating),
            Demand::Switch => matches!(standing, Standing::Disabled | Standing::Unavailable),
            Demand::Import => matches!(standing, Standing::Disabled | Standing::PendingImport),
            Demand::Replicate => false,
            Demand::Rotate | Demand::Use => standing == Standing::Updating,
        };
        if admitted { Ok(()) } else { Err(standing) }
    }

    fn admits_enabled(self, demand: Demand) -> Result<(), Standing> {
        match demand {
            Demand::Annotate
            | Demand::Replicate
            | Demand::Import
            | Demand::Grant
            | Demand::Rotate
            | Demand::ScheduleDeletion
            | Demand::Switch
            | Demand::Use => Ok(()),
            Demand::CancelDeletion => Err(Standing::NotPendingDeletion),
        }
    }

    /// When the key is to be deleted, if it is.
    pub fn deletion_due(self) -> Option<Timestamp> {
        match self {
            KeyState::PendingDeletion { due } => Some(due),
            KeyState::Creating
            | KeyState::Disabled
            | KeyState::Enabled
            | KeyState::PendingImport
            | KeyState::PendingReplicaDeletion { .. }
            | KeyState::Unavailable
            | KeyState::Updating => None,
        }
    }
}

/// How long a key waits between the request to delete it and its deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionWindow {
    days: u32,
}

impl DeletionWindow {
    /// Whole days, 7 to 30 inclusive; 30 when the caller says nothing. The
    /// clock starts with the request.
    ///
    /// # Errors
    ///
    /// [`Error::BadWindow`] outside that range. Nothing is clamped: a caller
    /// who asked for 3 days must not be told that 7 were granted.
    pub fn new(days: Option<i32>) -> Result<DeletionWindow, Error> {
        let Some(given) = days else {
            return Ok(DeletionWindow {
                days: PENDING_WINDOW_DAYS_DEFAULT,
            });
        };
        match u32::try_from(given) {
            Ok(days) if PENDING_WINDOW_DAYS.contains(&days) => Ok(DeletionWindow { days }),
            Ok(_) | Err(_) => Err(Error::BadWindow { days: given }),
        }
    }

    /// Its length in days.
    pub fn days(self) -> u32 {
        self.days
    }

    /// When it ends.
    pub fn end(self, start: Timestamp) -> Timestamp {
        start.after(Duration::from_secs(u64::from(self.days) * 24 * 60 * 60))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATES: [KeyState; 7] = [
        KeyState::Enabled,
        KeyState::Disabled,
        KeyState::PendingDeletion { due: Timestamp(0) },
        KeyState::PendingImport,
        KeyState::Unavailable,
        KeyState::Creating,
        KeyState::Updating,
    ];

    /// The published table. A dot admits; a word is how the key stands.
    #[test]
    fn every_state_admits_what_the_guide_says() {
        #[rustfmt::skip]
        let table: [(Demand, [&str; 7]); 9] = [
            // Demand                  Enabled   Disabled    PendingDeletion  PendingImport  Unavailable    Creating    Updating
            (Demand::Use,              [".",     "disabled", "deletion",      "import",      "unavailable", "creating", "."]),
            (Demand::Grant,            [".",     "disabled", "deletion",      "import",      ".",           "creating", "."]),
            (Demand::Rotate,           [".",     "disabled", "deletion",      "import",      "unavailable", "creating", "."]),
            (Demand::Import,           [".",     ".",        "deletion",      ".",           "unavailable", "creating", "updating"]),
            (Demand::Replicate,        [".",     "disabled", "deletion",      "import",      "unavailable", "creating", "updating"]),
            (Demand::Annotate,         [".",     ".",        "deletion",      ".",           ".",           ".",        "."]),
            (Demand::Switch,           [".",     ".",        "deletion",      "import",      ".",           "creating", "updating"]),
            (Demand::ScheduleDeletion, [".",     ".",        "deletion",      ".",           ".",           ".",        "updating"]),
            (Demand::CancelDeletion,   ["not",   "not",      ".",             "not",         "not",         "not",      "not"]),
        ];
        for (demand, row) in table {
            for (state, expected) in STATES.into_iter().zip(row) {
                let expected = match expected {
                    "." => Ok(()),
                    "disabled" => Err(Standing::Disabled),
                    "deletion" => Err(Standing::PendingDeletion),
                    "import" => Err(Standing::PendingImport),
                    "unavailable" => Err(Standing::Unavailable),
                    "creating" => Err(Standing::Creating),
                    "updating" => Err(Standing::Updating),
                    _ => Err(Standing::NotPendingDeletion),
                };
                assert_eq!(
                    state.admits(demand),
                    expected,
                    "{demand:?} of a key that is {state:?}"
                );
            }
        }
    }

    /// A primary waiting for its replicas is as one waiting for its deletion.
    #[test]
    fn waiting_for_replicas_is_waiting_for_deletion() {
        let window = DeletionWindow::new(None).unwrap();
        for demand in [
            Demand::Use,
            Demand::Grant,
            Demand::Import,
            Demand::Replicate,
            Demand::Rotate,
            Demand::Annotate,
            Demand::Switch,
            Demand::ScheduleDeletion,
            Demand::CancelDeletion,
        ] {
            assert_eq!(
                KeyState::PendingReplicaDeletion { window }.admits(demand),
                KeyState::PendingDeletion { due: Timestamp(0) }.admits(demand)
            );
        }
    }

    proptest! {
        #[test]
        fn windows_are_granted_or_refused_never_bent(days in any::<i32>(), start in 0i64..4_102_444_800_000) {
            match DeletionWindow::new(Some(days)) {
                Ok(window) => {
                    prop_assert!((7..=30).contains(&days));
                    let waits = window.end(Timestamp(start)).since(Timestamp(start));
                    prop_assert_eq!(i64::try_from(waits.as_secs()).unwrap(), i64::from(days) * 86_400);
                }
                Err(error) => {
                    prop_assert!(!(7..=30).contains(&days));
                    prop_assert!(matches!(error, Error::BadWindow { .. }), "{error}");
                }
            }
        }
    }

    #[test]
    fn thirty_days_unless_said() {
        assert_eq!(DeletionWindow::new(None).unwrap().days(), 30);
    }
}
