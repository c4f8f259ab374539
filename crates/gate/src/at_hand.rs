//! An answer that is in memory, mostly.
//!
//! What the door asks at every call is nearly always at hand. Then there is
//! nothing to wait for, and no future is made.

use futures_util::future::BoxFuture;

/// An answer, or the way to it.
pub enum AtHand<'a, T> {
    /// It was in memory.
    Now(T),
    /// It has to be looked up.
    Later(BoxFuture<'a, T>),
}

impl<T> AtHand<'_, T> {
    /// The answer, as soon as it is there.
    pub async fn get(self) -> T {
        match self {
            AtHand::Now(answer) => answer,
            AtHand::Later(way) => way.await,
        }
    }
}
