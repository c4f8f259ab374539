//! What follows from a key, which every request needs.

use std::sync::{Arc, OnceLock};

use policy::Context;

use crate::model::CiphertextReference;

/// Worked out at its first use, and kept as long as the cached row.
///
/// A clone begins anew: keys are cloned in order to be changed.
#[derive(Default)]
pub(crate) struct Derived {
    pub(crate) arn: OnceLock<Arc<str>>,
    /// What ciphertexts are bound to, if that is not the ARN.
    pub(crate) binding: OnceLock<Arc<str>>,
    /// What ciphertexts carry that are made now.
    pub(crate) reference: OnceLock<[u8; CiphertextReference::BYTES]>,
    /// The condition keys that follow from what the key is.
    pub(crate) facts: OnceLock<Arc<Context<'static>>>,
}

impl Clone for Derived {
    fn clone(&self) -> Derived {
        Derived::default()
    }
}
