//! Rows of instance profiles.
//!
//! Invariant: [`PROFILES_OF_ROLE`] has a row for every profile that holds a role.

use gate::Permit;
use std::sync::Arc;
use store::{Prefix, StoreError, Table, WriteTx};

use crate::limits::INSTANCE_PROFILES_MAX;
use crate::model::{Attachment, InstanceProfile, Role, fold};
use crate::store::{Entity, Rows};

/// By folded name: names are unique whatever their path.
pub(crate) const INSTANCE_PROFILES: Table<String, InstanceProfile> = Table::new("iam/instance-profile", 1);
/// By id of the role, and folded name of the profile.
pub(crate) const PROFILES_OF_ROLE: Table<(String, String), Attachment> =
    Table::new("iam/role-instance-profile", 1);

impl Rows<'_> {
    /// The instance profile of that name, in any case.
    pub(crate) async fn instance_profile(
        &self,
        name: &str,
    ) -> Result<Option<Arc<InstanceProfile>>, StoreError> {
        self.get(&INSTANCE_PROFILES, &fold(name)).await
    }

    /// The role in a profile.
    pub(crate) async fn role_in(&self, profile: &InstanceProfile) -> Result<Option<Arc<Role>>, StoreError> {
        let Some(id) = &profile.role_id else {
            return Ok(None);
        };
        Ok(match self.entity(id).await? {
            Some(Entity::Role(role)) => Some(role),
            Some(Entity::Group(_) | Entity::User(_)) | None => None,
        })
    }

    /// The profiles that hold a role, by name.
    pub(crate) async fn profiles_of(&self, role: &Role) -> Result<Vec<Arc<InstanceProfile>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&role.id);
        let limit = usize::try_from(INSTANCE_PROFILES_MAX).unwrap_or(usize::MAX);
        let page = self.scan(&PROFILES_OF_ROLE, &prefix, None, limit).await?;
        let mut profiles = Vec::with_capacity(page.items.len());
        for ((_, name), _) in page.items {
            profiles.extend(self.get(&INSTANCE_PROFILES, &name).await?);
        }
        Ok(profiles)
    }
}

/// Keeps a profile, new or with other tags.
pub(crate) fn put_instance_profile(tx: &mut WriteTx, profile: &Permit<InstanceProfile>) {
    tx.put(&INSTANCE_PROFILES, &fold(&profile.name), &**profile);
}

/// Puts a role into a profile that holds none. `passing` proves that the
/// caller may pass the role.
pub(crate) fn put_role_into_profile(
    tx: &mut WriteTx,
    profile: &Permit<InstanceProfile>,
    passing: &Permit<Arc<Role>>,
) {
    let place = (passing.id.clone(), fold(&profile.name));
    tx.put(&PROFILES_OF_ROLE, &place, &Attachment {});
    put_instance_profile(tx, profile);
}

/// Takes the role with this id out of a profile.
pub(crate) fn take_role_out_of_profile(tx: &mut WriteTx, profile: &Permit<InstanceProfile>, role_id: &str) {
    tx.delete(&PROFILES_OF_ROLE, &(role_id.to_owned(), fold(&profile.name)));
    put_instance_profile(tx, profile);
}

/// Removes a profile that holds no role.
pub(crate) fn delete_instance_profile(tx: &mut WriteTx, profile: &Permit<Arc<InstanceProfile>>) {
    tx.delete(&INSTANCE_PROFILES, &fold(&profile.name));
}
