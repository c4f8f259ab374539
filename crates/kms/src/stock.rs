//! A store full of keys and grants, made at once: what `bench --stored` measures.
//!
//! The rows are those that `CreateKey` and `CreateGrant` write, by the functions
//! that write them there, but many keys to a commit.
//!
//! Absent by design: permits, quotas, announcements and records. Nobody is asked
//! and nothing is told, so no command does this: it is for a store that was made
//! to be measured and that no server has open.

use crypto::Random;
use crypto::hierarchy::RootKey;
use crypto::key::BackingKey;
use ground::{AccountId, Region, Timestamp};
use kms_api::GrantOperation;
use store::{Scope, Store};

use crate::error::Error;
use crate::limits::STOCKED_ROWS_PER_COMMIT;
use crate::model::grant::{Grant, GrantId, Party, Terms};
use crate::model::{Key, KeyId, Material, MaterialId, Purpose};
use crate::store::{MATERIAL_PURPOSE, grants, insert_chosen_key};

/// What is to be in the store.
pub struct Stock<'a> {
    /// The owner of the keys, for whose root user the grants are.
    pub account: AccountId,
    /// Where they live.
    pub region: &'a Region,
    /// How many symmetric keys.
    pub keys: usize,
    /// How many grants to decrypt each of them has.
    pub grants_of_each: usize,
    /// When the last of them is made; they are a millisecond apart.
    pub now: Timestamp,
}

/// Writes the keys and grants. `root_key` is the one that the store is sealed under.
///
/// # Errors
///
/// Whatever the provider and the store report; what was written before stays.
pub async fn stock(
    store: &Store,
    root_key: &RootKey,
    random: &Random,
    wanted: &Stock<'_>,
) -> Result<(), Error> {
    // A grant has two rows, and a key one, with another that counts its grants.
    let rows_of_a_key = 2 + 2 * wanted.grants_of_each;
    let keys_at_once = (STOCKED_ROWS_PER_COMMIT / rows_of_a_key).max(1);
    let scope = Scope::regional(wanted.account, wanted.region);
    let mut made = 0;
    while made < wanted.keys {
        let mut tx = store.view(scope.clone()).begin();
        let behind = (made + keys_at_once).min(wanted.keys);
        for number in made..behind {
            let before = i64::try_from(wanted.keys - number).unwrap_or(i64::MAX);
            let created = Timestamp(wanted.now.0.saturating_sub(before));
            let (key, grants) = key_with_grants(root_key, random, wanted, created)?;
            insert_chosen_key(&mut tx, &key);
            grants::insert_first(&tx, &key, &grants);
        }
        store.commit(tx).await?;
        made = behind;
    }
    Ok(())
}

fn key_with_grants(
    root_key: &RootKey,
    random: &Random,
    wanted: &Stock<'_>,
    created: Timestamp,
) -> Result<(Key, Vec<Grant>), Error> {
    let purpose = Purpose::SYMMETRIC;
    let (id, material) = (KeyId::generate(created, random), MaterialId::generate(random));
    let backing = BackingKey::generate(purpose.spec(), random)?;
    let domain = root_key.domain(wanted.account, wanted.region, MATERIAL_PURPOSE);
    let sealed = Material::seal(&id, &material, &backing, &domain, random, created)?;
    let key = Key {
        granted: wanted.grants_of_each > 0,
        sealed: Some(sealed),
        ..Key::fresh(wanted.account, wanted.region, id, purpose, material, created)
    };
    let grants = (0..wanted.grants_of_each).map(|_| {
        Ok(Grant {
            id: GrantId::generate(random),
            created,
            issuer: wanted.account,
            name: None,
            grantee: Party::Principal {
                arn: format!("arn:aws:iam::{}:root", wanted.account),
                holder: wanted.account.to_string(),
                account: wanted.account,
            },
            retirer: None,
            terms: Terms::new(purpose, &[GrantOperation::Decrypt], None)?,
        })
    });
    let grants = grants.collect::<Result<Vec<Grant>, Error>>()?;
    Ok((key, grants))
}

#[cfg(test)]
mod tests {
    use store::Prefix;

    use super::*;
    use crate::store::KEYS;

    /// More than one commit's worth, each key whole: its material opens, and its
    /// grants are where they are sought and counted.
    #[tokio::test]
    async fn what_is_stocked_is_whole() {
        let store = Store::open(store::Config::memory()).await.unwrap();
        let random = Random::system();
        let root_key = RootKey::generate(&random);
        let account = AccountId::parse("111122223333").unwrap();
        let region = Region::us_east_1();
        let wanted = Stock {
            account,
            region: &region,
            keys: 900,
            grants_of_each: 2,
            now: Timestamp::from_seconds(1_800_000_000),
        };
        stock(&store, &root_key, &random, &wanted).await.unwrap();
        let view = store.view(Scope::regional(account, &region));
        let page = view.scan(&KEYS, &Prefix::all(), None, 1_000).await.unwrap();
        assert_eq!(page.items.len(), 900);
        assert!(
            page.items
                .is_sorted_by(|(_, one), (_, next)| one.created < next.created)
        );
        assert!(page.items.iter().all(|(_, key)| key.created < wanted.now));
        for (id, key) in page.items.iter().step_by(90) {
            let material = key.sealed.as_ref().unwrap();
            let domain = || root_key.domain(account, &region, MATERIAL_PURPOSE);
            material
                .open(id, &key.material, key.purpose.spec(), domain)
                .unwrap();
            assert!(key.granted);
            assert_eq!(grants::counted(&store, key).await, (2, 2, 2));
        }
    }
}
