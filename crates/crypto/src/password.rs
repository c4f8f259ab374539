//! Passwords of people, kept as Argon2id digests (RFC 9106).
//!
//! A digest carries its own cost, so that the cost can rise over the years.
//!
//! Absent by design: rules of what a password must be, which are the caller's.

use ground::Secret;
use serde::{Deserialize, Serialize};

use crate::slot::Argon2Cost;
use crate::slot::passphrase;
use crate::{Error, Random, constant_time_eq};

/// Bytes of salt. Source: RFC 9106, 4: 128 bits suffice.
const SALT_BYTES: usize = 16;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordDigest {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT_BYTES],
    digest: [u8; 32],
}

impl PasswordDigest {
    /// The digest of a password, with a salt of its own. Takes tens of
    /// milliseconds on purpose: it belongs on the blocking pool.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if there is no memory for it.
    pub fn of(password: &Secret<String>, random: &Random) -> Result<PasswordDigest, Error> {
        let cost = Argon2Cost::MINIMUM;
        let salt = random.bytes();
        let digest = key(password, &salt, cost)?;
        Ok(PasswordDigest {
            memory_kib: cost.memory_kib(),
            passes: cost.passes(),
            lanes: cost.lanes(),
            salt,
            digest: *digest.expose(),
        })
    }

    /// Whether this is the digest of `password`. As slow as making one.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] if the kept cost is out of bounds, or there is no
    /// memory for it.
    pub fn is_of(&self, password: &Secret<String>) -> Result<bool, Error> {
        let cost = Argon2Cost::new(self.memory_kib, self.passes, self.lanes)
            .map_err(|_| Error::Provider("the cost of a password digest"))?;
        let digest = key(password, &self.salt, cost)?;
        Ok(constant_time_eq(digest.expose(), &self.digest))
    }
}

fn key(password: &Secret<String>, salt: &[u8], cost: Argon2Cost) -> Result<Secret<[u8; 32]>, Error> {
    passphrase::key(password.expose().as_bytes(), salt, cost).map_err(|_| Error::Provider("Argon2id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_knows_its_password_and_no_other() {
        let random = Random::seeded(1);
        let password = |text: &str| Secret::new(text.to_owned());
        let one = PasswordDigest::of(&password("correct horse"), &random).unwrap();
        let other = PasswordDigest::of(&password("correct horse"), &random).unwrap();
        assert!(one != other, "each digest has a salt of its own");
        assert!(one.is_of(&password("correct horse")).unwrap());
        assert!(!one.is_of(&password("correct horsf")).unwrap());
        assert!(!one.is_of(&password("")).unwrap());
        let weak = PasswordDigest { memory_kib: 8, ..one };
        assert!(
            weak.is_of(&password("correct horse")).is_err(),
            "a cheaper cost is refused"
        );
    }
}
