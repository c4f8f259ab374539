//! Values that must never be shown.

use zeroize::Zeroize;

/// A value that is wiped when dropped and has no `Debug`, `Display`, `Clone`
/// or serialisation. Whoever needs the value says [`Secret::expose`], which a
/// reader can search for.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into keeping.
    pub fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value, for as long as the secret lives.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled in place.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize + Clone> Secret<T> {
    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Secret<T> {
        Secret(self.0.clone())
    }
}

impl<T: Zeroize + Default> Default for Secret<T> {
    fn default() -> Secret<T> {
        Secret(T::default())
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
