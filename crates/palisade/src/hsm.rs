//! The clusters in which the keys of AWS CloudHSM key stores live: PKCS#11
//! tokens that the operator named.
//!
//! Each has a [`helper`], a process of its own in which its module runs. The
//! password goes there at every login and is kept nowhere in the server.
//!
//! Invariant: which module runs is said by the operator's configuration alone.
//! A request names a cluster by its id, and finds it only from the account and
//! region that the operator gave it to.
//!
//! Absent by design: making clusters, and more than one token to a cluster.

mod helper;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cloudhsm::message::{Hidden, LABELS_MAX, Refusal, Request, Setup, Vectors};
use ground::{AccountId, Region, Secret};
use kms::hsm::{
    ASSOCIATED_BYTES_MAX, Answer, Cluster, Clusters, KeyError, LABEL_BYTES_MAX, LoginError, OVERHEAD_BYTES,
    PLAINTEXT_BYTES_MAX, RANDOM_BYTES_MAX,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::files;
use helper::{Failure, Helper};

pub(crate) use helper::{HELPER, help};

/// Most clusters of one server.
const CLUSTERS_MAX: usize = 16;

/// `[[key_stores.cluster]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterSettings {
    /// `cluster-` and 11 to 16 letters and digits from 2 to 7: what key stores call it.
    id: String,
    /// The account that may make a key store of it.
    account: String,
    /// The region in which it may. Default: the server's.
    region: Option<Region>,
    /// The PKCS#11 module, by its whole path.
    module: PathBuf,
    /// The label of the token.
    token: String,
    /// The user, where the token's PIN is `USER:PASSWORD`, as CloudHSM's.
    /// Default: the PIN is the password.
    user: Option<String>,
    /// PEM file with the certificate that `CreateCustomKeyStore` must show.
    trust_anchor: PathBuf,
    /// The module makes the vectors of AES-GCM itself, as CloudHSM's. Default:
    /// false, they are made at random and given to it.
    #[serde(default)]
    module_vectors: bool,
    /// The user is given another password, which nobody knows, whenever a key store
    /// connects, as AWS does. Default: false. CloudHSM's module cannot (it has no
    /// `C_SetPIN`).
    #[serde(default)]
    rotate_password: bool,
}

/// The clusters of these settings; `None` if there are none. `home` is the
/// server's own region. No helper is started yet.
///
/// # Errors
///
/// If a setting cannot be, or a certificate not be read.
pub(crate) fn clusters(settings: &[ClusterSettings], home: &Region) -> Result<Option<Arc<dyn Clusters>>> {
    if settings.len() > CLUSTERS_MAX {
        bail!(
            "there are {} clusters; at most {CLUSTERS_MAX} are served",
            settings.len()
        );
    }
    let mut tokens: Vec<Arc<Token>> = Vec::with_capacity(settings.len());
    for said in settings {
        if tokens.iter().any(|known| known.id == said.id) {
            bail!("the cluster {} is there twice", said.id);
        }
        let token = Token::new(said, home).with_context(|| format!("the cluster {} cannot be", said.id))?;
        tokens.push(Arc::new(token));
    }
    Ok(if tokens.is_empty() {
        None
    } else {
        Some(Arc::new(Tokens(tokens)))
    })
}

/// The labels in a cluster that could be ids of KMS keys, in order, for its operator,
/// who has the password of its user. Nothing is changed; he logs in and out again, by
/// a helper of his own.
///
/// # Errors
///
/// If there is no such cluster among the settings, or it does not tell.
pub(crate) async fn key_ids(
    settings: &[ClusterSettings],
    cluster: &str,
    home: &Region,
    password: &Secret<String>,
) -> Result<Vec<String>> {
    let said = settings.iter().find(|said| said.id == cluster);
    let said = said.with_context(|| format!("the settings name no cluster {cluster}"))?;
    let token = Token::new(said, home).with_context(|| format!("the cluster {cluster} cannot be"))?;
    token.log_in(password).await?;
    let mut found: Vec<String> = Vec::new();
    let outcome = loop {
        let after = found.last().map_or("", String::as_str);
        let page = match token.helper.ask(&Request::Labels { after }).await {
            Ok(page) => page,
            Err(failure) => break Err(failure),
        };
        let before = found.len();
        let lines = String::from_utf8_lossy(page.expose());
        // A module that goes in circles is not followed.
        let further: Vec<String> = lines
            .lines()
            .filter(|line| *line > after)
            .map(str::to_owned)
            .collect();
        found.extend(further);
        if found.len() - before < LABELS_MAX {
            break Ok(found);
        }
    };
    token.log_out().await;
    token.helper.stop().await;
    Ok(outcome?)
}

/// Every cluster there is.
#[derive(Debug)]
struct Tokens(Vec<Arc<Token>>);

impl Clusters for Tokens {
    fn cluster(&self, account: AccountId, region: &Region, id: &str) -> Option<Arc<dyn Cluster>> {
        let found = self
            .0
            .iter()
            .find(|token| token.id == id && token.account == account && token.region == *region)?;
        Some(Arc::clone(found) as Arc<dyn Cluster>)
    }
}

/// A token that serves as a cluster.
#[derive(Debug)]
struct Token {
    id: String,
    account: AccountId,
    region: Region,
    user: Option<String>,
    rotates_password: bool,
    /// DER.
    trust_anchor: Vec<u8>,
    helper: Helper,
}

impl Token {
    fn new(said: &ClusterSettings, home: &Region) -> Result<Token> {
        let plain = |id: &str| {
            (11..=16).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte))
        };
        if !said.id.strip_prefix("cluster-").is_some_and(plain) {
            bail!("its id is not cluster- and 11 to 16 letters and digits from 2 to 7");
        }
        if !said.module.is_absolute() {
            bail!("{} is no whole path of a module", said.module.display());
        }
        if said.user.as_ref().is_some_and(|user| user.contains(':')) {
            bail!("its user has a colon in his name");
        }
        let pem = files::read_bytes(&said.trust_anchor)?;
        let Ok(trust_anchor) = CertificateDer::from_pem_slice(&pem) else {
            bail!("{} holds no certificate in PEM", said.trust_anchor.display());
        };
        Ok(Token {
            id: said.id.clone(),
            account: AccountId::parse(&said.account)?,
            region: said.region.clone().unwrap_or_else(|| home.clone()),
            user: said.user.clone(),
            rotates_password: said.rotate_password,
            trust_anchor: trust_anchor.to_vec(),
            helper: Helper::new(
                &said.id,
                Setup {
                    module: said.module.clone(),
                    token: said.token.clone(),
                    vectors: if said.module_vectors {
                        Vectors::Module
                    } else {
                        Vectors::Ours
                    },
                },
            ),
        })
    }

    /// What logs in with this password.
    fn pin(&self, password: &Secret<String>) -> Secret<String> {
        let Some(user) = &self.user else {
            return password.duplicate();
        };
        // Its room is there from the start, so that nothing is left behind.
        let mut pin = String::with_capacity(user.len() + 1 + password.expose().len());
        pin.push_str(user);
        pin.push(':');
        pin.push_str(password.expose());
        Secret::new(pin)
    }

    async fn of_key(&self, label: &str, request: Request<'_>) -> Result<Secret<Vec<u8>>, KeyError> {
        within("label", label.len(), LABEL_BYTES_MAX)?;
        self.helper.ask(&request).await.map_err(key_error)
    }
}

impl Cluster for Token {
    fn is_trust_anchor(&self, pem: &str) -> bool {
        CertificateDer::from_pem_slice(pem.as_bytes()).is_ok_and(|given| *given == *self.trust_anchor)
    }

    fn is_active(&self) -> Answer<'_, bool> {
        Box::pin(async {
            match self.helper.ask(&Request::Active).await {
                Ok(_) => true,
                Err(why) => {
                    tracing::warn!(cluster = self.id, %why, "the cluster is not active");
                    false
                }
            }
        })
    }

    fn log_in<'a>(&'a self, password: &'a Secret<String>) -> Answer<'a, Result<(), LoginError>> {
        Box::pin(async {
            let pin = self.pin(password);
            let request = Request::LogIn {
                pin: Hidden(pin.expose().as_bytes()),
            };
            match self.helper.ask(&request).await {
                Ok(_) => Ok(()),
                Err(failure) => Err(login_error(failure)),
            }
        })
    }

    fn rotates_password(&self) -> bool {
        self.rotates_password
    }

    fn change_password<'a>(
        &'a self,
        from: &'a Secret<String>,
        to: &'a Secret<String>,
    ) -> Answer<'a, Result<(), LoginError>> {
        Box::pin(async {
            let (from, to) = (self.pin(from), self.pin(to));
            let request = Request::ChangePin {
                from: Hidden(from.expose().as_bytes()),
                to: Hidden(to.expose().as_bytes()),
            };
            self.helper.ask(&request).await.map(drop).map_err(login_error)
        })
    }

    fn log_out(&self) -> Answer<'_, ()> {
        Box::pin(async {
            // Who cannot be reached holds no login.
            if self.helper.ask_if_running(&Request::LogOut).await.is_err() {
                self.helper.stop().await;
            }
        })
    }

    fn make_key<'a>(&'a self, label: &'a str) -> Answer<'a, Result<(), KeyError>> {
        Box::pin(async move { self.of_key(label, Request::Make { label }).await.map(drop) })
    }

    fn delete_key<'a>(&'a self, label: &'a str) -> Answer<'a, Result<(), KeyError>> {
        Box::pin(async move { self.of_key(label, Request::Delete { label }).await.map(drop) })
    }

    fn encrypt<'a>(
        &'a self,
        label: &'a str,
        associated: &'a [u8],
        plaintext: &'a [u8],
    ) -> Answer<'a, Result<Vec<u8>, KeyError>> {
        Box::pin(async move {
            within("associated data", associated.len(), ASSOCIATED_BYTES_MAX)?;
            within("plaintext", plaintext.len(), PLAINTEXT_BYTES_MAX)?;
            let request = Request::Encrypt {
                label,
                associated,
                plaintext: Hidden(plaintext),
            };
            let sealed = self.of_key(label, request).await?;
            if sealed.expose().len() != plaintext.len() + OVERHEAD_BYTES {
                return Err(KeyError::Unreachable("the helper's answer is cut off".to_owned()));
            }
            Ok(sealed.expose().clone())
        })
    }

    fn decrypt<'a>(
        &'a self,
        label: &'a str,
        associated: &'a [u8],
        ciphertext: &'a [u8],
    ) -> Answer<'a, Result<Secret<Vec<u8>>, KeyError>> {
        Box::pin(async move {
            if associated.len() > ASSOCIATED_BYTES_MAX
                || ciphertext.len() > PLAINTEXT_BYTES_MAX + OVERHEAD_BYTES
            {
                // Nothing so long was ever made.
                return Err(KeyError::Forged);
            }
            let request = Request::Decrypt {
                label,
                associated,
                ciphertext,
            };
            self.of_key(label, request).await
        })
    }

    fn random(&self, bytes: usize) -> Answer<'_, Result<Secret<Vec<u8>>, KeyError>> {
        Box::pin(async move {
            within("random bytes", bytes, RANDOM_BYTES_MAX)?;
            let request = Request::Random {
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            };
            let made = self.of_key("", request).await?;
            if made.expose().len() != bytes {
                return Err(KeyError::Unreachable("the helper's answer is cut off".to_owned()));
            }
            Ok(made)
        })
    }
}

fn within(what: &str, length: usize, length_max: usize) -> Result<(), KeyError> {
    if length > length_max {
        return Err(KeyError::Refused(format!(
            "{what}: {length} bytes are more than {length_max}"
        )));
    }
    Ok(())
}

fn login_error(failure: Failure) -> LoginError {
    let refusal = match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Unreachable(why) => return LoginError::Network(why),
    };
    match refusal {
        Refusal::Broken(why) | Refusal::Unwilling(why) => LoginError::Internal(why),
        Refusal::Exists | Refusal::Forged | Refusal::LoggedOut | Refusal::NoSuchKey => {
            LoginError::Internal(refusal.to_string())
        }
        Refusal::LockedOut => LoginError::UserLockedOut,
        Refusal::NoToken(why) => LoginError::InsufficientHsms(why),
        Refusal::NoUser => LoginError::UserNotFound,
        Refusal::UserElsewhere => LoginError::UserLoggedIn,
        Refusal::WrongPin => LoginError::InvalidCredentials,
    }
}

fn key_error(failure: Failure) -> KeyError {
    let refusal = match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Unreachable(why) => return KeyError::Unreachable(why),
    };
    match refusal {
        Refusal::Broken(why) | Refusal::NoToken(why) => KeyError::Unreachable(why),
        Refusal::Exists => KeyError::Exists,
        Refusal::Forged => KeyError::Forged,
        Refusal::LockedOut | Refusal::NoUser | Refusal::UserElsewhere | Refusal::WrongPin => {
            KeyError::Refused(refusal.to_string())
        }
        Refusal::LoggedOut => KeyError::LoggedOut,
        Refusal::NoSuchKey => KeyError::NoSuchKey,
        Refusal::Unwilling(why) => KeyError::Refused(why),
    }
}
