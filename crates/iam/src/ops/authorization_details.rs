//! `GetAccountAuthorizationDetails`: everything that decides who may do what,
//! in one list of four kinds that is paged as one.

use ::store::{Prefix, Record, Table};
use gate::Cx;
use iam_api::{
    AttachedPolicy, EntityType, GetAccountAuthorizationDetailsInput, GetAccountAuthorizationDetailsOutput,
    GroupDetail, ManagedPolicyDetail, Policy as ApiPolicy, PolicyDetail, PolicyVersion as ApiPolicyVersion,
    RoleDetail, UserDetail,
};
use std::sync::Arc;

use crate::Iam;
use crate::access;
use crate::aws_managed;
use crate::error::Error;
use crate::model::{Group, ManagedPolicy, PolicyArn, Role, User};
use crate::ops::page::Paging;
use crate::ops::{answer, instance_profile, policy_document};
use crate::store::{GROUPS, POLICIES, ROLES, Rows, USERS, rows};

/// The kinds in the order they are listed; a marker names the kind by its place.
const KINDS: [EntityType; 5] = [
    EntityType::User,
    EntityType::Group,
    EntityType::Role,
    EntityType::LocalManagedPolicy,
    EntityType::AWSManagedPolicy,
];

/// A page that is being filled.
struct Page<'a> {
    rows: Rows<'a>,
    iam: &'a Iam,
    /// Room for so many more.
    room: usize,
    /// Where the next page begins.
    next: Option<String>,
    out: GetAccountAuthorizationDetailsOutput,
}

pub(crate) async fn get_account_authorization_details(
    iam: &Iam,
    cx: &Cx,
    input: GetAccountAuthorizationDetailsInput,
) -> Result<GetAccountAuthorizationDetailsOutput, Error> {
    access::account_wide(cx).await?;
    let wanted = input.filter.unwrap_or_default();
    let names: Vec<&str> = wanted.iter().map(|kind| kind.as_str()).collect();
    let paging = Paging::new(
        "GetAccountAuthorizationDetails",
        &names.join(" "),
        input.marker.as_deref(),
        input.max_items,
    )?;
    // A marker is the place of a kind, and the key within it.
    let (begin, after) = match paging.after().and_then(|after| after.split_once(' ')) {
        None => (0, None),
        Some((place, key)) => (place.parse().unwrap_or(0), Some(key.to_owned())),
    };
    let mut page = Page {
        rows: rows(cx),
        iam,
        room: paging.limit(),
        next: None,
        out: GetAccountAuthorizationDetailsOutput {
            user_detail_list: Some(Vec::new()),
            group_detail_list: Some(Vec::new()),
            role_detail_list: Some(Vec::new()),
            policies: Some(Vec::new()),
            is_truncated: None,
            marker: None,
        },
    };
    for (place, kind) in KINDS.into_iter().enumerate().skip(begin) {
        if !wanted.is_empty() && !wanted.contains(&kind) {
            continue;
        }
        let after = after.clone().filter(|_| place == begin);
        page.fill(kind, after).await?;
        if let Some(next) = &page.next {
            page.out.marker = Some(paging.marker(&format!("{place} {next}")));
            break;
        }
    }
    page.out.is_truncated = Some(page.out.marker.is_some());
    Ok(page.out)
}

impl Page<'_> {
    async fn fill(&mut self, kind: EntityType, after: Option<String>) -> Result<(), Error> {
        match kind {
            EntityType::User => {
                for user in self.take(&USERS, after).await? {
                    let detail = self.user(&user).await?;
                    self.out.user_detail_list.get_or_insert_default().push(detail);
                }
            }
            EntityType::Group => {
                for group in self.take(&GROUPS, after).await? {
                    let detail = self.group(&group).await?;
                    self.out.group_detail_list.get_or_insert_default().push(detail);
                }
            }
            EntityType::Role => {
                for role in self.take(&ROLES, after).await? {
                    let detail = self.role(&role).await?;
                    self.out.role_detail_list.get_or_insert_default().push(detail);
                }
            }
            EntityType::LocalManagedPolicy => {
                for policy in self.take(&POLICIES, after).await? {
                    let detail = self.policy(&policy).await?;
                    self.out.policies.get_or_insert_default().push(detail);
                }
            }
            EntityType::AWSManagedPolicy => self.aws_policies(after).await?,
        }
        Ok(())
    }

    /// As many rows as there is room for.
    async fn take<V: Record>(
        &mut self,
        table: &Table<String, V>,
        after: Option<String>,
    ) -> Result<Vec<Arc<V>>, Error> {
        if self.room == 0 {
            // Full to the brim: what follows begins before the first of this kind.
            self.next = Some(String::new());
            return Ok(Vec::new());
        }
        let after = after.filter(|after| !after.is_empty());
        let page = self
            .rows
            .scan(table, &Prefix::all(), after.as_ref(), self.room)
            .await?;
        self.room -= page.items.len();
        self.next = page.next;
        Ok(page.items.into_iter().map(|(_, record)| record).collect())
    }

    async fn inline(&self, id: &str) -> Result<Option<Vec<PolicyDetail>>, Error> {
        let policies = self.rows.inline(id).await?;
        let details = policies.into_iter().map(|(name, policy)| PolicyDetail {
            policy_name: Some(name),
            policy_document: Some(answer::encoded(policy.document.as_str())),
        });
        Ok(Some(details.collect::<Vec<_>>()).filter(|details| !details.is_empty()))
    }

    async fn attached(&self, id: &str) -> Result<Option<Vec<AttachedPolicy>>, Error> {
        let attached = self
            .rows
            .attached(id)
            .await?
            .into_iter()
            .map(|arn| AttachedPolicy {
                policy_name: PolicyArn::parse(&arn).map(|parsed| parsed.name),
                policy_arn: Some(arn),
            });
        Ok(Some(attached.collect()))
    }

    async fn user(&self, user: &User) -> Result<UserDetail, Error> {
        let groups = self.rows.groups_of(&user.id).await?;
        let told = answer::user(self.rows.account(), user);
        Ok(UserDetail {
            path: Some(told.path),
            user_name: Some(told.user_name),
            user_id: Some(told.user_id),
            arn: Some(told.arn),
            create_date: Some(told.create_date),
            user_policy_list: self.inline(&user.id).await?,
            group_list: Some(groups.iter().map(|group| group.name.clone()).collect()),
            attached_managed_policies: self.attached(&user.id).await?,
            permissions_boundary: told.permissions_boundary,
            tags: told.tags,
        })
    }

    async fn group(&self, group: &Group) -> Result<GroupDetail, Error> {
        let told = answer::group(self.rows.account(), group);
        Ok(GroupDetail {
            path: Some(told.path),
            group_name: Some(told.group_name),
            group_id: Some(told.group_id),
            arn: Some(told.arn),
            create_date: Some(told.create_date),
            group_policy_list: self.inline(&group.id).await?,
            attached_managed_policies: self.attached(&group.id).await?,
        })
    }

    async fn role(&self, role: &Role) -> Result<RoleDetail, Error> {
        let trust = policy_document::trust_text(&self.rows, role).await?;
        let last_use = self.iam.uses.last_use(&self.rows, &role.id).await?;
        let told = answer::role(self.rows.account(), role, &trust);
        let mut profiles = Vec::new();
        for profile in self.rows.profiles_of(role).await? {
            profiles.push(instance_profile::listed(&self.rows, &profile).await?);
        }
        Ok(RoleDetail {
            path: Some(told.path),
            role_name: Some(told.role_name),
            role_id: Some(told.role_id),
            arn: Some(told.arn),
            create_date: Some(told.create_date),
            assume_role_policy_document: told.assume_role_policy_document,
            instance_profile_list: Some(profiles),
            role_policy_list: self.inline(&role.id).await?,
            attached_managed_policies: self.attached(&role.id).await?,
            permissions_boundary: told.permissions_boundary,
            tags: told.tags,
            role_last_used: Some(answer::role_last_used(last_use)),
        })
    }

    async fn policy(&self, policy: &ManagedPolicy) -> Result<ManagedPolicyDetail, Error> {
        let uses = self.rows.uses(&policy.arn(self.rows.account())).await?;
        let versions = self.rows.versions(policy).await?;
        let newest_first = versions.iter().rev();
        let versions = newest_first
            .map(|(number, version)| answer::version(*number, version, *number == policy.default_version));
        let told = answer::policy(self.rows.account(), policy, uses);
        Ok(detail(told, versions.collect()))
    }

    async fn aws_policies(&mut self, after: Option<String>) -> Result<(), Error> {
        let mut policies: Vec<_> = aws_managed::POLICIES.iter().collect();
        policies.sort_by_key(|policy| policy.name);
        let after = after.unwrap_or_default();
        for policy in policies.into_iter().filter(|policy| *policy.name > *after) {
            if self.room == 0 {
                let last = self.out.policies.iter().flatten().next_back();
                let is_aws = |last: &&ManagedPolicyDetail| {
                    last.arn
                        .as_deref()
                        .is_some_and(|arn| arn.starts_with("arn:aws:iam::aws:"))
                };
                let last = last.filter(is_aws).and_then(|last| last.policy_name.clone());
                self.next = Some(last.unwrap_or(after));
                return Ok(());
            }
            self.room -= 1;
            let uses = self.rows.uses(&policy.arn()).await?;
            let version = ApiPolicyVersion {
                document: Some(answer::encoded(policy.document)),
                version_id: Some(aws_managed::VERSION.to_owned()),
                is_default_version: Some(true),
                create_date: Some(aws_managed::CREATED),
            };
            let detail = detail(answer::aws_policy(policy, uses), vec![version]);
            self.out.policies.get_or_insert_default().push(detail);
        }
        Ok(())
    }
}

fn detail(policy: ApiPolicy, versions: Vec<ApiPolicyVersion>) -> ManagedPolicyDetail {
    ManagedPolicyDetail {
        policy_name: policy.policy_name,
        policy_id: policy.policy_id,
        arn: policy.arn,
        path: policy.path,
        default_version_id: policy.default_version_id,
        attachment_count: policy.attachment_count,
        permissions_boundary_usage_count: policy.permissions_boundary_usage_count,
        is_attachable: policy.is_attachable,
        description: policy.description,
        create_date: policy.create_date,
        update_date: policy.update_date,
        policy_version_list: Some(versions),
    }
}
