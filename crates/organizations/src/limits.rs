//! Every limit of the service, with its source.

use std::time::Duration;

use crate::model::PolicyKind;

/// Most accounts in an organisation, the management account included, open
/// invitations counted. AWS begins at 10 and raises on request up to 10,000
/// (Organizations User Guide, "Quotas"); ours is fixed.
pub(crate) const ACCOUNTS_MAX: u32 = 1_000;

/// Most organisational units in an organisation (User Guide, "Quotas").
pub(crate) const UNITS_MAX: u32 = 1_000;

/// Levels of organisational units below the root (User Guide, "Quotas").
pub(crate) const UNIT_LEVELS_MAX: usize = 5;

/// Most policies of each type (User Guide, "Quotas").
pub(crate) const POLICIES_MAX: u32 = 1_000;

/// Accounts being created at one time (User Guide, "Quotas").
pub(crate) const CREATIONS_AT_ONCE_MAX: usize = 5;

/// Accounts that may be closed within [`CLOSINGS_WITHIN`], where a fifth of
/// the members is fewer (User Guide, "Quotas").
pub(crate) const CLOSINGS_MAX: u32 = 250;

/// How long a closing counts against that quota.
pub(crate) const CLOSINGS_WITHIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A fifth of the members.
pub(crate) fn closings_share(accounts: u32) -> u32 {
    accounts / 5
}

/// How long an invitation can be accepted (API Reference,
/// InviteAccountToOrganization: 15 days).
pub(crate) const HANDSHAKE_LIFE: Duration = Duration::from_secs(15 * 24 * 60 * 60);

/// How long a handshake is shown after it has ended or expired (API Reference,
/// ListHandshakesForOrganization: 30 days). Removed when the next is sent.
pub(crate) const HANDSHAKES_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Invitations sent within [`INVITATION_DAY`] (User Guide, "Quotas").
pub(crate) const INVITATIONS_A_DAY_MAX: usize = 20;

/// One day.
pub(crate) const INVITATION_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Accounts made in one run of the job.
pub(crate) const CREATIONS_PER_RUN_MAX: usize = 20;

/// Tags on one resource (User Guide, "Tagging considerations").
pub(crate) const TAGS_MAX: usize = 50;

/// Most items on a page (API Reference, `MaxResults`: 1 to 20).
pub(crate) const PAGE_ITEMS_MAX: usize = 20;

/// Accounts whose standing is kept in memory.
pub(crate) const STANDINGS_CACHED: usize = 4_096;

/// Attempts at reading a tree that does not change meanwhile.
pub(crate) const ASSEMBLY_ATTEMPTS: u32 = 8;

/// The role that a new account gets when the request names none (API
/// Reference, CreateAccount, `RoleName`).
pub(crate) const ROLE_NAME_DEFAULT: &str = "OrganizationAccountAccessRole";

/// Longest document, in characters, white space counted (User Guide,
/// "Quotas": SCP 10,240 since May 2026, RCP 5,120, tag policy 10,000).
pub(crate) fn content_max(kind: PolicyKind) -> usize {
    match kind {
        PolicyKind::ServiceControl => 10_240,
        PolicyKind::ResourceControl => 5_120,
        PolicyKind::Tag => 10_000,
    }
}

/// Most policies of a type attached to one root, unit or account (User Guide,
/// "Quotas": SCP 10 since May 2026, RCP 5, tag policies 10).
pub(crate) fn attachments_max(kind: PolicyKind) -> usize {
    match kind {
        PolicyKind::ServiceControl | PolicyKind::Tag => 10,
        PolicyKind::ResourceControl => 5,
    }
}
