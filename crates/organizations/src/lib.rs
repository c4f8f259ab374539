//! AWS Organizations: accounts in a tree, and the policies that bind them.
//!
//! An organisation belongs to its management account, in whose regionless
//! scope everything of it is kept. [`service`] is the table of operations;
//! [`Organizations`] is also what the door asks in every decision
//! ([`gate::Guardrails`]): the service control policies over a caller's
//! account, the resource control policies over an owner's, and both accounts'
//! place in the tree.
//!
//! Invariants:
//! - an acknowledged change of tree, policies or membership binds the very
//!   next call on this node, and within the store's staleness limit on others;
//! - an account belongs to one organisation at most, and a member is in
//!   exactly one place of its tree;
//! - the management account and its resources are bound by no SCP or RCP.
//!
//! Absent by design: billing, and with it consolidated billing as a mode of
//! its own, responsibility transfers and GovCloud accounts; policy types beside
//! SCP, RCP and tag policies.

mod access;
mod error;
mod guardrails;
pub mod inheritance;
mod jobs;
mod limits;
mod model;
mod ops;
mod store;

use gate::{Refused, Service, Table};
use organizations_api as api;

pub use error::Error;
pub use guardrails::Organizations;

/// What the handlers share: nothing, everything is in the store.
pub struct Handlers;

/// Input members that are refused whenever they ask for something we do not do.
const REFUSED: &[Refused] = &[
    (
        "CreateOrganization",
        "FeatureSet",
        "refused for CONSOLIDATED_BILLING: there is no billing",
    ),
    (
        "InviteAccountToOrganization",
        "Target",
        "refused for EMAIL and ORGANIZATION: accounts are invited by id",
    ),
    (
        "CreatePolicy",
        "Type",
        "refused beside SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY and TAG_POLICY",
    ),
];

/// The operations of Organizations.
pub fn service() -> Service {
    Table::new(&api::SERVICE, Handlers)
        // The organisation.
        .on::<api::CreateOrganization>(ops::organization::create_organization)
        .on::<api::DescribeOrganization>(ops::organization::describe_organization)
        .on::<api::DeleteOrganization>(ops::organization::delete_organization)
        .on::<api::EnableAllFeatures>(ops::organization::enable_all_features)
        .on::<api::ListRoots>(ops::organization::list_roots)
        // Accounts.
        .on::<api::CreateAccount>(ops::account_creation::create_account)
        .on::<api::DescribeCreateAccountStatus>(ops::account_creation::describe_create_account_status)
        .on::<api::ListCreateAccountStatus>(ops::account_creation::list_create_account_status)
        .on::<api::DescribeAccount>(ops::account::describe_account)
        .on::<api::ListAccounts>(ops::account::list_accounts)
        .on::<api::ListAccountsForParent>(ops::account::list_accounts_for_parent)
        .on::<api::MoveAccount>(ops::account::move_account)
        .on::<api::CloseAccount>(ops::account::close_account)
        .on::<api::LeaveOrganization>(ops::account::leave_organization)
        .on::<api::RemoveAccountFromOrganization>(ops::account::remove_account_from_organization)
        // Invitations.
        .on::<api::InviteAccountToOrganization>(ops::handshake::invite_account_to_organization)
        .on::<api::AcceptHandshake>(ops::handshake::accept_handshake)
        .on::<api::DeclineHandshake>(ops::handshake::decline_handshake)
        .on::<api::CancelHandshake>(ops::handshake::cancel_handshake)
        .on::<api::DescribeHandshake>(ops::handshake::describe_handshake)
        .on::<api::ListHandshakesForAccount>(ops::handshake::list_handshakes_for_account)
        .on::<api::ListHandshakesForOrganization>(ops::handshake::list_handshakes_for_organization)
        // Organisational units.
        .on::<api::CreateOrganizationalUnit>(ops::unit::create_organizational_unit)
        .on::<api::DescribeOrganizationalUnit>(ops::unit::describe_organizational_unit)
        .on::<api::UpdateOrganizationalUnit>(ops::unit::update_organizational_unit)
        .on::<api::DeleteOrganizationalUnit>(ops::unit::delete_organizational_unit)
        .on::<api::ListOrganizationalUnitsForParent>(ops::unit::list_organizational_units_for_parent)
        // The tree.
        .on::<api::ListChildren>(ops::tree::list_children)
        .on::<api::ListParents>(ops::tree::list_parents)
        // Policies.
        .on::<api::CreatePolicy>(ops::policy::create_policy)
        .on::<api::DescribePolicy>(ops::policy::describe_policy)
        .on::<api::UpdatePolicy>(ops::policy::update_policy)
        .on::<api::DeletePolicy>(ops::policy::delete_policy)
        .on::<api::ListPolicies>(ops::policy::list_policies)
        .on::<api::AttachPolicy>(ops::attachment::attach_policy)
        .on::<api::DetachPolicy>(ops::attachment::detach_policy)
        .on::<api::ListPoliciesForTarget>(ops::attachment::list_policies_for_target)
        .on::<api::ListTargetsForPolicy>(ops::attachment::list_targets_for_policy)
        .on::<api::EnablePolicyType>(ops::policy_type::enable_policy_type)
        .on::<api::DisablePolicyType>(ops::policy_type::disable_policy_type)
        .on::<api::DescribeEffectivePolicy>(ops::effective_policy::describe_effective_policy)
        // Delegation.
        .on::<api::PutResourcePolicy>(ops::resource_policy::put_resource_policy)
        .on::<api::DescribeResourcePolicy>(ops::resource_policy::describe_resource_policy)
        .on::<api::DeleteResourcePolicy>(ops::resource_policy::delete_resource_policy)
        .on::<api::RegisterDelegatedAdministrator>(ops::delegation::register_delegated_administrator)
        .on::<api::DeregisterDelegatedAdministrator>(ops::delegation::deregister_delegated_administrator)
        .on::<api::ListDelegatedAdministrators>(ops::delegation::list_delegated_administrators)
        .on::<api::ListDelegatedServicesForAccount>(ops::delegation::list_delegated_services_for_account)
        .on::<api::EnableAWSServiceAccess>(ops::service_access::enable_aws_service_access)
        .on::<api::DisableAWSServiceAccess>(ops::service_access::disable_aws_service_access)
        .on::<api::ListAWSServiceAccessForOrganization>(
            ops::service_access::list_aws_service_access_for_organization,
        )
        // Tags.
        .on::<api::TagResource>(ops::tag::tag_resource)
        .on::<api::UntagResource>(ops::tag::untag_resource)
        .on::<api::ListTagsForResource>(ops::tag::list_tags_for_resource)
        .job(jobs::account_creation())
        .refuses(REFUSED)
        .done()
}
