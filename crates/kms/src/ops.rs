//! The operations, one file each or one per tight family, and below what many
//! of them ask of a request.
//!
//! Each reads as its own documentation: parse, find, authorize, decide, write,
//! answer.

pub mod agreement;
pub mod create_alias;
pub mod create_custom_key_store;
pub mod create_key;
pub mod custom_key_stores;
pub mod data_key;
pub mod data_key_pair;
pub mod decrypt;
pub mod delete_alias;
pub mod describe_key;
pub mod enable_key;
pub mod encrypt;
pub mod generate_random;
pub mod get_key_last_usage;
pub mod get_public_key;
pub mod grant_token;
pub mod grants;
pub mod import;
pub mod import_token;
pub mod key_deletion;
pub mod key_policy;
pub mod list_aliases;
pub mod list_keys;
pub mod mac;
pub mod multi_region;
pub mod re_encrypt;
pub mod rotation;
pub mod signature;
pub mod tags;
pub mod update_alias;
pub mod update_custom_key_store;
pub mod update_key_description;

mod cipher;
mod key_in_store;
mod metadata;
mod page;
mod stored_cipher;

use gate::Cx;

use crate::Kms;
use crate::error::Error;
use crate::model::Key;

/// The answer of a request that has come this far, unless it was a rehearsal.
fn unless_dry_run<T>(dry_run: Option<bool>, answer: T) -> Result<T, Error> {
    if dry_run == Some(true) {
        Err(Error::DryRun)
    } else {
        Ok(answer)
    }
}

/// The same of one that has used `keys`, which is noted.
fn used<T>(kms: &Kms, cx: &Cx, keys: &[&Key], dry_run: Option<bool>, answer: T) -> Result<T, Error> {
    let answer = unless_dry_run(dry_run, answer)?;
    for key in keys {
        kms.last_uses.note(cx, key);
    }
    Ok(answer)
}
