//! The account as a whole.

use std::collections::BTreeMap;

use gate::Cx;
use iam_api::{
    GetAccountSummaryOutput, GlobalEndpointTokenVersion, SetSecurityTokenServicePreferencesInput,
    SummaryKeyType,
};
use shape::Unit;

use crate::Iam;
use crate::access;
use crate::error::Error;
use crate::limits;
use crate::store::{self, rows};

/// Quotas, and how much of them is used. A second factor of root,
/// which cannot exist here, is counted as the none that there is.
pub(crate) async fn get_account_summary(
    _iam: &Iam,
    cx: &Cx,
    _: Unit,
) -> Result<GetAccountSummaryOutput, Error> {
    access::account_wide(cx).await?;
    let summary = rows(cx).summary().await?;
    let root_keys = rows(cx).access_keys(&cx.account().to_string()).await?;
    let root_password = rows(cx).login_profile(&cx.account().to_string()).await?;
    let root_certificates = rows(cx).signing_certificates(&cx.account().to_string()).await?;
    let token_version = rows(cx).token_version().await?;
    let root_keys_present = u32::from(!root_keys.is_empty());
    let told = SummaryKeyType::ALL.iter().map(|key| {
        let value = match key {
            SummaryKeyType::Users => summary.users,
            SummaryKeyType::UsersQuota => limits::USERS_MAX,
            SummaryKeyType::Groups => summary.groups,
            SummaryKeyType::GroupsQuota => limits::GROUPS_MAX,
            SummaryKeyType::Roles => summary.roles,
            SummaryKeyType::RolesQuota => limits::ROLES_MAX,
            SummaryKeyType::Policies => summary.policies,
            SummaryKeyType::PoliciesQuota => limits::POLICIES_MAX,
            SummaryKeyType::PolicyVersionsInUse => summary.policy_versions,
            SummaryKeyType::PolicyVersionsInUseQuota => limits::POLICY_VERSIONS_IN_USE_MAX,
            SummaryKeyType::VersionsPerPolicyQuota => count(limits::VERSIONS_PER_POLICY_MAX),
            SummaryKeyType::PolicySizeQuota => count(limits::MANAGED_POLICY_SIZE_MAX),
            SummaryKeyType::UserPolicySizeQuota => count(limits::USER_INLINE_SIZE_MAX),
            SummaryKeyType::GroupPolicySizeQuota => count(limits::GROUP_INLINE_SIZE_MAX),
            SummaryKeyType::RolePolicySizeQuota => count(limits::ROLE_INLINE_SIZE_MAX),
            SummaryKeyType::AssumeRolePolicySizeQuota => count(limits::TRUST_POLICY_SIZE_MAX),
            SummaryKeyType::AttachedPoliciesPerGroupQuota
            | SummaryKeyType::AttachedPoliciesPerRoleQuota
            | SummaryKeyType::AttachedPoliciesPerUserQuota => count(limits::ATTACHED_POLICIES_MAX),
            SummaryKeyType::GroupsPerUserQuota => count(limits::GROUPS_PER_USER_MAX),
            SummaryKeyType::AccessKeysPerUserQuota => count(limits::ACCESS_KEYS_PER_USER_MAX),
            SummaryKeyType::SigningCertificatesPerUserQuota => limits::SIGNING_CERTIFICATES_PER_USER_MAX,
            SummaryKeyType::ServerCertificatesQuota => limits::SERVER_CERTIFICATES_MAX,
            SummaryKeyType::InstanceProfilesQuota => limits::INSTANCE_PROFILES_MAX,
            SummaryKeyType::MFADevices => summary.mfa_devices,
            SummaryKeyType::MFADevicesInUse => summary.mfa_devices_in_use,
            SummaryKeyType::InstanceProfiles => summary.instance_profiles,
            SummaryKeyType::Providers => summary.oidc_providers + summary.saml_providers,
            SummaryKeyType::AccountAccessKeysPresent => root_keys_present,
            SummaryKeyType::GlobalEndpointTokenVersion => u32::from(token_version),
            SummaryKeyType::AccountPasswordPresent => u32::from(root_password.is_some()),
            SummaryKeyType::AccountSigningCertificatesPresent => u32::from(!root_certificates.is_empty()),
            SummaryKeyType::ServerCertificates => summary.server_certificates,
            SummaryKeyType::AccountMFAEnabled => 0,
        };
        (key.as_str().to_owned(), i32::try_from(value).unwrap_or(i32::MAX))
    });
    let summary_map: BTreeMap<String, i32> = told.collect();
    Ok(GetAccountSummaryOutput {
        summary_map: Some(summary_map),
    })
}

/// Sets the version of the session tokens that the global endpoint gives out.
/// It is kept and told: every token of ours is good in every region, as those
/// of version 2 are, for there are no regions to opt in to.
pub(crate) async fn set_security_token_service_preferences(
    _iam: &Iam,
    cx: &Cx,
    input: SetSecurityTokenServicePreferencesInput,
) -> Result<Unit, Error> {
    let version = match input.global_endpoint_token_version {
        GlobalEndpointTokenVersion::V1Token => 1,
        GlobalEndpointTokenVersion::V2Token => 2,
    };
    let version = access::of_account(cx, version).await?;
    store::write(cx, |tx| store::put_token_version(tx, &version)).await?;
    Ok(Unit)
}

fn count(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
