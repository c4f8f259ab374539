//! An AES key on a PKCS#11 token; see [`cloudhsm::pkcs11`].

use anyhow::{Context, Result};
use cloudhsm::pkcs11::Token;
use crypto::Random;
use crypto::slot::{Kept, Pkcs11Keeper};
use ground::Secret;

use super::{Key, Means, file_or_credential, whole};
use crate::files;

/// The name under which systemd hands over the PIN.
const CREDENTIAL_NAME: &str = "palisade-seal-pin";

/// Wraps a key under the token's key of this label, which is made if it is not
/// there.
pub(super) fn wrap(
    means: &Means,
    store_id: &str,
    token: &str,
    label: &str,
    key: &Key,
    random: &Random,
) -> Result<Pkcs11Keeper> {
    let session = open(means, token)?;
    session.ensure_key(label)?;
    let wrapped = session.wrap(label, random.bytes(), store_id.as_bytes(), key.expose())?;
    Ok(Pkcs11Keeper {
        token: token.to_owned(),
        key: label.to_owned(),
        ciphertext: Kept::new(&wrapped)?,
    })
}

/// Unwraps a key.
pub(super) fn unwrap(means: &Means, store_id: &str, keeper: &Pkcs11Keeper) -> Result<Key> {
    let session = open(means, &keeper.token)?;
    whole(&session.unwrap(&keeper.key, store_id.as_bytes(), keeper.ciphertext.bytes())?)
}

fn open(means: &Means, token: &str) -> Result<Token> {
    let module = means
        .pkcs11_module
        .as_ref()
        .context("say which module speaks to the token: --pkcs11-module FILE")?;
    let pin = file_or_credential(means.pkcs11_pin_file.as_ref(), CREDENTIAL_NAME)
        .context("say where the token's PIN is: --pkcs11-pin-file FILE")?;
    let bytes = files::read_secret(&pin)?;
    let text = std::str::from_utf8(bytes.expose()).context("the PIN is not text")?;
    let pin = Secret::new(text.lines().next().unwrap_or_default().to_owned());
    Ok(Token::open(module, token, &pin)?)
}
