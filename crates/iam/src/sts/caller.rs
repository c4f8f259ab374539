//! Who the caller is, and whose a key is.

use gate::Cx;
use ground::id;
use policy::Who;
use sts_api::{
    GetAccessKeyInfoInput, GetAccessKeyInfoOutput, GetCallerIdentityInput, GetCallerIdentityOutput,
};

use crate::Sts;
use crate::error::Error;

/// Nobody can be denied to ask who they are, not even by an explicit deny.
pub(crate) async fn get_caller_identity(
    _sts: &Sts,
    cx: &Cx,
    _: GetCallerIdentityInput,
) -> Result<GetCallerIdentityOutput, Error> {
    cx.needs_no_permission("GetCallerIdentity answers every valid credential (STS API Reference)");
    let principal = &cx.caller().principal;
    Ok(GetCallerIdentityOutput {
        user_id: Some(principal.user_id().to_owned()),
        account: Some(cx.account().to_string()),
        arn: Some(principal.arn().to_owned()),
    })
}

/// Reads the account out of the id itself: the key need not exist.
pub(crate) async fn get_access_key_info(
    _sts: &Sts,
    cx: &Cx,
    input: GetAccessKeyInfoInput,
) -> Result<GetAccessKeyInfoOutput, Error> {
    admit(cx)?;
    cx.authorize(gate::Access::to((), "*")).await?;
    let account = id::account_of_access_key(&input.access_key_id)
        .ok_or_else(|| Error::Validation(format!("Invalid AccessKeyId: {}", input.access_key_id)))?;
    Ok(GetAccessKeyInfoOutput {
        account: Some(account.to_string()),
    })
}

/// Of STS, credentials from `GetSessionToken` reach `AssumeRole` and
/// `GetCallerIdentity` alone, those from `GetFederationToken` the latter alone
/// (STS API Reference).
pub(crate) fn admit(cx: &Cx) -> Result<(), Error> {
    match (cx.caller().principal.who(), &cx.caller().session) {
        (Who::Root | Who::User { .. } | Who::FederatedUser { .. }, Some(_)) => Err(Error::AccessDenied(
            "Cannot call this operation with session credentials",
        )),
        _ => Ok(()),
    }
}
