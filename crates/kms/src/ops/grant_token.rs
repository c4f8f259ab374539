//! Grant tokens.
//!
//! A token names a grant, sealed so that nobody else can make one. Grants count
//! at once, so a token gives its bearer nothing beyond the grant; it is checked
//! for being ours, and `RetireGrant` finds the grant by it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::Cx;
use ground::AccountId;

use crate::error::Error;
use crate::model::{GrantId, Key, KeyId};

/// Purpose of the domain key that seals tokens.
const PURPOSE: &str = "kms/grant-token";

/// Digits of the account number that a token begins with, in clear: it tells
/// whose domain key opens the rest.
const ACCOUNT_DIGITS: usize = 12;

/// The grant that a token names.
pub(super) struct Named {
    pub(super) owner: AccountId,
    pub(super) key: KeyId,
    pub(super) grant: GrantId,
}

/// A fresh token for a grant on `key`.
///
/// # Errors
///
/// [`Error::Crypto`] if the provider fails.
pub(super) fn make(cx: &Cx, key: &Key, grant: &GrantId) -> Result<String, Error> {
    let account = key.account.to_string();
    let domain = cx.domain_key(key.account, &key.region, PURPOSE);
    let named = format!("{} {grant}", key.id);
    let sealed = domain.seal(&[account.as_bytes()], named.as_bytes(), cx.random());
    let sealed = sealed.map_err(Error::Crypto)?;
    Ok(STANDARD.encode([account.as_bytes(), &sealed].concat()))
}

/// Reads a token of this region.
///
/// # Errors
///
/// [`Error::GrantToken`] for anything that [`make`] did not make.
pub(super) fn read(cx: &Cx, token: &str) -> Result<Named, Error> {
    open(cx, token).ok_or(Error::GrantToken)
}

fn open(cx: &Cx, token: &str) -> Option<Named> {
    let bytes = STANDARD.decode(token).ok()?;
    let (account, sealed) = bytes.split_at_checked(ACCOUNT_DIGITS)?;
    let owner = AccountId::parse(std::str::from_utf8(account).ok()?).ok()?;
    let domain = cx.domain_key(owner, cx.region(), PURPOSE);
    let named = domain.open(&[account], sealed).ok()?;
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
