//! `GenerateRandom`.

use gate::Cx;
use ground::Secret;
use kms_api::{GenerateRandomInput, GenerateRandomOutput};
use shape::Blob;

use crate::error::Error;
use crate::limits::RANDOM_BYTES_MAX;
use crate::recipient::{self, Recipient};
use crate::{Kms, access};

/// Gives random bytes.
///
/// # Errors
///
/// [`Error::Missing`] without a number of bytes: there is no default.
pub async fn generate_random(
    kms: &Kms,
    cx: &Cx,
    input: GenerateRandomInput,
) -> Result<GenerateRandomOutput, Error> {
    let recipient = Recipient::read(kms, cx, input.recipient)?;
    if input.custom_key_store_id.is_some() {
        return Err(Error::Unsupported("CustomKeyStoreId"));
    }
    // The model holds the number between 1 and RANDOM_BYTES_MAX.
    let bytes = input
        .number_of_bytes
        .and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes
        .ok_or(Error::Missing {
            member: "numberOfBytes",
        })?
        .min(RANDOM_BYTES_MAX);

    cx.authorize(access::attested(access::account(()), recipient.as_ref()))
        .await?;

    let mut plaintext = Secret::new(Blob(vec![0; bytes]));
    cx.random().fill(&mut plaintext.expose_mut().0);
    let (plaintext, for_recipient) = recipient::told(recipient.as_ref(), cx, plaintext.expose())?;
    Ok(GenerateRandomOutput {
        plaintext,
        ciphertext_for_recipient: for_recipient,
    })
}
