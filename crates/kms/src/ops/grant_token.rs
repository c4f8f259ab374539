//! Grant tokens.
//!
//! A token names a grant, sealed so that nobody else can make one. Grants count
//! at once, so a token gives its bearer nothing beyond the grant; it is checked
//! for being ours, and `RetireGrant` finds the grant by it.
//!
//! Public for the fuzz targets, which seal what strangers cannot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::{DomainKey, Random};
use gate::Cx;
use ground::AccountId;

use crate::error::Error;
use crate::model::{GrantId, Key, KeyId};

/// Purpose of the domain key that seals tokens.
pub(crate) const PURPOSE: &str = "kms/grant-token";

/// Digits of the account number that a token begins with, in clear: it tells
/// whose domain key opens the rest.
const ACCOUNT_DIGITS: usize = 12;

/// The grant that a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The account that the key belongs to.
    pub owner: AccountId,
    /// The key.
    pub key: KeyId,
    /// The grant on it.
    pub grant: GrantId,
}

/// A fresh token for a grant on `key`.
///
/// # Errors
///
/// [`Error::Crypto`] if the provider fails.
pub(super) fn make(cx: &Cx, key: &Key, grant: &GrantId) -> Result<String, Error> {
    let domain = cx.domain_key(key.account, &key.region, PURPOSE);
    let named = format!("{} {grant}", key.id);
    seal(&domain, key.account, named.as_bytes(), cx.random()).map_err(Error::Crypto)
}

/// Reads a token of this region.
///
/// # Errors
///
/// [`Error::GrantToken`] for anything that [`make`] did not make.
pub(super) fn read(cx: &Cx, token: &str) -> Result<Named, Error> {
    open(token, |owner| cx.domain_key(owner, cx.region(), PURPOSE)).ok_or(Error::GrantToken)
}

/// A token that names whatever `named` says.
///
/// # Errors
///
/// [`crypto::Error::Provider`] if sealing fails.
pub fn seal(
    domain: &DomainKey,
    owner: AccountId,
    named: &[u8],
    random: &Random,
) -> Result<String, crypto::Error> {
    let account = owner.to_string();
    let sealed = domain.seal(&[account.as_bytes()], named, random)?;
    Ok(STANDARD.encode([account.as_bytes(), &sealed].concat()))
}

/// Reads a token that the `domain` of its account sealed.
pub fn open(token: &str, domain: impl FnOnce(AccountId) -> DomainKey) -> Option<Named> {
    let bytes = STANDARD.decode(token).ok()?;
    let (account, sealed) = bytes.split_at_checked(ACCOUNT_DIGITS)?;
    let owner = AccountId::parse(std::str::from_utf8(account).ok()?).ok()?;
    let named = domain(owner).open(&[account], sealed).ok()?;
    let (key, grant) = std::str::from_utf8(named.expose()).ok()?.split_once(' ')?;
    Some(Named {
        owner,
        key: KeyId::parse(key)?,
        grant: GrantId::parse(grant)?,
    })
}

/// Checks the tokens that come with a request.
///
/// # Errors
///
/// [`Error::GrantToken`] if one is not ours. One of a grant that is gone, or of
/// another key, is: it gives nothing.
pub(super) fn check(cx: &Cx, tokens: Option<&[String]>) -> Result<(), Error> {
    for token in tokens.unwrap_or_default() {
        read(cx, token)?;
    }
    Ok(())
}
