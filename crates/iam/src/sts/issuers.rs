//! The keys of OpenID Connect issuers: given by the operator, or fetched.
//!
//! An issuer tells at `/.well-known/openid-configuration` where its keys are.
//! Both documents are fetched through the guarded way out, under the
//! thumbprints of the provider that asks, and kept for [`KEYS_KEPT_FOR`]. A
//! token that names a key which is not among those kept has them fetched anew,
//! as issuers change keys, but no sooner than [`KEYS_ASKED_AGAIN_AFTER`]: a
//! stranger must not have us knock at others' doors at will.
//!
//! Absent by design: what an operator gave is never fetched, and nothing is
//! where there is no way out.

use std::collections::HashMap;
use std::sync::Arc;

use federation::jwt::{BadKeys, Keys, Unproven};
use ground::Timestamp;
use outbound::{Outbound, OutboundError, Thumbprint};
use quick_cache::sync::Cache;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::limits::{ISSUERS_KEPT_MAX, KEYS_ASKED_AGAIN_AFTER, KEYS_FAILED_FOR, KEYS_KEPT_FOR};
use crate::model::OidcProvider;

/// How the keys of OpenID Connect issuers are come by.
pub struct Issuers {
    /// `None` where nothing may be fetched.
    outbound: Option<Outbound>,
    /// By address without scheme.
    given: HashMap<String, Arc<Keys>>,
    fetched: Cache<Asked, Arc<Mutex<Option<Fetched>>>>,
}

/// Whose keys, and which certificates may show them: providers of one address
/// with other thumbprints do not share what was fetched.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked {
    url: String,
    thumbprints: Vec<String>,
}

/// What was fetched last.
struct Fetched {
    at: Timestamp,
    keys: Result<Arc<Keys>, Failed>,
}

/// Why nothing was.
#[derive(Clone, Copy)]
enum Failed {
    /// Nobody answered.
    Unreachable,
    /// What answered told no keys.
    Unusable,
}

impl Issuers {
    /// Keys given for issuers, by address without `https://`, and the way out
    /// to fetch those of others; `None` to fetch none.
    pub fn new(given: HashMap<String, Arc<Keys>>, outbound: Option<Outbound>) -> Issuers {
        Issuers {
            outbound,
            given,
            fetched: Cache::new(ISSUERS_KEPT_MAX),
        }
    }

    /// No keys, and no way to any.
    pub fn none() -> Issuers {
        Issuers::new(HashMap::new(), None)
    }

    /// The keys of a provider, among them the one that `token` names if there is one.
    ///
    /// It waits for a foreign network, which no job could do before: nobody
    /// knows whose token comes next. The wait is bounded where it is made.
    ///
    /// # Errors
    ///
    /// [`Error::IdpCommunication`] if nobody answers there,
    /// [`Error::InvalidIdentityToken`] if no keys are told.
    pub(crate) async fn keys(
        &self,
        provider: &OidcProvider,
        token: &Unproven<'_>,
        now: Timestamp,
    ) -> Result<Arc<Keys>, Error> {
        if let Some(given) = self.given.get(&provider.url) {
            return Ok(Arc::clone(given));
        }
        let Some(outbound) = &self.outbound else {
            return Err(no_keys());
        };
        let has_key = |keys: &Keys| {
            token
                .is_key_among(keys)
                .map_err(|bad| Error::InvalidIdentityToken(bad.to_string()))
        };
        // A token that could never be proven is no reason to ask anyone.
        has_key(&Keys::default())?;
        let asked = Asked {
            url: provider.url.clone(),
            thumbprints: provider.thumbprints.clone(),
        };
        let kept = self
            .fetched
            .get_or_insert_with(&asked, || Ok::<_, Error>(Arc::default()))?;
        // One asks, and the others wait for what it is told.
        let mut kept = kept.lock().await;
        if let Some(fetched) = &*kept {
            let age = now.since(fetched.at);
            match &fetched.keys {
                Ok(keys) if age < KEYS_KEPT_FOR && (age < KEYS_ASKED_AGAIN_AFTER || has_key(keys)?) => {
                    return Ok(Arc::clone(keys));
                }
                Err(failed) if age < KEYS_FAILED_FOR => return Err(failed.told()),
                Ok(_) | Err(_) => {}
            }
        }
        let keys = fetch(outbound, provider).await;
        *kept = Some(Fetched {
            at: now,
            keys: keys.clone(),
        });
        keys.map_err(Failed::told)
    }
}

impl Failed {
    fn told(self) -> Error {
        match self {
            Failed::Unreachable => Error::IdpCommunication,
            Failed::Unusable => no_keys(),
        }
    }
}

fn no_keys() -> Error {
    Error::InvalidIdentityToken(
        "Couldn't retrieve verification key from your identity provider, please reference \
         AssumeRoleWithWebIdentity documentation for requirements"
            .to_owned(),
    )
}

/// What an issuer says of itself (OpenID Connect Discovery 1.0, 3).
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

/// Why keys were not fetched, for the log.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("its configuration is not one of OpenID Connect Discovery")]
    Configuration,
    #[error("its configuration is of another issuer")]
    Issuer,
    #[error(transparent)]
    Keys(#[from] BadKeys),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

async fn fetch(outbound: &Outbound, provider: &OidcProvider) -> Result<Arc<Keys>, Failed> {
    match try_fetch(outbound, provider).await {
        Ok(keys) => Ok(Arc::new(keys)),
        Err(problem) => {
            tracing::warn!(issuer = provider.url, %problem, "the keys of an OpenID Connect provider cannot be fetched");
            Err(match problem {
                Problem::Outbound(
                    OutboundError::Connection { .. } | OutboundError::Time { .. } | OutboundError::Tls { .. },
                ) => Failed::Unreachable,
                _ => Failed::Unusable,
            })
        }
    }
}

async fn try_fetch(outbound: &Outbound, provider: &OidcProvider) -> Result<Keys, Problem> {
    let thumbprints: Vec<Thumbprint> = provider
        .thumbprints
        .iter()
        .filter_map(|text| thumbprint(text))
        .collect();
    let issuer = format!("https://{}", provider.url);
    let place = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let document = outbound.get(&place, &thumbprints).await?;
    let configuration: Configuration =
        serde_json::from_slice(&document).map_err(|_| Problem::Configuration)?;
    if configuration.issuer != issuer {
        return Err(Problem::Issuer);
    }
    let document = outbound.get(&configuration.jwks_uri, &thumbprints).await?;
    Ok(Keys::parse(&document)?)
}

fn thumbprint(text: &str) -> Option<Thumbprint> {
    let mut bytes = Thumbprint::default();
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
