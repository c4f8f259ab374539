//! Every bound of this crate, each with its source.
//!
//! Quotas are AWS's defaults (IAM User Guide, "IAM and AWS STS quotas"), not
//! the maxima that a support case may raise them to.

use std::time::Duration;

/// Users in an account.
pub(crate) const USERS_MAX: u32 = 5_000;
/// Groups in an account.
pub(crate) const GROUPS_MAX: u32 = 300;
/// Roles in an account.
pub(crate) const ROLES_MAX: u32 = 1_000;
/// Customer managed policies in an account.
pub(crate) const POLICIES_MAX: u32 = 1_500;
/// Instance profiles in an account.
pub(crate) const INSTANCE_PROFILES_MAX: u32 = 1_000;
/// Server certificates in an account.
pub(crate) const SERVER_CERTIFICATES_MAX: u32 = 20;
/// Certificates in the chain of one. Ours: more than any that is in use has.
pub(crate) const SERVER_CERTIFICATE_CHAIN_MAX: usize = 16;
/// Signing certificates of a user, and of the root user.
pub(crate) const SIGNING_CERTIFICATES_PER_USER_MAX: u32 = 2;
/// Policy versions in use in an account; told by `GetAccountSummary`.
pub(crate) const POLICY_VERSIONS_IN_USE_MAX: u32 = 10_000;

/// Managed policies attached to one user, group or role.
pub(crate) const ATTACHED_POLICIES_MAX: usize = 10;
/// Groups a user may be in.
pub(crate) const GROUPS_PER_USER_MAX: usize = 10;
/// Access keys of a user, active or not.
pub(crate) const ACCESS_KEYS_PER_USER_MAX: usize = 2;
/// SSH public keys of a user.
pub(crate) const SSH_KEYS_PER_USER_MAX: usize = 5;
/// Credentials of a user for one service (IAM API Reference, CreateServiceSpecificCredential).
pub(crate) const SERVICE_CREDENTIALS_PER_SERVICE_MAX: usize = 2;
/// Versions of a managed policy.
pub(crate) const VERSIONS_PER_POLICY_MAX: usize = 5;
/// Tags on one user, role or policy.
pub(crate) const TAGS_MAX: usize = 50;

/// Size of a managed policy, in characters without white space.
pub(crate) const MANAGED_POLICY_SIZE_MAX: usize = 6_144;
/// Sum of a user's inline policies, counted so.
pub(crate) const USER_INLINE_SIZE_MAX: usize = 2_048;
/// Sum of a group's inline policies, counted so.
pub(crate) const GROUP_INLINE_SIZE_MAX: usize = 5_120;
/// Sum of a role's inline policies, counted so.
pub(crate) const ROLE_INLINE_SIZE_MAX: usize = 10_240;
/// Size of a trust policy, counted so.
pub(crate) const TRUST_POLICY_SIZE_MAX: usize = 2_048;

/// Most inline policies read of one entity. Ours: 10,240 characters hold fewer
/// than 200 of the shortest policies there are (about 60 characters).
pub(crate) const INLINE_POLICIES_READ_MAX: usize = 512;

/// Items on a page of a list when the caller asks for no number (IAM API Reference, `MaxItems`).
pub(crate) const PAGE_ITEMS_DEFAULT: usize = 100;
/// Rows a filtered list looks at before it answers with what it has and a
/// marker. Ours, within the API's "may return fewer".
pub(crate) const SCANNED_ROWS_MAX: usize = 1_000;

/// Decisions that one call of the policy simulator makes; then it answers with
/// a marker. Ours, within the API's "may return fewer".
pub(crate) const SIMULATIONS_PER_PAGE_MAX: usize = 250;

/// Seconds a role session lasts when nothing is asked (STS API Reference, AssumeRole).
pub(crate) const ROLE_SESSION_DEFAULT_SECONDS: u32 = 3_600;
/// Shortest session of a role, in seconds (STS API Reference, AssumeRole).
pub(crate) const ROLE_SESSION_MIN_SECONDS: u32 = 900;
/// Longest session a role permits unless it says otherwise (IAM API Reference, CreateRole).
pub(crate) const MAX_SESSION_DURATION_DEFAULT_SECONDS: u32 = 3_600;
/// Longest session of a role assumed by a session (IAM User Guide, "Role chaining").
pub(crate) const CHAINED_SESSION_MAX_SECONDS: u32 = 3_600;
/// Seconds a session from `GetSessionToken` lasts when nothing is asked.
pub(crate) const SESSION_TOKEN_DEFAULT_SECONDS: u32 = 43_200;
/// Longest session from `GetSessionToken` or `GetFederationToken` for the root user; more is cut, not refused.
pub(crate) const ROOT_SESSION_MAX_SECONDS: u32 = 3_600;

/// Longest session of a member's root user, and how long one lasts when nothing
/// is asked, in seconds (STS API Reference, AssumeRoot).
pub(crate) const ASSUMED_ROOT_SECONDS_MAX: u64 = 900;

/// Characters of inline session policy and managed policy ARNs together (STS API Reference, AssumeRole).
pub(crate) const SESSION_POLICY_PLAIN_MAX: usize = 2_048;
/// Managed policies passed to one session (STS API Reference, `PolicyArns`).
pub(crate) const SESSION_POLICY_ARNS_MAX: usize = 10;
/// Bytes that session policies and tags may take together, which
/// `PackedPolicySize` is the percentage of. AWS packs by a method it does not
/// publish; ours counts characters without white space, against a space that
/// holds the largest plain policies and as much again for tags.
pub(crate) const PACKED_SESSION_MAX: usize = 2 * SESSION_POLICY_PLAIN_MAX;

/// Longest session token that is looked at, in characters. Ours: the largest
/// session we issue stays below it.
pub(crate) const SESSION_TOKEN_MAX: usize = 16 * 1024;

/// Fewest characters of a password where the request sets no number (IAM API
/// Reference, UpdateAccountPasswordPolicy).
pub(crate) const PASSWORD_LENGTH_MIN: u32 = 6;

/// Digests of passwords and pairs of keys made at once; others wait. Ours: each takes 19 MiB.
pub(crate) const PASSWORDS_AT_ONCE_MAX: usize = 2;
/// Earlier passwords that are remembered (IAM API Reference, `PasswordReusePrevention`).
pub(crate) const PASSWORDS_REMEMBERED_MAX: usize = 24;

/// Reports of what was last accessed that an account can ask about. Ours: the
/// oldest are forgotten.
pub(crate) const ACCESS_REPORTS_KEPT_MAX: usize = 100;

/// How long a credential report serves (IAM User Guide, "Getting credential reports").
pub(crate) const REPORT_SERVES: Duration = Duration::from_secs(4 * 60 * 60);
/// Credential reports made in one run of the job. Ours: others wait a second.
pub(crate) const REPORTS_PER_RUN_MAX: usize = 4;
/// Users of a credential report that are read through one view of the store. Ours.
pub(crate) const REPORT_USERS_PER_VIEW: usize = 200;
/// Bytes of a credential report in one row, a quarter of what the store takes.
pub(crate) const REPORT_PART_BYTES_MAX: usize = 1024 * 1024;

/// Deletions of service-linked roles that an account can ask about. Ours: the
/// oldest are forgotten.
pub(crate) const DELETION_TASKS_KEPT_MAX: usize = 100;
/// OpenID Connect providers in an account.
pub(crate) const OIDC_PROVIDERS_MAX: u32 = 100;
/// Client ids of an OpenID Connect provider (IAM API Reference, CreateOpenIDConnectProvider).
pub(crate) const OIDC_CLIENT_IDS_MAX: usize = 100;
/// Thumbprints of an OpenID Connect provider (same page).
pub(crate) const OIDC_THUMBPRINTS_MAX: usize = 5;
/// Characters of an OpenID Connect provider's address (same page).
pub(crate) const OIDC_URL_CHARACTERS_MAX: usize = 255;
/// For how long the keys of an issuer are kept. Ours: an issuer that takes a
/// key back is believed within this time.
pub(crate) const KEYS_KEPT_FOR: Duration = Duration::from_secs(600);
/// How soon after keys were fetched an unknown one has them fetched again. Ours.
pub(crate) const KEYS_ASKED_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// For how long an issuer that told no keys is not asked again. Ours: longer
/// than asking may take, so that those who wait meanwhile do not ask in turn.
pub(crate) const KEYS_FAILED_FOR: Duration = Duration::from_secs(15);
/// Issuers whose keys one node keeps. Ours.
pub(crate) const ISSUERS_KEPT_MAX: usize = 1_000;
/// How far a provider's clock may be ahead of ours. Ours: that of signatures.
pub(crate) const PROVIDER_CLOCK_SKEW: Duration = Duration::from_secs(300);
/// How far the issue of a session may be ahead of our time: nodes' clocks differ.
/// Ours: that of signatures.
pub(crate) const SESSION_CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Tags of a session (STS API Reference, AssumeRole, `Tags`).
pub(crate) const SESSION_TAGS_MAX: usize = 50;
/// SAML providers in an account.
pub(crate) const SAML_PROVIDERS_MAX: u32 = 100;
/// For how long metadata without `validUntil` may be used: a hundred years, as AWS shows.
pub(crate) const SAML_PROVIDER_DEFAULT_VALIDITY: Duration = Duration::from_secs(36_525 * 86_400);

/// Characters of the address that an issuer's is made of. Ours: longer than any name with a port.
pub(crate) const ISSUER_CHARACTERS_MAX: usize = 300;
/// Seconds a web identity token is good for when nothing is asked (STS API Reference, GetWebIdentityToken).
pub(crate) const WEB_IDENTITY_TOKEN_DEFAULT_SECONDS: i64 = 300;
/// Bytes of a web identity token's claims. AWS's bound is not published.
pub(crate) const WEB_IDENTITY_CLAIMS_BYTES_MAX: usize = 8 * 1024;

/// Virtual MFA devices in an account, assigned or not: as many as users.
pub(crate) const MFA_DEVICES_MAX: u32 = USERS_MAX;
/// MFA devices of a user.
pub(crate) const MFA_DEVICES_PER_USER_MAX: usize = 8;
/// Wrong codes of one device that a node looks at within [`MFA_FAILURES_WITHIN`]. Ours.
pub(crate) const MFA_FAILURES_MAX: u32 = 10;
/// How long wrong codes count. Ours: with three codes good at a time, guessing
/// one takes a year on average.
pub(crate) const MFA_FAILURES_WITHIN: Duration = Duration::from_secs(300);
/// Devices whose wrong codes one node counts; beyond, codes of other devices
/// wait. Ours.
pub(crate) const MFA_DEVICES_WATCHED_MAX: usize = 10_000;

/// How long a use may be known to one node only. Ours; AWS tells last uses to
/// within hours.
pub(crate) const LAST_USED_FLUSHED_AFTER: Duration = Duration::from_secs(60);
/// Keys and roles whose last use one node remembers until then. Ours: what is
/// beyond is not noted.
pub(crate) const LAST_USES_NOTED_MAX: usize = 65_536;
/// Last uses written in one commit. Ours.
pub(crate) const LAST_USES_PER_COMMIT_MAX: usize = 500;

/// Credentials kept ready in memory, long-term and temporary.
pub(crate) const CREDENTIALS_CACHED: usize = 8_192;
/// Principals whose policies are kept assembled in memory.
pub(crate) const PRINCIPALS_CACHED: usize = 8_192;

/// Longest life of any session token (STS API Reference, GetSessionToken and
/// GetFederationToken, `DurationSeconds`: 129,600).
pub(crate) const SESSION_SECONDS_MAX: u64 = 129_600;
