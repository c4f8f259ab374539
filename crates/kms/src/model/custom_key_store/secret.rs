//! The secrets by which the places of custom key stores are reached, as their rows keep them.
//!
//! Invariant: a secret opens in its own account and region, as that of its own
//! store and name, and nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Random;
use crypto::hierarchy::DomainKey;
use ground::Secret;
use serde::{Deserialize, Serialize};

use super::StoreId;

/// A secret of a store, sealed under a key of its account and region, and bound
/// to the store and to a name that goes with the secret. Base64.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(String);

impl SealedSecret {
    /// Seals a secret.
    ///
    /// # Errors
    ///
    /// [`crypto::Error::Provider`] if the provider fails.
    pub fn seal(
        domain: &DomainKey,
        store: &StoreId,
        name: &str,
        secret: &Secret<String>,
        random: &Random,
    ) -> Result<SealedSecret, crypto::Error> {
        let sealed = domain.seal(&bound_to(store, name), secret.expose().as_bytes(), random)?;
        Ok(SealedSecret(STANDARD.encode(sealed)))
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`crypto::Error::BadCiphertext`] if the row was changed, or the secret
    /// belongs to another store or name.
    pub fn open(
        &self,
        domain: &DomainKey,
        store: &StoreId,
        name: &str,
    ) -> Result<Secret<String>, crypto::Error> {
        let sealed = STANDARD
            .decode(&self.0)
            .map_err(|_| crypto::Error::BadCiphertext)?;
        let opened = domain.open(&bound_to(store, name), &sealed)?;
        let text = std::str::from_utf8(opened.expose()).map_err(|_| crypto::Error::BadCiphertext)?;
        Ok(Secret::new(text.to_owned()))
    }

    /// The same under the current root key; `None` if it is already.
    pub(super) fn resealed(
        &self,
        domain: &DomainKey,
        store: &StoreId,
        name: &str,
        random: &Random,
    ) -> Result<Option<SealedSecret>, crypto::Error> {
        let sealed = STANDARD
            .decode(&self.0)
            .map_err(|_| crypto::Error::BadCiphertext)?;
        let fresh = domain.reseal(&bound_to(store, name), &sealed, random)?;
        Ok(fresh.map(|fresh| SealedSecret(STANDARD.encode(fresh))))
    }

    /// What tells this sealing from every other.
    pub(crate) fn as_text(&self) -> &str {
        &self.0
    }
}

fn bound_to<'a>(store: &'a StoreId, name: &'a str) -> [&'a [u8]; 3] {
    [b"custom key store", store.as_str().as_bytes(), name.as_bytes()]
}

/// A credential of a proxy. The API model calls both halves sensitive.
pub struct Credential {
    /// Upper-case letters and digits.
    pub access_key_id: Secret<String>,
    /// The secret that goes with it.
    pub secret: Secret<String>,
}

/// What a credential is bound to beside its store.
pub(super) const CREDENTIAL: &str = "proxy credential";

impl Credential {
    /// Seals it for a store.
    ///
    /// # Errors
    ///
    /// [`crypto::Error::Provider`] if the provider fails.
    pub fn seal(
        &self,
        domain: &DomainKey,
        store: &StoreId,
        random: &Random,
    ) -> Result<SealedSecret, crypto::Error> {
        SealedSecret::seal(domain, store, CREDENTIAL, &self.to_text(), random)
    }

    /// Opens what [`Credential::seal`] sealed.
    pub(super) fn open(
        sealed: &SealedSecret,
        domain: &DomainKey,
        store: &StoreId,
    ) -> Result<Credential, crypto::Error> {
        let text = sealed.open(domain, store, CREDENTIAL)?;
        let (id, secret) = text
            .expose()
            .split_once('\n')
            .ok_or(crypto::Error::BadCiphertext)?;
        Ok(Credential {
            access_key_id: Secret::new(id.to_owned()),
            secret: Secret::new(secret.to_owned()),
        })
    }

    /// Id and secret with a line end between them, which neither may have.
    fn to_text(&self) -> Secret<String> {
        Secret::new(format!(
            "{}\n{}",
            self.access_key_id.expose(),
            self.secret.expose()
        ))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crypto::hierarchy::RootKey;
    use ground::{AccountId, Region};

    use super::*;

    pub(crate) fn domain(account: &str) -> DomainKey {
        let root = RootKey::generate(&Random::seeded(3));
        root.domain(
            AccountId::parse(account).unwrap(),
            &Region::us_east_1(),
            "kms/custom-key-store",
        )
    }

    #[test]
    fn a_secret_opens_where_it_belongs_and_nowhere_else() {
        let random = Random::seeded(1);
        let (id, other) = (StoreId::generate(&random), StoreId::generate(&random));
        let home = domain("111122223333");
        let secret = Secret::new("a secret".to_owned());
        let sealed = SealedSecret::seal(&home, &id, "KEYID", &secret, &random).unwrap();
        assert_eq!(sealed.open(&home, &id, "KEYID").unwrap().expose(), "a secret");
        assert!(sealed.open(&home, &other, "KEYID").is_err());
        assert!(sealed.open(&home, &id, "KEYIE").is_err());
        assert!(sealed.open(&domain("444455556666"), &id, "KEYID").is_err());
        assert!(!serde_json::to_string(&sealed).unwrap().contains("a secret"));
    }
}
