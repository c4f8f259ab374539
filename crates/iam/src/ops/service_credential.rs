//! Credentials for one service alone: passwords of CodeCommit and Keyspaces,
//! API keys of Bedrock and CloudWatch Logs.
//!
//! Invariant: a secret is told once, when it is made, and only its digest is kept.
//!
//! Absent by design: those services, and so anybody who would take the credentials.

use std::sync::Arc;
use std::time::Duration;

use ::store::Prefix;
use gate::Cx;
use ground::{Secret, Timestamp, id};
use iam_api::{
    CreateServiceSpecificCredentialInput, CreateServiceSpecificCredentialOutput,
    DeleteServiceSpecificCredentialInput, ListServiceSpecificCredentialsInput,
    ListServiceSpecificCredentialsOutput, ResetServiceSpecificCredentialInput,
    ResetServiceSpecificCredentialOutput, ServiceSpecificCredential, ServiceSpecificCredentialMetadata,
    StatusType, UpdateServiceSpecificCredentialInput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::SERVICE_CREDENTIALS_PER_SERVICE_MAX;
use crate::model::{CredentialKind, ServiceCredential, service_credential};
use crate::ops::page::{Listed, Paging};
use crate::store::{self, KeyHolder, SERVICE_CREDENTIALS, rows, written_at};

const SECONDS_PER_DAY: u64 = 86_400;

fn kind_of(service: &str) -> Result<CredentialKind, Error> {
    CredentialKind::of_service(service).ok_or_else(|| Error::ServiceNotSupported(service.to_owned()))
}

fn status(credential: &ServiceCredential, now: Timestamp) -> StatusType {
    if credential.expires.is_some_and(|expires| now >= expires) {
        StatusType::Expired
    } else if credential.active {
        StatusType::Active
    } else {
        StatusType::Inactive
    }
}

/// The name as a service user's, or as an API key's.
fn names(credential: &ServiceCredential) -> (Option<String>, Option<String>) {
    let name = Some(credential.name_there.clone());
    match CredentialKind::of_service(&credential.service) {
        Some(CredentialKind::ApiKey) => (None, name),
        Some(CredentialKind::Password) | None => (name, None),
    }
}

fn told(
    user_name: &str,
    credential: &ServiceCredential,
    now: Timestamp,
) -> ServiceSpecificCredentialMetadata {
    let (service_user_name, service_credential_alias) = names(credential);
    ServiceSpecificCredentialMetadata {
        user_name: user_name.to_owned(),
        status: status(credential, now),
        service_user_name,
        service_credential_alias,
        create_date: credential.created,
        expiration_date: credential.expires,
        service_specific_credential_id: credential.id.clone(),
        service_name: credential.service.clone(),
    }
}

/// The only answer that has the secret.
fn told_once(
    user_name: &str,
    credential: &ServiceCredential,
    (kind, secret): (CredentialKind, Secret<String>),
    now: Timestamp,
) -> ServiceSpecificCredential {
    let (service_user_name, service_credential_alias) = names(credential);
    let (service_password, service_credential_secret) = match kind {
        CredentialKind::ApiKey => (None, Some(secret)),
        CredentialKind::Password => (Some(secret), None),
    };
    ServiceSpecificCredential {
        create_date: credential.created,
        expiration_date: credential.expires,
        service_name: credential.service.clone(),
        service_user_name,
        service_password,
        service_credential_alias,
        service_credential_secret,
        service_specific_credential_id: credential.id.clone(),
        user_name: user_name.to_owned(),
        status: status(credential, now),
    }
}

fn new_secret(cx: &Cx, kind: CredentialKind, name_there: &str) -> Secret<String> {
    let random = Secret::new(cx.random().bytes());
    service_credential::secret(kind, name_there, &random)
}

/// The credential of the user with this id.
async fn found(cx: &Cx, holder: &KeyHolder, id: &str) -> Result<Arc<ServiceCredential>, Error> {
    let credential = rows(cx).service_credential(&holder.owner_id(), id).await?;
    credential.ok_or_else(|| Error::NoSuch(format!("No such credential {id} exists")))
}

/// # Errors
///
/// [`Error::ServiceNotSupported`] for a service that takes none,
/// [`Error::Validation`] for an age of what does not age,
/// [`Error::LimitExceeded`] for a third one.
pub(crate) async fn create_service_specific_credential(
    _iam: &Iam,
    cx: &Cx,
    input: CreateServiceSpecificCredentialInput,
) -> Result<CreateServiceSpecificCredentialOutput, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let kind = kind_of(&input.service_name)?;
    let age = input
        .credential_age_days
        .and_then(|days| u64::try_from(days).ok());
    if age.is_some() && kind != CredentialKind::ApiKey {
        return Err(Error::Validation(format!(
            "CredentialAgeDays is not valid for {}",
            input.service_name
        )));
    }
    let known = rows(cx).service_credentials(&user.id).await?;
    let of_service = known
        .iter()
        .filter(|credential| credential.service == input.service_name);
    let taken: Vec<&str> = of_service
        .map(|credential| credential.name_there.as_str())
        .collect();
    if taken.len() >= SERVICE_CREDENTIALS_PER_SERVICE_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for ServiceSpecificCredentialsPerUser: {SERVICE_CREDENTIALS_PER_SERVICE_MAX}"
        )));
    }
    let name_there = service_credential::name_there(&user.name, cx.account(), &taken);
    let secret = new_secret(cx, kind, &name_there);
    let created = written_at(cx);
    let credential = ServiceCredential {
        id: id::entity_id("ACCA", cx.random().bytes()),
        service: input.service_name,
        name_there,
        created,
        expires: age.map(|days| created.after(Duration::from_secs(days * SECONDS_PER_DAY))),
        active: true,
        digest: service_credential::digest(&secret),
    };
    let answer = told_once(&user.name, &credential, (kind, secret), cx.now());
    let holder = user.map(KeyHolder::User);
    store::write(cx, |tx| store::put_service_credential(tx, &holder, &credential)).await?;
    Ok(CreateServiceSpecificCredentialOutput {
        service_specific_credential: Some(answer),
    })
}

/// Of one user or of all, for one service or any.
///
/// # Errors
///
/// [`Error::InvalidInput`] for one user and all at once,
/// [`Error::ServiceNotSupported`] for a service that takes none.
pub(crate) async fn list_service_specific_credentials(
    _iam: &Iam,
    cx: &Cx,
    input: ListServiceSpecificCredentialsInput,
) -> Result<ListServiceSpecificCredentialsOutput, Error> {
    let service = input.service_name.as_deref();
    let list = format!("ListServiceSpecificCredentials {}", service.unwrap_or_default());
    let (name, marker) = (input.user_name.as_deref(), input.marker.as_deref());
    let wanted = |credential: &ServiceCredential| service.is_none_or(|name| name == credential.service);
    let page = if input.all_users == Some(true) {
        access::list(cx, "user", "/").await?;
        if name.is_some() {
            return Err(Error::InvalidInput(
                "AllUsers cannot be specified together with UserName.".to_owned(),
            ));
        }
        service.map(kind_of).transpose()?;
        of_all(cx, &Paging::new(&list, "", marker, input.max_items)?, wanted).await?
    } else {
        let holder = access::key_holder(cx, name).await?;
        service.map(kind_of).transpose()?;
        let owner_id = holder.owner_id();
        let paging = Paging::new(&list, &owner_id, marker, input.max_items)?;
        let known = rows(cx).service_credentials(&owner_id).await?;
        let known = known.into_iter().filter(|credential| wanted(credential));
        let tell = |credential: &ServiceCredential| told(holder.user_name(), credential, cx.now());
        paging.of(known.map(|credential| (credential.id.clone(), tell(&credential))))
    };
    Ok(ListServiceSpecificCredentialsOutput {
        is_truncated: page.is_truncated(),
        service_specific_credentials: Some(page.items),
        marker: page.marker,
    })
}

/// A page of every user's credentials; shorter than asked where some are not `wanted`.
async fn of_all(
    cx: &Cx,
    paging: &Paging,
    wanted: impl Fn(&ServiceCredential) -> bool,
) -> Result<Listed<ServiceSpecificCredentialMetadata>, Error> {
    const BETWEEN: char = ' ';
    let text = |key: &(String, String)| format!("{}{BETWEEN}{}", key.0, key.1);
    let key = |text: &str| {
        let (user_id, id) = text.split_once(BETWEEN).unwrap_or((text, ""));
        (user_id.to_owned(), id.to_owned())
    };
    let rows = rows(cx);
    let page = paging
        .keys(&rows, &SERVICE_CREDENTIALS, &Prefix::all(), (text, key))
        .await?;
    let mut items = Vec::with_capacity(page.items.len());
    for ((user_id, _), credential) in page.items {
        if wanted(&credential)
            && let Some(user) = rows.user_by_id(&user_id).await?
        {
            items.push(told(&user.name, &credential, cx.now()));
        }
    }
    Ok(Listed {
        items,
        marker: page.marker,
    })
}

pub(crate) async fn update_service_specific_credential(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateServiceSpecificCredentialInput,
) -> Result<Unit, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let active = match input.status {
        StatusType::Active => true,
        StatusType::Inactive => false,
        StatusType::Expired => {
            return Err(Error::InvalidInput(
                "The status of a service-specific credential is set to Active or Inactive.".to_owned(),
            ));
        }
    };
    let credential = found(cx, &holder, &input.service_specific_credential_id).await?;
    let credential = ServiceCredential {
        active,
        ..(*credential).clone()
    };
    store::write(cx, |tx| store::put_service_credential(tx, &holder, &credential)).await?;
    Ok(Unit)
}

/// Makes another secret in the place of the one before, which ends at once.
pub(crate) async fn reset_service_specific_credential(
    _iam: &Iam,
    cx: &Cx,
    input: ResetServiceSpecificCredentialInput,
) -> Result<ResetServiceSpecificCredentialOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let credential = found(cx, &holder, &input.service_specific_credential_id).await?;
    let kind = kind_of(&credential.service)?;
    let secret = new_secret(cx, kind, &credential.name_there);
    let credential = ServiceCredential {
        digest: service_credential::digest(&secret),
        ..(*credential).clone()
    };
    store::write(cx, |tx| store::put_service_credential(tx, &holder, &credential)).await?;
    let answer = told_once(holder.user_name(), &credential, (kind, secret), cx.now());
    Ok(ResetServiceSpecificCredentialOutput {
        service_specific_credential: Some(answer),
    })
}

pub(crate) async fn delete_service_specific_credential(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteServiceSpecificCredentialInput,
) -> Result<Unit, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let credential = found(cx, &holder, &input.service_specific_credential_id).await?;
    store::write(cx, |tx| {
        store::delete_service_credential(tx, &holder, &credential.id);
    })
    .await?;
    Ok(Unit)
}
