//! An AES-256 key on a PKCS#11 token that wraps and unwraps a secret.
//!
//! The key is found by its label, or made on the token, where it stays: it is
//! sensitive and cannot be extracted. It wraps by AES-GCM with a random vector
//! and the place of the secret as associated data.
//!
//! | bytes | what |
//! |---|---|
//! | 12 | initialisation vector |
//! | as the secret | ciphertext |
//! | 16 | tag |
//!
//! Source: PKCS #11 Cryptographic Token Interface 2.40, 2.13.3 (AES-GCM).

use std::path::Path;

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use ground::Secret;

use crate::module::{self, IV_BYTES, TAG_BITS};

/// Why a token did not serve.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// Several keys have the label: which one is meant cannot be told.
    #[error("the token has {found} AES keys labelled {label}")]
    AmbiguousKey {
        /// The label.
        label: String,
        /// How many have it.
        found: usize,
    },
    /// The module or the token refused.
    #[error("{doing}: {said}")]
    Module {
        /// What was asked of it.
        doing: &'static str,
        /// What it said, and why. No source of this error: its text tells of its own
        /// sources, and who tells the whole chain would tell all of it again.
        said: cryptoki::error::Error,
    },
    /// The token has no such key.
    #[error("the token has no AES key labelled {0}")]
    NoSuchKey(String),
    /// Not exactly one token has the label.
    #[error("{found} tokens are labelled {label}, not one")]
    NotOneToken {
        /// The label.
        label: String,
        /// How many have it.
        found: usize,
    },
    /// What is to be unwrapped is shorter than its vector.
    #[error("the wrapped key is too short")]
    Short,
}

/// A session with a token, logged in as its user.
pub struct Token(Session);

impl Token {
    /// Loads a module and logs in to the one token of this label.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::Module`] if the module cannot be loaded or refuses the
    /// PIN; [`Pkcs11Error::NotOneToken`].
    pub fn open(module: &Path, label: &str, pin: &Secret<String>) -> Result<Token, Pkcs11Error> {
        let failed = |(doing, said)| Pkcs11Error::Module { doing, said };
        let context = module::load(module).map_err(failed)?;
        let fitting = module::slots(&context, label).map_err(failed)?;
        let [slot] = fitting[..] else {
            return Err(Pkcs11Error::NotOneToken {
                label: label.to_owned(),
                found: fitting.len(),
            });
        };
        let session = context
            .open_rw_session(slot)
            .map_err(doing("opening a session"))?;
        // Wiped when dropped, as `Secret` is.
        let pin = AuthPin::new(pin.expose().as_str().into());
        session
            .login(UserType::User, Some(&pin))
            .map_err(doing("logging in to the token"))?;
        Ok(Token(session))
    }

    /// Makes an AES-256 key of this label that never leaves the token, unless
    /// there is one.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::Module`]; [`Pkcs11Error::AmbiguousKey`].
    pub fn ensure_key(&self, label: &str) -> Result<(), Pkcs11Error> {
        match self.key(label) {
            Ok(_) => return Ok(()),
            Err(Pkcs11Error::NoSuchKey(_)) => {}
            Err(other) => return Err(other),
        }
        self.0
            .generate_key(&Mechanism::AesKeyGen, &module::key_template(label))
            .map_err(doing("making a key"))?;
        Ok(())
    }

    /// Wraps a secret under the key of this label. `iv` is never given twice
    /// for one key; `bound_to` must be the same to unwrap.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error`] if there is no such key or the token refuses.
    pub fn wrap(
        &self,
        label: &str,
        mut iv: [u8; IV_BYTES],
        bound_to: &[u8],
        secret: &[u8],
    ) -> Result<Vec<u8>, Pkcs11Error> {
        let key = self.key(label)?;
        let mut wrapped = iv.to_vec();
        let gcm = GcmParams::new(&mut iv, bound_to, TAG_BITS.into()).map_err(doing("wrapping"))?;
        let ciphertext = self
            .0
            .encrypt(&Mechanism::AesGcm(gcm), key, secret)
            .map_err(doing("wrapping"))?;
        wrapped.extend(ciphertext);
        Ok(wrapped)
    }

    /// Unwraps what [`Token::wrap`] made.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error`] if there is no such key, or the token finds that the
    /// wrapped secret is not what this key made for this place.
    pub fn unwrap(
        &self,
        label: &str,
        bound_to: &[u8],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, Pkcs11Error> {
        let key = self.key(label)?;
        let (iv, ciphertext) = wrapped
            .split_first_chunk::<IV_BYTES>()
            .ok_or(Pkcs11Error::Short)?;
        let mut iv = *iv;
        let gcm = GcmParams::new(&mut iv, bound_to, TAG_BITS.into()).map_err(doing("unwrapping"))?;
        self.0
            .decrypt(&Mechanism::AesGcm(gcm), key, ciphertext)
            .map(Secret::new)
            .map_err(doing("unwrapping"))
    }

    fn key(&self, label: &str) -> Result<ObjectHandle, Pkcs11Error> {
        let found = module::keys(&self.0, label).map_err(doing("looking for the key"))?;
        match found[..] {
            [key] => Ok(key),
            [] => Err(Pkcs11Error::NoSuchKey(label.to_owned())),
            _ => Err(Pkcs11Error::AmbiguousKey {
                label: label.to_owned(),
                found: found.len(),
            }),
        }
    }
}

fn doing(doing: &'static str) -> impl FnOnce(cryptoki::error::Error) -> Pkcs11Error {
    move |said| Pkcs11Error::Module { doing, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Command line and log tell an error and all that it came of.
    #[test]
    fn what_the_module_said_is_told_once() {
        let told = Token::open(Path::new("/no-module.so"), "token", &Secret::new(String::new()));
        let mut error: &dyn std::error::Error = &told.err().unwrap();
        let mut chain = error.to_string();
        while let Some(source) = error.source() {
            chain.push_str(&format!(": {source}"));
            error = source;
        }
        assert!(chain.starts_with("loading the module: "), "{chain}");
        assert_eq!(chain.matches("no-module").count(), 1, "{chain}");
    }
}
