//! Credentials of users for one service alone, as they are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::{AccountId, Secret, Timestamp};
use serde::{Deserialize, Serialize};

/// What a service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    /// One secret that says whose it is, and may expire.
    ApiKey,
    /// A user name and a password.
    Password,
}

/// The services that take such credentials (IAM API Reference,
/// CreateServiceSpecificCredential).
const SERVICES: [(&str, CredentialKind); 4] = [
    ("bedrock.amazonaws.com", CredentialKind::ApiKey),
    ("cassandra.amazonaws.com", CredentialKind::Password),
    ("codecommit.amazonaws.com", CredentialKind::Password),
    ("logs.amazonaws.com", CredentialKind::ApiKey),
];

impl CredentialKind {
    /// What the service takes; `None` if it has no credentials of its own.
    pub(crate) fn of_service(service: &str) -> Option<CredentialKind> {
        let found = SERVICES.iter().find(|(name, _)| *name == service);
        found.map(|(_, kind)| *kind)
    }
}

/// A credential of a user for one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServiceCredential {
    /// `ACCA…`
    pub(crate) id: String,
    /// `codecommit.amazonaws.com` and its like.
    pub(crate) service: String,
    /// By whom the service knows the user, unlike any other name for the same
    /// service. It outlasts a new name of the user.
    pub(crate) name_there: String,
    pub(crate) created: Timestamp,
    /// Since when it is good for nothing; `None` for never.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) active: bool,
    /// SHA-256 of the password or key, in base64: both are too random to be guessed.
    pub(crate) digest: String,
}

/// `jane-at-123456789012`, or `jane+1-at-…` where that is taken.
pub(crate) fn name_there(user_name: &str, account: AccountId, taken: &[&str]) -> String {
    let mut number = 0u32;
    loop {
        let name = match number {
            0 => format!("{user_name}-at-{account}"),
            _ => format!("{user_name}+{number}-at-{account}"),
        };
        if !taken.contains(&name.as_str()) {
            return name;
        }
        number += 1;
    }
}

/// The secret that a credential is proven by, from random bytes.
pub(crate) fn secret(kind: CredentialKind, name_there: &str, random: &Secret<[u8; 32]>) -> Secret<String> {
    let password = Secret::new(STANDARD.encode(random.expose()));
    match kind {
        CredentialKind::Password => password,
        CredentialKind::ApiKey => {
            let whole = Secret::new(format!("{name_there}:{}", password.expose()));
            Secret::new(format!("ABSK{}", STANDARD.encode(whole.expose())))
        }
    }
}

/// How a secret is known again.
pub(crate) fn digest(secret: &Secret<String>) -> String {
    STANDARD.encode(crypto::sha256(&[secret.expose().as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_alike() {
        let account = AccountId::parse("123456789012").unwrap();
        let first = name_there("jane", account, &[]);
        assert_eq!(first, "jane-at-123456789012");
        let second = name_there("jane", account, &[&first]);
        assert_eq!(second, "jane+1-at-123456789012");
        assert_eq!(name_there("jane", account, &[&second]), first);
    }

    #[test]
    fn a_key_says_whose_it_is_and_a_password_does_not() {
        let random = Secret::new([7; 32]);
        let password = secret(CredentialKind::Password, "jane-at-1", &random);
        assert_eq!(password.expose().len(), 44);
        let key = secret(CredentialKind::ApiKey, "jane-at-1", &random);
        let told = STANDARD.decode(&key.expose()[4..]).unwrap();
        assert_eq!(told, format!("jane-at-1:{}", password.expose()).into_bytes());
        assert_ne!(digest(&key), digest(&password));
    }
}
