//! `GenerateDataKey` and `GenerateDataKeyWithoutPlaintext`.

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::{Cx, Permit};
use ground::Secret;
use kms_api::{
    DataKeySpec, EncryptionAlgorithmSpec, GenerateDataKeyInput, GenerateDataKeyOutput,
    GenerateDataKeyWithoutPlaintextInput, GenerateDataKeyWithoutPlaintextOutput,
};
use shape::Blob;

use crate::error::Error;
use crate::limits::RANDOM_BYTES_MAX;
use crate::model::{Demand, EncryptionContext, Key};
use crate::ops::cipher::{self, Sealed};
use crate::ops::{grant_token, used};
use crate::recipient::{self, Recipient};
use crate::{Kms, access, store};

/// Makes a data key and gives it in clear and encrypted.
///
/// # Errors
///
/// [`Error::DataKeyLength`] unless exactly one of `KeySpec` and
/// `NumberOfBytes` is given; otherwise those of `Encrypt`.
pub async fn generate_data_key(
    kms: &Kms,
    cx: &Cx,
    input: GenerateDataKeyInput,
) -> Result<GenerateDataKeyOutput, Error> {
    let recipient = Recipient::read(kms, cx, input.recipient)?;
    let wish = Wish {
        bytes: length(input.key_spec, input.number_of_bytes)?,
        context: input.encryption_context,
        grant_tokens: input.grant_tokens,
        key_id: input.key_id,
        operation: "GenerateDataKey",
    };
    let DataKey {
        key,
        plaintext,
        sealed,
    } = generate(kms, cx, wish, recipient.as_ref()).await?;
    let (plaintext, for_recipient) = recipient::told(recipient.as_ref(), cx, plaintext.expose())?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        GenerateDataKeyOutput {
            ciphertext_blob: Some(Blob(sealed.ciphertext)),
            plaintext,
            key_id: Some(key.arn()),
            ciphertext_for_recipient: for_recipient,
            key_material_id: sealed.material.filter(|_| recipient.is_none()).map(String::from),
        },
    )
}

/// Makes a data key and gives it encrypted only.
///
/// # Errors
///
/// As [`generate_data_key`].
pub async fn generate_data_key_without_plaintext(
    kms: &Kms,
    cx: &Cx,
    input: GenerateDataKeyWithoutPlaintextInput,
) -> Result<GenerateDataKeyWithoutPlaintextOutput, Error> {
    let wish = Wish {
        bytes: length(input.key_spec, input.number_of_bytes)?,
        context: input.encryption_context,
        grant_tokens: input.grant_tokens,
        key_id: input.key_id,
        operation: "GenerateDataKeyWithoutPlaintext",
    };
    let DataKey { key, sealed, .. } = generate(kms, cx, wish, None).await?;
    used(
        kms,
        cx,
        &[&key],
        input.dry_run,
        GenerateDataKeyWithoutPlaintextOutput {
            ciphertext_blob: Some(Blob(sealed.ciphertext)),
            key_id: Some(key.arn()),
            key_material_id: sealed.material.map(String::from),
        },
    )
}

/// What both operations ask for.
struct Wish {
    bytes: usize,
    context: Option<BTreeMap<String, String>>,
    grant_tokens: Option<Vec<String>>,
    key_id: String,
    operation: &'static str,
}

struct DataKey {
    key: Permit<Arc<Key>>,
    plaintext: Secret<Blob>,
    sealed: Sealed,
}

async fn generate(kms: &Kms, cx: &Cx, wish: Wish, recipient: Option<&Recipient>) -> Result<DataKey, Error> {
    grant_token::check(cx, wish.grant_tokens.as_deref())?;
    let context = EncryptionContext::parse(wish.context)?;
    let key = store::key_or_alias(cx, &wish.key_id).await?;
    kms.quotas.take_if_in_store(cx, &key)?;

    let asked = EncryptionAlgorithmSpec::SymmetricDefault;
    let key = access::key(cx, key)
        .encryption(asked, &context)
        .attested(recipient)
        .permit()
        .await?;
    key.check(Demand::Use)?;
    let algorithm = key.encrypts_with(wish.operation, asked)?;

    let mut plaintext = Secret::new(Blob(vec![0; wish.bytes]));
    cx.random().fill(&mut plaintext.expose_mut().0);
    let sealed = cipher::seal(kms, cx, &key, algorithm, &context, plaintext.expose()).await?;
    cipher::note(cx, "keyMaterialId", sealed.material.as_ref());
    Ok(DataKey {
        key,
        plaintext,
        sealed,
    })
}

/// The length of the data key in bytes, said in exactly one of two ways.
fn length(spec: Option<DataKeySpec>, bytes: Option<i32>) -> Result<usize, Error> {
    match (spec, bytes.map(usize::try_from)) {
        (Some(DataKeySpec::Aes128), None) => Ok(16),
        (Some(DataKeySpec::Aes256), None) => Ok(32),
        (None, Some(Ok(bytes))) if (1..=RANDOM_BYTES_MAX).contains(&bytes) => Ok(bytes),
        (None, _) | (Some(_), Some(_)) => Err(Error::DataKeyLength),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_said_exactly_once() {
        assert_eq!(length(Some(DataKeySpec::Aes128), None).unwrap(), 16);
        assert_eq!(length(Some(DataKeySpec::Aes256), None).unwrap(), 32);
        assert_eq!(length(None, Some(1024)).unwrap(), 1024);
        for (spec, bytes) in [
            (None, None),
            (Some(DataKeySpec::Aes256), Some(32)),
            (None, Some(0)),
            (None, Some(1025)),
            (None, Some(-1)),
        ] {
            assert!(
                matches!(length(spec, bytes), Err(Error::DataKeyLength)),
                "{spec:?} {bytes:?}"
            );
        }
    }
}
