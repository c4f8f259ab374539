//! Bounds on what a policy document may hold, each with its source.

/// Longest document read, in bytes. Callers hold documents to the smaller
/// quota of their own API before or after parsing.
///
/// Source: IAM API Reference, `policyDocumentType`, maximum length.
pub const DOCUMENT_BYTES_MAX: usize = 131_072;

/// Deepest nesting of JSON read. The grammar itself needs six levels.
///
/// Source: ours; it keeps the reader's recursion far from the end of a stack.
pub const JSON_DEPTH_MAX: usize = 16;

/// Most statements in one document.
///
/// Source: ours. The largest quota of any service (32 KiB, a KMS key policy)
/// holds about 800 of the shortest statements that mean anything.
pub const STATEMENTS_MAX: usize = 1_000;

/// Most actions, resources, principals and condition values in one document,
/// counted together.
///
/// Source: ours; every value needs at least four bytes of the 32 KiB above.
pub const VALUES_MAX: usize = 8_192;

/// Longest action name kept on the stack while it is compared, in bytes. A
/// longer one works and costs an allocation.
///
/// Source: ours; the longest action AWS published by 2026 has 77 characters.
pub(crate) const ACTION_INLINE_BYTES: usize = 96;

/// Keys for which a context makes room at once: the eight of every call, and
/// what a call says itself. More cost a second allocation.
///
/// Source: ours. So many take less than a kilobyte, up to which the allocator
/// is quickest.
pub(crate) const CONTEXT_KEYS_EXPECTED: usize = 15;

/// Pairs of statements compared in the search for dead ones.
///
/// Source: ours; a document of 300 statements is searched whole.
pub const COMPARISONS_MAX: usize = 90_000;

/// Condition keys that one [`crate::Reading`] holds. Ours: more take longer to
/// compare than policies take to weigh.
pub const READING_KEYS_MAX: usize = 16;
