//! The proxy of an external key store: AWS KMS encrypts and decrypts with keys
//! that are here.
//!
//! AWS KMS is a caller like any other: its requests act for the principal that
//! the operator gave its credential, and that principal's policies, the key's
//! policy and its grants decide. `Encrypt` and `Decrypt` want the actions of
//! those names, `GetKeyMetadata` wants `kms:DescribeKey`. What AWS tells of its
//! own caller can be asked for in conditions (`palisade:Xks…`) and is recorded.
//!
//! An external key id that is a key's id means that key; any other text means
//! the alias `alias/TEXT`. Both are of the principal's account, and of the
//! region of the request or of its credential.
//!
//! Invariant: what is encrypted here opens here alone, and what `kms:Encrypt`
//! encrypted does not ([`crypto::xks`]).
//!
//! Absent by design: external keys that are not AES-256, as the specification
//! has it; ids with accounts or regions in them.

pub mod api;
mod cipher;
mod decrypt;
mod encrypt;
mod error;
mod get_key_metadata;

use std::sync::Arc;

use gate::Cx;
use kms_api::EncryptionAlgorithmSpec;

use crate::access::{self, Ask, Sought};
use crate::last_use::LastUses;
use crate::model::{EncryptionContext, KeyId};
use crate::quotas::Quotas;
use crate::store;

pub use error::Error;

use api::RequestMetadata;

/// What the proxy shares with KMS.
pub(crate) struct Proxy {
    pub(crate) last_uses: Arc<LastUses>,
    pub(crate) quotas: Arc<Quotas>,
}

pub(crate) fn service(proxy: Proxy) -> gate::Service {
    gate::Table::new(&api::SERVICE, proxy)
        .on::<api::Decrypt>(decrypt::decrypt)
        .on::<api::Encrypt>(encrypt::encrypt)
        .on::<api::GetKeyMetadata>(get_key_metadata::get_key_metadata)
        .done()
}

/// Finds the key that an external key id means.
async fn sought(cx: &Cx, external_key_id: &str) -> Result<Sought, crate::Error> {
    let name = match KeyId::parse(external_key_id) {
        Some(_) => external_key_id.to_owned(),
        None => format!("alias/{external_key_id}"),
    };
    store::key_or_alias(cx, &name).await
}

/// Asks for permission to use the key, or to be told of it.
fn ask<'a>(cx: &'a Cx, sought: Sought, told: &RequestMetadata) -> Ask<'a> {
    access::key(cx, sought)
        .with(
            "palisade:xksawsprincipalarn",
            Some(told.aws_principal_arn.clone()),
        )
        .with("palisade:xksawssourcevpc", told.aws_source_vpc.clone())
        .with("palisade:xksawssourcevpce", told.aws_source_vpce.clone())
        .with("palisade:xkskmskeyarn", told.kms_key_arn.clone())
        .with("palisade:xkskmsoperation", Some(told.kms_operation.clone()))
        .with("palisade:xkskmsviaservice", told.kms_via_service.clone())
}

/// As [`ask`], to encrypt or decrypt: without an encryption context, for the
/// additional data is AWS's own.
fn ask_to_use<'a>(
    cx: &'a Cx,
    sought: Sought,
    told: &RequestMetadata,
    nothing: &'a EncryptionContext,
) -> Ask<'a> {
    ask(cx, sought, told).encryption(EncryptionAlgorithmSpec::SymmetricDefault, nothing)
}
