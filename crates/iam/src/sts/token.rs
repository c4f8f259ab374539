//! Session tokens: temporary credentials that carry all there is to know of
//! themselves, so that no row is kept of them.
//!
//! A token is its session's claims, sealed under the key of the session's
//! account and bound to the access key id, in base64. The account is read from
//! the access key id, which carries it; a token presented with another key id
//! does not open.
//!
//! What a token claims is frozen: session policies, tags, source identity.
//! The role or user behind it is looked up at each call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::hierarchy::SEAL_OVERHEAD_BYTES;
use crypto::{DomainKey, Random};
use ground::{AccountId, Secret, Timestamp, id};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::SESSION_TOKEN_MAX;
use crate::model::Tag;
use crate::ops::access_key::new_secret;

/// What session tokens are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "sts/session";

/// What temporary credentials say of themselves.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) secret: SecretKey,
    pub(crate) who: Who,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// The policies passed; `None` if none were.
    pub(crate) policies: Option<SessionPolicies>,
    /// Session tags, those inherited through a chain among them.
    pub(crate) tags: Vec<Tag>,
    /// Keys of the tags that travel on.
    pub(crate) transitive_tag_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
    /// When a second factor was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mfa: Option<Timestamp>,
    /// Who vouched for the bearer, if a foreign provider did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) federated: Option<Federated>,
}

/// What a session keeps of the foreign provider that vouched for its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Federated {
    /// The provider's ARN: `aws:FederatedProvider`.
    pub(crate) provider: String,
    /// Whether it is one of OpenID Connect.
    pub(crate) is_web: bool,
    /// Condition keys of its that the session goes on to have.
    pub(crate) keys: Vec<(String, String)>,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Who {
    /// From `AssumeRoot`: the root user, for the task whose policy was passed.
    AssumedRoot,
    /// From `GetFederationToken`.
    Federated {
        /// As given.
        name: String,
        /// `AIDA…`; `None` if the root user asked.
        parent_id: Option<String>,
    },
    /// From `AssumeRole`.
    Role {
        /// `AROA…`
        id: String,
        /// Begins and ends with a slash.
        path: String,
        name: String,
        session_name: String,
    },
    /// From `GetSessionToken` by the root user.
    Root,
    /// From `GetSessionToken` by a user.
    User {
        /// `AIDA…`
        id: String,
    },
}

/// Policies passed when a session was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionPolicies {
    /// The text of the inline one.
    pub(crate) inline: Option<String>,
    /// ARNs of managed ones in the session's account.
    pub(crate) arns: Vec<String>,
}

/// A secret access key that is only ever written into a sealed token.
pub(crate) struct SecretKey(pub(crate) Secret<String>);

impl Serialize for SecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for SecretKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretKey, D::Error> {
        Ok(SecretKey(Secret::new(String::deserialize(deserializer)?)))
    }
}

/// Credentials as a client gets them.
pub(crate) struct Issued {
    /// `ASIA…`
    pub(crate) access_key_id: String,
    pub(crate) secret: Secret<String>,
    pub(crate) token: String,
    pub(crate) expires: Timestamp,
}

/// Everything of a session but its secret.
pub(crate) struct Wanted {
    pub(crate) who: Who,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) policies: Option<SessionPolicies>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) transitive_tag_keys: Vec<String>,
    pub(crate) source_identity: Option<String>,
    /// When a second factor was seen.
    pub(crate) mfa: Option<Timestamp>,
    /// Fewest characters of the token.
    pub(crate) token_length_min: usize,
    /// Who vouched for the bearer, if a foreign provider did.
    pub(crate) federated: Option<Federated>,
}

/// Makes the credentials of a session in `account`, whose key is `domain`.
///
/// # Errors
///
/// [`crypto::Error::Provider`] if sealing fails.
pub(crate) fn issue(
    domain: &DomainKey,
    random: &Random,
    account: AccountId,
    wanted: Wanted,
) -> Result<Issued, crypto::Error> {
    let access_key_id = id::access_key_id("ASIA", account, random.bytes());
    let secret = new_secret(random);
    // A token is valid to the second its Expiration names.
    let expires = Timestamp::from_seconds(wanted.expires.seconds());
    let claims = Claims {
        secret: SecretKey(secret.duplicate()),
        who: wanted.who,
        issued: wanted.issued,
        expires,
        policies: wanted.policies,
        tags: wanted.tags,
        transitive_tag_keys: wanted.transitive_tag_keys,
        source_identity: wanted.source_identity,
        mfa: wanted.mfa,
        federated: wanted.federated,
    };
    let text = serde_json::to_vec(&claims).map_err(|_| crypto::Error::Provider("session claims as JSON"))?;
    let mut text = Secret::new(text);
    // Spaces behind the claims lengthen the token; base64 makes four characters of three bytes.
    let bytes_min = (wanted.token_length_min / 4 * 3 + 3).saturating_sub(SEAL_OVERHEAD_BYTES);
    if wanted.token_length_min > 0 && text.expose().len() < bytes_min {
        text.expose_mut().resize(bytes_min, b' ');
    }
    let sealed = domain.seal(&[access_key_id.as_bytes()], text.expose(), random)?;
    Ok(Issued {
        token: STANDARD.encode(sealed),
        access_key_id,
        secret,
        expires,
    })
}

/// The claims of a token presented with `access_key_id`; `None` if it was not
/// made for that key, or was altered.
pub(crate) fn open(domain: &DomainKey, access_key_id: &str, token: &str) -> Option<Claims> {
    if token.len() > SESSION_TOKEN_MAX {
        return None;
    }
    let sealed = STANDARD.decode(token).ok()?;
    let text = domain.open(&[access_key_id.as_bytes()], &sealed).ok()?;
    serde_json::from_slice(text.expose()).ok()
}

/// For the fuzz target, which seals what strangers cannot: the claims of a token
/// as JSON, as [`issue`] would write them; `None` where [`open`] says so.
#[doc(hidden)]
pub fn claims_of_token(domain: &DomainKey, access_key_id: &str, token: &str) -> Option<Secret<Vec<u8>>> {
    let claims = open(domain, access_key_id, token)?;
    serde_json::to_vec(&claims).ok().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use crypto::RootKey;
    use ground::Region;
    use proptest::prelude::*;

    use super::*;

    fn account() -> AccountId {
        AccountId::parse("123456789012").unwrap()
    }

    fn domain(seed: u64, account: AccountId) -> DomainKey {
        RootKey::generate(&Random::seeded(seed)).domain(account, &Region::us_east_1(), SEALED_FOR)
    }

    fn wanted(token_length_min: usize) -> Wanted {
        Wanted {
            who: Who::Role {
                id: "AROA1".into(),
                path: "/".into(),
                name: "r".into(),
                session_name: "s".into(),
            },
            issued: Timestamp(1_000),
            expires: Timestamp(3_601_999),
            policies: Some(SessionPolicies {
                inline: Some("{}".into()),
                arns: vec![],
            }),
            tags: vec![Tag {
                key: "Team".into(),
                value: "a".into(),
            }],
            transitive_tag_keys: vec!["Team".into()],
            source_identity: Some("bob".into()),
            mfa: None,
            token_length_min,
            federated: None,
        }
    }

    #[test]
    fn a_token_says_what_it_was_made_of() {
        let domain = domain(1, account());
        let issued = issue(&domain, &Random::seeded(2), account(), wanted(0)).unwrap();
        assert_eq!(id::account_of_access_key(&issued.access_key_id), Some(account()));
        let claims = open(&domain, &issued.access_key_id, &issued.token).unwrap();
        assert_eq!(claims.secret.0.expose(), issued.secret.expose());
        assert_eq!(claims.who, wanted(0).who);
        assert_eq!(claims.expires, Timestamp(3_601_000));
        assert_eq!(claims.tags, wanted(0).tags);
        assert_eq!(claims.policies, wanted(0).policies);
    }

    #[test]
    fn a_token_is_bound_to_key_id_account_and_root_key() {
        let own = domain(1, account());
        let issued = issue(&own, &Random::seeded(2), account(), wanted(0)).unwrap();
        let other = issue(&own, &Random::seeded(3), account(), wanted(0)).unwrap();
        assert!(open(&own, &other.access_key_id, &issued.token).is_none());
        let neighbour = domain(1, AccountId::parse("123456789013").unwrap());
        assert!(open(&neighbour, &issued.access_key_id, &issued.token).is_none());
        assert!(open(&domain(9, account()), &issued.access_key_id, &issued.token).is_none());
        assert!(open(&own, &issued.access_key_id, &"A".repeat(SESSION_TOKEN_MAX + 4)).is_none());
    }

    proptest! {
        /// Whatever character is changed, the token does not open.
        #[test]
        fn an_altered_token_does_not_open(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9+/=\\PC]") {
            let domain = domain(1, account());
            let issued = issue(&domain, &Random::seeded(2), account(), wanted(0)).unwrap();
            let mut letters: Vec<char> = issued.token.chars().collect();
            let at = at.index(letters.len());
            let other = other.chars().next().unwrap();
            prop_assume!(letters[at] != other);
            letters[at] = other;
            let altered: String = letters.into_iter().collect();
            prop_assert!(open(&domain, &issued.access_key_id, &altered).is_none());
        }

        /// A token is at least as long as was asked.
        #[test]
        fn tokens_reach_the_length_asked_for(length in 0usize..=4096) {
            let domain = domain(1, account());
            let issued = issue(&domain, &Random::seeded(2), account(), wanted(length)).unwrap();
            prop_assert!(issued.token.len() >= length);
            prop_assert!(open(&domain, &issued.access_key_id, &issued.token).is_some());
        }

        #[test]
        fn opening_is_total(token in "\\PC{0,200}") {
            prop_assert!(open(&domain(1, account()), "ASIA", &token).is_none());
        }
    }
}
