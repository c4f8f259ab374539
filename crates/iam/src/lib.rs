//! Identity and Access Management, and the Security Token Service.
//!
//! Users, groups, roles and their policies live in an account outside every
//! region. [`service`] and [`sts_service`] are the tables of operations;
//! [`Identities`] is what the door asks about callers; [`bootstrap_account`]
//! makes accounts, [`bootstrap_access_key`] access keys that the operator chose.
//!
//! Invariants:
//! - whatever outlives a deletion is keyed by unique id, and ids are never
//!   given twice: a namesake inherits nothing;
//! - an acknowledged change binds the very next call on this node;
//! - secrets are sealed under the account's own key and shown once.
//!
//! Absent by design: a console to sign in to, and the servers and services that
//! would take server certificates and credentials of their own; what is not in
//! the tables below is refused.

mod access;
mod aws_managed;
mod bootstrap;
mod credential_report;
mod directory;
mod error;
mod last_used;
mod limits;
mod mfa;
mod model;
mod new_account;
mod ops;
mod qr;
mod sealed;
mod store;
mod sts;

use std::sync::Arc;

use gate::{Service, Table};
use tokio::sync::Semaphore;

pub use bootstrap::{BootstrapError, RootCredential, bootstrap_access_key, bootstrap_account};
pub use directory::Identities;
pub use error::Error;
pub use last_used::LastUses;
pub use sts::issuers::Issuers;
#[doc(hidden)]
pub use sts::token::claims_of_token;

/// The state that IAM's handlers share; all else is in the store.
pub struct Iam {
    /// What this node has seen used and not yet written down.
    uses: Arc<LastUses>,
    /// Turns at digesting passwords and making keys.
    password_turns: Arc<Semaphore>,
    /// Wrong one-time codes and passwords of late.
    guesses: mfa::Guesses,
}

/// The state that STS's handlers share; tokens carry all else.
pub struct Sts {
    /// The keys of OpenID Connect providers.
    issuers: Issuers,
    /// Wrong one-time codes of late.
    guesses: mfa::Guesses,
}

const ENCRYPTED_ASSERTIONS: &str = "encrypted assertions are not supported";

/// Input members that are refused whenever they ask for something we do not do.
const REFUSED: &[gate::Refused] = &[
    ("CreateSAMLProvider", "AddPrivateKey", ENCRYPTED_ASSERTIONS),
    (
        "CreateSAMLProvider",
        "AssertionEncryptionMode",
        ENCRYPTED_ASSERTIONS,
    ),
    ("UpdateSAMLProvider", "AddPrivateKey", ENCRYPTED_ASSERTIONS),
    (
        "UpdateSAMLProvider",
        "AssertionEncryptionMode",
        ENCRYPTED_ASSERTIONS,
    ),
    ("UpdateSAMLProvider", "RemovePrivateKey", ENCRYPTED_ASSERTIONS),
    (
        "SimulateCustomPolicy",
        "ResourceHandlingOption",
        "what EC2 instances are made of is not known",
    ),
    (
        "SimulatePrincipalPolicy",
        "ResourceHandlingOption",
        "what EC2 instances are made of is not known",
    ),
];

/// The operations of IAM. `uses` are those of the [`Identities`] that the door asks.
pub fn service(uses: Arc<LastUses>) -> Service {
    let iam = Iam {
        uses: Arc::clone(&uses),
        password_turns: Arc::new(Semaphore::new(limits::PASSWORDS_AT_ONCE_MAX)),
        guesses: mfa::Guesses::default(),
    };
    Table::new(&iam_api::SERVICE, iam)
        // Users.
        .on::<iam_api::CreateUser>(ops::user::create_user)
        .on::<iam_api::GetUser>(ops::user::get_user)
        .on::<iam_api::ListUsers>(ops::user::list_users)
        .on::<iam_api::UpdateUser>(ops::user::update_user)
        .on::<iam_api::DeleteUser>(ops::user::delete_user)
        // Access keys.
        .on::<iam_api::CreateAccessKey>(ops::access_key::create_access_key)
        .on::<iam_api::ListAccessKeys>(ops::access_key::list_access_keys)
        .on::<iam_api::UpdateAccessKey>(ops::access_key::update_access_key)
        .on::<iam_api::DeleteAccessKey>(ops::access_key::delete_access_key)
        .on::<iam_api::GetAccessKeyLastUsed>(ops::access_key::get_access_key_last_used)
        // SSH public keys.
        .on::<iam_api::UploadSSHPublicKey>(ops::ssh_public_key::upload_ssh_public_key)
        .on::<iam_api::GetSSHPublicKey>(ops::ssh_public_key::get_ssh_public_key)
        .on::<iam_api::ListSSHPublicKeys>(ops::ssh_public_key::list_ssh_public_keys)
        .on::<iam_api::UpdateSSHPublicKey>(ops::ssh_public_key::update_ssh_public_key)
        .on::<iam_api::DeleteSSHPublicKey>(ops::ssh_public_key::delete_ssh_public_key)
        // Signing certificates.
        .on::<iam_api::UploadSigningCertificate>(ops::signing_certificate::upload_signing_certificate)
        .on::<iam_api::ListSigningCertificates>(ops::signing_certificate::list_signing_certificates)
        .on::<iam_api::UpdateSigningCertificate>(ops::signing_certificate::update_signing_certificate)
        .on::<iam_api::DeleteSigningCertificate>(ops::signing_certificate::delete_signing_certificate)
        // Server certificates.
        .on::<iam_api::UploadServerCertificate>(ops::server_certificate::upload_server_certificate)
        .on::<iam_api::GetServerCertificate>(ops::server_certificate::get_server_certificate)
        .on::<iam_api::ListServerCertificates>(ops::server_certificate::list_server_certificates)
        .on::<iam_api::UpdateServerCertificate>(ops::server_certificate::update_server_certificate)
        .on::<iam_api::DeleteServerCertificate>(ops::server_certificate::delete_server_certificate)
        .on::<iam_api::TagServerCertificate>(ops::server_certificate::tag_server_certificate)
        .on::<iam_api::UntagServerCertificate>(ops::server_certificate::untag_server_certificate)
        .on::<iam_api::ListServerCertificateTags>(ops::server_certificate::list_server_certificate_tags)
        // Credentials for one service.
        .on::<iam_api::CreateServiceSpecificCredential>(
            ops::service_credential::create_service_specific_credential,
        )
        .on::<iam_api::ListServiceSpecificCredentials>(
            ops::service_credential::list_service_specific_credentials,
        )
        .on::<iam_api::UpdateServiceSpecificCredential>(
            ops::service_credential::update_service_specific_credential,
        )
        .on::<iam_api::ResetServiceSpecificCredential>(
            ops::service_credential::reset_service_specific_credential,
        )
        .on::<iam_api::DeleteServiceSpecificCredential>(
            ops::service_credential::delete_service_specific_credential,
        )
        // Passwords.
        .on::<iam_api::CreateLoginProfile>(ops::login_profile::create_login_profile)
        .on::<iam_api::GetLoginProfile>(ops::login_profile::get_login_profile)
        .on::<iam_api::UpdateLoginProfile>(ops::login_profile::update_login_profile)
        .on::<iam_api::DeleteLoginProfile>(ops::login_profile::delete_login_profile)
        .on::<iam_api::ChangePassword>(ops::login_profile::change_password)
        // Second factors.
        .on::<iam_api::CreateVirtualMFADevice>(ops::mfa_device::create_virtual_mfa_device)
        .on::<iam_api::EnableMFADevice>(ops::mfa_device::enable_mfa_device)
        .on::<iam_api::ResyncMFADevice>(ops::mfa_device::resync_mfa_device)
        .on::<iam_api::DeactivateMFADevice>(ops::mfa_device::deactivate_mfa_device)
        .on::<iam_api::DeleteVirtualMFADevice>(ops::mfa_device::delete_virtual_mfa_device)
        .on::<iam_api::GetMFADevice>(ops::mfa_device::get_mfa_device)
        .on::<iam_api::ListMFADevices>(ops::mfa_device::list_mfa_devices)
        .on::<iam_api::ListVirtualMFADevices>(ops::mfa_device::list_virtual_mfa_devices)
        // Groups.
        .on::<iam_api::CreateGroup>(ops::group::create_group)
        .on::<iam_api::GetGroup>(ops::group::get_group)
        .on::<iam_api::ListGroups>(ops::group::list_groups)
        .on::<iam_api::ListGroupsForUser>(ops::group::list_groups_for_user)
        .on::<iam_api::UpdateGroup>(ops::group::update_group)
        .on::<iam_api::DeleteGroup>(ops::group::delete_group)
        .on::<iam_api::AddUserToGroup>(ops::group::add_user_to_group)
        .on::<iam_api::RemoveUserFromGroup>(ops::group::remove_user_from_group)
        // Roles.
        .on::<iam_api::CreateRole>(ops::role::create_role)
        .on::<iam_api::GetRole>(ops::role::get_role)
        .on::<iam_api::ListRoles>(ops::role::list_roles)
        .on::<iam_api::UpdateRole>(ops::role::update_role)
        .on::<iam_api::UpdateRoleDescription>(ops::role::update_role_description)
        .on::<iam_api::UpdateAssumeRolePolicy>(ops::role::update_assume_role_policy)
        .on::<iam_api::DeleteRole>(ops::role::delete_role)
        .on::<iam_api::CreateServiceLinkedRole>(ops::service_linked_role::create_service_linked_role)
        .on::<iam_api::DeleteServiceLinkedRole>(ops::service_linked_role::delete_service_linked_role)
        .on::<iam_api::GetServiceLinkedRoleDeletionStatus>(
            ops::service_linked_role::get_service_linked_role_deletion_status,
        )
        // Instance profiles.
        .on::<iam_api::CreateInstanceProfile>(ops::instance_profile::create_instance_profile)
        .on::<iam_api::GetInstanceProfile>(ops::instance_profile::get_instance_profile)
        .on::<iam_api::ListInstanceProfiles>(ops::instance_profile::list_instance_profiles)
        .on::<iam_api::ListInstanceProfilesForRole>(ops::instance_profile::list_instance_profiles_for_role)
        .on::<iam_api::AddRoleToInstanceProfile>(ops::instance_profile::add_role_to_instance_profile)
        .on::<iam_api::RemoveRoleFromInstanceProfile>(
            ops::instance_profile::remove_role_from_instance_profile,
        )
        .on::<iam_api::DeleteInstanceProfile>(ops::instance_profile::delete_instance_profile)
        // Managed policies.
        .on::<iam_api::CreatePolicy>(ops::managed_policy::create_policy)
        .on::<iam_api::GetPolicy>(ops::managed_policy::get_policy)
        .on::<iam_api::ListPolicies>(ops::managed_policy::list_policies)
        .on::<iam_api::DeletePolicy>(ops::managed_policy::delete_policy)
        .on::<iam_api::CreatePolicyVersion>(ops::managed_policy::create_policy_version)
        .on::<iam_api::GetPolicyVersion>(ops::managed_policy::get_policy_version)
        .on::<iam_api::ListPolicyVersions>(ops::managed_policy::list_policy_versions)
        .on::<iam_api::DeletePolicyVersion>(ops::managed_policy::delete_policy_version)
        .on::<iam_api::SetDefaultPolicyVersion>(ops::managed_policy::set_default_policy_version)
        // Attachments.
        .on::<iam_api::AttachUserPolicy>(ops::attached_policy::attach_user_policy)
        .on::<iam_api::AttachRolePolicy>(ops::attached_policy::attach_role_policy)
        .on::<iam_api::AttachGroupPolicy>(ops::attached_policy::attach_group_policy)
        .on::<iam_api::DetachUserPolicy>(ops::attached_policy::detach_user_policy)
        .on::<iam_api::DetachRolePolicy>(ops::attached_policy::detach_role_policy)
        .on::<iam_api::DetachGroupPolicy>(ops::attached_policy::detach_group_policy)
        .on::<iam_api::ListAttachedUserPolicies>(ops::attached_policy::list_attached_user_policies)
        .on::<iam_api::ListAttachedRolePolicies>(ops::attached_policy::list_attached_role_policies)
        .on::<iam_api::ListAttachedGroupPolicies>(ops::attached_policy::list_attached_group_policies)
        .on::<iam_api::ListEntitiesForPolicy>(ops::attached_policy::list_entities_for_policy)
        // Inline policies.
        .on::<iam_api::PutUserPolicy>(ops::inline_policy::put_user_policy)
        .on::<iam_api::PutRolePolicy>(ops::inline_policy::put_role_policy)
        .on::<iam_api::PutGroupPolicy>(ops::inline_policy::put_group_policy)
        .on::<iam_api::GetUserPolicy>(ops::inline_policy::get_user_policy)
        .on::<iam_api::GetRolePolicy>(ops::inline_policy::get_role_policy)
        .on::<iam_api::GetGroupPolicy>(ops::inline_policy::get_group_policy)
        .on::<iam_api::DeleteUserPolicy>(ops::inline_policy::delete_user_policy)
        .on::<iam_api::DeleteRolePolicy>(ops::inline_policy::delete_role_policy)
        .on::<iam_api::DeleteGroupPolicy>(ops::inline_policy::delete_group_policy)
        .on::<iam_api::ListUserPolicies>(ops::inline_policy::list_user_policies)
        .on::<iam_api::ListRolePolicies>(ops::inline_policy::list_role_policies)
        .on::<iam_api::ListGroupPolicies>(ops::inline_policy::list_group_policies)
        // Permissions boundaries.
        .on::<iam_api::PutUserPermissionsBoundary>(ops::boundary::put_user_permissions_boundary)
        .on::<iam_api::DeleteUserPermissionsBoundary>(ops::boundary::delete_user_permissions_boundary)
        .on::<iam_api::PutRolePermissionsBoundary>(ops::boundary::put_role_permissions_boundary)
        .on::<iam_api::DeleteRolePermissionsBoundary>(ops::boundary::delete_role_permissions_boundary)
        // Tags.
        .on::<iam_api::TagUser>(ops::tag::tag_user)
        .on::<iam_api::UntagUser>(ops::tag::untag_user)
        .on::<iam_api::ListUserTags>(ops::tag::list_user_tags)
        .on::<iam_api::TagRole>(ops::tag::tag_role)
        .on::<iam_api::UntagRole>(ops::tag::untag_role)
        .on::<iam_api::ListRoleTags>(ops::tag::list_role_tags)
        .on::<iam_api::TagPolicy>(ops::tag::tag_policy)
        .on::<iam_api::UntagPolicy>(ops::tag::untag_policy)
        .on::<iam_api::ListPolicyTags>(ops::tag::list_policy_tags)
        .on::<iam_api::TagInstanceProfile>(ops::tag::tag_instance_profile)
        .on::<iam_api::UntagInstanceProfile>(ops::tag::untag_instance_profile)
        .on::<iam_api::ListInstanceProfileTags>(ops::tag::list_instance_profile_tags)
        .on::<iam_api::TagMFADevice>(ops::tag::tag_mfa_device)
        .on::<iam_api::UntagMFADevice>(ops::tag::untag_mfa_device)
        .on::<iam_api::ListMFADeviceTags>(ops::tag::list_mfa_device_tags)
        // Foreign identity providers.
        .on::<iam_api::CreateOpenIDConnectProvider>(ops::oidc_provider::create_open_id_connect_provider)
        .on::<iam_api::GetOpenIDConnectProvider>(ops::oidc_provider::get_open_id_connect_provider)
        .on::<iam_api::ListOpenIDConnectProviders>(ops::oidc_provider::list_open_id_connect_providers)
        .on::<iam_api::DeleteOpenIDConnectProvider>(ops::oidc_provider::delete_open_id_connect_provider)
        .on::<iam_api::UpdateOpenIDConnectProviderThumbprint>(
            ops::oidc_provider::update_open_id_connect_provider_thumbprint,
        )
        .on::<iam_api::AddClientIDToOpenIDConnectProvider>(
            ops::oidc_provider::add_client_id_to_open_id_connect_provider,
        )
        .on::<iam_api::RemoveClientIDFromOpenIDConnectProvider>(
            ops::oidc_provider::remove_client_id_from_open_id_connect_provider,
        )
        .on::<iam_api::TagOpenIDConnectProvider>(ops::oidc_provider::tag_open_id_connect_provider)
        .on::<iam_api::UntagOpenIDConnectProvider>(ops::oidc_provider::untag_open_id_connect_provider)
        .on::<iam_api::ListOpenIDConnectProviderTags>(ops::oidc_provider::list_open_id_connect_provider_tags)
        .on::<iam_api::CreateSAMLProvider>(ops::saml_provider::create_saml_provider)
        .on::<iam_api::GetSAMLProvider>(ops::saml_provider::get_saml_provider)
        .on::<iam_api::ListSAMLProviders>(ops::saml_provider::list_saml_providers)
        .on::<iam_api::UpdateSAMLProvider>(ops::saml_provider::update_saml_provider)
        .on::<iam_api::DeleteSAMLProvider>(ops::saml_provider::delete_saml_provider)
        .on::<iam_api::TagSAMLProvider>(ops::saml_provider::tag_saml_provider)
        .on::<iam_api::UntagSAMLProvider>(ops::saml_provider::untag_saml_provider)
        .on::<iam_api::ListSAMLProviderTags>(ops::saml_provider::list_saml_provider_tags)
        // The account as an identity provider.
        .on::<iam_api::EnableOutboundWebIdentityFederation>(
            ops::outbound_federation::enable_outbound_web_identity_federation,
        )
        .on::<iam_api::DisableOutboundWebIdentityFederation>(
            ops::outbound_federation::disable_outbound_web_identity_federation,
        )
        .on::<iam_api::GetOutboundWebIdentityFederationInfo>(
            ops::outbound_federation::get_outbound_web_identity_federation_info,
        )
        // What was last accessed, and by which policies.
        .on::<iam_api::GenerateServiceLastAccessedDetails>(
            ops::access_report::generate_service_last_accessed_details,
        )
        .on::<iam_api::GetServiceLastAccessedDetails>(ops::access_report::get_service_last_accessed_details)
        .on::<iam_api::GetServiceLastAccessedDetailsWithEntities>(
            ops::access_report::get_service_last_accessed_details_with_entities,
        )
        .on::<iam_api::GenerateOrganizationsAccessReport>(
            ops::organization_report::generate_organizations_access_report,
        )
        .on::<iam_api::GetOrganizationsAccessReport>(
            ops::organization_report::get_organizations_access_report,
        )
        .on::<iam_api::ListPoliciesGrantingServiceAccess>(
            ops::granting_policies::list_policies_granting_service_access,
        )
        // The policy simulator.
        .on::<iam_api::SimulateCustomPolicy>(ops::simulate::simulate_custom_policy)
        .on::<iam_api::SimulatePrincipalPolicy>(ops::simulate::simulate_principal_policy)
        .on::<iam_api::GetContextKeysForCustomPolicy>(ops::simulate::get_context_keys_for_custom_policy)
        .on::<iam_api::GetContextKeysForPrincipalPolicy>(ops::simulate::get_context_keys_for_principal_policy)
        // Root access to the accounts of an organisation.
        .on::<iam_api::EnableOrganizationsRootCredentialsManagement>(
            ops::organization_features::enable_organizations_root_credentials_management,
        )
        .on::<iam_api::EnableOrganizationsRootSessions>(
            ops::organization_features::enable_organizations_root_sessions,
        )
        .on::<iam_api::DisableOrganizationsRootCredentialsManagement>(
            ops::organization_features::disable_organizations_root_credentials_management,
        )
        .on::<iam_api::DisableOrganizationsRootSessions>(
            ops::organization_features::disable_organizations_root_sessions,
        )
        .on::<iam_api::ListOrganizationsFeatures>(ops::organization_features::list_organizations_features)
        // The account.
        .on::<iam_api::GetAccountSummary>(ops::account::get_account_summary)
        .on::<iam_api::SetSecurityTokenServicePreferences>(
            ops::account::set_security_token_service_preferences,
        )
        .on::<iam_api::GetAccountAuthorizationDetails>(
            ops::authorization_details::get_account_authorization_details,
        )
        .on::<iam_api::GenerateCredentialReport>(ops::credential_report::generate_credential_report)
        .on::<iam_api::GetCredentialReport>(ops::credential_report::get_credential_report)
        .on::<iam_api::CreateAccountAlias>(ops::account_alias::create_account_alias)
        .on::<iam_api::DeleteAccountAlias>(ops::account_alias::delete_account_alias)
        .on::<iam_api::ListAccountAliases>(ops::account_alias::list_account_aliases)
        .on::<iam_api::GetAccountPasswordPolicy>(ops::password_policy::get_account_password_policy)
        .on::<iam_api::UpdateAccountPasswordPolicy>(ops::password_policy::update_account_password_policy)
        .on::<iam_api::DeleteAccountPasswordPolicy>(ops::password_policy::delete_account_password_policy)
        .job(credential_report::making(Arc::clone(&uses)))
        .job(last_used::flushing(uses))
        .seals(sealed::iam())
        .describes(access::described)
        .refuses(REFUSED)
        .done()
}

/// The operations of STS, which has the keys of OpenID Connect providers from `issuers`.
pub fn sts_service(issuers: Issuers) -> Service {
    let sts = Sts {
        issuers,
        guesses: mfa::Guesses::default(),
    };
    Table::new(&sts_api::SERVICE, sts)
        .on::<sts_api::AssumeRole>(sts::assume_role::assume_role)
        .on::<sts_api::AssumeRoleWithSAML>(sts::saml::assume_role_with_saml)
        .on::<sts_api::AssumeRoleWithWebIdentity>(sts::web_identity::assume_role_with_web_identity)
        .on::<sts_api::AssumeRoot>(sts::assume_root::assume_root)
        .on::<sts_api::DecodeAuthorizationMessage>(sts::authorization_message::decode_authorization_message)
        .on::<sts_api::GetAccessKeyInfo>(sts::caller::get_access_key_info)
        .on::<sts_api::GetCallerIdentity>(sts::caller::get_caller_identity)
        .on::<sts_api::GetFederationToken>(sts::federation_token::get_federation_token)
        .on::<sts_api::GetSessionToken>(sts::session_token::get_session_token)
        .on::<sts_api::GetWebIdentityToken>(sts::web_identity_token::get_web_identity_token)
        .seals(sealed::sts())
        .describes(sts::assume_role::described)
        .done()
}
