//! Every bound of the KMS API that the model's own constraints do not carry.

use std::ops::RangeInclusive;
use std::time::Duration;

use crypto::key::KeySpec;

/// Most aliases of one key. Source: KMS Developer Guide, "Resource quotas".
pub const ALIASES_PER_KEY_MAX: usize = 50;

/// Most tags of one key. Source: KMS API Reference, `TagResource`.
pub const TAGS_PER_KEY_MAX: usize = 50;

/// Longest tag key in characters. Source: KMS API Reference, `Tag`.
pub const TAG_KEY_CHARACTERS_MAX: usize = 128;

/// Longest tag value in characters. Source: KMS API Reference, `Tag`.
pub const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// Longest key policy in bytes. Source: KMS Developer Guide, "Resource quotas".
pub const POLICY_BYTES_MAX: usize = 32 * 1024;

/// Most bytes in the names and values of an encryption context together.
/// Source: KMS Developer Guide, "Encryption context".
pub const CONTEXT_BYTES_MAX: usize = 8192;

/// Whole days a key may wait for its deletion.
/// Source: KMS API Reference, `ScheduleKeyDeletion`, `PendingWindowInDays`.
pub const PENDING_WINDOW_DAYS: RangeInclusive<u32> = 7..=30;

/// Days a key waits for its deletion when the caller says nothing. Same source.
pub const PENDING_WINDOW_DAYS_DEFAULT: u32 = 30;

/// Whole days between rotations that a key makes by itself.
/// Source: KMS API Reference, `EnableKeyRotation`, `RotationPeriodInDays`.
pub const ROTATION_PERIOD_DAYS: RangeInclusive<u32> = 90..=2560;

/// Days between rotations when the caller says nothing. Same source.
pub const ROTATION_PERIOD_DAYS_DEFAULT: u32 = 365;

/// Most rotations of a key that were asked for, ever.
/// Source: KMS Developer Guide, "Resource quotas".
pub const ON_DEMAND_ROTATIONS_MAX: usize = 25;

/// A page of `ListKeyRotations`. Source: KMS API Reference, `ListKeyRotations`, `Limit`.
pub const ROTATIONS_PAGE: PageLimit = PageLimit {
    default: 100,
    max: 1000,
};

/// How long the parameters of an import serve.
/// Source: KMS API Reference, `GetParametersForImport`.
pub const IMPORT_PARAMETERS_VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// How far ahead imported material may expire.
/// Source: KMS API Reference, `ImportKeyMaterial`, `ValidTo`.
pub const MATERIAL_VALID_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Random bytes that `GenerateRandom` gives, and data key bytes. The model
/// enforces the range; this is the source for buffers.
/// Source: KMS API Reference, `NumberOfBytesType`.
pub const RANDOM_BYTES_MAX: usize = 1024;

/// A page of `ListKeys` and `ListKeyPolicies`: default and most.
/// Source: KMS API Reference, `ListKeys`, `Limit`.
pub const KEYS_PAGE: PageLimit = PageLimit {
    default: 100,
    max: 1000,
};

/// A page of `ListAliases`. Source: KMS API Reference, `ListAliases`, `Limit`.
pub const ALIASES_PAGE: PageLimit = PageLimit {
    default: 50,
    max: 100,
};

/// Most grants of one key. Source: KMS Developer Guide, "Resource quotas".
pub const GRANTS_PER_KEY_MAX: u64 = 50_000;

/// Most encryption context pairs in a grant constraint.
/// Source: KMS API Reference, `GrantConstraints`.
pub const GRANT_CONTEXT_PAIRS_MAX: usize = 8;

/// Longest name or value in a grant constraint, in characters. Same source.
pub const GRANT_CONTEXT_VALUE_CHARACTERS_MAX: usize = 384;

/// A page of `ListGrants` and `ListRetirableGrants`.
/// Source: KMS API Reference, `ListGrants`, `Limit`.
pub const GRANTS_PAGE: PageLimit = PageLimit {
    default: 50,
    max: 100,
};

/// Grants that are read at a time while one is sought that covers a request.
/// Ours: it is what the store keeps of a scan in memory.
pub const GRANTS_SOUGHT_AT_A_TIME: usize = 100;

/// Grants that are removed in one transaction when their key is deleted. Ours:
/// each has up to four rows, and a commit takes 4,096.
pub const GRANTS_DELETED_AT_ONCE: usize = 500;

/// Rows that are written in one commit when a store is stocked. Ours: as many as
/// a commit takes.
pub const STOCKED_ROWS_PER_COMMIT: usize = store::limits::COMMIT_ROWS_MAX;

/// A page of `ListResourceTags`. Source: KMS API Reference, `ListResourceTags`, `Limit`.
pub const TAGS_PAGE: PageLimit = PageLimit { default: 50, max: 50 };

/// RSA keys made at the same time; who asks for more waits. Ours: each keeps a
/// processor busy for up to several seconds.
pub const RSA_KEYS_AT_ONCE_MAX: usize = 4;

/// Most keys that one run of a job looks after; the next run goes on. Ours: it
/// bounds how long a run holds its lease.
pub const KEYS_PER_RUN_MAX: usize = 256;

/// How many items a list gives.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// When the caller says nothing.
    pub default: usize,
    /// The most a caller may ask for.
    pub max: usize,
}

/// Longest description of a key in characters, where no model checks it.
///
/// Source: KMS API Reference, `CreateKey`, `Description`.
pub const DESCRIPTION_LENGTH_MAX: usize = 8192;

/// How long a last use is noted in memory before it may be written. Ours: keys that
/// are used all the time cost a row a minute.
pub const LAST_USES_WRITTEN_AFTER: Duration = Duration::from_secs(60);

/// When it is written at the latest; until then one node only knows of it, and a
/// crash forgets it. Ours; AWS tells last uses within an hour (KMS Developer Guide,
/// "Determine past usage of a KMS key").
pub const LAST_USES_WRITTEN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Last uses that are written in one run of the job, a second, between these two
/// times. Ours: some 1 % of a processor, and a million in half an hour.
pub const LAST_USES_AT_ONCE: usize = 640;

/// Runs of neighbours that are written in one run of the job, likewise. Ours: each
/// may be in another account, and then costs a commit.
pub const LAST_USE_RUNS_AT_ONCE: usize = 16;

/// Notes in a run of neighbours. Ours: two of them fit into a commit, and to put one
/// more between others moves 15 KB at the most.
pub const LAST_USES_PER_RUN_MAX: usize = 256;

/// Keys whose last use one node remembers. If there are an eighth less, what waits
/// for longest is written early. Ours: some 80 MB at the most, and room for a million.
pub const LAST_USES_NOTED_MAX: usize = 1_200_000;

/// Last uses written in one commit. Ours.
pub const LAST_USES_PER_COMMIT_MAX: usize = 512;

/// Accounts, regions and kinds of calls that are counted in one second for
/// request quotas. Ours: some 10 MB at the most.
pub const QUOTA_WINDOWS_MAX: usize = 65_536;

/// RSA keys of each spec that lie ready once one was asked for. Ours: some
/// seconds of computing for each spec, and less than a megabyte.
pub const RSA_KEYS_READY_MAX: &[(KeySpec, usize)] = &[
    (KeySpec::Rsa2048, 64),
    (KeySpec::Rsa3072, 8),
    (KeySpec::Rsa4096, 4),
];

/// Keys of a region that are looked at for `palisade usage`. Source: KMS
/// Developer Guide, "Resource quotas": what an account has at most by default.
pub const KEYS_METERED_MAX: usize = 100_000;

/// How long a grant token is needed at most (KMS Developer Guide, "Using a grant
/// token": until the grant has come to bind everywhere, usually within five minutes).
pub const GRANT_TOKEN_NEEDED: Duration = Duration::from_secs(60 * 60);

/// Most custom key stores of an account in a region.
/// Source: KMS Developer Guide, "Resource quotas".
pub const CUSTOM_KEY_STORES_MAX: usize = 10;

/// A page of `DescribeCustomKeyStores`. The model allows more than there are.
/// Source: KMS API Reference, `DescribeCustomKeyStores`, `Limit`.
pub const CUSTOM_KEY_STORES_PAGE: PageLimit = PageLimit {
    default: 100,
    max: 1000,
};

/// Custom key stores that one run of the job connects or disconnects; the next
/// run goes on. Ours: each may wait for the time that a proxy or cluster has.
pub const CONNECTIONS_PER_RUN_MAX: usize = 16;

/// How often external key store proxies are asked whether they are well. Ours: AWS
/// tells no figure but for its metric of key managers, which has a value each five
/// minutes.
pub const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// How many proxies one run of the job asks, all at once; the next run, a second
/// later, goes on. Ours: other jobs wait meanwhile.
pub const HEALTH_CHECKS_PER_RUN_MAX: usize = 16;
/// Of how many proxies metrics tell. Ours: each costs whoever keeps them a series.
pub const HEALTH_TOLD_MAX: usize = 1_024;

/// How often connecting a store is begun without anybody being there to say what
/// came of it: the server that did it was ended meanwhile. Ours: each may cost a
/// wrong password, and clusters lock users out after five or so.
pub const CONNECTION_TRIES_MAX: u32 = 3;

/// Passwords that are remembered because a cluster refused them. Ours.
pub const REFUSED_PASSWORDS_MAX: usize = 1_024;

/// How long a proxy may take in all. Source: XKS Proxy API, "KMS considerations".
pub const PROXY_TIME: Duration = Duration::from_millis(250);

/// Compiled policies that each thread keeps for all keys that say the same. Ours:
/// 2 MiB of text a thread if all of them are as long as a policy may be.
pub const COMPILED_POLICIES_KEPT: usize = 64;
