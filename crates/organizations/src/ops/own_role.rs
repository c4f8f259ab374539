//! The service-linked role of Organizations, which every member account has.
//!
//! Whoever founds an organisation or joins one must be allowed to make the
//! role in the account, whether or not it is there already (Organizations User
//! Guide, "Minimum permissions"). Accounts that are made here have it from the
//! beginning.

use gate::Cx;
use iam_api::{CreateServiceLinkedRole, CreateServiceLinkedRoleInput};

use crate::error::Error;

/// Makes the role in the caller's account, for the caller.
///
/// # Errors
///
/// [`Error::OwnRoleDenied`] if the caller may not make it, [`Error::OwnRole`]
/// for any other reason there is none afterwards.
pub(crate) async fn ensure(cx: &Cx) -> Result<(), Error> {
    let input = CreateServiceLinkedRoleInput {
        aws_service_name: "organizations.amazonaws.com".to_owned(),
        description: Some(
            "Service-linked role used by AWS Organizations to enable integration of other AWS services with Organizations."
                .to_owned(),
        ),
        custom_suffix: None,
    };
    match cx.call::<CreateServiceLinkedRole>(input).await {
        Ok(_) => Ok(()),
        // The one argument that can be wrong is a name that is taken.
        Err(fault) if fault.code() == "InvalidInput" => Ok(()),
        Err(fault) if fault.code() == "AccessDenied" => Err(Error::OwnRoleDenied),
        Err(fault) => Err(Error::OwnRole(fault)),
    }
}
