//! What everyone asks of a PKCS#11 module: the token of a label, and the AES
//! key of a label on it.

use std::ffi::c_ulong;
use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

/// The vector that SP 800-38D recommends.
pub(crate) const IV_BYTES: usize = 12;
pub(crate) const TAG_BITS: c_ulong = 128;
const KEY_BYTES: c_ulong = 32;

/// Loads a module and starts it. Says what it did when that failed.
pub(crate) fn load(module: &Path) -> Result<Pkcs11, (&'static str, Error)> {
    let context = Pkcs11::new(module).map_err(|error| ("loading the module", error))?;
    context
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(|error| ("starting the module", error))?;
    Ok(context)
}

/// Where tokens of this label are.
pub(crate) fn slots(context: &Pkcs11, label: &str) -> Result<Vec<Slot>, (&'static str, Error)> {
    let slots = context
        .get_slots_with_initialized_token()
        .map_err(|error| ("listing tokens", error))?;
    let mut fitting = Vec::new();
    for slot in slots {
        let info = context
            .get_token_info(slot)
            .map_err(|error| ("reading a token's label", error))?;
        if info.label() == label {
            fitting.push(slot);
        }
    }
    Ok(fitting)
}

/// The AES keys of this label.
pub(crate) fn keys(session: &Session, label: &str) -> Result<Vec<ObjectHandle>, Error> {
    session.find_objects(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
    ])
}

/// The AES keys there are.
pub(crate) fn all_keys(session: &Session) -> Result<Vec<ObjectHandle>, Error> {
    session.find_objects(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
    ])
}

/// What a key of this label is to be: AES-256, for encryption alone, and never
/// out of the token.
pub(crate) fn key_template(label: &str) -> [Attribute; 10] {
    [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ]
}
