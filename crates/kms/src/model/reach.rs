//! Whether a key can be reached: what its state, and the store that it lives in,
//! let be done with it.

use crate::error::Error;
use crate::model::{Demand, Key, KeyState, Origin, Standing};

impl Key {
    /// Its state as it is told: that of its row, unless it lives in a custom key
    /// store that is not connected. A key that waits for its deletion goes on to.
    ///
    /// Source: KMS Developer Guide, "Key states of KMS keys", `Unavailable`.
    pub fn state_now(&self) -> KeyState {
        let is_out_of_reach =
            self.custody.is_some() && !self.in_store.as_ref().is_some_and(|store| store.is_connected());
        match self.state {
            KeyState::Enabled | KeyState::Disabled if is_out_of_reach => KeyState::Unavailable,
            state => state,
        }
    }

    /// Whether its state admits `demand`.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if not, [`Error::StoreNotConnected`] if that is because
    /// of its external key store.
    pub fn check(&self, demand: Demand) -> Result<(), Error> {
        self.state_now().admits(demand).map_err(|standing| {
            if standing == Standing::Unavailable && self.origin == Origin::ExternalKeyStore {
                return Error::StoreNotConnected;
            }
            Error::State {
                arn: self.arn(),
                standing,
            }
        })
    }

    /// Whether it is kept here alone, as data key pairs want it.
    ///
    /// # Errors
    ///
    /// [`Error::InCustomKeyStore`] if not.
    pub fn check_kept_here(&self, operation: &'static str) -> Result<(), Error> {
        match self.custody {
            None => Ok(()),
            Some(_) => Err(Error::InCustomKeyStore {
                arn: self.arn(),
                operation,
            }),
        }
    }
}
