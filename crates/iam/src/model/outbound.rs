//! Outbound federation: with what an account vouches for its principals to others.

use serde::{Deserialize, Serialize};

/// What an account vouches with, from when it first did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outbound {
    /// Whether tokens are given out. Those that were are good either way.
    pub(crate) enabled: bool,
    /// The id in the issuer's address.
    pub(crate) id: String,
    /// The issuer's address, by which others know the account.
    pub(crate) issuer: String,
    /// One of each algorithm.
    pub(crate) keys: Vec<TokenKey>,
}

/// A key that tokens are signed with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenKey {
    /// `kid`
    pub(crate) id: String,
    pub(crate) algorithm: TokenAlgorithm,
    /// The SubjectPublicKeyInfo, base64.
    pub(crate) public: String,
    /// The private key, sealed under the account's key and bound to the id; base64.
    pub(crate) sealed: String,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TokenAlgorithm {
    /// RSA with SHA-256.
    Rs256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl TokenAlgorithm {
    /// Both.
    pub(crate) const ALL: [TokenAlgorithm; 2] = [TokenAlgorithm::Rs256, TokenAlgorithm::Es384];

    /// As tokens name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TokenAlgorithm::Rs256 => "RS256",
            TokenAlgorithm::Es384 => "ES384",
        }
    }

    /// The one of that name.
    pub(crate) fn parse(name: &str) -> Option<TokenAlgorithm> {
        TokenAlgorithm::ALL.into_iter().find(|known| known.name() == name)
    }
}
