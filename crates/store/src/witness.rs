//! Proof that a row still is as it was read, for the price of a look at a counter.
//!
//! Whoever keeps something that was put together from rows (a credential, the
//! policies of a user) keeps the witness of the row that changes with them. As
//! long as it holds, nothing needs to be read: no key is spelled, no lock taken.
//!
//! A witness may fall though nothing changed, when another row shares its
//! counter or this node has not heard of the others for a while. Then the row
//! is to be read again and compared.

use crate::cache::Standing;
use crate::open::Store;

/// The word that a row has not changed since it was read.
pub struct Witness {
    store: Store,
    standing: Standing,
}

impl Witness {
    pub(crate) fn new(store: Store, standing: Standing) -> Witness {
        Witness { store, standing }
    }

    /// Whether the row is certainly as it was.
    pub fn holds(&self) -> bool {
        self.store.cache().still_stands(self.standing)
    }
}
