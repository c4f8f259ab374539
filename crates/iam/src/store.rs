//! The rows of IAM: where each noun is kept, and the only ways to change them.
//!
//! Everything lives in the account's regionless scope, but for the index from
//! access key id to owner, which all accounts share.
//!
//! Invariants:
//! - every change of an account's identities changes its [`GENERATION`] row in
//!   the same commit, by which whatever was assembled from them is known to be
//!   out of date;
//! - [`NAMES`] has one row for every user, role and group;
//! - [`USES`] counts the rows of [`USED_BY`], [`SUMMARY`] those of the entities.
//!
//! Absent by design: reads within a write. A handler reads first; its commit
//! fails if anything it read has changed.

mod access_report;
mod account;
mod credential_report;
mod instance_profile;
pub(crate) mod login_profile;
pub(crate) mod mfa;
pub(crate) mod outbound;
mod provider;
mod root_access;
pub(crate) mod server_certificate;
mod service_credential;
mod service_linked;
mod signing_certificate;
mod ssh_key;

use std::sync::Arc;

use gate::{Cx, Permit};
use ground::{AccountId, Timestamp};
use policy::Document;
use store::{Prefix, Scope, StoreError, Table, View, WriteTx};

use crate::aws_managed;
use crate::error::Error;
use crate::last_used::LastUse;
use crate::limits::{
    ATTACHED_POLICIES_MAX, GROUPS_PER_USER_MAX, INLINE_POLICIES_READ_MAX, VERSIONS_PER_POLICY_MAX,
};
use crate::model::{
    AccessKey, Accesses, Account, Attachment, EntityKind, Generation, Group, InlinePolicy, KeyOwner,
    ManagedPolicy, Membership, Named, PolicyArn, PolicyVersion, Role, Summary, Usage, UsedBy, User, Uses,
    fold,
};

pub(crate) use access_report::{AccessReport, Subject, put_access_reports};
pub(crate) use account::{
    cross_account_alias_owner, delete_password_policy, put_alias, put_password_policy, put_token_version,
};
pub(crate) use credential_report::{REPORT, REPORT_PARTS, REPORTS_WAITING, Report, put_report_wanted};
pub(crate) use instance_profile::{
    INSTANCE_PROFILES, delete_instance_profile, put_instance_profile, put_role_into_profile,
    take_role_out_of_profile,
};
pub(crate) use login_profile::{delete_login_profile, put_login_profile};
pub(crate) use mfa::{
    MFA_COUNTERS, MFA_DEVICES, delete_mfa_device, mfa_row, put_assigned_mfa_device, put_mfa_counter,
    put_mfa_device, put_released_mfa_device,
};
pub(crate) use outbound::{cross_account_token_issuer, put_outbound};
pub(crate) use provider::{
    OIDC_PROVIDERS, SAML_PROVIDERS, delete_oidc_provider, delete_saml_provider, put_oidc_provider,
    put_saml_provider,
};
pub(crate) use root_access::put_root_access;
pub(crate) use server_certificate::{
    SERVER_CERTIFICATES, delete_server_certificate, move_server_certificate, put_server_certificate,
};
pub(crate) use service_credential::{SERVICE_CREDENTIALS, delete_service_credential, put_service_credential};
pub(crate) use service_linked::{DeletionTask, put_deletion_tasks};
pub(crate) use signing_certificate::{delete_signing_certificate, put_signing_certificate};
pub(crate) use ssh_key::{delete_ssh_key, put_ssh_key};

/// The account itself.
pub(crate) const ACCOUNT: Table<(), Account> = Table::new("iam/account", 1);
/// Changes with every change of the account's identities.
pub(crate) const GENERATION: Table<(), Generation> = Table::new("iam/generation", 1);
/// How many of each there are.
pub(crate) const SUMMARY: Table<(), Summary> = Table::new("iam/summary", 1);
/// By folded name.
pub(crate) const USERS: Table<String, User> = Table::new("iam/user", 1);
/// By folded name.
pub(crate) const ROLES: Table<String, Role> = Table::new("iam/role", 1);
/// By folded name.
pub(crate) const GROUPS: Table<String, Group> = Table::new("iam/group", 1);
/// By folded name: names are unique whatever their path.
pub(crate) const POLICIES: Table<String, ManagedPolicy> = Table::new("iam/managed-policy", 1);
/// From unique id to name.
pub(crate) const NAMES: Table<String, Named> = Table::new("iam/name", 1);
/// By id of the managed policy, and number.
pub(crate) const VERSIONS: Table<(String, u64), PolicyVersion> = Table::new("iam/policy-version", 1);
/// By id of the entity, and policy name.
pub(crate) const INLINE: Table<(String, String), InlinePolicy> = Table::new("iam/inline-policy", 1);
/// By id of the entity, and ARN of the managed policy.
pub(crate) const ATTACHED: Table<(String, String), Attachment> = Table::new("iam/attached-policy", 1);
/// By ARN of the managed policy, usage, and id of the entity.
pub(crate) const USED_BY: Table<(String, String, String), UsedBy> = Table::new("iam/policy-used-by", 1);
/// By ARN of the managed policy.
pub(crate) const USES: Table<String, Uses> = Table::new("iam/policy-uses", 1);
/// By id of the group, and folded name of the user.
pub(crate) const MEMBERS: Table<(String, String), Membership> = Table::new("iam/group-member", 1);
/// By id of the user, and id of the group.
pub(crate) const MEMBERSHIPS: Table<(String, String), Membership> = Table::new("iam/user-group", 1);
/// By id of the owner (the account id for root), and key id.
pub(crate) const ACCESS_KEYS: Table<(String, String), AccessKey> = Table::new("iam/access-key", 1);
/// By id of the access key or role.
pub(crate) const LAST_USED: Table<String, LastUse> = Table::new("iam/last-used", 1);
/// By id of the user, role or account: what it last did.
pub(crate) const ACCESSES: Table<String, Accesses> = Table::new("iam/accesses", 1);
/// In the scope all accounts share: by key id.
pub(crate) const KEY_OWNERS: Table<String, KeyOwner> = Table::new("iam/access-key-owner", 1);

/// A user, role or group.
#[derive(Debug, Clone)]
pub(crate) enum Entity {
    /// A group.
    Group(Arc<Group>),
    /// A role.
    Role(Arc<Role>),
    /// A user.
    User(Arc<User>),
}

impl Entity {
    /// Which of the three.
    pub(crate) fn kind(&self) -> EntityKind {
        match self {
            Entity::Group(_) => EntityKind::Group,
            Entity::Role(_) => EntityKind::Role,
            Entity::User(_) => EntityKind::User,
        }
    }

    /// The unique id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Entity::Group(group) => &group.id,
            Entity::Role(role) => &role.id,
            Entity::User(user) => &user.id,
        }
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Entity::Group(group) => &group.name,
            Entity::Role(role) => &role.name,
            Entity::User(user) => &user.name,
        }
    }

    /// The path.
    pub(crate) fn path(&self) -> &str {
        match self {
            Entity::Group(group) => &group.path,
            Entity::Role(role) => &role.path,
            Entity::User(user) => &user.path,
        }
    }

    /// The ARN.
    pub(crate) fn arn(&self, account: AccountId) -> String {
        match self {
            Entity::Group(group) => group.arn(account),
            Entity::Role(role) => role.arn(account),
            Entity::User(user) => user.arn(account),
        }
    }

    /// Refuses to change what belongs to a service.
    ///
    /// # Errors
    ///
    /// [`Error::Unmodifiable`] for a service-linked role.
    pub(crate) fn changeable(&self) -> Result<(), Error> {
        match self {
            Entity::Role(role) => role.changeable(),
            Entity::Group(_) | Entity::User(_) => Ok(()),
        }
    }
}

/// A managed policy, of the account or of AWS.
#[derive(Debug, Clone)]
pub(crate) enum Policy {
    /// Of AWS.
    Aws(&'static aws_managed::Policy),
    /// Of the account.
    Own(Arc<ManagedPolicy>),
}

/// The identities of one account, as one request reads them.
#[derive(Clone)]
pub(crate) struct Rows<'a> {
    view: &'a View,
    scope: Scope,
    account: AccountId,
}

/// The identities of the caller's account.
pub(crate) fn rows(cx: &Cx) -> Rows<'_> {
    rows_of(cx.view(), cx.account())
}

/// The identities of `account`.
pub(crate) fn rows_of(view: &View, account: AccountId) -> Rows<'_> {
    Rows {
        view,
        scope: Scope::regionless(account),
        account,
    }
}

impl<'a> Rows<'a> {
    /// Whose identities these are.
    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    /// The same request's look at another account, to resolve a principal or key that is named there.
    pub(crate) fn cross_account(&self, account: AccountId) -> Rows<'a> {
        rows_of(self.view, account)
    }

    /// The record of `key`.
    pub(crate) async fn get<K: store::Key, V: store::Record>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.view.cross_account_get(&self.scope, table, key).await
    }

    /// Records in the order of their keys.
    pub(crate) async fn scan<K: store::Key, V: store::Record>(
        &self,
        table: &Table<K, V>,
        prefix: &Prefix<K>,
        after: Option<&K>,
        limit: usize,
    ) -> Result<store::Page<K, V>, StoreError> {
        self.view
            .cross_account_scan(&self.scope, table, prefix, after, limit)
            .await
    }

    /// Whether the account exists and is not closed.
    pub(crate) async fn is_open(&self) -> Result<bool, StoreError> {
        let account = self.get(&ACCOUNT, &()).await?;
        Ok(account.is_some_and(|account| account.closed.is_none()))
    }

    /// The user of that name, in any case.
    pub(crate) async fn user(&self, name: &str) -> Result<Option<Arc<User>>, StoreError> {
        self.get(&USERS, &fold(name)).await
    }

    /// The role of that name, in any case.
    pub(crate) async fn role(&self, name: &str) -> Result<Option<Arc<Role>>, StoreError> {
        self.get(&ROLES, &fold(name)).await
    }

    /// The group of that name, in any case.
    pub(crate) async fn group(&self, name: &str) -> Result<Option<Arc<Group>>, StoreError> {
        self.get(&GROUPS, &fold(name)).await
    }

    /// Whoever has this unique id.
    pub(crate) async fn entity(&self, id: &str) -> Result<Option<Entity>, StoreError> {
        let Some(named) = self.get(&NAMES, &id.to_owned()).await? else {
            return Ok(None);
        };
        let name = &named.folded_name;
        let entity = match named.kind {
            EntityKind::Group => self.get(&GROUPS, name).await?.map(Entity::Group),
            EntityKind::Role => self.get(&ROLES, name).await?.map(Entity::Role),
            EntityKind::User => self.get(&USERS, name).await?.map(Entity::User),
        };
        Ok(entity.filter(|entity| entity.id() == id))
    }

    /// The user with this unique id.
    pub(crate) async fn user_by_id(&self, id: &str) -> Result<Option<Arc<User>>, StoreError> {
        Ok(match self.entity(id).await? {
            Some(Entity::User(user)) => Some(user),
            Some(Entity::Group(_) | Entity::Role(_)) | None => None,
        })
    }

    /// Today's ARN of the user or role with this unique id.
    pub(crate) async fn principal_arn(&self, id: &str) -> Result<Option<String>, StoreError> {
        Ok(match self.entity(id).await? {
            Some(entity @ (Entity::Role(_) | Entity::User(_))) => Some(entity.arn(self.account)),
            Some(Entity::Group(_)) | None => None,
        })
    }

    /// The user or role with this very ARN.
    pub(crate) async fn principal(&self, arn: &str) -> Result<Option<Entity>, StoreError> {
        let Ok(parsed) = ground::Arn::parse(arn) else {
            return Ok(None);
        };
        let Some((kind, rest)) = parsed.resource.split_once('/') else {
            return Ok(None);
        };
        let name = rest.rsplit('/').next().unwrap_or(rest);
        let found = match kind {
            "user" => self.user(name).await?.map(Entity::User),
            "role" => self.role(name).await?.map(Entity::Role),
            _ => None,
        };
        Ok(found.filter(|entity| entity.arn(self.account) == arn))
    }

    /// The managed policy with this very ARN, of AWS or of this account.
    pub(crate) async fn policy(&self, arn: &PolicyArn) -> Result<Option<Policy>, StoreError> {
        match arn.account {
            None => Ok(aws_managed::find(&arn.path, &arn.name).map(Policy::Aws)),
            Some(account) if account == self.account => {
                let found = self.get(&POLICIES, &fold(&arn.name)).await?;
                let same = |policy: &Arc<ManagedPolicy>| policy.name == arn.name && policy.path == arn.path;
                Ok(found.filter(same).map(Policy::Own))
            }
            Some(_) => Ok(None),
        }
    }

    /// What the default version of a managed policy says; `None` if there is no such policy.
    pub(crate) async fn policy_document(&self, arn: &str) -> Result<Option<Arc<Document>>, StoreError> {
        let Some(parsed) = PolicyArn::parse(arn) else {
            return Ok(None);
        };
        match self.policy(&parsed).await? {
            None => Ok(None),
            Some(Policy::Aws(policy)) => policy.parsed().map(Some),
            Some(Policy::Own(policy)) => {
                let key = (policy.id.clone(), policy.default_version);
                let Some(version) = self.get(&VERSIONS, &key).await? else {
                    return Ok(None);
                };
                version.document.document(VERSIONS.name()).map(Some)
            }
        }
    }

    /// All versions of a managed policy of the account, oldest first.
    pub(crate) async fn versions(
        &self,
        policy: &ManagedPolicy,
    ) -> Result<Vec<(u64, Arc<PolicyVersion>)>, StoreError> {
        let prefix = Prefix::<(String, u64)>::first(&policy.id);
        let page = self
            .scan(&VERSIONS, &prefix, None, VERSIONS_PER_POLICY_MAX + 1)
            .await?;
        Ok(page
            .items
            .into_iter()
            .map(|((_, number), version)| (number, version))
            .collect())
    }

    /// Inline policies of an entity by name.
    pub(crate) async fn inline(&self, id: &str) -> Result<Vec<(String, Arc<InlinePolicy>)>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&id.to_owned());
        let page = self
            .scan(&INLINE, &prefix, None, INLINE_POLICIES_READ_MAX)
            .await?;
        Ok(page
            .items
            .into_iter()
            .map(|((_, name), policy)| (name, policy))
            .collect())
    }

    /// ARNs of the managed policies attached to an entity.
    pub(crate) async fn attached(&self, id: &str) -> Result<Vec<String>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&id.to_owned());
        let page = self
            .scan(&ATTACHED, &prefix, None, ATTACHED_POLICIES_MAX + 1)
            .await?;
        Ok(page.items.into_iter().map(|((_, arn), _)| arn).collect())
    }

    /// Groups a user is in, by name.
    pub(crate) async fn groups_of(&self, user_id: &str) -> Result<Vec<Arc<Group>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&user_id.to_owned());
        let page = self
            .scan(&MEMBERSHIPS, &prefix, None, GROUPS_PER_USER_MAX + 1)
            .await?;
        let mut groups = Vec::with_capacity(page.items.len());
        for ((_, group_id), _) in page.items {
            if let Some(Entity::Group(group)) = self.entity(&group_id).await? {
                groups.push(group);
            }
        }
        groups.sort_by_key(|group| fold(&group.name));
        Ok(groups)
    }

    /// Access keys of an owner, by key id.
    pub(crate) async fn access_keys(&self, owner_id: &str) -> Result<Vec<Arc<AccessKey>>, StoreError> {
        let prefix = Prefix::<(String, String)>::first(&owner_id.to_owned());
        let page = self
            .scan(&ACCESS_KEYS, &prefix, None, store::limits::PAGE_ITEMS_MAX)
            .await?;
        Ok(page.items.into_iter().map(|(_, key)| key).collect())
    }

    /// How many of each there are.
    pub(crate) async fn summary(&self) -> Result<Summary, StoreError> {
        Ok(self
            .get(&SUMMARY, &())
            .await?
            .map(|summary| *summary)
            .unwrap_or_default())
    }

    /// How many entities use a managed policy.
    pub(crate) async fn uses(&self, arn: &str) -> Result<Uses, StoreError> {
        Ok(self
            .get(&USES, &arn.to_owned())
            .await?
            .map(|uses| *uses)
            .unwrap_or_default())
    }
}

/// Whose an access key is, in whatever account.
pub(crate) async fn cross_account_key_owner(
    view: &View,
    key_id: &str,
) -> Result<Option<Arc<KeyOwner>>, StoreError> {
    view.cross_account_get(&Scope::global(), &KEY_OWNERS, &key_id.to_owned())
        .await
}

/// The date of a change, in whole seconds as IAM tells dates: a client must
/// read back what it was answered.
pub(crate) fn written_at(cx: &Cx) -> Timestamp {
    Timestamp::from_seconds(cx.now().seconds())
}

/// Commits what `change` writes, and that the account's identities changed.
pub(crate) async fn write<T: Send>(
    cx: &Cx,
    change: impl FnOnce(&mut WriteTx) -> T + Send,
) -> Result<T, Error> {
    let generation = Generation(cx.random().bytes());
    cx.write(async move |tx: &mut WriteTx| {
        let value = change(tx);
        tx.put(&GENERATION, &(), &generation);
        Ok(value)
    })
    .await
}

/// Keeps the numbers of entities.
pub(crate) fn put_summary(tx: &mut WriteTx, summary: &Summary) {
    tx.put(&SUMMARY, &(), summary);
}

fn put_name(tx: &mut WriteTx, kind: EntityKind, id: &str, name: &str) {
    tx.put(
        &NAMES,
        &id.to_owned(),
        &Named {
            kind,
            folded_name: fold(name),
        },
    );
}

/// Keeps a user, new or changed, under its name.
pub(crate) fn put_user(tx: &mut WriteTx, user: &Permit<User>) {
    tx.put(&USERS, &fold(&user.name), &**user);
    put_name(tx, EntityKind::User, &user.id, &user.name);
}

/// Keeps a user under a new name; `groups` are those it is in.
pub(crate) fn rename_user(tx: &mut WriteTx, old_name: &str, user: &Permit<User>, groups: &[Arc<Group>]) {
    tx.delete(&USERS, &fold(old_name));
    for group in groups {
        tx.delete(&MEMBERS, &(group.id.clone(), fold(old_name)));
        let membership = Membership {
            user_id: user.id.clone(),
            group_id: group.id.clone(),
        };
        tx.put(&MEMBERS, &(group.id.clone(), fold(&user.name)), &membership);
    }
    put_user(tx, user);
}

/// Removes a user that nothing hangs on any more.
pub(crate) fn delete_user(tx: &mut WriteTx, user: &Permit<Arc<User>>) {
    tx.delete(&USERS, &fold(&user.name));
    tx.delete(&NAMES, &user.id);
    tx.delete(&ACCESSES, &user.id);
}

/// Keeps a role, new or changed.
pub(crate) fn put_role(tx: &mut WriteTx, role: &Permit<Role>) {
    tx.put(&ROLES, &fold(&role.name), &**role);
    put_name(tx, EntityKind::Role, &role.id, &role.name);
}

/// Removes a role that nothing hangs on any more.
pub(crate) fn delete_role(tx: &mut WriteTx, role: &Permit<Arc<Role>>) {
    tx.delete(&ROLES, &fold(&role.name));
    tx.delete(&NAMES, &role.id);
    tx.delete(&LAST_USED, &role.id);
    tx.delete(&ACCESSES, &role.id);
}

/// Keeps a group, new or changed, under its name.
pub(crate) fn put_group(tx: &mut WriteTx, group: &Permit<Group>) {
    tx.put(&GROUPS, &fold(&group.name), &**group);
    put_name(tx, EntityKind::Group, &group.id, &group.name);
}

/// Keeps a group under a new name.
pub(crate) fn rename_group(tx: &mut WriteTx, old_name: &str, group: &Permit<Group>) {
    tx.delete(&GROUPS, &fold(old_name));
    put_group(tx, group);
}

/// Removes a group that nothing hangs on any more.
pub(crate) fn delete_group(tx: &mut WriteTx, group: &Permit<Arc<Group>>) {
    tx.delete(&GROUPS, &fold(&group.name));
    tx.delete(&NAMES, &group.id);
}

/// Puts a user into a group.
pub(crate) fn put_member(tx: &mut WriteTx, group: &Permit<Arc<Group>>, user: &User) {
    let membership = Membership {
        user_id: user.id.clone(),
        group_id: group.id.clone(),
    };
    tx.put(&MEMBERS, &(group.id.clone(), fold(&user.name)), &membership);
    tx.put(&MEMBERSHIPS, &(user.id.clone(), group.id.clone()), &membership);
}

/// Takes a user out of a group.
pub(crate) fn delete_member(tx: &mut WriteTx, group: &Permit<Arc<Group>>, user: &User) {
    tx.delete(&MEMBERS, &(group.id.clone(), fold(&user.name)));
    tx.delete(&MEMBERSHIPS, &(user.id.clone(), group.id.clone()));
}

/// Writes a policy on an entity.
pub(crate) fn put_inline(tx: &mut WriteTx, entity: &Permit<Entity>, name: &str, policy: &InlinePolicy) {
    tx.put(&INLINE, &(entity.id().to_owned(), name.to_owned()), policy);
}

/// Takes a policy written on an entity away.
pub(crate) fn delete_inline(tx: &mut WriteTx, entity: &Permit<Entity>, name: &str) {
    tx.delete(&INLINE, &(entity.id().to_owned(), name.to_owned()));
}

/// Notes that an entity begins to use a managed policy; `uses` are those before.
pub(crate) fn begin_use(tx: &mut WriteTx, kind: EntityKind, id: &str, arn: &str, usage: Usage, uses: Uses) {
    if usage == Usage::Permissions {
        tx.put(&ATTACHED, &(id.to_owned(), arn.to_owned()), &Attachment {});
    }
    tx.put(
        &USED_BY,
        &(arn.to_owned(), usage.as_key().to_owned(), id.to_owned()),
        &UsedBy { kind },
    );
    let mut uses = uses;
    let count = uses.count_mut(usage);
    *count = count.saturating_add(1);
    tx.put(&USES, &arn.to_owned(), &uses);
}

/// Notes that an entity ends to use a managed policy; `uses` are those before.
pub(crate) fn end_use(tx: &mut WriteTx, id: &str, arn: &str, usage: Usage, uses: Uses) {
    if usage == Usage::Permissions {
        tx.delete(&ATTACHED, &(id.to_owned(), arn.to_owned()));
    }
    tx.delete(
        &USED_BY,
        &(arn.to_owned(), usage.as_key().to_owned(), id.to_owned()),
    );
    let mut uses = uses;
    let count = uses.count_mut(usage);
    *count = count.saturating_sub(1);
    tx.put(&USES, &arn.to_owned(), &uses);
}

/// Keeps a managed policy, new or changed.
pub(crate) fn put_policy(tx: &mut WriteTx, policy: &Permit<ManagedPolicy>) {
    tx.put(&POLICIES, &fold(&policy.name), &**policy);
}

/// Keeps a version of a managed policy.
pub(crate) fn put_version(
    tx: &mut WriteTx,
    policy: &Permit<ManagedPolicy>,
    number: u64,
    version: &PolicyVersion,
) {
    tx.put(&VERSIONS, &(policy.id.clone(), number), version);
}

/// Removes a version of a managed policy.
pub(crate) fn delete_version(tx: &mut WriteTx, policy: &Permit<Arc<ManagedPolicy>>, number: u64) {
    tx.delete(&VERSIONS, &(policy.id.clone(), number));
}

/// Removes a managed policy and its default version.
pub(crate) fn delete_policy(tx: &mut WriteTx, policy: &Permit<Arc<ManagedPolicy>>, arn: &str) {
    delete_version(tx, policy, policy.default_version);
    tx.delete(&POLICIES, &fold(&policy.name));
    tx.delete(&USES, &arn.to_owned());
}

/// Whose access keys are being changed.
#[derive(Debug, Clone)]
pub(crate) enum KeyHolder {
    /// The account's root user.
    Root(AccountId),
    /// A user.
    User(Arc<User>),
}

impl KeyHolder {
    /// The id that keys are kept under.
    pub(crate) fn owner_id(&self) -> String {
        match self {
            KeyHolder::Root(account) => account.to_string(),
            KeyHolder::User(user) => user.id.clone(),
        }
    }

    /// The user's name; root has none.
    pub(crate) fn user_name(&self) -> &str {
        match self {
            KeyHolder::Root(_) => "",
            KeyHolder::User(user) => &user.name,
        }
    }
}

/// Keeps an access key, new or changed.
pub(crate) fn put_access_key(
    tx: &mut WriteTx,
    holder: &Permit<KeyHolder>,
    account: AccountId,
    key: &AccessKey,
) {
    let owner = KeyOwner {
        account,
        owner_id: holder.owner_id(),
    };
    tx.put(&ACCESS_KEYS, &(owner.owner_id.clone(), key.id.clone()), key);
    tx.cross_account_put(&Scope::global(), &KEY_OWNERS, &key.id, &owner);
}

/// Removes an access key.
pub(crate) fn delete_access_key(tx: &mut WriteTx, holder: &Permit<KeyHolder>, key_id: &str) {
    tx.delete(&ACCESS_KEYS, &(holder.owner_id(), key_id.to_owned()));
    tx.delete(&LAST_USED, &key_id.to_owned());
    tx.cross_account_delete(&Scope::global(), &KEY_OWNERS, &key_id.to_owned());
}
