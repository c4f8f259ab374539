//! Text of a document that may be a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ground::Secret;
use serde::{Deserialize, Deserializer};

/// No `Debug`, and wiped; the value is in no message either.
pub(crate) struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        Ok(SecretText(Secret::new(String::deserialize(deserializer)?)))
    }
}

impl SecretText {
    pub(crate) fn text(&self) -> &str {
        self.0.expose()
    }

    /// Of base64, as in RFC 4648, section 4.
    pub(crate) fn base64(&self) -> Option<Secret<Vec<u8>>> {
        STANDARD.decode(self.0.expose()).ok().map(Secret::new)
    }

    /// Of base64 for URLs, without padding, as JWK has it.
    pub(crate) fn base64url(&self) -> Option<Secret<Vec<u8>>> {
        URL_SAFE_NO_PAD.decode(self.0.expose()).ok().map(Secret::new)
    }
}
