//! `DecodeAuthorizationMessage`: opens what a service appended to the words of
//! a refusal. The door seals such messages for the account of the caller that
//! was refused, so another account's are as unreadable as forged ones.

use gate::{Access, Cx};
use sts_api::{DecodeAuthorizationMessageInput, DecodeAuthorizationMessageOutput};

use crate::Sts;
use crate::error::Error;
use crate::sts::caller;

pub(crate) async fn decode_authorization_message(
    _sts: &Sts,
    cx: &Cx,
    input: DecodeAuthorizationMessageInput,
) -> Result<DecodeAuthorizationMessageOutput, Error> {
    caller::admit(cx)?;
    cx.authorize(Access::to((), "*")).await?;
    let decoded = cx.decoded_refusal(&input.encoded_message);
    Ok(DecodeAuthorizationMessageOutput {
        decoded_message: Some(decoded.ok_or(Error::InvalidAuthorizationMessage)?),
    })
}
