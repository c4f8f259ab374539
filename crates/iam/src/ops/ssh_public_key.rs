//! SSH public keys of users: kept, told in either form, switched off and on.
//!
//! Absent by design: Git repositories, to which AWS lets their holders in.

use std::sync::Arc;

use ::store::StoreError;
use crypto::ssh::{BadSshKey, SshRsaKey};
use gate::Cx;
use ground::id;
use iam_api::{
    DeleteSSHPublicKeyInput, EncodingType, GetSSHPublicKeyInput, GetSSHPublicKeyOutput,
    ListSSHPublicKeysInput, ListSSHPublicKeysOutput, SSHPublicKey, SSHPublicKeyMetadata, StatusType,
    UpdateSSHPublicKeyInput, UploadSSHPublicKeyInput, UploadSSHPublicKeyOutput,
};
use shape::Unit;

use crate::Iam;
use crate::access::{self, Asking};
use crate::error::Error;
use crate::limits::SSH_KEYS_PER_USER_MAX;
use crate::model::{SshKey, User};
use crate::ops::page::Paging;
use crate::store::{self, rows, written_at};

fn told(user: &User, key: &SshKey, parsed: &SshRsaKey, body: String) -> SSHPublicKey {
    SSHPublicKey {
        user_name: user.name.clone(),
        ssh_public_key_id: key.id.clone(),
        fingerprint: parsed.fingerprint(),
        ssh_public_key_body: body,
        status: status(key),
        upload_date: Some(key.uploaded),
    }
}

fn status(key: &SshKey) -> StatusType {
    if key.active {
        StatusType::Active
    } else {
        StatusType::Inactive
    }
}

/// The key of the user with this id.
async fn found(cx: &Cx, user: &User, id: &str) -> Result<Arc<SshKey>, Error> {
    let key = rows(cx).ssh_key(&user.id, id).await?;
    key.ok_or_else(|| Error::NoSuch(format!("The Public Key with id {id} cannot be found.")))
}

/// # Errors
///
/// [`Error::PublicKeyEncoding`] and [`Error::PublicKeyInvalid`] for what is no
/// RSA key, [`Error::PublicKeyTaken`] for one that the user has.
pub(crate) async fn upload_ssh_public_key(
    _iam: &Iam,
    cx: &Cx,
    input: UploadSSHPublicKeyInput,
) -> Result<UploadSSHPublicKeyOutput, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let parsed = SshRsaKey::parse(&input.ssh_public_key_body).map_err(|bad| match bad {
        BadSshKey::Encoding => Error::PublicKeyEncoding,
        BadSshKey::Key => Error::PublicKeyInvalid,
    })?;
    let key = SshKey {
        id: id::access_key_id("APKA", cx.account(), cx.random().bytes()),
        active: true,
        uploaded: written_at(cx),
        key: parsed.to_ssh(),
    };
    let known = rows(cx).ssh_keys(&user.id).await?;
    if known.iter().any(|known| known.key == key.key) {
        return Err(Error::PublicKeyTaken);
    }
    if known.len() >= SSH_KEYS_PER_USER_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for SSHPublicKeysPerUser: {SSH_KEYS_PER_USER_MAX}"
        )));
    }
    store::write(cx, |tx| store::put_ssh_key(tx, &user, &key)).await?;
    Ok(UploadSSHPublicKeyOutput {
        ssh_public_key: Some(told(&user, &key, &parsed, input.ssh_public_key_body)),
    })
}

pub(crate) async fn get_ssh_public_key(
    _iam: &Iam,
    cx: &Cx,
    input: GetSSHPublicKeyInput,
) -> Result<GetSSHPublicKeyOutput, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let key = found(cx, &user, &input.ssh_public_key_id).await?;
    let parsed = SshRsaKey::parse(&key.key).map_err(|bad| StoreError::BadRecord {
        table: "iam/ssh-key",
        reason: bad.to_string(),
    })?;
    let body = match input.encoding {
        EncodingType::Ssh => parsed.to_ssh(),
        EncodingType::Pem => parsed.to_pem(),
    };
    Ok(GetSSHPublicKeyOutput {
        ssh_public_key: Some(told(&user, &key, &parsed, body)),
    })
}

/// Of a user, or of whoever signed; root has none.
pub(crate) async fn list_ssh_public_keys(
    _iam: &Iam,
    cx: &Cx,
    input: ListSSHPublicKeysInput,
) -> Result<ListSSHPublicKeysOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let owner_id = holder.owner_id();
    let paging = Paging::new(
        "ListSSHPublicKeys",
        &owner_id,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let keys = rows(cx).ssh_keys(&owner_id).await?;
    let page = paging.of(keys.into_iter().map(|key| {
        let metadata = SSHPublicKeyMetadata {
            user_name: holder.user_name().to_owned(),
            ssh_public_key_id: key.id.clone(),
            status: status(&key),
            upload_date: key.uploaded,
        };
        (key.id.clone(), metadata)
    }));
    Ok(ListSSHPublicKeysOutput {
        is_truncated: page.is_truncated(),
        ssh_public_keys: Some(page.items),
        marker: page.marker,
    })
}

pub(crate) async fn update_ssh_public_key(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateSSHPublicKeyInput,
) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let active = match input.status {
        StatusType::Active => true,
        StatusType::Inactive => false,
        StatusType::Expired => {
            return Err(Error::InvalidInput(
                "The status of an SSH public key is Active or Inactive.".to_owned(),
            ));
        }
    };
    let key = found(cx, &user, &input.ssh_public_key_id).await?;
    let key = SshKey {
        active,
        ..(*key).clone()
    };
    store::write(cx, |tx| store::put_ssh_key(tx, &user, &key)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_ssh_public_key(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteSSHPublicKeyInput,
) -> Result<Unit, Error> {
    let user = access::user(cx, &input.user_name, Asking::NOTHING).await?;
    let key = found(cx, &user, &input.ssh_public_key_id).await?;
    store::write(cx, |tx| store::delete_ssh_key(tx, &user, &key.id)).await?;
    Ok(Unit)
}
