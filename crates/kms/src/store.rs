//! Rows: keys, their material, aliases, and the deletions that are due.
//!
//! Whatever is written here asks for the permit of the key it is written for.
//!
//! Invariants, each kept by writing both sides in one transaction:
//! - a key has its current material, unless it waits for its import;
//! - an alias has a row and stands in the row of the key it points at;
//! - a key that waits for its deletion, and no other, has a row in
//!   [`DELETIONS`] under the time it is due; one that is to rotate by itself has
//!   one in [`ROTATIONS`], one with material that expires in [`EXPIRIES`].

pub(crate) mod custom_key_stores;
pub mod grants;

use std::ops::Deref;
use std::sync::Arc;

use crypto::key::BackingKey;
use gate::{Cx, Permit};
use ground::{AccountId, Region, Timestamp};
use store::{Prefix, Scope, StoreError, Table, WriteTx};

use crate::access::{Named, Sought};
use crate::error::Error;
use crate::last_use::LAST_USES;
use crate::model::key::arn;
use crate::model::{
    Alias, AliasName, CiphertextReference, Key, KeyId, KeyName, KeyState, Material, MaterialId, Target,
};

/// Keys, in their owner's account and region, as each says itself: a row that was
/// copied to another key's place would else stand for that key, with its own policy
/// and material. Rows of version 1 spell out what those of version 2 leave out: what
/// most keys say.
pub(crate) const KEYS: Table<KeyId, Key> = Table::new("kms/key", 2)
    .reading_from(1)
    .lying_at(|key| (scope_of(key), key.id.clone()));

/// Key material that is not in its key's own row: that of earlier generations,
/// and of keys whose rows were written before it stood there.
pub(crate) const MATERIALS: Table<(KeyId, MaterialId), Material> = Table::new("kms/material", 1);

/// Aliases, in their owner's account and region.
pub(crate) const ALIASES: Table<AliasName, Alias> = Table::new("kms/alias", 1);

/// The deletions of all accounts in the order in which they are due, so that
/// the job that makes them reads those and nothing else. In the global scope.
pub(crate) const DELETIONS: Table<Due, ()> = Table::new("kms/deletion", 1);

/// The rotations that keys of all accounts are to make by themselves, likewise.
pub(crate) const ROTATIONS: Table<Due, ()> = Table::new("kms/rotation", 1);

/// The imported materials of all accounts that expire, likewise.
pub(crate) const EXPIRIES: Table<Due, ()> = Table::new("kms/expiry", 1);

/// When a key is due, and which.
pub(crate) type Due = (Timestamp, AccountId, Region, KeyId);

/// Purpose of the domain key that seals material.
pub(crate) const MATERIAL_PURPOSE: &str = "kms/material";

/// Finds the key a management operation names: by id or key ARN, in the
/// caller's own account. A foreign ARN is not looked at: nobody manages
/// another account's keys.
///
/// # Errors
///
/// Those of [`KeyName::parse`], [`Error::AliasNotAccepted`] for an alias,
/// [`Error::KeyNotFound`] in the caller's account.
pub async fn key(cx: &Cx, text: &str) -> Result<Sought, Error> {
    let name = KeyName::parse(text, cx.region())?;
    let owner = name.owner.unwrap_or(cx.account());
    match name.target {
        Target::Alias(_) => Err(Error::AliasNotAccepted),
        Target::Key(id) if owner != cx.account() => Ok(Sought {
            arn: arn(&id, owner, cx.region()).into(),
            owner,
            found: None,
            named: Named::Key,
        }),
        Target::Key(id) => by_id(cx, owner, &id, Named::Key).await,
    }
}

/// Finds the key that an operation names which takes no aliases, and may be
/// allowed to other accounts: by id or key ARN, in any account.
///
/// # Errors
///
/// As [`key`].
pub async fn shared_key(cx: &Cx, text: &str) -> Result<Sought, Error> {
    let name = KeyName::parse(text, cx.region())?;
    match name.target {
        Target::Alias(_) => Err(Error::AliasNotAccepted),
        Target::Key(id) => by_id(cx, name.owner.unwrap_or(cx.account()), &id, Named::Key).await,
    }
}

/// Finds the key a cryptographic operation names: by id, alias or ARN of
/// either, in any account.
///
/// # Errors
///
/// Those of [`KeyName::parse`]; [`Error::AliasNotFound`] and
/// [`Error::KeyNotFound`] in the caller's account.
pub async fn key_or_alias(cx: &Cx, text: &str) -> Result<Sought, Error> {
    let name = KeyName::parse(text, cx.region())?;
    let owner = name.owner.unwrap_or(cx.account());
    let alias = match name.target {
        Target::Alias(alias) => alias,
        Target::Key(id) => return by_id(cx, owner, &id, Named::Key).await,
    };
    let row = cx
        .view()
        .cross_account_get(&scope(cx, owner), &ALIASES, &alias)
        .await?;
    match row {
        Some(row) => by_id(cx, owner, &row.key, Named::Alias(alias)).await,
        None if owner == cx.account() => Err(Error::AliasNotFound(alias.arn(owner, cx.region()))),
        None => Ok(Sought {
            arn: alias.arn(owner, cx.region()).into(),
            owner,
            found: None,
            named: Named::Alias(alias),
        }),
    }
}

/// Finds the key that a ciphertext names.
///
/// # Errors
///
/// [`Error::CiphertextKeyHidden`] if the caller's account has no such key.
pub async fn key_of_ciphertext(cx: &Cx, reference: &CiphertextReference) -> Result<Sought, Error> {
    match by_id(cx, reference.account, &reference.key, Named::Ciphertext).await {
        Err(Error::KeyNotFound(_)) => Err(Error::CiphertextKeyHidden),
        found => found,
    }
}

/// The related key in another region of the caller's account, which owns all of them.
///
/// # Errors
///
/// [`Error::ReplicaRegion`] if there is none.
pub(crate) async fn related(cx: &Cx, key: &Key, region: &Region) -> Result<Sought, Error> {
    let scope = Scope::regional(key.account, region);
    let row = cx.view().cross_account_get(&scope, &KEYS, &key.id).await?;
    let related = row.ok_or_else(|| Error::ReplicaRegion {
        region: region.to_string(),
    })?;
    let policy = related.attached_policy();
    let policy = policy.map_err(|malformed| Error::MalformedStoredPolicy {
        arn: related.arn(),
        malformed,
    })?;
    Ok(Sought {
        arn: Arc::clone(related.shared_arn()),
        owner: related.account,
        found: Some((related, policy)),
        named: Named::Key,
    })
}

/// Every related key of a multi-Region key.
///
/// # Errors
///
/// As [`related`].
pub(crate) async fn all_related(cx: &Cx, key: &Key) -> Result<Vec<Arc<Key>>, Error> {
    let mut found = Vec::new();
    for region in key.multi_region.iter().flat_map(|keys| keys.others(&key.region)) {
        let sought = related(cx, key, &region).await?;
        found.extend(sought.found.map(|(key, _)| key));
    }
    Ok(found)
}

/// Lets every related key take over what `key` has become, each by `change`.
///
/// # Errors
///
/// Whatever the store reports; a conflict if a related key is not there, which
/// the rows of all of them would have to say.
pub(crate) async fn tell_related(
    tx: &WriteTx,
    key: &Key,
    change: impl Fn(&mut Key) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(keys) = &key.multi_region else {
        return Ok(());
    };
    for region in keys.others(&key.region) {
        let scope = Scope::regional(key.account, &region);
        let before = tx.cross_account_get(&scope, &KEYS, &key.id).await?;
        let before = before.ok_or(StoreError::Conflict)?;
        let mut after = Key::clone(&before);
        change(&mut after)?;
        if after.material != before.material {
            keep_material(tx, &before);
        }
        replace_key(tx, &before, &after);
    }
    Ok(())
}

/// Writes the replica of a key, with the materials it needs. The permits prove
/// that the caller may replicate the key and create one there.
pub(crate) fn insert_replica(
    tx: &WriteTx,
    _primary: &Permit<Arc<Key>>,
    _may_create: &Permit<()>,
    replica: &Key,
    earlier: &[(MaterialId, Material)],
) {
    let scope = scope_of(replica);
    for (id, material) in earlier {
        tx.cross_account_put(&scope, &MATERIALS, &(replica.id.clone(), id.clone()), material);
    }
    tx.cross_account_put(&scope, &KEYS, &replica.id, replica);
}

async fn by_id(cx: &Cx, owner: AccountId, id: &KeyId, named: Named) -> Result<Sought, Error> {
    let row = cx.view().cross_account_get(&scope(cx, owner), &KEYS, id).await?;
    let row = match row {
        Some(key) if key.custody.is_some() => {
            Some(Box::pin(custom_key_stores::with_its_store(cx, key)).await?)
        }
        row => row,
    };
    let spelled = match &row {
        Some(key) => Arc::clone(key.shared_arn()),
        None => arn(id, owner, cx.region()).into(),
    };
    let found = match row {
        Some(key) => {
            let policy = key.attached_policy();
            let policy = policy.map_err(|malformed| Error::MalformedStoredPolicy {
                arn: spelled.to_string(),
                malformed,
            })?;
            Some((key, policy))
        }
        None if owner == cx.account() => return Err(Error::KeyNotFound(spelled.to_string())),
        None => None,
    };
    Ok(Sought {
        arn: spelled,
        owner,
        found,
        named,
    })
}

/// An account in the region of the call.
fn scope(cx: &Cx, owner: AccountId) -> Scope {
    if owner == cx.account() {
        return cx.view().scope().clone();
    }
    Scope::regional(owner, cx.region())
}

/// An alias of the caller's account.
///
/// # Errors
///
/// [`Error::AliasNotFound`] if there is none.
pub async fn alias(cx: &Cx, name: &AliasName) -> Result<Arc<Alias>, Error> {
    let row = cx.view().get(&ALIASES, name).await?;
    row.ok_or_else(|| Error::AliasNotFound(name.arn(cx.account(), cx.region())))
}

/// A page of the caller's keys.
///
/// # Errors
///
/// Whatever the store reports.
pub async fn keys(cx: &Cx, after: Option<&KeyId>, limit: usize) -> Result<store::Page<KeyId, Key>, Error> {
    Ok(cx.view().scan(&KEYS, &Prefix::all(), after, limit).await?)
}

/// A page of the caller's aliases.
///
/// # Errors
///
/// Whatever the store reports.
pub async fn aliases(
    cx: &Cx,
    after: Option<&AliasName>,
    limit: usize,
) -> Result<store::Page<AliasName, Alias>, Error> {
    Ok(cx.view().scan(&ALIASES, &Prefix::all(), after, limit).await?)
}

/// A backing key, open for as long as its row is held.
pub enum Backing {
    /// In the key's own row.
    Current(Arc<Key>),
    /// In a row of its own.
    Apart(Arc<Material>),
}

impl Deref for Backing {
    type Target = BackingKey;

    fn deref(&self) -> &BackingKey {
        let material = match self {
            Backing::Current(key) => key.sealed.as_ref(),
            Backing::Apart(row) => Some(&**row),
        };
        material
            .and_then(Material::opened)
            .expect("a Backing is made of a row that was opened")
    }
}

/// The backing key behind a material of `key`; `None` if it has no such material.
///
/// # Errors
///
/// [`Error::Crypto`] if the row was changed or belongs elsewhere.
pub async fn backing(cx: &Cx, key: &Permit<Arc<Key>>, id: &MaterialId) -> Result<Option<Backing>, Error> {
    let domain = || cx.domain_key(key.account, &key.region, MATERIAL_PURPOSE);
    let open = |material: &Material| {
        let opened = material.open(&key.id, id, key.purpose.spec(), domain);
        opened.map(drop).map_err(Error::Crypto)
    };
    if let Some(material) = key.sealed.as_ref().filter(|_| *id == key.material) {
        open(material)?;
        return Ok(Some(Backing::Current(Arc::clone(key))));
    }
    let row = cx
        .view()
        .cross_account_get(&scope(cx, key.account), &MATERIALS, &(key.id.clone(), id.clone()))
        .await?;
    let Some(row) = row else { return Ok(None) };
    open(&row)?;
    Ok(Some(Backing::Apart(row)))
}

/// The backing key behind the current material of `key`.
///
/// # Errors
///
/// As [`backing`], and [`Error::MaterialNotFound`] if the row is lost.
pub async fn current_backing(cx: &Cx, key: &Permit<Arc<Key>>) -> Result<Backing, Error> {
    let backing = backing(cx, key, &key.material).await?;
    backing.ok_or_else(|| Error::MaterialNotFound {
        arn: key.arn(),
        material: key.material.to_string(),
    })
}

/// Seals the current material of a key that is being made.
///
/// # Errors
///
/// [`Error::Crypto`] if the provider cannot serialise it.
pub fn seal(cx: &Cx, key: &Key, backing: &BackingKey) -> Result<Material, Error> {
    let domain = cx.domain_key(key.account, &key.region, MATERIAL_PURPOSE);
    Material::seal(&key.id, &key.material, backing, &domain, cx.random(), cx.now()).map_err(Error::Crypto)
}

/// Seals any material of a key.
///
/// # Errors
///
/// As [`seal`].
pub(crate) fn seal_as(cx: &Cx, key: &Key, id: &MaterialId, backing: &BackingKey) -> Result<Material, Error> {
    let domain = cx.domain_key(key.account, &key.region, MATERIAL_PURPOSE);
    Material::seal(&key.id, id, backing, &domain, cx.random(), cx.now()).map_err(Error::Crypto)
}

/// Puts a sealed material where it belongs: into the key if it is the current
/// one, else into a row of its own.
pub(crate) fn place_material(tx: &WriteTx, key: &mut Key, id: &MaterialId, sealed: Material) {
    if *id == key.material {
        key.sealed = Some(sealed);
    } else {
        tx.cross_account_put(&scope_of(key), &MATERIALS, &(key.id.clone(), id.clone()), &sealed);
    }
}

/// Removes the row of a material, if it has one of its own.
pub(crate) fn drop_material(tx: &WriteTx, key: &Key, id: &MaterialId) {
    tx.cross_account_delete(&scope_of(key), &MATERIALS, &(key.id.clone(), id.clone()));
}

/// Lets the replicas of a primary key forget a material that it never rotated to
/// and has lost: nothing will come of it.
///
/// # Errors
///
/// As [`tell_related`].
///
/// Source: KMS API Reference, `DeleteImportedKeyMaterial`, "Considerations for
/// multi-Region symmetric encryption keys".
pub(crate) async fn forget_pending(tx: &WriteTx, key: &Key, id: &MaterialId) -> Result<(), StoreError> {
    if key.is_replica() || key.has_material(id) {
        return Ok(());
    }
    tell_related(tx, key, |related| {
        drop_material(tx, related, id);
        related.forget_pending(id);
        Ok(())
    })
    .await
}

/// Takes the row of a material to be the key's current one.
///
/// # Errors
///
/// [`Error::MaterialNotFound`] if there is none.
pub(crate) async fn take_material(tx: &WriteTx, key: &mut Key) -> Result<(), Error> {
    let row = (key.id.clone(), key.material.clone());
    let scope = scope_of(key);
    let sealed = tx.cross_account_get(&scope, &MATERIALS, &row).await?;
    let sealed = sealed.ok_or_else(|| Error::MaterialNotFound {
        arn: key.arn(),
        material: key.material.to_string(),
    })?;
    key.sealed = Some(Material::clone(&sealed));
    tx.cross_account_delete(&scope, &MATERIALS, &row);
    Ok(())
}

/// Where a key and what belongs to it lie.
fn scope_of(key: &Key) -> Scope {
    Scope::regional(key.account, &key.region)
}

/// Writes a new key, which holds its material.
pub fn insert_key(tx: &mut WriteTx, _may_create: &Permit<()>, key: &Key) {
    insert_chosen_key(tx, key);
}

/// Writes a key that the operator chose, which holds its material. No permit:
/// nobody asks, and only [`crate::bootstrap_key`] calls it.
pub(crate) fn insert_chosen_key(tx: &mut WriteTx, key: &Key) {
    let waits = key.state == KeyState::PendingImport;
    assert_eq!(
        key.sealed.is_none(),
        waits,
        "a new key has its material or waits for it"
    );
    assert!(
        key.custody.is_none(),
        "a key in a custom key store is written with its place there"
    );
    tx.put(&KEYS, &key.id, key);
}

/// Writes the key that AWS manages under an alias, and the alias. The permit
/// proves that the caller may look at it.
///
/// # Errors
///
/// [`StoreError::Conflict`] if somebody else was first.
pub(crate) async fn insert_managed(
    tx: &mut WriteTx,
    _may_describe: &Permit<Arc<Key>>,
    alias: &AliasName,
    key: &Key,
) -> Result<(), StoreError> {
    if tx.get(&ALIASES, alias).await?.is_some() {
        return Err(StoreError::Conflict);
    }
    // As if it had not rotated by itself before, for its place among those that do.
    let before = Key {
        schedule: None,
        ..Key::clone(key)
    };
    replace_key(tx, &before, key);
    let row = Alias {
        name: alias.clone(),
        key: key.id.clone(),
        created: key.created,
        updated: key.created,
    };
    tx.put(&ALIASES, alias, &row);
    Ok(())
}

/// Replaces a key by what it has become, and its place among the deletions due.
pub fn update_key(tx: &mut WriteTx, before: &Permit<Arc<Key>>, after: &Key) {
    assert_eq!(before.id, after.id, "a key is replaced by itself");
    replace_key(tx, before, after);
}

/// As [`update_key`], by a job. No permit: it was given when the job was asked for.
pub(crate) fn replace_key(tx: &WriteTx, before: &Key, after: &Key) {
    for ((table, was_due), (_, is_due)) in dues(before).into_iter().zip(dues(after)) {
        if was_due == is_due {
            continue;
        }
        if let Some(due) = was_due {
            tx.cross_account_delete(&Scope::global(), table, &due_row(before, due));
        }
        if let Some(due) = is_due {
            tx.cross_account_put(&Scope::global(), table, &due_row(after, due), &());
        }
    }
    tx.cross_account_put(&scope_of(after), &KEYS, &after.id, after);
}

/// What happens to a key by itself, and when.
fn dues(key: &Key) -> [(&'static Table<Due, ()>, Option<Timestamp>); 3] {
    [
        (&DELETIONS, key.state.deletion_due()),
        (&ROTATIONS, key.rotation_due()),
        (&EXPIRIES, key.expiry_due()),
    ]
}

/// Gives the current material of a key that is about to rotate a row of its
/// own, if it has none.
pub(crate) fn keep_material(tx: &WriteTx, before: &Key) {
    if let Some(material) = &before.sealed {
        let scope = scope_of(before);
        let row = (before.id.clone(), before.material.clone());
        tx.cross_account_put(&scope, &MATERIALS, &row, material);
    }
}

fn due_row(key: &Key, due: Timestamp) -> Due {
    (due, key.account, key.region.clone(), key.id.clone())
}

/// Points a new alias at `key`. The permits prove that the caller may have
/// the alias and may point it there.
///
/// # Errors
///
/// [`Error::AliasExists`] and [`Error::TooManyAliases`].
pub async fn insert_alias(
    tx: &mut WriteTx,
    name: &Permit<AliasName>,
    key: &Permit<Arc<Key>>,
    now: Timestamp,
) -> Result<(), Error> {
    if tx.get(&ALIASES, name).await?.is_some() {
        return Err(Error::AliasExists(name.arn(key.account, &key.region)));
    }
    point(tx, name, key, now, now)
}

/// Points an alias at another key.
///
/// # Errors
///
/// [`Error::TooManyAliases`].
pub fn move_alias(
    tx: &mut WriteTx,
    name: &Permit<AliasName>,
    alias: &Alias,
    from: &Permit<Arc<Key>>,
    to: &Permit<Arc<Key>>,
    now: Timestamp,
) -> Result<(), Error> {
    if from.id != to.id {
        forget(tx, name, from);
    }
    point(tx, name, to, alias.created, now)
}

/// Removes an alias from the key it points at.
pub fn delete_alias(tx: &mut WriteTx, name: &Permit<AliasName>, key: &Permit<Arc<Key>>) {
    forget(tx, name, key);
    tx.delete(&ALIASES, name);
}

fn point(
    tx: &mut WriteTx,
    name: &AliasName,
    key: &Permit<Arc<Key>>,
    created: Timestamp,
    updated: Timestamp,
) -> Result<(), Error> {
    let mut after = Key::clone(key);
    after.add_alias(name.clone())?;
    update_key(tx, key, &after);
    tx.put(
        &ALIASES,
        name,
        &Alias {
            name: name.clone(),
            key: key.id.clone(),
            created,
            updated,
        },
    );
    Ok(())
}

fn forget(tx: &mut WriteTx, name: &AliasName, key: &Permit<Arc<Key>>) {
    let mut after = Key::clone(key);
    after.aliases.remove(name);
    update_key(tx, key, &after);
}

/// Removes a key whose time has come, with its material and aliases. No
/// permit: it was given when the deletion was scheduled.
///
/// # Errors
///
/// Whatever the store reports.
pub(crate) async fn delete_key(tx: &mut WriteTx, key: &Key, now: Timestamp) -> Result<(), StoreError> {
    tell_related(tx, key, |related| {
        related.forget_replica(&key.region, now);
        Ok(())
    })
    .await?;
    for alias in &key.aliases {
        tx.delete(&ALIASES, alias);
    }
    let mut after = None;
    loop {
        let page = tx
            .scan(
                &MATERIALS,
                &Prefix::<(KeyId, MaterialId)>::first(&key.id),
                after.as_ref(),
                100,
            )
            .await?;
        for (row, _) in &page.items {
            tx.delete(&MATERIALS, row);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for (table, due) in dues(key) {
        if let Some(due) = due {
            tx.cross_account_delete(&Scope::global(), table, &due_row(key, due));
        }
    }
    custom_key_stores::forget_key(tx, key);
    tx.delete(&LAST_USES, &key.id);
    tx.delete(&KEYS, &key.id);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use store::Store;

    use super::*;
    use crate::model::Purpose;
    use crate::model::policy::KeyPolicy;

    /// The same table, as whoever looks at its rows sees it.
    const fn spelled(version: u8) -> Table<KeyId, Value> {
        Table::new("kms/key", version)
    }

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    fn id() -> KeyId {
        KeyId::parse("0196a2b3-c4d5-4e6f-8a9b-0c1d2e3f4a5b").unwrap()
    }

    async fn stored(version: u8, row: &Value) -> Result<Option<Arc<Key>>, StoreError> {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let scope = Scope::regional(account(), &Region::us_east_1());
        let tx = store.view(scope.clone()).begin();
        tx.put(&spelled(version), &id(), row);
        store.commit(tx).await.unwrap();
        store.view(scope).get(&KEYS, &id()).await
    }

    /// A row as it was written before rows left out what most keys say.
    fn row_of_version_1(policy: &str) -> Value {
        json!({
            "id": id().as_str(),
            "account": "111122223333",
            "region": "us-east-1",
            "purpose": {"spec": "SYMMETRIC_DEFAULT", "usage": "ENCRYPT_DECRYPT"},
            "created": 1_800_000_000_000i64,
            "description": "",
            "state": "Enabled",
            "policy": {"text": policy, "bound": {}},
            "tags": {},
            "aliases": [],
            "granted": true,
            "material": "ab".repeat(32),
            "sealed": {"created": 1_800_000_000_000i64, "sealed": "AAAA"},
        })
    }

    #[tokio::test]
    async fn rows_of_version_1_say_what_they_said() {
        let text = KeyPolicy::default_text(account());
        let mut row = row_of_version_1(&text);
        let key = stored(1, &row).await.unwrap().unwrap();
        assert_eq!(key.policy.text_with(account(), &BTreeMap::new()), text);
        assert!(key.purpose == Purpose::SYMMETRIC && key.state == KeyState::Enabled && key.granted);
        assert!(key.description.is_empty() && key.tags.is_empty() && key.aliases.is_empty());

        row["purpose"] = json!({"spec": "HMAC_256", "usage": "GENERATE_VERIFY_MAC"});
        row["state"] = json!("Disabled");
        row["description"] = json!("of old");
        row["tags"] = json!({"a": "b"});
        row["aliases"] = json!(["alias/a"]);
        row["policy"] = json!({"text": "{}", "bound": {"arn:aws:iam::111122223333:user/bob": "AIDA"}});
        for version in [1, 2] {
            let key = stored(version, &row).await.unwrap().unwrap();
            let mut written = serde_json::to_value(&*key).unwrap();
            assert_eq!(written, row, "version {version}");
            // Nothing but what is written as it was is left out.
            written["policy"]["bound"] = json!({});
            let key: Key = serde_json::from_value(written).unwrap();
            assert_eq!(
                serde_json::to_value(&key).unwrap()["policy"],
                json!({"text": "{}"})
            );
        }
    }

    /// The row of a key that says what most keys say, which is what is read when one
    /// is used for the first time.
    #[tokio::test]
    async fn a_row_says_only_what_most_keys_do_not() {
        let material = MaterialId::from_bytes([0xab; 32]);
        let region = Region::us_east_1();
        let created = Timestamp::from_seconds(1_800_000_000);
        let key = Key::fresh(account(), &region, id(), Purpose::SYMMETRIC, material, created);
        let row = serde_json::to_value(&key).unwrap();
        let expected = json!({
            "id": id().as_str(),
            "account": "111122223333",
            "region": "us-east-1",
            "created": 1_800_000_000_000i64,
            "material": "ab".repeat(32),
        });
        assert_eq!(row, expected);
        let key = stored(2, &row).await.unwrap().unwrap();
        assert_eq!(serde_json::to_value(&*key).unwrap(), row);
        assert_eq!(
            key.policy.text_with(account(), &BTreeMap::new()),
            KeyPolicy::default_text(account())
        );
        assert!(key.purpose == Purpose::SYMMETRIC && key.state == KeyState::Enabled);
        let newer = stored(3, &row).await.unwrap_err();
        assert!(matches!(newer, StoreError::NewerRecord { found: 3, .. }));
    }
}
