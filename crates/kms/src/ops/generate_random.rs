//! `GenerateRandom`. Bytes of a cluster are asked of it over the network, in a
//! handler that writes nothing.

use gate::Cx;
use ground::Secret;
use kms_api::{GenerateRandomInput, GenerateRandomOutput};

use crate::error::Error;
use crate::limits::RANDOM_BYTES_MAX;
use crate::model::Place;
use crate::recipient::{self, Recipient};
use crate::store::custom_key_stores::{self, SECRET_PURPOSE};
use crate::{Kms, access};

/// Gives random bytes.
///
/// # Errors
///
/// [`Error::Missing`] without a number of bytes: there is no default.
/// [`Error::Unsupported`] of an external key store, which has none;
/// [`Error::StoreNotFound`], [`Error::StoreState`].
pub async fn generate_random(
    kms: &Kms,
    cx: &Cx,
    input: GenerateRandomInput,
) -> Result<GenerateRandomOutput, Error> {
    let recipient = Recipient::read(kms, cx, input.recipient)?;
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

    let plaintext = match &input.custom_key_store_id {
        Some(store) => of_cluster(kms, cx, store, bytes).await?,
        None => {
            let mut drawn = Secret::new(vec![0; bytes]);
            cx.random().fill(drawn.expose_mut());
            drawn
        }
    };
    let (plaintext, for_recipient) = recipient::told(recipient.as_ref(), cx, plaintext.expose())?;
    Ok(GenerateRandomOutput {
        plaintext,
        ciphertext_for_recipient: for_recipient,
    })
}

/// Bytes of the cluster of a custom key store.
async fn of_cluster(kms: &Kms, cx: &Cx, store: &str, bytes: usize) -> Result<Secret<Vec<u8>>, Error> {
    let store = custom_key_stores::by_id(cx, store).await?;
    if let Place::Proxy(_) = store.place {
        return Err(Error::Unsupported("GenerateRandom in an external key store"));
    }
    store.check_connected()?;
    let domain = cx.domain_key(store.account, &store.region, SECRET_PURPOSE);
    kms.custodians.random_of_cluster(&store, &domain, bytes).await
}
