//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// Longest engine key in bytes: scope, table name and key together.
///
/// PostgreSQL refuses B-tree entries above 2,704 bytes (a third of an 8 KiB
/// page); the rest is left for its headers.
pub const KEY_BYTES_MAX: usize = 2_600;

/// Largest stored record in bytes.
///
/// The largest single document of the services we implement is far below it
/// (a Secrets Manager value has at most 64 KiB, Secrets Manager API Reference).
pub const VALUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most puts, deletes, appends and preconditions in one commit, each.
///
/// Our own choice: an order of magnitude above any operation's need, low
/// enough that one commit cannot hold up the others for long.
pub const COMMIT_ROWS_MAX: usize = 4_096;

/// Most bytes one commit may write, keys and values together.
pub const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most keys and ranges one view remembers as read.
///
/// A request that read more may still answer; it may no longer write.
pub const READS_MAX: usize = 4_096;

/// Most items in one page of a scan; a larger wish gets this many.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// Most commits made durable together.
pub const BATCH_COMMITS_MAX: usize = 256;

/// Bytes after which a batch takes no further commit.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Commits waiting for the committer before further callers wait to queue.
pub const QUEUE_COMMITS_MAX: usize = 1_024;

/// Changes kept in memory for watchers; whoever lags further must resync.
pub const FEED_CHANGES_MAX: usize = 16_384;

/// Bytes of keys kept in memory for watchers.
pub const FEED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Versions the PostgreSQL change log reaches back.
pub const CHANGE_LOG_VERSIONS: u64 = 100_000;

/// The change log is trimmed each time this many versions have passed.
pub const CHANGE_LOG_TRIM_EVERY: u64 = 1_000;

/// Default weight of the cache of decoded records, in bytes.
///
/// Room for some 50,000 KMS keys in use; measured in
/// `docs/decisions/0008-keys-drawn-at-random.md`. Memory is taken as records are read.
pub const CACHE_BYTES_DEFAULT: u64 = 128 * 1024 * 1024;

/// Default page cache of the embedded engine, in bytes.
pub const PAGE_CACHE_BYTES_DEFAULT: usize = 16 * 1024 * 1024;

/// Longest page of a scan, in rows, that the cache keeps.
pub const CACHED_PAGE_ROWS_MAX: usize = 128;

/// How old the cache's knowledge of other nodes' commits may be.
///
/// Beyond it reads go to the database. Also the promise a writer may rely on:
/// what it was told is committed, every node sees after this long.
pub const STALENESS_MAX: Duration = Duration::from_secs(1);

/// How often the change log is read when nothing announces a change.
pub const FEED_POLL: Duration = Duration::from_millis(250);

/// Free disk below which the embedded engine takes no further commit, in
/// bytes, beside what the batch itself needs.
///
/// Copy-on-write needs room even to delete, and closing cleanly needs some.
pub const DISK_RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// How long a read or commit waits for a lost database before it gives up.
pub const DATABASE_PATIENCE: Duration = Duration::from_secs(10);

/// How long one exchange with the database may take before the connection
/// counts as lost.
pub const DATABASE_EXCHANGE_MAX: Duration = Duration::from_secs(20);

/// How long connecting to the database may take.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Connections that serve reads; each carries many reads at once.
pub const READ_CONNECTIONS: usize = 4;

/// Snapshots of the database open at the same time; each holds a connection.
pub const SNAPSHOTS_MAX: usize = 4;

/// Attempts of a batch that the database asks to be repeated (40001, 40P01).
pub const SERIALIZATION_ATTEMPTS: u32 = 16;

/// Attempts of [`crate::Store::transact`] before it reports the conflict.
pub const TRANSACT_ATTEMPTS: u32 = 64;

/// Conflicts after which [`crate::Store::transact`] takes turns with others.
pub const ATTEMPTS_BEFORE_TURN: u32 = 3;

/// How long to wait for a turn to write before going on without one.
///
/// A turn lasts a few commits; a longer wait means that its holder waits for
/// something else, perhaps for the one who waits.
pub const TURN_MAX: Duration = Duration::from_millis(500);

/// Announcements removed by one acknowledgement of the outbox.
pub const OUTBOX_TRIM_ROWS: usize = 1_000;
