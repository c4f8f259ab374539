//! What IAM has and nothing here can create: credentials of single services.
//!
//! Clients look for them before they delete a user, and audits look for them
//! at any time. The list is empty because there is nothing to list, not because
//! nobody looks: permission, names and markers are judged as for any other list.
//!
//! Absent by design: the operations that create, change or delete such things,
//! which are refused by name.

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::ops::page::Paging;
use gate::Cx;
use iam_api::{ListServiceSpecificCredentialsInput, ListServiceSpecificCredentialsOutput};

/// Credentials of one user or of all, for one service or any. The filter
/// chooses among none; a marker is good for one filter only.
///
/// # Errors
///
/// [`Error::InvalidInput`] for one user and all at once.
pub(crate) async fn list_service_specific_credentials(
    _iam: &Iam,
    cx: &Cx,
    input: ListServiceSpecificCredentialsInput,
) -> Result<ListServiceSpecificCredentialsOutput, Error> {
    let service = input.service_name.as_deref().unwrap_or_default();
    let list = format!("ListServiceSpecificCredentials {service}");
    let (name, marker) = (input.user_name.as_deref(), input.marker.as_deref());
    match (input.all_users == Some(true), name) {
        (true, Some(_)) => {
            access::list(cx, "user", "/").await?;
            return Err(Error::InvalidInput(
                "AllUsers cannot be specified together with UserName.".to_owned(),
            ));
        }
        (true, None) => {
            access::list(cx, "user", "/").await?;
            Paging::new(&list, "", marker, input.max_items)?;
        }
        (false, _) => {
            let holder = access::key_holder(cx, name).await?;
            Paging::new(&list, &holder.owner_id(), marker, input.max_items)?;
        }
    }
    Ok(ListServiceSpecificCredentialsOutput {
        service_specific_credentials: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}
