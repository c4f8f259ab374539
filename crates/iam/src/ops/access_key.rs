//! Long-term access keys of users and of the root user.
//!
//! The secret is told once, when the key is made, and kept sealed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::Cx;
use ground::{AccountId, Region, Secret, Timestamp, id};
use iam_api::{
    AccessKey as ApiAccessKey, AccessKeyLastUsed, AccessKeyMetadata, CreateAccessKeyInput,
    CreateAccessKeyOutput, DeleteAccessKeyInput, GetAccessKeyLastUsedInput, GetAccessKeyLastUsedOutput,
    ListAccessKeysInput, ListAccessKeysOutput, StatusType, UpdateAccessKeyInput,
};
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::limits::ACCESS_KEYS_PER_USER_MAX;
use crate::model::AccessKey;
use crate::ops::page::Paging;
use crate::store::{self, KeyHolder, cross_account_key_owner, rows, written_at};

/// What access key secrets are sealed for, in the account and `us-east-1`.
pub(crate) const SEALED_FOR: &str = "iam/access-key";

/// A new secret access key: 40 characters of the base64 alphabet.
pub(crate) fn new_secret(random: &crypto::Random) -> Secret<String> {
    let mut bytes = Secret::new(vec![0; 30]);
    random.fill(bytes.expose_mut());
    Secret::new(STANDARD.encode(bytes.expose()))
}

/// The record of a key, its secret sealed and bound to account and id.
pub(crate) fn sealed(
    domain: &crypto::DomainKey,
    random: &crypto::Random,
    account: AccountId,
    key_id: &str,
    secret: &Secret<String>,
    now: Timestamp,
) -> Result<AccessKey, crypto::Error> {
    let bound_to = [account.to_string(), key_id.to_owned()];
    let bound_to = [bound_to[0].as_bytes(), bound_to[1].as_bytes()];
    let sealed = domain.seal(&bound_to, secret.expose().as_bytes(), random)?;
    Ok(AccessKey {
        id: key_id.to_owned(),
        active: true,
        created: now,
        sealed_secret: STANDARD.encode(sealed),
    })
}

/// The secret of a key.
pub(crate) fn opened(
    domain: &crypto::DomainKey,
    account: AccountId,
    key: &AccessKey,
) -> Result<Secret<String>, crypto::Error> {
    let sealed = STANDARD
        .decode(&key.sealed_secret)
        .map_err(|_| crypto::Error::BadCiphertext)?;
    let account = account.to_string();
    let secret = domain.open(&[account.as_bytes(), key.id.as_bytes()], &sealed)?;
    let text = std::str::from_utf8(secret.expose()).map_err(|_| crypto::Error::BadCiphertext)?;
    Ok(Secret::new(text.to_owned()))
}

fn status(key: &AccessKey) -> StatusType {
    if key.active {
        StatusType::Active
    } else {
        StatusType::Inactive
    }
}

pub(crate) async fn create_access_key(
    _iam: &Iam,
    cx: &Cx,
    input: CreateAccessKeyInput,
) -> Result<CreateAccessKeyOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    if rows(cx).access_keys(&holder.owner_id()).await?.len() >= ACCESS_KEYS_PER_USER_MAX {
        return Err(Error::LimitExceeded(format!(
            "Cannot exceed quota for AccessKeysPerUser: {ACCESS_KEYS_PER_USER_MAX}"
        )));
    }
    let account = cx.account();
    let key_id = id::access_key_id("AKIA", account, cx.random().bytes());
    let secret = new_secret(cx.random());
    let domain = cx.domain_key(account, &Region::us_east_1(), SEALED_FOR);
    let key = sealed(&domain, cx.random(), account, &key_id, &secret, written_at(cx))?;

    store::write(cx, |tx| store::put_access_key(tx, &holder, account, &key)).await?;
    Ok(CreateAccessKeyOutput {
        access_key: ApiAccessKey {
            user_name: holder.user_name().to_owned(),
            access_key_id: key_id,
            status: StatusType::Active,
            secret_access_key: secret,
            create_date: Some(key.created),
        },
    })
}

pub(crate) async fn list_access_keys(
    _iam: &Iam,
    cx: &Cx,
    input: ListAccessKeysInput,
) -> Result<ListAccessKeysOutput, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let owner_id = holder.owner_id();
    let paging = Paging::new(
        "ListAccessKeys",
        &owner_id,
        input.marker.as_deref(),
        input.max_items,
    )?;
    let keys = rows(cx).access_keys(&owner_id).await?;
    let name = Some(holder.user_name()).filter(|name| !name.is_empty());
    let listed = paging.of(keys.into_iter().map(|key| {
        let metadata = AccessKeyMetadata {
            user_name: name.map(str::to_owned),
            access_key_id: Some(key.id.clone()),
            status: Some(status(&key)),
            create_date: Some(key.created),
        };
        (key.id.clone(), metadata)
    }));
    Ok(ListAccessKeysOutput {
        is_truncated: listed.is_truncated(),
        access_key_metadata: listed.items,
        marker: listed.marker,
    })
}

pub(crate) async fn update_access_key(
    _iam: &Iam,
    cx: &Cx,
    input: UpdateAccessKeyInput,
) -> Result<Unit, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let active = match input.status {
        StatusType::Active => true,
        StatusType::Inactive => false,
        StatusType::Expired => {
            return Err(Error::Validation(
                "1 validation error detected: Value 'Expired' at 'status' failed to satisfy constraint: Member must \
                 satisfy enum value set: [Active, Inactive]"
                    .to_owned(),
            ));
        }
    };
    let wanted = (holder.owner_id(), input.access_key_id);
    let found = rows(cx).get(&store::ACCESS_KEYS, &wanted).await?;
    let key = found.ok_or_else(|| Error::AccessKeyMissing(wanted.1.clone()))?;
    let key = AccessKey {
        active,
        ..(*key).clone()
    };
    store::write(cx, |tx| store::put_access_key(tx, &holder, cx.account(), &key)).await?;
    Ok(Unit)
}

pub(crate) async fn delete_access_key(
    _iam: &Iam,
    cx: &Cx,
    input: DeleteAccessKeyInput,
) -> Result<Unit, Error> {
    let holder = access::key_holder(cx, input.user_name.as_deref()).await?;
    let wanted = (holder.owner_id(), input.access_key_id);
    if rows(cx).get(&store::ACCESS_KEYS, &wanted).await?.is_none() {
        return Err(Error::AccessKeyMissing(wanted.1));
    }
    store::write(cx, |tx| store::delete_access_key(tx, &holder, &wanted.1)).await?;
    Ok(Unit)
}

/// Whose a key is, and when it was last used. A key of another account is told
/// to be missing, like one that nobody has.
pub(crate) async fn get_access_key_last_used(
    iam: &Iam,
    cx: &Cx,
    input: GetAccessKeyLastUsedInput,
) -> Result<GetAccessKeyLastUsedOutput, Error> {
    let key_id = input.access_key_id;
    let owner = cross_account_key_owner(cx.view(), &key_id).await?;
    let owner = owner.filter(|owner| owner.account == cx.account());
    let rows = rows(cx);
    let holder = match owner {
        Some(owner) if owner.owner_id == cx.account().to_string() => Some(KeyHolder::Root(cx.account())),
        Some(owner) => rows.user_by_id(&owner.owner_id).await?.map(KeyHolder::User),
        None => None,
    };
    access::key_of(cx, holder.as_ref()).await?;
    let holder = holder.ok_or_else(|| Error::AccessKeyMissing(key_id.clone()))?;
    let last = iam.uses.last_use(&rows, &key_id).await?;
    let unused = || "N/A".to_owned();
    Ok(GetAccessKeyLastUsedOutput {
        user_name: Some(holder.user_name().to_owned()).filter(|name| !name.is_empty()),
        access_key_last_used: Some(AccessKeyLastUsed {
            last_used_date: last.as_ref().map(|last| last.at),
            service_name: last.as_ref().map_or_else(unused, |last| last.service.clone()),
            region: last.map_or_else(unused, |last| last.region),
        }),
    })
}

#[cfg(test)]
mod tests {
    use crypto::{Random, RootKey};

    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_own_key_alone() {
        let random = Random::seeded(1);
        let account = AccountId::parse("123456789012").unwrap();
        let domain = RootKey::generate(&random).domain(account, &Region::us_east_1(), SEALED_FOR);
        let secret = new_secret(&random);
        assert_eq!(secret.expose().len(), 40);
        let key = sealed(&domain, &random, account, "AKIA1", &secret, Timestamp(0)).unwrap();
        assert!(!key.sealed_secret.contains(secret.expose()));
        assert_eq!(opened(&domain, account, &key).unwrap().expose(), secret.expose());
        let moved = AccessKey {
            id: "AKIA2".into(),
            ..key
        };
        assert!(opened(&domain, account, &moved).is_err());
    }
}
